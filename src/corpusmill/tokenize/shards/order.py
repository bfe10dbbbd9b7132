"""The order in which rows are read: a function of the seed, the epoch and the place, and of nothing else.

Rows were permuted as a whole by who packed them, imports included, so epoch 0 reads front to back (fast on any disk);
every later epoch goes through its own keyed permutation. A position is two integers, (epoch, row): what a checkpoint
stores, valid for any batch size and any number of ranks or workers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from corpusmill.errors import ConfigError
from corpusmill.tokenize.packing.place import Permutation, keyed
from corpusmill.tokenize.shards.gather import Int64s

BatchRows = int | Sequence[tuple[int, int]]
"""Rows of a batch on each rank, or a ramp: (rows read by all ranks together from which on it holds, rows), rising from
0 on."""


@dataclass(frozen=True)
class State:
    """Where to go on: `row` rows of epoch `epoch` have been read, by all ranks together.

    `dataclasses.asdict(state)` is JSON, and `batches` takes the dict back.
    """

    epoch: int = 0
    row: int = 0


@dataclass(frozen=True)
class Reading:
    """How the `rows` rows of a dataset are read by one of `world_size` ranks, `epochs` epochs from `state` on (the
    rest of the first counts as one; None: without end)."""

    rows: int
    batch_rows: BatchRows
    state: State
    rank: int = 0
    world_size: int = 1
    seed: int = 0
    epochs: int | None = 1

    def __post_init__(self) -> None:
        """Raise ConfigError for anything out of range."""
        ramp = self.ramp()
        if not ramp or ramp[0][0] != 0 or any(a[0] >= b[0] for a, b in pairwise(ramp)):
            raise ConfigError(f"batch_rows = {self.batch_rows}, wanted steps of a ramp that rise from row 0 on")
        for name, value, low, high in (
            *(("batch_rows", rows, 1, None) for _, rows in ramp),
            ("world_size", self.world_size, 1, None),
            ("rank", self.rank, 0, self.world_size - 1),
            ("epochs", 1 if self.epochs is None else self.epochs, 0, None),
            ("state.epoch", self.state.epoch, 0, None),
            ("state.row", self.state.row, 0, self.rows),
        ):
            if value < low or (high is not None and value > high):
                raise ConfigError(f"{name} = {value}, wanted {low} to {'any' if high is None else high}")

    def ramp(self) -> list[tuple[int, int]]:
        """The steps of the ramp, one where there is none."""
        given = self.batch_rows
        return [(0, given)] if isinstance(given, int) else [(int(at), int(rows)) for at, rows in given]

    def steps(self) -> Iterator[tuple[State, int, State]]:
        """Each step: where it begins, the place behind its last row, the state after it."""
        ramp = self.ramp()
        starts = [at for at, _ in ramp]
        epoch, row = self.state.epoch, self.state.row
        last = None if self.epochs is None else epoch + self.epochs
        while self.rows and epoch != last:
            while row < self.rows:
                rows = ramp[bisect_right(starts, epoch * self.rows + row) - 1][1]
                end = min(row + rows * self.world_size, self.rows)
                after = State(epoch, end) if end < self.rows else State(epoch + 1, 0)
                yield State(epoch, row), end, after
                row = end
            epoch, row = epoch + 1, 0

    def mine(self, begin: State, end: int) -> Int64s:
        """int64[n]: the rows of a step that this rank takes: the rank-th, the (rank + world_size)-th and so on."""
        places = np.arange(begin.row + self.rank, end, self.world_size)
        return epoch_order(places, self.rows, begin.epoch, self.seed)


def as_state(state: State | Mapping[str, int] | None) -> State:
    """A state as it is, from its dict, or the start."""
    return State() if state is None else state if isinstance(state, State) else State(**state)


def epoch_order(places: Int64s, rows: int, epoch: int, seed: int) -> Int64s:
    """int64[n]: the rows at these places of an epoch's order; a bijection of 0 … rows - 1 for each (epoch, seed)."""
    if epoch == 0:
        return places
    return Permutation(rows, keyed(seed, "epoch", epoch)).forward(places).astype(np.int64)
