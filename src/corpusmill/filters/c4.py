"""The line and page rules of C4 (Raffel et al. 2020, JMLR 21/140, section 2.2) as its published code has them.

Source: `clean_page` and `is_valid_length` in tensorflow_datasets/text/c4_utils.py. What C4 does besides (one page for
each URL, lines repeated across pages, language, bad words) are other steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa

from corpusmill.filters import c4_lines
from corpusmill.filters.thresholds import BY_DIALECT, check_numbers, rules_of, set_by_dialect
from corpusmill.rules import Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts
from corpusmill.unicode import char_classes

_OFF = np.iinfo(np.int64).max


@register("c4", version=1)
@dataclass(frozen=True)
class C4(Filter):
    """Keep the lines that are prose, then the pages that have enough of them.

    Lines are what Python's `str.splitlines` gives, stripped; blank ones go and are not counted. Each line goes through
    these rules in this order, and the first to fail removes it: no word over `max_word_chars`; `[1]`, `[]`, `[edit]`
    and `[citation needed]` are cut out; it ends with `.`, `?`, `!` or `"` but not `...`; it has `min_line_words` words.
    "lorem ipsum", then `{` mark the whole page, though only on a line that came this far; between the two "javascript"
    removes the line, behind them the policy phrases do. Phrases are found in any case. The new text is the lines
    that are left, joined by line feeds.

    Signals: `chars` (code points of the page before cleaning), the lines kept and removed by each rule,
    `citations_removed` (in all lines), `sentences` (in the lines kept, see `sentences.py`), and whether the page has
    `lorem_ipsum` or `curly_bracket`.

    `dialect` "code" is the original; "datatrove" wants 5 sentences and 3 words where that wants 3 and 5, takes `'` as
    an end mark too, counts a line's words before citations are cut out, and has no limit on the page's length.
    FineWeb's use of C4 is `dialect = "datatrove"` with `terminal_mark = false`.
    """

    dialect: Literal["code", "datatrove"] = "code"
    max_page_chars: int | None = BY_DIALECT
    max_word_chars: int | None = 1000
    remove_citations: bool = True
    terminal_mark: bool = True
    min_line_words: int | None = BY_DIALECT
    lorem_ipsum: bool = True
    javascript: bool = True
    curly_bracket: bool = True
    policy: bool = True
    min_sentences: int | None = BY_DIALECT

    DIALECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "code": {"max_page_chars": 190_000, "min_line_words": 5, "min_sentences": 3},
        "datatrove": {"max_page_chars": None, "min_line_words": 3, "min_sentences": 5},
    }

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown dialect or a bound out of range."""
        set_by_dialect(self, self.DIALECTS)
        check_numbers(self)

    def signals(self) -> Mapping[str, pa.DataType]:
        """Counts, then the two flags."""
        kinds = {
            "chars": pa.int64(),
            **dict.fromkeys(c4_lines.COUNTS, pa.int64()),
            **dict.fromkeys(c4_lines.FLAGS, pa.bool_()),
        }
        return {f"{self.use}.{name}": kind for name, kind in kinds.items()}

    def rules(self) -> tuple[Rule, ...]:
        """Length, the page rules, sentences."""
        names = [f"{self.use}.{name}" for name in c4_lines.FLAGS if getattr(self, name)]
        return (
            *rules_of(self, [("max_page_chars", "chars", "<=")]),
            *(Rule(name, name, "==", False) for name in names),
            *rules_of(self, [("min_sentences", "sentences", ">=")]),
        )

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """Clean every page; pages that the rules reject are cleaned too."""
        size = int(texts.offsets[-1] - texts.offsets[0])
        cleaned = np.empty(size, dtype=np.uint8)
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        limits = (
            _OFF if self.max_word_chars is None else self.max_word_chars,
            0 if self.min_line_words is None else self.min_line_words,
        )
        switches = (
            self.dialect == "datatrove",
            self.remove_citations,
            self.terminal_mark,
            (self.lorem_ipsum, self.javascript, self.curly_bracket, self.policy),
        )
        counts = c4_lines.clean(
            texts.data, texts.offsets, limits, switches, c4_lines.MACHINE, char_classes(), cleaned, offsets
        )
        split = len(c4_lines.COUNTS)
        values = [texts.chars, *counts[:split], *counts[split:].astype(np.bool_)]
        return Measured(dict(zip(self.signals(), values, strict=True)), Texts(cleaned[: offsets[-1]], offsets))
