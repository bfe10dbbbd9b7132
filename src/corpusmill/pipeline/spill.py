"""Records on their way from one phase of a barrier to the next: on disk, sorted, read by range.

Beam's local runner holds what it shuffles in memory; a barrier's records go through files instead, which any worker of
any runner can read and a run that is started again finds. A spill file is the records, sorted by one uint64 field, the
field's value of every STRIDE-th record, and the number of records.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.storage import FileEntry, atomic_writer, open_input

STRIDE = 4096

Records = npt.NDArray[Any]


def write_spill(root: str, path: str, records: Records, by: str) -> FileEntry:
    """Write records of any order to `path` below `root`; those that are equal in the uint64 field `by` keep theirs."""
    field = records[by]
    if np.any(field[1:] < field[:-1]):
        records = records[np.argsort(field, kind="stable")]
    with atomic_writer(f"{root}/{path}", durable=False) as sink:
        sink.write(records.view(np.uint8))
        sink.write(np.ascontiguousarray(records[by][::STRIDE]).view(np.uint8))
        sink.write(np.array([len(records)], dtype="<u8").view(np.uint8))
    return FileEntry(path, sink.bytes, sink.sha256, len(records))


def read_spill(path: str, dtype: np.dtype[Any], by: str, low: int = 0, high: int = 1 << 64) -> Records:
    """The records whose field `by` is at least `low` and below `high`, in their order."""
    with open_input(path) as file:
        file.seek(file.size() - 8)
        count = int(np.frombuffer(file.read(8), "<u8")[0])
        if low == 0 and high == 1 << 64:
            file.seek(0)
            return np.frombuffer(file.read(count * dtype.itemsize), dtype)
        file.seek(count * dtype.itemsize)
        marks = np.frombuffer(file.read(-(-count // STRIDE) * 8), "<u8")
        # Records before mark m - 1 are below its value: the first wanted one lies behind the last mark below `low`.
        first = max(0, int(np.searchsorted(marks, np.uint64(low))) - 1) * STRIDE
        last = count if high == 1 << 64 else min(count, int(np.searchsorted(marks, np.uint64(high))) * STRIDE)
        file.seek(first * dtype.itemsize)
        records = np.frombuffer(file.read(max(0, last - first) * dtype.itemsize), dtype)
    values = np.ascontiguousarray(records[by])
    stop = len(values) if high == 1 << 64 else int(np.searchsorted(values, np.uint64(high)))
    return records[int(np.searchsorted(values, np.uint64(low))) : stop]


def together(parts: list[Records], dtype: np.dtype[Any]) -> Records:
    """The parts end to end."""
    return np.concatenate(parts) if parts else np.empty(0, dtype)
