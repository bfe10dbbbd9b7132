"""Counting sentences as spaCy's `sentencizer` does over its English tokens, which is how datatrove's C4 filter counts.

A token that is one mark ends a sentence; the next begins at the first token behind it that is not all punctuation.
White space beyond a single space is a token too. Only words with a mark in them are cut into tokens: of the others it
is enough to know whether they have a character that is not punctuation.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.scan import SPACE_KINDS, Bytes, skip_space, space_length
from corpusmill.segment_spacy import spacy_tokens
from corpusmill.unicode import SENTENCE_TERMINAL, char_before, char_classes, decode, matched

_MARK = np.uint8(1)
_PUNCTUATION = np.uint8(2)

# Sentence_Terminal in Unicode, but no mark to spaCy 3.8 (pipeline/sentencizer.pyx), like the ellipsis.
_NO_MARKS = "\u2026\u061d\u061e\u0837\u0839\u083d\u083e\u17d4\u17d5\u1b4e\u1b4f\u1b7d\u1b7e\u1b7f\u2024\u2cf9\u2cfa"
_NO_MARKS += "\u2cfb\u2e53\u2e54\u2e60\u2e61\ufe12\ufe15\ufe16\U00010f55\U00010f56\U00010f57\U00010f58\U00010f59"
_NO_MARKS += "\U00010f86\U00010f87\U00010f88\U00010f89\U000113d4\U000113d5\U00011944\U00011946\U00011ef7\U00011ef8"
_NO_MARKS += "\U00011f43\U00011f44\U00016d6e\U00016d6f\U00016e98"


def _maybe_mark() -> npt.NDArray[np.bool_]:
    maybe = np.zeros(256, dtype=np.bool_)
    maybe[[ord(mark) for mark in ".!?"]] = True
    maybe[0xC2:] = True
    return maybe


_MAYBE_MARK = _maybe_mark()


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """uint8[0x110000]: the flags above."""
    kinds = np.where(char_classes() & SENTENCE_TERMINAL, _MARK, np.uint8(0))
    kinds[[ord(char) for char in _NO_MARKS]] = 0
    kinds[matched(r"\p{P}")] |= _PUNCTUATION
    return kinds


def count_sentences(data: Bytes, offsets: npt.NDArray[np.int64], lines: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """int64[n], sentences in the lines of each text, `lines` int64[n] of them; every line has one at least."""
    kinds = _kinds()
    start, stop, first, out, word_offsets = _marked_words(data, offsets, kinds)
    tokens, token_stops, _, _, token_first = spacy_tokens(out, word_offsets)
    return lines + _count_breaks(data, offsets, (start, stop, first), (tokens, token_stops, token_first), out, kinds)


@njit(cache=True, nogil=True)
def _marked_words(data, offsets, kinds):  # type: ignore[no-untyped-def]
    """Words with a mark in them: where they are, which text has which, and a copy of them all with its offsets."""
    start, stop = np.empty(1024, dtype=np.int64), np.empty(1024, dtype=np.int64)
    first = np.zeros(len(offsets), dtype=np.int64)
    m = 0
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        while i < end:
            while i < end and not _MAYBE_MARK[data[i]]:
                i += 1
            if i == end:
                break
            code, k = decode(data, i, end)
            if not kinds[code] & _MARK:
                i += k
                continue
            if m == len(start):
                start, stop = np.concatenate((start, start)), np.concatenate((stop, stop))
            start[m] = _word_start(data, stop[m - 1] if m > first[d] else offsets[d], i)
            i = stop[m] = _word_stop(data, i + k, end)
            m += 1
        first[d + 1] = m
    start, stop = start[:m], stop[:m]
    word_offsets = np.zeros(m + 1, dtype=np.int64)
    word_offsets[1:] = np.cumsum(stop - start)
    out = np.empty(word_offsets[m], dtype=np.uint8)
    for j in range(m):
        for i in range(stop[j] - start[j]):
            out[word_offsets[j] + i] = data[start[j] + i]
    return start, stop, first, out, word_offsets


@njit(cache=True, nogil=True)
def _word_start(data, start, i):  # type: ignore[no-untyped-def]
    while i > start:
        j = char_before(data, start, i)
        if space_length(data, j, i):
            break
        i = j
    return i


@njit(cache=True, nogil=True)
def _word_stop(data, i, end):  # type: ignore[no-untyped-def]
    while i < end and (SPACE_KINDS[data[i]] == 0 or space_length(data, i, end) == 0):
        i += 1
    return i


@njit(cache=True, nogil=True)
def _count_breaks(data, offsets, words, parts, out, kinds):  # type: ignore[no-untyped-def]
    """int64[n]: places in lines where a sentence begins after another."""
    start, stop, first = words
    tokens, token_stops, token_first = parts
    breaks = np.zeros(len(offsets) - 1, dtype=np.int64)
    for d in range(len(offsets) - 1):
        ended = False  # whether a mark was seen and no sentence has begun since
        for j in range(first[d], first[d + 1]):
            if ended:
                begun, ended = _begins(data, stop[j - 1], start[j], kinds)
                breaks[d] += begun
            for t in range(token_first[j], token_first[j + 1]):
                code, k = decode(out, tokens[t], token_stops[t])
                if tokens[t] + k == token_stops[t] and kinds[code] & _MARK:
                    ended = True
                elif ended and not _all_punctuation(out, tokens[t], token_stops[t], kinds):
                    breaks[d] += 1
                    ended = False
        if ended:
            begun, _ = _begins(data, stop[first[d + 1] - 1], offsets[d + 1], kinds)
            breaks[d] += begun
    return breaks


@njit(cache=True, nogil=True)
def _begins(data, i, end, kinds):  # type: ignore[no-untyped-def]
    """Whether a sentence begins in the words from `i` to `end`, and whether one still may behind them."""
    while i < end:
        k = space_length(data, i, end)
        if k:
            behind = skip_space(data, i, end)
            for j in range(i, behind):
                if data[j] == 0x0A:
                    return False, False
            if behind - i > 1 or data[i] != 0x20:
                return True, False
            i = behind
            continue
        code, k = decode(data, i, end)
        if not kinds[code] & _PUNCTUATION:
            return True, False
        i += k
    return False, True


@njit(cache=True, nogil=True)
def _all_punctuation(data, i, stop, kinds):  # type: ignore[no-untyped-def]
    while i < stop:
        code, k = decode(data, i, stop)
        if not kinds[code] & _PUNCTUATION:
            return False
        i += k
    return True
