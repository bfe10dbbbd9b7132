"""Lists of domains, hosts, URLs and words by path, and the kernels that look for their entries in URLs.

A list has one entry a line; blank lines and lines that begin with `#` are no entries, and a name that ends with `.gz`
is unpacked. Lists of domains and URLs may have millions of entries: they are kept as sorted 64-bit hashes, so a URL of
no list is taken for one with a probability of entries / 2^64.
"""

from __future__ import annotations

import glob
import gzip
import os
import zlib
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import regex
from numba import njit

from corpusmill import storage, urls
from corpusmill.errors import ConfigError, CorpusmillError
from corpusmill.filters.automaton import Machine, build_machine
from corpusmill.scan import hash_span
from corpusmill.text import Texts
from corpusmill.unicode import LETTER, NUMERIC, char_before, decode

WHERE_FROM = (
    "such lists are the UT1 blacklists of Université Toulouse Capitole (dsi.ut-capitole.fr/blacklists, folders with "
    "`domains` and `urls`), those in the assets of datatrove's wheel, and DCLM's words of RefinedWeb "
    "(github.com/mlfoundations/dclm, baselines/mappers/banlists)"
)

File = tuple[str, int, int]
"""Path, time of the last change in ns and bytes: a list that was written again is another file."""
Hashes = npt.NDArray[np.uint64]

EXACT, SUFFIXES, DATATROVE_SUFFIXES = range(3)
ANYWHERE, ASCII_WORDS, PYTHON_WORDS, PLAIN_WORDS = range(4)

MAX_HOST_BYTES = 253
"""RFC 1035: no name is longer, so no longer end of a host is looked up."""


class Patterns(NamedTuple):
    """The automaton of the entries of lists of words, and how many bytes each has, int64[patterns]."""

    machine: Machine
    lengths: npt.NDArray[np.int64]


def expand(key: str, paths: tuple[str, ...]) -> tuple[File, ...]:
    """The files that `paths` name; local ones may have `*`, `?` and `[]`. Raises ConfigError where one names none."""
    found: list[File] = []
    for path in paths:
        local = storage.is_local(path)
        names = sorted(glob.glob(path)) if local and glob.has_magic(path) else [path]
        files = [file for name in names if (file := _local(name) if local else _remote(name))]
        if not files or len(files) < len(names):
            raise ConfigError(f"url: {key} = {path!r}: there is no such file; {WHERE_FROM}")
        found += files
    return tuple(found)


def _local(path: str) -> File | None:
    if not os.path.isfile(path):
        return None
    found = os.stat(path)
    return path, found.st_mtime_ns, found.st_size


@cache
def _remote(path: str) -> File | None:
    """Asked once in a process, for every batch would wait for an answer."""
    size = storage.size(path)
    return None if size is None else (path, 0, size)


def entries(path: str) -> pa.LargeStringArray:
    """The entries of a list, stripped. Raises ConfigError for one that can't be read."""
    try:
        with storage.open_input(path) as file:
            raw = bytes(file.read())
        text = (gzip.decompress(raw) if path.endswith(".gz") else raw).decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error, CorpusmillError) as error:
        raise ConfigError(f"url: the list {path} can't be read: {error}") from error
    texts = Texts.from_strings([text.removeprefix("\ufeff")])
    lines = texts.cut(texts.lines.start.astype(np.int64), texts.lines.stop.astype(np.int64))
    return lines.filter(pc.invert(pc.starts_with(lines, "#")))


def domain_keys(names: pa.Array, dialect: str) -> pa.Array:
    """What of hosts and of entries of lists is compared."""
    if dialect == "datatrove":
        return names
    if dialect == "dclm":  # takes every `www` out, not only the one in front, and leaves the full stop behind it
        return pc.replace_substring(pc.utf8_lower(names), "www", "")
    return pc.utf8_ltrim(pc.utf8_lower(names), "w." if dialect == "dolma" else ".")


