"""`fineweb2`: FineWeb-2's rules with the thresholds of each language (Penedo et al. 2025, arXiv 2506.20920)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.errors import ConfigError
from corpusmill.filters.gopher.fineweb import FineWeb
from corpusmill.filters.gopher.fineweb2_words import ELIDES, HABITS, count_stop_words, tokens
from corpusmill.filters.gopher.gopher_quality import GopherQuality
from corpusmill.filters.gopher.gopher_repetition import GopherRepetition
from corpusmill.filters.models.language_tags import bcp47
from corpusmill.filters.thresholds import check_numbers
from corpusmill.options import build
from corpusmill.rules import Bound, Comparison, Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts

_TABLE = Path(__file__).with_suffix(".toml")
_AUTO = "auto"


@dataclass(frozen=True)
class Thresholds:
    """What FineWeb-2 sets for one language; 0 is off.

    min_language_score                  GlotLID's probability
    max_top_ngram_char_fractions        for 2-, 3- and 4-grams
    max_duplicate_ngram_char_fractions  for 5- to 10-grams
    stop_words                          in their case
    also                                other BCP 47 tags the language goes by than the one its label gives
    whole, apart                        what its tokenizer keeps whole and cuts, other than an English one
    """

    min_language_score: float
    max_duplicate_line_fraction: float
    max_top_ngram_char_fractions: tuple[float, ...]
    max_duplicate_ngram_char_fractions: tuple[float, ...]
    min_line_punctuation_fraction: float
    max_newline_ratio: float
    min_mean_word_length: float
    max_mean_word_length: float
    min_alphabetic_word_fraction: float
    stop_words: tuple[str, ...]
    also: tuple[str, ...] = ()
    whole: tuple[Literal["a-b", "1-2", "5.", "5%"], ...] = ()
    apart: tuple[Literal["a-1"], ...] = ()

    def __post_init__(self) -> None:
        """Raises ConfigError unless there is a fraction for every n, and stop words are words."""
        for name, wanted in (("max_top_ngram_char_fractions", 3), ("max_duplicate_ngram_char_fractions", 6)):
            if len(getattr(self, name)) != wanted:
                raise ConfigError(f"{name} has {len(getattr(self, name))} numbers; wanted {wanted}")
        if any(len(word.split()) != 1 for word in self.stop_words):
            raise ConfigError("stop_words has one that is empty or has white space in it")

    @property
    def habits(self) -> int:
        """What `fineweb2_words.tokens` has to know."""
        elides = ELIDES if any(word.endswith("'") for word in self.stop_words) else 0
        return int(elides) | sum(int(HABITS[name]) for name in {*self.whole, *self.apart})


_BY_LANGUAGE: tuple[tuple[str, str, Comparison], ...] = (
    ("max_duplicate_line_fraction", "duplicate_line_fraction", "<="),
    *((f"max_top_{n}gram_char_fraction", f"top_{n}gram_char_fraction", "<=") for n in (2, 3, 4)),
    *((f"max_duplicate_{n}gram_char_fraction", f"duplicate_{n}gram_char_fraction", "<=") for n in range(5, 11)),
    ("min_line_punctuation_fraction", "line_punctuation_fraction", ">="),
    ("max_duplicate_line_char_fraction", "duplicate_line_char_fraction", "<="),
    ("max_newline_ratio", "newline_ratio", "<="),
    ("min_words", "word_count", ">="),
    ("max_words", "word_count", "<="),
    ("min_mean_word_length", "mean_word_length", ">="),
    ("max_mean_word_length", "mean_word_length", "<="),
    ("max_hash_ratio", "hash_ratio", "<="),
    ("max_ellipsis_ratio", "ellipsis_ratio", "<="),
    ("max_bullet_line_fraction", "bullet_line_fraction", "<="),
    ("max_ellipsis_line_fraction", "ellipsis_line_fraction", "<="),
    ("min_alphabetic_word_fraction", "alphabetic_word_fraction", ">="),
    ("min_stop_words", "stop_words", ">="),
)
_SIGNALS = tuple(dict.fromkeys(signal for _, signal, _ in _BY_LANGUAGE))
_COUNTS = ("word_count", "stop_words")


def _flat(thresholds: Thresholds) -> dict[str, float]:
    """The bounds of one language by the names of their rules, those that are off left out."""
    bounds: dict[str, float] = {
        name: value for name, value in vars(thresholds).items() if isinstance(value, (int, float))
    }
    for n, value in enumerate(thresholds.max_top_ngram_char_fractions, 2):
        bounds[f"max_top_{n}gram_char_fraction"] = value
    for n, value in enumerate(thresholds.max_duplicate_ngram_char_fractions, 5):
        bounds[f"max_duplicate_{n}gram_char_fraction"] = value
    return {name: float(value) for name, value in bounds.items() if value > 0}


def stop_words(language: str) -> tuple[str, ...]:
    """FineWeb-2's stop words of a language, given as a tag (`fr`) or as GlotLID's label (`fra_Latn`).

    Raises ConfigError when the table has no such language.
    """
    return _read(str(_TABLE))[_find(language, None)].stop_words


@register("fineweb2", version=1)
@dataclass(frozen=True)
class FineWeb2(Filter):
    """Drop documents that are repetitive, lists or not prose, by the measure of their own language.

    The rules are those of datatrove's GopherRepetitionFilter, FineWebQualityFilter and GopherQualityFilter, in this
    order, as fineweb-2-pipeline.py applies them: without paragraphs, short lines and C4's rules. Signals are what
    `gopher_repetition` and `gopher_quality` with `dialect = "datatrove"`, and `fineweb` say under the same names, and

    language    the table's name of the document's language, empty where the table has none
    known       whether it has one
    stop_words  how many of the language's stop words occur, in their case

    Words are tokens with punctuation marks among them: `fineweb2_words` says which, and how FineWeb-2's differ. Bounds
    that depend on the language are in `fineweb2.toml`, for 88 languages under GlotLID's labels; a value exactly at a
    bound is kept. Bounds here are for every language.

    language         `auto`: what the signal language.label of an earlier step says; or one language for every document,
                     as a tag (`fr`) or a label (`fra_Latn`)
    unknown          whether to keep documents in languages that the table does not have; no other rule is for these
    language_scores  also want language.score to reach the table's, which is for GlotLID
    table            path of a TOML file with thresholds for more languages, or in place of the built-in ones
    """

    language: str = _AUTO
    unknown: Literal["keep", "drop"] = "drop"
    language_scores: bool = False
    table: str | None = None
    max_duplicate_line_char_fraction: float | None = 0.1
    min_words: int | None = 50
    max_words: int | None = 100_000
    max_hash_ratio: float | None = 0.1
    max_ellipsis_ratio: float | None = 0.1
    max_bullet_line_fraction: float | None = 0.9
    max_ellipsis_line_fraction: float | None = 0.3
    min_stop_words: int | None = 2

    def __post_init__(self) -> None:
        """Raises ConfigError for a bound out of range, and for a language that the built-in table does not have."""
        check_numbers(self)
        if self.language != _AUTO and self.table is None:
            _find(self.language, None)

    def files(self) -> tuple[str, ...]:
        """The table. Raises ConfigError when it is missing or is none, or does not have the language."""
        self._languages()
        return () if self.table is None else (self.table,)

    def needs(self) -> tuple[str, ...]:
        """The language, and its score."""
        by_label = ("language.label",) if self.language == _AUTO else ()
        return (*by_label, *(("language.score",) if self.language_scores else ()))

    def signals(self) -> Mapping[str, pa.DataType]:
        """The language, then numbers."""
        kinds = {name: pa.int64() if name in _COUNTS else pa.float64() for name in _SIGNALS}
        kinds = {"language": pa.string(), "known": pa.bool_(), **kinds}
        return {f"{self.use}.{name}": kind for name, kind in kinds.items()}

    def rules(self) -> tuple[Rule, ...]:
        """In FineWeb-2's order; each bound by the table's language, so that none is for unknown ones."""
        languages = self._languages()
        rules = []
        if self.unknown == "drop" and self.language == _AUTO:
            rules.append(Rule(f"{self.use}.unknown_language", f"{self.use}.known", "==", True))
        names: tuple[tuple[str, str, Comparison], ...] = _BY_LANGUAGE
        if self.language_scores:
            names = (("min_language_score", "language.score", ">="), *names)
        flat = {language: _flat(thresholds) for language, thresholds in languages.items()}
        for name, signal, comparison in names:
            bounds: dict[str, Bound] = {}
            for language, own in flat.items():
                bound = getattr(self, name) if name in self.__dataclass_fields__ else own.get(name)
                if bound is not None:
                    bounds[language] = bound
            if bounds:
                measured = signal if "." in signal else f"{self.use}.{signal}"
                rules.append(Rule(f"{self.use}.{name}", measured, comparison, None, f"{self.use}.language", bounds))
        return tuple(rules)

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:
        """The three filters over the tokens of each language, stop words apart."""
        table = _read(self.table)
        which = self._which(batch, len(texts))
        present = {language: which == language for language in sorted({*which} - {""})}
        habits = np.zeros(len(texts), dtype=np.uint8)
        for language, rows in present.items():
            habits[rows] = table[language].habits
        words = tokens(texts, habits)
        view = Texts(texts.data, texts.offsets)  # the same texts with other words
        view.__dict__.update(lines=texts.lines, words=words, spacy_words=words)
        parts = [step.measure(view, batch) for step in (_repetition(), FineWeb(), _quality())]
        # Both of the first two measure lines that are copies; FineWeb-2 has the bound over the second's.
        measured = {name.partition(".")[2]: value for part in parts for name, value in part.signals.items()}
        found = np.zeros(len(texts), dtype=np.int64)
        for language, rows in present.items():
            found[rows] = count_stop_words(texts, words, table[language].stop_words, rows)
        signals = {name: measured[name] for name in _SIGNALS} | {"stop_words": found}
        labels = {"language": pa.array(which, pa.string()), "known": which != ""}
        spans = {name.replace("gopher_repetition", self.use): place for name, place in (parts[0].spans or {}).items()}
        own = {rule for rule, signal, _ in _BY_LANGUAGE if signal != "duplicate_line_char_fraction"}
        spans = {name: place for name, place in spans.items() if name.partition(".")[2] in own}
        return Measured({f"{self.use}.{name}": value for name, value in {**labels, **signals}.items()}, spans=spans)

    def _languages(self) -> dict[str, Thresholds]:
        """The thresholds that documents of this step can meet."""
        table = _read(self.table)
        if self.language == _AUTO:
            return table
        language = _find(self.language, self.table)
        return {language: table[language]}

    def _which(self, batch: pa.RecordBatch, rows: int) -> npt.NDArray[np.object_]:
        """The table's language of each document, "" for none."""
        if self.language != _AUTO:
            return np.full(rows, _find(self.language, self.table), dtype=np.object_)
        names = _names(self.table)
        labels = [names.get(_written(label or ""), "") for label in batch.column("language.label").to_pylist()]
        return np.array(labels, dtype=np.object_)


