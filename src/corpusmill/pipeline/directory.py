"""The run directory: names of what is below it, committed files of documents, and how they are read and written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.cuts import CUT, cut_out
from corpusmill.document import DOCUMENT
from corpusmill.storage import FileEntry, atomic_writer, is_local, join, open_input
from corpusmill.text import Texts

Record = dict[str, Any]


@dataclass(frozen=True)
class RunDirectory:
    """Names of everything below the run directory. Paths in manifests are relative to it."""

    root: str

    def path(self, *parts: str) -> str:
        """An absolute path or URI."""
        return join(self.root, *parts)

    def stage_manifest(self, stage: str) -> str:
        """Where a stage commits."""
        return self.path("stages", f"{stage}.json")

    def unit_record(self, stage: str, unit: str) -> str:
        """Where a unit of work commits."""
        return self.path("work", stage, "units", f"{unit}.json")

    def stage_result(self, stage: str) -> str:
        """Where the graph leaves the merged records for the driver."""
        return self.path("work", stage, "result.json")


@dataclass(frozen=True)
class Entry:
    """A committed file of documents, and the lists of rows that barriers took out of it since.

    unit     name of the unit of work that wrote it
    path     relative to the run directory
    rows     rows in the file
    bytes    bytes of text of the rows that are left
    source   name of the one source it is from
    removed  paths of Arrow files with a column `row` (int64, rising): rows that are gone, or, with the columns `start`
             and `stop` too, bytes to cut out of the text of a row as it is behind the cuts before
    """

    unit: str
    path: str
    rows: int
    bytes: int
    source: str
    removed: tuple[str, ...] = ()
    sizes: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def from_json(body: dict[str, Any]) -> Entry:
        """The inverse of `as_json`."""
        sizes = tuple((signal, path) for signal, path in body["sizes"])
        return Entry(**{**body, "removed": tuple(body["removed"]), "sizes": sizes})


def entries_of(body: Record) -> list[Entry]:
    """The documents a stage manifest hands to its right."""
    return [Entry.from_json(entry) for entry in body["documents"]]


def removed_from(directory: RunDirectory, entry: Entry) -> tuple[npt.NDArray[np.bool_], list[pa.Table]]:
    """bool[entry.rows], rows that barriers took out; and the cuts, in their order."""
    gone = np.zeros(entry.rows, dtype=np.bool_)
    cuts = []
    for path in entry.removed:
        table = read_arrow(directory.path(path))
        if "start" in table.schema.names:
            cuts.append(table)
        else:
            gone[table.column("row").to_numpy()] = True
    return gone, cuts


def read_arrow(path: str) -> pa.Table:
    """An Arrow file as a table."""
    with open_input(path) as file, pa.ipc.open_file(file) as reader:
        return reader.read_all()


def _sizes_from(
    directory: RunDirectory, entry: Entry, columns: Sequence[str] | None
) -> dict[str, npt.NDArray[np.int64]]:
    """int64[entry.rows] for each signal of cluster sizes that is wanted."""
    found: dict[str, npt.NDArray[np.int64]] = {}
    for signal, path in entry.sizes:
        if columns is None or signal in columns:
            found[signal] = np.ones(entry.rows, dtype=np.int64)
            if path:
                table = read_arrow(directory.path(path))
                found[signal][table["row"].to_numpy()] = table["size"].to_numpy()
    return found


def read_documents(
    directory: RunDirectory, entry: Entry, columns: Sequence[str] | None = None
) -> Iterator[tuple[npt.NDArray[np.int64], pa.RecordBatch]]:
    """Batches of the documents that are left, each with their row numbers in the file."""
    gone, cuts = removed_from(directory, entry)
    sizes = _sizes_from(directory, entry, columns)
    stored = None if columns is None else [name for name in columns if name not in sizes]
    row = 0
    with open_input(directory.path(entry.path)) as file, pq.ParquetFile(file, pre_buffer=False) as parquet:
        for group in range(parquet.num_row_groups):
            table = parquet.read_row_group(group, columns=stored, use_threads=False)
            rows = np.arange(row, row + len(table))
            row += len(table)
            left = ~gone[rows]
            if not left.all():
                table, rows = table.filter(pa.array(left)), rows[left]
            if len(table):
                for signal, values in sizes.items():
                    table = _with_column(table, signal, pa.array(values[rows]))
                batch = _with_seconds(table).combine_chunks().to_batches(max_chunksize=None)[0]
                yield rows, _cut(batch, rows, cuts) if "text" in batch.schema.names else batch


def _cut(batch: pa.RecordBatch, rows: npt.NDArray[np.int64], cuts: Sequence[pa.Table]) -> pa.RecordBatch:
    """The batch with the cuts made in its texts."""
    at = batch.schema.get_field_index("text")
    for table in cuts:
        texts = cut_out(Texts.from_arrow(batch.column(at)), rows, *(table[name].to_numpy() for name in CUT.names))
        batch = batch.set_column(at, DOCUMENT.field("text"), texts.to_arrow())
    return batch


def documents_file_schema(directory: RunDirectory, entry: Entry) -> pa.Schema:
    """The schema of a documents file as `read_documents` gives it."""
    with open_input(directory.path(entry.path)) as file:
        stored = _with_seconds(pq.read_schema(file).empty_table()).schema
    return with_fields(stored, dict.fromkeys((signal for signal, _ in entry.sizes), pa.int64()))


def with_fields(schema: pa.Schema, signals: Mapping[str, pa.DataType]) -> pa.Schema:
    """The schema with the signals of a barrier behind it, or in the place of those that it writes over."""
    return pa.schema([*schema, *(pa.field(name, kind) for name, kind in signals.items() if name not in schema.names)])


def _with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.append_column(name, values) if at < 0 else table.set_column(at, name, values)


def _with_seconds(table: pa.Table) -> pa.Table:
    """Parquet has no seconds: dates come back in milliseconds."""
    at = table.schema.get_field_index("date")
    return table if at < 0 else table.set_column(at, DOCUMENT.field("date"), table["date"].cast(pa.timestamp("s")))


class TableWriter:
    """A Parquet file written atomically, a row group per batch; no file at all when no batch came."""

    def __init__(self, directory: RunDirectory, path: str, schema: pa.Schema) -> None:
        self._directory, self._path, self.schema = directory, path, schema
        self._file: Any = None
        self._writer: pq.ParquetWriter | None = None
        self.rows = 0

    def __enter__(self) -> TableWriter:
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Add a row group of the writer's schema."""
        if not len(batch):
            return
        if self._writer is None:
            self._file = atomic_writer(self._directory.path(self._path))
            self._sink = self._file.__enter__()
            self._writer = pq.ParquetWriter(
                pa.PythonFile(self._sink, "w"), self.schema, compression="zstd", compression_level=1
            )
        self._writer.write_batch(batch, row_group_size=max(len(batch), 1))
        self.rows += len(batch)

    def __exit__(self, *error: Any) -> None:
        if self._writer is None:
            return
        if error[0] is None:
            self._writer.close()
        else:  # the file goes away; left open, the writer would complain when it is collected
            with suppress(OSError, ValueError):
                self._writer.close()
        self._file.__exit__(*error)

    def entry(self) -> list[FileEntry]:
        """The file written, or nothing."""
        if self._writer is None:
            return []
        return [FileEntry(self._path, self._sink.bytes, self._sink.sha256, self.rows)]


def as_json(entry: Entry) -> Record:
    """Plain data."""
    return {**asdict(entry), "removed": list(entry.removed), "sizes": [list(pair) for pair in entry.sizes]}


def run_directory(path: str | Path) -> RunDirectory:
    """The run directory as given: a URI stays, a local path becomes absolute."""
    text = str(path)
    return RunDirectory(str(Path(text).absolute()) if is_local(text) else text)


def documents_json(records: Sequence[Record]) -> list[Record]:
    """The entries of all units that kept anything."""
    return [record["documents"] for record in records if record["documents"] is not None]
