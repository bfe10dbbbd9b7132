"""Anchors: sampled positions at which equal windows of bytes meet, wherever they are in the corpus.

A window is `size` bytes of one text in a row, its grams are the runs of `size // 2` bytes in it. The window's anchor is
the gram with the least hash, the first of them where grams are equal: minimizers (Roberts et al. 2004; winnowing,
Schleimer et al. 2003). It depends on the window's bytes alone, so equal windows have equal anchors at equal offsets:
whoever compares the neighbourhoods of equal anchors misses no window. Neighbouring windows mostly share an anchor: of
text without long repetitions about 2 / (size - size // 2 + 2) of all positions are one.

In a run of a short period, such as a row of dashes, the least gram comes again with each period. Such anchors are one
record with a number of repeats, so 16 MB of one byte have one record, not 16 million.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.scan import Bytes, copy_bytes, finish_hash, load64, mix
from corpusmill.segment import borrow
from corpusmill.text import Texts

ANCHOR = np.dtype(
    [("high", "<u8"), ("document", "<u8"), ("start", "<u4"), ("repeats", "<u4"), ("windows", "<u2"), ("offset", "<u2")]
)
"""An anchor and the windows it is the anchor of, 28 bytes.

high      hash of its gram: equal grams, equal hash; not the other way round, but bytes are compared in the end
document  ordinal, or row in the batch
start     where its first window begins, bytes into the text; the others follow byte by byte
repeats   how many times those windows come in a row; the bytes have the period `windows` when it is more than one
windows   number of its windows, without the repeats
offset    where the gram is in the first window; one less in each that follows
"""

MOST_BYTES = 16_000
"""The longest window: `windows` and `offset` are less than 2**16, and the grams of a block less than 2**13."""

BASE = np.uint64(0x2545F4914F6CDD1D)
"""Base of the rolling hashes, which are polynomials modulo 2**64; any number that is 5 modulo 8 would do."""

_PLACE = np.uint64(0x1FFF)
"""The bits of a gram's hash that are given to its place in its block: the least hash says where it is."""

Records = npt.NDArray[Any]


@dataclass(frozen=True)
class Anchors:
    """The anchors of n texts, in order: text d has records[first[d]:first[d + 1]], with d as their document.

    records  ANCHOR[m]; the windows of one text, all of them, each once
    first    int64[n + 1]
    """

    records: Records
    first: npt.NDArray[np.int64]


def anchors(texts: Texts, size: int) -> Anchors:
    """The anchors of all windows of `size` bytes, 2 to MOST_BYTES; texts below 4 GiB. A shorter text has none."""
    first = np.zeros(len(texts) + 1, dtype=np.int64)
    room = int(texts.offsets[-1] - texts.offsets[0]) * 3 // size * 2 + len(texts) + 64
    while True:
        high = np.empty(room, dtype=np.uint64)
        start, repeats = (np.empty(room, dtype=np.uint32) for _ in range(2))
        windows, offset = (np.empty(room, dtype=np.uint16) for _ in range(2))
        m = _find_anchors(texts.data, texts.offsets, size, high, start, repeats, windows, offset, first)
        if m <= room:
            break
        room = m
    records = np.empty(m, dtype=ANCHOR)
    records["document"] = np.repeat(np.arange(len(texts), dtype=np.uint64), np.diff(first))
    for name, values in (("high", high), ("start", start), ("repeats", repeats), ("windows", windows)):
        records[name] = values[:m]
    records["offset"] = offset[:m]
    return Anchors(records, first)


def live(records: Records) -> npt.NDArray[np.bool_]:
    """bool[m]: anchors with a window that may occur twice.

    `records` has all anchors of each key that is in it, in any order.
    """
    order = np.argsort(records["high"])
    high = records["high"][order]
    same = np.flatnonzero(high[1:] == high[:-1])
    shared = records["repeats"] > 1
    shared[order[same]] = shared[order[same + 1]] = True
    return shared


def extract(texts: Texts, records: Records, size: int) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """The bytes of all windows of some anchors, in order, `document` being their row: (uint8[b], int64[m]).

    The second says where in those bytes the first window of each anchor begins. Bytes that two anchors share are there
    once, and of repeats only the first: no more than the texts have, nor than size + windows - 1 for each anchor.
    """
    begin = texts.offsets[records["document"].astype(np.int64)] + records["start"]
    end = begin + records["windows"] + (size - 1)
    at = np.empty(len(records), dtype=np.int64)
    out = np.empty(_place(begin, end, at), dtype=np.uint8)
    _copy(texts.data, begin, end, at, out)
    return out, at


