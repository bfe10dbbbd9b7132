"""Kernels over the words of a batch: characters they have, lists they are on, their lengths."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.scan import eight_bytes
from corpusmill.text import Spans, Texts
from corpusmill.unicode import LETTER, NUMERIC, char_classes, decode, matched

Counts = npt.NDArray[np.int64]
Lexicon = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]
"""A hash table of words: the hash of one and its number in each slot, number -1 in empty ones."""

ALL_MIXES_CHARS = 8
"""Up to so many characters every mix of small and capital letters is looked for."""

_UNSPACED = r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Line_Break=Complex_Context}\p{Script=Tibetan}]"
_LENGTHS = 64


@lru_cache(maxsize=64)
def lexicon(words: tuple[str, ...], any_case: bool = False) -> Lexicon:
    """The words, numbered from 0; with `any_case` in every spelling (`spellings`) under the same number."""
    numbered = [(text, i) for i, word in enumerate(words) for text in (spellings(word) if any_case else [word])]
    found = Texts.from_strings([text for text, _ in numbered]).words
    if len(found.hash) != len(numbered):
        raise ValueError("a word has white space in it")
    size = 64
    while size < 8 * len(numbered):
        size *= 2
    keys, numbers = np.zeros(size, dtype=np.uint64), np.full(size, -1, dtype=np.int32)
    for key, (_, number) in zip(found.hash, numbered, strict=True):
        slot = int(key) & (size - 1)
        while numbers[slot] >= 0 and keys[slot] != key:
            slot = (slot + 1) & (size - 1)
        keys[slot], numbers[slot] = key, number
    return keys, numbers


def spellings(word: str) -> Iterable[str]:
    """The word in small letters, in capitals, with a first capital; every mix of them where it is short."""
    if len(word) > ALL_MIXES_CHARS:
        return dict.fromkeys([word.lower(), word.upper(), word.capitalize()])
    return dict.fromkeys(map("".join, product(*((c.lower(), c.upper()) for c in word))))


def count_listed(words: Spans, listed: Lexicon, *, distinct: bool) -> Counts:
    """int64[n]: words of each text that are on the list, or how many of the list occur."""
    return _count_listed(words.hash, words.first, *listed, distinct)


def count_having(texts: Texts, words: Spans, classes: npt.NDArray[np.uint8]) -> Counts:
    """int64[2, n]: words with a character whose class is not 0, code points in these words.

    classes  uint8[0x110000], not 0 for ASCII letters
    """
    more = bool(np.count_nonzero(classes[:128]) > 52)  # than letters in ASCII
    return _count_having(texts.data, words.start, words.stop, words.chars, words.first, classes, more)


def sum_chars(words: Spans) -> Counts:
    """int64[n]: code points in all words."""
    return _sum_chars(words.chars, words.first)


def median_chars(words: Spans) -> npt.NDArray[np.float64]:
    """float64[n]: the median of the words' lengths in code points; 0 where there are none."""
    return _median_chars(words.chars, words.first)


def count_hash_runs(texts: Texts, words: Spans, listed: Lexicon) -> Counts:
    """int64[n]: words that are listed or in which runs of `#` are more than half as many as code points."""
    return _count_hash_runs(texts.data, words.start, words.stop, words.chars, words.hash, words.first, *listed)


def count_hash_or_ellipsis(texts: Texts, words: Spans) -> Counts:
    """int64[n]: words with a `#` or `…` anywhere."""
    return _count_hash_or_ellipsis(texts.data, words.start, words.stop, words.first)


@cache
def unspaced() -> npt.NDArray[np.bool_]:
    """bool[0x110000]: scripts that put no space between words: Chinese, Japanese, Southeast Asia's, Tibetan."""
    return matched(_UNSPACED)


