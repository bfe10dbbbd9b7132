"""The loss of each token, and its means over everything and by source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from corpusmill.tokenize.shards import Packed
from corpusmill.trainer.data import IGNORE, Batch, batches, opened
from corpusmill.trainer.model import Model


@dataclass(frozen=True)
class Evaluation:
    """Mean loss in nats per supervised token, over everything and by source (those that have tokens)."""

    loss: float
    tokens: int
    sources: dict[str, float]


def evaluate(model: Model, shards: str | Path | Packed, batch_rows: int = 4) -> Evaluation:
    """The loss of a model on every row of (held-out) shards, all of one tokenizer with those it was trained on."""
    packed = opened(shards)
    sums = torch.zeros(2, len(packed.sources), dtype=torch.float64)
    device = next(model.parameters()).device
    with torch.no_grad():
        for batch, _ in batches(packed, batch_rows):
            moved = batch.to(device)
            sums += source_sums(token_losses(model, moved), moved, len(packed.sources)).cpu()
    return Evaluation(mean(sums), int(sums[1].sum()), by_source(sums, packed.sources))


def token_losses(model: Model, batch: Batch) -> Tensor:
    """float[b * L], nats; 0 where there is no target."""
    logits = model(batch.tokens, batch.positions, batch.segments)
    return functional.cross_entropy(
        logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORE, reduction="none"
    )


def source_sums(losses: Tensor, batch: Batch, sources: int) -> Tensor:
    """float64[2, sources]: the loss summed, and the tokens it is the sum of. Stays on the device."""
    supervised = batch.targets.flatten() != IGNORE
    source = batch.sources.flatten()[supervised]
    values = torch.stack((losses[supervised].double(), torch.ones_like(source, dtype=torch.float64)))
    return torch.zeros(2, sources, dtype=torch.float64, device=losses.device).index_add_(1, source, values)


def mean(sums: Tensor) -> float:
    """The loss over all sources; 0 where there is no supervised token."""
    return float(sums[0].sum() / sums[1].sum().clamp(min=1))


def by_source(sums: Tensor, names: Sequence[str]) -> dict[str, float]:
    """The loss of each source that has supervised tokens."""
    return {name: float(sums[0, at] / sums[1, at]) for at, name in enumerate(names) if sums[1, at]}
