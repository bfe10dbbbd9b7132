"""Cuts: bytes that a barrier takes out of texts. Made from whole pieces, such as lines; applied when a file is read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpusmill.scan import copy_bytes, find_newline, trim_space
from corpusmill.steps import Pieces
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


def covered(pieces: Pieces, keys: Numbers) -> npt.NDArray[np.bool_]:
    """bool[m]: the pieces that the keys, numbers of pieces int64[f], stand for."""
    m = len(pieces.start)
    depth = np.bincount(keys, minlength=m + 1) - np.bincount(keys + pieces.covers[keys], minlength=m + 1)
    inside: npt.NDArray[np.bool_] = np.cumsum(depth[:m]) > 0
    return inside


def cuts_of_pieces(
    texts: Texts, start: npt.NDArray[np.int32], first: Numbers, gone: npt.NDArray[np.bool_]
) -> tuple[Numbers, Numbers]:
    """The cuts that take out pieces: int64[3, k], the columns of CUT; int64[n], the bytes cut from each text.

    `start` int32[m], where pieces begin, and `first` int64[n + 1] are as in `Pieces`; `gone` bool[m] are those to take
    out. `row` is the position of the text. Of the white space before, between and behind pieces that go together, the
    one with the most line feeds stays (the first of those), and the lines around stay as they are. At the beginning of
    a text it is the white space before that stays; what goes from the end takes all white space there along.
    """
    cuts = np.empty((len(CUT), len(start)), dtype=np.int64)
    count = np.zeros(len(texts), dtype=np.int64)
    k = _cut_pieces(texts.data, texts.offsets, start, first, gone, *cuts, count)
    return cuts[:, :k], count


@njit(cache=True, nogil=True)
def _cut_out(data, offsets, first, last, start, stop, out, new_offsets):  # type: ignore[no-untyped-def]
    w = 0
    for d in range(len(offsets) - 1):
        i = offsets[d]
        for k in range(first[d], last[d]):
            w = copy_bytes(data, i, offsets[d] + start[k], out, w)
            i = offsets[d] + stop[k]
        w = copy_bytes(data, i, offsets[d + 1], out, w)
        new_offsets[d + 1] = w


@njit(cache=True, nogil=True)
def _cut_pieces(data, offsets, start, first, gone, row, begin, end, count):  # type: ignore[no-untyped-def]
    """Write the cuts of the pieces with `gone` bool[m], and the bytes cut from each document; how many cuts."""
    k = 0
    for d in range(len(offsets) - 1):
        origin = done = offsets[d]
        j = first[d]
        while j < first[d + 1]:
            if not gone[j]:
                j += 1
                continue
            run = j
            while j < first[d + 1] and gone[j]:
                j += 1
            if j < first[d + 1]:
                a, gap, rest, b = _cut_between(data, origin, start, run, j)
            else:
                a, b = trim_space(data, origin, np.int64(start[run])), offsets[d + 1]
                gap = rest = b
            a, done = max(a, done), b  # between two cuts there may be nothing but a piece of white space
            row[k], begin[k], end[k] = d, a - origin, gap - origin
            k += 1
            if rest < b:
                row[k], begin[k], end[k] = d, rest - origin, b - origin
                k += 1
            count[d] += gap - a + b - rest
    return k


@njit(cache=True, nogil=True)
def _cut_between(data, origin, start, run, j):  # type: ignore[no-untyped-def]
    """The cut, or the two, that take the pieces `run` to `j` out: where the first begins and ends, then the second."""
    a, b = np.int64(start[run]), np.int64(start[j])
    before, behind = trim_space(data, origin, a), trim_space(data, a, b)
    feeds_before, feeds_behind = _line_feeds(data, before, a), _line_feeds(data, behind, b)
    most, gap, rest = feeds_behind, behind, b  # of the white space that may stay: its line feeds, where it is
    for t in range(j - 1, run, -1):
        i = np.int64(start[t])
        stop = trim_space(data, a, i)
        feeds = _line_feeds(data, stop, i)
        if feeds >= most and feeds > 0:
            most, gap, rest = feeds, stop, i
    if before == origin or feeds_before >= most:
        if feeds_behind == 0:
            return a, b, b, b
        b = _line_start(data, behind, b)
        return _line_start(data, origin, a), b, b, b
    gap = find_newline(data, gap, rest)
    if feeds_before > 0:
        before = find_newline(data, before, a)
    if feeds_behind > 0:
        rest, b = _line_start(data, a, rest), _line_start(data, behind, b)
    return before, gap, rest, b


@njit(cache=True, nogil=True)
def _line_feeds(data, i, stop):  # type: ignore[no-untyped-def]
    feeds = 0
    for j in range(i, stop):
        feeds += data[j] == 0x0A
    return feeds


@njit(cache=True, nogil=True)
def _line_start(data, origin, i):  # type: ignore[no-untyped-def]
    """Where the line that byte `i` is in begins."""
    while i > origin and data[i - 1] != 0x0A:
        i -= 1
    return i
