"""The text statistics of data-juicer (Chen et al. 2024, arXiv 2309.02033), bounded at mean ± 3 sigma.

Source: py-data-juicer 1.6.1, data_juicer/ops/filter. Default bounds: its recipe redpajama-cc-2023-06-refine.yaml.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpusmill.errors import ConfigError
from corpusmill.filters.heuristics.ngram_counts import char_repetition, word_repetition
from corpusmill.filters.heuristics.special_characters import JUICER, special_characters
from corpusmill.filters.heuristics.stripped_words import shares, stripped_words
from corpusmill.filters.heuristics.word_lists import check_list, load_list
from corpusmill.filters.thresholds import BY_DIALECT, check_numbers, fill_in, rules_of
from corpusmill.rules import Rule
from corpusmill.steps import Filter, Measured, Range, register
from corpusmill.text import Texts
from corpusmill.unicode import LETTER, NUMERIC, char_classes, decode

_ALNUM, _LINE_END = np.uint8(4), np.uint8(8)
_LINE_ENDS = (*range(0x0A, 0x0E), *range(0x1C, 0x1F), 0x85, 0x2028, 0x2029)  # of Python's str.splitlines

_PUBLISHED: Mapping[str, tuple[float | None, float | None]] = {
    "alnum_fraction": (0.7508, 0.8591),
    "mean_line_chars": (10.0, 1500.0),
    "char_repetition_fraction": (None, 0.3),
    "flagged_word_fraction": (None, 0.0015),
    "max_line_chars": (10.0, 5000.0),
    "special_char_fraction": (0.15, 0.35),
    "chars": (10.0, 58187.0),
    "words": (20.0, 11529.0),
    "word_repetition_fraction": (None, 0.2962),
}
_COUNTS = ("max_line_chars", "chars", "words")
_ORIGIN = "a file with one word a line, or JSON with a list or {language: list}: data-juicer's flagged_words.json, "
_ORIGIN += "which it downloads, or the list of LDNOOBW on GitHub"


@register("data_juicer", version=2)
@dataclass(frozen=True)
class DataJuicer(Filter):
    """Drop documents whose statistics lie far from the usual.

    alnum_fraction            letters, digits and numbers (`str.isalnum`) per code point
    mean_line_chars           code points per line of `str.splitlines`, the line ends included
    char_repetition_fraction  of all n-grams of `repeated_chars` code points, overlapping ones too, the share of the k
                              commonest; k is the root of how many different ones there are, and no more than repeat
    flagged_word_fraction     words in the list `flagged_words`, a path; without one it is not measured
    max_line_chars            code points of the longest line
    special_char_fraction     special characters (see `special_characters.py`) per code point
    chars                     code points
    words                     words cut at spaces, tabs and line feeds, not empty when stripped of special characters
    word_repetition_fraction  of all n-grams of `repeated_words` lower-case words, the share that occurs twice or more

    Ratios of nothing are 0. The bounds (`min_…` and `max_…` of each; a value exactly at one is kept) are those
    data-juicer published for a Common Crawl snapshot cleaned by RedPajama, and where it gave none the operators' own.
    They fit that text: `corpusmill bounds` computes them from yours, and `bounds` is the path of the file it writes.
    A bound set here goes before the file's. The published recipe cuts its words with a SentencePiece model, and
    before it measures it removes e-mail addresses and links and normalises punctuation and spaces.
    """

    bounds: str | None = None
    flagged_words: str | None = None
    language: str = "en"
    repeated_chars: int = 10
    repeated_words: int = 10
    min_alnum_fraction: float | None = BY_DIALECT
    max_alnum_fraction: float | None = BY_DIALECT
    min_mean_line_chars: float | None = BY_DIALECT
    max_mean_line_chars: float | None = BY_DIALECT
    min_char_repetition_fraction: float | None = BY_DIALECT
    max_char_repetition_fraction: float | None = BY_DIALECT
    min_flagged_word_fraction: float | None = BY_DIALECT
    max_flagged_word_fraction: float | None = BY_DIALECT
    min_max_line_chars: float | None = BY_DIALECT
    max_max_line_chars: float | None = BY_DIALECT
    min_special_char_fraction: float | None = BY_DIALECT
    max_special_char_fraction: float | None = BY_DIALECT
    min_chars: float | None = BY_DIALECT
    max_chars: float | None = BY_DIALECT
    min_words: float | None = BY_DIALECT
    max_words: float | None = BY_DIALECT
    min_word_repetition_fraction: float | None = BY_DIALECT
    max_word_repetition_fraction: float | None = BY_DIALECT

    STATISTICS: ClassVar[tuple[str, ...]] = tuple(_PUBLISHED)

    def __post_init__(self) -> None:
        """Raise ConfigError for a value out of range, or a bounds file that is missing or lacks a statistic."""
        bounds = _PUBLISHED if self.bounds is None else {**_PUBLISHED, **read_bounds(self.bounds, self._measured())}
        for name, (least, most) in bounds.items():
            fill_in(self, {f"min_{name}": least, f"max_{name}": most})
        check_numbers(self)
        for name in ("repeated_chars", "repeated_words"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{self.use}: {name} = {getattr(self, name)}; wanted at least 1")

    def _measured(self) -> tuple[str, ...]:
        return tuple(name for name in _PUBLISHED if self.flagged_words is not None or name != "flagged_word_fraction")

    def files(self) -> tuple[str, ...]:
        """The word list and the bounds. Raises ConfigError when one is missing."""
        if self.flagged_words is not None:
            check_list(self.use, "flagged_words", self.flagged_words, self.language, _ORIGIN)
        return tuple(path for path in (self.flagged_words, self.bounds) if path is not None)

    def signals(self) -> Mapping[str, pa.DataType]:
        """The statistics."""
        return {f"{self.use}.{name}": pa.int64() if name in _COUNTS else pa.float64() for name in self._measured()}

    def ranges(self) -> Mapping[str, Range]:
        """None is negative."""
        return {name: (0.0, 1.0 if name.endswith("_fraction") else np.inf) for name in self.signals()}

    def rules(self) -> tuple[Rule, ...]:
        """The lower and the upper bound of each statistic, in the order of the recipe."""
        names = self._measured()
        table = [rule for name in names for rule in ((f"min_{name}", name, ">="), (f"max_{name}", name, "<="))]
        return rules_of(self, table)  # type: ignore[arg-type]

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """One pass over characters and lines, one over n-grams of characters, one over words."""
        words = stripped_words(texts, JUICER)
        counts, longest = _count(texts.data, texts.offsets, _classes())
        chars = np.maximum(texts.chars, 1)
        values: dict[str, Any] = {
            "alnum_fraction": counts[0] / chars,
            "mean_line_chars": texts.chars / np.maximum(counts[2], 1),
            "char_repetition_fraction": char_repetition(texts.data, texts.offsets, texts.chars, self.repeated_chars),
            "max_line_chars": counts[3],
            "special_char_fraction": counts[1] / chars,
            "chars": texts.chars,
            "words": words.counts,
            "word_repetition_fraction": word_repetition(words.hash, words.first, self.repeated_words),
        }
        spans = {f"{self.use}.max_max_line_chars": (longest[0], longest[1])}
        if self.flagged_words is not None:
            ratios, start, stop = shares(texts, words, load_list(self.flagged_words, self.language))
            values["flagged_word_fraction"] = ratios
            spans[f"{self.use}.max_flagged_word_fraction"] = (start, stop)
        return Measured({name: values[name.partition(".")[2]] for name in self.signals()}, spans=spans)


def read_bounds(path: str, names: tuple[str, ...]) -> dict[str, tuple[float | None, float | None]]:
    """Least and greatest value (None: no bound) of each statistic of `names` in a file of `corpusmill bounds`.

    Raises ConfigError for a file that can't be read, lacks a statistic or has a minimum above a maximum.
    """
    try:
        body = json.loads(Path(path).read_text("utf-8"))
        found = body["statistics"]
        pairs = {name: (found[name]["min"], found[name]["max"]) for name in names if name in found}
    except OSError as error:
        hint = "`corpusmill bounds RECIPE --out FILE` computes them from the recipe's sources"
        raise ConfigError(f"data_juicer: bounds = {path!r}: can't be read ({error.strerror}); {hint}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path}: not a file that `corpusmill bounds` wrote") from None
    missing = [name for name in names if name not in pairs]
    if missing:
        raise ConfigError(f"{path}: no bounds for {', '.join(missing)}; compute them anew with `corpusmill bounds`")
    for name, pair in pairs.items():
        numbers = [value for value in pair if value is not None]
        if not all(type(value) in (int, float) and math.isfinite(value) for value in numbers):
            raise ConfigError(f"{path}: {name} has the bounds {pair}; wanted numbers, or null for none")
        if len(numbers) == 2 and numbers[0] > numbers[1]:
            raise ConfigError(f"{path}: {name} has the minimum {numbers[0]} above the maximum {numbers[1]}")
    return {name: (least, most) for name, (least, most) in pairs.items()}


@cache
def _classes() -> npt.NDArray[np.uint8]:
    """uint8[0x110000]: special characters, letters and numbers, line ends."""
    table = special_characters() & JUICER
    table[char_classes() & (LETTER | NUMERIC) != 0] |= _ALNUM
    table[list(_LINE_ENDS)] |= _LINE_END
    table.setflags(write=False)
    return table


@njit(cache=True, nogil=True)
def _count(data, offsets, classes):  # type: ignore[no-untyped-def]
    """int64[4, n]: letters and numbers, special characters, lines, code points of the longest line; its place."""
    counts = np.zeros((4, len(offsets) - 1), dtype=np.int64)
    places = np.zeros((2, len(offsets) - 1), dtype=np.int64)
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        alnum = special = np.int64(0)
        lines = longest = chars = 0
        start = a = b = i
        while i < end:
            code, k = np.int64(data[i]), 1
            if code >= 0x80:
                code, k = decode(data, i, end)
            flags = np.int64(classes[code])
            alnum += flags >> 2 & 1
            special += flags >> 1 & 1
            chars += 1
            if flags & _LINE_END:
                lines += 1
                if chars - 1 > longest:
                    longest, a, b = chars - 1, start, i
                if code == 0x0D and i + 1 < end and data[i + 1] == 0x0A:
                    special += np.int64(classes[0x0A]) >> 1 & 1
                    i += 1
                start, chars = i + k, 0
            i += k
        if start < end:
            lines += 1
            if chars > longest:
                longest, a, b = chars, start, end
        counts[0, d], counts[1, d], counts[2, d], counts[3, d] = alnum, special, lines, longest
        places[0, d], places[1, d] = a, b
    return counts, places
