"""A small LLaMA-style decoder: RMSNorm, rotary positions, SwiGLU, attention that never leaves its segment."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from corpusmill.errors import ConfigError


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a model.

    tied       the head is the embedding transposed; right for small models, where the embedding is most of the weights
    qk_norm    queries and keys are normalised head by head before they are turned, which bounds attention's logits
               (Dehghani et al. 2023, arXiv 2302.05442, section 3)
    rope_base  wavelength base of the rotary positions (RoFormer, section 3.3)
    norm_eps   added to the mean square in RMSNorm (LLaMA's code)
    """

    vocab_size: int
    dim: int = 128
    layers: int = 4
    heads: int = 4
    tied: bool = True
    qk_norm: bool = False
    rope_base: float = 10_000.0
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        """Raise ConfigError for a shape that can't be built."""
        for name in ("vocab_size", "dim", "layers", "heads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}, wanted at least 1")
        if self.dim % (2 * self.heads):
            raise ConfigError(f"dim = {self.dim}, wanted a multiple of 2 * heads = {2 * self.heads}")

    @property
    def hidden(self) -> int:
        """Width of the feed-forward: 8/3 of dim, so three matrices weigh what two of 4 dim do, in multiples of 32."""
        return 32 * math.ceil(self.dim * 8 / 3 / 32)


class Block(nn.Module):
    """Attention, then feed-forward, each on a normalised copy and added back."""

    def __init__(self, config: ModelConfig) -> None:
        """Build the weights; `Model` fills them."""
        super().__init__()
        self.heads = config.heads
        self.attention_norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.qkv = nn.Linear(config.dim, 3 * config.dim, bias=False)
        head = config.dim // config.heads
        self.q_norm = nn.RMSNorm(head, eps=config.norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm = nn.RMSNorm(head, eps=config.norm_eps) if config.qk_norm else nn.Identity()
        self.attention_out = nn.Linear(config.dim, config.dim, bias=False)
        self.hidden_norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.gate_up = nn.Linear(config.dim, 2 * config.hidden, bias=False)
        self.hidden_out = nn.Linear(config.hidden, config.dim, bias=False)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """float[b, L, dim] → float[b, L, dim]; rotation is (cos, sin) float[b, 1, L, dim / heads / 2]."""
        b, length, dim = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(b, length, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q, k = rotate(self.q_norm(q), rotation).type_as(v), rotate(self.k_norm(k), rotation).type_as(v)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.attention_out(mixed.transpose(1, 2).reshape(b, length, dim))
        gate, up = self.gate_up(self.hidden_norm(x)).chunk(2, dim=-1)
        return x + self.hidden_out(functional.silu(gate) * up)


class Model(nn.Module):
    """Tokens, positions and segments in, logits out.

    With `recompute` set, what a block computes is not kept for the backward pass but computed again.
    """

    recompute = False

    def __init__(self, config: ModelConfig) -> None:
        """Weights are normal with deviation 0.02, divided by √(2 layers) where they write to the residual (GPT-2)."""
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.dim, eps=config.norm_eps)
        self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        for name, weight in self.named_parameters():
            if weight.ndim >= 2:
                into_residual = name.endswith("_out.weight")
                nn.init.normal_(weight, std=0.02 / (math.sqrt(2 * config.layers) if into_residual else 1))
        if config.tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, positions: Tensor, segments: Tensor) -> Tensor:
        """int64[b, L] each → float[b, L, vocab_size], the logits of the next token.

        A token sees itself and the earlier tokens of its own segment. Padding (segment 0) sees padding, so that no row
        of the attention is empty.
        """
        length = tokens.shape[1]
        same_segment = segments[:, None, :, None] == segments[:, None, None, :]
        causal = torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril()
        rotation = self.rotation(positions)
        x = self.embedding(tokens)
        mask = same_segment & causal
        for block in self.blocks:
            if self.recompute and torch.is_grad_enabled():
                # There is no dropout, so no random state to put back.
                x = checkpoint(block, x, rotation, mask, use_reentrant=False, preserve_rng_state=False)
            else:
                x = block(x, rotation, mask)
        return self.head(self.norm(x))

    def rotation(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """int64[b, L] → cos and sin, float[b, 1, L, dim / heads / 2]."""
        half = self.config.dim // self.config.heads // 2
        rate = self.config.rope_base ** (-torch.arange(half, device=positions.device) / half)
        angle = positions[:, None, :, None] * rate
        return angle.cos(), angle.sin()

    def parameter_count(self) -> int:
        """Weights in all; a tied head counts once."""
        return sum(weight.numel() for weight in self.parameters())

    def flops_per_token(self, length: int) -> int:
        """Of one training step on rows of `length` tokens: 6 for each weight that is multiplied with, and attention's.

        PaLM, appendix B, which counts attention over the whole row; masked parts of it are not taken off. What
        `recompute` does twice counts once.
        """
        config = self.config
        weights = self.parameter_count() - (0 if config.tied else self.embedding.weight.numel())
        return 6 * weights + 12 * config.layers * config.dim * length


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the pairs (first half, second half) of each head by their position's angle."""
    cos, sin = rotation
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)
