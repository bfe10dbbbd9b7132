"""What counts as a word in `fineweb2`, in every language.

FineWeb-2 cuts most languages by spaCy's tokenizer for each, others by IndicNLP, Stanza, Kiwi and models for Thai, Lao,
Khmer and Burmese, and these make tokens of punctuation marks too. Here they are tokens of spaCy's English rules, which
are nearly those of its other languages (`Texts.spacy_words`), and

- where a token ends between two ASCII letters, as in English `do|nt`, it goes on: `dont` is a word in French;
- a token with characters of a script that puts no space between words is cut into `Texts.script_words`, and every
  character between these is a token;
- in languages whose stop words end in an apostrophe, such as French, a token is cut behind its apostrophes;
- the table says which languages keep words with hyphens, ranges of numbers, ordinals and percentages whole, and which
  cut at a hyphen between letters and digits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.filters.gopher.gopher_words import count_listed, lexicon, unspaced
from corpusmill.scan import hash_span
from corpusmill.segment import borrow
from corpusmill.text import Spans, Texts
from corpusmill.unicode import decode

Mask = npt.NDArray[np.bool_]
Habits = npt.NDArray[np.uint8]
"""For each text a set of the flags below: what its language does."""

ELIDES, WHOLE_HYPHENS, WHOLE_RANGES, WHOLE_ORDINALS, WHOLE_PERCENTAGES, APART_NUMBERS = (
    np.uint8(1 << k) for k in range(6)
)
HABITS = {
    "a-b": WHOLE_HYPHENS,
    "1-2": WHOLE_RANGES,
    "5.": WHOLE_ORDINALS,
    "5%": WHOLE_PERCENTAGES,
    "a-1": APART_NUMBERS,
}
"""As the table writes them."""


def tokens(texts: Texts, habits: Habits) -> Spans:
    """The tokens of each text, by the habits of its language."""
    whole, words = texts.spacy_words, texts.script_words
    most = int(texts.bytes.sum())
    start, stop, chars = (np.empty(most, dtype=np.int32) for _ in range(3))
    hashes, first = np.empty(most, dtype=np.uint64), np.zeros(len(texts) + 1, dtype=np.int64)
    left = (whole.start, whole.stop, whole.chars, whole.hash, whole.first)
    out = (start, stop, chars, hashes)
    m = _cut(texts.data, left, words.start, words.stop, words.first, unspaced(), habits, out, first)
    return Spans(start[:m], stop[:m], chars[:m], hashes[:m], first)


def count_stop_words(texts: Texts, words: Spans, stop_words: tuple[str, ...], of: Mask) -> npt.NDArray[np.int64]:
    """How many of the list occur in each of the texts that `of` bool[n] names.

    Where the list has words with a mark, such as `l-` or `г.`, a token and the mark beside it are one word as well.
    """
    chosen = words.where(of, texts.offsets, texts.offsets[:-1][of])
    listed = lexicon(tuple(dict.fromkeys(stop_words)))
    if not all(word.isalpha() for word in stop_words):
        most = 2 * len(chosen.start)
        start, stop, chars = (np.empty(most, dtype=np.int32) for _ in range(3))
        hashes, first = np.empty(most, dtype=np.uint64), np.zeros(len(chosen.first), dtype=np.int64)
        left = (chosen.start, chosen.stop, chosen.chars, chosen.hash, chosen.first)
        m = _join_marks(texts.data, left, (start, stop, chars, hashes), first)
        chosen = Spans(start[:m], stop[:m], chars[:m], hashes[:m], first)
    return count_listed(chosen, listed, distinct=True)


@njit(cache=True, nogil=True)
def _cut(data, whole, word_start, word_stop, word_first, unspaced, habits, out, first):  # type: ignore[no-untyped-def]
    data, unspaced, word_start, word_stop = borrow(data), borrow(unspaced), borrow(word_start), borrow(word_stop)
    start, stop, chars, hashes = borrow(whole[0]), borrow(whole[1]), borrow(whole[2]), borrow(whole[3])
    out = (borrow(out[0]), borrow(out[1]), borrow(out[2]), borrow(out[3]))
    m = np.int64(0)
    for d in range(len(first) - 1):
        k, last = word_first[d], word_first[d + 1]
        j, end = whole[4][d], whole[4][d + 1]
        while j < end:
            i = j
            a, b = np.int64(start[j]), np.int64(stop[j])
            while j + 1 < end and start[j + 1] == b:
                more = _goes_on(data, start, stop, j, end, a, habits[d])
                if more == 0:
                    break
                j += more
                b = np.int64(stop[j])
            j += 1
            kind = _kind(data, a, b, unspaced)
            if kind == 2:
                while k < last and word_start[k] < a:
                    k += 1
                while k < last and word_stop[k] <= b:
                    m = _emit_each(data, a, np.int64(word_start[k]), m, out)
                    a = np.int64(word_stop[k])
                    m = _emit(data, np.int64(word_start[k]), a, m, out)
                    k += 1
                m = _emit_each(data, a, b, m, out)
            elif kind == 1 and habits[d] & (ELIDES | APART_NUMBERS):
                m = _emit_cut(data, a, b, habits[d], m, out)
            elif j > i + 1:
                m = _emit(data, a, b, m, out)
            else:
                out[0][m], out[1][m], out[2][m], out[3][m] = a, b, chars[i], hashes[i]
                m += 1
        first[d + 1] = m
    return m


@njit(cache=True, nogil=True)
def _goes_on(data, start, stop, j, end, a, habits):  # type: ignore[no-untyped-def]
    """How many tokens behind token `j`, with the next right behind it, belong to the word that began at `a`: 0 to 2."""
    b = np.int64(stop[j])
    before, after = data[b - 1], data[b]
    if _is_letter(before) and _is_letter(after) and before < 0x80 and after < 0x80:
        return 1
    c = np.int64(stop[j + 1])
    if c != b + 1:
        return 0
    if after == 0x25 and habits & WHOLE_PERCENTAGES and _is_digit(before):
        return 1
    if after == 0x2E and habits & WHOLE_ORDINALS and _all_digits(data, a, b):
        return 1
    if after == 0x2D and habits & (WHOLE_HYPHENS | WHOLE_RANGES) and j + 2 < end and start[j + 2] == c:
        numbers = _is_digit(before) and _is_digit(data[c])
        letters = (
            not numbers and (_is_letter(before) or _is_digit(before)) and (_is_letter(data[c]) or _is_digit(data[c]))
        )
        if (numbers and habits & WHOLE_RANGES) or (letters and habits & WHOLE_HYPHENS):
            return 2
    return 0


@njit(cache=True, nogil=True)
def _emit_cut(data, a, b, habits, m, out):  # type: ignore[no-untyped-def]
    """A token cut behind apostrophes, or around hyphens between letters and digits."""
    i = a
    while i < b:
        width = _apostrophe(data, i, b) if habits & ELIDES else 0
        i += max(width, 1)
        if width and i < b and i - width > a:
            m = _emit(data, a, i, m, out)
            a = i
        elif habits & APART_NUMBERS and i < b and i - 1 > a and data[i - 1] == 0x2D and _differ(data[i - 2], data[i]):
            m = _emit(data, a, i - 1, m, out)
            m = _emit(data, i - 1, i, m, out)
            a = i
    return _emit(data, a, b, m, out)


@njit(cache=True, nogil=True)
def _is_letter(c):  # type: ignore[no-untyped-def]
    """Whether a byte is of an ASCII letter, or of any character beyond ASCII."""
    return c >= 0x80 or 0x61 <= c | 0x20 <= 0x7A


@njit(cache=True, nogil=True)
def _is_digit(c):  # type: ignore[no-untyped-def]
    return 0x30 <= c <= 0x39


@njit(cache=True, nogil=True)
def _differ(before, after):  # type: ignore[no-untyped-def]
    """Whether one byte is of a letter and the other of a digit."""
    return (_is_letter(before) and _is_digit(after)) or (_is_digit(before) and _is_letter(after))


@njit(cache=True, nogil=True)
def _all_digits(data, a, b):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(a, b):
        count += _is_digit(data[i])
    return count == b - a


@njit(cache=True, nogil=True)
def _kind(data, i, b, unspaced):  # type: ignore[no-untyped-def]
    """2 for a token with a character of a script without spaces, 1 for one with an apostrophe or a hyphen, else 0."""
    kind = 0
    while i < b:
        if data[i] < 0xE0:  # such characters have three bytes or more
            if data[i] == 0x27 or data[i] == 0x2D:
                kind = 1
            i += 1
            continue
        code, k = decode(data, i, b)
        if unspaced[code]:
            return 2
        if code == 0x2019:
            kind = 1
        i += k
    return kind


@njit(cache=True, nogil=True)
def _apostrophe(data, i, b):  # type: ignore[no-untyped-def]
    """Bytes of the apostrophe at `i`, 0 where there is none."""
    if data[i] == 0x27:
        return 1
    return 3 if i + 3 <= b and data[i] == 0xE2 and data[i + 1] == 0x80 and data[i + 2] == 0x99 else 0


@njit(cache=True, nogil=True)
def _emit(data, a, b, m, out):  # type: ignore[no-untyped-def]
    key, length = hash_span(data, a, b)
    out[0][m], out[1][m], out[2][m], out[3][m] = a, b, length, key
    return m + 1


@njit(cache=True, nogil=True)
def _emit_each(data, a, b, m, out):  # type: ignore[no-untyped-def]
    """Every character from `a` to `b` as a token."""
    while a < b:
        _, k = decode(data, a, b)
        m = _emit(data, a, a + k, m, out)
        a += k
    return m


@njit(cache=True, nogil=True)
def _join_marks(data, tokens, out, first):  # type: ignore[no-untyped-def]
    """The tokens, and behind each the one it makes with an apostrophe, hyphen or full stop beside it."""
    data, out = borrow(data), (borrow(out[0]), borrow(out[1]), borrow(out[2]), borrow(out[3]))
    m = np.int64(0)
    for d in range(len(first) - 1):
        for j in range(tokens[4][d], tokens[4][d + 1]):
            a, b = np.int64(tokens[0][j]), np.int64(tokens[1][j])
            out[0][m], out[1][m], out[2][m], out[3][m] = a, b, tokens[2][j], tokens[3][j]
            m += 1
            if j + 1 < tokens[4][d + 1] and tokens[0][j + 1] == b:
                after = np.int64(tokens[1][j + 1])
                if _is_mark(data, b, after) != _is_mark(data, a, b):
                    m = _emit(data, a, after, m, out)
        first[d + 1] = m
    return m


@njit(cache=True, nogil=True)
def _is_mark(data, a, b):  # type: ignore[no-untyped-def]
    return b == a + 1 and (data[a] == 0x27 or data[a] == 0x2D or data[a] == 0x2E)
