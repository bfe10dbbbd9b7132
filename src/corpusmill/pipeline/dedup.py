"""The barrier stage: which rows of the documents files are duplicates. Only hashes and row numbers cross the shuffle.

    documents files ─keys─▶ blocks by key prefix ─group─▶ edges ─components─▶ removals ─▶ removed rows, file by file

A document is its ordinal: its row in the files of the left stage laid end to end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.dedup.components import EDGE, bucket_edges, components, contract, rank_of
from corpusmill.pipeline.directory import Entry, Record, RunDirectory, read_documents
from corpusmill.pipeline.groups import by_prefix, groups_for, mark_done
from corpusmill.pipeline.removed import REMOVAL, WriteRemoved, cut_by_file, first_ordinals, name_survivors
from corpusmill.pipeline.runner import Engine
from corpusmill.pipeline.units import Finish, result_of, spread
from corpusmill.steps import DocumentBarrier
from corpusmill.text import Texts

KEY = np.dtype([("high", "<u8"), ("low", "<u8"), ("document", "<u8"), ("rank", "<u8")])
"""What a barrier shuffles: 32 bytes per key of a document."""


@dataclass(frozen=True)
class DedupStage:
    """What the workers of one barrier stage need to know."""

    stage: str
    barrier: DocumentBarrier
    entries: tuple[Entry, ...]
    directory: RunDirectory

    def first_ordinals(self) -> npt.NDArray[np.uint64]:
        """uint64[files + 1]: the ordinal of each file's first row."""
        return first_ordinals(self.entries)

    def columns(self) -> list[str]:
        """The columns that keys and ranks are made from."""
        by = self.barrier.keep
        ranked_by = ["text"] if by == "longest" else ["date"] if by == "newest" else [by[5:]] if ":" in by else []
        return list(dict.fromkeys([self.barrier.reads, *ranked_by]))


class MakeKeys(beam.DoFn):
    """(position, [(unit, position in entries)]) → (group, bytes of KEY records)."""

    def __init__(self, stage: DedupStage, groups: int) -> None:
        self._stage, self._groups = stage, groups

    def setup(self) -> None:
        """One core per worker: Beam does the spreading."""
        pa.set_cpu_count(1)

    def process(self, element: tuple[int, Iterable[tuple[str, int]]]) -> Iterator[tuple[int, bytes]]:
        """One block per group and file."""
        for name, position in element[1]:
            yield from by_prefix(np.concatenate([np.empty(0, KEY), *self._file(position)]), self._groups)
            mark_done(self._stage.directory, self._stage.stage, name)

    def _file(self, position: int) -> Iterator[npt.NDArray[Any]]:
        stage = self._stage
        first = stage.first_ordinals()[position]
        for rows, batch in read_documents(stage.directory, stage.entries[position], stage.columns()):
            texts = Texts.from_arrow(batch.column(stage.barrier.reads).fill_null(""))
            keys = stage.barrier.keys(texts)
            count = keys.shape[1]
            taking = np.repeat(~stage.barrier.keyless(texts), count)
            block = np.empty(len(rows) * count, KEY)
            flat = keys.reshape(-1, 2)
            block["high"], block["low"] = flat[:, 0], flat[:, 1]
            block["document"] = np.repeat(first + rows.astype(np.uint64), count)
            block["rank"] = np.repeat(rank_of(stage.barrier.keep, batch), count)
            yield block[taking]


def group_edges(group: tuple[int, Iterable[bytes]]) -> bytes:
    """Blocks of one group → the edges between documents that share a key."""
    keys = np.concatenate([np.frombuffer(block, KEY) for block in group[1]])
    both = np.stack([keys["high"], keys["low"]], axis=1)
    return bucket_edges(both, keys["document"], keys["rank"]).tobytes()


def contract_blocks(blocks: Iterable[bytes]) -> bytes:
    """Blocks of edges → the fewest edges with the same components: their order does not matter."""
    return contract(np.frombuffer(b"".join(blocks), EDGE)).tobytes()


class BySurvivor(beam.DoFn):
    """Edges of the whole corpus → (position of the survivors' file, bytes of REMOVAL records)."""

    def __init__(self, stage: DedupStage) -> None:
        self._stage = stage

    def process(self, edges: bytes) -> Iterator[tuple[int, bytes]]:
        """Every document that does not survive goes to the file that can name its survivor."""
        found = components(np.frombuffer(edges, EDGE))
        gone = found.document != found.survivor
        removals = np.empty(int(gone.sum()), REMOVAL)
        for name in REMOVAL.names or ():
            removals[name] = getattr(found, name)[gone]
        yield from cut_by_file(removals, removals["survivor"], self._stage.first_ordinals())


def dedup(engine: Engine, stage: DedupStage) -> tuple[list[Record], str]:
    """Run a barrier over the whole corpus; gives a record per documents file and the runner's name."""
    keys = sum(entry.rows for entry in stage.entries) * getattr(stage.barrier, "bands", 1)
    groups = groups_for(keys)
    units: Sequence[tuple[str, int]] = [(entry.unit, n) for n, entry in enumerate(stage.entries)]

    def construct(pipeline: beam.Pipeline) -> None:
        name = stage.stage
        named = (
            pipeline
            | f"{name}: spread" >> spread(units)
            | f"{name}: keys" >> beam.ParDo(MakeKeys(stage, groups))
            | f"{name}: group" >> beam.GroupByKey()
            | f"{name}: edges" >> beam.Map(group_edges)
            | f"{name}: contract" >> beam.CombineGlobally(contract_blocks)
            | f"{name}: components" >> beam.ParDo(BySurvivor(stage))
            | f"{name}: by survivor" >> beam.GroupByKey()
            | f"{name}: name" >> beam.FlatMap(name_survivors, stage.directory, stage.entries)
        )
        files = pipeline | f"{name}: files" >> beam.Create([(n, b"") for n in range(len(units))], reshuffle=False)
        (
            (named, files)
            | f"{name}: every file" >> beam.Flatten()
            | f"{name}: by file" >> beam.GroupByKey()
            | f"{name}: removed" >> beam.Map(WriteRemoved(name, stage.barrier.use, stage.directory, stage.entries))
            | f"{name}: finish" >> Finish(stage.directory, name)
        )

    runner = engine.run(construct, sum(entry.bytes for entry in stage.entries))
    return result_of(stage.directory, stage.stage), runner
