"""Which pieces are copies of an earlier one, from their keys alone."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Keep = Literal["first", "none"]


def copies(
    high: npt.NDArray[np.uint64],
    low: npt.NDArray[np.uint64],
    document: npt.NDArray[np.uint64],
    piece: npt.NDArray[np.uint32],
    keep: str,
) -> npt.NDArray[np.int64]:
    """int64[k]: positions of the pieces to take out, all arguments of the same length m.

    Pieces with the same (high, low) are copies. `first` keeps the one with the smallest (document, piece); `none` keeps
    none when two documents have it, and the first when it is one document's alone.
    """
    order = np.argsort(high)
    near = np.flatnonzero(np.diff(high[order]) == 0)
    shared = np.zeros(len(order), dtype=np.bool_)
    shared[near] = shared[near + 1] = True
    order = order[shared]
    if len(order) == 0:
        return order
    order = order[np.lexsort((piece[order], document[order], low[order], high[order]))]
    opens = np.ones(len(order), dtype=np.bool_)
    opens[1:] = (np.diff(high[order]) != 0) | (np.diff(low[order]) != 0)
    gone = ~opens
    if keep == "none":
        starts = np.flatnonzero(opens)
        stops = np.append(starts[1:], len(order))
        lost = document[order[starts]] != document[order[stops - 1]]
        gone[starts] = lost
    found: npt.NDArray[np.int64] = order[gone]
    return found
