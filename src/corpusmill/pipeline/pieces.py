"""The barrier stage of pieces: which lines or paragraphs are copies. Only hashes and positions cross the shuffle.

    documents files ─keys─▶ blocks by key prefix ─group─▶ pieces to cut, file by file ─cut─▶ removed/

A piece is its document's ordinal (its row in the files of the left stage laid end to end) and its number there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill import ledger
from corpusmill.cuts import CUT, cuts_of_pieces
from corpusmill.dedup.copies import copies
from corpusmill.document import conform, id_sum
from corpusmill.filters.sift import rejected_schema
from corpusmill.ledger import Tally
from corpusmill.pipeline.directory import (
    Entry,
    Record,
    RunDirectory,
    TableWriter,
    as_json,
    documents_file_schema,
    read_documents,
)
from corpusmill.pipeline.groups import by_prefix, groups_for, mark_done
from corpusmill.pipeline.removed import cut_by_file, first_ordinals
from corpusmill.pipeline.runner import Engine
from corpusmill.pipeline.units import Finish, result_of, spread
from corpusmill.steps import PieceBarrier
from corpusmill.storage import FileEntry, atomic_writer
from corpusmill.text import Texts

KEY = np.dtype([("high", "<u8"), ("low", "<u8"), ("document", "<u8"), ("piece", "<u4")])
"""What this barrier shuffles: 28 bytes per piece."""

PIECE = np.dtype([("document", "<u8"), ("piece", "<u4")])
"""A piece to cut out."""

BYTES_PER_PIECE = 64
"""A guess, from which the number of groups is made; no result depends on it."""

GONE_ROW = pa.schema([pa.field("row", pa.int64())])


@dataclass(frozen=True)
class PieceStage:
    """What the workers of one such stage need to know."""

    stage: str
    barrier: PieceBarrier
    entries: tuple[Entry, ...]
    directory: RunDirectory


class MakeKeys(beam.DoFn):
    """(position, [(unit, position in entries)]) → (group, bytes of KEY records)."""

    def __init__(self, stage: PieceStage, groups: int) -> None:
        self._stage, self._groups = stage, groups

    def setup(self) -> None:
        """One core per worker: Beam does the spreading."""
        pa.set_cpu_count(1)

    def process(self, element: tuple[int, Iterable[tuple[str, int]]]) -> Iterator[tuple[int, bytes]]:
        """One block per group and batch."""
        stage = self._stage
        for name, position in element[1]:
            first = first_ordinals(stage.entries)[position]
            for rows, batch in read_documents(stage.directory, stage.entries[position], ["text"]):
                pieces = stage.barrier.pieces(Texts.from_arrow(batch.column("text")))
                counts = np.diff(pieces.first)
                block = np.empty(len(pieces.start), KEY)
                block["high"], block["low"] = pieces.keys[:, 0], pieces.keys[:, 1]
                block["document"] = np.repeat(first + rows.astype(np.uint64), counts)
                block["piece"] = np.arange(len(block)) - np.repeat(pieces.first[:-1], counts)
                yield from by_prefix(block[pieces.taking], self._groups)
            mark_done(stage.directory, stage.stage, name)


def group_copies(group: tuple[int, Iterable[bytes]], keep: str, firsts: npt.NDArray[np.uint64]) -> Iterator[Any]:
    """Blocks of one group → (position of a file, bytes of PIECE records to cut out of it)."""
    keys = np.concatenate([np.frombuffer(block, KEY) for block in group[1]])
    gone = keys[copies(keys["high"], keys["low"], keys["document"], keys["piece"], keep)]
    found = np.empty(len(gone), PIECE)
    found["document"], found["piece"] = gone["document"], gone["piece"]
    yield from cut_by_file(found, found["document"], firsts)


@dataclass(frozen=True)
class WriteCuts:
    """Write one file's cuts; documents of which nothing is left are removed. Tally both."""

    stage: PieceStage

    def __call__(self, element: tuple[int, Iterable[bytes]]) -> Record:
        """Gives the unit's record, with the entry that the next stage reads."""
        position, blocks = element
        stage, kind = self.stage, self.stage.barrier.use
        entry, directory = stage.entries[position], stage.directory
        found = np.frombuffer(b"".join(blocks), PIECE)
        found = found[np.argsort(found, order=("document", "piece"))]
        found_rows = (found["document"] - first_ordinals(stage.entries)[position]).astype(np.int64)
        tally, schema = Tally(), rejected_schema(documents_file_schema(directory, entry))
        cuts: list[list[npt.NDArray[np.int64]]] = []
        gone_rows: list[npt.NDArray[np.int64]] = []
        with TableWriter(directory, f"rejected/{stage.stage}-{entry.unit}.parquet", schema) as rejected:
            for rows, batch in read_documents(directory, entry):
                texts = Texts.from_arrow(batch.column("text"))
                low, high = np.searchsorted(found_rows, [rows[0], rows[-1] + 1])
                row, start, stop, cut = self._cuts(texts, rows, found_rows[low:high], found["piece"][low:high])
                empty = (cut > 0) & (cut == texts.bytes)
                whole = np.isin(row, rows[empty])
                cuts.append([row[~whole], start[~whole], stop[~whole]])
                gone_rows.append(rows[empty])
                _count(tally, kind, entry.source, batch, texts.bytes, cut, empty)
                rejected.write(conform(_with_reasons(batch.filter(pa.array(empty)), kind), schema))
        files = [*rejected.entry(), *self._write(entry, cuts, gone_rows)]
        removed = (*entry.removed, *(file.path for file in files if file.path.startswith("removed/")))
        kept, kept_bytes, _ = tally.total(ledger.KEPT)
        left = dataclasses.replace(entry, removed=removed, bytes=kept_bytes)
        return {
            "unit": entry.unit,
            "files": [file.to_json() for file in files],
            "documents": as_json(left) if kept else None,
            "tally": tally.to_json(),
        }

    def _cuts(
        self,
        texts: Texts,
        rows: npt.NDArray[np.int64],
        found_rows: npt.NDArray[np.int64],
        found: npt.NDArray[np.uint32],
    ) -> tuple[npt.NDArray[np.int64], ...]:
        """Row, start and stop of the cuts of one batch, and the bytes cut from each document."""
        pieces = self.stage.barrier.pieces(texts)
        gone = np.zeros(len(pieces.start), dtype=np.bool_)
        gone[pieces.first[np.searchsorted(rows, found_rows)] + found] = True
        row, start, stop = (np.empty(len(gone), dtype=np.int64) for _ in range(3))
        cut = np.zeros(len(texts), dtype=np.int64)
        k = cuts_of_pieces(texts.data, texts.offsets, pieces.start, pieces.first, gone, row, start, stop, cut)
        return rows[row[:k]], start[:k], stop[:k], cut

    def _write(
        self, entry: Entry, cuts: Sequence[list[npt.NDArray[np.int64]]], gone_rows: Sequence[npt.NDArray[np.int64]]
    ) -> Iterator[FileEntry]:
        none = np.empty(0, np.int64)
        columns = [np.concatenate([none, *(cut[at] for cut in cuts)]) for at in range(len(CUT))]
        rows = np.concatenate([none, *gone_rows])
        for name, schema, values in (("cuts", CUT, columns), ("rows", GONE_ROW, [rows])):
            if len(values[0]):
                path = f"removed/{self.stage.stage}-{entry.unit}-{name}.arrow"
                batch = pa.RecordBatch.from_arrays([pa.array(column) for column in values], schema=schema)
                target = self.stage.directory.path(path)
                with atomic_writer(target) as sink, pa.ipc.new_file(pa.PythonFile(sink, "w"), schema) as writer:
                    writer.write_batch(batch)
                yield FileEntry(path, sink.bytes, sink.sha256, len(values[0]))


