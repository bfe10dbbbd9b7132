"""`pii`: replace e-mail addresses and public IP addresses by addresses that belong to nobody.

One pass and linear time: every address is found from a byte that it must contain (`@`, the first `.` or the first
`:`), by looking a bounded way back and reading on. Addresses are taken from left to right, and a look back never
crosses the end of the one before. Addresses that belong to nobody are read like others and passed over, so a scrubbed
text parses as the original did, and scrubbing it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpusmill.errors import ConfigError
from corpusmill.filters.pii.pii_bytes import ANCHOR, CLASS
from corpusmill.filters.pii.pii_email import email
from corpusmill.filters.pii.pii_ip import ipv4, ipv6
from corpusmill.options import build
from corpusmill.rules import Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts

TYPES = ("email", "ip")
KINDS = ("email", "ipv4", "ipv6")
_EMAIL, _IPV4, _IPV6 = 0, 1, 2
_SHORTEST_BYTES = 6
"""Of an address: a@b.cd, 2a00::."""
_GLUE = "letters, digits or any of _.:@%+-'~"


@dataclass(frozen=True)
class Found:
    """The addresses of a batch of n texts, in order. Text d has the spans first[d] to first[d + 1].

    start, stop  int32[m], bytes into Texts.data
    kind         int8[m], position in `KINDS`
    first        int64[n + 1]
    """

    start: npt.NDArray[np.int32]
    stop: npt.NDArray[np.int32]
    kind: npt.NDArray[np.int8]
    first: npt.NDArray[np.int64]

    def counts(self, kind: str) -> npt.NDArray[np.int32]:
        """int32[n], addresses of one kind in each text."""
        before = np.concatenate([[0], np.cumsum(self.kind == KINDS.index(kind))])
        return np.diff(before[self.first]).astype(np.int32)


@register("pii", version=1)
@dataclass(frozen=True)
class Pii(Filter):
    """Replace personal addresses; keeps every document unless `max_matches` is set.

    types              what to look for: "email", "ip"
    *_replacement      what stands for an address. The defaults are reserved for documentation: RFC 2606 §3, RFC 5737,
                       RFC 3849 (in eight groups, because a `::` would swallow a group behind it). Another one must be
                       such an address too, or begin and end with a character that is in no address, as in "<EMAIL>"
    max_matches        drop a document with more addresses than this (Dolma: 5); None = off

    Addresses of those ranges, private, local, multicast and reserved IP addresses, and version numbers are no personal
    data and stay as they are.
    """

    types: tuple[str, ...] = TYPES
    email_replacement: str = "email@example.com"
    ipv4_replacement: str = "192.0.2.1"
    ipv6_replacement: str = "2001:db8:0:0:0:0:0:1"
    max_matches: int | None = None

    def __post_init__(self) -> None:
        """Raises ConfigError on a value out of range."""
        if not self.types or not set(self.types) <= set(TYPES):
            raise ConfigError(f"pii: types must be one or more of {', '.join(TYPES)}, got {self.types!r}")
        if self.max_matches is not None and self.max_matches < 0:
            raise ConfigError(f"pii: max_matches must not be negative, got {self.max_matches}")
        for position, kind in enumerate(KINDS):
            _check_replacement(kind, position, self._replacements()[position])

    def signals(self) -> Mapping[str, pa.DataType]:
        """Addresses replaced in a document, by kind and together."""
        return {f"pii.{name}": pa.int32() for name in ("emails", "ipv4", "ipv6", "matches")}

    def rules(self) -> tuple[Rule, ...]:
        """None, or the one bound."""
        return () if self.max_matches is None else (Rule("pii.max_matches", "pii.matches", "<=", self.max_matches),)

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """Find the addresses of the batch and copy the texts without them; no copy where there are none."""
        found = find(texts, self.types)
        emails, v4, v6 = (found.counts(kind) for kind in KINDS)
        counts = {"pii.emails": emails, "pii.ipv4": v4, "pii.ipv6": v6, "pii.matches": emails + v4 + v6}
        return Measured(counts, self._edit(texts, found) if len(found.start) else texts)

    def _replacements(self) -> tuple[str, str, str]:
        return self.email_replacement, self.ipv4_replacement, self.ipv6_replacement

    def _edit(self, texts: Texts, found: Found) -> Texts:
        words = Texts.from_strings(self._replacements())
        grown = int(words.bytes[found.kind].sum()) - int((found.stop - found.start).sum())
        out = np.empty(int(texts.bytes.sum()) + grown, dtype=np.uint8)
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        spans = (found.start, found.stop, found.kind, found.first)
        _replace(texts.data, texts.offsets, *spans, words.data, words.offsets, out, offsets)
        return Texts(out, offsets)


def find(texts: Texts, types: tuple[str, ...] = TYPES) -> Found:
    """The addresses in a batch of texts."""
    most = int(texts.offsets[-1] - texts.offsets[0]) // _SHORTEST_BYTES + 1
    start, stop = (np.empty(most, dtype=np.int32) for _ in range(2))
    kind = np.empty(most, dtype=np.int8)
    first = np.zeros(len(texts) + 1, dtype=np.int64)
    m = _scan(texts.data, texts.offsets, "email" in types, "ip" in types, start, stop, kind, first)
    return Found(start[:m], stop[:m], kind[:m], first)


def scrub(text: str, **params: Any) -> tuple[str, list[tuple[int, int, str]]]:
    """The text without personal addresses, and where they were: (start, end, kind) in code points of `text`.

    `kind` is "email", "ipv4" or "ipv6"; `params` are the options of the step `pii`. Raises ConfigError for a bad one.
    """
    step = build(Pii, params)
    texts = Texts.from_strings([text])
    found = find(texts, step.types)
    chars = np.concatenate([[0], np.cumsum((texts.data[: texts.offsets[-1]] & 0xC0) != 0x80)])
    spans = [
        (int(chars[start]), int(chars[stop]), KINDS[kind])
        for start, stop, kind in zip(found.start, found.stop, found.kind, strict=True)
    ]
    replacements = dict(zip(KINDS, step._replacements(), strict=True))
    clean, done = [], 0
    for start, stop, name in spans:
        clean += [text[done:start], replacements[name]]
        done = stop
    return "".join([*clean, text[done:]]), spans


def _check_replacement(kind: str, position: int, text: str) -> None:
    """Raises ConfigError for a replacement that would be found again, alone or together with its neighbours."""
    problem = None
    texts = Texts.from_strings([text])
    if len(find(texts).start):
        problem = "is found as personal data itself"
    elif not text or any(c.isalnum() or c in "_.:@%+-'~" for c in (text[0], text[-1])):
        read = _read_whole(texts.data, len(text.encode()), position)
        read = read and "::" not in text
        problem = None if read else f"begins or ends with {_GLUE} and is not a reserved address"
    if problem:
        raise ConfigError(
            f"pii: {kind}_replacement {text!r} {problem}, so scrubbing would not be repeatable; "
            f"use something like '<{kind.upper()}>', or a reserved address such as "
            f"{('email@example.com', '192.0.2.1', '2001:db8:0:0:0:0:0:1')[position]!r}"
        )


@njit(cache=True, nogil=True)
def _scan(data, offsets, emails, addresses, start, stop, kind, first):  # type: ignore[no-untyped-def]
    """Spans (bytes into `data`) and kinds of the addresses of every document, in order; returns how many.

    Document d has the spans first[d] to first[d + 1]. `emails` and `addresses` say what to look for.
    """
    m = 0
    for d in range(len(offsets) - 1):
        i = low = offsets[d]
        end = offsets[d + 1]
        mail, mail_stop, mail_public = low, -1, False
        while i < end:
            c = data[i]
            if not CLASS[c] & ANCHOR:
                i += 1
                continue
            a, b, k, public, after = i, 0, _EMAIL, False, i + 1
            if c == 64:
                if emails:
                    a, b, public, run = email(data, i, low, end)
                    if b and run == mail_stop:
                        # Nothing parts it from the address before, so the two are one span: a@b.com_c@d.com.
                        a = mail
                        m -= mail_public
                        public |= mail_public
                    if b:
                        mail, mail_stop, mail_public = a, b, public
            elif addresses and c == 46:
                k = _IPV4
                a, b, public = ipv4(data, i, low, end)
            elif addresses:
                k = _IPV6
                a, b, public, after = ipv6(data, i, low, end)
            if b:
                if public:
                    start[m], stop[m], kind[m] = a, b, k
                    m += 1
                i = low = b
            else:
                i = after
        first[d + 1] = m
    return m


@njit(cache=True, nogil=True)
def _replace(data, offsets, start, stop, kind, first, words, word_first, out, out_offsets):  # type: ignore[no-untyped-def]
    """Copy the texts into `out` with every span replaced by words[word_first[kind]:word_first[kind + 1]]."""
    o = 0
    for d in range(len(offsets) - 1):
        i = offsets[d]
        for m in range(first[d], first[d + 1]):
            o = _append(data, i, start[m], out, o)
            o = _append(words, word_first[kind[m]], word_first[kind[m] + 1], out, o)
            i = stop[m]
        o = _append(data, i, offsets[d + 1], out, o)
        out_offsets[d + 1] = o


@njit(cache=True, nogil=True)
def _append(data, i, stop, out, o):  # type: ignore[no-untyped-def]
    out[o : o + stop - i] = data[i:stop]
    return o + stop - i


@njit(cache=True, nogil=True)
def _read_whole(data, size, kind):  # type: ignore[no-untyped-def]
    """Whether data[:size] is one address of this kind from end to end, public or not."""
    mark = 64 if kind == _EMAIL else 46 if kind == _IPV4 else 58
    for i in range(size):
        if data[i] == mark:
            if kind == _EMAIL:
                a, b, _, _ = email(data, i, 0, size)
            elif kind == _IPV4:
                a, b, _ = ipv4(data, i, 0, size)
            else:
                a, b, _, _ = ipv6(data, i, 0, size)
            return a == 0 and b == size
    return False