def cut_unspaced(texts: Texts) -> Spans:
    """`texts.words`, but those with a character of `unspaced()` in them cut into `texts.script_words`."""
    words, script = texts.words, texts.script_words
    most = len(words.start) + len(script.start)
    start, stop, chars = (np.empty(most, dtype=np.int32) for _ in range(3))
    hashes, first = np.empty(most, dtype=np.uint64), np.zeros(len(texts) + 1, dtype=np.int64)
    runs = (words.start, words.stop, words.chars, words.hash, words.first)
    pieces = (script.start, script.stop, script.chars, script.hash, script.first)
    m = _cut_unspaced(texts.data, runs, pieces, unspaced(), start, stop, chars, hashes, first)
    return Spans(start[:m], stop[:m], chars[:m], hashes[:m], first)


def dclm_words(texts: Texts) -> Spans:
    """Those of `texts.script_words` that begin with a letter or number: DCLM's words without punctuation."""
    words = texts.script_words
    keep, first = _beginning_with(texts.data, words.start, words.stop, words.first, char_classes(), LETTER | NUMERIC)
    return Spans(words.start[keep], words.stop[keep], words.chars[keep], words.hash[keep], first)


@njit(cache=True, nogil=True)
def _cut_unspaced(data, runs, pieces, unspaced, start, stop, chars, hashes, first):  # type: ignore[no-untyped-def]
    m = k = np.int64(0)
    for d in range(len(first) - 1):
        for j in range(runs[4][d], runs[4][d + 1]):
            a, b = runs[0][j], runs[1][j]
            while k < pieces[4][d + 1] and pieces[0][k] < a:
                k += 1
            if not _has(data, np.int64(a), np.int64(b), unspaced):
                m = _copy_span(runs, j, m, start, stop, chars, hashes)
                continue
            while k < pieces[4][d + 1] and pieces[0][k] < b:
                m = _copy_span(pieces, k, m, start, stop, chars, hashes)
                k += 1
        k = pieces[4][d + 1]
        first[d + 1] = m
    return m


@njit(cache=True, nogil=True)
def _copy_span(spans, j, m, start, stop, chars, hashes):  # type: ignore[no-untyped-def]
    start[m] = spans[0][j]
    stop[m] = spans[1][j]
    chars[m] = spans[2][j]
    hashes[m] = spans[3][j]
    return m + 1


@njit(cache=True, nogil=True)
def _beginning_with(data, start, stop, first, classes, flags):  # type: ignore[no-untyped-def]
    keep = np.zeros(len(start), dtype=np.bool_)
    left = np.zeros(len(first), dtype=np.int64)
    for d in range(len(first) - 1):
        left[d + 1] = left[d]
        for j in range(first[d], first[d + 1]):
            code, _ = decode(data, np.int64(start[j]), np.int64(stop[j]))
            keep[j] = classes[code] & flags != 0
            left[d + 1] += keep[j]
    return keep, left


@njit(cache=True, nogil=True)
def _find(keys, numbers, key):  # type: ignore[no-untyped-def]
    """Number of the word with this hash, -1 where it is not listed."""
    mask = np.int64(len(keys) - 1)
    slot = np.int64(key & np.uint64(mask))
    while numbers[slot] >= 0 and keys[slot] != key:
        slot = (slot + 1) & mask
    return np.int64(numbers[slot])


@njit(cache=True, nogil=True)
def _count_listed(hashes, first, keys, numbers, distinct):  # type: ignore[no-untyped-def]
    counts = np.zeros(len(first) - 1, dtype=np.int64)
    last = np.full(numbers.max() + 2, -1, dtype=np.int64)  # the last text each word was seen in
    for d in range(len(first) - 1):
        n = 0
        for j in range(first[d], first[d + 1]):
            k = _find(keys, numbers, hashes[j])
            if k >= 0 and not (distinct and last[k] == d):
                last[k] = d
                n += 1
        counts[d] = n
    return counts


