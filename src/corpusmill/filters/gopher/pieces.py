"""Cutting texts into lines and paragraphs the ways other tools do, where `Texts.lines` and `.paragraphs` differ."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numba import njit

from corpusmill.filters.c4.c4_lines import find_line_end
from corpusmill.scan import find_newline, hash_span, skip_space, trim_space
from corpusmill.text import Spans, Texts

Break = Literal["\n", "\n+", "\n\n", "\n\n+", "splitlines"]
_BREAKS: tuple[Break, ...] = ("\n", "\n+", "\n\n", "\n\n+", "splitlines")
_SPLITLINES = 4


def cut(texts: Texts, at: Break, *, whole: bool = True, strip: bool = False, blank: bool = True) -> Spans:
    r"""The pieces between the breaks: `\n+` is a run of line feeds, `\n\n+` one of at least two.

    As with `str.split` and `re.split` a break at the very end leaves an empty piece behind it; `splitlines` gives the
    pieces of that method. `whole = False` strips the text before it is cut, `strip` every piece, and
    `blank = False` leaves out those that are white space.
    """
    most = int(texts.offsets[-1] - texts.offsets[0]) + len(texts)
    start, stop, chars = (np.empty(most, dtype=np.int32) for _ in range(3))
    hashes = np.empty(most, dtype=np.uint64)
    first = np.zeros(len(texts) + 1, dtype=np.int64)
    how = (_BREAKS.index(at), whole, strip, blank)
    m = _cut(texts.data, texts.offsets, how, start, stop, chars, hashes, first)
    return Spans(start[:m], stop[:m], chars[:m], hashes[:m], first)


@njit(cache=True, nogil=True)
def _cut(data, offsets, how, start, stop, chars, hashes, first):  # type: ignore[no-untyped-def]
    at, whole, strip, blank = how
    m = 0
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        if not whole:
            i = skip_space(data, i, end)
            end = trim_space(data, i, end)
        more = at != _SPLITLINES or i < end
        while more:
            b = find_line_end(data, i, end) if at == _SPLITLINES else _find_break(data, i, end, at)
            begin, last = i, b
            i = _after_break(data, b, end, at)
            more = i < end or (b < end and at != _SPLITLINES)
            inside = skip_space(data, begin, last) if strip or not blank else begin
            if not blank and inside == last:
                continue
            if strip:
                begin, last = inside, trim_space(data, inside, last)
            start[m] = begin
            stop[m] = last
            hashes[m], chars[m] = hash_span(data, begin, last)
            m += 1
        first[d + 1] = m
    return m


@njit(cache=True, nogil=True)
def _find_break(data, i, end, at):  # type: ignore[no-untyped-def]
    """Where the first break from `i` on begins, `end` where there is none."""
    i = find_newline(data, i, end)
    if at >= 2:
        while i < end and not (i + 1 < end and data[i + 1] == 0x0A):
            i = find_newline(data, i + 1, end)
    return i


@njit(cache=True, nogil=True)
def _after_break(data, b, end, at):  # type: ignore[no-untyped-def]
    """Behind the break at `b`."""
    if b >= end:
        return end
    if at == _SPLITLINES:
        if data[b] == 0x0D and b + 1 < end and data[b + 1] == 0x0A:
            return b + 2
        return b + 1 + (data[b] >= 0xC0) + (data[b] >= 0xE0)
    b += 1 + (at >= 2)
    if at % 2:
        while b < end and data[b] == 0x0A:
            b += 1
    return b
