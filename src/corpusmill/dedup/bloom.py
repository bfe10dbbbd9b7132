"""Paragraphs and documents most of whose n-grams of words occurred before, found with a Bloom filter.

The semantics are those of two tools, as their code has them: DCLM's BFF (mlfoundations/dclm, dedup/bff/src/main.rs,
made from allenai/bff) and Dolma's deduper (allenai/dolma, src/deduper.rs). In both a paragraph is what lies between
line feeds, a word is a segment of UAX #29 (word boundaries) that is not white space alone, so punctuation too, words
are compared as they are, capitals and all, and an n-gram lies within one paragraph.

                      dclm                                      dolma
    paragraph goes    more than `threshold` of its n-grams      at least `threshold` of them
                      are in the filter
    n-grams go in     all at once, when it stays: it is no      one by one, also of paragraphs that go: a paragraph
                      copy of itself, and what goes teaches     that repeats itself is a copy, and copies of
                      nothing                                   copies are found
    fewer than n      stays, and its words are not put in       the same
    document goes     `both`: more than `threshold` of the      `document`: its whole text is in the filter; a blank
                      n-grams of all its paragraphs were in     one stays
                      the filter. `document`: it is judged
                      like one long paragraph
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.dedup.bloom_filter import (
    AHEAD,
    BloomFilter,
    contains,
    empty_filter,
    filter_from_bytes,
    filter_size,
    insert,
    prefetch,
)
from corpusmill.dedup.ordered import Found, OrderedBarrier
from corpusmill.errors import ConfigError
from corpusmill.scan import HASH_SEED, SPACE_KINDS, find_newline, finish_hash, hash_span, skip_space
from corpusmill.segment import borrow, segment_end
from corpusmill.segment_classes import word_breaks
from corpusmill.steps import register
from corpusmill.text import Texts

Unit = Literal["paragraph", "document", "both"]
Dialect = Literal["dclm", "dolma"]

NGRAMS, WHOLE_TEXTS = 0, 1
"""What a filter is made of: its `kind`."""

_BASE = np.uint64(0x9FB21C651E98DF25)  # any odd number with well-mixed bits
_OWN: dict[str, dict[str, object]] = {
    "dclm": {"unit": "both", "threshold": 0.8},
    "dolma": {"unit": "paragraph", "threshold": 0.5},
}


@register("bloom", version=1)
@dataclass(frozen=True)
class Bloom(OrderedBarrier[BloomFilter]):
    """Take out paragraphs, or documents, most of whose n-grams occurred before, in the order of names and locators.

    The defaults of `dialect` "dclm" are DCLM-Baseline's (arXiv 2406.11794; README of dedup/bff): n-grams of
    13, `unit` "both" (BFF's `old-both`), `threshold` 0.8, `false_positive_rate` 0.01. Those of "dolma" are of its
    configs/cc-news: paragraphs, `threshold` 0.5. None stands for the dialect's own. A document of which nothing but
    white space would be left is removed.

    `expected_ngrams` is how many different n-grams (with "dolma" and `unit` "document", documents) there will be, in
    this run and all that go on from its filter; words of the corpus are an upper bound. Memory is the filter:
    9.9 bits for each at a rate of 0.01, 15.6 at 0.001, 39.6 at a millionth (`filter_bytes`). One more is an error, for
    the rate would no longer hold. The rate is that of one n-gram; of a paragraph it is much smaller.

    Raises ConfigError for a value out of range, and for "both" with "dolma", whose tool does one or the other.
    """

    expected_ngrams: int
    dialect: Dialect = "dclm"
    unit: Unit | None = None
    ngram_words: int = 13
    threshold: float | None = None
    false_positive_rate: float = 0.01
    seed: int = 0
    keep: Literal["first"] = "first"

    def __post_init__(self) -> None:
        """Check every field, and give those left open the dialect's value."""
        self._check("dialect", self.dialect in _OWN, ", ".join(map(repr, _OWN)))
        for name, value in _OWN[self.dialect].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        dclm, share, rate = self.dialect == "dclm", self.threshold, self.false_positive_rate
        units = get_args(Unit) if dclm else ("paragraph", "document")
        self._check("unit", self.unit in units, ", ".join(map(repr, units)) + f' with dialect "{self.dialect}"')
        limits = {"expected_ngrams": (1, 10**13), "ngram_words": (1, 1024), "seed": (0, 2**32 - 1)}
        for name, (least, most) in limits.items():
            got = getattr(self, name)
            self._check(name, _whole(got) and least <= got <= most, f"a whole number from {least} to {most}")
        good = share is not None and _number(share) and (0 <= share < 1 if dclm else 0 < share <= 1)
        allowed = "0 to 1, but not 1: more than this" if dclm else "0 to 1, but not 0: at least this"
        self._check("threshold", good, f"a share from {allowed} must be known")
        self._check("false_positive_rate", _number(rate) and 1e-9 <= rate <= 0.5, "a number from 1e-9 to 0.5")
        self._check("keep", self.keep == "first", '"first"')

    def _check(self, name: str, good: bool, allowed: str) -> None:
        if not good:
            raise ConfigError(f"bloom: {name} = {getattr(self, name)!r}; allowed: {allowed}")

    @property
    def _whole_texts(self) -> bool:
        return self.dialect == "dolma" and self.unit == "document"

    def filter_bytes(self) -> int:
        """Bytes of the filter, which is all the memory that grows: 64 for each block of `bloom_filter.filter_size`."""
        return 64 * filter_size(self.expected_ngrams, self.false_positive_rate)[0]

    def start(self) -> BloomFilter:
        """An empty filter."""
        kind, width = (WHOLE_TEXTS, 0) if self._whole_texts else (NGRAMS, self.ngram_words)
        return empty_filter(self.expected_ngrams, self.false_positive_rate, kind=kind, width=width, seed=self.seed)

    def state_bytes(self, state: BloomFilter) -> bytes:
        """The filter with its hashes, bits, seed and width of n-grams."""
        return state.to_bytes()

    def restore(self, stored: bytes) -> BloomFilter:
        """The stored filter. Raises IntegrityError unless it was made with the same options but the threshold."""
        return filter_from_bytes(stored, self.start())

    def feed(self, state: BloomFilter, texts: Texts) -> Found:
        """What goes from the next documents. Raises ConfigError once there are more n-grams than expected."""
        lines = self.unit != "document"
        items, units, start, first, blank = _items(
            texts, lines, 0 if self._whole_texts else self.ngram_words, self.seed
        )
        known = np.zeros(len(units) - 1, dtype=np.int64)
        gone = np.zeros(len(known), dtype=np.bool_)
        judge = _judge_dclm if self.dialect == "dclm" else _judge_dolma
        state.items += judge(state.words, state.hashes, items, units, self.threshold, known, gone)
        if state.items > self.expected_ngrams:
            raise ConfigError(
                f"bloom: expected_ngrams = {self.expected_ngrams}; there are more, so more than "
                f"{self.false_positive_rate} of new ones would be taken for known: make it as large as the number of "
                "words in the corpus"
            )
        if not lines:
            return Found(gone, np.empty(0, np.int32), np.zeros(len(texts) + 1, np.int64), np.empty(0, np.bool_))
        documents = (_sums(gone, first) > 0) & (_sums(~gone & ~blank, first) == 0)
        if self.unit == "both":
            total = units[first[1:]] - units[first[:-1]]
            documents |= _sums(known, first) / np.maximum(total, 1) > self.threshold
        gone &= ~np.repeat(documents, np.diff(first))
        return Found(documents, start, first, gone)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _sums(values: npt.NDArray[Any], first: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """int64[n]: the sum of values[first[d]:first[d + 1]]."""
    running = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=running[1:])
    return running[first[1:]] - running[first[:-1]]


def _items(texts: Texts, lines: bool, width: int, seed: int) -> tuple[npt.NDArray[Any], ...]:
    """What is looked up in the filter, unit by unit: lines, blank ones too, or else whole texts.

    Gives (items uint64[k], units int64[u + 1], start int32[u], first int64[n + 1], blank bool[u]): unit v has the items
    units[v] to units[v + 1], which are hashes of n-grams of `width` words, or for 0 of the text unless it is blank.
    """
    begin, end = int(texts.offsets[0]), int(texts.offsets[-1])
    most = len(texts) + (np.count_nonzero(texts.data[begin:end] == 0x0A) if lines else 0)
    items = np.empty(end - begin, dtype=np.uint64)
    units, first = np.zeros(most + 1, dtype=np.int64), np.zeros(len(texts) + 1, dtype=np.int64)
    start, blank = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.bool_)
    outputs = (items, units, start, first, blank)
    _hash_units(texts.data, texts.offsets, word_breaks(), lines, width, np.uint64(seed), *outputs)
    return items[: units[-1]], units, start, first, blank


