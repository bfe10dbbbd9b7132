"""Sentences without a trained model, in every script, the same everywhere.

A sentence ends at a run of marks, with closing quotes and brackets behind it. The marks are Unicode's
Sentence_Terminal and `…`, but for those that are commas in fact (`၊ ᜵ ᭞ ꧈`); and the Tibetan double shad, a single one
before a line's end or another, two Ethiopic word spaces, `:` behind an Armenian letter, `;` behind a Greek one. White
space must follow the marks that many scripts share (`.`, `!`, `?` …); behind those of one script (`。`, `।`, `۔`, `።`,
`។`, `။` …) nothing need follow. Thai and Lao have no marks: there the end of a line is the end of a sentence. It does
not end

- at a single full stop behind an abbreviation of the list below, or behind single letters (`J.`, `U.S.`, `т.е.`);
- at an ellipsis (two full stops or more, or `…`) before a lower-case letter;
- at a full-width stop between digits;
- where nothing but marks would be in the sentence.

The end of the text always ends one. `filters/c4/punkt.py` counts as C4 does, with abbreviations learnt from text.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.scan import find_newline, skip_space, trim_space
from corpusmill.segment import borrow
from corpusmill.text import Texts
from corpusmill.unicode import (
    ALPHABETIC,
    DECIMAL,
    LETTER,
    LOWERCASE,
    SENTENCE_TERMINAL,
    char_before,
    char_classes,
    decode,
)

ABBREVIATIONS = (
    *("mr", "mrs", "ms", "dr", "prof", "rev", "hon", "gov", "sen", "rep", "gen", "col", "lt", "sgt", "capt", "maj"),
    *("jr", "sr", "st", "mt", "ft", "rd", "ave", "blvd", "dept", "inc", "ltd", "co", "corp", "est", "approx", "ca"),
    *("vs", "etc", "cf", "al", "eds", "fig", "figs", "vol", "vols", "pp"),
    *("jan", "feb", "apr", "aug", "sep", "sept", "oct", "nov", "dec"),
)
"""Lower case, without the full stop, 8 ASCII letters at most."""

_ABBREVIATIONS = np.array([int.from_bytes(word.encode(), "little") for word in ABBREVIATIONS], dtype=np.uint64)
_CLOSERS = np.array(sorted(map(ord, "\"')]}’”»」』）】〉》］｝")), dtype=np.int64)
_COMMAS = np.array([0x104A, 0x1735, 0x1B5E, 0xA9C8], dtype=np.int64)
_SHAD, _DOUBLE_SHAD = 0x0F0D, 0x0F0E
_WORD_SPACE = 0x1361
_NO_MARK, _DOT, _SPACED, _FREE = range(4)
"""No mark; a full stop or ellipsis; another that white space must follow; one that nothing need follow."""
_TOKEN_CHARS = 12


def _maybe_mark() -> npt.NDArray[np.uint8]:
    """Which bytes start a character that may end a sentence."""
    maybe = np.zeros(256, dtype=np.uint8)
    maybe[[ord(mark) for mark in ".!?:;\n"]] = 1
    maybe[0xC2:] = 1
    return maybe


_MAYBE_MARK = _maybe_mark()


def sentences(texts: Texts) -> npt.NDArray[np.int64]:
    """int64[n], sentences of each text; 0 for one that is blank."""
    return _count_all(texts.data, texts.offsets, char_classes())


def sentence_starts(texts: Texts) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Where sentences begin: int32[m], bytes into `data`, and int64[n + 1], document d has first[d] to first[d + 1].

    A sentence goes on to the white space before the next one. Marks without a sentence of theirs belong to the one
    before, at the beginning of a text to the first.
    """
    start = np.empty(int(texts.offsets[-1] - texts.offsets[0]), dtype=np.int32)
    first = np.zeros(len(texts) + 1, dtype=np.int64)
    m = _find_all(texts.data, texts.offsets, char_classes(), start, first)
    return start[:m].copy(), first


@njit(cache=True, nogil=True)
def _count_all(data, offsets, classes):  # type: ignore[no-untyped-def]
    data, classes = borrow(data), borrow(classes)
    counts = np.empty(len(offsets) - 1, dtype=np.int64)
    for d in range(len(counts)):
        i, end = skip_space(data, offsets[d], offsets[d + 1]), offsets[d + 1]
        count, any_text = 0, i < end
        while i < end:
            i, says = _sentence_end(data, i, offsets[d], end, classes)
            count += says
        counts[d] = max(count, any_text)
    return counts


@njit(cache=True, nogil=True)
def _find_all(data, offsets, classes, start, first):  # type: ignore[no-untyped-def]
    data, classes, start = borrow(data), borrow(classes), borrow(start)
    m = np.int64(0)
    for d in range(len(offsets) - 1):
        begin = i = skip_space(data, offsets[d], offsets[d + 1])
        while i < offsets[d + 1]:
            following, says = _sentence_end(data, i, offsets[d], offsets[d + 1], classes)
            if says:
                start[m] = begin if m == first[d] else i
                m += 1
            i = following
        if m == first[d] and begin < i:
            start[m] = begin
            m += 1
        first[d + 1] = m
    return m


@njit(cache=True, nogil=True)
def _sentence_end(data, begin, start, stop, classes):  # type: ignore[no-untyped-def]
    """Where the sentence after the one at `begin` begins, and whether it is one; the text is `start` to `stop`."""
    i = begin
    while i < stop:
        if not _MAYBE_MARK[data[i]]:
            i += 1
            continue
        following, ends = _end_at(data, i, start, stop, classes)
        if ends:
            return following, i > begin  # else only marks since the last
        i = following
    return stop, True


