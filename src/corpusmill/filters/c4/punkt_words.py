"""What Punkt knows of words: read from a folder in NLTK's format, or the little that is here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.errors import ConfigError
from corpusmill.folding import DOT_ABOVE, DOTTED_I, lower, lower_codes
from corpusmill.scan import Bytes, finish_hash
from corpusmill.unicode import decode

ABBREVIATION, STARTER, COLLOCATION = 1, 2, 4
UPPER_INSIDE, UPPER_EVER, LOWER_FIRST, LOWER_EVER = 8, 16, 32, 64
PAIRED = 128
"""The first word of some pair."""

FILES = ("abbrev_types.txt", "sent_starters.txt", "collocations.tab", "ortho_context.tab")
"""Of a model folder: words, words, pairs of words, words with a number made of the bits below."""
_INSIDE_UPPER, _ANY_UPPER, _FIRST_LOWER, _ANY_LOWER = 4, 2 | 4 | 8, 16, 16 | 32 | 64

_ABBREVIATIONS = """
mr mrs ms messrs dr prof sen rep reps gen col lt maj adm jr sr st ft ave dept inc ltd co corp bros cie vs
jan feb aug sept sep oct nov dec tues wed fri u.s u.k u.n u.s.a u.s.s.r d.c n.y l.a ph.d m.b.a a.m p.m
ala ariz calif colo conn fla ga ill kan ky mass mich minn nev okla ore pa tenn va vt wash wis
n.c s.c n.d n.j n.m n.h n.v w.va s.a b.v s.p.a a b c d e f g h k l m n p r s t v w
"""
_STARTERS = """
the a an this that these those it he she we they i you there here in on at by for from to of with as if when while
where what who why how although though because since so but and or yet nor however moreover meanwhile instead indeed
thus therefore then now also still even both some many most all no not only another other such each every after before
during until according despite under over between among his her its our your their my is are was were do does did can
could will would should may might once note see use yes well
"""

ABBREVIATIONS = tuple(_ABBREVIATIONS.split())
"""Without the last full stop. `e.g` and `i.e` are not among them: newspapers, and so NLTK's model, know them not."""

STARTERS = tuple(_STARTERS.split())
"""Common words that are seldom written with a capital inside a sentence."""


class Words(NamedTuple):
    """Flags of words by the hash of their lower case, in a table of open addressing.

    keys   uint64[slots], a power of two; 0 is empty
    flags  uint8[slots], as named above
    """

    keys: npt.NDArray[np.uint64]
    flags: npt.NDArray[np.uint8]


@njit(cache=True, nogil=True)
def hash_lower(data, i, stop, lower_table):  # type: ignore[no-untyped-def]
    """uint64 hash of the bytes from `i` to `stop` in lower case, never 0."""
    h = np.uint64(0xCBF29CE484222325)
    while i < stop:
        code = np.int64(data[i])
        k = 1
        if code >= 0x80:
            code, k = decode(data, i, stop)
        h = _hash_code(h, np.int64(lower_table[code]))
        if code == DOTTED_I:
            h = _hash_code(h, DOT_ABOVE)
        i += k
    return finish_hash(h) | np.uint64(1)


@njit(cache=True, nogil=True)
def _hash_code(h, code):  # type: ignore[no-untyped-def]
    return (h ^ np.uint64(code)) * np.uint64(0x100000001B3)


@njit(cache=True, nogil=True)
def join_hashes(first, second):  # type: ignore[no-untyped-def]
    """The key of a pair of words."""
    return finish_hash(first * np.uint64(0x9FB21C651E98DF25) ^ second) | np.uint64(1)


@njit(cache=True, nogil=True)
def find_flags(words, key):  # type: ignore[no-untyped-def]
    """The flags of a hash, 0 for one that is not known."""
    keys, flags = words
    slot = np.int64(key >> np.uint64(1)) & (len(keys) - 1)
    while keys[slot] != 0:
        if keys[slot] == key:
            return np.int64(flags[slot])
        slot = (slot + 1) & (len(keys) - 1)
    return np.int64(0)