@njit(cache=True, nogil=True)
def _hash_units(data, offsets, classes, lines, width, seed, items, units, start, first, blank):  # type: ignore[no-untyped-def]
    data, classes = borrow(data), borrow(classes)
    seed = finish_hash(HASH_SEED + seed)
    window = np.empty(max(width, 1), dtype=np.uint64)
    power = np.uint64(1)  # of the word that leaves the window
    for _ in range(width):
        power *= _BASE
    u = k = np.int64(0)
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        while i <= end:  # a line feed at the end has an empty line behind it
            stop = find_newline(data, i, end) if lines else end
            start[u] = i
            if width > 0:
                k, words = _hash_ngrams(data, i, stop, classes, width, power, seed, window, items, k)
                blank[u] = words == 0
            else:
                blank[u] = skip_space(data, i, stop) == stop
                if not blank[u]:
                    items[k] = finish_hash(hash_span(data, i, stop)[0] ^ seed)
                    k += 1
            u += 1
            units[u] = k
            i = stop + 1
        first[d + 1] = u


@njit(cache=True, nogil=True)
def _hash_ngrams(data, i, end, classes, width, power, seed, window, items, k):  # type: ignore[no-untyped-def]
    """Append the hashes of the n-grams of words from `i` to `end` to `items` at `k`: (items now, words)."""
    h = np.uint64(0)
    words, slot = np.int64(0), np.int64(0)
    while i < end:
        a = i
        ascii_space = SPACE_KINDS[data[a]] == 1
        if ascii_space and (a + 1 == end or data[a + 1] < 0x80):
            i += 1
            continue
        i, _ = segment_end(data, a, end, classes)
        if (ascii_space or data[a] >= 0x80) and skip_space(data, a, i) == i:
            continue
        word, _ = hash_span(data, a, i)
        h = h * _BASE + word
        if words >= width:
            h -= window[slot] * power
        window[slot] = word
        slot = slot + 1 if slot + 1 < width else np.int64(0)
        words += 1
        if words >= width:
            items[k] = finish_hash(h ^ seed)
            k += 1
    return k, words


