"""Batches of tensors from packed shards, see `tokenize.shards.order` and `tokenize.shards.gather`.

for batch, state in batches("run/shards", batch_rows=8):
    ...

loader = DataLoader(PackedDataset("run/shards", batch_rows=8), batch_size=None, num_workers=2)
for batch, state in loader:  # the same batches in the same order, whatever num_workers is
    ...
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import IterableDataset, get_worker_info

from corpusmill.errors import InputError
from corpusmill.tokenize.shards.gather import IGNORE as IGNORE
from corpusmill.tokenize.shards.order import BatchRows, Reading, State, as_state
from corpusmill.tokenize.shards.order import epoch_order as epoch_order
from corpusmill.tokenize.shards.packed import Packed


@dataclass(frozen=True)
class Batch:
    """b rows of L tokens each, all tensors int64.

    rows       [b]     which rows of the shards these are
    tokens     [b, L]
    targets    [b, L]  the next token of the same segment, else IGNORE: at a segment's last token, at padding, and in
                       segments that are hidden
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

    def pin_memory(self) -> Batch:
        """The same batch in pinned memory; what a DataLoader with `pin_memory` calls."""
        return Batch(*(getattr(self, field.name).pin_memory() for field in fields(self)))

    def split(self, rows: int) -> Iterator[Batch]:
        """The same rows in batches of at most `rows`."""
        for parts in zip(*(getattr(self, field.name).split(rows) for field in fields(self)), strict=True):
            yield Batch(*parts)

    @property
    def cu_seqlens(self) -> torch.Tensor:
        """int32[m + 1], from 0 to b * L: where segments begin with all rows laid end to end, a row's padding as one.

        What attention kernels of variable length take. On the CPU it costs a pass over `segments`; elsewhere it
        waits for the device, for m is not known before.
        """
        begins = torch.ones_like(self.segments, dtype=torch.bool)
        begins[:, 1:] = self.segments[:, 1:] != self.segments[:, :-1]
        found = begins.flatten().nonzero().flatten()
        return torch.cat([found, found.new_tensor([self.segments.numel()])]).to(torch.int32)

    @property
    def max_seqlen(self) -> int:
        """Tokens of the longest of those segments, 0 where there is no row."""
        return int(self.cu_seqlens.diff().max()) if self.segments.numel() else 0


def opened(shards: str | Path | Packed) -> Packed:
    """The shards, opened if a folder was given. Raises InputError when they hold no row."""
    packed = Packed(shards) if isinstance(shards, str | Path) else shards
    if len(packed) == 0:
        raise InputError(f"the shards in {packed.directory} hold no row; pack some documents first")
    return packed


def batches(
    shards: str | Path | Packed,
    batch_rows: BatchRows,
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
    return _read(packed, Reading(len(packed), batch_rows, as_state(state), rank, world_size, seed))


def _read(packed: Packed, reading: Reading, worker: int = 0, workers: int = 1) -> Iterator[tuple[Batch, State]]:
    """Every `workers`-th step from step `worker` on."""
    for number, (begin, end, after) in enumerate(reading.steps()):
        if number % workers == worker:
            yield build(packed, reading.mine(begin, end)), after


class PackedDataset(IterableDataset[tuple[Batch, State]]):
    """The batches of `batches` for torch's DataLoader, which must be told `batch_size=None`.

    A DataLoader takes from its workers in turn, and worker w makes the w-th, the (w + num_workers)-th batch and so
    on: the order is the same for any number of workers. Each batch comes with the state to resume from after it, so
    what workers have made in advance changes nothing: resume by a new PackedDataset with that state.
    """

    def __init__(
        self,
        shards: str | Path | Packed,
        batch_rows: BatchRows,
        state: State | Mapping[str, int] | None = None,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
        epochs: int | None = 1,
    ) -> None:
        """As `batches`, for `epochs` epochs: the rest of the state's counts as one, None is without end."""
        super().__init__()
        self.packed = opened(shards)
        self.reading = Reading(len(self.packed), batch_rows, as_state(state), rank, world_size, seed, epochs)

    def __iter__(self) -> Iterator[tuple[Batch, State]]:
        """The batches of this worker."""
        info = get_worker_info()
        return _read(self.packed, self.reading, *((0, 1) if info is None else (info.id, info.num_workers)))


def build(packed: Packed, rows: Sequence[int] | npt.NDArray[np.int64]) -> Batch:
    """The batch of these rows. Raises IntegrityError where pieces overlap or leave the row, or a token is too large."""
    found = packed.gather(rows)
    tensors = torch.from_numpy(found.dense(packed.manifest["tokenizer"]["vocab_size"], len(packed.sources)))
    return Batch(torch.from_numpy(found.rows), *tensors)
