"""The barrier stage: which rows of the documents files are duplicates. Only hashes and row numbers cross the shuffle.

    documents files ─keys─▶ blocks by key prefix ─group─▶ edges ─components─▶ removed rows, file by file

A document is its ordinal: its row in the files of the left stage laid end to end.
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

from corpusmill import ledger, manifest
from corpusmill.dedup.components import EDGE, bucket_edges, components, contract, rank_of
from corpusmill.document import conform, id_sum
from corpusmill.errors import ConfigError
from corpusmill.filters.sift import rejected_schema
from corpusmill.ledger import Tally
from corpusmill.pipeline.directory import (
    Entry,
    Record,
    RunDirectory,
    TableWriter,
    as_json,
    documents_file_schema,
    entries_of,
    read_documents,
)
from corpusmill.pipeline.job import Run, Stage, settle
from corpusmill.pipeline.progress import watch
from corpusmill.pipeline.runner import Engine
from corpusmill.pipeline.units import Finish, result_of, spread
from corpusmill.steps import Barrier
from corpusmill.storage import FileEntry, atomic_writer
from corpusmill.text import Texts

KEY = np.dtype([("high", "<u8"), ("low", "<u8"), ("document", "<u8"), ("rank", "<u8")])
"""What a barrier shuffles: 32 bytes per key of a document."""

KEYS_PER_GROUP = 1 << 21
"""Keys in a group on average: 64 MiB of them in one worker's memory."""

REMOVED = pa.schema(
    [
        pa.field("row", pa.int64()),
        pa.field("survivor", pa.binary(16)),
        pa.field("cluster_size", pa.int64()),
    ]
)
"""One file of documents' removed rows: `row` in that file, the id of the copy that stays, the size of the cluster."""


@dataclass(frozen=True)
class DedupStage:
    """What the workers of one barrier stage need to know."""

    stage: str
    barrier: Barrier
    entries: tuple[Entry, ...]
    directory: RunDirectory

    def first_ordinals(self) -> npt.NDArray[np.uint64]:
        """uint64[files + 1]: the ordinal of each file's first row."""
        rows = np.array([0, *(entry.rows for entry in self.entries)], dtype=np.uint64)
        return np.cumsum(rows, dtype=np.uint64)

    def columns(self) -> list[str]:
        """The columns that keys and ranks are made from."""
        by = self.barrier.keep
        return ["text", *(["date"] if by == "newest" else [by[5:]] if by.startswith("best:") else [])]


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
            keys = np.concatenate([np.empty(0, KEY), *self._file(position)])
            group = keys["high"] >> np.uint64(64 - self._groups.bit_length() + 1) if self._groups > 1 else None
            if group is None:
                yield 0, keys.tobytes()
            else:
                order = np.argsort(group, kind="stable")
                keys, group = keys[order], group[order]
                cuts = np.searchsorted(group, np.arange(self._groups + 1, dtype=np.uint64))
                for number in np.flatnonzero(np.diff(cuts)):
                    yield int(number), keys[cuts[number] : cuts[number + 1]].tobytes()
            mark_done(self._stage.directory, self._stage.stage, name)

    def _file(self, position: int) -> Iterator[npt.NDArray[Any]]:
        stage = self._stage
        first = stage.first_ordinals()[position]
        for rows, batch in read_documents(stage.directory, stage.entries[position], stage.columns()):
            texts = Texts.from_arrow(batch.column("text"))
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


class SplitByFile(beam.DoFn):
    """Edges of the whole corpus → for each file its removed rows: (position, (rows, survivors, cluster sizes))."""

    def __init__(self, stage: DedupStage) -> None:
        self._stage = stage

    def process(self, edges: bytes) -> Iterator[tuple[int, tuple[bytes, bytes, bytes]]]:
        """Cut the list of removed documents at the ends of the files."""
        found = components(np.frombuffer(edges, EDGE))
        gone = found.document != found.survivor
        document, survivor, cluster_size = found.document[gone], found.survivor[gone], found.cluster_size[gone]
        firsts = self._stage.first_ordinals()
        cuts = np.searchsorted(document, firsts)
        for position in range(len(self._stage.entries)):
            part = slice(cuts[position], cuts[position + 1])
            rows = document[part] - firsts[position]
            yield position, (rows.tobytes(), survivor[part].tobytes(), cluster_size[part].tobytes())


