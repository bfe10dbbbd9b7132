"""The repetition rules of Gopher (Rae et al. 2021, arXiv 2112.11446, appendix A.1.1 and table A1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpusmill.filters.repeats import first_equal, slots, table_size
from corpusmill.filters.thresholds import check_numbers, rules_of, set_by_dialect
from corpusmill.rules import Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Spans, Texts

_SIGNALS = (
    "duplicate_line_fraction",
    "duplicate_paragraph_fraction",
    "duplicate_line_char_fraction",
    "duplicate_paragraph_char_fraction",
    *(f"top_{n}gram_char_fraction" for n in (2, 3, 4)),
    *(f"duplicate_{n}gram_char_fraction" for n in (5, 6, 7, 8, 9, 10)),
)


@register("gopher_repetition", version=1)
@dataclass(frozen=True)
class GopherRepetition(Filter):
    """Drop documents in which too much is said twice.

    Words are runs between white space; lines are stripped and not blank; paragraphs are runs of lines without a blank
    line between. Signals, all between 0 and 1, and 0 where there is nothing to divide by:

    duplicate_line_fraction       copies of a line beyond its first, of all lines; the same for paragraphs
    duplicate_line_char_fraction  code points in such copies, of those in all lines; the same for paragraphs
    top_2gram_char_fraction       code points in the n-gram that occurs most often (at least twice; of several the
                                  longest) times its count, of those in all words, at most 1; for n = 2, 3, 4
    duplicate_5gram_char_fraction code points in words that lie in any n-gram occurring twice or more, each word
                                  counted once, of those in all words; for n = 5 to 10

    `dialect = "datatrove"` counts as that code does: every denominator is the whole text's length in code points; a
    top n-gram has a space between its words, the first of several is taken, and it counts though it occurs once;
    duplicate n-grams are found from left to right, a copy is skipped over, and first copies do not count.
    Words, lines and paragraphs stay the ones above.

    Bounds are the paper's; a value exactly at a bound is kept.
    """

    dialect: Literal["paper", "datatrove"] = "paper"
    max_duplicate_line_fraction: float | None = 0.30
    max_duplicate_paragraph_fraction: float | None = 0.30
    max_duplicate_line_char_fraction: float | None = 0.20
    max_duplicate_paragraph_char_fraction: float | None = 0.20
    max_top_2gram_char_fraction: float | None = 0.20
    max_top_3gram_char_fraction: float | None = 0.18
    max_top_4gram_char_fraction: float | None = 0.16
    max_duplicate_5gram_char_fraction: float | None = 0.15
    max_duplicate_6gram_char_fraction: float | None = 0.14
    max_duplicate_7gram_char_fraction: float | None = 0.13
    max_duplicate_8gram_char_fraction: float | None = 0.12
    max_duplicate_9gram_char_fraction: float | None = 0.11
    max_duplicate_10gram_char_fraction: float | None = 0.10

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown dialect or a bound out of range."""
        set_by_dialect(self, {"paper": {}, "datatrove": {}})
        check_numbers(self)

    def signals(self) -> Mapping[str, pa.DataType]:
        """Thirteen fractions."""
        return {f"{self.use}.{name}": pa.float64() for name in _SIGNALS}

    def rules(self) -> tuple[Rule, ...]:
        """In the order of the paper's table A1."""
        return rules_of(self, [(f"max_{name}", name, "<=") for name in _SIGNALS])

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """One pass over lines, one over paragraphs, one over words."""
        literal = self.dialect == "datatrove"
        line = duplicates(texts.lines)
        paragraph = duplicates(texts.paragraphs)
        words = texts.words
        grams = _count_ngrams(words.hash, words.chars, words.first, literal)
        wholes = [line[2], paragraph[2], grams[0]]
        if literal:
            wholes = [texts.chars] * 3
        parts = [
            line[0] / np.maximum(texts.lines.counts, 1),
            paragraph[0] / np.maximum(texts.paragraphs.counts, 1),
            line[1] / np.maximum(wholes[0], 1),
            paragraph[1] / np.maximum(wholes[1], 1),
            *np.minimum(grams[1:] / np.maximum(wholes[2], 1), 1.0),
        ]
        return Measured(dict(zip(self.signals(), parts, strict=True)))


def duplicates(spans: Spans) -> npt.NDArray[np.int64]:
    """int64[3, n]: copies beyond the first of a piece, code points in them, code points in all pieces."""
    return _count_duplicates(spans.hash, spans.chars, spans.first)


