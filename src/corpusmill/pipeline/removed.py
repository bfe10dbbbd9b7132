"""The end of a barrier: what it takes out of each file is written, tallied, and handed to the next stage.

removals by survivor's file ─name─▶ removals by their own file ─write─▶ removed/ and rejected/
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill import ledger
from corpusmill.document import ID_BYTES, conform, id_sum
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
from corpusmill.pipeline.groups import BarrierStage, cut_by_file
from corpusmill.steps import DocumentBarrier
from corpusmill.storage import FileEntry, atomic_writer
from corpusmill.text import Texts

REMOVAL = np.dtype([("document", "<u8"), ("survivor", "<u8"), ("cluster_size", "<i8")])
"""A document to remove and the one that stays for it, as ordinals."""

NAMED = np.dtype([("document", "<u8"), ("survivor", "u1", (ID_BYTES,)), ("cluster_size", "<i8")])
"""The same with the id of the one that stays."""

REMOVED = pa.schema(
    [pa.field("row", pa.int64()), pa.field("survivor", pa.binary(ID_BYTES)), pa.field("cluster_size", pa.int64())]
)
"""One file's removed rows: `row` in that file, the id of the copy that stays, documents in the cluster."""

Lengths = npt.NDArray[np.int64]


def name_survivors(
    element: tuple[int, Iterable[bytes]], stage: BarrierStage[DocumentBarrier]
) -> Iterator[tuple[int, bytes]]:
    """REMOVAL records with survivors in one file → NAMED records by the file of the document to remove."""
    position, blocks = element
    removals = np.frombuffer(b"".join(blocks), REMOVAL)
    firsts = stage.first_ordinals()
    whole = dataclasses.replace(stage.entries[position], removed=())
    ids = pa.concat_arrays([batch["id"] for _, batch in read_documents(stage.directory, whole, ["id"])])
    chosen = ids.take(pa.array((removals["survivor"] - firsts[position]).astype(np.int64)))
    named = np.empty(len(removals), NAMED)
    named["document"], named["cluster_size"] = removals["document"], removals["cluster_size"]
    named["survivor"] = np.frombuffer(chosen.buffers()[1], np.uint8)[: len(chosen) * ID_BYTES].reshape(-1, ID_BYTES)
    yield from cut_by_file(named, named["document"], firsts)


@dataclass(frozen=True)
class WriteRemoved:
    """Write one file's removed rows, and the same rows as rejected documents; tally both."""

    stage: BarrierStage[DocumentBarrier]

    def __call__(self, element: tuple[int, Iterable[bytes]]) -> Record:
        """Gives the unit's record, with the entry that the next stage reads."""
        position, blocks = element
        stage, kind = self.stage, self.stage.barrier.use
        entry, directory = stage.entries[position], stage.directory
        named = np.frombuffer(b"".join(blocks), NAMED)
        named = named[np.argsort(named["document"])]
        rows = (named["document"] - stage.first_ordinals()[position]).astype(np.int64)
        tally = Tally()
        with rejected_writer(directory, stage.stage, entry) as rejected:
            for at, batch in read_documents(directory, entry):
                gone = np.isin(at, rows, assume_unique=True)
                lengths = Texts.from_arrow(batch.column("text")).bytes
                tally_removal(tally, entry.source, kind, batch, gone, lengths, lengths)
                reject(rejected, batch.filter(pa.array(gone)), kind, _reasons(kind, named[np.isin(rows, at)]))
        files = rejected.entry()
        if len(rows):
            raw = pa.py_buffer(np.ascontiguousarray(named["survivor"]).tobytes())
            survivors = pa.FixedSizeBinaryArray.from_buffers(pa.binary(ID_BYTES), len(named), [None, raw])
            columns = [pa.array(rows), survivors, pa.array(np.ascontiguousarray(named["cluster_size"]))]
            files.append(write_arrow(directory, f"removed/{stage.stage}-{entry.unit}.arrow", REMOVED, columns))
        return unit_record(entry, files, tally)


def _reasons(kind: str, named: npt.NDArray[Any]) -> list[str]:
    survivors = [row.tobytes().hex() for row in named["survivor"]]
    sizes = named["cluster_size"].tolist()
    return [f"{kind}: copy of {name}, cluster of {size}" for name, size in zip(survivors, sizes, strict=True)]


def rejected_writer(directory: RunDirectory, stage: str, entry: Entry) -> TableWriter:
    """The file of documents that a barrier rejects out of one file."""
    schema = rejected_schema(documents_file_schema(directory, entry))
    return TableWriter(directory, f"rejected/{stage}-{entry.unit}.parquet", schema)


def reject(writer: TableWriter, out: pa.RecordBatch, kind: str, reasons: Sequence[str]) -> None:
    """Write documents with the one reason each has."""
    added = {
        "step": pa.array([kind] * len(out), pa.string()),
        "reasons": pa.array([[reason] for reason in reasons], pa.list_(pa.string())),
    }
    names = [*out.schema.names, *added]
    writer.write(conform(pa.RecordBatch.from_arrays([*out.columns, *added.values()], names=names), writer.schema))


def tally_removal(
    tally: Tally,
    source: str,
    kind: str,
    batch: pa.RecordBatch,
    gone: npt.NDArray[np.bool_],
    before: Lengths,
    after: Lengths,
) -> None:
    """Count documents in, those removed, and those kept; `before` and `after` are bytes of text of each document."""
    for fate, reason, rows, lengths in (
        (ledger.IN, "", np.ones(len(gone), dtype=np.bool_), before),
        (ledger.KEPT, "", ~gone, after),
        (ledger.REMOVED, kind, gone, before),
    ):
        ids = id_sum(batch["id"].filter(pa.array(rows)))
        tally.add(source, fate, reason, documents=int(rows.sum()), bytes=int(lengths[rows].sum()), ids=ids)
    tally.add(source, ledger.EDITED, kind, documents=0, bytes=int((before - after)[~gone].sum()))


def write_arrow(directory: RunDirectory, path: str, schema: pa.Schema, columns: Sequence[pa.Array]) -> FileEntry:
    """An Arrow file of one batch, written atomically."""
    with atomic_writer(directory.path(path)) as sink, pa.ipc.new_file(pa.PythonFile(sink, "w"), schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(list(columns), schema=schema))
    return FileEntry(path, sink.bytes, sink.sha256, len(columns[0]))


def unit_record(entry: Entry, files: Sequence[FileEntry], tally: Tally) -> Record:
    """The record of one file: what was written, and the file with what is taken out of it now."""
    removed = (*entry.removed, *(file.path for file in files if file.path.startswith("removed/")))
    kept, kept_bytes, _ = tally.total(ledger.KEPT)
    return {
        "unit": entry.unit,
        "files": [file.to_json() for file in files],
        "documents": as_json(dataclasses.replace(entry, removed=removed, bytes=kept_bytes)) if kept else None,
        "tally": tally.to_json(),
    }
