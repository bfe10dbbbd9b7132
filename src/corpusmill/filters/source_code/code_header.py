"""Taking the header off source files, as RedPajama did.

First the lines from the top that are empty or begin, behind white space, with `//`, `#` or `--` go: usually a notice,
but also includes, shebangs and whatever else looks so. Then, of the 100 lines that now come first, the first `/* */`
goes if it has the word "copyright" in any case.
Source: `clean_copyright_comments` in togethercomputer/RedPajama-Data, branch rp_v1, `data_prep/github`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from corpusmill.scan import find_newline, skip_space
from corpusmill.text import Offsets, Texts

_TOP_LINES = 100
_WORD = np.frombuffer(b"copyright", dtype=np.uint8)


@dataclass(frozen=True)
class Stripped:
    """The texts without their headers, and int64[n] each:

    lines             taken off the top
    begin             where what is left begins, bytes into the data of the texts given
    cut_start, cut_stop
                      the comment cut out, there; both -1 for none
    """

    texts: Texts
    lines: Offsets
    begin: Offsets
    cut_start: Offsets
    cut_stop: Offsets

    def places(self, at: Offsets) -> Offsets:
        """int64[n]: where bytes `at` of the stripped texts' data are in the texts given, one for each text."""
        places = at - self.texts.offsets[:-1] + self.begin
        behind = (self.cut_start >= 0) & (places >= self.cut_start)
        return np.where(behind, places + self.cut_stop - self.cut_start, places)


def strip_headers(texts: Texts) -> Stripped:
    """All texts without their headers."""
    found = np.empty((4, len(texts)), dtype=np.int64)
    cleaned = np.empty(int(texts.offsets[-1] - texts.offsets[0]), dtype=np.uint8)
    offsets = np.zeros(len(texts) + 1, dtype=np.int64)
    _strip(texts.data, texts.offsets, found, cleaned, offsets)
    return Stripped(Texts(cleaned[: offsets[-1]], offsets), *found)


@njit(cache=True, nogil=True)
def _strip(data, offsets, found, cleaned, new_offsets):  # type: ignore[no-untyped-def]
    w = 0
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        lines = np.int64(0)
        while i < end:
            newline = find_newline(data, i, end)
            if newline > i and not _looks_like_header(data, skip_space(data, i, newline), newline):
                break
            lines += 1
            i = newline + 1
        i = min(i, end)
        a, b = _first_block(data, i, _top(data, i, end))
        if a < 0 or not _has_copyright(data, a, b):
            a = b = np.int64(-1)
        found[0, d], found[1, d], found[2, d], found[3, d] = lines, i, a, b
        for j in range(i, end if a < 0 else a):
            cleaned[w] = data[j]
            w += 1
        for j in range(end if a < 0 else b, end):
            cleaned[w] = data[j]
            w += 1
        new_offsets[d + 1] = w


@njit(cache=True, nogil=True)
def _looks_like_header(data, i, end):  # type: ignore[no-untyped-def]
    if i < end and data[i] == 0x23:
        return True
    return i + 1 < end and data[i] == data[i + 1] and (data[i] == 0x2F or data[i] == 0x2D)


@njit(cache=True, nogil=True)
def _top(data, i, end):  # type: ignore[no-untyped-def]
    """Where the first lines end."""
    for _ in range(_TOP_LINES):
        i = find_newline(data, i, end) + 1
        if i > end:
            return end
    return i - 1


@njit(cache=True, nogil=True)
def _first_block(data, i, end):  # type: ignore[no-untyped-def]
    """Where the first `/*` that is closed begins and ends, -1 twice for none."""
    while i + 3 < end:
        if data[i] == 0x2F and data[i + 1] == 0x2A:
            for j in range(i + 2, end - 1):
                if data[j] == 0x2A and data[j + 1] == 0x2F:
                    return np.int64(i), np.int64(j + 2)
            break
        i += 1
    return np.int64(-1), np.int64(-1)


@njit(cache=True, nogil=True)
def _has_copyright(data, i, end):  # type: ignore[no-untyped-def]
    """Whether the word occurs as Python's `re.IGNORECASE` has it, to which `İ` and `ı` are an `i` too."""
    at = 0
    j = i
    while j < end:
        c = data[j]
        size = 1
        if at == 5 and c == 0xC4 and j + 1 < end and (data[j + 1] == 0xB0 or data[j + 1] == 0xB1):
            c, size = np.uint8(0x69), 2
        if c | 0x20 == _WORD[at] and c >= 0x41:
            at += 1
            if at == len(_WORD):
                return True
        else:
            at = 1 if c | 0x20 == _WORD[0] and c >= 0x41 else 0
        j += size
    return False
