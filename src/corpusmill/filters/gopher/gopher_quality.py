"""The quality rules of Gopher (Rae et al. 2021, arXiv 2112.11446, appendix A.1.1), and their variants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.errors import ConfigError
from corpusmill.filters.characters import PUNCTUATION, characters
from corpusmill.filters.gopher import gopher_marks, gopher_words
from corpusmill.filters.gopher.pieces import cut
from corpusmill.filters.thresholds import BY_DIALECT, check_numbers, rules_of, set_by_dialect
from corpusmill.rules import Comparison, Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Spans, Texts
from corpusmill.unicode import ALPHABETIC, LETTER, char_classes

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
"""The paper's eight."""

_RULES: tuple[tuple[str, str, Comparison], ...] = (
    ("min_words", "word_count", ">="),
    ("max_words", "word_count", "<="),
    ("min_mean_word_length", "mean_word_length", ">="),
    ("max_mean_word_length", "mean_word_length", "<="),
    ("min_median_word_length", "median_word_length", ">="),
    ("max_median_word_length", "median_word_length", "<="),
    ("max_hash_ratio", "hash_ratio", "<="),
    ("max_ellipsis_ratio", "ellipsis_ratio", "<="),
    ("max_symbol_ratio", "symbol_ratio", "<="),
    ("max_bullet_line_fraction", "bullet_line_fraction", "<="),
    ("max_ellipsis_line_fraction", "ellipsis_line_fraction", "<="),
    ("min_alphabetic_word_fraction", "alphabetic_word_fraction", ">="),
    ("min_stop_words", "stop_words", ">="),
)
_MEAN = {"min_mean_word_length": 3.0, "max_mean_word_length": 10.0}
_MEDIAN = {"min_median_word_length": 3.0, "max_median_word_length": 10.0}
_TWO_SYMBOLS = {"max_hash_ratio": 0.1, "max_ellipsis_ratio": 0.1}
_ONE_SYMBOL = {"max_symbol_ratio": 0.1}
_OFF = dict.fromkeys((*_MEAN, *_MEDIAN, *_TWO_SYMBOLS, *_ONE_SYMBOL))


@dataclass(frozen=True)
class _Edges:
    """What counts as a bullet at the beginning and as an ellipsis at the end of a line."""

    bullets: tuple[str, ...]
    ellipses: tuple[str, ...]


_ELLIPSES = ("...", "…")
_NEMO_ELLIPSES = ("...", "[...]", "…", "(...)", "[…]", "-»")
_EDGES = {
    "paper": _Edges(("•", "-", "*"), _ELLIPSES),
    "datatrove": _Edges(("•", "-"), _ELLIPSES),
    "dolma": _Edges(("*", "-"), ("…",)),
    "dolma_v2": _Edges(("*", "-"), ("…",)),
    "dclm": _Edges(("●", "•", "*", "-"), (*_ELLIPSES, ". . .")),
    "nemo": _Edges(tuple("•‣⁃⁌⁍∙○●◘◦⦾⦿"), (*_NEMO_ELLIPSES, "read more..", "read more")),
}


@cache
def _having(flag: np.uint8) -> npt.NDArray[np.uint8]:
    return char_classes() & flag


@cache
def _no_punctuation() -> npt.NDArray[np.uint8]:
    return (characters() & PUNCTUATION == 0).view(np.uint8)


