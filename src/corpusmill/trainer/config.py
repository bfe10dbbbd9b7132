"""The options of a training run."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_type_hints

from corpusmill import options
from corpusmill.errors import ConfigError
from corpusmill.trainer.model import ModelConfig

HOW = ("micro_rows", "parallel", "device", "keep_checkpoints", "skip_list")
"""Options that may be others when a run is gone on with: its rows stay the same, bits of the weights may not."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything the result depends on besides the shards.

    The optimiser's defaults are those of LLaMA (section 2.2): betas 0.9 and 0.95, weight decay 0.1, clip at 1.0, cosine
    to a tenth. The learning rate suits models of a few million weights.
    """

    steps: int = 100
    tokens: int | None = None
    """Length of the run in tokens read, in place of `steps`: rows times sequence_length, padding counted too, so that
    the rows of every step are known by arithmetic. The step that reaches it is the last."""
    batch_rows: int = 4
    """Rows per optimiser step, of all processes together."""
    batch_ramp: tuple[tuple[int, ...], ...] = ()
    """[[tokens read, rows per step], …], rising: from so many tokens on a step has so many rows; `batch_rows` before.
    The learning rate takes no notice."""
    micro_rows: int = 2
    """Rows per forward pass: bounds memory; their gradients are added up."""
    learning_rate: float = 3e-3
    schedule: Literal["cosine", "wsd"] = "cosine"
    """After the warm-up: a cosine down to the last step, or level, then a straight line down over the last steps
    (warm-up, stable, decay)."""
    warmup_steps: int = 10
    decay_ratio: float = 0.1
    """Share of the steps that wsd decays over: a tenth is enough (MiniCPM, arXiv 2404.06395, section 4.2)."""
    min_lr_ratio: float = 0.1
    weight_decay: float = 0.1
    """On the blocks' matrices and an untied head; not on embeddings, which are looked up and not multiplied by (so a
    tied head has none), and not on norms."""
    beta1: float = 0.9
    beta2: float = 0.95
    clip_norm: float | None = 1.0
    z_loss: float | None = None
    """Weight of the squared log of the softmax's denominator, which keeps logits from drifting: 1e-4 in PaLM (section
    5), 1e-5 in OLMo 2. Not part of the losses in the log."""
    skip_sigma: float | None = None
    """Leave out a step whose loss or gradient norm lies more than so many deviations above the mean of the last
    `skip_window` steps; 6 in OLMo-core's SkipStepOptimizer."""
    skip_window: int = 128
    seed: int = 0
    first_epoch: int = 0
    """Epoch the run begins with: each has an order of its own."""
    skip_list: str | None = None
    """File of segments that are not learnt from, see `corpusmill bisect`."""
    dim: int = 128
    layers: int = 4
    heads: int = 4
    tied: bool = True
    qk_norm: bool = False
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """bf16: products in bfloat16 under autocast; weights, optimiser, sums and losses stay float32. auto: bf16 where the
    device computes it."""
    recompute: bool = False
    """Keep only the input of each block for the backward pass and compute the rest again (gradient checkpointing): less
    memory for a third more work."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """Under torchrun: each process has the whole model, or a share of weights, gradients and optimiser."""
    log_every: int = 1
    """Steps between lines of the log; there is one at every checkpoint and every evaluation, too."""
    checkpoint_every: int | None = 50
    """Steps between checkpoints; None makes only the one at the end."""
    keep_checkpoints: int = 1
    """How many of the last stay on the disk: what `bisect` can start from."""
    eval_shards: str | None = None
    """Held-out shards, measured every `eval_every` steps and at the end."""
    eval_every: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Raise ConfigError for a value of the wrong type or out of range."""
        for name, hint in get_type_hints(TrainConfig).items():
            object.__setattr__(self, name, options.convert(getattr(self, name), hint, name))
        counts = ("steps", "tokens", "batch_rows", "micro_rows", "log_every", "checkpoint_every", "keep_checkpoints")
        bounds: dict[str, tuple[float, float]] = {
            **dict.fromkeys((*counts, "eval_every"), (1, math.inf)),
            **dict.fromkeys(("warmup_steps", "learning_rate", "weight_decay", "clip_norm"), (0, math.inf)),
            **dict.fromkeys(("z_loss", "skip_sigma"), (0, math.inf)),
            **dict.fromkeys(("beta1", "beta2"), (0, 1)),
            **dict.fromkeys(("min_lr_ratio", "decay_ratio"), (0, math.nextafter(1, 2))),
            **dict.fromkeys(("seed", "first_epoch"), (0, 1 << 63)),
            "skip_window": (2, 1 << 20),
        }
        for name, (low, above) in bounds.items():
            value = getattr(self, name)
            if value is not None and not low <= value < above:
                raise ConfigError(f"{name} = {value}, wanted at least {low} and less than {above}")
        if self.device.split(":")[0] not in ("cpu", "cuda"):
            raise ConfigError(f"device = {self.device!r}, wanted cpu or cuda or cuda:N")
        self._check_ramp()
        self.model(vocab_size=1)

    def _check_ramp(self) -> None:
        ramp = self.batch_ramp
        pairs = all(len(pair) == 2 and pair[0] >= 0 and pair[1] >= 1 for pair in ramp)
        if not pairs or any(one[0] >= other[0] for one, other in pairwise(ramp)):
            raise ConfigError(
                f"batch_ramp = {[list(pair) for pair in ramp]}, wanted [[tokens read, rows per step], …] with tokens "
                "rising from 0 or more and 1 row or more, for example [[0, 8], [1000000, 16]]"
            )

    @classmethod
    def from_settings(cls, settings: Mapping[str, str]) -> TrainConfig:
        """From `key=value` pairs of a command line. Raises ConfigError that lists the allowed keys."""
        values: dict[str, Any] = {}
        for key, raw in settings.items():
            try:
                values[key] = tomllib.loads(f"value = {raw}")["value"]
            except tomllib.TOMLDecodeError:
                values[key] = raw
        if {"steps", "tokens"} <= values.keys():
            raise ConfigError("--set steps and --set tokens: both are the length of the run; give one of them")
        return options.build(cls, values, lambda key: f"--set {key}".rstrip())

    def model(self, vocab_size: int) -> ModelConfig:
        """The shape of the model for a vocabulary."""
        return ModelConfig(vocab_size, self.dim, self.layers, self.heads, self.tied, self.qk_norm)
