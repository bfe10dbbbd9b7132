"""`refinedweb`: the line-wise rules of RefinedWeb (Penedo et al. 2023, arXiv 2306.01116, section 3.2, appendix G.2).

Its code was not published. DCLM wrote it anew (Li et al. 2024, arXiv 2406.11794): mlfoundations/dclm at 361714b,
baselines/mappers/modifiers.py, put together in baselines_configs/dclm_baseline_refinedweb.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pyarrow as pa

from corpusmill.errors import ConfigError
from corpusmill.filters.pages import phrases, refinedweb_lines
from corpusmill.filters.thresholds import check_numbers, rules_of
from corpusmill.rules import Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts

COUNTERS = (
    *("likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks", "upvotes", "downvotes"),
    *("downloads", "views", "followers"),
)
"""What is counted on pages of social media: DCLM's twelve."""

Dialect = Literal["dclm", "paper"]


@register("refinedweb", version=1)
@dataclass(frozen=True)
class RefinedWeb(Filter):
    """Take the lines that are not prose out of a page, and drop the page where they are much of it.

    Lines are what lies between line feeds, not stripped; empty ones stay. In this order a line goes when capital
    letters are more than `max_uppercase_fraction` of its characters; digits more than `max_numeric_fraction`; it is a
    number and one of `counters` ("3.4K likes"), whatever signs are around; it has fewer than `min_line_words` words
    (runs between white space). Then, in lines of at most `max_short_line_words` words, the phrases `anywhere`,
    `at_end` and `at_start` are cut out in any case, with one white space before them (behind them at the start), and a
    line of which only white space is left goes. After each rule but that for words, white space at both ends of the
    page goes. Signals:

    words                   words of the page before; a page with fewer than `min_words` is dropped
    words_removed           how many of them went
    removed_word_fraction   their share; above `max_removed_word_fraction` the page is dropped
    lines_uppercase, lines_numeric, lines_counter, lines_short, lines_emptied   lines that went, by the reason
    phrases_removed         cuts within lines
    chars_removed           code points that went, with line feeds and white space

    `dialect` "dclm", the default, counts fastText's tokens that begin with a letter or number, before and after; and a
    full stop in a phrase is any character, as there it is part of a regular expression (nothing else is), so "read
    more" with *any* three characters behind it is cut. In "paper" a full stop is one, words are runs between white
    space, and all words of every line taken or edited count as removed. The paper gives one
    example of each phrase and counter, no lists.
    """

    dialect: Dialect = "dclm"
    max_uppercase_fraction: float | None = 0.5
    max_numeric_fraction: float | None = 0.999999
    counters: tuple[str, ...] = COUNTERS
    min_line_words: int | None = 2
    max_short_line_words: int | None = 10
    anywhere: tuple[str, ...] = ("items in cart",)
    at_end: tuple[str, ...] = ("Read more...",)
    at_start: tuple[str, ...] = ("Sign-in",)
    min_words: int | None = 1
    max_removed_word_fraction: float | None = 0.05

    def __post_init__(self) -> None:
        """Raise ConfigError for an option out of range."""
        if self.dialect not in get_args(Dialect):
            raise ConfigError(f"refinedweb: dialect = {self.dialect!r}; wanted one of {', '.join(get_args(Dialect))}")
        check_numbers(self)
        for name in ("counters", "anywhere", "at_end", "at_start"):
            if not all(getattr(self, name)):
                raise ConfigError(f"refinedweb: {name} = {list(getattr(self, name))!r}; wanted no empty string")

    def signals(self) -> Mapping[str, pa.DataType]:
        """Counts and the fraction."""
        names = (*refinedweb_lines.COUNTS, "chars_removed")
        return {
            **{f"refinedweb.{name}": pa.int64() for name in names},
            "refinedweb.removed_word_fraction": pa.float64(),
        }

    def rules(self) -> tuple[Rule, ...]:
        """The two over words."""
        table = (("min_words", "words", ">="), ("max_removed_word_fraction", "removed_word_fraction", "<="))
        return rules_of(self, table)  # type: ignore[arg-type]

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """Correct every page; those that the rules reject too."""
        out = np.empty(int(texts.offsets[-1] - texts.offsets[0]), dtype=np.uint8)
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        paper = self.dialect == "paper"
        limits = (
            -1.0 if self.max_uppercase_fraction is None else float(self.max_uppercase_fraction),
            -1.0 if self.max_numeric_fraction is None else float(self.max_numeric_fraction),
            0 if self.min_line_words is None else self.min_line_words,
            -1 if self.max_short_line_words is None else self.max_short_line_words,
        )
        packed = tuple(phrases.pack(each, dots=not paper) for each in (self.anywhere, self.at_end, self.at_start))
        counts, (start, stop) = refinedweb_lines.correct(
            texts.data,
            texts.offsets,
            limits,
            phrases.pack(self.counters),
            packed,
            phrases.heads((*self.anywhere, *self.at_end, *self.at_start)),
            paper,
            refinedweb_lines.python_classes(),
            out,
            offsets,
        )
        corrected = Texts(out[: offsets[-1]], offsets)
        fraction = counts[refinedweb_lines.WORDS_REMOVED] / np.maximum(counts[refinedweb_lines.WORDS], 1)
        values = (*counts, texts.chars - corrected.chars, fraction)
        return Measured(
            dict(zip(self.signals(), values, strict=True)),
            corrected,
            {"refinedweb.max_removed_word_fraction": (start, stop)},
        )