@njit(cache=True, nogil=True)
def _end_at(data, mark, start, stop, classes):  # type: ignore[no-untyped-def]
    """Where to go on behind the character at `mark`, and whether a sentence ends with it."""
    if data[mark] == 0x0A:
        return skip_space(data, mark, stop), _unmarked(data, start, mark)
    i, dots, kind = _skip_marks(data, mark, start, stop, classes)
    if kind == _NO_MARK:
        return i, False
    single = dots and i == mark + 1
    i = _skip_closers(data, i, stop)
    following = skip_space(data, i, stop)
    if following == stop:
        return stop, True
    if kind == _FREE:
        return following, True
    if following == i:
        return i, False
    if single:
        return following, not _abbreviated(data, start, mark, classes)
    return following, not (dots and _lower(data, following, stop, classes))


@njit(cache=True, nogil=True)
def _mark_kind(data, i, start, stop, classes):  # type: ignore[no-untyped-def]
    """Kind and bytes of the character at `i`."""
    code, k = decode(data, i, stop)
    if code < 0x80 and code != 0x3A and code != 0x3B:
        return (_DOT if code == 0x2E else _SPACED if classes[code] & SENTENCE_TERMINAL else _NO_MARK), k
    if code == 0x3A or code == 0x3B or code == 0x37E:
        return _borrowed(data, i, start, code), k
    if code == _WORD_SPACE:
        twice = i + k < stop and decode(data, i + k, stop)[0] == _WORD_SPACE
        return (_FREE, 2 * k) if twice else (_NO_MARK, k)
    if code in (_SHAD, _DOUBLE_SHAD):
        return (_FREE if code == _DOUBLE_SHAD or _closes(data, i + k, stop) else _NO_MARK), k
    if not classes[code] & SENTENCE_TERMINAL or _is_among(code, _COMMAS):
        return _NO_MARK, k
    if code == 0x2026:
        return _DOT, k
    if code == 0xFF0E and i + k < stop and classes[decode(data, i + k, stop)[0]] & DECIMAL:
        return _NO_MARK, k
    return (_SPACED if 0x2000 <= code < 0x2E80 else _FREE), k


@njit(cache=True, nogil=True)
def _closes(data, i, stop):  # type: ignore[no-untyped-def]
    """Whether behind the shad that ends at `i` there is another, the end of the line, or of the text."""
    j = skip_space(data, i, stop)
    return j == stop or find_newline(data, i, j) < j or _SHAD <= decode(data, j, stop)[0] <= _DOUBLE_SHAD


@njit(cache=True, nogil=True)
def _borrowed(data, i, start, code):  # type: ignore[no-untyped-def]
    """Kind of a colon or semicolon: the full stop of Armenian, the question mark of Greek, or neither."""
    if i == start or data[i - 1] < 0x80:
        return _NO_MARK
    before, _ = decode(data, char_before(data, start, i), i)
    armenian = 0x531 <= before <= 0x587 and code == 0x3A
    greek = (0x370 <= before <= 0x3FF or 0x1F00 <= before <= 0x1FFF) and code != 0x3A
    return _SPACED if armenian or greek else _NO_MARK


@njit(cache=True, nogil=True)
def _unmarked(data, start, line_feed):  # type: ignore[no-untyped-def]
    """Whether the line that ends there does so in Thai or Lao."""
    end = trim_space(data, start, line_feed)
    if end == start:
        return False
    code, _ = decode(data, char_before(data, start, end), end)
    return 0x0E01 <= code < 0x0F00


@njit(cache=True, nogil=True)
def _skip_marks(data, i, start, stop, classes):  # type: ignore[no-untyped-def]
    """Position behind a run of marks, or else behind one character; whether all are dots; the kind of the last."""
    dots, last = True, _NO_MARK
    while i < stop:
        kind, k = _mark_kind(data, i, start, stop, classes)
        if kind == _NO_MARK:
            return (i if last else i + k), dots, last
        dots = dots and kind == _DOT
        last = kind
        i += k
    return i, dots, last


@njit(cache=True, nogil=True)
def _skip_closers(data, i, stop):  # type: ignore[no-untyped-def]
    while i < stop:
        code, k = decode(data, i, stop)
        if not _is_among(code, _CLOSERS):
            break
        i += k
    return i


@njit(cache=True, nogil=True)
def _is_among(value, values):  # type: ignore[no-untyped-def]
    found = False
    for other in values:  # `np.any(value == values)` would make an array each time
        found = found or value == other
    return found


@njit(cache=True, nogil=True)
def _lower(data, i, stop, classes):  # type: ignore[no-untyped-def]
    code, _ = decode(data, i, stop)
    return classes[code] & LOWERCASE != 0


@njit(cache=True, nogil=True)
def _abbreviated(data, start, dot, classes):  # type: ignore[no-untyped-def]
    """Whether a whole word before the full stop at `dot`, of letters and full stops, is one of those.

    Letters are those of Latin, Greek, Cyrillic and Armenian, as an abbreviation on the list is in ASCII.
    """
    token = np.uint64(0)
    letters_only = single_letters = ascii_only = True
    n = 0
    i = dot
    while i > start:
        j = char_before(data, start, i)
        code, _ = decode(data, j, i)
        letter = code < 0x590 and classes[code] & LETTER != 0
        if not letter and code != 0x2E:
            if classes[code] & (ALPHABETIC | DECIMAL):
                return False
            break
        if n == _TOKEN_CHARS:
            return False
        single_letters = single_letters and letter == (n % 2 == 0)
        letters_only = letters_only and letter
        ascii_only = ascii_only and code < 0x80
        token = token << np.uint64(8) | np.uint64((code | 0x20) & 0xFF)
        n += 1
        i = j
    if single_letters and n % 2 == 1:
        return True
    return letters_only and ascii_only and 0 < n <= 8 and _is_among(token, _ABBREVIATIONS)
