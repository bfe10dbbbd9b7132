"""`licence`: which licence a source file is under, by what its first lines say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex
from numba import njit

from corpusmill.errors import ConfigError
from corpusmill.filters.distinct import each_distinct
from corpusmill.filters.source_code.code_phrases import phrase_machine, step
from corpusmill.rules import Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts

UNKNOWN = "unknown"

_PHRASES: Mapping[str, tuple[str, ...]] = {
    "agpl": ("gnu affero general public license",),
    "gpl": ("gnu general public license", "gnu gpl", "under the gpl"),
    "lgpl": ("gnu lesser general public license", "gnu library general public license", "gnu lgpl"),
    "mpl-2.0": ("mozilla public license v 2 0", "mozilla public license version 2 0"),
    "mpl": ("mozilla public license",),
    "epl": ("eclipse public license",),
    "cddl": ("common development and distribution license",),
    "bsd-4-clause": ("all advertising materials mentioning features or use of this software",),
    "bsd-3-clause": ("neither the name of", "nor the names of its contributors", "bsd 3 clause", "3 clause bsd"),
    "bsd-2-clause": (
        "redistribution and use in source and binary forms with or without modification are permitted",
        "bsd 2 clause",
        "2 clause bsd",
    ),
    "bsd": ("bsd license", "bsd style license", "bsd licensed"),
    "apache-2.0": (
        "apache license version 2 0",
        "apache license 2 0",
        "apache org licenses license 2 0",
        "apache 2 0 license",
    ),
    "mit": (
        "permission is hereby granted free of charge to any person obtaining a copy",
        "mit license",
        "mit licensed",
        "mit x11 license",
    ),
    "isc": (
        "permission to use copy modify and or distribute this software for any purpose with or without fee",
        "isc license",
    ),
    "bsl-1.0": ("boost software license version 1 0",),
    "zlib": ("altered source versions must be plainly marked as such",),
    "psf-2.0": ("psf license agreement", "python software foundation license"),
    "unlicense": ("this is free and unencumbered software released into the public domain",),
    "cc0-1.0": ("cc0 1 0 universal", "creative commons zero"),
    "public-domain": ("in the public domain", "into the public domain"),
}
"""Licence → phrases of its usual notice, words with single spaces. Where several licences are named the first counts:
those with more conditions come before those with fewer, and an exact one before its family."""

_SPDX = "spdx license identifier"
_SPDX_BYTES = 200
_EXPRESSION = regex.compile(r"[\s\"'`]*((?:[\w.+:-]+|[()]|[ \t])+)")
_NAMES = tuple(_PHRASES)
_OWNERS = np.array([_NAMES.index(name) for name, every in _PHRASES.items() for _ in every], dtype=np.int64)
_WORDS = phrase_machine(tuple(f" {phrase} " for every in (*_PHRASES.values(), (_SPDX,)) for phrase in every))
_LETTERS = np.array([c < 128 and chr(c).isalnum() for c in range(256)])


@register("licence", version=1)
@dataclass(frozen=True)
class Licence(Filter):
    """Keep source files under the licences of `keep`.

    `column` names a column with licences (`record.license`), one in each document, such as a repository's. Where it
    has none, or no column is named, the first `head_bytes` of the text say it: an `SPDX-License-Identifier:`, or else
    a phrase of a usual notice, whatever stands between its words. Signals: `id`, as SPDX writes it but in lower
    case, "unknown" where nothing is found; `family`, the id up to its first hyphen or digit (`apache`, `bsd`, `gpl`).

    `keep` are families; the default is what LLaMA (arXiv 2302.13971, section 2.1) and RedPajama took: Apache, BSD and
    MIT. They judged by the repository; a file that says nothing itself is kept with `keep_unknown`. Of an expression
    such as `MIT OR GPL-2.0-only` the family is that of the first alternative all of whose licences are in `keep`.
    The search for phrases finds licences that are merely spoken of, so it is made for headers, not for prose.
    """

    column: str | None = None
    head_bytes: int = 4096
    keep: tuple[str, ...] | None = ("apache", "bsd", "mit")
    keep_unknown: bool = True

    def __post_init__(self) -> None:
        """Raise ConfigError for an empty list or a length that is not positive."""
        if self.head_bytes < 1:
            raise ConfigError(f"licence: head_bytes = {self.head_bytes}; wanted at least 1")
        if self.keep is not None and not (self.keep and all(name == name.lower() != "" for name in self.keep)):
            raise ConfigError(f'licence: keep = {self.keep!r}; wanted families in lower case, or "off"')

    def needs(self) -> tuple[str, ...]:
        """The column."""
        return () if self.column is None else (self.column,)

    def signals(self) -> Mapping[str, pa.DataType]:
        """Two names."""
        return {"licence.id": pa.string(), "licence.family": pa.string()}

    def rules(self) -> tuple[Rule, ...]:
        """One, over the family."""
        if self.keep is None:
            return ()
        kept = (*self.keep, UNKNOWN) if self.keep_unknown else self.keep
        return (Rule("licence.keep", "licence.family", "in", kept),)

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:
        """One pass over the words of the heads."""
        heads = np.minimum(texts.offsets[1:], texts.offsets[:-1] + self.head_bytes)
        found = _find_notices(texts.data, texts.offsets[:-1], heads, _WORDS, _OWNERS, len(_NAMES))
        noticed = pa.array([*_NAMES, UNKNOWN], pa.string()).take(pa.array(found[0]))
        stated = found[4] >= 0
        begin = np.where(stated, found[4], texts.offsets[:-1])
        behind = np.where(stated, np.minimum(heads, begin + _SPDX_BYTES), begin)
        lines = pc.replace_substring_regex(texts.cut(begin, behind), r"(?s)[\r\n].*", "")
        ids = pc.coalesce(each_distinct(lines, _identifier, pa.string()), noticed)
        if self.column is not None:
            licences = batch.column(self.column).cast(pa.string())
            ids = pc.coalesce(each_distinct(licences, _identifier, pa.string()), ids)
        families = each_distinct(ids, self._family, pa.string())
        place = (np.where(stated, found[3], found[1]), np.where(stated, found[4], found[2]))
        return Measured({"licence.id": ids, "licence.family": families}, spans={"licence.keep": place})

    def _family(self, licence: str) -> str:
        """The family of an id; of an expression that of the alternative that is kept, else of the first."""
        plain = regex.sub(r"\s+with\s+\S+|[()]", "", licence)
        alternatives = [
            [_first_family(name) for name in regex.split(r"\s+and\s+", each.strip())]
            for each in regex.split(r"\s+or\s+", plain)
        ]
        kept = [each for each in alternatives if all(family in (self.keep or ()) for family in each)]
        lost = [family for family in alternatives[0] if family not in (self.keep or ())]
        return kept[0][0] if kept else lost[0]


def _first_family(licence: str) -> str:
    found = regex.match(r"[^\d-]+", licence)
    return licence if found is None else found[0]


def _identifier(text: str) -> str | None:
    """The licence expression a text begins with, in lower case."""
    found = _EXPRESSION.match(text.splitlines()[0] if text else "")
    expression = "" if found is None else " ".join(found[1].lower().split()).strip(" -")
    return expression or None


@njit(cache=True, nogil=True)
def _find_notices(data, starts, stops, phrases, owners, names):  # type: ignore[no-untyped-def]
    """int64[5, n]: the first licence of those named, `names` for none; where its phrase begins and ends; where the
    first `SPDX-License-Identifier:` does."""
    machine, lengths = phrases
    found = np.full((5, len(starts)), -1, dtype=np.int64)
    longest = 0
    for d in range(len(starts)):
        longest = max(longest, stops[d] - starts[d])
    at = np.empty(longest + 2, dtype=np.int64)  # where each character of the words with single spaces is
    for d in range(len(starts)):
        best, m = np.int64(names), 0
        row, _ = step(np.int64(0), 0x20, machine)
        blank = True
        for i in range(starts[d], stops[d] + 1):
            c = data[i] if i < stops[d] else np.uint8(0x20)
            letter = _LETTERS[c]
            if not letter and blank:
                continue
            blank = not letter
            m += 1
            at[m] = i
            row, number = step(row, c if letter else np.uint8(0x20), machine)
            if number < 0:
                continue
            begin = at[m - lengths[number] + 2]
            if number == len(owners):
                if found[4, d] < 0 and c == 0x3A:
                    found[3, d], found[4, d] = begin, i + 1
            elif owners[number] < best:
                best = owners[number]
                found[1, d], found[2, d] = begin, i
        found[0, d] = best
    return found
