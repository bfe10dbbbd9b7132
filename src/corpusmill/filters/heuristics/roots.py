"""The cleaning and filtering of OSCAR for ROOTS (Laurençon et al. 2022, arXiv 2303.03915, section 2.3 and appendix).

Source: bigscience-workshop/data-preparation, preprocessing/training/01b_oscar_cleaning_and_filtering, filtering.py and
parameters_filtering.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpusmill.errors import ConfigError
from corpusmill.filters.heuristics import roots_edit
from corpusmill.filters.heuristics.ngram_counts import char_repetition, word_repetition
from corpusmill.filters.heuristics.special_characters import ROOTS, special_characters
from corpusmill.filters.heuristics.stripped_words import Cut, StrippedWords, shares, stripped_words
from corpusmill.filters.heuristics.word_lists import check_list, load_list
from corpusmill.filters.thresholds import BY_DIALECT, check_numbers, fill_in, rules_of
from corpusmill.rules import Comparison, Rule, Spans
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts
from corpusmill.unicode import decode

_COLUMNS = (
    "remove_parts",
    "max_word_chars",
    "min_words",
    "max_words",
    "repeated_chars",
    "max_char_repetition_fraction",
    "repeated_words",
    "max_word_repetition_fraction",
    "max_special_char_fraction",
    "min_stop_word_fraction",
    "max_flagged_word_fraction",
)
PARTS = ("http", "www", ".com", "href", "//")
_PUBLISHED: Mapping[str, tuple[object, ...]] = {
    "default": ((), None, 10, 100_000, 10, 0.2, 5, 0.3, 0.4, 0.1, 0.1),
    "ar": (PARTS, 25, 20, 100_000, 10, 0.2, 5, 0.34, 0.3, 0.07, 0.03),
    "bn": (PARTS, 20, 33, 100_000, 10, 0.13, 5, 0.21, 0.45, 0.002, 0.001),
    "ca": (PARTS, 20, 15, 100_000, 10, 0.2, 5, 0.4, 0.25, 0.25, 0.1),
    "en": (PARTS, 25, 20, 100_000, 10, 0.106, 5, 0.19, 0.4, 0.3, 0.01),
    "es": (PARTS, 25, 16, 100_000, 10, 0.14, 5, 0.25, 0.34, 0.4, 0.01),
    "eu": (PARTS, 28, 8, 100_000, 10, 0.2, 5, 0.4, 0.31, 0.05, 0.1),
    "fr": (PARTS, 45, 13, 100_000, 10, 0.14, 5, 0.13, 0.34, 0.27, 0.008),
    "hi": (PARTS, 25, 38, 100_000, 10, 0.18, 5, 0.47, 0.45, 0.01, 0.005),
    "id": (PARTS, 30, 15, 100_000, 10, 0.15, 5, 0.2, 0.34, 0.15, 0.01),
    "pt": (PARTS, 19, 19, 100_000, 10, 0.25, 5, 0.98, 0.35, 0.2, 0.007),
    "ur": (PARTS, 20, 25, 100_000, 10, 0.19, 7, 0.5, 0.25, 0.01, 0.025),
    "vi": (PARTS, 25, 30, 100_000, 10, 0.15, 5, 0.2, 0.34, 0.08, 0.005),
    "zh": ((), None, 1, 1_000_000, 3, 0.2, 5, 0.96, 0.3, 0.1691, 0.001),
}
PARAMETERS: Mapping[str, Mapping[str, object]] = {
    language: dict(zip(_COLUMNS, values, strict=True)) for language, values in _PUBLISHED.items()
}
"""The published parameters of each language."""
LATER: Mapping[str, tuple[float, float]] = {
    "default": (0.70, 10_000),
    "ar": (0.81, 2300),
    "bn": (0.95, 2000),
    "ca": (0.80, 2500),
    "en": (0.80, 1500),
    "es": (0.80, 1300),
    "eu": (0.70, 3000),
    "fr": (0.80, 1770),
    "hi": (0.90, 1517),
    "id": (0.70, 5000),
    "pt": (0.60, 3038),
    "ur": (0.90, 1495),
    "vi": (0.90, 1600),
    "zh": (0.85, 2095),
}
"""Of the two steps that follow: the least score of the language, the greatest perplexity."""
_JOINTS = {"vi": " ", "zh": ""}
"""Languages where pairs of words are looked up in the lists too, and what joins them."""
_ORIGIN = "a file with one word a line, or JSON with a list or {language: list}; ROOTS has its lists in "
_ORIGIN += "bigscience-workshop/data-preparation on GitHub, folder 01b_oscar_cleaning_and_filtering, file "

_RULES: tuple[tuple[str, str, Comparison], ...] = (
    ("min_words", "words", ">="),
    ("max_words", "words", "<="),
    ("max_char_repetition_fraction", "char_repetition_fraction", "<="),
    ("max_word_repetition_fraction", "word_repetition_fraction", "<="),
    ("max_special_char_fraction", "special_char_fraction", "<="),
    ("min_stop_word_fraction", "stop_word_fraction", ">="),
    ("max_flagged_word_fraction", "flagged_word_fraction", "<="),
)


@register("roots", version=2)
@dataclass(frozen=True)
class Roots(Filter):
    """Clean a web page of one language, then drop it if it repeats itself or is not running text.

    `language` sets every parameter left alone to the published one, "default" for a language without its own.

    First the text is stripped, ten other spaces (U+0084, 2002, 2003, 2005, 2008, 2009, 200A, 202F, 3000, FFFC) become
    plain ones, and words that have one of `remove_parts` in them or more than `max_word_chars` code points are removed,
    both looked at without the special characters at their ends; the others are joined by one line feed, tab or space.
    Then, on the new text, with words cut at spaces, tabs and line feeds and stripped of special characters:

    words                     words that are not empty
    char_repetition_fraction  of all n-grams of `repeated_chars` code points, overlapping ones too, the share of the k
                              commonest; k is the root of how many different ones there are, and no more than repeat
    word_repetition_fraction  of all n-grams of `repeated_words` lower-case words, the share that occurs twice or more
    special_char_fraction     special characters (see `special_characters.py`) per code point
    stop_word_fraction        lower-case words in the list `stop_words`; flagged_word_fraction: in `flagged_words`; for
                              Vietnamese and Chinese, pairs of words count too, and the share is 1 at most

    and `parts_removed` and `long_words_removed`, the words that were, and `chars_removed`, the code points that went,
    white space too (a space made plain is still there). The lists are paths; without one its signal is
    not measured and its rule is off. Ratios of nothing are 0, a value exactly at a bound is kept. The original drops
    for the first rule that fails in the order of the fields, then by language and perplexity: the steps `language` and
    `perplexity` behind this one, with the bounds of `LATER`. Its Chinese words are those of a SentencePiece model;
    here they are `Texts.script_words`.
    """

    language: Literal["default", "ar", "bn", "ca", "en", "es", "eu", "fr", "hi", "id", "pt", "ur", "vi", "zh"] = "en"
    stop_words: str | None = None
    flagged_words: str | None = None
    remove_parts: tuple[str, ...] = BY_DIALECT
    max_word_chars: int | None = BY_DIALECT
    min_words: int | None = BY_DIALECT
    max_words: int | None = BY_DIALECT
    repeated_chars: int = BY_DIALECT
    max_char_repetition_fraction: float | None = BY_DIALECT
    repeated_words: int = BY_DIALECT
    max_word_repetition_fraction: float | None = BY_DIALECT
    max_special_char_fraction: float | None = BY_DIALECT
    min_stop_word_fraction: float | None = BY_DIALECT
    max_flagged_word_fraction: float | None = BY_DIALECT

    LISTS: ClassVar[Mapping[str, str]] = {"stop_words": "stopwords.py", "flagged_words": "flagged_words.py"}

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown language or a value out of range."""
        if self.language not in PARAMETERS:
            raise ConfigError(f"roots: language = {self.language!r}; wanted one of {', '.join(PARAMETERS)}")
        fill_in(self, PARAMETERS[self.language])
        check_numbers(self)
        for name in ("repeated_chars", "repeated_words"):
            if getattr(self, name) < 1:
                raise ConfigError(f"roots: {name} = {getattr(self, name)}; wanted at least 1")
        if not all(self.remove_parts):
            raise ConfigError("roots: remove_parts has an empty string, which is part of every word")

    def files(self) -> tuple[str, ...]:
        """The word lists. Raises ConfigError when one is missing or is none."""
        paths = {key: getattr(self, key) for key in self.LISTS if getattr(self, key) is not None}
        for key, path in paths.items():
            check_list(self.use, key, path, self.language, _ORIGIN + self.LISTS[key])
        return tuple(paths.values())

    def signals(self) -> Mapping[str, pa.DataType]:
        """Counts and fractions; those of the word lists only where there is a list."""
        kinds: dict[str, pa.DataType] = {
            "words": pa.int64(),
            "char_repetition_fraction": pa.float64(),
            "word_repetition_fraction": pa.float64(),
            "special_char_fraction": pa.float64(),
        }
        if self.stop_words is not None:
            kinds["stop_word_fraction"] = pa.float64()
        if self.flagged_words is not None:
            kinds["flagged_word_fraction"] = pa.float64()
        kinds |= dict.fromkeys(("parts_removed", "long_words_removed", "chars_removed"), pa.int64())
        return {f"{self.use}.{name}": kind for name, kind in kinds.items()}

    def rules(self) -> tuple[Rule, ...]:
        """In the order of the original."""
        made = self.signals()
        return tuple(rule for rule in rules_of(self, _RULES) if rule.signal in made)

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """Clean every text, then one pass over its characters, one over its n-grams, one over its words."""
        cleaned, cut, removed = roots_edit.clean(texts, self.remove_parts, self.max_word_chars)
        words = self._words(cleaned, cut)
        special = _count_special(cleaned.data, cleaned.offsets, special_characters())
        values: dict[str, Any] = {
            "words": words.counts,
            "char_repetition_fraction": char_repetition(
                cleaned.data, cleaned.offsets, cleaned.chars, self.repeated_chars
            ),
            "word_repetition_fraction": word_repetition(words.hash, words.first, self.repeated_words),
            "special_char_fraction": special / np.maximum(cleaned.chars, 1),
            "parts_removed": removed[0],
            "long_words_removed": removed[1],
            "chars_removed": texts.chars - cleaned.chars,
        }
        joint = _JOINTS.get(self.language)
        for name, path in (("stop_word_fraction", self.stop_words), ("flagged_word_fraction", self.flagged_words)):
            if path is not None:
                values[name] = shares(cleaned, words, load_list(path, self.language), joint)[0]
        return Measured(
            {name: values[name.partition(".")[2]] for name in self.signals()},
            cleaned,
            self._places(texts, values["flagged_word_fraction"]) if self.flagged_words is not None else None,
        )

    def _words(self, texts: Texts, cut: Cut | None = None) -> StrippedWords:
        """The words of the language; `cut` is where they are, if that is known."""
        if self.language == "zh":
            cut = texts.script_words.start, texts.script_words.stop, texts.script_words.first
        return stripped_words(texts, ROOTS, cut)

    def _places(self, texts: Texts, fractions: npt.NDArray[np.float64]) -> Spans:
        """Where in the texts before they were cleaned the first flagged word is, of those that have too many."""
        most = 1.0 if self.max_flagged_word_fraction is None else self.max_flagged_word_fraction
        rows = np.flatnonzero(fractions > most)
        some = Texts.from_arrow(texts.to_arrow().take(pa.array(rows)))
        listed = load_list(self.flagged_words or "", self.language)
        _, *found = shares(some, self._words(some), listed, _JOINTS.get(self.language))
        shift = texts.offsets[rows] - some.offsets[:-1]
        start, stop = (np.full(len(texts), -1, dtype=np.int64) for _ in range(2))
        for side, place in zip((start, stop), found, strict=True):
            side[rows] = np.where(place < 0, -1, place + shift)
        return {f"{self.use}.max_flagged_word_fraction": (start, stop)}


@njit(cache=True, nogil=True)
def _count_special(data, offsets, special):  # type: ignore[no-untyped-def]
    """int64[n], special characters."""
    counts = np.zeros(len(offsets) - 1, dtype=np.int64)
    for d in range(len(counts)):
        i, n = offsets[d], 0
        while i < offsets[d + 1]:
            c = data[i]
            if c < 0x80:
                n += special[c] & ROOTS
                i += 1
            else:
                code, k = decode(data, i, offsets[d + 1])
                n += special[code] & ROOTS
                i += k
        counts[d] = n
    return counts
