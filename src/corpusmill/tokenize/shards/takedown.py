"""Documents and segments that a reader hides: what was taken down, and what a training wants to skip.

A hidden segment keeps its place, so the order of rows and all counts stay; its tokens are delivered as the pad id and
none of them is a target. The packed files are not touched.

`takedowns.json` lies beside the shards and binds every reader. It is a manifest, with its own hash:

    {"format": "corpusmill.takedowns", "version": 1,
     "takedowns": [{"date": "2026-03-01", "reason": "…", "ids": ["32 hex digits of a document's id", …]}, …]}

A document's id follows from its source and locator, so the list stays right when the corpus is packed again.

A skip list is a JSON file that one reader is given. It names documents by id, or segments by their content, which
survives packing again too, as long as the document is cut at the same places:

    {"format": "corpusmill.skip", "version": 1,
     "documents": ["32 hex digits", …],
     "segments": [{"tokens": 512, "xxh3_128": "32 hex digits"}, …]}

`tokens` is the length of the segment and `xxh3_128` the hash of its tokens as little-endian uint32, see
`content_hash`. Other keys of a segment are for the reader of the list and are not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash
from numba import njit

from corpusmill import manifest, storage
from corpusmill.document import ID_BYTES, id_words
from corpusmill.errors import ConfigError, IntegrityError, NotCommitted
from corpusmill.tokenize.tokenizers.encode import Tokens

TAKEDOWNS_FILE = "takedowns.json"
TAKEDOWNS_FORMAT, SKIP_FORMAT, VERSION = "corpusmill.takedowns", "corpusmill.skip", 1

Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Takedown:
    """One request: `ids` of documents, why, and the day, YYYY-MM-DD."""

    ids: tuple[bytes, ...]
    reason: str
    date: str


def load_takedowns(directory: str) -> tuple[Takedown, ...]:
    """The takedowns of a folder of shards, in the order in which they were made. Raises IntegrityError."""
    path = storage.join(directory, TAKEDOWNS_FILE)
    if storage.size(path) is None:
        return ()
    body = manifest.load(path)
    if (body.get("format"), body.get("version")) != (TAKEDOWNS_FORMAT, VERSION):
        raise IntegrityError(f"{path}: not a list of takedowns of version {VERSION}")
    try:
        return tuple(
            Takedown(tuple(parse_id(text) for text in each["ids"]), each["reason"], each["date"])
            for each in body["takedowns"]
        )
    except (ConfigError, KeyError, TypeError) as error:
        raise IntegrityError(f"{path}: not a list of takedowns ({error!r})") from error


def append_takedown(directory: str, takedown: Takedown) -> int:
    """Add a takedown to the list beside the shards; gives how many of its ids are new. Those on it stay.

    Whoever appends holds off others: two at once would lose one.
    """
    before = load_takedowns(directory)
    known = {each for old in before for each in old.ids}
    ids = tuple(sorted(set(takedown.ids) - known))
    if ids:
        wanted = [*before, Takedown(ids, takedown.reason, takedown.date)]
        listed = [
            {"date": each.date, "reason": each.reason, "ids": [identity.hex() for identity in each.ids]}
            for each in wanted
        ]
        body = {"format": TAKEDOWNS_FORMAT, "version": VERSION, "takedowns": listed}
        manifest.commit(storage.join(directory, TAKEDOWNS_FILE), body)
    return len(ids)


def parse_id(text: str) -> bytes:
    """A document's id from 32 hex digits. Raises ConfigError."""
    if not isinstance(text, str) or not re.fullmatch(r"[0-9a-fA-F]{32}", text):
        raise ConfigError(f"document id {text!r}: wanted 32 hex digits, as `corpusmill trace` prints them")
    return bytes.fromhex(text)


