"""Counting sentences with Punkt (Kiss and Strunk 2006, Computational Linguistics 32:485-525), as C4 does.

A `.`, `?` or `!` may end a sentence where white space and more text, or a bracket or quote, follow. Whether it does is
decided by the tokens around it and by what is known of words: abbreviations, words that begin sentences, words that are
written small within them. NLTK's English model, learnt from newspapers, knows that of 20,000 words and is read from a
folder; without one, the few hundred words of `punkt_words.py` do.

The steps, the marks and their quirks are those of `nltk.tokenize.punkt` of NLTK 3.10.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.filters.c4.punkt_words import (
    ABBREVIATION,
    COLLOCATION,
    LOWER_EVER,
    LOWER_FIRST,
    NUMBER,
    PAIRED,
    STARTER,
    UPPER_EVER,
    UPPER_INSIDE,
    find_flags,
    hash_lower,
    join_hashes,
)
from corpusmill.scan import SPACE_KINDS, skip_space, space_length, trim_space
from corpusmill.unicode import DECIMAL, LETTER, LOWERCASE, NUMERIC, char_before, decode

_PLAIN, _ENDS, _SHORT, _ELLIPSIS = range(4)


def _ascii(chars: str) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, dtype=np.bool_)
    table[[ord(char) for char in chars]] = True
    return table


_MARKS = _ascii(".?!")
_OUTSIDE_WORDS = _ascii(")\";}]*:@'({[?!")
_NOT_FIRST = _ascii('("`{[:;&#*@)}]-,')
_CLOSERS = _ascii("\"')]}")
_INNER = _ascii(";:,.!?")
_IN_NUMBERS = _ascii("0123456789,.-")
_MAYBE_END = _ascii(".-,") | _OUTSIDE_WORDS | (SPACE_KINDS == 1)
_MAYBE_END[0xC2:] = True


@njit(cache=True, nogil=True)
def count_sentences(data, start, stop, words, tables):  # type: ignore[no-untyped-def]
    """Sentences in the bytes from `start` to `stop`.

    `words` are `keys` and `flags` of a `Words`; `tables` are `char_classes()`, `lower_codes()` and `uppercase()`.
    """
    count = carried = np.int64(0)  # of the sentence, the bytes that were given to the one before
    begin = np.int64(start)  # of what no sentence has taken
    sentence = sentence_stop = np.int64(-1)  # complete, but closing marks may follow it
    mark = _next_mark(data, start, stop)
    space = _last_space(data, start, mark)
    word = space + 1 if space > start else np.int64(start)
    while mark < stop:
        following = _next_mark(data, mark + 1, stop)
        space = _last_space(data, mark + 1, following)
        next_word = space + 1 if space > mark else word
        # Of the marks of one word only the last is looked at.
        if following == stop or mark <= next_word:
            after, token = _context(data, mark + 1, stop)
            if _has_break(data, word, after, words, tables):
                if sentence >= 0:
                    length = _closing_length(data, begin, mark + 1)
                    count += length > 0 or sentence + carried < sentence_stop
                    carried = length
                sentence, sentence_stop = begin, mark + 1
                begin = token
        mark, word = following, next_word
    last = trim_space(data, start, stop)
    if sentence >= 0:
        length = _closing_length(data, begin, last)
        count += length > 0 or sentence + carried < sentence_stop
        carried = length
    return count + (begin + carried < last)


@njit(cache=True, nogil=True)
def _next_mark(data, i, stop):  # type: ignore[no-untyped-def]
    """Position of the first mark from `i` on that may end a sentence, `stop` where there is none."""
    while True:
        while i < stop and not _MARKS[data[i]]:
            i += 1
        if i + 1 >= stop:
            return stop
        if _outside_words(data, i + 1, stop):
            return i
        if space_length(data, i + 1, stop) and skip_space(data, i + 1, stop) < stop:
            return i
        i += 1


@njit(cache=True, nogil=True)
def _last_space(data, start, i):  # type: ignore[no-untyped-def]
    """Position of the last white space of ASCII before `i`, start - 1 where there is none."""
    i -= 1
    while i >= start and not (data[i] == 0x20 or 0x09 <= data[i] <= 0x0D):
        i -= 1
    return i


@njit(cache=True, nogil=True)
def _context(data, i, stop):  # type: ignore[no-untyped-def]
    """Where what follows a mark ends, and where the next sentence would begin."""
    k = _outside_words(data, i, stop)
    if k:
        return i + k, i
    token = i = skip_space(data, i, stop)
    while i < stop and (SPACE_KINDS[data[i]] == 0 or space_length(data, i, stop) == 0):
        i += 1
    return i, token


@njit(cache=True, nogil=True)
def _outside_words(data, i, stop):  # type: ignore[no-untyped-def]
    """Bytes of the bracket, quote or other mark at `i` that no word has in it, 0 where there is none."""
    c = data[i]
    if c < 0x80:
        return np.int64(_OUTSIDE_WORDS[c])
    return _quote_length(data, i, stop)


@njit(cache=True, nogil=True)
def _quote_length(data, i, stop):  # type: ignore[no-untyped-def]
    """Bytes of the `‘`, `’`, `“`, `”`, `«` or `»` at `i`."""
    c = data[i]
    if c == 0xC2 and i + 1 < stop and (data[i + 1] == 0xAB or data[i + 1] == 0xBB):
        return np.int64(2)
    if c == 0xE2 and i + 2 < stop and data[i + 1] == 0x80:
        d = data[i + 2]
        return np.int64(3 * (d == 0x98 or d == 0x99 or d == 0x9C or d == 0x9D))
    return np.int64(0)


@njit(cache=True, nogil=True)
def _closing_length(data, start, stop):  # type: ignore[no-untyped-def]
    """Bytes of the quotes and brackets that belong to the sentence before, with the white space behind them."""
    i = start
    while i < stop:
        k = np.int64(_CLOSERS[data[i]]) if data[i] < 0x80 else _quote_length(data, i, stop)
        if k == 0:
            break
        i += k
    if i <= start:
        return np.int64(0)
    behind = skip_space(data, i, stop)
    dashes = i + 1 < stop and data[i] == 0x2D and data[i + 1] == 0x2D
    return behind - start if behind > i or i >= stop or dashes else np.int64(0)


@njit(cache=True, nogil=True)
def _has_break(data, i, stop, words, tables):  # type: ignore[no-untyped-def]
    """Whether a sentence ends behind any but the last of the tokens."""
    start, end = _next_token(data, i, stop)
    while end < stop:
        after, after_end = _next_token(data, end, stop)
        if after == after_end:
            return False
        if _ends_sentence(data, start, end, after, after_end, words, tables):
            return True
        start, end = after, after_end
    return False


@njit(cache=True, nogil=True)
def _next_token(data, i, stop):  # type: ignore[no-untyped-def]
    """Start and stop of the first token from `i` on; both are `stop` where there is none."""
    i = skip_space(data, i, stop)
    if i >= stop:
        return stop, stop
    n = _dashes_or_dots(data, i, stop)
    if n:
        return i, i + n
    j = i + 1
    while j < stop and (data[j] & 0xC0) == 0x80:
        j += 1
    if _NOT_FIRST[data[i]]:
        return i, j
    while j < stop:
        c = data[j]
        if not _MAYBE_END[c]:
            j += 1
        elif c == 0x2C:
            if j + 1 == stop or _is_end(data, j + 1, stop):
                break
            j += 1
        elif _is_end(data, j, stop):
            break
        else:
            j += 1
    return i, j


@njit(cache=True, nogil=True)
def _is_end(data, i, stop):  # type: ignore[no-untyped-def]
    """Whether a word ends before `i` whatever it is."""
    return space_length(data, i, stop) or _outside_words(data, i, stop) or _dashes_or_dots(data, i, stop)


@njit(cache=True, nogil=True)
def _dashes_or_dots(data, i, stop):  # type: ignore[no-untyped-def]
    """Bytes of the `--`, `...` or `. . .`, or more of them, at `i`; 0 where there are none."""
    c = data[i]
    if c != 0x2D and c != 0x2E:
        return np.int64(0)
    j = i + 1
    while j < stop and data[j] == c:
        j += 1
    if j > i + 1:
        return j - i
    n = last = np.int64(0)
    while c == 0x2E and j < stop and data[j] != 0x0A:
        k = space_length(data, j, stop)
        if k == 0 or j + k >= stop or data[j + k] != 0x2E:
            break
        j += k + 1
        n += 1
        last = j - i
    return last if n >= 2 else np.int64(0)


@njit(cache=True, nogil=True)
def _ends_sentence(data, start, end, after, after_end, words, tables):  # type: ignore[no-untyped-def]
    """Whether a sentence ends behind the token from `start` to `end`, given the one behind it."""
    classes, lower, upper = tables
    kind = _kind(data, start, end, words, lower)
    if data[end - 1] != 0x2E:
        return kind == _ENDS
    initial = _is_initial(data, start, end, classes)
    number = _is_number(data, start, end, classes)
    word = NUMBER if number else hash_lower(data, start, end - (end - start > 1), lower)
    paired = find_flags(words, word) & PAIRED != 0
    if kind == _ENDS and not initial and not number and not paired:
        return True
    next_end = after_end
    if _kind(data, after, after_end, words, lower) == _ENDS and after_end - after > 1:
        next_end -= 1
    next_word = NUMBER if _is_number(data, after, after_end, classes) else hash_lower(data, after, next_end, lower)
    if paired and find_flags(words, join_hashes(word, next_word)) & COLLOCATION:
        return False
    known = find_flags(words, next_word)
    code, _ = decode(data, after, after_end)
    capital = upper[code]
    inner = after_end - after == 1 and _INNER[data[after]]
    starts = not inner and capital and known & LOWER_EVER != 0 and known & UPPER_INSIDE == 0
    if kind != _ENDS and not initial and (starts or (capital and known & STARTER != 0)):
        return kind != _PLAIN
    if initial or number:
        small = classes[code] & LOWERCASE != 0
        if inner or (not starts and small and (known & UPPER_EVER != 0 or known & LOWER_FIRST == 0)):
            return False
        if not starts and initial and capital and known & LOWER_EVER == 0:
            return False
    return kind == _ENDS


@njit(cache=True, nogil=True)
def _kind(data, start, end, words, lower):  # type: ignore[no-untyped-def]
    """What the token is by itself."""
    c = data[end - 1]
    if end - start == 1 and _MARKS[c]:
        return _ENDS
    if c != 0x2E:
        return _PLAIN
    i = end - 1
    while i > start and data[i - 1] == 0x2E:
        i -= 1
    if i == start:
        return _ELLIPSIS
    if i < end - 1:
        return _PLAIN
    if find_flags(words, hash_lower(data, start, end - 1, lower)) & ABBREVIATION:
        return _SHORT
    i = end - 1
    while i > start and data[i - 1] != 0x2D:
        i -= 1
    if i > start and find_flags(words, hash_lower(data, i, end - 1, lower)) & ABBREVIATION:
        return _SHORT
    return _ENDS


@njit(cache=True, nogil=True)
def _is_initial(data, start, end, classes):  # type: ignore[no-untyped-def]
    """Whether it is one letter, or what counts as one, and a full stop."""
    if end - start > 5 or end - start < 2 or char_before(data, start, end - 1) != start:
        return False
    code, _ = decode(data, start, end)
    return code == 0x5F or (classes[code] & (LETTER | NUMERIC) != 0 and classes[code] & DECIMAL == 0)


@njit(cache=True, nogil=True)
def _is_number(data, i, end, classes):  # type: ignore[no-untyped-def]
    """Whether it is a number, such as `-1,000.5` or `12.`."""
    if data[i] == 0x2D:
        i += 1
    if i < end and (data[i] == 0x2E or data[i] == 0x2C):
        i += 1
    if i == end or not classes[decode(data, i, end)[0]] & DECIMAL:
        return False
    while i < end:
        if data[i] < 0x80:
            if not _IN_NUMBERS[data[i]]:
                return False
            i += 1
            continue
        code, k = decode(data, i, end)
        if not classes[code] & DECIMAL:
            return False
        i += k
    return True
