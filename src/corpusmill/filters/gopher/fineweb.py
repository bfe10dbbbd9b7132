"""The filters FineWeb added (Penedo et al. 2024, arXiv 2406.17557, section 3.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from numba import njit

from corpusmill.filters.characters import END_MARK, characters
from corpusmill.filters.gopher.repeats import first_equal, slots, table_size
from corpusmill.filters.thresholds import BY_DIALECT, check_numbers, rules_of, set_by_dialect
from corpusmill.rules import Comparison, Rule
from corpusmill.scan import find_newline, hash_span
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts
from corpusmill.unicode import char_before, decode

_SIGNALS = (
    "line_punctuation_fraction",
    "short_line_fraction",
    "duplicate_line_char_fraction",
    "newline_ratio",
)

_RULES: tuple[tuple[str, str, Comparison], ...] = (
    ("min_line_punctuation_fraction", "line_punctuation_fraction", ">="),
    ("max_short_line_fraction", "short_line_fraction", "<="),
    ("max_duplicate_line_char_fraction", "duplicate_line_char_fraction", "<="),
    ("max_newline_ratio", "newline_ratio", "<="),
)


@register("fineweb", version=2)
@dataclass(frozen=True)
class FineWeb(Filter):
    """Drop lists, menus and pages with repeated lines.

    Lines are what lies between line feeds, not stripped, where that is not blank. Words are runs between white space.
    Signals:

    line_punctuation_fraction     lines whose last character is on the code's list of end marks (`.`, `?`, `!` and
                                  their like in all scripts, but not `…`); quotes and brackets behind the mark are not
                                  looked through, nor are they in the original
    short_line_fraction           lines of at most `short_line_chars` code points
    duplicate_line_char_fraction  code points in copies of a line beyond its first, of all but line feeds
    newline_ratio                 line feeds per word

    All are 0 where there is nothing to divide by; so a document without lines fails the first rule. A value exactly
    at a bound is kept. The reason of the third rule shows the first copy.

    `dialect` "datatrove" is the code to the letter (FineWebQualityFilter of 0.10.1): its words are the tokens of
    spaCy's English tokenizer, of which there are more, so fewer documents fail the last rule; to find them costs
    several times what all the rest does. "code" has the code's bounds, but not its words: these are runs between white
    space, and on text with hard line breaks 4.4 % of decisions differ from the code's. "paper" has the same words as
    "code", and 0.1 in place of 0.01 for the code points in copies of lines.
    """

    dialect: Literal["code", "paper", "datatrove"] = "code"
    short_line_chars: int = 30
    min_line_punctuation_fraction: float | None = 0.12
    max_short_line_fraction: float | None = 0.67
    max_duplicate_line_char_fraction: float | None = BY_DIALECT
    max_newline_ratio: float | None = 0.3

    DIALECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "code": {"max_duplicate_line_char_fraction": 0.01},
        "paper": {"max_duplicate_line_char_fraction": 0.1},
        "datatrove": {"max_duplicate_line_char_fraction": 0.01},
    }

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown dialect or a bound out of range."""
        set_by_dialect(self, self.DIALECTS)
        check_numbers(self)

    def signals(self) -> Mapping[str, pa.DataType]:
        """Four fractions."""
        return {f"{self.use}.{name}": pa.float64() for name in _SIGNALS}

    def rules(self) -> tuple[Rule, ...]:
        """In the order of the code."""
        return rules_of(self, _RULES)

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """One pass over the lines."""
        lines = texts.lines
        words = texts.spacy_words if self.dialect == "datatrove" else texts.words
        spans = (lines.start, lines.stop, lines.chars, lines.hash, lines.first)
        counts = _count_lines(texts.data, texts.offsets, spans, self.short_line_chars, characters())
        punctuated, short, duplicate, newlines, *place = counts
        per_line = np.maximum(lines.counts, 1)
        values = (
            punctuated / per_line,
            short / per_line,
            duplicate / np.maximum(texts.chars - newlines, 1),
            newlines / np.maximum(words.counts, 1),
        )
        places = {f"{self.use}.max_duplicate_line_char_fraction": (place[0], place[1])}
        return Measured(dict(zip(self.signals(), values, strict=True)), spans=places)


@njit(cache=True, nogil=True)
def _count_lines(data, offsets, spans, short_chars, classes):  # type: ignore[no-untyped-def]
    """int64[6, n]: lines that end in punctuation, short lines, code points in copies of lines, line feeds.

    Then where the first copy of a line starts and stops, -1 where there is none.
    """
    start, stop, chars, hashes, first = spans
    counts = np.zeros((6, len(first) - 1), dtype=np.int64)
    counts[4:] = -1
    table = slots(first)
    keys = np.empty(len(table) // 2, dtype=np.uint64)
    for d in range(len(first) - 1):
        size = table_size(first[d + 1] - first[d])
        table[:size] = -1
        for i in range(offsets[d], offsets[d + 1]):
            counts[3, d] += data[i] == 0x0A
        for j in range(first[d], first[d + 1]):
            a, b, length, key = _whole_line(data, offsets[d], offsets[d + 1], start[j], stop[j], chars[j], hashes[j])
            code, _ = decode(data, char_before(data, a, b), b)
            counts[0, d] += classes[code] & END_MARK != 0
            counts[1, d] += length <= short_chars
            i = j - first[d]
            keys[i] = key
            if first_equal(table, size - 1, keys, i) != i:
                counts[2, d] += length
                if counts[4, d] < 0:
                    counts[4, d], counts[5, d] = a, b
    return counts


@njit(cache=True, nogil=True)
def _whole_line(data, begin, end, start, stop, chars, key):  # type: ignore[no-untyped-def]
    """Where a stripped line begins and ends with its white space, its length in code points and its hash."""
    a = np.int64(start)
    while a > begin and data[a - 1] != 0x0A:
        a -= 1
    b = find_newline(data, np.int64(stop), end)
    length = np.int64(chars)
    if a < start or b > stop:
        key, length = hash_span(data, a, b)
    return a, b, length, key
