"""What ROOTS does to a text before it measures it: one kind of space, and no words that are addresses or too long."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.filters.heuristics.special_characters import ROOTS, special_characters
from corpusmill.filters.heuristics.stripped_words import Cut
from corpusmill.scan import skip_space, trim_space
from corpusmill.text import Texts
from corpusmill.unicode import char_before, decode

_SPACE, _TAB, _LINE, _MAYBE = 1, 2, 3, 5
_BEGINS, _FOLLOWS, _ALONE = 8, 16, 32
_BYTES = np.frombuffer(b"  \t\n", dtype=np.uint8)
_KINDS = np.zeros(256, dtype=np.uint8)
_KINDS[[0x20, 0x09, 0x0A]] = _SPACE, _TAB, _LINE
_KINDS[[0xC2, 0xE2, 0xE3, 0xEF]] = _MAYBE  # first bytes of other spaces
_OFF = np.iinfo(np.int64).max

Patterns = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.uint8]]


def clean(
    texts: Texts, parts: Sequence[str], max_word_chars: int | None
) -> tuple[Texts, Cut | None, npt.NDArray[np.int64]]:
    """The texts cleaned; their words where any can be removed; int64[2, n], words removed for a part, for their length.

    A text is stripped and the spaces `_space` knows become plain ones. Where words are removed (those that, stripped of
    special characters, have one of `parts` in them or are longer than `max_word_chars`; or are longer and nothing but
    special characters), the others are joined by one line feed, tab or space: the first kind that is found between
    them. With no parts and no length nothing is removed or joined.
    """
    out = np.empty(int(texts.offsets[-1] - texts.offsets[0]), dtype=np.uint8)
    offsets = np.zeros(len(texts) + 1, dtype=np.int64)
    removed = np.zeros((2, len(texts)), dtype=np.int64)
    words = None
    if parts or max_word_chars is not None:
        most = _OFF if max_word_chars is None else max_word_chars
        start, stop, first = _cut(texts.data, texts.offsets)
        m = _clean(
            texts.data, (start, stop, first), special_characters(), _patterns(parts), most, out, offsets, removed
        )
        words = start[:m], stop[:m], first
    else:
        _even_spaces(texts.data, texts.offsets, out, offsets)
    return Texts(out[: offsets[-1]], offsets), words, removed


def _patterns(parts: Sequence[str]) -> Patterns:
    """All parts in a row, where they end, and for each byte what it separates and where in a part it stands."""
    encoded = [part.encode() for part in parts]
    kinds = _KINDS.copy()
    for part in encoded:
        kinds[part[0]] |= _BEGINS
        kinds[part[len(part) > 1]] |= _FOLLOWS if len(part) > 1 else _ALONE
    stops = np.cumsum([0, *map(len, encoded)])
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), stops.astype(np.int64), kinds


@njit(cache=True, nogil=True)
def _space(data, i, end):  # type: ignore[no-untyped-def]
    """Bytes of the character at `i` if it is U+0084, 2002, 2003, 2005, 2008 to 200A, 202F, 3000 or FFFC, else 0."""
    code, k = decode(data, i, end)
    if code == 0x84 or code == 0x3000 or code == 0xFFFC or code == 0x202F:
        return k
    if code == 0x2002 or code == 0x2003 or code == 0x2005 or 0x2008 <= code <= 0x200A:
        return k
    return 0


@njit(cache=True, nogil=True)
def _even_spaces(data, offsets, out, new_offsets):  # type: ignore[no-untyped-def]
    """Strip every text, put plain spaces for other ones."""
    w = 0
    for d in range(len(offsets) - 1):
        i = skip_space(data, offsets[d], offsets[d + 1])
        end = trim_space(data, i, offsets[d + 1])
        while i < end:
            k = _space(data, i, end) if _KINDS[data[i]] == _MAYBE else 0
            out[w] = _BYTES[_SPACE] if k else data[i]
            w += 1
            i += max(k, 1)
        new_offsets[d + 1] = w


@njit(cache=True, nogil=True)
def _cut(data, offsets):  # type: ignore[no-untyped-def]
    """What lies between separators: start, stop, first."""
    most = (offsets[-1] - offsets[0]) // 2 + len(offsets)
    start, stop = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int32)
    first = np.zeros(len(offsets), dtype=np.int64)
    m = n = np.int64(0)  # words begun, words ended
    for d in range(len(offsets) - 1):
        i = skip_space(data, offsets[d], offsets[d + 1])
        end = trim_space(data, i, offsets[d + 1])
        inside = np.int64(0)
        while i < end:  # where words begin can't be guessed, so ASCII takes no branch
            kind, k = np.int64(_KINDS[data[i]]), np.int64(1)
            if kind == _MAYBE:
                kind = _space(data, i, end)
                k = max(kind, np.int64(1))
            separates = np.int64(kind > 0)
            start[m] = i
            m += (1 - separates) & (1 - inside)
            stop[n] = i
            n += separates & inside
            inside = 1 - separates
            i += k
        stop[n] = end
        n += inside
        first[d + 1] = m
    return start, stop, first


@njit(cache=True, nogil=True)
def _clean(data, words, special, patterns, most, out, new_offsets, removed):  # type: ignore[no-untyped-def]
    """Words that stay, with one byte between them in the text, are copied together.

    `words` become those of the new texts; gives how many there are.
    """
    start, stop, first = words
    joined, stops, kinds = patterns
    w, m, last = np.int64(0), np.int64(0), np.int64(0)
    for d in range(len(first) - 1):
        words_begin, words_end = last, first[d + 1]
        last = words_end
        begin, between = w, np.int64(0)
        a = b = previous = np.int64(0)  # what is to be copied; where the word before stops
        part = np.int64(-1)
        for j in range(words_begin, words_end):
            i, end = np.int64(start[j]), np.int64(stop[j])
            if part < i:
                part = _next_part(data, i, np.int64(stop[words_end - 1]), kinds)
            if j > words_begin and (between > 0 or i != previous + 1):
                between = max(between, _strongest(data, previous, i))
            previous = end
            # a call costs as much as twenty bytes
            reason = _reason(data, i, end, special, joined, stops, kinds, most) if part < end or end - i > most else -1
            if reason >= 0:
                removed[reason, d] += 1
                if between == 0 and j > words_begin:
                    between = _strongest(data, i - 1, i)
                continue
            if a == b or between > 0:
                w = _append(data, a, b, out, w)
                if w > begin:
                    out[w] = _BYTES[between]
                    w += 1
                a = i
                between = np.int64(0)
            start[m], stop[m] = w + i - a, w + end - a
            m += 1
            b = end
        w = _append(data, a, b, out, w)
        first[d + 1] = m
        new_offsets[d + 1] = w
    return m


@njit(cache=True, nogil=True)
def _strongest(data, i, end):  # type: ignore[no-untyped-def]
    """The strongest separator in a gap."""
    strongest = np.int64(_SPACE)
    while i < end:
        strongest = max(strongest, np.int64(_KINDS[data[i]]) % _MAYBE)
        i += 1
    return strongest


@njit(cache=True, nogil=True)
def _append(data, start, stop, out, w):  # type: ignore[no-untyped-def]
    for k in range(stop - start):
        out[w + k] = data[start + k]
    return w + stop - start


@njit(cache=True, nogil=True)
def _next_part(data, i, end, kinds):  # type: ignore[no-untyped-def]
    """Where from `i` on a part may begin, by its first two bytes; `end` if nowhere."""
    if i >= end:
        return end
    kind = kinds[data[i]]
    while i + 1 < end:
        following = kinds[data[i + 1]]
        if kind & (_ALONE | ((following & _FOLLOWS) >> 1)):
            return i
        kind = following
        i += 1
    return i if kind & _ALONE else end


@njit(cache=True, nogil=True)
def _reason(data, a, b, special, joined, stops, kinds, most):  # type: ignore[no-untyped-def]
    """Why the word goes: 0 for a part, 1 for its length, -1 for no reason."""
    suspect = _has_part(data, a, b, joined, stops, kinds)
    long = _longer(data, a, b, most)
    while a < b:
        code, k = decode(data, a, b)
        if special[code] & ROOTS == 0:
            break
        a += k
    while a < b:
        last = char_before(data, a, b)
        code, _ = decode(data, last, b)
        if special[code] & ROOTS == 0:
            break
        b = last
    if suspect and _has_part(data, a, b, joined, stops, kinds):
        return 0
    return 1 if long and (a == b or _longer(data, a, b, most)) else -1


@njit(cache=True, nogil=True)
def _longer(data, a, b, most):  # type: ignore[no-untyped-def]
    """More than `most` code points."""
    n = 0
    for i in range(a, b):
        n += data[i] & 0xC0 != 0x80
    return n > most


@njit(cache=True, nogil=True)
def _has_part(data, a, b, joined, stops, kinds):  # type: ignore[no-untyped-def]
    for i in range(a, b):
        if not kinds[data[i]] & _BEGINS:
            continue
        for p in range(len(stops) - 1):
            n = stops[p + 1] - stops[p]
            same = i + n <= b
            j = 0
            while same and j < n:
                same = data[i + j] == joined[stops[p] + j]
                j += 1
            if same:
                return True
    return False
