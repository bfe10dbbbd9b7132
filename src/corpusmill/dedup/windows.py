"""Which windows of bytes are equal, among the anchors with equal keys; decided by the bytes, not by their hashes.

Equal windows have their anchors at equal offsets, so one bucket (anchors with one key) has all copies of each window.
Anchors whose windows all are the same, copies of a whole neighbourhood, are a class and are looked at once. The windows
of different classes meet in a hash table, where equal hashes are followed by a comparison of bytes: of all, or, for a
window one byte on from the last one, of the one byte that is new. The work is linear in the bytes of all windows,
however large a bucket is; a large one is done offset by offset so that the table stays small.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.dedup.anchors import BASE, Records, equal_bytes
from corpusmill.scan import HASH_SEED, Bytes, eight_bytes, finish_hash, mix
from corpusmill.segment import borrow

SPAN = np.dtype([("document", "<u8"), ("start", "<u4"), ("stop", "<u4"), ("kind", "u1")])
"""Bytes `start` to `stop` of a text, every window of which occurs twice or more; 17 bytes.

kind  FIRST, the first copy of each; LATER, other copies; SHARED, copies in more than one document, first or not
"""

FIRST, LATER, SHARED = 1, 2, 3

TABLE_WINDOWS = 1 << 20
"""Windows in the table at a time, if a bucket has more: 30 MB. No cut depends on it."""

_TWICE, _APART = np.uint8(1), np.uint8(2)


def group_spans(records: Records, data: Bytes, at: npt.NDArray[np.int64], size: int, *, shared: bool) -> Records:
    """SPAN[k] of the windows of `size` bytes that occur twice or more, in no particular order.

    records  ANCHOR[m], all live anchors of each key that is in it, in any order; documents are ordinals
    data     bytes of their windows
    at       int64[m], where in `data` the first window of each begins
    shared   whether windows that several documents have are SHARED; otherwise they are FIRST and LATER too

    Memory besides the arguments: 150 bytes for each record, 70 more for each of the largest bucket, and the table.
    """
    order = np.lexsort((records["start"], records["document"], records["high"]))
    names = ("high", "document", "start", "repeats", "windows", "offset")
    high, document, start, repeats, windows, offset = (np.ascontiguousarray(records[name][order]) for name in names)
    anchors = (document, start.astype(np.int64), repeats.astype(np.int64), windows.astype(np.int64))
    edges = np.flatnonzero(np.append(True, high[1:] != high[:-1])) if len(high) else np.empty(0, np.int64)
    buckets = np.append(edges, len(high))
    column = size - size // 2 - offset.astype(np.int64)
    room = 2 * len(records) + 64
    while True:
        out = (np.empty(room, np.uint64), np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.uint8))
        k = _group_spans(anchors, column, at[order], data, buckets, size, shared, TABLE_WINDOWS, out)
        if k <= room:
            break
        room = k
    spans = np.empty(k, dtype=SPAN)
    spans["document"], spans["start"], spans["stop"], spans["kind"] = (out[0][:k], out[1][:k], out[2][:k], out[3][:k])
    return spans


@njit(cache=True, nogil=True)
def _group_spans(anchors, column, at, data, buckets, size, shared, most, out):  # type: ignore[no-untyped-def]
    """Write the spans that there is room for; gives the number of all. `column` is that of each first window."""
    data, at, column = borrow(data), borrow(at), borrow(column)
    anchors = (borrow(anchors[0]), borrow(anchors[1]), borrow(anchors[2]), borrow(anchors[3]))
    out = (borrow(out[0]), borrow(out[1]), borrow(out[2]), borrow(out[3]))
    largest = np.int64(1)
    for b in range(len(buckets) - 1):
        largest = max(largest, buckets[b + 1] - buckets[b])
    columns = size - size // 2 + 1
    first = np.empty(largest, np.int64)
    found = np.empty(largest, np.uint8)
    hashes = np.empty(largest, np.uint64)
    of = np.empty(largest, np.int64)
    base = np.empty(largest, np.int64)
    most = min(max(most, largest), largest * columns)
    slots = np.empty(_slots(most), np.int32)
    table = (np.empty(most, np.uint64), np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.uint8))
    every = np.arange(columns).astype(np.int32)
    k = 0
    for b in range(len(buckets) - 1):
        i, j = buckets[b], buckets[b + 1]
        classes = _classes(anchors, column, at, data, i, j, size, slots, first, found, hashes, of)
        step = min(max(most // classes, 1), columns)
        for low in range(0, columns, step):
            high = min(low + step, columns)
            if classes > 1:
                _match(anchors, column, at, data, size, classes, low, high, slots, first, found, hashes, base, table)
            else:  # each window is the only one in its column
                base[0], table[1][: high - low], table[3][: high - low] = 0, every[: high - low], found[0]
            for a in range(i, j):
                k = _emit(anchors, column, a, first, of[a - i], base, low, high, size, shared, table, out, k)
    return k


@njit(cache=True, nogil=True)
def _slots(entries):  # type: ignore[no-untyped-def]
    slots = 2
    while slots < 2 * entries:
        slots *= 2
    return slots


@njit(cache=True, nogil=True)
def _classes(anchors, column, at, data, i, j, size, slots, first, found, hashes, of):  # type: ignore[no-untyped-def]
    """Number the anchors i to j by what all their windows are: their number.

    Writes the first anchor of each class, whether its windows are found twice and in several documents.
    """
    document, _, repeats, windows = anchors
    last = _slots(j - i) - 1
    slots[: last + 1] = -1
    classes = 0
    for a in range(i, j):
        length = windows[a] + size - 1
        h = HASH_SEED ^ np.uint64(column[a])
        for p in range(at[a], at[a] + length, 8):
            h = mix(h, eight_bytes(data, p, at[a] + length))
        h = finish_hash(h)
        slot = np.int64(h) & last
        while slots[slot] >= 0:
            c = slots[slot]
            b = first[c]
            same = hashes[c] == h and windows[b] == windows[a] and column[b] == column[a]
            if same and equal_bytes(data, at[a], at[b], length):
                break
            slot = (slot + 1) & last
        c = slots[slot]
        if c < 0:
            c = slots[slot] = classes
            first[c], found[c], hashes[c] = a, _TWICE if repeats[a] > 1 else np.uint8(0), h
            classes += 1
        else:
            found[c] |= _TWICE
            if document[a] != document[first[c]]:
                found[c] |= _APART
        of[a - i] = c
    return classes


@njit(cache=True, nogil=True)
def _match(anchors, column, at, data, size, classes, low, high, slots, first, found, hashes, base, table):  # type: ignore[no-untyped-def]
    """Find the first copy of each window in the columns low to high of every class, and what is found of it."""
    document, _, _, windows = anchors
    codes, home, owner, marks = table
    gone = np.uint64(1)
    for _ in range(size - 1):
        gone *= BASE
    last = _slots(classes * (high - low)) - 1
    slots[: last + 1] = -1
    n = 0
    for c in range(classes):
        a = first[c]
        begin, end = max(low, column[a]), min(high, column[a] + windows[a])
        base[c] = n
        p = at[a] + begin - column[a]
        h = hashes[c]  # of all but the last byte of the window in column `begin`
        if begin == column[a]:
            h = np.uint64(0)
            for q in range(p, p + size - 1):
                h = h * BASE + np.uint64(data[q])
        partner = np.int64(-1)
        for u in range(begin, end):
            h = h * BASE + np.uint64(data[p + size - 1])
            code = finish_hash(h)
            h -= gone * np.uint64(data[p])
            slot = _find(column, at, data, size, code, p, u, partner, first, slots, last, codes, owner)
            m = slots[slot]
            if m < 0:
                slots[slot] = home[n] = n
                codes[n], owner[n], marks[n] = code, c, found[c]
                partner = np.int64(-1)
            else:
                home[n] = m
                partner = np.int64(owner[m])
                marks[m] |= found[c] | _TWICE
                if document[a] != document[first[partner]]:
                    marks[m] |= _APART
            n += 1
            p += 1
        hashes[c] = h


@njit(cache=True, nogil=True)
def _find(column, at, data, size, code, p, u, partner, first, slots, last, codes, owner):  # type: ignore[no-untyped-def]
    """The slot of the window at `p` in column `u`, or a free one; the window before is `partner`'s too, if not -1."""
    slot = np.int64(code) & last
    while slots[slot] >= 0:
        m = slots[slot]
        if codes[m] == code:
            b = first[owner[m]]
            known = size - 1 if owner[m] == partner else 0
            if equal_bytes(data, p + known, at[b] + u - column[b] + known, size - known):
                break
        slot = (slot + 1) & last
    return slot


