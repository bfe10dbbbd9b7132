"""Words of the South-East Asian scripts that put no space between them: clusters and syllables, see `segment.py`."""

from __future__ import annotations

import numpy as np
from numba import njit

from corpusmill.segment_classes import CONSONANT, FOLLOW, KHMER, KIND_BITS, LEAD, MYANMAR, NEWLINE, skip_ignored
from corpusmill.unicode import decode

_COENG = 0x17D2
_ASAT, _VIRAMA, _DOT_BELOW = 0x103A, 0x1039, 0x1037
_THAI_E, _THAI_YO, _THAI_O, _LAO_E, _LAO_O = 0x0E40, 0x0E22, 0x0E2D, 0x0EC0, 0x0EAD
_CLOSED_VOWELS = (0x0E31, 0x0E47, 0x0EB1, 0x0EBB)
"""Mai han akat, mai taikhu, and the Lao mai kan and mai kon: the syllable has a consonant behind."""
_II = (0x0E35,)
_UUE = (0x0E37, 0x0EB7)
_CANCELLED = (0x0E4C, 0x0ECC)
"""Thanthakhat and its Lao like: the consonant is not spoken."""


@njit(cache=True, nogil=True)
def cluster_end(data, i, end, kind, code, classes):  # type: ignore[no-untyped-def]
    """Where the cluster or syllable ends whose first character, of this kind and code, ends at `i`."""
    if kind == KHMER:
        return _khmer(data, i, end, classes)
    if kind == MYANMAR:
        return _myanmar(data, i, end, classes)
    lead = code
    if kind == LEAD:
        i, _ = skip_ignored(data, i, end, classes)
        kind, code, k = _kind_at(data, i, end, classes)
        if kind != CONSONANT:
            return i
        i += k
    marks = i
    i, _ = skip_ignored(data, i, end, classes)
    if kind == CONSONANT:
        i = _closing(data, marks, i, end, lead, classes)
    while True:
        kind, code, k = _kind_at(data, i, end, classes)
        j, _ = skip_ignored(data, i + k, end, classes)
        if not (kind == FOLLOW or (kind == CONSONANT and _has_mark(data, i + k, j, _CANCELLED))):
            return i
        i = j


@njit(cache=True, nogil=True)
def _kind_at(data, i, end, classes):  # type: ignore[no-untyped-def]
    """Kind, code point and bytes of the character at `i`; that of a line feed of no bytes at the end."""
    if i >= end:
        return NEWLINE, np.int64(0x0A), 0
    code, k = decode(data, i, end)
    return classes[code] & KIND_BITS, code, k


@njit(cache=True, nogil=True)
def _has_mark(data, i, end, wanted):  # type: ignore[no-untyped-def]
    """Whether one of the marks from `i` to `end` is one of those."""
    while i < end:
        code, k = decode(data, i, end)
        for mark in wanted:
            if code == mark:
                return True
        i += k
    return False


@njit(cache=True, nogil=True)
def _closing(data, marks, i, end, lead, classes):  # type: ignore[no-untyped-def]
    """Position behind the consonant that a vowel sign from `marks` to `i` needs behind it, if one is there."""
    kind, code, k = _kind_at(data, i, end, classes)
    if kind != CONSONANT:
        return i
    needed = _has_mark(data, marks, i, _CLOSED_VOWELS)
    if lead in (_THAI_E, _LAO_E):
        needed = needed or (code == _THAI_YO and _has_mark(data, marks, i, _II))
        needed = needed or (code in (_THAI_O, _LAO_O) and _has_mark(data, marks, i, _UUE))
    return skip_ignored(data, i + k, end, classes)[0] if needed else i


@njit(cache=True, nogil=True)
def _khmer(data, i, end, classes):  # type: ignore[no-untyped-def]
    while True:
        i, last = skip_ignored(data, i, end, classes)
        kind, _, k = _kind_at(data, i, end, classes)
        if kind != KHMER or last != _COENG:
            return i
        i += k


@njit(cache=True, nogil=True)
def _myanmar(data, i, end, classes):  # type: ignore[no-untyped-def]
    while True:
        i, last = skip_ignored(data, i, end, classes)
        kind, _, k = _kind_at(data, i, end, classes)
        if kind != MYANMAR:
            return i
        _, code, below = _kind_at(data, i + k, end, classes)
        if code == _DOT_BELOW:
            _, code, _ = _kind_at(data, i + k + below, end, classes)
        if last != _VIRAMA and code != _ASAT and code != _VIRAMA:
            return i
        i += k
