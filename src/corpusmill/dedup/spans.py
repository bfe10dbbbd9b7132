"""Barriers that take runs of bytes out of texts, and what becomes of the runs they find: cuts at whole characters."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.cuts import CUT, cuts_of_pieces
from corpusmill.dedup.anchors import Anchors, Records
from corpusmill.dedup.lines import find_lines
from corpusmill.dedup.sentences import Sentences
from corpusmill.dedup.windows import FIRST, LATER, SHARED
from corpusmill.scan import Bytes, skip_space
from corpusmill.steps import Barrier
from corpusmill.text import Texts

Snap = Literal["none", "line", "sentence"]
Numbers = npt.NDArray[np.int64]

_SENTENCES = Sentences(span=1)


@dataclass(frozen=True)
class Cuts:
    """What is cut out of n texts.

    row, start, stop  int64[k]: bytes `start` to `stop` of text `row`, the columns of CUT: rising and apart
    cut               int64[n], bytes cut from each text
    blank             bool[n], texts that something is cut from and nothing but white space is left of
    """

    row: Numbers
    start: Numbers
    stop: Numbers
    cut: Numbers
    blank: npt.NDArray[np.bool_]


class SpanBarrier(Barrier):
    """Runs of bytes that are elsewhere in the corpus are taken out, found through anchors that copies have in common.

    1. For each file the `anchors` of its texts; they are sorted by their key, the field `high`.
    2. For each group of keys: those that `anchors.live` names, sorted by document.
    3. For each file the bytes that they stand for, by `extract`; only these are written, no text is.
    4. For each group of keys, whole buckets at a time: the `spans` of its live anchors, sorted by document.
    5. For each file the `cuts` that its spans make.

    `keep` is `first`, the first copy in the order of source names and locators stays, or `none`: what two documents
    share goes from both, and what a single document repeats stays once.
    """

    min_bytes: int
    """Bytes of a window."""

    @abstractmethod
    def anchors(self, texts: Texts) -> Anchors:
        """The anchors of a batch; their documents are its rows."""

    @abstractmethod
    def extract(self, texts: Texts, records: Records) -> tuple[Bytes, Numbers]:
        """The bytes that anchors stand for, and int64[m] where in them each begins.

        `records` is ANCHOR[m], sorted by document and start; documents are rows.
        """

    @abstractmethod
    def spans(self, records: Records, data: Bytes, at: Numbers) -> Records:
        """SPAN[k], what occurs twice or more, in no particular order.

        `records` is ANCHOR[m], all live anchors of each key that is in it; the bytes of each are in `data` from
        int64[m] `at` on; documents are ordinals.
        """

    @abstractmethod
    def cuts(self, texts: Texts, spans: Records) -> Cuts:
        """The cuts of a batch, from all of its spans in any order; documents are rows."""


def cuts_of_spans(texts: Texts, spans: Records, snap: Snap) -> Cuts:
    """What is LATER but nowhere FIRST, and what is SHARED, but for characters that are in it only in part.

    With `snap` only the lines that are not blank, or the sentences, go of which all bytes but white space at their ends
    are in it; what becomes of the white space around them `cuts_of_pieces` says.
    """
    spans = spans[np.argsort(spans["document"], kind="stable")]
    first = np.searchsorted(spans["document"], np.arange(len(texts) + 1, dtype=np.uint64)).astype(np.int64)
    start, stop = (spans[name].astype(np.int64) for name in ("start", "stop"))
    cuts = np.empty((len(CUT), len(spans)), dtype=np.int64)
    cut = np.zeros(len(texts), dtype=np.int64)
    k = _cut_spans(texts.data, texts.offsets, first, start, stop, np.ascontiguousarray(spans["kind"]), *cuts, cut)
    cuts = cuts[:, :k]
    if snap != "none" and k:
        pieces = find_lines(texts) if snap == "line" else _SENTENCES.pieces(texts)
        gone = np.zeros(len(pieces.start), dtype=np.bool_)
        _inside(texts.offsets, pieces.first, pieces.start, pieces.stop, *cuts, gone)
        cuts, cut = cuts_of_pieces(texts, pieces.start, pieces.first, gone)
    blank = cut > 0
    _find_blank(texts.data, texts.offsets, *cuts, blank)
    return Cuts(cuts[0], cuts[1], cuts[2], cut, blank)


@njit(cache=True, nogil=True)
def _cut_spans(data, offsets, first, start, stop, kind, row, begin, end, cut):  # type: ignore[no-untyped-def]
    """The runs of bytes to cut: their number, no more than that of spans."""
    longest = np.int64(0)
    for d in range(len(offsets) - 1):
        if first[d + 1] > first[d]:
            longest = max(longest, offsets[d + 1] - offsets[d])
    marks = np.empty(longest, np.uint8)
    k = 0
    for d in range(len(offsets) - 1):
        if first[d + 1] == first[d]:
            continue
        length = offsets[d + 1] - offsets[d]
        marks[:length] = 0
        for wanted in (LATER, FIRST, SHARED):  # each overrules those before
            for s in range(first[d], first[d + 1]):
                if kind[s] == wanted:
                    marks[start[s] : stop[s]] = wanted != FIRST
        i = np.int64(0)
        while i < length:
            a, i = _run(marks, i, length)
            b = i
            while a < b and (data[offsets[d] + a] & 0xC0) == 0x80:
                a += 1
            while a < b < length and (data[offsets[d] + b] & 0xC0) == 0x80:
                b -= 1
            if a < b:
                row[k], begin[k], end[k] = d, a, b
                cut[d] += b - a
                k += 1
    return k


@njit(cache=True, nogil=True)
def _run(marks, i, length):  # type: ignore[no-untyped-def]
    """Where the next run of marks begins and ends."""
    while i < length and not marks[i]:
        i += 1
    start = i
    while i < length and marks[i]:
        i += 1
    return start, i


@njit(cache=True, nogil=True)
def _inside(offsets, first, start, stop, row, begin, end, gone):  # type: ignore[no-untyped-def]
    """Mark the pieces, rising, that are whole in one of the runs."""
    k = 0
    for d in range(len(offsets) - 1):
        origin = offsets[d]
        for j in range(first[d], first[d + 1]):
            while k < len(row) and (row[k] < d or (row[k] == d and end[k] < stop[j] - origin)):
                k += 1
            gone[j] = k < len(row) and row[k] == d and begin[k] <= start[j] - origin


@njit(cache=True, nogil=True)
def _find_blank(data, offsets, row, begin, end, blank):  # type: ignore[no-untyped-def]
    """Clear `blank` where more than white space is left beside the cuts."""
    k = 0
    for d in range(len(offsets) - 1):
        i = np.int64(0)
        while k < len(row) and row[k] == d:
            blank[d] &= skip_space(data, offsets[d] + i, offsets[d] + begin[k]) == offsets[d] + begin[k]
            i = end[k]
            k += 1
        blank[d] &= skip_space(data, offsets[d] + i, offsets[d + 1]) == offsets[d + 1]
