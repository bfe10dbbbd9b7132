"""Kernels that find the n-grams of words which occur more than once in a text, and count what tools count of them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.filters.gopher.repeats import first_equal, slots, table_size
from corpusmill.text import Spans, Texts

Counts = npt.NDArray[np.int64]
Counting = Literal["covered", "all", "later", "copies"]
_COUNTINGS: tuple[Counting, ...] = ("covered", "all", "later", "copies")
_COVERED, _ALL, _LATER, _COPIES = range(4)

_BASE = 0xD1342543DE82EF95
_POWER, _INVERSE = np.uint64(_BASE), np.uint64(pow(_BASE, -1, 1 << 64))


def count_ngrams(words: Spans, counting: Counting, *, longest: bool) -> tuple[Counts, Counts, Counts]:
    """`top` int64[3, 3, n], `repeated` and `whole` int64[6, n].

    top       for 2- to 4-grams the one that occurs most often, of several the `longest` or else the first: its code
              points without spaces, how often it occurs, its first word in `words`; -1 words where there is none
    repeated  for 5- to 10-grams, code points in those that occur more than once:
              "covered"  in words that lie in any, each word once
              "all"      in every occurrence, so in a word as often as it lies in one
              "later"    in words that lie in any but the first occurrence, each word once, with the spaces between
              "copies"   nothing: `count_glued_copies` does
    whole     what "all" would be if every n-gram occurred twice
    """
    return _count_ngrams(words.hash, words.chars, words.first, _COUNTINGS.index(counting), longest)


def count_glued_copies(texts: Texts, words: Spans) -> Counts:
    """int64[6, n]: for 5- to 10-grams, code points in those met before, going from left to right over each copy.

    Two n-grams are copies when their words, written without spaces, are the same string.
    """
    return _count_glued_copies(texts.data, words.start, words.stop, words.chars, words.first)


def count_occurrences(texts: Texts, words: Spans, word: Counts, n: int) -> Counts:
    """int64[n]: how often the n words from position `word` on, joined by spaces, stand in their text as a string."""
    return _count_occurrences(texts.data, texts.offsets, words.start, words.stop, word, n)


@njit(cache=True, nogil=True)
def _count_ngrams(hashes, chars, first, counting, longest):  # type: ignore[no-untyped-def]
    """An n-gram can occur twice only where the (n-1)-grams at its place and at the next do.

    So each n looks only at what the one before left. An n-gram goes by its first position among those left; with
    n - 1 known, the pair of these numbers at two neighbouring places names it exactly.
    """
    top = np.zeros((3, 3, len(first) - 1), dtype=np.int64)
    repeated = np.zeros((6, len(first) - 1), dtype=np.int64)
    whole = np.zeros((6, len(first) - 1), dtype=np.int64)
    table = slots(first)
    most = len(table) // 2
    keys = np.empty(most, dtype=np.uint64)
    name = np.empty(most + 1, dtype=np.int32)  # of the n-gram at each position, -1 where it occurs once
    left = np.empty(most, dtype=np.int32)  # positions whose n-gram occurs more than once, rising
    counts = np.empty(most, dtype=np.int32)
    before = np.zeros(most + 1, dtype=np.int64)  # code points in the words before a position
    for d in range(len(first) - 1):
        words = first[d + 1] - first[d]
        for i in range(words):
            before[i + 1] = before[i] + chars[first[d] + i]
        m = _pair_words(hashes[first[d] : first[d + 1]], table, keys, name, left, counts)
        for n in range(2, 5 if counting == _COPIES else 11):
            if n > 2 and m:
                m = _lengthen(m, table, keys, name, left, counts)
            if n < 5:
                i, top[1, n - 2, d] = _find_top(n, m, words, name, left, counts, before, longest)
                top[0, n - 2, d] = before[i + n] - before[i] if i >= 0 else 0
                top[2, n - 2, d] = first[d] + i if i >= 0 else -1
            elif counting == _COVERED:
                repeated[n - 5, d] = _covered_chars(n, m, left, before)
            elif counting == _LATER:
                repeated[n - 5, d] = _later_chars(n, m, name, left, before)
            else:
                for k in range(m):
                    repeated[n - 5, d] += before[left[k] + n] - before[left[k]]
        if counting == _ALL:
            _whole_chars(words, before, whole[:, d])
    return top, repeated, whole


@njit(cache=True, nogil=True)
def _pair_words(hashes, table, keys, name, left, counts):  # type: ignore[no-untyped-def]
    """Name every pair of words; gives how many positions have a pair that occurs more than once."""
    pairs = max(len(hashes) - 1, 0)
    size = table_size(pairs)
    table[:size] = -1
    for i in range(pairs):
        keys[i] = hashes[i] * _POWER + hashes[i + 1]
        counts[i] = 0
        j = first_equal(table, size - 1, keys, i)
        name[i] = j
        counts[j] += 1
        left[i] = i
    name[pairs] = -1
    return _drop_single(pairs, name, left, counts)


@njit(cache=True, nogil=True)
def _lengthen(m, table, keys, name, left, counts):  # type: ignore[no-untyped-def]
    """From n - 1 to n: the same over the m positions that are left."""
    size = table_size(m)
    table[:size] = -1
    kept = 0
    for k in range(m):
        i = left[k]
        if name[i + 1] < 0:
            name[i] = -1
            continue
        keys[i] = np.uint64(name[i]) << np.uint64(32) | np.uint64(name[i + 1])
        counts[i] = 0
        j = first_equal(table, size - 1, keys, np.int64(i))
        name[i] = j  # the position before has been here already
        counts[j] += 1
        left[kept] = i
        kept += 1
    return _drop_single(kept, name, left, counts)


@njit(cache=True, nogil=True)
def _drop_single(m, name, left, counts):  # type: ignore[no-untyped-def]
    kept = 0
    for k in range(m):
        i = left[k]
        left[kept] = i
        often = counts[name[i]] > 1
        kept += often
        if not often:
            name[i] = -1
    return kept


@njit(cache=True, nogil=True)
def _find_top(n, m, words, name, left, counts, before, longest):  # type: ignore[no-untyped-def]
    """Position of the n-gram that occurs most often, and its count; (-1, 0) where there are no n-grams."""
    if words < n:
        return np.int64(-1), np.int64(0)
    top, count, chars = np.int64(0), np.int64(1), np.int64(0)
    for k in range(m):
        i = np.int64(left[k])
        if name[i] == i and counts[i] >= count:
            length = before[i + n] - before[i]
            if counts[i] > count or (longest and length > chars):
                top, count, chars = i, np.int64(counts[i]), length
    return top, count


@njit(cache=True, nogil=True)
def _covered_chars(n, m, left, before):  # type: ignore[no-untyped-def]
    total = reach = np.int64(0)
    for k in range(m):
        i = np.int64(left[k])
        total += before[i + n] - before[max(i, reach)]
        reach = i + n
    return total


@njit(cache=True, nogil=True)
def _later_chars(n, m, name, left, before):  # type: ignore[no-untyped-def]
    total = reach = np.int64(0)
    for k in range(m):
        i = np.int64(left[k])
        if name[i] == i:
            continue
        new = i + n - max(i, reach)
        total += before[i + n] - before[i + n - new] + min(new, n - 1)
        reach = i + n
    return total


@njit(cache=True, nogil=True)
def _whole_chars(words, before, whole):  # type: ignore[no-untyped-def]
    """For 5 to 10 the sum over i of before[i + n] - before[i]; from n to n + 1 each side loses its outermost term."""
    ends = starts = np.int64(0)
    for i in range(words):
        ends += before[i + 1]
        starts += before[i]
    for n in range(2, min(words, 10) + 1):
        ends -= before[n - 1]
        starts -= before[words - n + 1]
        if n >= 5:
            whole[n - 5] = ends - starts


@njit(cache=True, nogil=True)
def _count_glued_copies(data, start, stop, chars, first):  # type: ignore[no-untyped-def]
    """The key of a string is a polynomial over its bytes modulo 2**64, so that of n words needs no look at them.

    `sums` are the values up to each word, in powers that rise through the whole text; `shift` takes them back to 0.
    """
    copied = np.zeros((6, len(first) - 1), dtype=np.int64)
    table = slots(first)
    most = len(table) // 2
    keys, shift = np.empty(most, dtype=np.uint64), np.empty(most, dtype=np.uint64)
    sums = np.zeros(most + 1, dtype=np.uint64)
    before = np.zeros(most + 1, dtype=np.int64)
    for d in range(len(first) - 1):
        words = first[d + 1] - first[d]
        power = back = np.uint64(1)
        for i in range(words):
            shift[i] = back
            total = sums[i]
            for j in range(start[first[d] + i], stop[first[d] + i]):
                total += power * np.uint64(data[j] + np.uint64(1))
                power *= _POWER
                back *= _INVERSE
            sums[i + 1] = total
            before[i + 1] = before[i] + chars[first[d] + i]
        for n in range(5, min(words, 10) + 1):
            size = table_size(words - n + 1)
            table[:size] = -1
            i = 0
            while i + n <= words:
                keys[i] = (sums[i + n] - sums[i]) * shift[i]
                if first_equal(table, size - 1, keys, np.int64(i)) == i:
                    i += 1
                else:
                    copied[n - 5, d] += before[i + n] - before[i]
                    i += n
    return copied


@njit(cache=True, nogil=True)
def _count_occurrences(data, offsets, start, stop, word, n):  # type: ignore[no-untyped-def]
    """The search of Knuth, Morris and Pratt, whose time is linear in the text whatever the words are."""
    counts = np.zeros(len(word), dtype=np.int64)
    for d in range(len(word)):
        if word[d] < 0:
            continue
        wanted = _join(data, start, stop, word[d], n)
        back = np.zeros(len(wanted) + 1, dtype=np.int64)
        k = 0
        for i in range(1, len(wanted)):
            while k and wanted[i] != wanted[k]:
                k = back[k]
            k += wanted[i] == wanted[k]
            back[i + 1] = k
        k = 0
        for i in range(offsets[d], offsets[d + 1]):
            while k and data[i] != wanted[k]:
                k = back[k]
            k += data[i] == wanted[k]
            if k == len(wanted):
                counts[d] += 1
                k = 0
    return counts


@njit(cache=True, nogil=True)
def _join(data, start, stop, word, n):  # type: ignore[no-untyped-def]
    size = n - 1
    for j in range(word, word + n):
        size += stop[j] - start[j]
    joined = np.full(size, np.uint8(0x20))
    i = 0
    for j in range(word, word + n):
        joined[i : i + stop[j] - start[j]] = data[start[j] : stop[j]]
        i += stop[j] - start[j] + 1
    return joined
