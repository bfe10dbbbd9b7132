"""What barriers share: how documents are addressed, how keys are written and read back by groups.

A document is an ordinal: the rows of all files end to end, those of an index before those of the run. Records about
keys have the row in their own file, so that files can be put together anew; readers add the file's first ordinal. Keys
come in groups, by their first bits, and each group fits one worker's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.document import ID_BYTES
from corpusmill.pipeline.directory import Entry, Record, RunDirectory, as_json, read_documents
from corpusmill.pipeline.phases import Phase, Unit, files_record
from corpusmill.pipeline.spill import Records, read_spill, together, write_grouped, write_spill
from corpusmill.steps import Barrier
from corpusmill.storage import FileEntry, atomic_writer, open_input

KEYS_PER_GROUP = 1 << 21
"""Keys in a group on average: 64 MiB of them in one worker's memory."""

INDEX_BITS = 8
"""First bits by which the keys of an index are sorted: a later run, of more groups, reads a part of a file for each."""

B = TypeVar("B", bound=Barrier)
UInt64 = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Part:
    """Documents of one file that a barrier compares: how many rows it has, and absolute paths of what is kept of them.

    keys      spill file of key records, by `high`
    ids       the ids of all rows, 16 bytes each; zeros for those that an earlier barrier removed
    sketches  see `sketchbook`; no path where candidates are not verified
    gone      uint8[rows]: 1 for documents that an earlier run removed; no path for documents of this run
    """

    rows: int
    keys: str
    ids: str
    sketches: str
    gone: str = ""


@dataclass(frozen=True)
class BarrierStage(Generic[B]):
    """What the workers of one barrier stage need to know.

    entries  the files of documents of the left stage
    groups   how many groups of keys there are, a power of two
    indexed  the parts of the index that they are compared with, if any
    state    path of what a barrier that reads in order knew at the end of an earlier run, if that is given
    joins    into how many parts the documents are cut to find components
    saves    whether an index is made of all of it
    """

    stage: str
    barrier: B
    entries: tuple[Entry, ...]
    directory: RunDirectory
    groups: int = 1
    indexed: tuple[Part, ...] = ()
    state: str = ""
    joins: int = 1
    saves: bool = False

    def scratch(self, kind: str, name: object) -> str:
        """Path, relative to the run directory, of a file that is gone when the stage is committed."""
        return f"work/{self.stage}/scratch/{kind}-{name}.bin"

    def part(self, entry: Entry) -> Part:
        """What is written of one file of documents."""
        path, unit = self.directory.path, entry.unit
        keys, ids, sketches = (path(self.scratch(kind, unit)) for kind in ("keys", "ids", "sketches"))
        return Part(entry.rows, keys, ids, sketches)

    @property
    def parts(self) -> list[Part]:
        """All that is compared, in the order of ordinals."""
        return [*self.indexed, *map(self.part, self.entries)]

    def first_ordinals(self) -> UInt64:
        """uint64[parts + 1]: the ordinal of each part's first row."""
        return np.cumsum(np.array([0, *(part.rows for part in self.parts)], dtype=np.uint64), dtype=np.uint64)

    def bounds(self, entry: Entry) -> tuple[int, int]:
        """The ordinal of an entry's first row, and the one behind its last."""
        first = self.first_ordinals()[len(self.indexed) + self.entries.index(entry)]
        return int(first), int(first) + entry.rows

    def read_group(self, group: int, dtype: np.dtype[Any]) -> Records:
        """The key records of one group, with ordinals for rows."""
        shift = 64 - self.groups.bit_length() + 1
        found = [read_spill(part.keys, dtype, "high", group << shift, (group + 1) << shift) for part in self.parts]
        records = together(found, dtype)
        records["document"] += np.repeat(self.first_ordinals()[:-1], [len(part) for part in found])
        return records

    def read_all_groups(self, kind: str, dtype: np.dtype[Any], by: str, low: int = 0, high: int = 1 << 64) -> Records:
        """What every group left of one kind, whose field `by` is from `low` to below `high`."""
        paths = [self.directory.path(self.scratch(kind, group)) for group in range(self.groups)]
        return together([read_spill(path, dtype, by, low, high) for path in paths], dtype)

    def edge_files(self) -> list[str]:
        """Absolute paths of the links between documents: by group, or by part where candidates are verified."""
        verified = self.barrier.least_similarity() is not None  # type: ignore[attr-defined]
        kind, number = ("edges", len(self.parts)) if verified else ("pairs", self.groups)
        return [self.directory.path(self.scratch(kind, name)) for name in range(number)]

    def read_joined(self, kind: str, dtype: np.dtype[Any], low: int = 0, high: int = 1 << 64) -> Records:
        """The removals or survivors from ordinal `low` to below `high`, by document."""
        paths = [self.directory.path(self.scratch(kind, part)) for part in range(self.joins)]
        found = together([read_spill(path, dtype, "document", low, high) for path in paths], dtype)
        return found if self.joins == 1 else found[np.argsort(found["document"])]

    def write(self, kind: str, name: object, records: Records, by: str) -> FileEntry:
        """Write a scratch file of records."""
        return write_spill(self.directory.root, self.scratch(kind, name), records, by)

    def entry_units(self, kind: str = "") -> list[Unit]:
        """A unit for each file of documents: `kind@unit`, or the unit's own name in the last phase."""
        prefix = f"{kind}@" if kind else ""
        return [(f"{prefix}{entry.unit}", as_json(entry)) for entry in self.entries]

    def group_units(self, kind: str) -> list[Unit]:
        """A unit for each group of keys."""
        return [(f"{kind}@{group}", group) for group in range(self.groups)]


