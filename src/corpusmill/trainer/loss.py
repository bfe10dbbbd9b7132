"""The loss of each token, and its means over everything and by source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from corpusmill.errors import InputError
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.trainer.data import IGNORE, Batch, build, epoch_order, opened
from corpusmill.trainer.model import Model
from corpusmill.trainer.parallel import World
from corpusmill.trainer.precision import Precision, autocast

NOTHING = {"rows": -1, "targets": IGNORE, "sources": -1}
"""What a row of nothing holds; 0 in the other fields."""


@dataclass(frozen=True)
class Evaluation:
    """Mean loss in nats per supervised token, over everything and by source (those that have tokens)."""

    loss: float
    tokens: int
    sources: dict[str, float]


def evaluate(
    model: Model,
    shards: str | Path | Packed,
    batch_rows: int = 4,
    world: World | None = None,
    precision: Precision = "fp32",
) -> Evaluation:
    """The loss of a model on every row of (held-out) shards, all of one tokenizer with those it was trained on.

    `world` is the one the model was spread in: each of its processes takes a share of the rows, all get the result.
    """
    packed = opened(shards)
    device = next(model.parameters()).device
    world = world or World(device)
    sums = torch.zeros(2, len(packed.sources), dtype=torch.float64, device=device)
    step = batch_rows * world.size
    with torch.no_grad(), autocast(precision, device):
        for first in range(0, len(packed), step):
            batch = shared(packed, 0, first, min(step, len(packed) - first), 0, world).to(device)
            sums += source_sums(token_losses(model, batch), batch, len(packed.sources))
    found = world.add_up(sums).cpu()
    loss = mean(found)
    if loss is None:
        raise InputError(
            f"held-out shards {packed.root} have no token to predict: each segment has one token, or is hidden"
        )
    return Evaluation(loss, int(found[1].sum()), by_source(found, packed.sources))


def shared(packed: Packed, epoch: int, row: int, rows: int, seed: int, world: World) -> Batch:
    """This process's share of the places row … row + rows - 1 of an epoch: the same number of rows for each process.

    Process r takes the r-th of them, the (r + world.size)-th and so on; who gets one less has a row of nothing more.
    """
    mine = epoch_order(np.arange(row + world.rank, row + rows, world.size), len(packed), epoch, seed)
    batch = build(packed, mine)
    missing = world.share(rows) - len(mine)
    if not missing:
        return batch
    parts = {field.name: getattr(batch, field.name) for field in fields(batch)}
    for name, values in parts.items():
        nothing = values.new_full((missing, *values.shape[1:]), NOTHING.get(name, 0))
        parts[name] = torch.cat((values, nothing))
    return Batch(**parts)


def logits_of(model: Model, batch: Batch) -> Tensor:
    """float32[b * L, vocab_size]."""
    logits: Tensor = model(batch.tokens, batch.positions, batch.segments)
    return logits.flatten(0, 1).float()


def losses_of(logits: Tensor, batch: Batch) -> Tensor:
    """float32[b * L], nats; 0 where there is no target."""
    return functional.cross_entropy(logits, batch.targets.flatten(), ignore_index=IGNORE, reduction="none")


def token_losses(model: Model, batch: Batch) -> Tensor:
    """float32[b * L], nats; 0 where there is no target."""
    return losses_of(logits_of(model, batch), batch)


def z_penalty(logits: Tensor, batch: Batch) -> Tensor:
    """float32[], the squared logs of the softmax's denominators of the supervised tokens, summed (PaLM, section 5)."""
    return (logits.logsumexp(dim=-1).square() * (batch.targets.flatten() != IGNORE)).sum()


def source_sums(losses: Tensor, batch: Batch, sources: int) -> Tensor:
    """float64[2, sources]: the loss summed, and the tokens it is the sum of. Stays on the device."""
    supervised = batch.targets.flatten() != IGNORE
    values = torch.stack((losses.detach().double(), supervised.double())) * supervised
    source = batch.sources.flatten().clamp(min=0)  # -1 is padding, which has no target and adds 0
    return torch.zeros(2, sources, dtype=torch.float64, device=losses.device).index_add_(1, source, values)


def mean(sums: Tensor) -> float | None:
    """The loss over all sources; None where there is no supervised token."""
    return float(sums[0].sum() / sums[1].sum()) if sums[1].sum() else None


def by_source(sums: Tensor, names: Sequence[str]) -> dict[str, float]:
    """The loss of each source that has supervised tokens."""
    return {name: float(sums[0, at] / sums[1, at]) for at, name in enumerate(names) if sums[1, at]}
