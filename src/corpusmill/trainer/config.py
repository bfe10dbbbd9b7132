"""The options of a training run."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from corpusmill import options
from corpusmill.errors import ConfigError
from corpusmill.trainer.model import ModelConfig


@dataclass(frozen=True)
class TrainConfig:
    """Everything the result depends on besides the shards.

    The optimiser's defaults are those of LLaMA (section 2.2): betas 0.9 and 0.95, weight decay 0.1, clip at 1.0, cosine
    to a tenth. The learning rate suits models of a few million weights.
    """

    steps: int = 100
    batch_rows: int = 4
    """Rows per optimiser step."""
    micro_rows: int = 2
    """Rows per forward pass: bounds memory; their gradients are added up."""
    learning_rate: float = 3e-3
    warmup_steps: int = 10
    min_lr_ratio: float = 0.1
    weight_decay: float = 0.1
    """On the blocks' matrices and an untied head; not on embeddings and norms."""
    beta1: float = 0.9
    beta2: float = 0.95
    clip_norm: float | None = 1.0
    seed: int = 0
    dim: int = 128
    layers: int = 4
    heads: int = 4
    tied: bool = True
    log_every: int = 1
    checkpoint_every: int | None = 50
    """Steps between checkpoints; None makes only the one at the end."""
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Raise ConfigError for a value of the wrong type or out of range."""
        for name, hint in get_type_hints(TrainConfig).items():
            options.convert(getattr(self, name), hint, name)
        bounds: dict[str, tuple[float, float]] = {
            **dict.fromkeys(("steps", "batch_rows", "micro_rows", "log_every", "checkpoint_every"), (1, math.inf)),
            **dict.fromkeys(("warmup_steps", "learning_rate", "weight_decay", "clip_norm"), (0, math.inf)),
            **dict.fromkeys(("beta1", "beta2"), (0, 1)),
            "min_lr_ratio": (0, math.nextafter(1, 2)),
            "seed": (0, 1 << 63),
        }
        for name, (low, above) in bounds.items():
            value = getattr(self, name)
            if value is not None and not low <= value < above:
                raise ConfigError(f"{name} = {value}, wanted at least {low} and less than {above}")
        if self.device.split(":")[0] not in ("cpu", "cuda"):
            raise ConfigError(f"device = {self.device!r}, wanted cpu or cuda or cuda:N")
        self.model(vocab_size=1)

    @classmethod
    def from_settings(cls, settings: Mapping[str, str]) -> TrainConfig:
        """From `key=value` pairs of a command line. Raises ConfigError that lists the allowed keys."""
        values: dict[str, Any] = {}
        for key, raw in settings.items():
            try:
                values[key] = tomllib.loads(f"value = {raw}")["value"]
            except tomllib.TOMLDecodeError:
                values[key] = raw
        return options.build(cls, values, lambda key: f"--set {key}".rstrip())

    def model(self, vocab_size: int) -> ModelConfig:
        """The shape of the model for a vocabulary."""
        return ModelConfig(vocab_size, self.dim, self.layers, self.heads, self.tied)

    def rate(self, step: int) -> float:
        """Learning rate of step 1 … `steps`: linear up to `warmup_steps`, cosine down to the last."""
        if step < self.warmup_steps:
            return self.learning_rate * step / self.warmup_steps
        done = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
        wave = (1 + math.cos(math.pi * done)) / 2
        return self.learning_rate * (self.min_lr_ratio + (1 - self.min_lr_ratio) * wave)
