"""The quality rules of Gopher (Rae et al. 2021, arXiv 2112.11446, appendix A.1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numba import njit

from corpusmill.filters.thresholds import check_numbers, rules_of
from corpusmill.rules import Comparison, Rule
from corpusmill.scan import eight_bytes
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts
from corpusmill.unicode import ALPHABETIC, char_classes, decode

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
"""The paper's eight."""

_STOP_WORDS = np.array([int.from_bytes(word.encode(), "little") for word in STOP_WORDS], dtype=np.uint64)

_SIGNALS = {
    "word_count": pa.int64(),
    "mean_word_length": pa.float64(),
    "hash_ratio": pa.float64(),
    "ellipsis_ratio": pa.float64(),
    "bullet_line_fraction": pa.float64(),
    "ellipsis_line_fraction": pa.float64(),
    "alphabetic_word_fraction": pa.float64(),
    "stop_words": pa.int64(),
}

_RULES: tuple[tuple[str, str, Comparison], ...] = (
    ("min_words", "word_count", ">="),
    ("max_words", "word_count", "<="),
    ("min_mean_word_length", "mean_word_length", ">="),
    ("max_mean_word_length", "mean_word_length", "<="),
    ("max_hash_ratio", "hash_ratio", "<="),
    ("max_ellipsis_ratio", "ellipsis_ratio", "<="),
    ("max_bullet_line_fraction", "bullet_line_fraction", "<="),
    ("max_ellipsis_line_fraction", "ellipsis_line_fraction", "<="),
    ("min_alphabetic_word_fraction", "alphabetic_word_fraction", ">="),
    ("min_stop_words", "stop_words", ">="),
)


@register("gopher_quality", version=1)
@dataclass(frozen=True)
class GopherQuality(Filter):
    """Drop documents that are too short or long, or not made of ordinary words and lines.

    Words are runs between white space, lines are stripped and not blank. Signals:

    word_count                words
    mean_word_length          code points per word
    hash_ratio                `#` per word
    ellipsis_ratio            `...` (not overlapping) and `…` per word
    bullet_line_fraction      lines that start with `•`, `-` or `*`
    ellipsis_line_fraction    lines that end with `...` or `…`
    alphabetic_word_fraction  words with a character that is Alphabetic in Unicode
    stop_words                how many of the paper's eight occur as a whole word, ASCII case ignored: 0 to 8

    Ratios and fractions of nothing are 0, so a document without words fails the rules that want a minimum.
    Bounds are the paper's; a value exactly at a bound is kept.
    """

    min_words: int | None = 50
    max_words: int | None = 100_000
    min_mean_word_length: float | None = 3.0
    max_mean_word_length: float | None = 10.0
    max_hash_ratio: float | None = 0.1
    max_ellipsis_ratio: float | None = 0.1
    max_bullet_line_fraction: float | None = 0.9
    max_ellipsis_line_fraction: float | None = 0.3
    min_alphabetic_word_fraction: float | None = 0.8
    min_stop_words: int | None = 2

    def __post_init__(self) -> None:
        """Raise ConfigError for a bound out of range."""
        check_numbers(self)

    def signals(self) -> Mapping[str, pa.DataType]:
        """Counts and ratios."""
        return {f"{self.use}.{name}": kind for name, kind in _SIGNALS.items()}

    def rules(self) -> tuple[Rule, ...]:
        """In the paper's order."""
        return rules_of(self, _RULES)

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """One pass over the words and lines of the batch, one over its bytes."""
        words, lines = texts.words, texts.lines
        word_sums = _measure_words(texts.data, words.start, words.stop, words.chars, words.first, char_classes())
        marks = _count_marks(texts.data, texts.offsets)
        edges = _count_lines(texts.data, lines.start, lines.stop, lines.first)
        per_word, per_line = np.maximum(words.counts, 1), np.maximum(lines.counts, 1)
        values = (
            words.counts,
            word_sums[0] / per_word,
            marks[0] / per_word,
            marks[1] / per_word,
            edges[0] / per_line,
            edges[1] / per_line,
            word_sums[1] / per_word,
            word_sums[2],
        )
        return Measured(dict(zip(self.signals(), values, strict=True)))


