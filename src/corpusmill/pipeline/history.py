"""What became of single documents, read from what stages committed: where they are, what barriers did to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.pipeline.directory import Entry, RunDirectory, read_arrow, read_documents
from corpusmill.storage import open_input, size

Json = Mapping[str, Any]

OUTPUTS = ("documents", "rejected", "quarantine")

Kind = Literal["removed", "sizes", "cuts", "rows", "superseded"]
"""Files of a barrier: documents removed for another, cluster sizes of those others, bytes cut out, documents removed as
a whole where bytes are cut out, and what an index's runs would have decided otherwise."""


@dataclass(frozen=True)
class Place:
    """Where a document is: `fate` (one of OUTPUTS), the stage that wrote the file, the file, and the row in it."""

    fate: str
    stage: str
    path: str
    row: int

    @property
    def unit(self) -> str:
        """The unit of work that the file is of; a document stays in its unit from stage to stage."""
        name = self.path.partition("/")[2].removesuffix(".parquet")
        return name if self.fate == "documents" else name.removeprefix(f"{self.stage}-")


@dataclass(frozen=True)
class Removal:
    """A document that a barrier removed, by its row in the file of rejected ones, and the one that stayed for it.

    `similarity`, of the two, is None where it was not measured.
    """

    path: str
    row: int
    survivor: bytes
    cluster_size: int
    similarity: float | None


@dataclass(frozen=True)
class Cuts:
    """What a barrier may have cut out of a document, or did.

    path    the file of cuts
    left    the file of documents that they are cut out of
    spans   bytes (start, stop) of the text before; None when `left`, which tells which row is the document's, is gone
    text    that text
    """

    path: str
    left: str
    spans: tuple[tuple[int, int], ...] | None = None
    text: bytes = b""

    def excerpts(self, most: int) -> Iterator[bytes]:
        """What was cut at the first `most` places."""
        for start, stop in (self.spans or ())[:most]:
            yield self.text[start:stop]


def find(directory: RunDirectory, bodies: Sequence[Json], wanted: Mapping[str, Sequence[Any]]) -> Iterator[Place]:
    """Every document that has one of the `wanted` values in its column, those that are kept first.

    `bodies` are manifests of stages; only the columns wanted are read.
    """
    files = sorted((file["path"], body["stage"]) for body in bodies for file in body["files"])
    for path, stage in files:
        fate = path.split("/")[0]
        if fate not in OUTPUTS:
            continue
        with open_input(directory.path(path)) as file, pq.ParquetFile(file) as parquet:
            schema = parquet.schema_arrow
            names = [name for name in wanted if name in schema.names]
            keys = parquet.read(columns=names)
        fits = [pc.is_in(keys[name], value_set=pa.array(wanted[name], schema.field(name).type)) for name in names]
        for row in pc.indices_nonzero(reduce(pc.or_, fits)).to_pylist():
            yield Place(fate, stage, path, row)


def row_of(directory: RunDirectory, path: str, row: int, columns: Sequence[str] | None = None) -> dict[str, Any]:
    """One row of a Parquet file of the run; reads the row group that it is in."""
    with open_input(directory.path(path)) as file, pq.ParquetFile(file) as parquet:
        group = 0
        while row >= parquet.metadata.row_group(group).num_rows:
            row -= parquet.metadata.row_group(group).num_rows
            group += 1
        found: dict[str, Any] = parquet.read_row_group(group, columns=columns).slice(row, 1).to_pylist()[0]
    return found


def barrier_files(body: Json, kind: Kind) -> list[str]:
    """The files of one kind that a barrier stage committed, in the order of its units."""
    paths = [file["path"] for file in body["files"] if file["path"].startswith("removed/")]
    named = {path: path.removesuffix(".arrow").rpartition("-")[2] for path in paths}
    # A unit's name ends in its number, so what a file is of is told from a unit called the same.
    return [path for path in paths if named[path] == kind or (kind == "removed" and named[path].isdecimal())]


def removal_of(directory: RunDirectory, body: Json, place: Place) -> Removal | None:
    """Why the barrier rejected the document at `place`; None where it had no survivor: it was cut to nothing."""
    path = f"removed/{place.stage}-{place.unit}.arrow"
    if path not in barrier_files(body, "removed"):
        return None
    (found,) = _removals(read_arrow(directory.path(path)), place.path, pa.array([place.row]))
    return found


def removed_for(directory: RunDirectory, body: Json, survivor: bytes) -> Iterator[Removal]:
    """Every document that a barrier removed for `survivor`."""
    for path in barrier_files(body, "removed"):
        table = read_arrow(directory.path(path))
        # The rejected documents are in the order of the removed rows.
        rejected = f"rejected/{path.removeprefix('removed/').removesuffix('.arrow')}.parquet"
        rows = pc.indices_nonzero(pc.equal(table["survivor"], survivor))
        yield from _removals(table, rejected, rows)


def _removals(table: pa.Table, path: str, rows: pa.Array) -> list[Removal]:
    columns = (table[name].take(rows).to_pylist() for name in ("survivor", "cluster_size", "similarity"))
    return [Removal(path, *values) for values in zip(rows.to_pylist(), *columns, strict=True)]


def cuts_of(directory: RunDirectory, body: Json, left: Json, unit: str, identity: bytes) -> Cuts | None:
    """What a barrier cut out of a document of `unit`; `left` is the manifest of the stage before. None: nothing."""
    path = f"removed/{body['stage']}-{unit}-cuts.arrow"
    entry = next((Entry.from_json(entry) for entry in left["documents"] if entry["unit"] == unit), None)
    if entry is None or path not in barrier_files(body, "cuts"):
        return None
    if size(directory.path(entry.path)) is None:
        return Cuts(path, entry.path)
    row = _row_of_id(directory, entry, identity)
    table = read_arrow(directory.path(path))
    mine = table.filter(pc.equal(table["row"], row))
    if not len(mine):
        return None
    spans = zip(mine["start"].to_pylist(), mine["stop"].to_pylist(), strict=True)
    return Cuts(path, entry.path, tuple(spans), _text_of(directory, entry, row))


def _row_of_id(directory: RunDirectory, entry: Entry, identity: bytes) -> int:
    """The row of a document in a file; -1 where it is not, or not any more."""
    for rows, batch in read_documents(directory, entry, ["id"]):
        at = pc.index(batch.column("id"), pa.scalar(identity, batch.column("id").type)).as_py()
        if at >= 0:
            return int(rows[at])
    return -1


def _text_of(directory: RunDirectory, entry: Entry, row: int) -> bytes:
    """The text of a row, behind the cuts before."""
    batches = read_documents(directory, entry, ["text"])
    rows, texts = next((rows, batch.column("text")) for rows, batch in batches if rows[0] <= row <= rows[-1])
    text: bytes = texts[int(np.searchsorted(rows, row))].as_buffer().to_pybytes()
    return text
