"""`url`: pages left out for where they are, by blocklists (Penedo et al. 2023, arXiv 2306.01116, appendix G.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill import urls
from corpusmill.errors import ConfigError
from corpusmill.filters.pages import url_lists
from corpusmill.rules import Bound, Comparison, Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts
from corpusmill.unicode import char_classes

NOTHING = "-"
"""The value of a signal that names what was found, where nothing was."""

Dialect = Literal["refinedweb", "datatrove", "dclm", "dolma"]

_RULES: Mapping[str, tuple[str, Comparison, Bound]] = {
    "domains": ("domain", "==", NOTHING),
    "hosts": ("host", "==", NOTHING),
    "urls": ("listed", "==", False),
    "hard_words": ("hard_word", "==", NOTHING),
    "soft_words": ("soft_words", "<=", 0),
    "substrings": ("substring", "==", NOTHING),
}
_DOMAINS = {"datatrove": url_lists.DATATROVE_SUFFIXES, "dclm": url_lists.EXACT, "dolma": url_lists.EXACT}
_WORDS = {"datatrove": url_lists.ASCII_WORDS, "dclm": url_lists.PYTHON_WORDS}


@register("url", version=1)
@dataclass(frozen=True)
class Url(Filter):
    """Drop documents whose URL is on a list, or has words of one.

    Every list is a path or several, with `*` if need be (`ut1/*/domains`), one entry a line, `#` for comments, `.gz`
    unpacked. A rule whose list is not given is not there. Signals name what was found in the URL, `-` for nothing:

    missing     bool, there is no URL; such a document is kept, unless `missing = "drop"`
    domain      end of the host that `domains` has: a domain with all that is below it. Every end from a full stop on
                is looked up, so no list of public suffixes is needed, an entry may be a subdomain or a top-level
                domain, and addresses are taken whole. Lines of hosts files and Adblock's `||name^` are read too
    host        the host, where `hosts` has just that
    listed      bool, `urls` has the URL; scheme, `www.`, slashes at the end and what `urls.normalise` evens out are
                not compared
    hard_word   a whole word in the URL that `hard_words` has; words are letters and digits of any script
    soft_words  how many different words of `soft_words` are in it; more than `max_soft_words` drop
    substring   part of the URL that `substrings` has, in any case, `-` and `.` looked through

    `dialect` is whose behaviour is reproduced where tools differ. "refinedweb" is the paper's, as above.

    datatrove   0.10.1, URLFilter. The whole host or its registered domain, and no address; case matters. What is
                registered is not read from a list of public suffixes: it is taken for the last two labels, and for
                the last three too under a country's two letters when the second has at most three (`bad.co.uk`).
                The URL as it is. Words are of ASCII letters and digits, and *in lower case* only, for URLs are not
                lowered and the lists are; `substrings` look through all else. Entries of words and substrings lose
                what is not such a character.
    dclm        url_substring_filter, as dclm_baseline_refinedweb uses it. User, host and port as one, with every
                `www` taken out but not the full stop behind it, so `www.bad.com` is not found under `bad.com`; no
                domains below. Words may have `_`. An entry of `substrings` with `-` or `.` is never found. The order
                is domains, substrings, hard_words, soft_words.
    dolma       1.2.1, taggers/url.py. Hosts without `w` and `.` at the beginning, and no domains below; URLs as host,
                port and path. It has no rules for words: here they are RefinedWeb's.
    """

    dialect: Dialect = "refinedweb"
    domains: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    hard_words: tuple[str, ...] = ()
    soft_words: tuple[str, ...] = ()
    substrings: tuple[str, ...] = ()
    max_soft_words: int = 1
    missing: Literal["keep", "drop"] = "keep"

    def __post_init__(self) -> None:
        """Raise ConfigError for an option out of range, or when nothing could ever be dropped."""
        for name, options in (("dialect", get_args(Dialect)), ("missing", ("keep", "drop"))):
            if getattr(self, name) not in options:
                raise ConfigError(f"url: {name} = {getattr(self, name)!r}; wanted one of {', '.join(options)}")
        if self.max_soft_words < 0:
            raise ConfigError(f"url: max_soft_words = {self.max_soft_words}; wanted 0 or more")
        if not self._lists() and self.missing == "keep":
            raise ConfigError(f"url: there is no list; give one of {', '.join(_RULES)} a path; {url_lists.WHERE_FROM}")

    def _lists(self) -> tuple[str, ...]:
        """The lists that are given, in the order of their rules."""
        order = [field.name for field in fields(self) if field.name in _RULES]
        if self.dialect == "dclm":
            order.sort(key=lambda name: name.endswith("_words"))
        return tuple(name for name in order if getattr(self, name))

    def _files(self, name: str) -> tuple[url_lists.File, ...]:
        return url_lists.expand(name, getattr(self, name))

    def files(self) -> tuple[str, ...]:
        """All lists. Raises ConfigError when one is missing."""
        return tuple(path for name in self._lists() for path, _, _ in self._files(name))

    def signals(self) -> Mapping[str, pa.DataType]:
        """`missing`, and one for each list."""
        kinds = {str: pa.string(), bool: pa.bool_(), int: pa.int64()}
        found = {_RULES[name][0]: kinds[type(_RULES[name][2])] for name in self._lists()}
        return {f"url.{name}": kind for name, kind in {"missing": pa.bool_(), **found}.items()}

    def rules(self) -> tuple[Rule, ...]:
        """In the original's order."""
        rules = [Rule("url.missing", "url.missing", "==", False)] if self.missing == "drop" else []
        for name in self._lists():
            signal, comparison, bound = _RULES[name]
            limit = self.max_soft_words if name == "soft_words" else bound
            rules.append(
                Rule(f"url.{'max_' if name == 'soft_words' else ''}{name}", f"url.{signal}", comparison, limit)
            )
        return tuple(rules)

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """Look every URL up in every list; the texts are not read."""
        given = batch.column("url").cast(pa.large_string()).fill_null("")
        values: dict[str, pa.Array] = {"url.missing": pc.equal(given, "")}
        for name in self._lists():
            values[f"url.{_RULES[name][0]}"] = self._find(name, given)
        return Measured(values)

    def _find(self, name: str, given: pa.LargeStringArray) -> pa.Array | npt.NDArray[np.generic]:
        files = self._files(name)
        if name == "urls":
            keys = url_lists.hash_strings(url_lists.url_keys(given, self.dialect))
            return url_lists.find_all(url_lists.exact_urls(files, self.dialect), keys)
        if name == "hosts":
            whole = Texts.from_arrow(pc.utf8_lower(urls.hosts(given)))
            listed = url_lists.domains(files, "hosts")
            return _parts(whole, *url_lists.find_domains(whole.data, whole.offsets, listed, url_lists.EXACT))
        if name == "domains":
            found = urls.hosts(given, port=self.dialect == "dclm")
            ends = Texts.from_arrow(url_lists.domain_keys(found, self.dialect))
            listed = url_lists.domains(files, self.dialect)
            mode = _DOMAINS.get(self.dialect, url_lists.SUFFIXES)
            return _parts(ends, *url_lists.find_domains(ends.data, ends.offsets, listed, mode))
        return self._find_words(name, given, files)

    def _find_words(self, name: str, given: pa.LargeStringArray, files: tuple[url_lists.File, ...]) -> pa.Array:
        if self.dialect == "datatrove":
            read = Texts.from_arrow(pc.ascii_lower(given) if name == "substrings" else given)
        else:
            read = Texts.from_arrow(pc.utf8_lower(given))
        patterns = url_lists.words(files, name, self.dialect)
        mode = url_lists.ANYWHERE if name == "substrings" else _WORDS.get(self.dialect, url_lists.PLAIN_WORDS)
        skip = url_lists.skipped(name, self.dialect)
        start, stop, count = url_lists.find_words(read.data, read.offsets, patterns, skip, mode, char_classes())
        return count if name == "soft_words" else _parts(read, start, stop)


def _parts(texts: Texts, start: npt.NDArray[np.int64], stop: npt.NDArray[np.int64]) -> pa.StringArray:
    """What was found in each text, NOTHING where start is -1."""
    known = start >= 0
    cut = texts.cut(np.where(known, start, 0), np.where(known, stop, 0)).cast(pa.string())
    return pc.if_else(pa.array(known), cut, NOTHING)
