"""Counting the segments of UAX #29 (word boundaries) that are not white space, punctuation too, as `uniseg` cuts them.

`Texts.script_words` has the words among these and cuts them further in scripts without spaces; Dolma counts them all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.scan import skip_space
from corpusmill.segment import borrow, segment_end
from corpusmill.segment_classes import word_breaks
from corpusmill.text import Texts


def count_segments(texts: Texts) -> npt.NDArray[np.int64]:
    """int64[n]: segments of each text that have a character other than white space."""
    return _count_segments(texts.data, texts.offsets, word_breaks())


@njit(cache=True, nogil=True)
def _count_segments(data, offsets, classes):  # type: ignore[no-untyped-def]
    data, classes = borrow(data), borrow(classes)
    counts = np.empty(len(offsets) - 1, dtype=np.int64)
    for d in range(len(counts)):
        i, end = offsets[d], offsets[d + 1]
        count = np.int64(0)
        while i < end:
            a = i
            i, word = segment_end(data, a, end, classes)
            count += word or skip_space(data, a, i) < i
        counts[d] = count
    return counts
