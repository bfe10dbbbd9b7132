"""Which marks come off the front and the end of a chunk for spaCy, and which split what is left."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.scan import eight_bytes
from corpusmill.segment_spacy_rules import (
    ALPHA,
    CURRENCY,
    DOT_BEHIND,
    ICON,
    LOWER,
    PREFIX,
    QUOTE,
    SUFFIX,
    UNITS,
    UPPER,
)
from corpusmill.unicode import char_before, decode


def _ascii(chars: str) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, dtype=np.bool_)
    table[[ord(char) for char in chars]] = True
    return table


LETTER = _ascii("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
ALNUM = LETTER | _ascii("0123456789")
CLOSING = _ascii(",;:!?)")
"""Comes off the end; and no special case is letters with one of these behind."""
_MAYBE_INFIX = _ascii(".+-*^,:<>=/~")
_MAYBE_INFIX[0xC2:] = True

HINT_DIGIT, HINT_DOT, HINT_INFIX = np.uint8(1), np.uint8(2), np.uint8(4)
HINTS = (HINT_DIGIT * _ascii("0123456789") | HINT_DOT * _ascii(".") | HINT_INFIX * _MAYBE_INFIX).astype(np.uint8)
"""What a chunk with this byte may have: a unit behind a digit, a host's dot, an infix."""

_UNIT_BYTES = max(len(unit.encode()) for unit in UNITS)
_UNITS = np.array(
    [
        (len(raw), *(int.from_bytes(raw[k : k + 8], "little") for k in (0, 8)))
        for raw in (unit.encode() for unit in UNITS)
    ],
    dtype=np.uint64,
)


@njit(cache=True, nogil=True, forceinline=True)
def digit(c):  # type: ignore[no-untyped-def]
    """Whether the byte is an ASCII digit."""
    return 0x30 <= c <= 0x39


@njit(cache=True, nogil=True)
def has_dot(data, i, b, hints):  # type: ignore[no-untyped-def]
    """Whether there is a full stop from `i` to `b`, in a chunk of these hints."""
    if hints & HINT_DOT:
        while i < b:
            if data[i] == 0x2E:
                return True
            i += 1
    return False


@njit(cache=True, nogil=True, forceinline=True)
def _dots(data, i, b):  # type: ignore[no-untyped-def]
    """Position behind the full stops at `i`."""
    while i < b and data[i] == 0x2E:
        i += 1
    return i


@njit(cache=True, nogil=True, forceinline=True)
def prefix_length(data, a, b, classes):  # type: ignore[no-untyped-def]
    """Bytes that come off the front."""
    c = data[a]
    if ALNUM[c]:
        if c == 0x41 or c == 0x43:  # A$, C$
            return 2 * (a + 1 < b and data[a + 1] == 0x24)
        return 3 * (c == 0x55 and a + 2 < b and data[a + 1] == 0x53 and data[a + 2] == 0x24)
    if c == 0x2E:
        dots = _dots(data, a, b) - a
        return dots if dots > 1 else 0
    if c == 0x2B:
        return 1 - (a + 1 < b and digit(data[a + 1]))
    code, k = decode(data, a, b)
    return k if classes[code] & PREFIX else 0


@njit(cache=True, nogil=True, forceinline=True)
def suffix_length(data, a, b, classes, hints):  # type: ignore[no-untyped-def]
    """Bytes that come off the end of the bytes from `a` on; of several rules the one that takes most."""
    i = char_before(data, a, b)
    c = data[i]
    if c == 0x2E:
        return _suffix_dots(data, a, i, b, classes)
    code, k = decode(data, i, b)
    if classes[code] & SUFFIX:
        twice = code == 0x2026 and i - 3 >= a and data[i - 3] == 0xE2 and data[i - 2] == 0x80 and data[i - 1] == 0xA6
        return 6 if twice else k
    before = data[i - 1] if i > a else np.uint8(0)
    if (c | 0x20) == 0x73:
        if before == 0x27:
            return 2
        if i - 3 >= a and before == 0x99 and data[i - 2] == 0x80 and data[i - 3] == 0xE2:
            return 4
    if c == 0x2B:
        return np.int64(digit(before))
    if classes[code] & CURRENCY:
        if digit(before):
            return k
        if c == 0x24 and i - 2 >= a and (before == 0x41 or before == 0x43) and digit(data[i - 2]):
            return 2
        us = c == 0x24 and i - 3 >= a and before == 0x53 and data[i - 2] == 0x55 and digit(data[i - 3])
        return 3 if us else 0
    if not hints & HINT_DIGIT:
        return 0
    j = b - 1
    least = max(a, b - _UNIT_BYTES - 1)
    while j > least and not digit(data[j]):
        j -= 1
    return b - j - 1 if j < b - 1 and digit(data[j]) and _is_unit(data, j + 1, b) else 0