def _count(
    tally: Tally,
    kind: str,
    source: str,
    batch: pa.RecordBatch,
    sizes: npt.NDArray[np.int64],
    cut: npt.NDArray[np.int64],
    empty: npt.NDArray[np.bool_],
) -> None:
    left = sizes - cut
    every = np.ones(len(batch), dtype=np.bool_)
    for fate, reason, rows, lengths in (
        (ledger.IN, "", every, sizes),
        (ledger.KEPT, "", ~empty, left),
        (ledger.REMOVED, kind, empty, sizes),
    ):
        ids = id_sum(batch["id"].filter(pa.array(rows)))
        tally.add(source, fate, reason, documents=int(rows.sum()), bytes=int(lengths[rows].sum()), ids=ids)
    tally.add(source, ledger.EDITED, kind, documents=0, bytes=int(cut[~empty].sum()))


def _with_reasons(out: pa.RecordBatch, kind: str) -> pa.RecordBatch:
    reasons = [[f"{kind}: every piece of it is a copy"]] * len(out)
    added = {"step": pa.array([kind] * len(out), pa.string()), "reasons": pa.array(reasons, pa.list_(pa.string()))}
    return pa.RecordBatch.from_arrays([*out.columns, *added.values()], names=[*out.schema.names, *added])


def dedup_pieces(engine: Engine, stage: PieceStage) -> tuple[list[Record], str]:
    """Run the barrier over the whole corpus; gives a record per documents file and the runner's name."""
    size = sum(entry.bytes for entry in stage.entries)
    groups = groups_for(size // BYTES_PER_PIECE)
    units: Sequence[tuple[str, int]] = [(entry.unit, n) for n, entry in enumerate(stage.entries)]
    firsts = first_ordinals(stage.entries)

    def construct(pipeline: beam.Pipeline) -> None:
        name = stage.stage
        found = (
            pipeline
            | f"{name}: spread" >> spread(units)
            | f"{name}: keys" >> beam.ParDo(MakeKeys(stage, groups))
            | f"{name}: group" >> beam.GroupByKey()
            | f"{name}: copies" >> beam.FlatMap(group_copies, stage.barrier.keep, firsts)
        )
        files = pipeline | f"{name}: files" >> beam.Create([(n, b"") for n in range(len(units))], reshuffle=False)
        (
            (found, files)
            | f"{name}: every file" >> beam.Flatten()
            | f"{name}: by file" >> beam.GroupByKey()
            | f"{name}: cut" >> beam.Map(WriteCuts(stage))
            | f"{name}: finish" >> Finish(stage.directory, name)
        )

    runner = engine.run(construct, size)
    return result_of(stage.directory, stage.stage), runner
