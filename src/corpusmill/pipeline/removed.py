"""The end of a barrier: what it takes out of each file is written, tallied, and handed to the next stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

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
from corpusmill.pipeline.groups import BarrierStage, read_ids
from corpusmill.pipeline.sketchbook import similarities
from corpusmill.steps import DocumentBarrier
from corpusmill.storage import FileEntry, atomic_writer
from corpusmill.text import Texts

REMOVAL = np.dtype([("document", "<u8"), ("survivor", "<u8"), ("cluster_size", "<i8")])
"""A document to remove and the one that stays for it, as ordinals."""

SURVIVOR = np.dtype([("document", "<u8"), ("cluster_size", "<i8")])
"""A document that stays for others, and how many documents are in its cluster."""

REMOVED = pa.schema(
    [
        pa.field("row", pa.int64()),
        pa.field("survivor", pa.binary(ID_BYTES)),
        pa.field("cluster_size", pa.int64()),
        pa.field("similarity", pa.float64()),
    ]
)
"""One file's removed rows: `row` in that file, the id of the copy that stays, which is also the name of the cluster,
documents in the cluster, and how similar the two are where that was measured."""

SIZES = pa.schema([pa.field("row", pa.int64()), pa.field("size", pa.int64())])
"""One file's survivors: `row` in that file, documents in the cluster."""

SUPERSEDED = pa.schema(
    [pa.field("id", pa.binary(ID_BYTES)), pa.field("fate", pa.string()), pa.field("survivor", pa.binary(ID_BYTES))]
)

Lengths = npt.NDArray[np.int64]
Stage = BarrierStage[DocumentBarrier]


def write_removed(stage: Stage, unit: Any) -> Record:
    """Write one file's removed rows, the same rows as rejected documents, and cluster sizes; tally.

    Gives the unit's record, with the entry that the next stage reads.
    """
    entry, directory, kind = Entry.from_json(unit), stage.directory, stage.barrier.use
    low, high = stage.bounds(entry)
    removals = stage.read_joined("removals", REMOVAL, low, high)
    rows = (removals["document"] - np.uint64(low)).astype(np.int64)
    survivors, similarity = survivors_of(stage, removals)
    reasons = reasons_of(kind, survivors, removals["cluster_size"], similarity)
    tally = Tally()
    with rejected_writer(directory, stage.stage, entry) as rejected:
        for at, batch in read_documents(directory, entry):
            gone = np.isin(at, rows, assume_unique=True)
            lengths = Texts.from_arrow(batch.column("text")).bytes
            tally_removal(tally, entry.source, kind, batch, gone, lengths, lengths)
            first, last = np.searchsorted(rows, [at[0], at[-1] + 1])
            reject(rejected, batch.filter(pa.array(gone)), kind, reasons[first:last])
    files = rejected.entry()
    if len(rows):
        sizes = pa.array(np.ascontiguousarray(removals["cluster_size"]))
        columns = [pa.array(rows), survivors, sizes, similarity]
        files.append(write_arrow(directory, f"removed/{stage.stage}-{entry.unit}.arrow", REMOVED, columns))
    kept = stage.read_joined("survivors", SURVIVOR, low, high)
    path = ""
    if len(kept):
        path = f"removed/{stage.stage}-{entry.unit}-sizes.arrow"
        values = [kept["document"] - np.uint64(low), kept["cluster_size"]]
        files.append(write_arrow(directory, path, SIZES, [pa.array(value.astype(np.int64)) for value in values]))
    (signal,) = stage.barrier.signals()
    return unit_record(dataclasses.replace(entry, sizes=(*entry.sizes, (signal, path))), files, tally)