@cache
def _repetition() -> GopherRepetition:
    return GopherRepetition(dialect="datatrove")


@cache
def _quality() -> GopherQuality:
    return GopherQuality(dialect="datatrove")


def _find(language: str, table: str | None) -> str:
    """The table's name of a language. Raises ConfigError when it has none."""
    known = _read(table)
    found = language if language in known else _names(table).get(_written(language), "")
    if not found:
        raise ConfigError(
            f"fineweb2: language = {language!r}; wanted 'auto' or one of {', '.join(sorted(known))}, "
            "or a `table` that has it: github.com/huggingface/fineweb-2 has configs for 1,800 more"
        )
    return found


def _written(label: str) -> str:
    """The language and the script of a label."""
    return "-".join(part for k, part in enumerate(bcp47(label).split("-")) if k == 0 or len(part) == 4)


def _names(table: str | None) -> dict[str, str]:
    return _tags(table, Path(table or _TABLE).stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _tags(table: str | None, _mtime_ns: int) -> dict[str, str]:
    """BCP 47 tag → the table's name. The bare language, where no tag is that, means the first with any script."""
    names: dict[str, str] = {}
    for name, thresholds in _read(table).items():
        for tag in (bcp47(name), *thresholds.also):
            names[_written(tag)] = name
    for name in _read(table):
        names.setdefault(bcp47(name).partition("-")[0], name)
    return names


def _read(table: str | None) -> dict[str, Thresholds]:
    """The built-in table, with the user's laid over it."""
    built_in = _parse(str(_TABLE), _TABLE.stat().st_mtime_ns)
    if table is None or table == str(_TABLE):
        return built_in
    try:
        return {**built_in, **_parse(table, Path(table).stat().st_mtime_ns)}
    except OSError as error:
        raise ConfigError(f"fineweb2: table = {table!r}: {error.strerror}") from None


@lru_cache(maxsize=8)
def _parse(path: str, _mtime_ns: int) -> dict[str, Thresholds]:
    """Raises ConfigError for a file that is no table of thresholds."""
    try:
        body = tomllib.loads(Path(path).read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"fineweb2: table = {path!r}: not TOML: {error}") from None
    table = {}
    for name, values in body.items():
        if not isinstance(values, dict):
            raise ConfigError(f"fineweb2: table = {path!r}: {name} = {values!r}; wanted a table such as [fra_Latn]")
        table[name] = build(Thresholds, values, lambda key, name=name: f"{path}, [{name}] {key}".rstrip())  # type: ignore[misc]
    return table