@njit(cache=True, nogil=True)
def _emit(anchors, column, a, first, c, base, low, high, size, shared, table, out, k):  # type: ignore[no-untyped-def]
    """Write the spans of an anchor of class c: runs of windows that are of one kind."""
    document, start, repeats, windows = anchors
    _, home, _, marks = table
    begin, end = max(low, column[a]), min(high, column[a] + windows[a])
    kind = 0
    opened = last = np.int64(0)
    for again in range(repeats[a]):
        for u in range(begin, end):
            n = base[c] + u - begin
            root = home[n]
            mark = marks[root]
            now = 0
            if shared and mark & _APART:
                now = SHARED
            elif mark & _TWICE:
                now = FIRST if root == n and first[c] == a and again == 0 else LATER
            place = start[a] + again * windows[a] + u - column[a]
            if now == kind and place == last + 1:
                last = place
                continue
            k = _write(document[a], opened, last + size, kind, out, k)
            kind, opened, last = now, place, place
    return _write(document[a], opened, last + size, kind, out, k)


@njit(cache=True, nogil=True)
def _write(document, start, stop, kind, out, k):  # type: ignore[no-untyped-def]
    if kind == 0:
        return k
    if k < len(out[0]):
        out[0][k], out[1][k], out[2][k], out[3][k] = document, start, stop, kind
    return k + 1