@njit(cache=True, nogil=True)
def _judge_dclm(filter_, hashes, items, units, threshold, known, gone):  # type: ignore[no-untyped-def]
    """Fill in how many items of each unit were known, and whether it goes; put the items of the others in: new ones."""
    new = np.int64(0)
    for u in range(len(gone)):
        count = units[u + 1] - units[u]
        for k in range(units[u], units[u + 1]):
            prefetch(filter_, items[min(k + AHEAD, len(items) - 1)])
            known[u] += contains(filter_, hashes, items[k])
        gone[u] = count > 0 and known[u] / count > threshold
        if not gone[u]:
            for k in range(units[u], units[u + 1]):
                prefetch(filter_, items[min(k + AHEAD, len(items) - 1)])  # a large unit is in no cache any more
                new += insert(filter_, hashes, items[k])
    return new


@njit(cache=True, nogil=True)
def _judge_dolma(filter_, hashes, items, units, threshold, known, gone):  # type: ignore[no-untyped-def]
    """The same as Dolma does it: each item is put in before the next is looked up; shares are 32-bit floats."""
    new = np.int64(0)
    for u in range(len(gone)):
        count = units[u + 1] - units[u]
        fresh = np.int64(0)
        for k in range(units[u], units[u + 1]):
            prefetch(filter_, items[min(k + AHEAD, len(items) - 1)])
            fresh += insert(filter_, hashes, items[k])
        known[u] = count - fresh
        gone[u] = count > 0 and np.float32(known[u]) / np.float32(count) >= np.float32(threshold)
        new += fresh
    return new