@njit(cache=True, nogil=True)
def _count_having(data, start, stop, chars, first, classes, more):  # type: ignore[no-untyped-def]
    sums = np.zeros((2, len(first) - 1), dtype=np.int64)
    for d in range(len(first) - 1):
        number = length = 0
        for j in range(first[d], first[d + 1]):
            a, b = np.int64(start[j]), np.int64(stop[j])
            x = eight_bytes(data, a, b)
            has = _ascii_letter(x)
            if not has and (b - a > 8 or x & np.uint64(0x8080808080808080) or more):
                has = _has(data, a, b, classes)
            number += has
            length += chars[j] * has
        sums[0, d] = number
        sums[1, d] = length
    return sums


@njit(cache=True, nogil=True)
def _ascii_letter(x):  # type: ignore[no-untyped-def]
    """1 if any of eight bytes is an ASCII letter. Setting bit 5 makes capitals small, and letters of nothing."""
    x |= np.uint64(0x2020202020202020)
    low = x & np.uint64(0x7F7F7F7F7F7F7F7F)
    from_a = low + np.uint64(0x1F1F1F1F1F1F1F1F)
    beyond_z = low + np.uint64(0x0505050505050505)
    return np.int64((from_a & ~beyond_z & ~x & np.uint64(0x8080808080808080)) != 0)


@njit(cache=True, nogil=True)
def _has(data, i, stop, classes):  # type: ignore[no-untyped-def]
    while i < stop:
        code, k = decode(data, i, stop)
        if classes[code]:
            return 1
        i += k
    return 0


@njit(cache=True, nogil=True)
def _sum_chars(chars, first):  # type: ignore[no-untyped-def]
    sums = np.zeros(len(first) - 1, dtype=np.int64)
    for d in range(len(first) - 1):
        for j in range(first[d], first[d + 1]):
            sums[d] += chars[j]
    return sums


@njit(cache=True, nogil=True)
def _median_chars(chars, first):  # type: ignore[no-untyped-def]
    medians = np.zeros(len(first) - 1, dtype=np.float64)
    counts = np.empty(_LENGTHS, dtype=np.int64)  # words of each length, the last for all longer ones
    for d in range(len(first) - 1):
        words = first[d + 1] - first[d]
        if words == 0:
            continue
        counts[:] = 0
        for j in range(first[d], first[d + 1]):
            counts[min(chars[j], _LENGTHS - 1)] += 1
        low, high = _rank(counts, (words - 1) // 2), _rank(counts, words // 2)
        if high == _LENGTHS - 1:
            ordered = np.sort(chars[first[d] : first[d + 1]])
            low, high = np.int64(ordered[(words - 1) // 2]), np.int64(ordered[words // 2])
        medians[d] = (low + high) / 2
    return medians


@njit(cache=True, nogil=True)
def _rank(counts, rank):  # type: ignore[no-untyped-def]
    """The length of the word that would be at position `rank` if they were sorted."""
    length = 0
    while rank >= counts[length]:
        rank -= counts[length]
        length += 1
    return length


@njit(cache=True, nogil=True)
def _count_hash_runs(data, start, stop, chars, hashes, first, keys, numbers):  # type: ignore[no-untyped-def]
    counts = np.zeros(len(first) - 1, dtype=np.int64)
    for d in range(len(first) - 1):
        for j in range(first[d], first[d + 1]):
            runs = 0
            before = 0
            for i in range(start[j], stop[j]):
                runs += data[i] == 0x23 and before != 0x23
                before = data[i]
            counts[d] += 2 * runs > chars[j] or _find(keys, numbers, hashes[j]) >= 0
    return counts


@njit(cache=True, nogil=True)
def _count_hash_or_ellipsis(data, start, stop, first):  # type: ignore[no-untyped-def]
    counts = np.zeros(len(first) - 1, dtype=np.int64)
    for d in range(len(first) - 1):
        for j in range(first[d], first[d + 1]):
            found = False
            for i in range(start[j], stop[j]):
                c = data[i]
                found |= c == 0x23
                found |= c == 0xA6 and i >= start[j] + 2 and data[i - 1] == 0x80 and data[i - 2] == 0xE2
            counts[d] += found
    return counts