@dataclass(frozen=True)
class SkipList:
    """What one reader skips: documents by id, segments by (tokens, `content_hash`)."""

    documents: frozenset[bytes] = frozenset()
    segments: frozenset[tuple[int, bytes]] = frozenset()

    @staticmethod
    def load(path: str) -> SkipList:
        """Read a skip list. Raises ConfigError for anything that is not one."""
        try:
            body = json.loads(storage.read_bytes(path))
            if (body["format"], body["version"]) != (SKIP_FORMAT, VERSION):
                raise ConfigError(f"format {body['format']!r} version {body['version']!r}")
            unknown = sorted(set(body) - {"format", "version", "documents", "segments"})
            if unknown:
                raise ConfigError(f"unknown key {unknown[0]!r}")
            documents = frozenset(parse_id(text) for text in body.get("documents", []))
            segments = frozenset(
                (_count(each["tokens"]), parse_id(each["xxh3_128"])) for each in body.get("segments", [])
            )
        except (ConfigError, NotCommitted, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"{path}: not a skip list ({error}); wanted {SKIP_FORMAT} version {VERSION} with documents (ids) and "
                "segments (tokens, xxh3_128)"
            ) from error
        return SkipList(documents, segments)


def write_skip_list(path: str, documents: Iterable[bytes] = (), segments: Iterable[Mapping[str, Any]] = ()) -> None:
    """Write a skip list; each of `segments` has tokens, xxh3_128 (hex) and whatever helps who reads it."""
    body = {
        "format": SKIP_FORMAT,
        "version": VERSION,
        "documents": sorted(identity.hex() for identity in documents),
        "segments": list(segments),
    }
    storage.write_bytes(path, manifest.canonical(body))


def content_hash(tokens: Tokens) -> bytes:
    """The 16 bytes by which a skip list knows a segment: XXH3-128 of its tokens as little-endian uint32."""
    return xxhash.xxh3_128_digest(np.ascontiguousarray(tokens, dtype="<u4").tobytes())


def _count(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ConfigError(f"tokens = {value!r}, wanted a number from 1 on")
    return value


class Hidden:
    """Tells the segments to hide: those of documents taken down, and those of a skip list."""

    def __init__(self, takedowns: Sequence[Takedown], skip: SkipList) -> None:
        """Either may be empty."""
        ids = skip.documents.union(*(each.ids for each in takedowns))
        self.ids = id_table(ids)
        self._lengths = np.array(sorted({tokens for tokens, _ in skip.segments}), dtype=np.int64)
        self._segments = skip.segments

    def __bool__(self) -> bool:
        """Whether there is anything to hide."""
        return bool(len(self.ids) or self._segments)

    def facts(self) -> list[Any]:
        """Plain data that differs where what is hidden differs."""
        return [self.ids.tolist(), sorted([tokens, digest.hex()] for tokens, digest in self._segments)]

    def of(self, tokens: Tokens, ids: npt.NDArray[np.uint8], start: Integers, length: Integers) -> Bools:
        """bool[k]: which segments to hide: of the documents `ids`, uint8[k, 16], at tokens[start:start + length].

        `tokens` as they are in the file.
        """
        found = listed(ids, self.ids)
        for k in np.flatnonzero(np.isin(length, self._lengths)):
            size = int(length[k])
            found[k] |= (size, content_hash(tokens[start[k] : start[k] + size])) in self._segments
        return found


def id_table(ids: Iterable[bytes]) -> npt.NDArray[np.uint64]:
    """uint64[n, 2], rising: ids to search among, see `listed`."""
    return id_words(pa.array(sorted(set(ids)), pa.binary(ID_BYTES)))


def listed(ids: npt.NDArray[np.uint8], table: npt.NDArray[np.uint64]) -> Bools:
    """bool[k]: which of `ids`, uint8[k, 16], are in a table that `id_table` made."""
    found = np.zeros(len(ids), dtype=np.bool_)
    if len(table):
        _listed(np.ascontiguousarray(ids), table, found)
    return found


@njit(cache=True, nogil=True)
def _listed(ids, table, found):  # type: ignore[no-untyped-def]
    for k in range(len(ids)):
        high = low = np.uint64(0)
        for i in range(ID_BYTES // 2):
            high = (high << np.uint64(8)) | np.uint64(ids[k, i])
            low = (low << np.uint64(8)) | np.uint64(ids[k, i + ID_BYTES // 2])
        a, b = 0, len(table)
        while a < b:
            middle = (a + b) >> 1
            if table[middle, 0] < high or (table[middle, 0] == high and table[middle, 1] < low):
                a = middle + 1
            else:
                b = middle
        found[k] = a < len(table) and table[a, 0] == high and table[a, 1] == low