def _domain_entries(lines: pa.Array, dialect: str) -> pa.Array:
    """Names; but for datatrove and DCLM lines of hosts files (`0.0.0.0 name`) and Adblock's `||name^` have one too."""
    if dialect == "datatrove":
        return lines
    if dialect == "dclm":
        return pc.utf8_lower(lines)
    more = pc.match_substring_regex(lines, r"[^\w.-]")
    name = r"^(?:(?:\d[\d.]*|[0-9a-fA-F]*:[0-9a-fA-F:]*)\s+|\|\||\*\.)?([^\s^#/!;]*).*$"
    names = pc.replace_substring_regex(lines.filter(more), name, r"\1")
    return pc.utf8_rtrim(domain_keys(pc.replace_with_mask(lines, more, names), dialect), ".")


def url_keys(lines: pa.Array, dialect: str) -> pa.Array:
    """What of URLs and of entries of lists is compared."""
    if dialect == "datatrove":
        return lines
    if dialect == "dolma":
        return urls.normalise(lines, "dolma")
    scheme = pc.if_else(pc.match_substring(lines, "://"), "", "http://").cast(lines.type)
    schemed = pc.binary_join_element_wise(scheme, lines, pa.scalar("", lines.type))
    plain = pc.replace_substring_regex(urls.normalise(schemed), r"^[a-z0-9+.-]*://(www\.)?", "")
    return pc.utf8_rtrim(plain, "/")


@lru_cache(maxsize=32)
def domains(files: tuple[File, ...], dialect: str) -> Hashes:
    """The hashes of the domains in all lists, sorted."""
    return _hash_lists(files, lambda lines: _domain_entries(lines, dialect))


@lru_cache(maxsize=32)
def exact_urls(files: tuple[File, ...], dialect: str) -> Hashes:
    """The hashes of the URLs in all lists, sorted."""
    return _hash_lists(files, lambda lines: url_keys(lines, dialect))


def _hash_lists(files: tuple[File, ...], keys: Callable[[pa.Array], pa.Array]) -> Hashes:
    found = [keys(entries(path)) for path, _, _ in files]
    return np.sort(np.concatenate([hash_strings(lines.filter(pc.not_equal(lines, ""))) for lines in found]))


@lru_cache(maxsize=32)
def words(files: tuple[File, ...], kind: str, dialect: str) -> Patterns:
    """All entries of the lists of `kind` (hard_words, soft_words, substrings)."""
    found = pa.chunked_array([entries(path) for path, _, _ in files], pa.large_string()).combine_chunks()
    found = pc.utf8_lower(found)
    if dialect == "datatrove":
        found = pc.replace_substring_regex(found, "[^a-z0-9]+", "")
    elif dialect != "dclm" and kind == "substrings":
        found = pc.replace_substring_regex(found, r"[-.\s]+", "")
    return build_patterns(sorted({text.encode() for text in found.to_pylist() if text}))


def build_patterns(patterns: Sequence[bytes]) -> Patterns:
    """What `find_words` looks for, none of it empty."""
    return Patterns(build_machine(dict.fromkeys(patterns, 1)), np.array([*map(len, patterns)], dtype=np.int64))


def skipped(kind: str, dialect: str) -> npt.NDArray[np.uint8]:
    """For each byte whether it is looked through: what RefinedWeb's `substrings` ignore, against simple disguises."""
    skip = np.zeros(256, dtype=np.uint8)
    if kind == "substrings":
        plain = regex.compile(rb"[a-zA-Z0-9]" if dialect == "datatrove" else rb"[^-.]")
        skip[[c for c in range(256) if not plain.match(bytes([c]))]] = 1
    return skip


def hash_strings(strings: pa.Array) -> Hashes:
    """uint64[n], the hash of each string."""
    texts = Texts.from_arrow(strings)
    return _hash_texts(texts.data, texts.offsets)


@njit(cache=True, nogil=True)
def _hash_texts(data, offsets):  # type: ignore[no-untyped-def]
    hashes = np.empty(len(offsets) - 1, dtype=np.uint64)
    for d in range(len(hashes)):
        hashes[d], _ = hash_span(data, offsets[d], offsets[d + 1])
    return hashes


@njit(cache=True, nogil=True)
def contains(hashes, key):  # type: ignore[no-untyped-def]
    """Whether the sorted `hashes` have `key`."""
    i = np.searchsorted(hashes, key)
    return i < len(hashes) and hashes[i] == key


@njit(cache=True, nogil=True)
def find_all(hashes, keys):  # type: ignore[no-untyped-def]
    """bool[n]: which of `keys` the sorted `hashes` have."""
    found = np.zeros(len(keys), dtype=np.bool_)
    for d in range(len(keys)):
        found[d] = contains(hashes, keys[d])
    return found


