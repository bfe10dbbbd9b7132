"""What was in a step of a training run, and which of it moved the weights: for looking into a spike of the loss.

A replay goes back to the nearest checkpoint that is left before the step, trains up to it as the run did, and then
takes the step's gradient apart: a document never sees another one of its row, so the step's gradient is the sum of its
segments' gradients (the option z_loss left aside).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from corpusmill import options
from corpusmill.errors import ConfigError
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.trainer import checkpoint
from corpusmill.trainer.config import TrainConfig
from corpusmill.trainer.data import IGNORE, build, epoch_order
from corpusmill.trainer.learner import Learner, Record
from corpusmill.trainer.loss import token_losses
from corpusmill.trainer.parallel import joined, one_process
from corpusmill.trainer.precision import autocast
from corpusmill.trainer.schedule import Place, Schedule
from corpusmill.trainer.train import deterministic, opened_for


@dataclass(frozen=True)
class RowShare:
    """A row's part in a step: its place in the epoch's order, mean loss in nats (None without targets), gradient."""

    row: int
    place: int
    loss: float | None
    grad_norm: float
    """Norm of its part of the step's gradient, before clipping."""


@dataclass(frozen=True)
class SegmentShare:
    """A segment's part in a step, see `RowShare`; `number` counts the segments of the row from 0."""

    row: int
    number: int
    loss: float | None
    grad_norm: float


@dataclass(frozen=True)
class Replay:
    """A step taken apart.

    place     what it read
    begun_at  the step whose checkpoint the replay began with, 0 for fresh weights
    loss      of the step, nats per supervised token, and its gradient's norm before clipping
    logged    loss and norm that the run's log has for the same step, as they are in it; None where a record spans
              several steps and this one was not left out
    rows      by falling gradient norm, and so are the segments
    """

    place: Place
    begun_at: int
    loss: float
    grad_norm: float
    logged: tuple[float | str | None, float | str] | None
    rows: list[RowShare]
    segments: list[SegmentShare]


def step_rows(shards: str | Path | Packed, out_dir: str | Path, step: int) -> tuple[Packed, Place, list[int]]:
    """The shards, what step `step` of the training in `out_dir` read of them, and the numbers of these rows.

    Raises NotCommitted where nothing was trained, ConfigError for other shards or a step that the run does not have.
    """
    packed, config, _ = _run_of(shards, out_dir)
    place = _place(packed, config, step)
    return packed, place, _rows(packed, config, place)


def replay(
    shards: str | Path | Packed, out_dir: str | Path, step: int, on_step: Callable[[int, int], None] | None = None
) -> Replay:
    """Take step `step` apart; `on_step` is told each step trained on the way, and the one it is about.

    A run of one process on the CPU is repeated to the bit, with as many threads of the same torch. Raises what
    `step_rows` raises, and ConfigError under torchrun.
    """
    one_process("a replay")
    packed, config, facts = _run_of(shards, out_dir)
    place = _place(packed, config, step)
    folder = Path(out_dir)
    with deterministic(config.seed), joined(config.device) as world:
        learner = Learner(packed, config, world)
        entry = checkpoint.last_before(facts, step)
        if entry is not None:
            learner.restore(checkpoint.restore(folder, entry))
        begun_at = learner.step
        for before in learner.schedule.places(begun_at + 1):
            if before == place:
                break
            learner.learn(before)
            learner.forget()
            if on_step:
                on_step(before.step, step)
        sums, count = learner.gradients(place)
        norm = _norm([weight.grad for weight in learner.model.parameters() if weight.grad is not None])
        rows, segments = _shares(learner, _rows(packed, config, place), place, int(count))
    return Replay(
        place,
        begun_at,
        float(sums[0].sum()) / max(int(count), 1),
        norm,
        _logged(folder, place),
        sorted(rows, key=_by_norm, reverse=True),
        sorted(segments, key=_by_norm, reverse=True),
    )


def _run_of(shards: str | Path | Packed, out_dir: str | Path) -> tuple[Packed, TrainConfig, dict[str, Any]]:
    facts = checkpoint.found(Path(out_dir))
    config = options.build(TrainConfig, facts["config"], lambda key: f"{out_dir}: {key}".rstrip(": "))
    packed = opened_for(shards, config)
    if packed.id != facts["shards"]:
        raise ConfigError(
            f"{out_dir} was trained on the shards {facts['shards'][:16]}…; those in {packed.directory} are "
            f"{packed.id[:16]}…; give the shards of that training"
        )
    return packed, config, facts


def _place(packed: Packed, config: TrainConfig, step: int) -> Place:
    schedule = Schedule(config, len(packed), packed.sequence_length)
    if not 1 <= step <= schedule.steps:
        raise ConfigError(f"--step {step}: the training has the steps 1 to {schedule.steps}")
    return next(schedule.places(step))


def _rows(packed: Packed, config: TrainConfig, place: Place) -> list[int]:
    places = np.arange(place.row, place.row + place.rows)
    rows: list[int] = epoch_order(places, len(packed), place.epoch, config.seed).tolist()
    return rows


def _shares(
    learner: Learner, rows: Sequence[int], place: Place, count: int
) -> tuple[list[RowShare], list[SegmentShare]]:
    """The parts of rows and segments in the gradient of a step with `count` supervised tokens."""
    learner.model.recompute = False  # the graph is gone through once for each segment
    weights = list(learner.model.parameters())
    shares, parts = [], []
    for at, row in enumerate(rows):
        batch = build(learner.packed, np.array([row])).to(learner.world.device)
        with autocast(learner.precision, learner.world.device):
            losses = token_losses(learner.model, batch)
        segments, supervised = batch.segments.flatten(), batch.targets.flatten() != IGNORE
        total = [torch.zeros_like(weight) for weight in weights]
        for number in range(1, int(segments.max()) + 1):
            inside = supervised & (segments == number)
            if not inside.any():
                parts.append(SegmentShare(row, number - 1, None, 0.0))
                continue
            gradients = torch.autograd.grad(losses[inside].sum() / max(count, 1), weights, retain_graph=True)
            total = [mine + its for mine, its in zip(total, gradients, strict=True)]
            parts.append(SegmentShare(row, number - 1, float(losses.detach()[inside].mean()), _norm(gradients)))
        loss_of_row = float(losses.detach()[supervised].mean()) if supervised.any() else None
        shares.append(RowShare(row, place.row + at, loss_of_row, _norm(total)))
    return shares, parts


def _by_norm(share: RowShare | SegmentShare) -> float:
    """What is no number is the largest."""
    return math.inf if math.isnan(share.grad_norm) else share.grad_norm


def _norm(tensors: Sequence[Tensor]) -> float:
    return float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(tensor) for tensor in tensors])))


def _logged(folder: Path, place: Place) -> tuple[float | str | None, float | str] | None:
    """Loss and gradient norm of this step alone, where the first record that has it tells them."""
    with (folder / checkpoint.LOG).open(encoding="utf-8") as log:
        for line in log:
            record: Record = json.loads(line)
            if record["step"] >= place.step:
                skipped = (each for each in record["skipped"] if each["step"] == place.step)
                alone = record["places"] == [[place.epoch, place.row, place.row + place.rows]]
                told = next(skipped, record if alone else None)
                return None if told is None else (told["loss"], told["grad_norm"])
    return None
