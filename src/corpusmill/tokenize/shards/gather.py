"""Rows of shards brought together as flat arrays, without torch: what a trainer's batch is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.document import ID_BYTES
from corpusmill.errors import IntegrityError
from corpusmill.tokenize.tokenizers.encode import Tokens

IGNORE = -100
"""The target that takes no part in the loss; the default `ignore_index` of torch's cross entropy."""

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


class Tables(Protocol):
    """What is read of a shard, see `layout`: tokens [rows, sequence_length], end, source and id of each segment."""

    tokens: Tokens
    end: npt.NDArray[np.uint32]
    source: npt.NDArray[np.uint16]
    ids: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Rows:
    """b rows of L tokens with k segments in all.

    rows     int64[b], which rows of the shards these are
    tokens   uint16 or uint32[b, L]
    first    int64[b + 1]: row r has the segments first[r] to first[r + 1]
    start    int32[k], in the row
    length   int32[k], in tokens
    source   uint16[k], position in `Packed.sources`
    hidden   bool[k]: taken down or skipped; its tokens are the pad id, and it is nothing to learn from
    """

    rows: Int64s
    tokens: Tokens
    first: Int64s
    start: Int32s
    length: Int32s
    source: npt.NDArray[np.uint16]
    hidden: npt.NDArray[np.bool_]

    @cached_property
    def cu_seqlens(self) -> Int32s:
        """int32[m + 1], from 0 to b * L: where the segments begin if all rows are laid end to end.

        The padding of a row is a segment of its own, so that kernels of variable length see every token once.
        """
        return _boundaries(self.first, self.start, self.length, self.tokens.shape[1])

    @property
    def max_seqlen(self) -> int:
        """Tokens of the longest of those segments, 0 where there is no row."""
        return int(np.diff(self.cu_seqlens).max(initial=0))

    def dense(self, vocab_size: int, sources: int) -> npt.NDArray[np.int64]:
        """int64[5, b, L]: tokens, targets, segments, positions, sources, as in `trainer.data.Batch`.

        Raises IntegrityError for a token that is not below `vocab_size`, a source not below `sources`.
        """
        out = np.empty((5, *self.tokens.shape), dtype=np.int64)
        top = _spread(self.tokens, self.first, self.start, self.length, self.source, self.hidden, out)
        owner = int(self.source.max(initial=0))
        if top >= vocab_size or owner >= max(sources, 1):
            raise IntegrityError(
                f"rows {self.rows.tolist()}: token {top}, source {owner}; wanted below vocab_size = {vocab_size} and "
                f"below {sources}; run `corpusmill verify` on the shards and pack them again"
            )
        return out


def gather(
    groups: Sequence[tuple[Tables, Int64s, Int64s]], rows: Int64s, sequence_length: int, dtype: np.dtype[Any]
) -> Rows:
    """The rows numbered `rows`, from `groups`: (shard, number of each row in its shard int64[b], places int64[n] among
    the rows of those that are in this shard).

    Raises IntegrityError where segments overlap or leave their row.
    """
    count, begin = np.zeros(len(rows) + 1, dtype=np.int64), np.empty(len(rows), dtype=np.int64)
    for shard, inside, places in groups:
        _find(shard.end, inside, places, sequence_length, begin, count)
    first = np.cumsum(count)
    tokens: Tokens = np.empty((len(rows), sequence_length), dtype=dtype)
    start, length = np.empty(first[-1], dtype=np.int32), np.empty(first[-1], dtype=np.int32)
    source = np.empty(first[-1], dtype=np.uint16)
    for shard, inside, places in groups:
        bad = _fill(shard.tokens, shard.end, shard.source, inside, places, begin, first, tokens, start, length, source)
        if bad >= 0:
            raise IntegrityError(
                f"row {rows[bad]}: its segments overlap or leave its {sequence_length} tokens; run `corpusmill "
                "verify` on the shards and pack them again"
            )
    return Rows(rows, tokens, first, start, length, source, np.zeros(first[-1], dtype=np.bool_))


def segment_ids(groups: Sequence[tuple[Tables, Int64s, Int64s]], found: Rows) -> npt.NDArray[np.uint8]:
    """uint8[k, 16]: the id of the document of each segment of `found`, which was gathered from these groups."""
    ids = np.empty((len(found.start), ID_BYTES), dtype=np.uint8)
    for shard, inside, places in groups:
        _copy_ids(shard.end, shard.ids, inside, places, found.tokens.shape[1], found.first, ids)
    return ids


