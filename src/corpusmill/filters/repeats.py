"""A hash table for kernels: which pieces of one document are equal, by their 64-bit keys.

One int32 array is made for a whole batch, sized for its largest document, and for each document only the part that
this one needs is cleared.
"""

from __future__ import annotations

import numpy as np
from numba import njit


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
