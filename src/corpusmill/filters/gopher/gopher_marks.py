"""Kernels that count marks in whole texts, and what lines begin and end with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.scan import Bytes, eight_bytes, load64, trailing_zeros
from corpusmill.text import Offsets, Spans, Texts

Counts = npt.NDArray[np.int64]
Patterns = tuple[Bytes, Offsets, npt.NDArray[np.bool_]]
"""Byte strings one behind the other, where each begins, and which bytes one of them has at its outer end."""

_HASHES = np.uint64(0x2323232323232323)
_DOTS = np.uint64(0x2E2E2E2E2E2E2E2E)
_ELLIPSIS_ENDS = np.uint64(0xA6A6A6A6A6A6A6A6)  # `…` is E2 80 A6


def count_marks(texts: Texts) -> Counts:
    """int64[2, n]: `#`; `...` that do not overlap and `…`."""
    return _count_marks(texts.data, texts.offsets)


def count_spaced_dots(texts: Texts) -> Counts:
    """int64[n]: `. . .` that do not overlap."""
    return _count_spaced_dots(texts.data, texts.offsets)


def patterns(strings: Sequence[str], *, at_end: bool) -> Patterns:
    """Strings for `count_edges` to look for at the beginning or the end of lines."""
    encoded = [string.encode() for string in strings]
    outer = np.zeros(256, dtype=np.bool_)
    outer[[string[-1 if at_end else 0] for string in encoded]] = True
    starts = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), starts, outer


def count_edges(texts: Texts, lines: Spans, heads: Patterns, tails: Patterns, *, any_case: bool) -> Counts:
    """int64[2, n]: lines that begin with one of `heads`, lines that end with one of `tails`.

    With `any_case` capital ASCII letters of the lines are taken for small ones.
    """
    return _count_edges(texts.data, lines.start, lines.stop, lines.first, heads, tails, any_case)


@njit(cache=True, nogil=True)
def _equal_bytes(x, pattern):  # type: ignore[no-untyped-def]
    """The highest bit of each byte of `x` that equals the one of `pattern`."""
    x ^= pattern
    low = np.uint64(0x7F7F7F7F7F7F7F7F)
    return ~(((x & low) + low) | x | low)


@njit(cache=True, nogil=True)
def _count_marks(data, offsets):  # type: ignore[no-untyped-def]
    marks = np.zeros((2, len(offsets) - 1), dtype=np.int64)
    for d in range(len(offsets) - 1):
        i, begin, end = offsets[d], offsets[d], offsets[d + 1]
        hashes = ellipses = np.int64(0)
        counted = begin  # full stops before have been
        while i < end:
            x = load64(data, i) if i + 8 <= end else eight_bytes(data, i, end)
            found = _equal_bytes(x, _HASHES) >> np.uint64(7)
            hashes += np.int64((found * np.uint64(0x0101010101010101)) >> np.uint64(56))
            dots = _equal_bytes(x, _DOTS)
            # two in a row, or the last one: what follows it isn't seen
            found = dots & ((dots >> np.uint64(8)) | np.uint64(0x8000000000000000)) | _equal_bytes(x, _ELLIPSIS_ENDS)
            while found:
                j = i + (trailing_zeros(found) >> 3)
                found &= found - np.uint64(1)
                if data[j] != 0x2E:
                    ellipses += j - 2 >= begin and data[j - 1] == 0x80 and data[j - 2] == 0xE2
                elif j >= counted:
                    counted = j + 1
                    while counted < end and data[counted] == 0x2E:
                        counted += 1
                    ellipses += (counted - j) // 3
            i += 8
        marks[0, d] = hashes
        marks[1, d] = ellipses
    return marks


@njit(cache=True, nogil=True)
def _count_spaced_dots(data, offsets):  # type: ignore[no-untyped-def]
    counts = np.zeros(len(offsets) - 1, dtype=np.int64)
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        while i + 4 < end:
            dots = data[i] == 0x2E and data[i + 2] == 0x2E and data[i + 4] == 0x2E
            if dots and data[i + 1] == 0x20 and data[i + 3] == 0x20:
                counts[d] += 1
                i += 4
            i += 1
    return counts


@njit(cache=True, nogil=True)
def _count_edges(data, start, stop, first, heads, tails, any_case):  # type: ignore[no-untyped-def]
    counts = np.zeros((2, len(first) - 1), dtype=np.int64)
    maybe_head, maybe_tail = heads[2], tails[2]
    for d in range(len(first) - 1):
        begun = ended = 0
        for j in range(first[d], first[d + 1]):
            a, b = np.int64(start[j]), np.int64(stop[j])
            if a == b:
                continue
            if maybe_head[_small(data[a], any_case)]:
                begun += _has_edge(data, a, b, heads, False, any_case)
            if maybe_tail[_small(data[b - 1], any_case)]:
                ended += _has_edge(data, a, b, tails, True, any_case)
        counts[0, d] = begun
        counts[1, d] = ended
    return counts


@njit(cache=True, nogil=True)
def _has_edge(data, a, b, wanted, at_end, any_case):  # type: ignore[no-untyped-def]
    strings, starts, _ = wanted
    for k in range(len(starts) - 1):
        length = starts[k + 1] - starts[k]
        if length > b - a:
            continue
        i = b - length if at_end else a
        same = True
        for n in range(length):
            same &= _small(data[i + n], any_case) == strings[starts[k] + n]
        if same:
            return True
    return False


@njit(cache=True, nogil=True)
def _small(c, any_case):  # type: ignore[no-untyped-def]
    return c | np.uint8(0x20) if any_case and 0x41 <= c <= 0x5A else c