@register("gopher_quality", version=2)
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
    stop_words                how many of `stop_words` occur as a whole word, case ignored (of words longer than 8
                              characters: small, capital, or with a capital first)

    Ratios and fractions of nothing are 0, so a document without words fails the rules that want a minimum.
    Bounds are the paper's; a value exactly at a bound is kept.

    `words = "script"` cuts runs with Chinese, Japanese, Thai, Lao, Khmer or Burmese in them into `Texts.script_words`,
    so that the rules mean something there; all other runs stay what they are. The other dialects have words of
    their own and take no such option.

    `dialect` counts as other tools do; what is not named is as above.

    datatrove (0.10.1)  Words are tokens of spaCy's English tokenizer. `word_count` and `mean_word_length` leave out
                        those of punctuation alone; the ratios and `alphabetic_word_fraction` are of all. Lines are
                        those of `str.splitlines`, blank ones count; `*` is no bullet. Alphabetic is `str.isalpha`,
                        stop words keep their case.
    dolma (1.2.1)       The tagger gopher_v1 with the bounds of Dolma 1.6. `median_word_length` in place of the mean;
                        `symbol_ratio`: words with a `#` or `…` in them. Lines are what lies between line feeds, blank
                        ones count, and white space at the ends hides bullets (`*` `-`) and ellipses (`…` only).
                        Alphabetic is `str.isalpha`; `stop_words` is every word on the list, in its case.
    dolma_v2            The same with the tagger gopher_v2: lines are what lies between runs of line feeds.
    dclm                As in dclm_baseline_refinedweb.yaml. `word_count` is of words that begin with a letter or
                        number (`Texts.script_words`); all else of runs between white space. `symbol_ratio`: `#`,
                        `...`, `. . .` and `…` together, per word. `●` is a bullet too, `. . .` an ellipsis.
                        Alphabetic is `str.isalpha`; `stop_words` is every word on the list, case ignored.
    nemo (1.4.0)        NeMo Curator's filters of the same names. `symbol_ratio`: words that are an ellipsis, or with
                        more than half as many runs of `#` as code points. Bullets are `• ‣ ⁃ ⁌ ⁍ ∙ ○ ● ◘ ◦ ⦾ ⦿`;
                        lines end in `...`, `…`, these in round or square brackets, `-»`, `read more` or
                        `read more..`. `stop_words` is every word on the list, in its case.
    """

    dialect: Literal["paper", "datatrove", "dolma", "dolma_v2", "dclm", "nemo"] = "paper"
    words: Literal["space", "script"] = "space"
    min_words: int | None = 50
    max_words: int | None = 100_000
    min_mean_word_length: float | None = BY_DIALECT
    max_mean_word_length: float | None = BY_DIALECT
    min_median_word_length: float | None = BY_DIALECT
    max_median_word_length: float | None = BY_DIALECT
    max_hash_ratio: float | None = BY_DIALECT
    max_ellipsis_ratio: float | None = BY_DIALECT
    max_symbol_ratio: float | None = BY_DIALECT
    max_bullet_line_fraction: float | None = 0.9
    max_ellipsis_line_fraction: float | None = 0.3
    min_alphabetic_word_fraction: float | None = 0.8
    min_stop_words: int | None = 2
    stop_words: tuple[str, ...] = STOP_WORDS

    DIALECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "paper": {**_OFF, **_MEAN, **_TWO_SYMBOLS},
        "datatrove": {**_OFF, **_MEAN, **_TWO_SYMBOLS},
        "dolma": {**_OFF, **_MEDIAN, **_ONE_SYMBOL},
        "dolma_v2": {**_OFF, **_MEDIAN, **_ONE_SYMBOL},
        "dclm": {**_OFF, **_MEAN, **_ONE_SYMBOL},
        "nemo": {**_OFF, **_MEAN, **_ONE_SYMBOL},
    }

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown dialect, a bound out of range or on what the dialect does not measure."""
        set_by_dialect(self, self.DIALECTS)
        check_numbers(self)
        for name, signal, _ in _RULES:
            if f"{self.use}.{signal}" not in self.signals() and getattr(self, name) is not None:
                measured = ", ".join(self.signals())
                raise ConfigError(f"{self.use}: {name} is set, but dialect {self.dialect!r} measures only {measured}")
        if self.words == "script" and self.dialect != "paper":
            raise ConfigError(
                f"{self.use}: words = 'script'; wanted 'space', dialect {self.dialect!r} has its own words"
            )
        for word in self.stop_words:
            if len(word.split()) != 1 or word != word.strip():
                raise ConfigError(f"{self.use}: stop_words has {word!r}; wanted words without white space")

    def signals(self) -> Mapping[str, pa.DataType]:
        """Counts and ratios, by dialect."""
        length = "median_word_length" if self.dialect.startswith("dolma") else "mean_word_length"
        symbols = ["hash_ratio", "ellipsis_ratio"] if self.dialect in ("paper", "datatrove") else ["symbol_ratio"]
        fractions = ["bullet_line_fraction", "ellipsis_line_fraction", "alphabetic_word_fraction"]
        kinds = {"word_count": pa.int64(), **dict.fromkeys([length, *symbols, *fractions], pa.float64())}
        return {f"{self.use}.{name}": kind for name, kind in {**kinds, "stop_words": pa.int64()}.items()}

    def rules(self) -> tuple[Rule, ...]:
        """In the paper's order."""
        return rules_of(self, _RULES)

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """A few passes over the words and lines of the batch, one or two over its bytes."""
        words = self._words(texts)
        per_word = np.maximum(words.counts, 1)
        letters = _having(ALPHABETIC if self.dialect in ("paper", "nemo") else LETTER)
        listed = gopher_words.lexicon(self.stop_words, self.dialect in ("paper", "dclm"))
        values = (
            *self._lengths(texts, words),
            *self._symbols(texts, words, per_word),
            *self._edges(texts),
            gopher_words.count_having(texts, words, letters)[0] / per_word,
            gopher_words.count_listed(words, listed, distinct=self.dialect in ("paper", "datatrove")),
        )
        return Measured(dict(zip(self.signals(), values, strict=True)))

    def _words(self, texts: Texts) -> Spans:
        if self.dialect == "datatrove":
            return texts.spacy_words
        return gopher_words.cut_unspaced(texts) if self.words == "script" else texts.words

    def _lengths(self, texts: Texts, words: Spans) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]:
        """How many words, and how long."""
        if self.dialect == "datatrove":
            count, chars = gopher_words.count_having(texts, words, _no_punctuation())
            return count, chars / np.maximum(count, 1)
        if self.dialect.startswith("dolma"):
            return words.counts, gopher_words.median_chars(words)
        count = words.counts
        if self.dialect == "dclm":
            count = gopher_words.dclm_words(texts).counts
        return count, gopher_words.sum_chars(words) / np.maximum(words.counts, 1)

    def _symbols(self, texts: Texts, words: Spans, per_word: npt.NDArray[np.int64]) -> list[npt.NDArray[np.floating]]:
        if self.dialect.startswith("dolma"):
            return [gopher_words.count_hash_or_ellipsis(texts, words) / per_word]
        if self.dialect == "nemo":
            return [gopher_words.count_hash_runs(texts, words, gopher_words.lexicon(_NEMO_ELLIPSES)) / per_word]
        marks = gopher_marks.count_marks(texts)
        if self.dialect == "dclm":
            return [(marks.sum(axis=0) + gopher_marks.count_spaced_dots(texts)) / per_word]
        return [marks[0] / per_word, marks[1] / per_word]

    def _edges(self, texts: Texts) -> list[npt.NDArray[np.floating]]:
        lines = texts.lines
        if self.dialect == "datatrove":
            lines = cut(texts, "splitlines", strip=True)
        elif self.dialect.startswith("dolma"):
            lines = cut(texts, "\n" if self.dialect == "dolma" else "\n+")
        edges = _EDGES[self.dialect]
        heads = gopher_marks.patterns(edges.bullets, at_end=False)
        tails = gopher_marks.patterns(edges.ellipses, at_end=True)
        counts = gopher_marks.count_edges(texts, lines, heads, tails, any_case=self.dialect == "nemo")
        return list(counts / np.maximum(lines.counts, 1))