def _hash(word: str) -> np.uint64:
    small = lower(word).encode()
    data: Bytes = np.frombuffer(small, dtype=np.uint8)
    return np.uint64(hash_lower(data, 0, len(data), _ASCII if small.isascii() else lower_codes()))


_ASCII = np.arange(128, dtype=np.int32)  # stands for `lower_codes`, a table that takes long to make, in small letters
_ASCII.setflags(write=False)
NUMBER = _hash("##number##")
"""Stands for every number."""


def build_words(flags: Mapping[str, int], pairs: Iterable[tuple[str, str]] = ()) -> Words:
    """The table of `flags`, and of `pairs` of words between which no sentence ends."""
    known: dict[int, int] = {}
    named = [(_hash(word), flag) for word, flag in flags.items()]
    for first, second in pairs:
        named += [(_hash(first), PAIRED), (join_hashes(_hash(first), _hash(second)), COLLOCATION)]
    for key, flag in named:
        known[int(key)] = known.get(int(key), 0) | flag
    slots = 1 << (2 * len(known)).bit_length()
    keys, values = np.zeros(slots, dtype=np.uint64), np.zeros(slots, dtype=np.uint8)
    for number, flag in known.items():
        slot = number >> 1 & (slots - 1)
        while keys[slot]:
            slot = (slot + 1) & (slots - 1)
        keys[slot], values[slot] = number, flag
    return Words(keys, values)


@cache
def own_words() -> Words:
    """Of the words above: a capital within a sentence is never seen, a small letter at its start never either."""
    flags = dict.fromkeys(STARTERS, STARTER | LOWER_EVER | UPPER_EVER)
    for word in ABBREVIATIONS:
        flags[word] = flags.get(word, 0) | ABBREVIATION
    return build_words(flags)


def model_files(folder: str) -> tuple[str, ...]:
    """Paths of a model's files. Raises ConfigError when one is missing."""
    paths = [Path(folder) / name for name in FILES]
    for path in paths:
        if not path.is_file():
            raise ConfigError(
                f"{folder}: no file {path.name}; wanted a folder such as punkt_tab/english, which NLTK's data has "
                f"(nltk.org/data.html, package punkt_tab), with {', '.join(FILES)}"
            )
    return tuple(map(str, paths))


def read_words(folder: str) -> Words:
    """The model in `folder`, read once in a process and state of its files.

    Raises ConfigError when a file is missing or can't be read.
    """
    paths = model_files(folder)
    found = [Path(path).stat() for path in paths]
    return _read_words(paths, tuple((each.st_mtime_ns, each.st_size) for each in found))


@lru_cache(maxsize=8)
def _read_words(paths: tuple[str, ...], _states: tuple[tuple[int, int], ...]) -> Words:
    abbreviations, starters, pairs, contexts = map(_rows, paths)
    flags: dict[str, int] = {}
    for rows, flag in ((abbreviations, ABBREVIATION), (starters, STARTER)):
        for word in rows:
            flags[word[0]] = flags.get(word[0], 0) | flag
    for row in contexts:
        if len(row) != 2 or not row[1].isdecimal():
            raise ConfigError(f"{paths[3]}: got {row!r}; wanted a word, a tab and a number")
        flags[row[0]] = flags.get(row[0], 0) | _context_flags(int(row[1]))
    return build_words(flags, [(row[0], row[-1]) for row in pairs])


def _rows(path: str) -> list[list[str]]:
    lines = Path(path).read_text(encoding="utf-8").split("\n")
    return [line.split("\t") for line in lines if line]


def _context_flags(bits: int) -> int:
    flags = 0
    for mask, flag in (
        (_INSIDE_UPPER, UPPER_INSIDE),
        (_ANY_UPPER, UPPER_EVER),
        (_FIRST_LOWER, LOWER_FIRST),
        (_ANY_LOWER, LOWER_EVER),
    ):
        flags |= flag if bits & mask else 0
    return flags