@njit(cache=True, nogil=True)
def _is_unit(data, i, b):  # type: ignore[no-untyped-def]
    """Whether the bytes from `i` to `b`, at most 16, are a unit."""
    head = eight_bytes(data, i, b)
    tail = eight_bytes(data, i + 8, b) if i + 8 < b else np.uint64(0)
    found = False
    for k in range(len(_UNITS)):
        found = found or (_UNITS[k, 0] == np.uint64(b - i) and _UNITS[k, 1] == head and _UNITS[k, 2] == tail)
    return found


@njit(cache=True, nogil=True, forceinline=True)
def _suffix_dots(data, a, i, b, classes):  # type: ignore[no-untyped-def]
    """As `suffix_length`, where the last character is the full stop at `i`."""
    if i == a:
        return 0
    if data[i - 1] == 0x2E:
        while i > a and data[i - 1] == 0x2E:
            i -= 1
        return b - i
    j = char_before(data, a, i)
    code, _ = decode(data, j, i)
    if classes[code] & DOT_BEHIND:
        return 1
    if j == a:
        return 0
    before, _ = decode(data, char_before(data, a, j), j)
    degrees = before == 0xB0 and (code == 0x46 or code == 0x43 or code == 0x4B)
    return np.int64(degrees or classes[code] & classes[before] & UPPER != 0)


@njit(cache=True, nogil=True, forceinline=True)
def split_infixes(data, a, b, classes, start, stop, m):  # type: ignore[no-untyped-def]
    """The tokens of a chunk without marks at its ends; how many tokens there are then."""
    piece = i = a
    while i < b:
        if not _MAYBE_INFIX[data[i]]:
            i += 1
            continue
        after = _infix(data, a, i, b, classes)
        if after == i:
            i += 1 if data[i] < 0x80 else decode(data, i, b)[1]
            continue
        if i > a:
            if piece < i:
                start[m], stop[m] = piece, i
                m += 1
            start[m], stop[m] = i, after
            m += 1
            piece = after
        i = after
    if piece < b:
        start[m], stop[m] = piece, b
        m += 1
    return m


@njit(cache=True, nogil=True, forceinline=True)
def _class(data, i, b, classes):  # type: ignore[no-untyped-def]
    """Flags of the character at `i`, 0 at the end."""
    return classes[decode(data, i, b)[0]] if i < b else np.uint16(0)


@njit(cache=True, nogil=True, forceinline=True)
def _infix(data, a, i, b, classes):  # type: ignore[no-untyped-def]
    """Position behind the infix that begins at `i`, `i` where none does."""
    code, k = decode(data, i, b)
    if classes[code] & ICON or code == 0x2026:
        return i + k
    dash = code == 0x2013 or code == 0x2014
    if code >= 0x80 and not dash:
        return i
    if code == 0x2E:
        dots = _dots(data, i, b)
        if dots > i + 1:
            return dots
    if i == a:
        return i
    j = char_before(data, a, i)
    before = _class(data, j, i, classes)
    if code == 0x2E or code == 0x2C:
        after = _class(data, i + 1, b, classes)
        stop = code == 0x2E and before & (LOWER | QUOTE) != 0 and after & (UPPER | QUOTE) != 0
        return i + np.int64(stop or (code == 0x2C and before & after & ALPHA != 0))
    number = digit(data[j])
    operator = code in (0x2A, 0x2B, 0x5E)
    if number and (operator or code == 0x2D) and i + 1 < b and (digit(data[i + 1]) or data[i + 1] == 0x2D):
        return i + 1
    if operator or not (number or before & ALPHA):
        return i
    return _dashes(data, i, b, code, k, classes)


@njit(cache=True, nogil=True, forceinline=True)
def _dashes(data, i, b, code, k, classes):  # type: ignore[no-untyped-def]
    """Position behind the mark, which may be of two `—` or up to three `-`, if a letter follows; else `i`."""
    most = 3 if code == 0x2D else 2 if code == 0x2014 else 1
    j = i + k
    for _ in range(most):
        if _class(data, j, b, classes) & ALPHA:
            return j
        if j == b or decode(data, j, b)[0] != code:
            return i
        j += k
    return i