@dataclass(frozen=True)
class WriteRemoved:
    """Write one file's removed rows, and the same rows as rejected documents; tally both."""

    stage: DedupStage

    def __call__(self, element: tuple[int, tuple[bytes, bytes, bytes]]) -> Record:
        """Gives the unit's record, with the entry that the next stage reads."""
        stage, directory = self.stage, self.stage.directory
        position, (raw_rows, raw_survivors, raw_sizes) = element
        entry = stage.entries[position]
        rows, survivors = np.frombuffer(raw_rows, np.uint64).astype(np.int64), np.frombuffer(raw_survivors, np.uint64)
        sizes = np.frombuffer(raw_sizes, np.int64)
        ids = self._survivor_ids(survivors)
        tally, files, kept_bytes = Tally(), [], 0
        source, kind = entry.source, stage.barrier.use
        with TableWriter(directory, f"rejected/{stage.stage}-{entry.unit}.parquet", self._schema(entry)) as rejected:
            for at, batch in read_documents(directory, entry):
                lengths = Texts.from_arrow(batch.column("text")).bytes
                place = np.searchsorted(rows, at)
                gone = (place < len(rows)) & (rows[np.minimum(place, len(rows) - 1)] == at) if len(rows) else at < 0
                out, stay = batch.filter(pa.array(gone)), batch.filter(pa.array(~gone))
                tally.add(source, ledger.IN, documents=len(at), bytes=int(lengths.sum()), ids=id_sum(batch["id"]))
                kept = int(lengths[~gone].sum())
                tally.add(source, ledger.KEPT, documents=len(stay), bytes=kept, ids=id_sum(stay["id"]))
                lost = int(lengths[gone].sum())
                tally.add(source, ledger.REMOVED, kind, documents=len(out), bytes=lost, ids=id_sum(out["id"]))
                kept_bytes += kept
                rejected.write(self._rejected(out, ids.take(pa.array(place[gone])), sizes[place[gone]]))
        removed = entry.removed
        if len(rows):
            path = f"removed/{stage.stage}-{entry.unit}.arrow"
            files.append(self._write(path, rows, ids, sizes))
            removed = (*removed, path)
        files += rejected.entry()
        left = dataclasses.replace(entry, removed=removed, bytes=kept_bytes)
        return {
            "unit": entry.unit,
            "files": [file.to_json() for file in files],
            "documents": as_json(left) if tally.total(ledger.KEPT)[0] else None,
            "tally": tally.to_json(),
        }

    def _schema(self, entry: Entry) -> pa.Schema:
        return rejected_schema(documents_file_schema(self.stage.directory, entry))

    def _rejected(self, out: pa.RecordBatch, ids: pa.Array, sizes: npt.NDArray[np.int64]) -> pa.RecordBatch:
        kind = self.stage.barrier.use
        reasons = [
            [f"{kind}: copy of {survivor.hex()}, cluster of {size}"]
            for survivor, size in zip(ids.to_pylist(), sizes.tolist(), strict=True)
        ]
        schema = pa.schema([*out.schema, pa.field("step", pa.string()), pa.field("reasons", pa.list_(pa.string()))])
        columns = [
            *out.columns,
            pa.array([kind] * len(out), pa.string()),
            pa.array(reasons, schema.field("reasons").type),
        ]
        return conform(pa.RecordBatch.from_arrays(columns, schema=schema), rejected_schema(out.schema))

    def _survivor_ids(self, survivors: npt.NDArray[np.uint64]) -> pa.Array:
        """The ids of documents given by ordinal, read from the files that hold them."""
        firsts = self.stage.first_ordinals()
        ids = np.empty((len(survivors), 16), dtype=np.uint8)
        owner = np.searchsorted(firsts, survivors, side="right") - 1
        for position in np.unique(owner):
            chosen = owner == position
            entry = dataclasses.replace(self.stage.entries[position], removed=())
            every = [batch["id"] for _, batch in read_documents(self.stage.directory, entry, ["id"])]
            wanted = pa.array((survivors[chosen] - firsts[position]).astype(np.int64))
            found = pa.concat_arrays(every).take(wanted)
            ids[chosen] = np.frombuffer(found.buffers()[1], np.uint8)[found.offset * 16 :][: len(found) * 16].reshape(
                -1, 16
            )
        return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(ids), [None, pa.py_buffer(ids.tobytes())])

    def _write(self, path: str, rows: npt.NDArray[np.int64], ids: pa.Array, sizes: npt.NDArray[np.int64]) -> FileEntry:
        batch = pa.RecordBatch.from_arrays([pa.array(rows), ids, pa.array(sizes)], schema=REMOVED)
        target = self.stage.directory.path(path)
        with atomic_writer(target) as sink, pa.ipc.new_file(pa.PythonFile(sink, "w"), REMOVED) as writer:
            writer.write_batch(batch)
        return FileEntry(path, sink.bytes, sink.sha256, len(rows))


