"""Rows of shards brought together as flat arrays, without torch: what a trainer's batch is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from corpusmill.document import ID_BYTES
from corpusmill.errors import IntegrityError
from corpusmill.tokenize.tokenizers.encode import Tokens

IGNORE = -100
"""The target that takes no part in the loss; the default `ignore_index` of torch's cross entropy."""

_TOKENS, _END, _SOURCE, _IDS, _SEGMENTS, _FIELDS = range(6)
"""What is where in an address of a shard."""

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


def address_of(shard: Tables) -> bytes:
    """Where the tables of a shard lie in memory and how many segments it has: a row of what `gather` takes.

    int64[5], see `_TOKENS` and the rest; good as long as the arrays of the shard are.
    """
    tables = (shard.tokens, shard.end, shard.source, shard.ids)
    return np.array([*(table.ctypes.data for table in tables), len(shard.end)], dtype=np.int64).tobytes()


def gather(
    shards: Sequence[bytes], rows: Int64s, rows_per_shard: int, sequence_length: int, dtype: np.dtype[Any]
) -> Rows:
    """The rows numbered `rows`; shards[r] is the address of the shard that has row r of them, see `address_of`.

    The caller keeps these shards until this returns. Raises IntegrityError where segments overlap or leave their row.
    """
    tokens: Tokens = np.empty((len(rows), sequence_length), dtype)
    first = np.empty(len(rows) + 1, np.int64)
    table = np.frombuffer(b"".join(shards), np.int64)
    bad, within, source = _gather(table, rows, rows_per_shard, tokens, first)
    if bad >= 0:
        raise IntegrityError(
            f"row {rows[bad]}: its segments overlap or leave its {sequence_length} tokens; run `corpusmill "
            "verify` on the shards and pack them again"
        )
    return Rows(rows, tokens, first, within[0], within[1], source, np.zeros(len(source), np.bool_))


def segment_ids(shards: Sequence[bytes], found: Rows, rows_per_shard: int) -> npt.NDArray[np.uint8]:
    """uint8[k, 16]: the id of the document of each segment of `found`, which was gathered from these shards."""
    ids = np.empty((len(found.start), ID_BYTES), dtype=np.uint8)
    table = np.frombuffer(b"".join(shards), np.int64)
    _copy_ids(table, found.rows, rows_per_shard, found.tokens.shape[1], found.first, ids)
    return ids


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


@intrinsic
def _pointer(_typing, _address):  # type: ignore[no-untyped-def]
    """An address in memory, int64, as a pointer that `numba.carray` takes."""

    def codegen(_context, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), codegen


@njit(cache=True, nogil=True)
def _gather(table, rows, rows_per_shard, tokens, first):  # type: ignore[no-untyped-def]
    """Fill `tokens` and `first`; gives the place of the first row that is wrong, -1 where all are right, int32[2, k]
    start and length, uint16[k] source. (Each array that a kernel gives costs half a microsecond.)
    """
    size, width = tokens.shape[1], tokens.itemsize
    begin = np.empty(len(rows), dtype=np.int64)
    first[0] = 0
    for r in range(len(rows)):
        end = carray(_pointer(table[r * _FIELDS + _END]), table[r * _FIELDS + _SEGMENTS], np.uint32)
        begin[r], stop = bounds(end, rows[r] % rows_per_shard, size)
        first[r + 1] = first[r] + max(stop - begin[r], 0)
    within, source = np.empty((2, first[-1]), dtype=np.int32), np.empty(first[-1], dtype=np.uint16)
    for r in range(len(rows)):
        shard, row = table[r * _FIELDS : (r + 1) * _FIELDS], rows[r] % rows_per_shard
        given, place = carray(_pointer(shard[_TOKENS] + row * size * width), size, tokens.dtype), tokens[r]
        for i in range(size):
            place[i] = given[i]
        end = carray(_pointer(shard[_END]), shard[_SEGMENTS], np.uint32)
        sources = carray(_pointer(shard[_SOURCE]), shard[_SEGMENTS], np.uint16)
        at = row * size
        for n in range(first[r + 1] - first[r]):
            stop = np.int64(end[begin[r] + n])
            if stop <= at or stop > (row + 1) * size:
                return r, within, source
            to = first[r] + n
            within[0, to] = at - row * size
            within[1, to] = stop - at
            source[to] = sources[begin[r] + n]
            at = stop
    return -1, within, source


@njit(cache=True, nogil=True)
def _copy_ids(table, rows, rows_per_shard, size, first, ids):  # type: ignore[no-untyped-def]
    for r in range(len(rows)):
        shard = table[r * _FIELDS : (r + 1) * _FIELDS]
        end = carray(_pointer(shard[_END]), shard[_SEGMENTS], np.uint32)
        given = carray(_pointer(shard[_IDS]), (shard[_SEGMENTS], ids.shape[1]), np.uint8)
        begin = behind(end, rows[r] % rows_per_shard * size)
        for n in range(first[r + 1] - first[r]):
            ids[first[r] + n, :] = given[begin + n, :]


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
    """Write out token by token; gives the largest token.

    Loops run from 0 over views: a loop that may begin below 0 is not vectorised, which takes three times as long.
    """
    top = np.int64(-1)
    for r in range(len(first) - 1):
        given, ids, highest = tokens[r], out[0, r], tokens.dtype.type(0)
        for i in range(len(given)):
            highest = max(highest, given[i])
            ids[i] = given[i]
        top = max(top, np.int64(highest))
        stop = 0
        for k in range(first[r], first[r + 1]):
            begin, stop = start[k], start[k] + length[k]
            targets, positions = out[1, r, begin:stop], out[3, r, begin:stop]
            out[2, r, begin:stop] = k - first[r] + 1
            out[4, r, begin:stop] = source[k]
            for i in range(len(positions)):
                positions[i] = i
            if hidden[k]:
                targets[:] = IGNORE
                continue
            following = given[begin + 1 : stop]
            for i in range(len(following)):
                targets[i] = following[i]
            targets[len(targets) - 1] = IGNORE
        out[1, r, stop:] = IGNORE
        out[2, r, stop:] = 0
        out[3, r, stop:] = 0
        out[4, r, stop:] = -1
    return top
