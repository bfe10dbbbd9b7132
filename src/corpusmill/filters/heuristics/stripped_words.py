"""Words as ROOTS and data-juicer have them: cut at spaces, tabs and line feeds, lower case, stripped at both ends.

What is stripped are the special characters (see `special_characters.py`); a word of nothing else is none. Lower case is
that of Python's `str.lower`, the final sigma included, but of Arrow's Unicode, whichever Python runs. Words go by a
64-bit hash of their code points.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.filters.heuristics.special_characters import special_characters
from corpusmill.folding import DOT_ABOVE, DOTTED_I, FINAL_SIGMA, SIGMA, case_classes, is_final_sigma, lower_case
from corpusmill.scan import HASH_SEED, mix
from corpusmill.text import Offsets, Texts
from corpusmill.unicode import char_before, decode

_CUTS = np.zeros(256, dtype=np.int64)
_CUTS[[0x09, 0x0A, 0x20]] = 1

Table = npt.NDArray[np.uint64]
Cut = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Offsets]
"""Words before anything is stripped: start, stop, first as in `StrippedWords`."""


@dataclass(frozen=True)
class StrippedWords:
    """Document d has the words first[d] to first[d + 1].

    start, stop  int32[m], bytes into Texts.data, special characters at the ends left out
    hash         uint64[m], of the word in lower case
    first        int64[n + 1]
    counts       int64[n], words where lower case came after stripping: `Г` is special and `г` is not
    """

    start: npt.NDArray[np.int32]
    stop: npt.NDArray[np.int32]
    hash: npt.NDArray[np.uint64]
    first: Offsets
    counts: Offsets


def stripped_words(texts: Texts, flag: np.uint8, cut: Cut | None = None) -> StrippedWords:
    """The words of a batch, without the special characters of `flag`; `cut` are words that were found otherwise."""
    start, stop, first = _cut(texts.data, texts.offsets) if cut is None else cut
    begin, end = (np.empty(len(start), dtype=np.int32) for _ in range(2))
    hashes = np.empty(len(start), dtype=np.uint64)
    kept_first, counts = np.zeros(len(first), dtype=np.int64), np.zeros(len(texts), dtype=np.int64)
    m = _strip(
        texts.data, (start, stop, first), (_tables(), lower_case()), flag, (begin, end, hashes), kept_first, counts
    )
    return StrippedWords(begin[:m], end[:m], hashes[:m], kept_first, counts)


def shares(
    texts: Texts, words: StrippedWords, listed: Table, joint: str | None = None
) -> tuple[npt.NDArray[np.float64], Offsets, Offsets]:
    """The share of a document's words that are in a list, and where the first one is: start and stop, -1 for none.

    With `joint`, every two neighbours joined by it are looked for too (and counted like words, 1 at most).
    """
    spans = (words.start, words.stop, words.hash, words.first)
    codes = np.array([ord(code) for code in joint or ""], dtype=np.uint64)
    ratios, start, stop = _shares(texts.data, spans, listed, lower_case(), joint is not None, codes, _tables())
    return ratios, start, stop


def hash_list(words: Collection[str]) -> Table:
    """A hash table of words, for `shares`. They are taken as they stand."""
    texts = Texts.from_strings(sorted(words))
    size = 4
    while size < 4 * len(texts):
        size *= 2
    table = np.zeros(size, dtype=np.uint64)
    _fill(texts.data, texts.offsets, table)
    return table


@cache
def _tables() -> npt.NDArray[np.uint8]:
    """Special characters, and what decides on a final sigma."""
    table = special_characters() | case_classes()
    table.setflags(write=False)
    return table


@njit(cache=True, nogil=True)
def _cut(data, offsets):  # type: ignore[no-untyped-def]
    """Runs of bytes other than space, tab and line feed: start, stop, first."""
    most = (offsets[-1] - offsets[0]) // 2 + len(offsets)
    start, stop = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int32)
    first = np.zeros(len(offsets), dtype=np.int64)
    m = n = np.int64(0)  # words begun, words ended
    for d in range(len(offsets) - 1):
        inside = np.int64(0)
        for i in range(offsets[d], offsets[d + 1]):
            cut = _CUTS[data[i]]
            start[m] = i
            m += (1 - cut) & (1 - inside)
            stop[n] = i
            n += cut & inside
            inside = 1 - cut
        stop[n] = offsets[d + 1]
        n += inside
        first[d + 1] = m
    return start[:m], stop[:m], first


@njit(cache=True, nogil=True)
def _strip(data, words, tables, flag, kept, kept_first, counts):  # type: ignore[no-untyped-def]
    start, stop, first = words
    classes, lower = tables
    kept_start, kept_stop, hashes = kept
    m = 0
    for d in range(len(first) - 1):
        for j in range(first[d], first[d + 1]):
            a, b = np.int64(start[j]), np.int64(stop[j])
            while a < b and data[a] < 0x80 and classes[data[a]] & flag:
                a += 1
            while b > a and data[b - 1] < 0x80 and classes[data[b - 1]] & flag:
                b -= 1
            if a == b:
                continue
            if data[a] < 0x80 and data[b - 1] < 0x80:
                counts[d] += 1
            else:
                counts[d] += _any_plain(data, a, b, classes, flag)
                a, b = _strip_slowly(data, a, b, classes, lower, flag)
                if a == b:
                    continue
            kept_start[m], kept_stop[m] = a, b
            h = HASH_SEED
            i = a
            while i < b and data[i] < 0x80:
                h = mix(h, np.uint64(lower[data[i]]))
                i += 1
            hashes[m] = h if i == b else _hash(data, i, b, h, (start[j], stop[j]), lower, classes)
            m += 1
        kept_first[d + 1] = m
    return m


@njit(cache=True, nogil=True)
def _strip_slowly(data, a, b, classes, lower, flag):  # type: ignore[no-untyped-def]
    """Where the word `a` to `b` begins and ends without the characters whose lower case is special."""
    while a < b:
        code, k = decode(data, a, b)
        if classes[lower[code]] & flag == 0:
            break
        a += k
    while a < b:
        last = char_before(data, a, b)
        code, _ = decode(data, last, b)
        if classes[lower[code]] & flag == 0:
            break
        b = last
    return a, b


@njit(cache=True, nogil=True)
def _any_plain(data, i, stop, classes, flag):  # type: ignore[no-untyped-def]
    while i < stop:
        code, k = decode(data, i, stop)
        if classes[code] & flag == 0:
            return True
        i += k
    return False


@njit(cache=True, nogil=True)
def _hash(data, i, stop, h, word, lower, classes):  # type: ignore[no-untyped-def]
    """Take the bytes `i` to `stop`, in lower case, into the hash `h`; `word` is what a sigma is in."""
    while i < stop:
        c = data[i]
        if c < 0x80:
            h = mix(h, np.uint64(lower[c]))
            i += 1
            continue
        code, k = decode(data, i, stop)
        if code == SIGMA and is_final_sigma(data, word[0], i, i + k, word[1], classes):
            h = mix(h, np.uint64(FINAL_SIGMA))
        else:
            h = mix(h, np.uint64(lower[code]))
        if code == DOTTED_I:
            h = mix(h, np.uint64(DOT_ABOVE))
        i += k
    return h


@njit(cache=True, nogil=True)
def _fill(data, offsets, table):  # type: ignore[no-untyped-def]
    for d in range(len(offsets) - 1):
        h = HASH_SEED
        i = offsets[d]
        while i < offsets[d + 1]:
            code, k = decode(data, i, offsets[d + 1])
            h = mix(h, np.uint64(code))
            i += k
        slot = np.int64(h & np.uint64(len(table) - 1))
        while table[slot] != 0 and table[slot] != h:
            slot = (slot + 1) & (len(table) - 1)
        table[slot] = h


@njit(cache=True, nogil=True)
def _holds(table, h):  # type: ignore[no-untyped-def]
    slot = np.int64(h & np.uint64(len(table) - 1))
    while table[slot] != 0:
        if table[slot] == h:
            return True
        slot = (slot + 1) & (len(table) - 1)
    return False


@njit(cache=True, nogil=True)
def _shares(data, words, table, lower, pairs, joint, classes):  # type: ignore[no-untyped-def]
    start, stop, hashes, first = words
    n = len(first) - 1
    ratios = np.zeros(n)
    begin, end = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    for d in range(n):
        found = 0
        for j in range(first[d], first[d + 1]):
            if _holds(table, hashes[j]):
                found += 1
                if begin[d] < 0:
                    begin[d], end[d] = start[j], stop[j]
            if pairs and j + 1 < first[d + 1]:
                h = hashes[j]
                for code in joint:
                    h = mix(h, code)
                word = (start[j + 1], stop[j + 1])
                if _holds(table, _hash(data, np.int64(start[j + 1]), np.int64(stop[j + 1]), h, word, lower, classes)):
                    found += 1
                    if begin[d] < 0:
                        begin[d], end[d] = start[j], stop[j + 1]
        ratios[d] = min(found / max(first[d + 1] - first[d], 1), 1.0)
    return ratios, begin, end