MakeRecords = Callable[[Any, UInt64, pa.RecordBatch], Records]
"""A barrier, the rows in their file and the columns of some documents → their key records, with rows as `document`."""


@dataclass(frozen=True)
class Work:
    """A function of a barrier stage and a unit's arguments, as units of work are done."""

    do: Callable[[Any, Any], Record]
    stage: BarrierStage[Any]

    def __call__(self, directory: RunDirectory, name: str, unit: Any) -> Record:  # noqa: ARG002
        """The unit's record."""
        return self.do(self.stage, unit)


def write_keys(stage: BarrierStage[Any], entry: Entry, columns: Sequence[str], make: MakeRecords) -> list[FileEntry]:
    """Write the keys and the ids of one file of documents."""
    ids = np.zeros((entry.rows, ID_BYTES), dtype=np.uint8)
    found = []
    for rows, batch in read_documents(stage.directory, entry, list(dict.fromkeys(["id", *columns]))):
        ids[rows] = id_bytes(batch.column("id"))
        found.append(make(stage.barrier, rows.astype(np.uint64), batch))
    bits = stage.groups.bit_length() - 1
    bits = max(bits, INDEX_BITS) if stage.saves else bits
    keys = write_grouped(stage.directory.root, stage.scratch("keys", entry.unit), found, "high", bits)
    path = stage.scratch("ids", entry.unit)
    with atomic_writer(stage.directory.path(path), durable=False) as sink:
        sink.write(ids)
    return [keys, FileEntry(path, sink.bytes, sink.sha256, entry.rows)]


def record_keys(stage: BarrierStage[Any], unit: Any, columns: Sequence[str], make: MakeRecords) -> Record:
    """The same as a unit of work."""
    return files_record(*write_keys(stage, Entry.from_json(unit), columns, make))


def keys_phase(stage: BarrierStage[Any], columns: Sequence[str], make: MakeRecords) -> Phase:
    """The first phase of every barrier with keys and nothing else to say about a document."""
    return Phase("keys", stage.entry_units("keys"), Work(partial(record_keys, columns=columns, make=make), stage))


def id_bytes(ids: pa.Array) -> npt.NDArray[np.uint8]:
    """uint8[n, 16]: the ids of a batch."""
    raw = np.frombuffer(ids.buffers()[1], np.uint8)
    return raw[ids.offset * ID_BYTES : (ids.offset + len(ids)) * ID_BYTES].reshape(-1, ID_BYTES)


def read_ids(part: Part, rows: UInt64) -> npt.NDArray[np.uint8]:
    """uint8[n, 16]: the ids of some rows of a part."""
    with open_input(part.ids) as file:
        everything = np.frombuffer(file.read_buffer(), np.uint8).reshape(-1, ID_BYTES)
    return everything[rows.astype(np.int64)]


def groups_for(keys: int) -> int:
    """How many groups, a power of two, so many keys are cut into."""
    return 1 << max(0, -(-keys // KEYS_PER_GROUP) - 1).bit_length()
