"""Records on their way from one phase of a barrier to the next: on disk, sorted, read by range.

Beam's local runner holds what it shuffles in memory; a barrier's records go through files instead, which any worker of
any runner can read and a run that is started again finds. A spill file is the records, sorted by one uint64 field, the
field's value of every STRIDE-th record, and the number of records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.scan import copy_bytes
from corpusmill.storage import FileEntry, atomic_writer, open_input

STRIDE = 4096
_MOVES = 32

Records = npt.NDArray[Any]


def write_spill(root: str, path: str, records: Records, by: str) -> FileEntry:
    """Write records of any order to `path` below `root`; those that are equal in the uint64 field `by` keep theirs."""
    field = np.ascontiguousarray(records[by])
    if np.any(field[1:] < field[:-1]):
        order = sort_order(field)
        records, field = rows_at(records, order), field[order]
    with atomic_writer(f"{root}/{path}", durable=False) as sink:
        sink.write(records.view(np.uint8))
        sink.write(field[::STRIDE].copy().view(np.uint8))
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


def together(parts: Sequence[Records], dtype: np.dtype[Any]) -> Records:
    """The parts end to end, by their bytes: numpy copies records field by field."""
    out = np.empty(sum(map(len, parts)), dtype)
    if len(out):
        np.concatenate([np.ascontiguousarray(part).view(np.uint8) for part in parts], out=out.view(np.uint8))
    return out


def sort_order(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """int64[n]: the positions of the values by rising value, equal ones in their order.

    Hashes are spread evenly: by their first bits each comes close to its place, a few moves bring it there. Buckets of
    ordinals, or of many equal hashes, are sorted.
    """
    if len(values) < 64:
        return np.argsort(values, kind="stable")
    low, high = int(values.min()), int(values.max())
    shift = max(0, (high - low).bit_length() - max(1, (len(values) // 4).bit_length()))
    return _sort_order(values, np.uint64(low), np.uint64(shift), ((high - low) >> shift) + 2)


@njit(cache=True, nogil=True)
def _sort_order(values, low, shift, buckets):  # type: ignore[no-untyped-def]
    first = np.zeros(buckets, dtype=np.int64)
    for i in range(len(values)):
        first[np.int64((values[i] - low) >> shift) + 1] += 1
    for b in range(1, buckets):
        first[b] += first[b - 1]
    order = np.empty(len(values), dtype=np.int64)
    place = first.copy()
    for i in range(len(values)):
        at = np.int64((values[i] - low) >> shift)
        order[place[at]] = i
        place[at] += 1
    for bucket in range(buckets - 1):
        begin, end = first[bucket], first[bucket + 1]
        if end - begin > _MOVES:
            many = order[begin:end].copy()
            order[begin:end] = many[np.argsort(values[many], kind="mergesort")]
            continue
        for i in range(begin + 1, end):
            moved, to = order[i], i
            while to > begin and values[order[to - 1]] > values[moved]:
                order[to] = order[to - 1]
                to -= 1
            order[to] = moved
    return order


def rows_at(records: Records, order: npt.NDArray[np.int64]) -> Records:
    """The records in this order, by their bytes."""
    out = np.empty(len(order), records.dtype)
    if len(out):
        raw = np.ascontiguousarray(records).view(np.uint8)
        _rows_at(raw, order, records.dtype.itemsize, out.view(np.uint8))
    return out


@njit(cache=True, nogil=True)
def _rows_at(raw, order, width, out):  # type: ignore[no-untyped-def]
    w = 0
    for i in order:
        w = copy_bytes(raw, i * width, (i + 1) * width, out, w)
