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

from corpusmill.errors import ConfigError
from corpusmill.filters.c4 import c4_lines, c4_pages, spacy_sentences
from corpusmill.filters.c4.punkt_words import model_files, own_words, read_words
from corpusmill.filters.thresholds import BY_DIALECT, check_numbers, rules_of, set_by_dialect
from corpusmill.folding import lower_codes, uppercase
from corpusmill.rules import Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts
from corpusmill.unicode import char_classes

_OFF = np.iinfo(np.int64).max
_ORIGINAL: Mapping[str, object] = {
    "max_page_chars": 190_000,
    "max_word_chars": 1000,
    "remove_citations": True,
    "min_line_words": 5,
    "policy": True,
    "min_sentences": 3,
}


@register("c4", version=2)
@dataclass(frozen=True)
class C4(Filter):
    """Keep the lines that are prose, then the pages that have enough of them.

    Lines are what Python's `str.splitlines` gives, stripped; blank ones go and are not counted. Each line goes through
    these rules in this order, and the first to fail removes it: no word over `max_word_chars`; `[1]`, `[]`, `[edit]`
    and `[citation needed]` are cut out; it ends with `.`, `?`, `!` or `"` but not `...`; it has `min_line_words` words.
    "lorem ipsum", then `{` mark the whole page, though only on a line that came this far; between the two "javascript"
    removes the line, behind them the policy phrases do. Phrases are found in any case. The new text is the lines
    that are left, joined by line feeds and stripped.

    Signals: `chars` (code points of the page before cleaning), the lines kept and removed by each rule,
    `citations_removed` (in all lines), `sentences` (in the lines kept), and whether the page has `lorem_ipsum` or
    `curly_bracket`. Sentences are counted with Punkt, in each line; `sentence_model` is the folder of NLTK's English
    model (`punkt_tab/english`, which the original loads), without it a short list of words stands in for that.

    `dialect` "code" is the original. The others:

    datatrove  (0.10.1, `C4QualityFilter`) 5 sentences and 3 words where the original has 3 and 5; `'` is an end mark
               too; words are counted before citations are cut out; no limit on the page's length; sentences as
               spaCy's sentencizer has them. FineWeb's use of C4 is this with `terminal_mark = false`.
    dolma      (1.2.1, tagger `c4_v2` with the mixer of `configs/c4-replication`) lines are split at line feeds alone
               and stay as they are with the feed behind them; "lorem ipsum", `{` and "javascript" anywhere drop the
               page; lines need an end mark, `...` among them, and 3 words; nothing else is looked at. Signal
               `javascript` is of the page. Its bad words are the step `bad_words`, which comes before this one.
    dclm       (`baselines_configs/c4.yaml`, the part before URL dedup) thresholds of the original; lines are split at
               line feeds alone, and are not stripped; lines that are empty, or were but a citation, stay; `…` at the
               end counts as `...`; phrases of line rules are found as `re.IGNORECASE` does (`ı`, `İ` and `ſ` as `i`
               and `s`); sentences are counted in the page as a whole.
    """

    dialect: Literal["code", "datatrove", "dolma", "dclm"] = "code"
    max_page_chars: int | None = BY_DIALECT
    max_word_chars: int | None = BY_DIALECT
    remove_citations: bool = BY_DIALECT
    terminal_mark: bool = True
    min_line_words: int | None = BY_DIALECT
    lorem_ipsum: bool = True
    javascript: bool = True
    curly_bracket: bool = True
    policy: bool = BY_DIALECT
    min_sentences: int | None = BY_DIALECT
    sentence_model: str | None = None

    DIALECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "code": _ORIGINAL,
        "datatrove": {**_ORIGINAL, "max_page_chars": None, "min_line_words": 3, "min_sentences": 5},
        "dolma": {
            "max_page_chars": None,
            "max_word_chars": None,
            "remove_citations": False,
            "min_line_words": 3,
            "policy": False,
            "min_sentences": None,
        },
        "dclm": _ORIGINAL,
    }

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown dialect, a bound out of range, or a model the dialect does not use."""
        set_by_dialect(self, self.DIALECTS)
        check_numbers(self)
        if self.sentence_model is not None and self.dialect == "datatrove":
            raise ConfigError("c4: sentence_model has no use with dialect = 'datatrove', which counts as spaCy does")

    def files(self) -> tuple[str, ...]:
        """The model of sentences."""
        return () if self.sentence_model is None else model_files(self.sentence_model)

    def signals(self) -> Mapping[str, pa.DataType]:
        """Counts, then the flags."""
        kinds = {
            "chars": pa.int64(),
            **dict.fromkeys(c4_lines.COUNTS, pa.int64()),
            **dict.fromkeys(self._flags, pa.bool_()),
        }
        return {f"{self.use}.{name}": kind for name, kind in kinds.items()}

    def rules(self) -> tuple[Rule, ...]:
        """Length, the page rules, sentences."""
        names = [f"{self.use}.{name}" for name in self._flags if getattr(self, name)]
        return (
            *rules_of(self, [("max_page_chars", "chars", "<=")]),
            *(Rule(name, name, "==", False) for name in names),
            *rules_of(self, [("min_sentences", "sentences", ">=")]),
        )

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """Clean every page; pages that the rules reject are cleaned too."""
        lines = self.dialect in ("code", "datatrove")
        size = int(texts.offsets[-1] - texts.offsets[0])
        cleaned = np.empty(size if lines else size + len(texts), dtype=np.uint8)
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        limits = (
            _OFF if self.max_word_chars is None else self.max_word_chars,
            0 if self.min_line_words is None else self.min_line_words,
        )
        switches = (
            self.dialect in ("datatrove", "dolma"),
            self.remove_citations,
            self.terminal_mark,
            (self.lorem_ipsum, self.javascript, self.curly_bracket, self.policy),
        )
        clean = c4_lines.clean if lines else c4_pages.clean
        machine = c4_pages.MACHINE if self.dialect == "dclm" else c4_lines.MACHINE
        words = own_words() if self.sentence_model is None else read_words(self.sentence_model)
        tables = (char_classes(), lower_codes(), uppercase())
        counts, places = clean(texts.data, texts.offsets, limits, switches, machine, words, tables, cleaned, offsets)
        if self.dialect == "datatrove":
            counts[c4_lines.SENTENCES] = spacy_sentences.count_sentences(cleaned, offsets, counts[c4_lines.LINES_KEPT])
        split = len(c4_lines.COUNTS)
        flags = counts[split : split + len(self._flags)].astype(np.bool_)
        spans = {f"{self.use}.{name}": (place[0], place[1]) for name, place in zip(c4_lines.FLAGS, places, strict=True)}
        values = [texts.chars, *counts[:split], *flags]
        return Measured(dict(zip(self.signals(), values, strict=True)), Texts(cleaned[: offsets[-1]], offsets), spans)

    @property
    def _flags(self) -> tuple[str, ...]:
        return c4_lines.FLAGS if self.dialect == "dolma" else c4_lines.FLAGS[:2]
