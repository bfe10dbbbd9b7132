"""A hash table for kernels: which pieces of one document are equal, by their 64-bit keys.

One int32 array is made for a whole batch, sized for its largest document, and for each document only the part that
this one needs is cleared.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.text import Spans


def count_copies(pieces: Spans, *, every: bool = False) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """int64[3, n]: copies of pieces, code points in them and in all pieces; int64[n]: the first copy, -1 where none.

    A piece's first occurrence is no copy, unless `every` counts all occurrences of what is there twice.
    """
    return _count_copies(pieces.hash, pieces.chars, pieces.first, every)


@njit(cache=True, nogil=True)
def slots(first):  # type: ignore[no-untyped-def]
    """A table for the document with most pieces; `first` is that of a Spans."""
    most = 0
    for d in range(len(first) - 1):
        most = max(most, first[d + 1] - first[d])
    return np.empty(table_size(most), dtype=np.int32)


@njit(cache=True, nogil=True)
def table_size(pieces):  # type: ignore[no-untyped-def]
    """The power of two that is at least twice `pieces`, and at least 2: clear that many slots with -1."""
    size = 2
    while size < 2 * pieces:
        size *= 2
    return size


@njit(cache=True, nogil=True)
def first_equal(table, mask, keys, i):  # type: ignore[no-untyped-def]
    """The first position looked up with the same key as position `i`, `i` itself where none was; mask = size - 1."""
    slot = np.int64((keys[i] * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while True:
        j = table[slot]
        if j < 0:
            table[slot] = i
            return i
        if keys[j] == keys[i]:
            return np.int64(j)
        slot = (slot + 1) & mask


@njit(cache=True, nogil=True)
def _count_copies(hashes, chars, first, every):  # type: ignore[no-untyped-def]
    sums = np.zeros((3, len(first) - 1), dtype=np.int64)
    copy = np.full(len(first) - 1, -1, dtype=np.int64)
    table = slots(first)
    single = np.empty(len(table) // 2, dtype=np.bool_)  # whether what first stands here has no copy so far
    for d in range(len(first) - 1):
        a, b = first[d], first[d + 1]
        size = table_size(b - a)
        table[:size] = -1
        keys, lengths = hashes[a:b], chars[a:b]
        for i in range(b - a):
            j = first_equal(table, size - 1, keys, i)
            single[i] = j == i
            if j != i:
                new = 1 + (every and single[j])
                single[j] = False
                sums[0, d] += new
                sums[1, d] += new * lengths[i]
                if copy[d] < 0:
                    copy[d] = a + i
            sums[2, d] += lengths[i]
    return sums, copy