@njit(cache=True, nogil=True)
def _count_duplicates(hashes, chars, first):  # type: ignore[no-untyped-def]
    sums = np.zeros((3, len(first) - 1), dtype=np.int64)
    table = slots(first)
    for d in range(len(first) - 1):
        a, b = first[d], first[d + 1]
        size = table_size(b - a)
        table[:size] = -1
        keys, lengths = hashes[a:b], chars[a:b]
        for i in range(b - a):
            again = np.int64(first_equal(table, size - 1, keys, i) != i)
            sums[0, d] += again
            sums[1, d] += again * lengths[i]
            sums[2, d] += lengths[i]
    return sums


@njit(cache=True, nogil=True)
def _count_ngrams(hashes, chars, first, literal):  # type: ignore[no-untyped-def]
    """int64[10, n]: code points in all words, in the top 2- to 4-gram, in the duplicate 5- to 10-grams.

    An n-gram can occur twice only where the (n-1)-grams at its place and at the next do, so each n looks only at what
    the one before left. An n-gram goes by its first position among those left; with n - 1 known, the pair of these
    numbers at two neighbouring places names it exactly.
    """
    sums = np.zeros((10, len(first) - 1), dtype=np.int64)
    table = slots(first)
    most = len(table) // 2
    keys = np.empty(most, dtype=np.uint64)
    name = np.empty(most + 1, dtype=np.int32)  # of the n-gram at each position, -1 where it occurs once
    left = np.empty(most, dtype=np.int32)  # positions whose n-gram occurs more than once, rising
    counts = np.empty(most, dtype=np.int32)
    before = np.zeros(most + 1, dtype=np.int64)  # code points in the words before a position
    for d in range(len(first) - 1):
        words = first[d + 1] - first[d]
        doc_hashes = hashes[first[d] : first[d + 1]]
        for i in range(words):
            before[i + 1] = before[i] + chars[first[d] + i]
        sums[0, d] = before[words]
        m = _pair_words(doc_hashes, table, keys, name, left, counts)
        for n in range(2, 11):
            if n > 2:
                m = _lengthen(m, table, keys, name, left, counts)
            if m == 0 and (n > 4 or not literal):
                break
            if n < 5:
                sums[n - 1, d] = _top_chars(n, m, words, name, left, counts, before, literal)
            elif literal:
                sums[n - 1, d] = _skipping_chars(n, m, name, left, counts, before)
            else:
                sums[n - 1, d] = _covered_chars(n, m, left, before)
    return sums


@njit(cache=True, nogil=True)
def _pair_words(hashes, table, keys, name, left, counts):  # type: ignore[no-untyped-def]
    """Name every pair of words; gives how many positions have a pair that occurs more than once."""
    pairs = max(len(hashes) - 1, 0)
    size = table_size(pairs)
    table[:size] = -1
    for i in range(pairs):
        keys[i] = hashes[i] * np.uint64(0xD1342543DE82EF95) + hashes[i + 1]
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
def _top_chars(n, m, words, name, left, counts, before, literal):  # type: ignore[no-untyped-def]
    """Code points of the n-gram that occurs most often, times its count."""
    spaces = n - 1 if literal else 0
    top = longest = np.int64(0)
    for k in range(m):
        i = left[k]
        if name[i] == i:
            length = before[i + n] - before[i] + spaces
            if counts[i] > top or (counts[i] == top and length > longest and not literal):
                top, longest = np.int64(counts[i]), length
    if top == 0 and literal and words >= n:
        return before[n] + spaces
    return top * longest


@njit(cache=True, nogil=True)
def _covered_chars(n, m, left, before):  # type: ignore[no-untyped-def]
    """Code points of the words in any of the n-grams left, each word once."""
    total = reach = np.int64(0)
    for k in range(m):
        i = np.int64(left[k])
        total += before[i + n] - before[max(i, reach)]
        reach = i + n
    return total


@njit(cache=True, nogil=True)
def _skipping_chars(n, m, name, left, counts, before):  # type: ignore[no-untyped-def]
    """Code points of the n-grams seen before, where each such n-gram is skipped over when it is found."""
    total = reach = np.int64(0)
    for k in range(m):
        i = np.int64(left[k])
        if i < reach:
            continue
        if counts[name[i]] < 0:
            total += before[i + n] - before[i]
            reach = i + n
        else:
            counts[name[i]] = -1  # seen; the counts are not needed any more
    return total