def mark_done(directory: RunDirectory, stage: str, unit: str) -> None:
    """Leave a mark for the progress bar; no result depends on it."""
    manifest.commit(directory.unit_record(stage, unit), {"files": []})


def dedup(engine: Engine, stage: DedupStage) -> tuple[list[Record], str]:
    """Run a barrier over the whole corpus; gives a record per documents file and the runner's name."""
    keys = sum(entry.rows for entry in stage.entries) * getattr(stage.barrier, "bands", 1)
    groups = 1 << max(0, -(-keys // KEYS_PER_GROUP) - 1).bit_length()
    units: Sequence[tuple[str, int]] = [(entry.unit, n) for n, entry in enumerate(stage.entries)]

    def construct(pipeline: beam.Pipeline) -> None:
        name = stage.stage
        (
            pipeline
            | f"{name}: spread" >> spread(units)
            | f"{name}: keys" >> beam.ParDo(MakeKeys(stage, groups))
            | f"{name}: group" >> beam.GroupByKey()
            | f"{name}: edges" >> beam.Map(group_edges)
            | f"{name}: contract" >> beam.CombineGlobally(contract_blocks)
            | f"{name}: components" >> beam.ParDo(SplitByFile(stage))
            | f"{name}: by file" >> beam.GroupByKey()
            | f"{name}: removed" >> beam.FlatMap(_each, WriteRemoved(stage))
            | f"{name}: finish" >> Finish(stage.directory, name)
        )

    runner = engine.run(construct, sum(entry.bytes for entry in stage.entries))
    return result_of(stage.directory, stage.stage), runner


def _each(element: tuple[int, Iterable[tuple[bytes, bytes, bytes]]], write: WriteRemoved) -> Iterator[Record]:
    for found in element[1]:
        yield write((element[0], found))


def dedup_stage(job: Run, stage: Stage, left: Record | None) -> Record:
    """Find and take out duplicates of one kind; commit."""
    if left is None:
        raise ConfigError("a barrier can't be the first stage")
    (barrier,) = (step for step in stage.steps if isinstance(step, Barrier))
    entries = tuple(entries_of(left))
    mark = job.stage_fingerprint(stage, {"entries": [as_json(entry) for entry in entries], "files": left["files"]})
    directory = job.directory
    done = job.done_before(stage, mark, lambda _: None)
    if done is not None:
        return done
    with watch(job.console, directory, stage.name, {entry.unit: entry.bytes for entry in entries}):
        records, runner = dedup(job.engine, DedupStage(stage.name, barrier, entries, directory))
    return settle(job, stage, mark, records, left, runner=runner)
