"""The repetition rules of Gopher (Rae et al. 2021, arXiv 2112.11446, table A1), and their variants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.errors import ConfigError
from corpusmill.filters.gopher.gopher_ngrams import Counting, count_glued_copies, count_ngrams, count_occurrences
from corpusmill.filters.gopher.gopher_words import cut_unspaced, dclm_words, sum_chars
from corpusmill.filters.gopher.pieces import cut
from corpusmill.filters.gopher.repeats import count_copies
from corpusmill.filters.thresholds import BY_DIALECT, check_numbers, rules_of, set_by_dialect
from corpusmill.rules import Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Spans, Texts

_TOP = tuple(f"top_{n}gram_char_fraction" for n in (2, 3, 4))
_DUPLICATE = tuple(f"duplicate_{n}gram_char_fraction" for n in (5, 6, 7, 8, 9, 10))
_LINES = ("duplicate_line_fraction", "duplicate_line_char_fraction")
_PARAGRAPHS = ("duplicate_paragraph_fraction", "duplicate_paragraph_char_fraction")
_SIGNALS = (_LINES[0], _PARAGRAPHS[0], _LINES[1], _PARAGRAPHS[1], *_TOP, *_DUPLICATE)

_BOUNDS = dict(zip(_SIGNALS, (0.3, 0.3, 0.2, 0.2, 0.2, 0.18, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.1), strict=True))
_DOLMA_BOUNDS = {**_BOUNDS, "duplicate_line_char_fraction": 0.3, **dict.fromkeys((*_PARAGRAPHS, *_TOP))}

Fraction = npt.NDArray[np.float64]
Place = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class _Reading:
    """What a dialect counts and divides by.

    every        all occurrences of a repeated line count, not only those beyond the first
    line_chars   whose code points those in copies of lines are divided by; ngram_chars the same for n-grams
    single       a top n-gram counts though it occurs once, and of several the first is taken
    spaces       it has spaces between its words
    by_search    it is counted where it stands in the text as a string
    counting     what counts of duplicate n-grams: as in `count_ngrams`, or "copies" of `count_glued_copies`
    """

    every: bool = False
    line_chars: Literal["lines", "words", "text"] = "lines"
    ngram_chars: Literal["words", "text"] = "words"
    single: bool = False
    spaces: bool = False
    by_search: bool = False
    counting: Counting = "covered"


_DOLMA = _Reading(every=True, line_chars="words", single=True, counting="all")
_READINGS = {
    "paper": _Reading(),
    "datatrove": _Reading(line_chars="text", ngram_chars="text", single=True, spaces=True, counting="copies"),
    "dolma": _DOLMA,
    "dolma_v2": _DOLMA,
    "dclm": _Reading(every=True),
    "nemo": _Reading(ngram_chars="text", single=True, spaces=True, by_search=True, counting="later"),
}


def _fields(bounds: Mapping[str, float | None]) -> dict[str, object]:
    return {f"max_{name}": bound for name, bound in bounds.items()}


@register("gopher_repetition", version=2)
@dataclass(frozen=True)
class GopherRepetition(Filter):
    """Drop documents in which too much is said twice.

    Words are runs between white space; lines are stripped and not blank; paragraphs are runs of lines without a blank
    line between. Signals, all between 0 and 1, and 0 where there is nothing to divide by:

    duplicate_line_fraction       copies of a line beyond its first, of all lines; the same for paragraphs
    duplicate_line_char_fraction  code points in such copies, of those in all lines; the same for paragraphs
    top_2gram_char_fraction       code points in the n-gram that occurs most often (at least twice; of several the
                                  longest) times its count, of those in all words, at most 1; for n = 2, 3, 4
    duplicate_5gram_char_fraction code points in words that lie in any n-gram occurring twice or more, each word
                                  counted once, of those in all words; for n = 5 to 10

    Bounds are the paper's; a value exactly at a bound is kept. The reasons of the line, paragraph and top n-gram rules
    show what is repeated. `words = "script"` is what it is to `gopher_quality`.

    `dialect` counts as other tools do; what is not named is as above, and all is cut off at 1.

    datatrove (0.10.1)  Words are tokens of spaCy's English tokenizer; lines are what lies between runs of line feeds,
                        paragraphs between two or more of them, neither stripped. Every denominator of code points is
                        the whole text. A top n-gram has spaces between its words, the first of several is taken,
                        and it counts though it occurs once. Duplicate n-grams, written without spaces, are found from
                        left to right; a copy is skipped over, and first copies do not count. An empty text has 1 as its
                        line and paragraph fractions, since datatrove drops it.
    dolma (1.2.1)       The tagger gopher_v1 with the bounds of Dolma 1.6. Lines are what lies between line feeds, blank
                        ones too; all copies of a repeated one count; there are no paragraphs. Code points in lines are
                        divided by those in words. A top n-gram counts though it occurs once, the first of several is
                        taken. Duplicate n-grams count wherever they occur, overlapping or not, of all n-grams counted
                        likewise. The top n-gram rules are off: Dolma's configuration spells their names in a way
                        that finds nothing; 0.2, 0.18 and 0.16 is what it says.
    dolma_v2            The same with the tagger gopher_v2: lines are what lies between runs of line feeds.
    dclm                As massive_web_repetition_filters: words are those that `gopher_quality` counts, paragraphs lie
                        between two line feeds and are stripped; all copies of a repeated line or paragraph count. A
                        text without lines has 1 as its line and paragraph fractions, since DCLM drops it.
    nemo (1.4.0)        NeMo Curator's filters of the same names. Lines are not stripped; paragraphs lie between two
                        line feeds, blank ones too. N-grams have spaces between their words, and are divided by the
                        whole text. Of the top n-grams the first is taken, and it counts wherever it stands in the
                        text as a string, and though it occurs once. First copies of duplicate n-grams do not
                        count. With fewer than n words the fraction is 1.
    """

    dialect: Literal["paper", "datatrove", "dolma", "dolma_v2", "dclm", "nemo"] = "paper"
    words: Literal["space", "script"] = "space"
    max_duplicate_line_fraction: float | None = BY_DIALECT
    max_duplicate_paragraph_fraction: float | None = BY_DIALECT
    max_duplicate_line_char_fraction: float | None = BY_DIALECT
    max_duplicate_paragraph_char_fraction: float | None = BY_DIALECT
    max_top_2gram_char_fraction: float | None = BY_DIALECT
    max_top_3gram_char_fraction: float | None = BY_DIALECT
    max_top_4gram_char_fraction: float | None = BY_DIALECT
    max_duplicate_5gram_char_fraction: float | None = BY_DIALECT
    max_duplicate_6gram_char_fraction: float | None = BY_DIALECT
    max_duplicate_7gram_char_fraction: float | None = BY_DIALECT
    max_duplicate_8gram_char_fraction: float | None = BY_DIALECT
    max_duplicate_9gram_char_fraction: float | None = BY_DIALECT
    max_duplicate_10gram_char_fraction: float | None = BY_DIALECT

    DIALECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        **dict.fromkeys(("paper", "datatrove", "dclm", "nemo"), _fields(_BOUNDS)),
        **dict.fromkeys(("dolma", "dolma_v2"), _fields(_DOLMA_BOUNDS)),
    }

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown dialect, a bound out of range or on what the dialect does not measure."""
        set_by_dialect(self, self.DIALECTS)
        check_numbers(self)
        if self.words == "script" and self.dialect != "paper":
            raise ConfigError(
                f"{self.use}: words = 'script'; wanted 'space', dialect {self.dialect!r} has its own words"
            )
        for name in _PARAGRAPHS:
            if f"{self.use}.{name}" not in self.signals() and getattr(self, f"max_{name}") is not None:
                raise ConfigError(f"{self.use}: max_{name} is set, but dialect {self.dialect!r} measures no paragraphs")

    def signals(self) -> Mapping[str, pa.DataType]:
        """Thirteen fractions, without paragraphs eleven."""
        names = [name for name in _SIGNALS if not (self.dialect.startswith("dolma") and name in _PARAGRAPHS)]
        return {f"{self.use}.{name}": pa.float64() for name in names}

    def rules(self) -> tuple[Rule, ...]:
        """In the order of the paper's table A1."""
        return rules_of(self, [(f"max_{name}", name, "<=") for name in _SIGNALS])

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """One pass over lines, one over paragraphs, one over words."""
        reading, words = _READINGS[self.dialect], self._words(texts)
        chars = {"text": texts.chars, "words": sum_chars(words)}
        fractions: dict[str, Fraction] = {}
        places: dict[str, Place] = {}
        for names, pieces in self._pieces(texts).items():
            copies, copy = count_copies(pieces, every=reading.every)
            fractions[names[0]] = divide(copies[0], pieces.counts)
            fractions[names[1]] = divide(copies[1], chars.get(reading.line_chars, copies[2]))
            for name in names:
                fractions[name][self._rejected(texts)] = 1.0
                places[name] = _place(pieces, copy, 1)
        top, repeated, whole = count_ngrams(words, reading.counting, longest=not reading.single)
        for n, name, length, times, word in zip((2, 3, 4), _TOP, *top, strict=True):
            if reading.by_search:
                times = count_occurrences(texts, words, word, n)
            often = times if reading.single else times * (times > 1)
            fractions[name] = divide((length + (n - 1) * reading.spaces) * often, chars[reading.ngram_chars])
            places[name] = _place(words, word, n)
        if reading.counting == "copies":
            repeated = count_glued_copies(texts, words)
        if reading.counting != "all":
            whole[:] = chars[reading.ngram_chars]
        fractions.update(zip(_DUPLICATE, map(divide, repeated, whole), strict=True))
        if self.dialect == "nemo":
            for n, name in enumerate((*_TOP, *_DUPLICATE), 2):
                fractions[name][words.counts < n] = 1.0
        spans = {f"{self.use}.max_{name}": place for name, place in places.items()}
        return Measured({name: fractions[name.partition(".")[2]] for name in self.signals()}, spans=spans)

    def _words(self, texts: Texts) -> Spans:
        if self.dialect == "datatrove":
            return texts.spacy_words
        if self.dialect == "dclm":
            return dclm_words(texts)
        return cut_unspaced(texts) if self.words == "script" else texts.words

    def _pieces(self, texts: Texts) -> dict[tuple[str, str], Spans]:
        """Lines, and paragraphs where the dialect has them."""
        if self.dialect == "datatrove":
            return {_LINES: cut(texts, "\n+"), _PARAGRAPHS: cut(texts, "\n\n+", whole=False)}
        if self.dialect.startswith("dolma"):
            return {_LINES: cut(texts, "\n" if self.dialect == "dolma" else "\n+")}
        if self.dialect == "dclm":
            return {_LINES: texts.lines, _PARAGRAPHS: cut(texts, "\n\n", strip=True, blank=False)}
        if self.dialect == "nemo":
            return {_LINES: cut(texts, "\n", blank=False), _PARAGRAPHS: cut(texts, "\n\n")}
        return {_LINES: texts.lines, _PARAGRAPHS: texts.paragraphs}

    def _rejected(self, texts: Texts) -> npt.NDArray[np.bool_]:
        """bool[n]: what the tool drops before it has counted anything."""
        if self.dialect == "datatrove":
            return texts.bytes == 0
        return (texts.lines.counts == 0) & (self.dialect == "dclm")


def divide(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> Fraction:
    """At most 1, and 0 where there is nothing to divide by."""
    return np.minimum(part / np.maximum(whole, 1), 1.0) * (whole > 0)


def _place(pieces: Spans, at: npt.NDArray[np.int64], n: int) -> Place:
    """Where n pieces from position `at` on begin and end; -1 where `at` is."""
    known = at >= 0
    start, stop = np.full((2, len(at)), -1, dtype=np.int64)
    start[known], stop[known] = pieces.start[at[known]], pieces.stop[at[known] + n - 1]
    return start, stop