@njit(cache=True, nogil=True)
def _find_anchors(data, offsets, size, high, start, repeats, windows, offset, first):  # type: ignore[no-untyped-def]
    """Write what there is room for; gives the number of all.

    The least of `width` hashes in a row is the lesser of two: the last ones of a block of `width`, for which the least
    from each place to the block's end is stored, and the first ones of the next block, for which it is carried along.
    """
    data, high, start = borrow(data), borrow(high), borrow(start)
    repeats, windows, offset = borrow(repeats), borrow(windows), borrow(offset)
    gram = size // 2
    width = size - gram + 1
    hashes, tail = np.empty(width, np.uint64), np.empty(width, np.uint64)
    out = (high, start, repeats, windows, offset)
    gone = np.uint64(1)
    for _ in range(gram - 1):
        gone *= BASE
    m = 0
    for d in range(len(offsets) - 1):
        begin, end = offsets[d], offsets[d + 1]
        first[d] = m
        if end - begin < size:
            continue
        h = np.uint64(0)
        for i in range(begin, begin + gram - 1):
            h = h * BASE + np.uint64(data[i])
        h = _hash_grams(data, begin, gram, gone, width, h, hashes)
        _least_to_end(hashes, tail)
        value, current, low = tail[0], begin + np.int64(tail[0] & _PLACE), begin
        block = begin + width
        while block + gram <= end:
            count = min(width, end - gram - block + 1)
            h = _hash_grams(data, block, gram, gone, count, h, hashes)
            head = ~np.uint64(0)
            for r in range(count):
                head = min(head, hashes[r])
                least, origin = head, block
                if r + 1 < width and tail[r + 1] & ~_PLACE <= head:
                    least, origin = tail[r + 1], block - width
                at = origin + np.int64(least & _PLACE)
                if at != current:
                    window = block + r - width + 1
                    m = _add(data, begin, size, value, low, window, current, out, m, first[d])
                    value, current, low = least, at, window
            _least_to_end(hashes, tail)
            block += width
        m = _add(data, begin, size, value, low, end - size + 1, current, out, m, first[d])
    first[len(offsets) - 1] = m
    return m


@njit(cache=True, nogil=True, inline="always")
def _hash_grams(data, i, gram, gone, count, h, hashes):  # type: ignore[no-untyped-def]
    """The hashes of `count` grams from `i` on, their number in the lowest bits; `h` is that of the bytes before."""
    for r in range(count):
        h = h * BASE + np.uint64(data[i + r + gram - 1])
        hashes[r] = (mix(np.uint64(0), h) & ~_PLACE) | np.uint64(r)
        h -= gone * np.uint64(data[i + r])
    return h


@njit(cache=True, nogil=True, inline="always")
def _least_to_end(hashes, tail):  # type: ignore[no-untyped-def]
    """For each place in a block of hashes the least from there to the block's end, the first where some are equal."""
    least = ~np.uint64(0)
    for r in range(len(hashes) - 1, -1, -1):
        least = min(least, hashes[r])
        tail[r] = least


@njit(cache=True, nogil=True)
def _add(data, begin, size, value, low, high, at, out, m, floor):  # type: ignore[no-untyped-def]
    """Add the anchor at `at` of the windows from `low` up to `high`, or one more repeat of the one before."""
    keys, start, repeats, windows, offset = out
    key = finish_hash(value & ~_PLACE)
    count = high - low
    k = m - 1
    if floor <= k < len(keys) and keys[k] == key and windows[k] == count and offset[k] == at - low:
        # The bytes of all repeats but the last period are known to have the period.
        known = 0 if repeats[k] == 1 else size - 1
        if equal_bytes(data, low - count + known, low + known, count + size - 1 - known):
            repeats[k] += 1
            return m
    if m < len(keys):
        keys[m], start[m], repeats[m], windows[m], offset[m] = key, low - begin, 1, count, at - low
    return m + 1


@njit(cache=True, nogil=True)
def equal_bytes(data, a, b, length):  # type: ignore[no-untyped-def]
    """Whether `length` bytes from `a` and from `b` on are the same."""
    i = 0
    while i + 8 <= length:
        if load64(data, a + i) != load64(data, b + i):
            return False
        i += 8
    while i < length:
        if data[a + i] != data[b + i]:
            return False
        i += 1
    return True


@njit(cache=True, nogil=True)
def _place(begin, end, at):  # type: ignore[no-untyped-def]
    """Where the pieces `begin` to `end`, both rising, go when what they share goes there once: bytes in all."""
    total = last = np.int64(0)
    for i in range(len(begin)):
        fresh = max(begin[i], last)
        at[i] = total - (fresh - begin[i])
        total += max(end[i] - fresh, 0)
        last = max(last, end[i])
    return total


@njit(cache=True, nogil=True)
def _copy(data, begin, end, at, out):  # type: ignore[no-untyped-def]
    done = np.int64(0)
    for i in range(len(begin)):
        known = max(done - at[i], 0)  # bytes that the anchors before have brought
        done = max(done, copy_bytes(data, begin[i] + known, end[i], out, at[i] + known))
