"""What Dolma's recipes do besides C4's rules, Gopher's and the scrubbing of personal data (Soldaini et al. 2024).

Source: dolma 1.2.1, taggers/repetitions and taggers/length, and configs/dolma-v1_5 and -v1_6/mixing of allenai/dolma.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from corpusmill.errors import ConfigError
from corpusmill.filters.heuristics.token_repetitions import SOURCE, load, token_repetitions
from corpusmill.filters.thresholds import check_numbers, rules_of
from corpusmill.filters.word_breaks import count_segments
from corpusmill.rules import Comparison, Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts

_REPETITIONS = 100
_RULES: tuple[tuple[str, str, Comparison], ...] = (
    ("min_words", "words", ">="),
    ("token_repetitions_below", "token_repetitions", "<"),
)


@register("dolma", version=1)
@dataclass(frozen=True)
class Dolma(Filter):
    """Drop documents in which the same few tokens repeat a hundred times, and books and articles of a few words.

    words              segments of UAX #29 that are not white space, so punctuation too; measured with `min_words`,
                       which is 25 for books and Wikipedia and off for the web
    token_repetitions  the largest number of times that a group of 1 to 13 tokens occurs in a row, from 3 up, else 0;
                       measured with `tokenizer`, the path of a tokenizer.json. Texts over 100,000 code points are cut
                       into pieces of that length. A run inside one that began before it does not count, though its
                       number be larger.

    `token_repetitions_below` is the least number that is dropped. What else Dolma drops: texts without a byte, in
    version 1.7 those under 25 (`length` with `min_bytes`), and those with more than 5 pieces of personal data (`where`
    over the signals of `pii`).
    """

    tokenizer: str | None = None
    token_repetitions_below: int | None = _REPETITIONS
    min_words: int | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for a bound out of range, a rule on repetitions without a tokenizer, or no rule at all."""
        check_numbers(self)
        if self.tokenizer is None and self.token_repetitions_below is None and self.min_words is None:
            raise ConfigError("dolma: nothing to measure: give a tokenizer or min_words")
        if self.tokenizer is None and self.token_repetitions_below is not None:
            raise ConfigError(
                "dolma: token_repetitions_below needs a tokenizer: give its path as `tokenizer`, or set "
                f'token_repetitions_below = "off". {SOURCE}'
            )

    def files(self) -> tuple[str, ...]:
        """The tokenizer. Raises ConfigError when it is missing or is none."""
        if self.tokenizer is None:
            return ()
        load(self.tokenizer)
        return (self.tokenizer,)

    def signals(self) -> Mapping[str, pa.DataType]:
        """Counts."""
        names = ["words"] if self.min_words is not None else []
        names += ["token_repetitions"] if self.tokenizer is not None else []
        return {f"{self.use}.{name}": pa.int64() for name in names}

    def rules(self) -> tuple[Rule, ...]:
        """Length, then repetitions."""
        return rules_of(self, _RULES)

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """Count segments and encode the texts, where wanted."""
        values: dict[str, Any] = {}
        if self.min_words is not None:
            values["dolma.words"] = count_segments(texts)
        if self.tokenizer is None:
            return Measured(values)
        below = _REPETITIONS if self.token_repetitions_below is None else self.token_repetitions_below
        times, start, stop = token_repetitions(texts, self.tokenizer, max(below // 2, 3))
        values["dolma.token_repetitions"] = times
        return Measured(values, spans={"dolma.token_repetitions_below": (start, stop)})