@njit(cache=True, nogil=True)
def in_shards(rows, rows_per_shard, total):  # type: ignore[no-untyped-def]
    """int64[b] each: the shard of a row and its number there; and the place of the first that is not below `total`."""
    number, inside = np.empty_like(rows), np.empty_like(rows)
    for k in range(len(rows)):
        if not 0 <= rows[k] < total:
            return number, inside, k
        number[k] = rows[k] // rows_per_shard
        inside[k] = rows[k] - number[k] * rows_per_shard
    return number, inside, -1


@njit(cache=True, nogil=True)
def behind(end, limit):  # type: ignore[no-untyped-def]
    """How many of `end`, uint32 and rising, are not above `limit`."""
    low, high = 0, len(end)
    while low < high:
        middle = (low + high) >> 1
        if np.int64(end[middle]) <= limit:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def bounds(end, row, length):  # type: ignore[no-untyped-def]
    """First segment of a row, and the first behind it."""
    first = behind(end, row * length)
    limit = (row + 1) * length
    # Most rows have few segments: it is nearer to walk than to search again.
    stop = first
    while stop < len(end) and stop < first + 8 and np.int64(end[stop]) <= limit:
        stop += 1
    if stop == first + 8:
        stop = behind(end, limit)
    return first, stop


@njit(cache=True, nogil=True)
def _find(end, inside, places, length, begin, count):  # type: ignore[no-untyped-def]
    for place in places:
        first, stop = bounds(end, inside[place], length)
        begin[place] = first
        count[place + 1] = max(stop - first, 0)


@njit(cache=True, nogil=True)
def _fill(packed, end, sources, inside, places, begin, first, tokens, start, length, source):  # type: ignore[no-untyped-def]
    """Copy rows and their segments; the place of the first row that is wrong, -1 where all are right."""
    size = tokens.shape[1]
    for place in places:
        row = inside[place]
        tokens[place, :] = packed[row, :]
        at = row * size
        for n in range(first[place + 1] - first[place]):
            stop = np.int64(end[begin[place] + n])
            if stop <= at or stop > (row + 1) * size:
                return place
            to = first[place] + n
            start[to] = at - row * size
            length[to] = stop - at
            source[to] = sources[begin[place] + n]
            at = stop
    return -1


@njit(cache=True, nogil=True)
def _copy_ids(end, given, inside, places, length, first, ids):  # type: ignore[no-untyped-def]
    for place in places:
        begin = behind(end, inside[place] * length)
        for n in range(first[place + 1] - first[place]):
            ids[first[place] + n, :] = given[begin + n, :]


@njit(cache=True, nogil=True)
def _boundaries(first, start, length, size):  # type: ignore[no-untyped-def]
    found = np.empty(len(start) + len(first), dtype=np.int32)
    found[0] = 0
    m = 1
    for r in range(len(first) - 1):
        at = r * size
        for k in range(first[r], first[r + 1]):
            at = r * size + start[k] + length[k]
            found[m] = at
            m += 1
        if at < (r + 1) * size:
            found[m] = (r + 1) * size
            m += 1
    return found[:m].copy()


@njit(cache=True, nogil=True)
def _spread(tokens, first, start, length, source, hidden, out):  # type: ignore[no-untyped-def]
    """Write out token by token; gives the largest token."""
    top = np.int64(-1)
    size = tokens.shape[1]
    for r in range(len(first) - 1):
        given = tokens[r]
        ids, targets, segments, positions, sources = out[0, r], out[1, r], out[2, r], out[3, r], out[4, r]
        for i in range(size):
            ids[i] = given[i]
        for i in range(size):
            top = max(top, ids[i])
        stop = 0
        for k in range(first[r], first[r + 1]):
            begin, stop = start[k], start[k] + length[k]
            number, owner = k - first[r] + 1, np.int64(source[k])
            for i in range(begin, stop):
                segments[i] = number
            for i in range(begin, stop):
                positions[i] = i - begin
            for i in range(begin, stop):
                sources[i] = owner
            if hidden[k]:
                targets[begin:stop] = IGNORE
                continue
            for i in range(begin, stop - 1):
                targets[i] = given[i + 1]
            targets[stop - 1] = IGNORE
        targets[stop:] = IGNORE
        segments[stop:] = 0
        positions[stop:] = 0
        sources[stop:] = -1
    return top