def write_superseded(stage: Stage) -> list[FileEntry]:
    """What this run would have decided otherwise on documents of the index, whose runs are over: one file, or none.

    Columns: `id`, and `fate`, "removed" or "kept", what it would be now; `survivor` of those to be removed.
    """
    last = stage.first_ordinals()[len(stage.indexed)]
    removals = stage.read_joined("removals", REMOVAL, 0, int(last))
    before = np.concatenate([np.fromfile(part.gone, np.uint8) for part in stage.indexed]).astype(np.bool_)
    now = np.zeros(int(last), np.bool_)
    now[removals["document"].astype(np.int64)] = True
    documents = np.flatnonzero(before != now).astype(np.uint64)
    if not len(documents):
        return []
    survivors = documents.copy()
    changed = np.isin(removals["document"], documents)
    survivors[np.searchsorted(documents, removals["document"][changed])] = removals["survivor"][changed]
    fate = np.where(now[documents.astype(np.int64)], "removed", "kept").tolist()
    gone = pa.array(now[documents.astype(np.int64)])
    survivor = pc.if_else(gone, _ids(stage, survivors), pa.scalar(None, pa.binary(ID_BYTES)))
    columns = [_ids(stage, documents), pa.array(fate, pa.string()), survivor]
    return [write_arrow(stage.directory, f"removed/{stage.stage}-superseded.arrow", SUPERSEDED, columns)]


def _ids(stage: Stage, documents: npt.NDArray[np.uint64]) -> pa.Array:
    """The ids of documents, anywhere in the corpus or the index."""
    parts, firsts = stage.parts, stage.first_ordinals()
    ids = np.empty((len(documents), ID_BYTES), np.uint8)
    of = np.searchsorted(firsts, documents, side="right") - 1
    for part in np.unique(of):
        ids[of == part] = read_ids(parts[part], documents[of == part] - firsts[part])
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(ID_BYTES), len(ids), [None, pa.py_buffer(ids)])


def survivors_of(stage: Stage, removals: npt.NDArray[Any]) -> tuple[pa.Array, pa.Array]:
    """The id of each one's survivor, and how similar the two are; null where that is not measured."""
    survivors = removals["survivor"]
    named = _ids(stage, survivors)
    if stage.barrier.least_similarity() is None:
        return named, pa.nulls(len(named), pa.float64())
    order = np.lexsort((removals["document"], survivors))
    similarity = np.empty(len(removals))
    similarity[order] = similarities(stage, survivors[order], removals["document"][order])
    return named, pa.array(similarity)


def reasons_of(kind: str, survivors: pa.Array, sizes: npt.NDArray[np.int64], similarity: pa.Array) -> list[str]:
    """What is said of each removed document."""
    alike = ["" if value is None else f", {value:.3f} alike" for value in similarity.to_pylist()]
    names = map(bytes.hex, survivors.to_pylist())
    columns = zip(names, sizes.tolist(), alike, strict=True)
    return [f"{kind}: copy of {name}, cluster of {size}{said}" for name, size, said in columns]


def rejected_writer(directory: RunDirectory, stage: str, entry: Entry) -> TableWriter:
    """The file of documents that a barrier rejects out of one file."""
    schema = rejected_schema(documents_file_schema(directory, entry))
    return TableWriter(directory, f"rejected/{stage}-{entry.unit}.parquet", schema)


def reject(writer: TableWriter, out: pa.RecordBatch, kind: str, reasons: Sequence[str]) -> None:
    """Write documents with the one reason each has."""
    added = {
        "step": pa.array([kind] * len(out), pa.string()),
        "reasons": pa.ListArray.from_arrays(
            np.arange(len(reasons) + 1, dtype=np.int32), pa.array(reasons, pa.string())
        ),
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
    sizes = {path for _, path in entry.sizes}
    taken = [file.path for file in files if file.path.startswith("removed/") and file.path not in sizes]
    kept, kept_bytes, _ = tally.total(ledger.KEPT)
    entry = dataclasses.replace(entry, removed=(*entry.removed, *taken), bytes=kept_bytes)
    return {
        "unit": entry.unit,
        "files": [file.to_json() for file in files],
        "documents": as_json(entry) if kept else None,
        "tally": tally.to_json(),
    }
