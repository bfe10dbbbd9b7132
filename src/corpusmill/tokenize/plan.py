"""The packing plan: best-fit-decreasing for a whole corpus, computed from nothing but the histogram of lengths.

Sequential best-fit-decreasing takes the pieces from the longest to the shortest and puts each into the open row with
the least room that still holds it. All pieces of one length therefore fill rows in runs: a row with room k takes
k // length of them, then the next row with the same room, then the next larger room, and at last new rows. A plan is
the list of those runs, so its cost does not depend on the number of documents, and the number of rows is exactly that
of the sequential algorithm (Ding et al., 2024, "Fewer Truncations Improve Language Modeling", section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.errors import ConfigError

VERSION = 1
MIN_SEQUENCE_LENGTH = 16
MAX_SEQUENCE_LENGTH = 131_072

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """Where every piece of every length goes. Pieces of one length are interchangeable: they are numbered by slots.

    sequence_length  tokens per row
    counts           int64[sequence_length + 1], pieces of each length
    base             int64[sequence_length + 1], number of the first slot of each length when all are numbered through
    first_slot       int64[m], rising: number of the first slot of each run
    first_row        int64[m], the row that slot is in
    per_row          int64[m], slots of the run in each of its rows
    rows             rows in all, numbered 0 to rows - 1; every one has at least one piece
    """

    sequence_length: int
    counts: Int64s
    base: Int64s
    first_slot: Int64s
    first_row: Int64s
    per_row: Int64s
    rows: int

    @property
    def segments(self) -> int:
        """Pieces in all."""
        return int(self.counts.sum())

    @property
    def tokens(self) -> int:
        """Tokens of all pieces."""
        return int(np.dot(self.counts, np.arange(self.sequence_length + 1)))

    @property
    def pad_tokens(self) -> int:
        """Room that no piece fills."""
        return self.rows * self.sequence_length - self.tokens

    @property
    def lower_bound_rows(self) -> int:
        """No packing whatever, cutting allowed, needs fewer rows: ceil(tokens / sequence_length)."""
        return -(-self.tokens // self.sequence_length)

    def row_of(self, length: npt.NDArray[np.integer], slot: npt.NDArray[np.integer]) -> Int64s:
        """int64[n]: the row of slot number `slot` among the pieces of `length`, both int[n]."""
        number = self.base[length] + slot
        run = np.searchsorted(self.first_slot, number, side="right") - 1
        return self.first_row[run] + (number - self.first_slot[run]) // self.per_row[run]


def check_sequence_length(sequence_length: int) -> None:
    """Raise ConfigError unless rows of this many tokens can be planned."""
    if not MIN_SEQUENCE_LENGTH <= sequence_length <= MAX_SEQUENCE_LENGTH:
        raise ConfigError(
            f"sequence_length: got {sequence_length}; allowed: {MIN_SEQUENCE_LENGTH} to {MAX_SEQUENCE_LENGTH} tokens"
        )


def pieces(
    lengths: npt.NDArray[np.integer], sequence_length: int
) -> tuple[Int64s, npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Cut documents that are longer than a row, and no others, into full rows and a remainder.

    `lengths` int[n], tokens of each document. Gives, for each piece in document order: index of the document
    int64[m], offset in the document uint32[m], length uint32[m]. A document without tokens has no piece.
    """
    check_sequence_length(sequence_length)
    sizes = lengths.astype(np.int64)
    if sizes.size and (sizes.min() < 0 or sizes.max() >= 1 << 32):
        raise ConfigError(f"a document has 0 to {(1 << 32) - 1} tokens, got {sizes.min()} to {sizes.max()}")
    parts = -(-sizes // sequence_length)
    document = np.repeat(np.arange(len(sizes)), parts)
    first = np.cumsum(parts) - parts
    offset = (np.arange(len(document)) - first[document]) * sequence_length
    length = np.minimum(sizes[document] - offset, sequence_length)
    return document, offset.astype(np.uint32), length.astype(np.uint32)


def histogram(piece_lengths: npt.NDArray[np.integer], sequence_length: int) -> Int64s:
    """int64[sequence_length + 1]: pieces of each length. Histograms of parts of a corpus are summed."""
    return np.bincount(piece_lengths, minlength=sequence_length + 1).astype(np.int64)


def plan(counts: Int64s) -> Plan:
    """Plan a corpus from `counts` int64[sequence_length + 1], the pieces of each length. Raises ConfigError."""
    counts = np.ascontiguousarray(counts, dtype=np.int64)
    sequence_length = len(counts) - 1
    check_sequence_length(sequence_length)
    if counts.min() < 0 or counts[0]:
        raise ConfigError(
            f"histogram: got {counts[0]} pieces of length 0, least {counts.min()}; allowed: no such piece, none below 0"
        )
    if int(counts.sum()) * sequence_length >= 1 << 62:
        raise ConfigError(f"{counts.sum()} pieces in rows of {sequence_length} tokens: too many to count in 63 bits")
    runs, rows = _best_fit_decreasing(counts)
    slots, first_row, per_row = (np.ascontiguousarray(column) for column in runs.T)
    first_slot = np.cumsum(slots) - slots
    base = np.zeros_like(counts)
    base[:-1] = np.cumsum(counts[::-1])[::-1][1:]  # the longest pieces are numbered first
    return Plan(sequence_length, counts, base, first_slot, first_row, per_row, int(rows))


@njit(cache=True, nogil=True)
def _grown(table):  # type: ignore[no-untyped-def]
    larger = np.empty((2 * len(table), table.shape[1]), dtype=np.int64)
    larger[: len(table)] = table
    return larger


@njit(cache=True, nogil=True)
def _next_room(occupied, room):  # type: ignore[no-untyped-def]
    """The smallest room >= `room` that an open row has, -1 where there is none. `occupied` is a bit set."""
    word = room >> 6
    bits = occupied[word] >> np.uint64(room & 63)
    if bits:
        while not bits & np.uint64(1):
            bits >>= np.uint64(1)
            room += 1
        return room
    word += 1
    while word < len(occupied) and not occupied[word]:
        word += 1
    if word == len(occupied):
        return -1
    bits = occupied[word]
    room = word << 6
    while not bits & np.uint64(1):
        bits >>= np.uint64(1)
        room += 1
    return room


@njit(cache=True, nogil=True)
def _best_fit_decreasing(counts):  # type: ignore[no-untyped-def]
    """int64[m, 3], runs (slots, first row, slots per row) in the order in which they fill, and the number of rows.

    Open rows lie in blocks of consecutive rows with the same room (row, rows, next block); `head[room]` starts the
    list of its blocks. Which of two blocks with the same room is filled first changes no count.
    """
    limit = len(counts) - 1
    head = np.full(limit + 1, -1, dtype=np.int64)
    occupied = np.zeros(limit // 64 + 1, dtype=np.uint64)
    block = np.empty((1024, 3), dtype=np.int64)
    run = np.empty((1024, 3), dtype=np.int64)
    blocks = runs = rows = 0
    for size in range(limit, 0, -1):
        left = counts[size]
        while left > 0:
            if runs + 2 > len(run):
                run = _grown(run)
            if blocks + 3 > len(block):
                block = _grown(block)
            room = _next_room(occupied, size)
            if room < 0:  # open as many new rows as the rest of this length needs
                room = limit
                row, free = rows, (left - 1) // (limit // size) + 1
                rows += free
            else:
                row, free, head[room] = block[head[room]]
                if head[room] < 0:
                    occupied[room >> 6] &= ~(np.uint64(1) << np.uint64(room & 63))
            most = room // size
            full = min(free, left // most)
            rest = left - full * most if full < free else 0
            # the block falls into full rows, one row filled in part, rows not reached
            for n, taken in ((full, most), (min(rest, 1), rest), (free - full - min(rest, 1), 0)):
                if n > 0 and taken > 0:
                    run[runs, 0], run[runs, 1], run[runs, 2] = n * taken, row, taken
                    runs += 1
                    left -= n * taken
                remaining = room - taken * size
                if n > 0 and remaining > 0:
                    block[blocks, 0], block[blocks, 1], block[blocks, 2] = row, n, head[remaining]
                    head[remaining] = blocks
                    occupied[remaining >> 6] |= np.uint64(1) << np.uint64(remaining & 63)
                    blocks += 1
                row += n
    return run[:runs], rows