@njit(cache=True, nogil=True)
def find_domains(data, offsets, hashes, mode):  # type: ignore[no-untyped-def]
    """start, stop int64[n]: the longest end of each host that is listed, whole or from a full stop on; start -1."""
    start, stop = np.full(len(offsets) - 1, -1, dtype=np.int64), offsets[1:].copy()
    for d in range(len(start)):
        begin, end = offsets[d], offsets[d + 1]
        if begin == end:
            continue
        last = _label_before(data, begin, end)
        address = data[begin] == 0x5B or _is_number(data, last, end)
        if mode == DATATROVE_SUFFIXES and (address or last == begin):
            continue
        second = _label_before(data, begin, last - 1)
        third = _label_before(data, begin, second - 1) if end - last == 2 and last - second <= 4 else second
        i = begin
        while i < end:
            tried = mode != DATATROVE_SUFFIXES or i in (begin, second, third)
            if tried and (end - i <= MAX_HOST_BYTES or mode == EXACT):
                key, _ = hash_span(data, i, end)
                if contains(hashes, key):
                    start[d] = i
                    break
            if mode == EXACT or address:
                break
            while i < end and data[i] != 0x2E:
                i += 1
            i += 1
    return start, stop


@njit(cache=True, nogil=True)
def _label_before(data, begin, i):  # type: ignore[no-untyped-def]
    """Where the label that ends at `i` begins."""
    while i > begin and data[i - 1] != 0x2E:
        i -= 1
    return max(i, begin)


@njit(cache=True, nogil=True)
def _is_number(data, i, end):  # type: ignore[no-untyped-def]
    number = i < end
    for k in range(i, end):
        number = number and 0x30 <= data[k] <= 0x39
    return number


@njit(cache=True, nogil=True)
def find_words(data, offsets, patterns, skip, mode, classes):  # type: ignore[no-untyped-def]
    """start, stop, count int64[n]: the first pattern found in each URL (start -1 for none), how many different ones."""
    (columns, following, ends, shorter, shift), lengths = patterns
    n = len(offsets) - 1
    start, stop, count = np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    seen = np.full(len(lengths), -1, dtype=np.int64)
    for d in range(n):
        begin, end = offsets[d], offsets[d + 1]
        state = np.int64(0)
        for i in range(begin, end):
            if skip[data[i]]:
                continue
            state = np.int64(following[(state << shift) + columns[data[i]]]) >> shift
            found = state if ends[state] >= 0 else np.int64(shorter[state])
            while found:
                p = ends[found]
                if seen[p] != d:
                    a = _walk_back(data, i, lengths[p], skip)
                    if mode == ANYWHERE or _is_whole(data, begin, end, a, i + 1, mode, classes):
                        seen[p] = d
                        count[d] += 1
                        if start[d] < 0:
                            start[d], stop[d] = a, i + 1
                found = np.int64(shorter[found])
    return start, stop, count


@njit(cache=True, nogil=True)
def _walk_back(data, i, length, skip):  # type: ignore[no-untyped-def]
    """Where the `length` bytes that are not skipped and end with the one at `i` begin."""
    while True:
        length -= skip[data[i]] == 0
        if length == 0:
            return i
        i -= 1


@njit(cache=True, nogil=True)
def _is_whole(data, begin, end, a, b, mode, classes):  # type: ignore[no-untyped-def]
    """Whether a word begins or ends both at `a` and at `b`."""
    before = a > begin and is_word(data, char_before(data, begin, a), end, mode, classes)
    if before == is_word(data, a, end, mode, classes):
        return False
    after = b < end and is_word(data, b, end, mode, classes)
    return after != is_word(data, char_before(data, begin, b), end, mode, classes)


@njit(cache=True, nogil=True)
def is_word(data, i, end, mode, classes):  # type: ignore[no-untyped-def]
    """Whether the character at `i` is part of words: ASCII's, Python's `\\w`, or letters and numbers without `_`."""
    code, _ = decode(data, i, end)
    if mode == ASCII_WORDS and code >= 0x80:
        return False
    return classes[code] & (LETTER | NUMERIC) != 0 or (mode == PYTHON_WORDS and code == 0x5F)
