"""`strip_urls`: URLs and addresses taken out of the text, as DCLM has it before its filters (url_removal_modifier)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from corpusmill.errors import ConfigError
from corpusmill.filters.pages.top_level_domains import TOP_LEVEL_DOMAINS
from corpusmill.filters.pages.url_lists import PYTHON_WORDS, contains, hash_strings, is_word
from corpusmill.filters.thresholds import check_numbers, rules_of
from corpusmill.rules import Rule
from corpusmill.scan import copy_bytes, hash_span, space_length
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts
from corpusmill.unicode import char_before, char_classes, decode

Dialect = Literal["dclm", "fixed"]

MAX_NAME_BYTES = 256
"""The longest host, with user and port, that the original looks at."""
MAX_SPACES = 10
"""White space before a URL goes with it, up to this many characters."""

_LONGEST = max(len(name) for name in TOP_LEVEL_DOMAINS)
_LONGEST_BYTES = max(len(name.encode()) for name in TOP_LEVEL_DOMAINS)

URLS, ADDRESSES = range(2)
_NAME, _TAIL = np.uint8(1), np.uint8(2)


def _byte_kinds() -> npt.NDArray[np.uint8]:
    """For each byte: whether it may be in the host of a URL, and whether in what comes behind."""
    kinds = np.zeros(256, dtype=np.uint8)
    kinds[[c for c in range(128) if chr(c).isalnum()]] = _NAME | _TAIL
    kinds[list(b"-@:%._+~#=")] = _NAME | _TAIL
    kinds[list(b"()?&/")] = _TAIL
    return kinds


_KINDS = _byte_kinds()


@cache
def _domains() -> npt.NDArray[np.uint64]:
    return np.sort(hash_strings(pa.array(TOP_LEVEL_DOMAINS, pa.large_string())))


@register("strip_urls", version=1)
@dataclass(frozen=True)
class StripUrls(Filter):
    """Take URLs and IPv4 addresses out of the text, with up to ten white spaces before them.

    A URL is up to 256 of `-a-zA-Z0-9@:%._+~#=`, a full stop and a top-level domain in lower case, `http://`, `https://`
    or `ftp://` before it or not, and all of `-a-zA-Z0-9()@:%_+.~#?&/=` behind. An address is four numbers up to 299
    with full stops between them, and the same before and behind. Signals: `urls_removed`, `addresses_removed`,
    `chars_removed`, and `chars`, the code points left; a page with fewer than `min_chars` is dropped.

    `dialect` "dclm" is mlfoundations/dclm at 361714b: its first look whether there is any top-level domain in the page
    only looks at the page's very beginning, so URLs go only from pages that begin with the letters of one in any case
    ("The", "In", "Company", not "What"). Addresses go everywhere. "fixed" takes the URLs of every page.
    """

    dialect: Dialect = "dclm"
    min_chars: int | None = 1

    def __post_init__(self) -> None:
        """Raise ConfigError for an option out of range."""
        if self.dialect not in get_args(Dialect):
            raise ConfigError(f"strip_urls: dialect = {self.dialect!r}; wanted one of {', '.join(get_args(Dialect))}")
        check_numbers(self)

    def signals(self) -> Mapping[str, pa.DataType]:
        """Four counts."""
        names = ("urls_removed", "addresses_removed", "chars_removed", "chars")
        return {f"strip_urls.{name}": pa.int64() for name in names}

    def rules(self) -> tuple[Rule, ...]:
        """The one bound."""
        return rules_of(self, [("min_chars", "chars", ">=")])

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """URLs first, then addresses in what is left."""
        every = np.ones(len(texts), dtype=np.bool_)
        without, urls = _strip(texts, _begin_with_domain(texts) if self.dialect == "dclm" else every, URLS)
        after, addresses = _strip(without, every, ADDRESSES)
        values = (urls, addresses, texts.chars - after.chars, after.chars)
        return Measured(dict(zip(self.signals(), values, strict=True)), after)


def _begin_with_domain(texts: Texts) -> npt.NDArray[np.bool_]:
    """bool[n]: which texts begin with the letters of a top-level domain, in any case."""
    heads = pc.utf8_slice_codeunits(texts.to_arrow(), 0, _LONGEST)
    for letter, same in (("\u0130", "i"), ("\u0131", "i"), ("\u017f", "s")):  # to Python's IGNORECASE
        heads = pc.replace_substring(heads, letter, same)
    lowered = Texts.from_arrow(pc.utf8_lower(heads))
    found: npt.NDArray[np.bool_] = _find_heads(lowered.data, lowered.offsets, _domains())
    return found


def _strip(texts: Texts, wanted: npt.NDArray[np.bool_], kind: int) -> tuple[Texts, npt.NDArray[np.int64]]:
    """The texts without what is of `kind` where `wanted` bool[n], and how many went from each, int64[n]."""
    out = np.empty(int(texts.offsets[-1] - texts.offsets[0]), dtype=np.uint8)
    offsets = np.zeros(len(texts) + 1, dtype=np.int64)
    counts = _write(texts.data, texts.offsets, wanted, kind, _domains(), char_classes(), out, offsets)
    return Texts(out[: offsets[-1]], offsets), counts


@njit(cache=True, nogil=True)
def _find_heads(data, offsets, domains):  # type: ignore[no-untyped-def]
    found = np.zeros(len(offsets) - 1, dtype=np.bool_)
    for d in range(len(found)):
        i = offsets[d]
        while i < offsets[d + 1] and not found[d]:
            i += decode(data, i, offsets[d + 1])[1]
            found[d] = contains(domains, hash_span(data, offsets[d], i)[0])
    return found


@njit(cache=True, nogil=True)
def _write(data, offsets, wanted, kind, domains, classes, out, new_offsets):  # type: ignore[no-untyped-def]
    counts = np.zeros(len(offsets) - 1, dtype=np.int64)
    w = 0
    for d in range(len(counts)):
        free = dot = offsets[d]  # behind what was taken out last; the next full stop
        end = offsets[d + 1]
        while wanted[d] and dot < end:
            if data[dot] == 0x2E:
                if kind == URLS:
                    start, stop = _url_around(data, free, dot, end, domains, classes)
                else:
                    start, stop = _address_around(data, offsets[d], free, dot, end, classes)
                if start >= 0:
                    w = copy_bytes(data, free, _skip_back(data, free, start), out, w)
                    counts[d] += 1
                    free = dot = stop
                    continue
            dot += 1
        w = copy_bytes(data, free, end, out, w)
        new_offsets[d + 1] = w
    return counts


@njit(cache=True, nogil=True)
def _url_around(data, free, dot, end, domains, classes):  # type: ignore[no-untyped-def]
    """Where the URL begins and ends whose first top-level domain is behind `dot`, -1, -1 where none is."""
    stop = _domain_end(data, dot + 1, end, domains, classes)
    start = dot
    while stop >= 0 and start > free and dot - start < MAX_NAME_BYTES and _KINDS[data[start - 1]] & _NAME:
        start -= 1
    if start == dot:
        return -1, -1
    i = dot + 1
    while i < end and i - start <= MAX_NAME_BYTES and _KINDS[data[i]] & _NAME:
        if data[i] == 0x2E:
            stop = max(stop, _domain_end(data, i + 1, end, domains, classes))
        i += 1
    return _scheme_start(data, free, start), _tail_end(data, stop, end)


@njit(cache=True, nogil=True)
def _address_around(data, begin, free, dot, end, classes):  # type: ignore[no-untyped-def]
    """Where the address begins and ends whose first number is before `dot`, -1, -1 where none is."""
    start = dot
    while start > free and dot - start < 3 and 0x30 <= data[start - 1] <= 0x39:
        start -= 1
    if not (_is_address(data, start, end) and _at_word(data, begin, start, end, classes)):
        return -1, -1
    scheme = _scheme_start(data, free, start)
    return scheme if _at_word(data, begin, scheme, end, classes) else start, _tail_end(data, start, end)


@njit(cache=True, nogil=True)
def _domain_end(data, i, end, domains, classes):  # type: ignore[no-untyped-def]
    """Where the longest top-level domain at `i` that ends where a word begins or ends does so, -1 where none is."""
    longest = -1
    j = i
    while j < end and j - i < _LONGEST_BYTES and (data[j] >= 0x80 or 0x61 <= data[j] <= 0x7A):
        word = is_word(data, j, end, PYTHON_WORDS, classes)
        j += decode(data, j, end)[1]
        ends = word != (j < end and is_word(data, j, end, PYTHON_WORDS, classes))
        if ends and contains(domains, hash_span(data, i, j)[0]):
            longest = j
    return longest


@njit(cache=True, nogil=True)
def _tail_end(data, i, end):  # type: ignore[no-untyped-def]
    while i < end and _KINDS[data[i]] & _TAIL:
        i += 1
    return i


@njit(cache=True, nogil=True)
def _scheme_start(data, begin, i):  # type: ignore[no-untyped-def]
    """Where the `http://`, `https://` or `ftp://` before `i` begins, `i` where there is none."""
    if i - begin < 6 or data[i - 1] != 0x2F or data[i - 2] != 0x2F or data[i - 3] != 0x3A:
        return i
    for scheme in (b"https", b"http", b"ftp"):
        start = i - 3 - len(scheme)
        same = start >= begin
        for k in range(len(scheme)):
            same = same and data[start + k] == scheme[k]
        if same:
            return start
    return i


@njit(cache=True, nogil=True)
def _skip_back(data, begin, i):  # type: ignore[no-untyped-def]
    """Where the white space before `i` begins, at most MAX_SPACES of it."""
    for _ in range(MAX_SPACES):
        if i == begin:
            break
        before = char_before(data, begin, i)
        if space_length(data, before, i) != i - before:
            break
        i = before
    return i


@njit(cache=True, nogil=True)
def _at_word(data, begin, i, end, classes):  # type: ignore[no-untyped-def]
    """Whether the word character at `i` has none before it."""
    return i == begin or not is_word(data, char_before(data, begin, i), end, PYTHON_WORDS, classes)


@njit(cache=True, nogil=True)
def _is_address(data, i, end):  # type: ignore[no-untyped-def]
    """Whether three numbers up to 299, each with a full stop behind it, and a digit are at `i`."""
    for _ in range(3):
        start = i
        while i < end and 0x30 <= data[i] <= 0x39:
            i += 1
        digits = i - start
        if digits == 0 or digits > 3 or (digits == 3 and data[start] > 0x32) or i >= end or data[i] != 0x2E:
            return False
        i += 1
    return i < end and 0x30 <= data[i] <= 0x39
