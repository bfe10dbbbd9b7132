"""Which pieces are copies of an earlier one, from their keys alone."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from numba import njit

Keep = Literal["first", "none"]

UInt64 = npt.NDArray[np.uint64]


def copies(
    high: UInt64, low: UInt64, document: UInt64, piece: npt.NDArray[np.uint32], keep: str
) -> npt.NDArray[np.int64]:
    """int64[k]: positions of the pieces to take out, rising; all arguments of the same length m, in any order.

    Pieces with the same (high, low) are copies. `first` keeps the one with the smallest (document, piece); `none` keeps
    none when two documents have it, and the first when it is one document's alone.
    """
    keys = (np.ascontiguousarray(column) for column in (high, low, document, piece))
    position = np.int32 if len(high) < 1 << 31 else np.int64
    slots = np.full(1 << (2 * len(high)).bit_length(), -1, dtype=position)
    gone = _copies(*keys, keep == "none", slots)
    found: npt.NDArray[np.int64] = np.flatnonzero(gone)
    return found


@njit(cache=True, nogil=True)
def _copies(high, low, document, piece, none, slots):  # type: ignore[no-untyped-def]
    """bool[m]; `slots` is a power of two of places for positions, more than m, all -1."""
    m = len(high)
    one = np.empty(m, dtype=slots.dtype)  # for each piece, the position of the one with its key that was met first
    first = np.empty(m, dtype=slots.dtype)  # at that position, where the first of its copies is
    shared = np.zeros(m, dtype=np.bool_)  # and whether two documents have it
    for i in range(m):
        slot = np.int64(low[i] & np.uint64(len(slots) - 1))
        while slots[slot] >= 0 and (high[slots[slot]] != high[i] or low[slots[slot]] != low[i]):
            slot = (slot + 1) & (len(slots) - 1)
        if slots[slot] < 0:
            slots[slot] = first[i] = i
        k = one[i] = slots[slot]
        f = first[k]
        shared[k] = shared[k] or document[i] != document[f]
        if document[i] < document[f] or (document[i] == document[f] and piece[i] < piece[f]):
            first[k] = i
    gone = np.empty(m, dtype=np.bool_)
    for i in range(m):
        gone[i] = first[one[i]] != i or (none and shared[one[i]])
    return gone
