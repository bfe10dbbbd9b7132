"""Phrases that are looked for in lines, in any case: how they are given to kernels, and the kernels that find them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.filters.automaton import Machine, build_machine
from corpusmill.filters.c4.c4_lines import every_case
from corpusmill.scan import space_length
from corpusmill.unicode import char_before, decode

ANYWHERE, AT_END, AT_START = range(3)

ANY_CHARACTER = -1

_FOLDED = (*range(0x41, 0x5B), 0x130, 0x131, 0x17F, 0x212A)  # the characters that `lower` changes

Strings = tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.bool_]]


def pack(strings: Sequence[str], *, dots: bool = False) -> Strings:
    """The code points of all strings in lower case, where each begins, and for each byte whether one begins with it.

    `dots` makes a full stop ANY_CHARACTER.
    """
    codes = [[ANY_CHARACTER if dots and c == "." else ord(c) for c in string.lower()] for string in strings]
    offsets = np.zeros(len(codes) + 1, dtype=np.int64)
    np.cumsum([len(each) for each in codes], out=offsets[1:])
    firsts = np.zeros(256, dtype=np.bool_)
    for code in {each[0] for each in codes}:
        same = {other for other in _FOLDED if lower(other, True) == code}  # what `match` takes for it
        firsts[[chr(other).encode()[0] for other in {*same, code} - {ANY_CHARACTER}]] = True
        firsts |= code == ANY_CHARACTER
    return np.array([code for each in codes for code in each], dtype=np.int32), offsets, firsts


@lru_cache(maxsize=64)
def heads(strings: tuple[str, ...]) -> Machine:
    """Finds the first eight characters of each string up to a full stop: a page without any has none of the strings."""
    found = [string.lower()[:8].split(".")[0] for string in strings]
    if not all(found):  # then nothing can be told, and every page has one
        return build_machine({bytes([byte]): 1 for byte in range(0xF8)})  # UTF-8 has no others
    return build_machine(every_case(dict.fromkeys(found, 1), {"k": "\u212a", "s": "ſ", "i": "ıİ"}), ascii_case=True)


@njit(cache=True, nogil=True)
def lower(code, loose):  # type: ignore[no-untyped-def]
    """Lower case of ASCII and of the Kelvin sign; `loose` as Python's IGNORECASE has it: İ and ı are i, ſ is s."""
    if 0x41 <= code <= 0x5A:
        return code + 0x20
    if code == 0x212A:
        return 0x6B
    if loose and (code == 0x130 or code == 0x131):
        return 0x69
    return 0x73 if loose and code == 0x17F else code


@njit(cache=True, nogil=True)
def match(out, i, b, codes, first, last, loose):  # type: ignore[no-untyped-def]
    """Position behind the phrase codes[first:last] at `i` in any case, -1 where it is not there."""
    for k in range(first, last):
        if i >= b:
            return -1
        code, length = decode(out, i, b)
        if codes[k] != ANY_CHARACTER and lower(code, loose) != codes[k]:
            return -1
        i += length
    return i


@njit(cache=True, nogil=True)
def cut_phrases(out, a, b, at, stop, place, phrases):  # type: ignore[no-untyped-def]
    """Take the phrase from `at` to `stop` out of the line, and those behind it; the line's new end and how many."""
    cuts = 0
    w = i = a
    while at >= 0:
        cuts += 1
        for k in range(i, at):
            out[w] = out[k]
            w += 1
        i = stop
        at = -1
        if place == ANYWHERE:
            at, stop = find_phrase(out, i, b, place, phrases)
    for k in range(i, b):
        out[w] = out[k]
        w += 1
    return w, cuts


@njit(cache=True, nogil=True)
def find_phrase(out, i, b, place, phrases):  # type: ignore[no-untyped-def]
    """Where the first phrase begins and ends, with one white space before it (AT_START: behind it); -1, -1 if none."""
    codes, offsets, first_bytes = phrases
    begin, at, stop = i, np.int64(-1), np.int64(-1)
    for p in range(len(offsets) - 1) if place == AT_END else range(0):
        start = b
        for _ in range(offsets[p], offsets[p + 1]):
            if start > begin:
                start = char_before(out, begin, start)
        if (at < 0 or start < at) and match(out, start, b, codes, offsets[p], offsets[p + 1], True) == b:
            at, stop = start, b
    while place != AT_END and i < b and at < 0:
        if first_bytes[out[i]]:
            for p in range(len(offsets) - 1):
                behind = match(out, i, b, codes, offsets[p], offsets[p + 1], True)
                if behind >= 0:
                    at, stop = i, behind
                    break
        i = b if place == AT_START else i + 1
    if at >= 0 and place == AT_START:
        stop += space_length(out, stop, b) if stop < b else 0
    elif at > begin:
        before = char_before(out, begin, at)
        at = before if space_length(out, before, b) else at
    return at, stop
