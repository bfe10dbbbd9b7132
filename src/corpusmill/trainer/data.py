"""Batches from packed shards, in an order that depends on nothing but the shards, the seed and the epoch.

The shards are already permuted as a whole, so epoch 0 reads them front to back (fast on any disk); every later epoch
goes through its own keyed permutation of the rows. A position is two integers, (epoch, row): what a checkpoint stores,
valid for any batch size and any number of ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from corpusmill.errors import ConfigError, InputError, IntegrityError
from corpusmill.tokenize.place import Permutation, keyed
from corpusmill.tokenize.shards import Packed

IGNORE = -100
"""The target that takes no part in the loss; the default `ignore_index` of torch's cross entropy."""


@dataclass(frozen=True)
class State:
    """Where to go on: `row` rows of epoch `epoch` have been read, by all ranks together.

    `dataclasses.asdict(state)` is JSON, and `batches` takes the dict back.
    """

    epoch: int = 0
    row: int = 0


@dataclass(frozen=True)
class Batch:
    """b rows of L tokens each, all tensors int64.

    rows       [b]     which rows of the shards these are
    tokens     [b, L]
    targets    [b, L]  the next token of the same segment, else IGNORE: at a segment's last token and at padding
    segments   [b, L]  1, 2, … for the row's pieces of documents, 0 at padding
    positions  [b, L]  from 0 in every segment
    sources    [b, L]  position in `Packed.sources`, -1 at padding
    """

    rows: torch.Tensor
    tokens: torch.Tensor
    targets: torch.Tensor
    segments: torch.Tensor
    positions: torch.Tensor
    sources: torch.Tensor

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))

    def split(self, rows: int) -> Iterator[Batch]:
        """The same rows in batches of at most `rows`."""
        for parts in zip(*(getattr(self, field.name).split(rows) for field in fields(self)), strict=True):
            yield Batch(*parts)


def opened(shards: str | Path | Packed) -> Packed:
    """The shards, opened if a folder was given. Raises InputError when they hold no row."""
    packed = Packed(shards) if isinstance(shards, str | Path) else shards
    if len(packed) == 0:
        raise InputError(f"the shards in {shards} hold no row; pack some documents first")
    return packed


def batches(
    shards: str | Path | Packed,
    batch_rows: int,
    state: State | Mapping[str, int] | None = None,
    rank: int = 0,
    world_size: int = 1,
    seed: int = 0,
) -> Iterator[tuple[Batch, State]]:
    """The rest of one epoch: (batch, the state to resume from after it), every row exactly once.

    All ranks together read `batch_rows * world_size` consecutive rows of the epoch's order at a time; rank r takes the
    r-th, the (r + world_size)-th and so on. Where the epoch ends the last batches are shorter, even empty on
    some ranks, so that all ranks take the same number of steps. The last state is the start of the next epoch.

    Raises ConfigError for an argument out of range, IntegrityError for a row that contradicts its manifest.
    """
    packed = opened(shards)
    state = State() if state is None else state if isinstance(state, State) else State(**state)
    for name, value, low, high in (
        ("batch_rows", batch_rows, 1, None),
        ("world_size", world_size, 1, None),
        ("rank", rank, 0, world_size - 1),
        ("state.epoch", state.epoch, 0, None),
        ("state.row", state.row, 0, len(packed)),
    ):
        if value < low or (high is not None and value > high):
            raise ConfigError(f"{name} = {value}, wanted {low} to {'any' if high is None else high}")
    return _epoch(packed, batch_rows, state, rank, world_size, seed)


def _epoch(
    packed: Packed, batch_rows: int, state: State, rank: int, world_size: int, seed: int
) -> Iterator[tuple[Batch, State]]:
    rows = len(packed)
    for first in range(state.row, rows, batch_rows * world_size):
        end = min(first + batch_rows * world_size, rows)
        mine = epoch_order(np.arange(first + rank, end, world_size), rows, state.epoch, seed)
        yield build(packed, mine), State(state.epoch, end) if end < rows else State(state.epoch + 1, 0)


def epoch_order(places: npt.NDArray[np.int64], rows: int, epoch: int, seed: int) -> npt.NDArray[np.int64]:
    """int64[n]: the rows at these places of an epoch's order; a bijection of 0 … rows - 1 for each (epoch, seed)."""
    if epoch == 0:
        return places
    return Permutation(rows, keyed(seed, "epoch", epoch)).forward(places).astype(np.int64)


def build(packed: Packed, rows: Sequence[int] | npt.NDArray[np.int64]) -> Batch:
    """The batch of these rows. Raises IntegrityError where pieces overlap or leave the row, or a token is too large."""
    length = packed.sequence_length
    picked = [packed[int(row)] for row in rows]
    tokens = np.zeros((len(picked), length), dtype=np.int64)
    for at, row in enumerate(picked):
        tokens[at] = row.tokens
    tables = [row.segments for row in picked]
    per_row = np.array([len(table) for table in tables], dtype=np.int64)
    pieces = {
        name: np.concatenate([np.zeros(0, np.int64), *(table[name].astype(np.int64) for table in tables)])
        for name in ("start", "length", "source")
    }
    number = np.arange(per_row.sum()) - np.repeat(np.cumsum(per_row) - per_row, per_row) + 1
    size = pieces["length"]
    inside = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    where = np.repeat(np.repeat(np.arange(len(picked)) * length, per_row) + pieces["start"], size) + inside

    segments, positions = np.zeros_like(tokens), np.zeros_like(tokens)
    sources = np.full_like(tokens, -1)
    vocab_size = packed.manifest["tokenizer"]["vocab_size"]
    fits = (pieces["start"] + size <= length).all() and tokens.max(initial=0) < vocab_size
    if fits:
        segments.ravel()[where] = np.repeat(number, size)
        positions.ravel()[where] = inside
        sources.ravel()[where] = np.repeat(pieces["source"], size)
    if not fits or np.count_nonzero(segments) != len(where):
        raise IntegrityError(
            f"rows {list(map(int, rows))}: pieces that overlap or leave the {length} tokens of their row, or a token "
            f"not below vocab_size = {vocab_size}; run `corpusmill verify` on the shards and pack them again"
        )
    same = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] > 0)
    targets = np.full_like(tokens, IGNORE)
    targets[:, :-1][same] = tokens[:, 1:][same]
    parts = (np.asarray(rows, dtype=np.int64), tokens, targets, segments, positions, sources)
    return Batch(*map(torch.from_numpy, parts))
