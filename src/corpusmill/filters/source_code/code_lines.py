"""Lengths of lines and kinds of characters, counted as Python's `str` counts them: in code points, never in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.scan import Bytes
from corpusmill.text import Offsets, Texts
from corpusmill.unicode import ALPHABETIC, LETTER, NUMERIC, char_classes, decode

_ALPHANUMERIC, _ALPHABETIC, _LINE_FEED, _SPLITS, _LEAD = (np.uint8(1 << k) for k in range(5))
_ENDS = np.uint8(_LINE_FEED | _SPLITS | _LEAD)


def _kinds(alphanumeric: str) -> Bytes:
    kinds = np.zeros(256, dtype=np.uint8)
    for c in range(128):
        kinds[c] |= _ALPHANUMERIC * (chr(c).isalnum() or chr(c) in alphanumeric)
        kinds[c] |= _ALPHABETIC * chr(c).isalpha()
        kinds[c] |= _SPLITS * (len(f"a{chr(c)}a".splitlines()) > 1)
    kinds[0x0A] |= _LINE_FEED
    kinds[0xC0:] |= _LEAD
    return kinds


_PYTHON, _NEMO = _kinds(""), _kinds("\n?!,.")


@dataclass(frozen=True)
class LineCounts:
    """For each of n texts, int64[n] each.

    lines           lines of the text
    line_chars      code points in them, without what ends them
    longest_start, longest_stop
                    the first of the longest lines, bytes into `Texts.data`
    longest_chars   its code points
    head_stop       where the first `head` lines end, bytes into `Texts.data`
    chars           code points of the text
    alphanumeric, alphabetic
                    characters of these kinds
    """

    lines: Offsets
    line_chars: Offsets
    longest_start: Offsets
    longest_stop: Offsets
    longest_chars: Offsets
    head_stop: Offsets
    chars: Offsets
    alphanumeric: Offsets
    alphabetic: Offsets


def count_lines(texts: Texts, style: Literal["python", "nemo"] = "python", head: int = 0) -> LineCounts:
    """One pass over the texts.

    "python": lines as `str.splitlines` cuts them, and the characters `str.isalnum` and `str.isalpha` are true of.
    "nemo": lines as `str.split("\\n")` cuts them, so one more than line feeds; alphanumeric are ASCII letters and
    digits, line feed, `?`, `!`, `,` and `.`; alphabetic is what Unicode says.
    """
    nemo = style == "nemo"
    masks = (np.uint8(0), ALPHABETIC) if nemo else (np.uint8(LETTER | NUMERIC), LETTER)
    counts = np.zeros((9, len(texts)), dtype=np.int64)
    _count(texts.data, texts.offsets, _NEMO if nemo else _PYTHON, nemo, masks, head, char_classes(), counts)
    return LineCounts(*counts)


def ratio(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """float64[n]: `part` over `whole`, 0 where there is nothing to divide by."""
    shares: npt.NDArray[np.float64] = np.where(whole > 0, part / np.maximum(whole, 1), 0.0)
    return shares


@njit(cache=True, nogil=True)
def _count(data, offsets, kinds, line_feeds, masks, head, classes, counts):  # type: ignore[no-untyped-def]
    """Fill int64[9, n], rows as in LineCounts."""
    alphanumeric_mask, alphabetic_mask = masks
    line_end = _LINE_FEED if line_feeds else _SPLITS
    for d in range(len(offsets) - 1):
        i = start = offsets[d]
        end = offsets[d + 1]
        lines = line_chars = alphanumeric = alphabetic = np.int64(0)
        later = before = np.int64(0)  # bytes that continue a character, in the text and before this line
        longest, longest_start, longest_stop, head_stop = np.int64(-1), start, start, end if head else start
        while True:
            size = np.int64(1)
            ends = i == end
            if not ends:
                kind = kinds[data[i]]
                alphanumeric += np.int64(kind & _ALPHANUMERIC)
                alphabetic += np.int64((kind & _ALPHABETIC) >> 1)
                if not kind & _ENDS:
                    i += 1
                    continue
                if kind & _LEAD:
                    code, size = decode(data, i, end)
                    later += size - 1
                    alphanumeric += np.int64(classes[code] & alphanumeric_mask != 0)
                    alphabetic += np.int64(classes[code] & alphabetic_mask != 0)
                    ends = not line_feeds and (code == 0x85 or code == 0x2028 or code == 0x2029)
                else:
                    ends = kind & line_end != 0
            if ends and (i < end or i > start or line_feeds):
                chars = i - start - (later - before - (size - 1))
                lines += 1
                line_chars += chars
                if chars > longest:
                    longest, longest_start, longest_stop = chars, start, i
                if lines == head:
                    head_stop = i
                if i < end and not line_feeds and data[i] == 0x0D and i + 1 < end and data[i + 1] == 0x0A:
                    alphanumeric += np.int64(kinds[0x0A] & _ALPHANUMERIC)
                    size = np.int64(2)
                start, before = i + size, later
            if i == end:
                break
            i += size
        chars = end - offsets[d] - later
        found = (lines, line_chars, longest_start, longest_stop, max(longest, 0), head_stop, chars)
        for row in range(7):
            counts[row, d] = found[row]
        counts[7, d], counts[8, d] = alphanumeric, alphabetic