@njit(cache=True, nogil=True)
def _measure_words(data, start, stop, chars, first, classes):  # type: ignore[no-untyped-def]
    """int64[3, n]: code points in words, words with an alphabetic character, distinct stop words."""
    sums = np.zeros((3, len(first) - 1), dtype=np.int64)
    for d in range(len(first) - 1):
        length = alphabetic = 0
        seen = np.uint64(0)
        for j in range(first[d], first[d + 1]):
            length += chars[j]
            # Setting bit 5 folds the case of ASCII letters, and turns no other byte into one.
            padding = np.uint64(64 - 8 * min(stop[j] - start[j], 8))
            folded = eight_bytes(data, start[j], stop[j]) | (np.uint64(0x2020202020202020) << padding >> padding)
            for k in range(8):
                seen |= np.uint64(folded == _STOP_WORDS[k]) << np.uint64(k)
            if _ascii_letter(folded):
                alphabetic += 1
            else:
                alphabetic += _has_alphabetic(data, start[j], stop[j], classes)
        sums[0, d] = length
        sums[1, d] = alphabetic
        for k in range(8):
            sums[2, d] += np.int64((seen >> np.uint64(k)) & np.uint64(1))
    return sums


@njit(cache=True, nogil=True)
def _ascii_letter(folded):  # type: ignore[no-untyped-def]
    """Whether any of eight bytes, bit 5 set, is an ASCII letter."""
    low = folded & np.uint64(0x7F7F7F7F7F7F7F7F)
    from_a = low + np.uint64(0x1F1F1F1F1F1F1F1F)
    beyond_z = low + np.uint64(0x0505050505050505)
    return (from_a & ~beyond_z & ~folded & np.uint64(0x8080808080808080)) != 0


@njit(cache=True, nogil=True)
def _has_alphabetic(data, i, stop, classes):  # type: ignore[no-untyped-def]
    while i < stop:
        code, k = decode(data, i, stop)
        if classes[code] & ALPHABETIC:
            return 1
        i += k
    return 0


@njit(cache=True, nogil=True)
def _count_marks(data, offsets):  # type: ignore[no-untyped-def]
    """int64[2, n]: `#`, and `...` or `…`."""
    marks = np.zeros((2, len(offsets) - 1), dtype=np.int64)
    for d in range(len(offsets) - 1):
        hashes = dots = signs = 0
        for i in range(offsets[d], offsets[d + 1]):
            hashes += data[i] == 0x23
        for i in range(offsets[d], offsets[d + 1] - 2):
            a, b, c = data[i], data[i + 1], data[i + 2]
            dots += (a == 0x2E) & (b == 0x2E) & (c == 0x2E)
            signs += (a == 0xE2) & (b == 0x80) & (c == 0xA6)
        if dots:
            dots = _count_dots(data, offsets[d], offsets[d + 1])
        marks[0, d] = hashes
        marks[1, d] = dots + signs
    return marks


@njit(cache=True, nogil=True)
def _count_dots(data, start, stop):  # type: ignore[no-untyped-def]
    """`...` that do not overlap: a run of k full stops has k // 3."""
    count = run = 0
    for i in range(start, stop):
        run = run + 1 if data[i] == 0x2E else 0
        if run == 3:
            count += 1
            run = 0
    return count


@njit(cache=True, nogil=True)
def _count_lines(data, start, stop, first):  # type: ignore[no-untyped-def]
    """int64[2, n]: lines that start with a bullet, lines that end with an ellipsis."""
    counts = np.zeros((2, len(first) - 1), dtype=np.int64)
    for d in range(len(first) - 1):
        for j in range(first[d], first[d + 1]):
            a, b = start[j], stop[j]
            c = data[a]
            sign = b - a >= 3 and c == 0xE2 and data[a + 1] == 0x80 and data[a + 2] == 0xA2
            counts[0, d] += c == 0x2D or c == 0x2A or sign
            if b - a >= 3:
                x, y, z = data[b - 3], data[b - 2], data[b - 1]
                counts[1, d] += (x == 0x2E and y == 0x2E and z == 0x2E) or (x == 0xE2 and y == 0x80 and z == 0xA6)
    return counts
