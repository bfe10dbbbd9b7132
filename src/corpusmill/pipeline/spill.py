"""Records on their way from one phase of a barrier to the next: on disk, sorted, read by range.

Beam's local runner holds what it shuffles in memory; a barrier's records go through files instead, which any worker of
any runner can read and a run that is started again finds. A spill file is the records, the marks, and the number of
records. Records are sorted by one uint64 field, or by its first bits alone; a mark is the field's value, or those bits,
of every STRIDE-th record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.scan import copy_bytes, load64
from corpusmill.storage import FileEntry, atomic_writer, is_local, open_input
from corpusmill.storage import size as size_of

STRIDE = 4096
_MOVES = 32

Records = npt.NDArray[Any]


def write_spill(root: str, path: str, records: Records, by: str) -> FileEntry:
    """Write records of any order to `path` below `root`; those that are equal in the uint64 field `by` keep theirs."""
    field = np.ascontiguousarray(records[by])
    if np.any(field[1:] < field[:-1]):
        order = sort_order(field)
        records, field = rows_at(records, order), field[order]
    return _write(root, path, [records], field[::STRIDE].copy())


def write_grouped(root: str, path: str, parts: Sequence[Records], by: str, bits: int) -> FileEntry:
    """Write records, the parts end to end, sorted by the first `bits` bits of `by` alone; equal ones keep their order.

    It takes a tenth of the time of sorting them.
    """
    count = sum(map(len, parts))
    if bits == 0 or not count:
        return _write(root, path, parts, np.zeros(-(-count // STRIDE), np.uint64))
    dtype = parts[0].dtype
    shift = np.uint64(64 - bits)
    offset = dtype.fields[by][1]  # type: ignore[index]
    sizes = np.zeros(1 << bits, dtype=np.int64)
    raws = [np.ascontiguousarray(part).view(np.uint8) for part in parts]
    for raw in raws:
        _count_groups(raw, dtype.itemsize, offset, shift, sizes)
    ends = np.cumsum(sizes)
    out, place = np.empty(count, dtype), ends - sizes
    for raw in raws:
        _to_groups(raw, dtype.itemsize, offset, shift, place, out.view(np.uint8))
    marked = np.searchsorted(ends, np.arange(0, count, STRIDE), side="right").astype(np.uint64)
    return _write(root, path, [out], marked << shift)


def _write(root: str, path: str, parts: Sequence[Records], marks: npt.NDArray[np.uint64]) -> FileEntry:
    count = sum(map(len, parts))
    with atomic_writer(f"{root}/{path}", durable=False) as sink:
        for part in parts:
            sink.write(np.ascontiguousarray(part).view(np.uint8))
        sink.write(marks.view(np.uint8))
        sink.write(np.array([count], dtype="<u8").view(np.uint8))
    return FileEntry(path, sink.bytes, sink.sha256, count)


def read_spill(path: str, dtype: np.dtype[Any], by: str, low: int = 0, high: int = 1 << 64) -> Records:
    """The records whose field `by` is at least `low` and below `high`, in their order; an array that can be written."""
    size = size_of(path) or 0
    count = int(read_array(path, np.dtype("<u8"), 1, size - 8)[0])
    if low == 0 and high == 1 << 64:
        return read_array(path, dtype, count)
    marks = read_array(path, np.dtype("<u8"), -(-count // STRIDE), count * dtype.itemsize)
    first, last = _marked(marks, count, low, high)
    records = read_array(path, dtype, max(0, last - first), first * dtype.itemsize)
    wanted = records[by] >= np.uint64(low)
    if high < 1 << 64:
        wanted &= records[by] < np.uint64(high)
    begin, found = int(wanted.argmax()) if len(wanted) else 0, int(wanted.sum())
    if wanted[begin : begin + found].all():  # they follow each other
        return records[begin : begin + found]
    return rows_at(records, np.flatnonzero(wanted))


def read_array(path: str, dtype: np.dtype[Any], count: int, at: int = 0) -> Records:
    """`count` items from byte `at` of a file on. Read: what is mapped takes five times as long to copy once."""
    if is_local(path):
        return np.fromfile(path, dtype, count, offset=at)
    with open_input(path) as file:
        file.seek(at)
        return np.frombuffer(file.read(count * dtype.itemsize), dtype).copy()


def _marked(marks: npt.NDArray[np.uint64], count: int, low: int, high: int) -> tuple[int, int]:
    """Where to begin, and where to stop, to read all records from `low` to below `high`."""
    # A mark below `low` may have the first bits of `low`, and records before it, back to the first mark with the same
    # bits, be wanted too; those before the mark in front of that have other bits.
    before = int(np.searchsorted(marks, np.uint64(low))) - 1
    before = int(np.searchsorted(marks, marks[before])) - 1 if before >= 0 else 0
    last = count if high == 1 << 64 else min(count, int(np.searchsorted(marks, np.uint64(high))) * STRIDE)
    return max(0, before) * STRIDE, last


@njit(cache=True, nogil=True)
def _count_groups(raw, width, offset, shift, sizes):  # type: ignore[no-untyped-def]
    for i in range(offset, len(raw), width):
        sizes[np.int64(load64(raw, i) >> shift)] += 1


@njit(cache=True, nogil=True)
def _to_groups(raw, width, offset, shift, place, out):  # type: ignore[no-untyped-def]
    """Copy the records to where `place` has room for the next one of their group."""
    for i in range(0, len(raw), width):
        group = np.int64(load64(raw, i + offset) >> shift)
        copy_bytes(raw, i, i + width, out, place[group] * width)
        place[group] += 1


def together(parts: Sequence[Records], dtype: np.dtype[Any]) -> Records:
    """The parts end to end, by their bytes: numpy copies records field by field. A part that is alone is not copied."""
    if len(parts) == 1:
        return parts[0]
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
