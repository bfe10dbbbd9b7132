"""Counting sentences without a trained model, the same everywhere.

A sentence ends at a run of marks (Unicode Sentence_Terminal and `…`), with closing quotes and brackets behind it, when
white space follows; behind the full-width marks of Chinese and Japanese nothing need follow. It does not end

- at a single full stop behind an abbreviation of the list below, or behind single letters (`J.`, `U.S.`, `e.g.`);
- at an ellipsis (two full stops or more, or `…`) before a lower-case letter.

The end of the text always ends one. NLTK's punkt, which C4 uses, learns its abbreviations from text instead.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.scan import skip_space
from corpusmill.unicode import ALPHABETIC, DECIMAL, LOWERCASE, SENTENCE_TERMINAL, char_before, decode

ABBREVIATIONS = (
    *("mr", "mrs", "ms", "dr", "prof", "rev", "hon", "gov", "sen", "rep", "gen", "col", "lt", "sgt", "capt", "maj"),
    *("jr", "sr", "st", "mt", "ft", "rd", "ave", "blvd", "dept", "inc", "ltd", "co", "corp", "est", "approx", "ca"),
    *("vs", "etc", "cf", "al", "eds", "fig", "figs", "vol", "vols", "pp"),
    *("jan", "feb", "apr", "aug", "sep", "sept", "oct", "nov", "dec"),
)
"""Lower case, without the full stop, 8 ASCII letters at most."""

_ABBREVIATIONS = np.array([int.from_bytes(word.encode(), "little") for word in ABBREVIATIONS], dtype=np.uint64)
_CLOSERS = np.array(sorted(map(ord, "\"')]}’”»」』）】〉》］｝")), dtype=np.int64)
_WIDE = 0x3000  # the marks from here on are those of scripts that put no space between sentences
_TOKEN_BYTES = 12


def _maybe_mark() -> npt.NDArray[np.uint8]:
    """Which bytes start a character that may be a mark: `.`, `!`, `?`, and the first bytes beyond ASCII."""
    maybe = np.zeros(256, dtype=np.uint8)
    maybe[[ord(mark) for mark in ".!?"]] = 1
    maybe[0xC2:] = 1
    return maybe


_MAYBE_MARK = _maybe_mark()


@njit(cache=True, nogil=True)
def count_sentences(data, start, stop, classes):  # type: ignore[no-untyped-def]
    """Sentences in the bytes from `start` to `stop`; `classes` is `char_classes()`."""
    if skip_space(data, start, stop) == stop:
        return 0
    count = 1
    i = start
    while i < stop:
        if not _MAYBE_MARK[data[i]]:
            i += 1
            continue
        code, k = decode(data, i, stop)
        if not classes[code] & SENTENCE_TERMINAL:
            i += k
            continue
        mark = i
        i, dots, wide = _skip_marks(data, i, stop, classes)
        single = dots and i == mark + 1
        i = _skip_closers(data, i, stop)
        following = skip_space(data, i, stop)
        if following == stop:
            break
        if following == i and not wide:
            continue
        if single:
            if not _abbreviated(data, start, mark, classes):
                count += 1
        elif not (dots and _lower(data, following, stop, classes)):
            count += 1
        i = following
    return count


@njit(cache=True, nogil=True)
def _skip_marks(data, i, stop, classes):  # type: ignore[no-untyped-def]
    """Position behind a run of marks, whether all are full stops or ellipses, whether the last is full-width."""
    dots, wide = True, False
    while i < stop:
        code, k = decode(data, i, stop)
        if not classes[code] & SENTENCE_TERMINAL:
            break
        dots = dots and (code == 0x2E or code == 0x2026)
        wide = code >= _WIDE
        i += k
    return i, dots, wide


@njit(cache=True, nogil=True)
def _skip_closers(data, i, stop):  # type: ignore[no-untyped-def]
    while i < stop:
        code, k = decode(data, i, stop)
        if not np.any(code == _CLOSERS):
            break
        i += k
    return i


@njit(cache=True, nogil=True)
def _lower(data, i, stop, classes):  # type: ignore[no-untyped-def]
    code, _ = decode(data, i, stop)
    return classes[code] & LOWERCASE != 0


@njit(cache=True, nogil=True)
def _abbreviated(data, start, dot, classes):  # type: ignore[no-untyped-def]
    """Whether a whole word before the full stop at `dot`, of ASCII letters and full stops, is one of those."""
    token = np.uint64(0)
    letters_only = single_letters = True
    n = 0
    i = dot - 1
    while i >= start:
        c = data[i]
        letter = 0x61 <= (c | 0x20) <= 0x7A
        if not letter and c != 0x2E:
            break
        if n == _TOKEN_BYTES:
            return False
        single_letters = single_letters and letter == (n % 2 == 0)
        letters_only = letters_only and letter
        token = token << np.uint64(8) | np.uint64(c | 0x20)
        n += 1
        i -= 1
    if n == 0:
        return False
    if i >= start:
        code, _ = decode(data, char_before(data, start, i + 1), dot)
        if classes[code] & (ALPHABETIC | DECIMAL):
            return False
    if single_letters and n % 2 == 1:
        return True
    return letters_only and n <= 8 and np.any(token == _ABBREVIATIONS)
