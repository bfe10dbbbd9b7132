"""What barriers share: how documents are addressed, how keys are made and grouped, how every file gets its answer.

Keys go into groups by their first bits, and each group fits one worker's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill import manifest
from corpusmill.pipeline.directory import Entry, Record, RunDirectory, read_documents
from corpusmill.pipeline.units import Finish, spread
from corpusmill.steps import Barrier

KEYS_PER_GROUP = 1 << 21
"""Keys in a group on average: 64 MiB of them in one worker's memory."""

B = TypeVar("B", bound=Barrier)
Ordinals = npt.NDArray[np.uint64]
Keys = npt.NDArray[Any]


@dataclass(frozen=True)
class BarrierStage(Generic[B]):
    """What the workers of one barrier stage need to know; `entries` are the files of documents of the left stage."""

    stage: str
    barrier: B
    entries: tuple[Entry, ...]
    directory: RunDirectory

    @property
    def units(self) -> list[tuple[str, int]]:
        """Name and position of each file."""
        return [(entry.unit, n) for n, entry in enumerate(self.entries)]

    def first_ordinals(self) -> Ordinals:
        """uint64[files + 1]: the ordinal of each file's first row; ordinals count the rows of all files end to end."""
        return np.cumsum(np.array([0, *(entry.rows for entry in self.entries)], dtype=np.uint64), dtype=np.uint64)


MakeBlock = Callable[[BarrierStage[Any], Ordinals, pa.RecordBatch], Keys]
"""Ordinals and columns of some documents → their keys: records with a field `high`."""


class MakeKeys(beam.DoFn):
    """(position, [(unit, position in entries)]) → (group, bytes of key records)."""

    def __init__(self, stage: BarrierStage[Any], groups: int, columns: Sequence[str], block: MakeBlock) -> None:
        self._stage, self._groups, self._columns, self._block = stage, groups, columns, block

    def setup(self) -> None:
        """One core per worker: Beam does the spreading."""
        pa.set_cpu_count(1)

    def process(self, element: tuple[int, Iterable[tuple[str, int]]]) -> Iterator[tuple[int, bytes]]:
        """One block per group and batch."""
        stage = self._stage
        for name, position in element[1]:
            first = stage.first_ordinals()[position]
            for rows, batch in read_documents(stage.directory, stage.entries[position], self._columns):
                yield from by_prefix(self._block(stage, first + rows.astype(np.uint64), batch), self._groups)
            # A mark for the progress bar; no result depends on it.
            manifest.commit(stage.directory.unit_record(stage.stage, name), {"files": []})


def groups_for(keys: int) -> int:
    """How many groups, a power of two, so many keys are cut into."""
    return 1 << max(0, -(-keys // KEYS_PER_GROUP) - 1).bit_length()


def by_prefix(keys: Keys, groups: int) -> Iterator[tuple[int, bytes]]:
    """Records with a field `high`, cut by its first bits: (group, bytes of its records)."""
    if groups == 1:
        yield 0, keys.tobytes()
        return
    group = keys["high"] >> np.uint64(64 - groups.bit_length() + 1)
    yield from _cut(keys, group, np.arange(groups + 1, dtype=np.uint64))


def cut_by_file(records: Keys, ordinals: Ordinals, firsts: Ordinals) -> Iterator[tuple[int, bytes]]:
    """Records by the file that the ordinal of each is in: (position of the file, bytes of its records)."""
    yield from _cut(records, ordinals, firsts)


def _cut(records: Keys, by: Ordinals, firsts: Ordinals) -> Iterator[tuple[int, bytes]]:
    order = np.argsort(by, kind="stable")
    records = records[order]
    cuts = np.searchsorted(by[order], firsts)
    for position in np.flatnonzero(np.diff(cuts)):
        yield int(position), records[cuts[position] : cuts[position + 1]].tobytes()


def grouped_keys(
    pipeline: beam.Pipeline, stage: BarrierStage[Any], keys: int, columns: Sequence[str], block: MakeBlock
) -> beam.PCollection:
    """(group, blocks of key records), about `keys` of them in all."""
    make = MakeKeys(stage, groups_for(keys), columns, block)
    return (
        pipeline
        | f"{stage.stage}: spread" >> spread(stage.units)
        | f"{stage.stage}: keys" >> beam.ParDo(make)
        | f"{stage.stage}: group" >> beam.GroupByKey()
    )


def write_every_file(
    found: beam.PCollection, stage: BarrierStage[Any], write: Callable[[tuple[int, Iterable[bytes]]], Record]
) -> None:
    """(position of a file, bytes found for it) → one `write` for every file, also those for which nothing is."""
    name = stage.stage
    nothing = [(n, b"") for _, n in stage.units]
    files = found.pipeline | f"{name}: files" >> beam.Create(nothing, reshuffle=False)
    (
        (found, files)
        | f"{name}: every file" >> beam.Flatten()
        | f"{name}: by file" >> beam.GroupByKey()
        | f"{name}: write" >> beam.Map(write)
        | f"{name}: finish" >> Finish(stage.directory, name)
    )
