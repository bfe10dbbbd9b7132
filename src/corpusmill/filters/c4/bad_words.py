"""Bad words as in C4, `get_badwords_filter_fn` of tensorflow_datasets/text/c4_utils.py, and as others read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.errors import ConfigError
from corpusmill.filters.automaton import Machine, build_machine
from corpusmill.filters.c4.bad_words_scan import ANYWHERE, BOUNDARIES, NO_WORD, WHITE_SPACE, chances, scan
from corpusmill.filters.heuristics.word_lists import check_list, read_list
from corpusmill.filters.thresholds import check_numbers, set_by_dialect
from corpusmill.folding import lower, lower_codes
from corpusmill.rules import Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts
from corpusmill.unicode import char_classes

_ORIGIN = (
    "a file with a word or phrase on each line. C4's are the List of Dirty, Naughty, Obscene, and Otherwise Bad Words: "
    "github.com/LDNOOBW/List-of-Dirty-Naughty-Obscene-and-Otherwise-Bad-Words, file `en` of commit 25e679f, other "
    "languages of commit 5faf2ba"
)

_ALLOWED = {"ja": ("sm", "グロ", "女の子"), "zh": ("性",)}


class Phrases(NamedTuple):
    """A list made ready: the phrases, the machine that finds them, and for each what must be beside it."""

    words: tuple[str, ...]
    machine: Machine
    chars: npt.NDArray[np.int64]
    flanks: npt.NDArray[np.int64]


@register("bad_words", version=1)
@dataclass(frozen=True)
class BadWords(Filter):
    """Drop documents with a word or phrase of a list.

    Lists are files with an entry on each line (or JSON), one for each language in `lists`, or `path` for the one of
    `language`. `language_from` names the signal with a document's language (`language.label`): "pt-BR" is looked up as
    it is, then as "pt"; a document whose language has no list passes, and one without a language is taken for one of
    `language`. Without `language_from` all documents are. Text and entries are read in lower case.

    Signals: `count` (entries found, of those that overlap the one that ends first), `word` (the first, null where
    there is none), `found` (whether there is one and chance did not keep the document). Of documents with a bad word
    `keep_fraction` are kept, chosen by a hash of the text and `seed`: mC4 keeps 0.001, by a hash of the URL.

    `dialect` says what must be on both sides of an entry:

    code       the original: the edge of the text or a character that is no letter, digit or `_`; nothing in the
               languages of `unspaced`. Entries in `allow` for the list's language are left out.
    datatrove  (0.10.1, `C4BadWordsFilter`) the same, but entries that `allow` has for any language are left out.
    dolma      (1.2.1, `c4_v2`) white space or the edge, so `word.` is not found; nothing for entries with a space.
    dclm       (`substring_filter` with `exact_word`) a word boundary, `\\b`: as the original for entries that begin
               and end with a letter; others have to touch one.
    """

    path: str | None = None
    lists: dict[str, str] = field(default_factory=dict)
    language: str = "en"
    language_from: str | None = None
    dialect: Literal["code", "datatrove", "dolma", "dclm"] = "code"
    unspaced: tuple[str, ...] = ("ja", "th", "zh")
    allow: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(_ALLOWED))
    keep_fraction: float = 0.0
    seed: int = 0

    DIALECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {"code": {}, "datatrove": {}, "dolma": {}, "dclm": {}}

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown dialect, a number out of range, or without a list for the documents."""
        set_by_dialect(self, self.DIALECTS)
        check_numbers(self)
        if (self.path is None) == (not self.lists):
            raise ConfigError(f"bad_words: wanted either path or lists; a list is {_ORIGIN}")
        if self.language_from is None and self.language not in self._paths:
            raise ConfigError(
                f"bad_words: no list for language = {self.language!r}, which all documents are taken for; "
                f"lists has {', '.join(self._paths)}; language_from takes it from a signal"
            )

    def files(self) -> tuple[str, ...]:
        """The lists."""
        for language, path in self._paths.items():
            check_list(self.use, "path" if self.path else f"lists.{language}", path, language, _ORIGIN)
        return tuple(self._paths.values())

    def needs(self) -> tuple[str, ...]:
        """The documents' language."""
        return () if self.language_from is None else (self.language_from,)

    def signals(self) -> Mapping[str, pa.DataType]:
        """How many, the first, whether that drops the document."""
        kinds = {"count": pa.int64(), "word": pa.string(), "found": pa.bool_()}
        return {f"{self.use}.{name}": kind for name, kind in kinds.items()}

    def rules(self) -> tuple[Rule, ...]:
        """One."""
        return (Rule(f"{self.use}.found", f"{self.use}.found", "==", False),)

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:
        """One pass over the texts for each list, over those in its language."""
        n = len(texts)
        count, start, stop = np.zeros(n, np.int64), np.full(n, -1, np.int64), np.full(n, -1, np.int64)
        first = np.full(n, -1, np.int64)
        every: list[str] = []
        tags = self._tags(n, batch)
        for language, path in self._paths.items():
            rows = np.flatnonzero(pc.equal(tags, language).to_numpy(zero_copy_only=False))
            if len(rows):
                phrases = self._load(path, language)
                beside = (phrases.chars, phrases.flanks, char_classes(), lower_codes())
                scan(texts.data, texts.offsets, rows, phrases.machine, beside, (count, first, start, stop))
                first[rows] += np.where(first[rows] >= 0, len(every), 0)
                every += phrases.words
        found = count > 0
        if self.keep_fraction > 0:
            found &= chances(texts.data, texts.offsets, found, np.uint64(self.seed)) >= self.keep_fraction
        word = pa.array(every, pa.string()).take(pa.array(first, mask=first < 0))
        values = (count, word, found)
        rule = f"{self.use}.found"
        return Measured(dict(zip(self.signals(), values, strict=True)), spans={rule: (start, stop)})

    @property
    def _paths(self) -> Mapping[str, str]:
        return self.lists if self.path is None else {self.language: self.path}

    def _tags(self, n: int, batch: pa.RecordBatch) -> pa.Array:
        """string[n]: the language whose list each document is for, if there is one."""
        if self.language_from is None:
            return pa.repeat(self.language, n)
        tags = batch.column(self.language_from).fill_null(self.language)
        whole = pc.is_in(tags, value_set=pa.array(self._paths, tags.type))
        return pc.if_else(whole, tags, pc.replace_substring_regex(tags, "-.*", ""))

    def _load(self, path: str, language: str) -> Phrases:
        flank = {"dolma": WHITE_SPACE, "dclm": BOUNDARIES}.get(self.dialect, NO_WORD)
        allowed: tuple[str, ...] = ()
        if flank == NO_WORD:
            of = self.allow if self.dialect == "datatrove" else {language: self.allow.get(language, ())}
            allowed = tuple(sorted(word for words in of.values() for word in words))
            flank = ANYWHERE if language in self.unspaced else flank
        try:
            found = Path(path).stat()
        except OSError as error:
            raise ConfigError(f"bad_words: {path}: {error.strerror}; wanted {_ORIGIN}") from None
        return _prepare(path, language, allowed, flank, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=64)
def _prepare(path: str, language: str, allowed: tuple[str, ...], flank: int, _mtime_ns: int, _size: int) -> Phrases:
    """The list of a file, read once in a process and state of the file."""
    entries = (word for word in read_list(path, language) if word not in allowed)
    words = tuple(dict.fromkeys(map(lower, entries)))
    machine = build_machine({word.encode(): 1 for word in words}, ascii_case=True)
    free = [flank == WHITE_SPACE and " " in word for word in words]
    chars = np.array([len(word) for word in words], dtype=np.int64)
    return Phrases(words, machine, chars, np.where(free, ANYWHERE, flank).astype(np.int64))
