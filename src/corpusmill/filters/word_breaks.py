"""Counting the segments of UAX #29 (word boundaries) that are not white space, punctuation too, as `uniseg` cuts them.

`Texts.script_words` has the words among these and cuts them further in scripts without spaces; Dolma counts them all.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import regex
from numba import njit

from corpusmill.scan import SPACE_KINDS, space_length
from corpusmill.text import Texts
from corpusmill.unicode import decode

_NAMES = (
    *("Other", "ALetter", "Hebrew_Letter", "Numeric", "Katakana", "ExtendNumLet", "MidLetter", "MidNumLet", "MidNum"),
    *("Single_Quote", "Double_Quote", "Extend", "Format", "ZWJ", "CR", "LF", "Newline", "WSegSpace"),
    "Regional_Indicator",
)
_KIND = {name: np.int64(number) for number, name in enumerate(_NAMES)}
_HEBREW, _QUOTE = _KIND["Hebrew_Letter"], _KIND["Single_Quote"]
_EXTEND, _ZWJ = _KIND["Extend"], _KIND["ZWJ"]
_CR, _LF, _NEWLINE, _SPACE, _REGIONAL = (_KIND[name] for name in _NAMES[14:])
_PICTOGRAPH = np.uint8(32)
_KINDS = 32


@cache
def _classes() -> npt.NDArray[np.uint8]:
    """uint8[0x110000]: Word_Break, and Extended_Pictographic as a flag."""
    codes = np.delete(np.arange(0x110000), np.arange(0xD800, 0xE000))
    every = "".join(map(chr, codes.tolist()))
    classes = np.zeros(0x110000, dtype=np.uint8)
    for name in _NAMES[1:]:
        for found in regex.finditer(rf"\p{{Word_Break={name}}}+", every):
            classes[codes[found.start() : found.end()]] = _KIND[name]
    for found in regex.finditer(r"\p{Extended_Pictographic}+", every):
        classes[codes[found.start() : found.end()]] |= _PICTOGRAPH
    classes.setflags(write=False)
    return classes


def _joins() -> npt.NDArray[np.uint8]:
    """uint8[before, after]: 1 where no boundary lies between (WB5, 7a, 8 to 10, 13 to 13b), 2 where what follows tells.

    2 stands where `after` is a mark that may lie inside a word (WB6, 7b, 12).
    """
    table = np.zeros((_KINDS, _KINDS), dtype=np.uint8)
    letters = [_KIND["ALetter"], _HEBREW]
    for a in (*letters, _KIND["Numeric"], _KIND["ExtendNumLet"]):
        table[a, [*letters, _KIND["Numeric"], _KIND["ExtendNumLet"]]] = 1
    table[_KIND["Katakana"], [_KIND["Katakana"], _KIND["ExtendNumLet"]]] = 1
    table[_KIND["ExtendNumLet"], _KIND["Katakana"]] = 1
    for a in letters:
        table[a, [_KIND["MidLetter"], _KIND["MidNumLet"], _QUOTE]] = 2
    table[_HEBREW, _QUOTE] = 1
    table[_HEBREW, _KIND["Double_Quote"]] = 2
    table[_KIND["Numeric"], [_KIND["MidNum"], _KIND["MidNumLet"], _QUOTE]] = 2
    return table


def _around() -> npt.NDArray[np.bool_]:
    """bool[before, mark, after]: no boundary around the mark (WB6, 7, 7b, 7c, 11, 12)."""
    table = np.zeros((_KINDS, _KINDS, _KINDS), dtype=np.bool_)
    letters = [_KIND["ALetter"], _HEBREW]
    for a in letters:
        for mark in ("MidLetter", "MidNumLet", "Single_Quote"):
            table[a, _KIND[mark], letters] = True
    table[_HEBREW, _KIND["Double_Quote"], _HEBREW] = True
    for mark in ("MidNum", "MidNumLet", "Single_Quote"):
        table[_KIND["Numeric"], _KIND[mark], _KIND["Numeric"]] = True
    return table


_JOINS, _AROUND = _joins(), _around()


def count_segments(texts: Texts) -> npt.NDArray[np.int64]:
    """int64[n]: segments of each text that have a character other than white space."""
    return _count_segments(texts.data, texts.offsets, _classes())


@njit(cache=True, nogil=True)
def _count_segments(data, offsets, classes):  # type: ignore[no-untyped-def]
    counts = np.zeros(len(offsets) - 1, dtype=np.int64)
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        count = 0
        blank = False  # the segment so far is white space
        raw = before = earlier = np.int64(-1)  # the character before; that and the one before it, marks left aside
        regional = False  # an odd number of regional indicators, before
        while i < end:
            code, k = np.int64(data[i]), 1
            if code >= 0x80:
                code, k = decode(data, i, end)
            flags = classes[code]
            kind = np.int64(flags & 31)
            ignored = _EXTEND <= kind <= _ZWJ
            if raw < 0 or _CR <= raw <= _NEWLINE or _CR <= kind <= _NEWLINE:
                joined = raw == _CR and kind == _LF
            elif ignored or (raw == _ZWJ and flags & _PICTOGRAPH) or (raw == _SPACE and kind == _SPACE):
                joined = True
            else:
                join = _JOINS[before, kind] if before >= 0 else np.uint8(0)
                joined = join == 1
                if not joined and earlier >= 0 and _AROUND[earlier, before, kind]:
                    joined = True
                if not joined and join == 2:
                    joined = _AROUND[before, kind, _next_kind(data, i + k, end, classes)]
                if not joined and regional and kind == _REGIONAL:
                    joined = True
            space = SPACE_KINDS[code] == 1 if code < 0x80 else space_length(data, i, end) > 0
            if not joined or (blank and not space):
                count += not space
                blank = space
            if not ignored:
                earlier, before = before, kind
                regional = kind == _REGIONAL and not regional
            raw = kind
            i += k
        counts[d] = count
    return counts


@njit(cache=True, nogil=True)
def _next_kind(data, i, end, classes):  # type: ignore[no-untyped-def]
    """Of the next character that is not ignored, 0 (Other) where there is none."""
    while i < end:
        code, k = decode(data, i, end)
        kind = np.int64(classes[code] & 31)
        if not _EXTEND <= kind <= _ZWJ:
            return kind
        i += k
    return np.int64(0)
