"""The heuristics of NeMo Curator that are not Gopher's, with the bounds of its English pipeline.

Source: nemo-curator 1.4.0, stages/text/filters/heuristic/string.py, config/text/heuristic_filter_english_pipeline.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusmill.filters.heuristics import nemo_kernels
from corpusmill.filters.thresholds import check_numbers, rules_of
from corpusmill.rules import Comparison, Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts

_RULES: tuple[tuple[str, str, Comparison], ...] = (
    ("max_other_char_fraction", "other_char_fraction", "<="),
    ("max_digit_fraction", "digit_fraction", "<="),
    ("max_url_char_fraction", "url_char_fraction", "<="),
    ("max_white_space_fraction", "white_space_fraction", "<="),
    ("max_bracket_fraction", "bracket_fraction", "<="),
    ("max_boilerplate_paragraph_fraction", "boilerplate_paragraph_fraction", "<="),
    ("max_open_line_fraction", "open_line_fraction", "<="),
    ("max_word_chars", "longest_word_chars", "<="),
    ("max_porn_urls", "porn_urls", "<="),
)


@register("nemo", version=1)
@dataclass(frozen=True)
class Nemo(Filter):
    """Drop documents made of symbols, numbers, addresses, blanks, brackets, notices or lines without an end.

    Characters are code points, words are runs between white space, lines are stripped and not blank. Signals, with the
    filter of NeMo Curator each one is:

    other_char_fraction             all characters but ASCII letters, digits, line feeds and `?!,.` (NonAlphaNumeric)
    digit_fraction                  ASCII digits per character (Numbers)
    url_char_fraction               characters in addresses that begin with `http://` or `https://` (Urls)
    white_space_fraction            spaces, tabs, line feeds, carriage returns and backspaces (WhiteSpace)
    bracket_fraction                `(){}[]⟨⟩` per character (Parentheses)
    boilerplate_paragraph_fraction  pieces between two line feeds, empty ones too, that have a policy or cookie notice
                                    in them, in any case; 1 where the text has "lorem ipsum" (BoilerPlateString)
    open_line_fraction              lines that do not end in `.`, `?`, `!`, `"` or `'` (Punctuation)
    longest_word_chars              characters of the longest word (LongWord)
    porn_urls                       such addresses with "porn" in them; the pipeline leaves this rule out, and so does
                                    this step (PornographicUrls keeps none: `max_porn_urls = 0`)

    An empty text has 1 as its character fractions, since NeMo Curator drops it; on a blank one, where that fails, the
    other ratios are 0. A value exactly at a bound is kept. The rest of the pipeline is `gopher_repetition` and
    `gopher_quality` with `dialect = "nemo"`. The pipeline for other languages is the same without
    `max_other_char_fraction`, and without `min_alphabetic_word_fraction` and `min_stop_words` there.
    """

    max_other_char_fraction: float | None = 0.25
    max_digit_fraction: float | None = 0.15
    max_url_char_fraction: float | None = 0.2
    max_white_space_fraction: float | None = 0.25
    max_bracket_fraction: float | None = 0.1
    max_boilerplate_paragraph_fraction: float | None = 0.4
    max_open_line_fraction: float | None = 0.85
    max_word_chars: int | None = 1000
    max_porn_urls: int | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for a bound out of range."""
        check_numbers(self)

    def signals(self) -> Mapping[str, pa.DataType]:
        """Fractions and two counts."""
        return {
            f"{self.use}.{name}": pa.float64() if name.endswith("_fraction") else pa.int64() for _, name, _ in _RULES
        }

    def rules(self) -> tuple[Rule, ...]:
        """In the order of the pipeline."""
        return rules_of(self, _RULES)

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """Two passes over the bytes, one over words, one over lines."""
        chars, lines, words = texts.chars, texts.lines, texts.words
        counts, url = nemo_kernels.count_chars(texts.data, texts.offsets)
        notices, notice = nemo_kernels.count_notices(
            texts.data, texts.offsets, nemo_kernels.MACHINE, nemo_kernels.LENGTHS
        )
        longest, word = nemo_kernels.longest_word(words.start, words.stop, words.chars, words.first)
        open_lines = nemo_kernels.count_open_lines(texts.data, lines.stop, lines.first)
        kept, digits, white, brackets, url_chars, porn = counts
        per_char = np.maximum(chars, 1)
        values = (
            *(
                np.where(chars == 0, 1.0, part / per_char)
                for part in (chars - kept, digits, url_chars, white, brackets)
            ),
            notices,
            open_lines / np.maximum(lines.counts, 1),
            longest,
            porn,
        )
        spans = {"max_boilerplate_paragraph_fraction": notice, "max_word_chars": word, "max_porn_urls": url}
        return Measured(
            dict(zip(self.signals(), values, strict=True)),
            spans={f"{self.use}.{name}": (start, stop) for name, (start, stop) in spans.items()},
        )
