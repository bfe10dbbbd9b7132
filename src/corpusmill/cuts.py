"""Cuts: bytes that a barrier takes out of texts. Made from whole pieces, such as lines; applied when a file is read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpusmill.scan import trim_space
from corpusmill.text import Texts

CUT = pa.schema([pa.field("row", pa.int64()), pa.field("start", pa.int64()), pa.field("stop", pa.int64())])
"""`row` in the documents file, rising; bytes `start` to `stop` of its text, rising and apart."""

Numbers = npt.NDArray[np.int64]


def cut_out(texts: Texts, rows: Numbers, row: Numbers, start: Numbers, stop: Numbers) -> Texts:
    """The texts, int64[n] `rows` of a file, without the cuts int64[k] of any rows of that file; both rise by row."""
    first = np.searchsorted(row, rows)
    last = np.searchsorted(row, rows, side="right")
    if not np.any(last > first):
        return texts
    data = np.empty(int(texts.offsets[-1] - texts.offsets[0]), dtype=np.uint8)
    offsets = np.zeros(len(texts) + 1, dtype=np.int64)
    _cut_out(texts.data, texts.offsets, first, last, start, stop, data, offsets)
    return Texts(data[: offsets[-1]], offsets)


@njit(cache=True, nogil=True)
def _cut_out(data, offsets, first, last, start, stop, out, new_offsets):  # type: ignore[no-untyped-def]
    w = 0
    for d in range(len(offsets) - 1):
        i = offsets[d]
        for k in range(first[d], last[d]):
            w = _copy(data, i, offsets[d] + start[k], out, w)
            i = offsets[d] + stop[k]
        w = _copy(data, i, offsets[d + 1], out, w)
        new_offsets[d + 1] = w


@njit(cache=True, nogil=True)
def _copy(data, i, stop, out, w):  # type: ignore[no-untyped-def]
    for j in range(i, stop):
        out[w + j - i] = data[j]
    return w + stop - i


@njit(cache=True, nogil=True)
def cuts_of_pieces(data, offsets, start, first, gone, row, begin, end, count):  # type: ignore[no-untyped-def]
    """The cuts that take the pieces with `gone` bool[m] out, each from its line's start to the next piece's line.

    `start` int32[m] is where pieces begin, each in a line of its own. Pieces at the end of a text go with the white
    space before them. Writes document, first and last byte (relative to its text) to `row`, `begin`, `end`, each
    int64[m] at least, and the bytes cut from each document to `count` int64[n]; gives the number of cuts.
    """
    k = 0
    for d in range(len(offsets) - 1):
        origin = offsets[d]
        j = first[d]
        while j < first[d + 1]:
            if not gone[j]:
                j += 1
                continue
            a = _line_start(data, origin, np.int64(start[j]))
            while j < first[d + 1] and gone[j]:
                j += 1
            if j < first[d + 1]:
                b = _line_start(data, origin, np.int64(start[j]))
            else:
                b = offsets[d + 1]
                a = trim_space(data, origin, a)
            row[k], begin[k], end[k] = d, a - origin, b - origin
            count[d] += b - a
            k += 1
    return k


@njit(cache=True, nogil=True)
def _line_start(data, origin, i):  # type: ignore[no-untyped-def]
    """Where the line that byte `i` is in begins."""
    while i > origin and data[i - 1] != 0x0A:
        i -= 1
    return i
