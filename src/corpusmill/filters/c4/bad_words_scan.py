"""The kernels of bad words: phrases of any script in texts of any case, and what is beside them."""

from __future__ import annotations

import numpy as np
from numba import njit

from corpusmill.folding import DOT_ABOVE, DOTTED_I
from corpusmill.scan import finish_hash, hash_span, mix, space_length
from corpusmill.unicode import LETTER, NUMERIC, char_before, decode, encode

ANYWHERE, NO_WORD, WHITE_SPACE, BOUNDARIES = range(4)
"""What must be on both sides of a phrase: nothing, no word character, white space, what is not of its own kind."""

_ROW = ~63
_FOUND = 1


@njit(cache=True, nogil=True)
def scan(data, offsets, rows, machine, beside, results):  # type: ignore[no-untyped-def]
    """Find the phrases in the texts of `rows`; `results` are count, number of the first, its start and stop, int64[n].

    `beside` are, of each phrase, its characters and what must be beside it, then `char_classes()`, `lower_codes()`.
    """
    columns, following, _, _, _ = machine
    lower = beside[3]
    for d in rows:
        row = np.int64(0)
        i, end = offsets[d], offsets[d + 1]
        free = i  # behind the last phrase found
        while i < end:
            if data[i] < 0x80:
                cell = np.int64(following[row + columns[data[i]]])
                i += 1
            else:
                code, k = decode(data, i, end)
                cell = _feed(np.int64(lower[code]), row, columns, following)
                i += k
                if code == DOTTED_I:
                    if cell & _FOUND:
                        free = _check(data, offsets, d, i, True, free, cell, machine, beside, results)
                    cell = _feed(np.int64(DOT_ABOVE), cell & _ROW, columns, following)
            row = cell & _ROW
            if cell & _FOUND:
                free = _check(data, offsets, d, i, False, free, cell, machine, beside, results)


@njit(cache=True, nogil=True)
def _feed(code, row, columns, following):  # type: ignore[no-untyped-def]
    """The cell of the machine behind one more character."""
    packed, n = encode(code)
    cell = row
    for _ in range(n):
        cell = np.int64(following[(cell & _ROW) + columns[packed & 0xFF]])
        packed >>= 8
    return cell


@njit(cache=True, nogil=True)
def _check(data, offsets, d, stop, inside, free, cell, machine, beside, results):  # type: ignore[no-untyped-def]
    """Take the longest phrase that ends before `stop`, begins behind `free` and has beside it what it must.

    `inside` means that half of the lower case of `İ` is still to come, whose dot is no word character.
    """
    _, _, ends, shorter, shift = machine
    chars, flanks, classes, _ = beside
    count, first, start, stops = results
    state = cell >> shift
    if ends[state] < 0:
        state = np.int64(shorter[state])
    while state > 0:
        phrase = ends[state]
        begin = _step_back(data, offsets[d], stop, chars[phrase] + inside)
        if begin >= free and _fits(data, offsets[d], offsets[d + 1], begin, stop, inside, flanks[phrase], classes):
            if count[d] == 0:
                first[d], start[d], stops[d] = phrase, begin, stop
            count[d] += 1
            return stop
        state = np.int64(shorter[state])
    return free


@njit(cache=True, nogil=True)
def _step_back(data, start, i, n):  # type: ignore[no-untyped-def]
    """Where the last `n` characters of lower case before `i` begin."""
    while n > 0 and i > start:
        i = char_before(data, start, i)
        n -= 1 + (data[i] == 0xC4 and data[i + 1] == 0xB0)
    return i


@njit(cache=True, nogil=True)
def _fits(data, start, end, begin, stop, inside, flank, classes):  # type: ignore[no-untyped-def]
    if flank == ANYWHERE:
        return True
    before = char_before(data, start, begin) if begin > start else np.int64(-1)
    if flank == WHITE_SPACE:
        opens = before < 0 or space_length(data, before, begin) > 0
        return opens and not inside and (stop == end or space_length(data, stop, end) > 0)
    word_before = before >= 0 and _ends_word(data, before, begin, classes)
    word_after = stop < end and not inside and _is_word(data, stop, end, classes)
    if flank == NO_WORD:
        return not word_before and not word_after
    ends_word = inside or _ends_word(data, char_before(data, start, stop), stop, classes)
    return word_before != _is_word(data, begin, end, classes) and word_after != ends_word


@njit(cache=True, nogil=True)
def _is_word(data, i, end, classes):  # type: ignore[no-untyped-def]
    """Whether the character at `i` is what `\\w` matches."""
    code, _ = decode(data, i, end)
    return code == 0x5F or classes[code] & (LETTER | NUMERIC) != 0


@njit(cache=True, nogil=True)
def _ends_word(data, i, end, classes):  # type: ignore[no-untyped-def]
    """Whether the last character of the lower case of the one at `i` is."""
    code, _ = decode(data, i, end)
    return code != DOTTED_I and (code == 0x5F or classes[code] & (LETTER | NUMERIC) != 0)


@njit(cache=True, nogil=True)
def chances(data, offsets, chosen, seed):  # type: ignore[no-untyped-def]
    """float64[n] from 0 to below 1 by the text and the seed, for the documents that are chosen."""
    drawn = np.zeros(len(chosen), dtype=np.float64)
    for d in range(len(chosen)):
        if chosen[d]:
            key, _ = hash_span(data, offsets[d], offsets[d + 1])
            drawn[d] = np.float64(finish_hash(mix(key, seed)) >> np.uint64(11)) * 2.0**-53
    return drawn
