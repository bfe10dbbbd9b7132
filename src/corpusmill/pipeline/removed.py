"""The end of a barrier: each removed document learns its survivor's id, and each file its removed rows.

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

Ordinals = npt.NDArray[np.uint64]


def first_ordinals(entries: Sequence[Entry]) -> Ordinals:
    """uint64[files + 1]: the ordinal of each file's first row."""
    return np.cumsum(np.array([0, *(entry.rows for entry in entries)], dtype=np.uint64), dtype=np.uint64)


def cut_by_file(records: npt.NDArray[Any], ordinals: Ordinals, firsts: Ordinals) -> Iterator[tuple[int, bytes]]:
    """Records by the file that the ordinal of each is in: (position of the file, bytes of its records)."""
    order = np.argsort(ordinals, kind="stable")
    records = records[order]
    cuts = np.searchsorted(ordinals[order], firsts)
    for position in np.flatnonzero(np.diff(cuts)):
        yield int(position), records[cuts[position] : cuts[position + 1]].tobytes()


def name_survivors(
    element: tuple[int, Iterable[bytes]], directory: RunDirectory, entries: Sequence[Entry]
) -> Iterator[tuple[int, bytes]]:
    """REMOVAL records with survivors in one file → NAMED records by the file of the document to remove."""
    position, blocks = element
    removals = np.frombuffer(b"".join(blocks), REMOVAL)
    firsts = first_ordinals(entries)
    whole = dataclasses.replace(entries[position], removed=())
    ids = pa.concat_arrays([batch["id"] for _, batch in read_documents(directory, whole, ["id"])])
    chosen = ids.take(pa.array((removals["survivor"] - firsts[position]).astype(np.int64)))
    named = np.empty(len(removals), NAMED)
    named["document"], named["cluster_size"] = removals["document"], removals["cluster_size"]
    named["survivor"] = np.frombuffer(chosen.buffers()[1], np.uint8)[: len(chosen) * ID_BYTES].reshape(-1, ID_BYTES)
    yield from cut_by_file(named, named["document"], firsts)


@dataclass(frozen=True)
class WriteRemoved:
    """Write one file's removed rows, and the same rows as rejected documents; tally both.

    stage    name of the stage
    kind     name of the step: what the ledger calls these removals
    entries  the files of documents of the left stage
    """

    stage: str
    kind: str
    directory: RunDirectory
    entries: tuple[Entry, ...]

    def __call__(self, element: tuple[int, Iterable[bytes]]) -> Record:
        """Gives the unit's record, with the entry that the next stage reads."""
        position, blocks = element
        entry = self.entries[position]
        named = np.frombuffer(b"".join(blocks), NAMED)
        named = named[np.argsort(named["document"])]
        rows = (named["document"] - first_ordinals(self.entries)[position]).astype(np.int64)
        tally, schema = Tally(), rejected_schema(documents_file_schema(self.directory, entry))
        with TableWriter(self.directory, f"rejected/{self.stage}-{entry.unit}.parquet", schema) as rejected:
            for at, batch in read_documents(self.directory, entry):
                gone = np.isin(at, rows, assume_unique=True)
                self._count(entry.source, batch, gone, tally)
                out = named[np.searchsorted(rows, at[gone])]
                rejected.write(conform(self._with_reasons(batch.filter(pa.array(gone)), out), schema))
        files = rejected.entry()
        if len(rows):
            files.append(self._write(f"removed/{self.stage}-{entry.unit}.arrow", rows, named))
        removed = (*entry.removed, *(file.path for file in files if file.path.startswith("removed/")))
        kept, kept_bytes, _ = tally.total(ledger.KEPT)
        left = dataclasses.replace(entry, removed=removed, bytes=kept_bytes)
        return {
            "unit": entry.unit,
            "files": [file.to_json() for file in files],
            "documents": as_json(left) if kept else None,
            "tally": tally.to_json(),
        }

    def _count(self, source: str, batch: pa.RecordBatch, gone: npt.NDArray[np.bool_], tally: Tally) -> None:
        lengths = Texts.from_arrow(batch.column("text")).bytes
        every = np.ones(len(gone), dtype=np.bool_)
        for fate, reason, rows in (
            (ledger.IN, "", every),
            (ledger.KEPT, "", ~gone),
            (ledger.REMOVED, self.kind, gone),
        ):
            ids = id_sum(batch["id"].filter(pa.array(rows)))
            tally.add(source, fate, reason, documents=int(rows.sum()), bytes=int(lengths[rows].sum()), ids=ids)

    def _with_reasons(self, out: pa.RecordBatch, named: npt.NDArray[Any]) -> pa.RecordBatch:
        survivors = [row.tobytes().hex() for row in named["survivor"]]
        sizes = named["cluster_size"].tolist()
        reasons = [
            [f"{self.kind}: copy of {name}, cluster of {size}"] for name, size in zip(survivors, sizes, strict=True)
        ]
        added = {
            "step": pa.array([self.kind] * len(out), pa.string()),
            "reasons": pa.array(reasons, pa.list_(pa.string())),
        }
        names = [*out.schema.names, *added]
        return pa.RecordBatch.from_arrays([*out.columns, *added.values()], names=names)

    def _write(self, path: str, rows: npt.NDArray[np.int64], named: npt.NDArray[Any]) -> FileEntry:
        raw = pa.py_buffer(np.ascontiguousarray(named["survivor"]).tobytes())
        survivors = pa.FixedSizeBinaryArray.from_buffers(pa.binary(ID_BYTES), len(named), [None, raw])
        sizes = pa.array(np.ascontiguousarray(named["cluster_size"]))
        batch = pa.RecordBatch.from_arrays([pa.array(rows), survivors, sizes], schema=REMOVED)
        target = self.directory.path(path)
        with atomic_writer(target) as sink, pa.ipc.new_file(pa.PythonFile(sink, "w"), REMOVED) as writer:
            writer.write_batch(batch)
        return FileEntry(path, sink.bytes, sink.sha256, len(rows))
