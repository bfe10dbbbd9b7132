"""The packing plan: best-fit-decreasing for a whole corpus, computed from nothing but the histogram of lengths.

Sequential best-fit-decreasing takes the pieces from the longest to the shortest and puts each into the open row with
the least room that still holds it. All pieces of one length therefore fill rows in runs: a row with room k takes
k // length of them, then the next row with the same room, then the next larger room, and at last new rows. A plan is
the list of those runs, so its cost does not depend on the number of documents, and the number of rows is exactly that
of the sequential algorithm (Ding et al., 2024, "Fewer Truncations Improve Language Modeling", section 3).

Where that pads more than a budget allows, no more rows are opened than the budget has room for, and the pieces that
then fit nowhere are cut into what rooms are left. A cut saves one row at most, for undoing it takes one new row at
most: so a plan that has no more cuts than it saves rows against the fewest possible without cuts has the fewest cuts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corpusmill.errors import ConfigError
from corpusmill.packing_options import MAX_SEQUENCE_LENGTH, MIN_SEQUENCE_LENGTH
from corpusmill.tokenize.packing.best_fit import best_fit

VERSION = 2
_ANY = 1 << 62

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """Where every piece of every length goes. Pieces of one length are interchangeable: they are numbered by slots.

    sequence_length  tokens per row
    counts           int64[sequence_length + 1], pieces of each length
    base             int64[sequence_length + 1], number of the first slot of each length when all are numbered through
    first_slot       int64[m], rising: number of the first slot of each run
    first_part       int64[m], the first of the parts that each piece of the run is cut into; mostly it is the only one
    part_count       int64[m], how many those are
    parts            int64[p, 4]: row of the run's first slot, slots of the run in each row, offset in the piece, tokens
    rows             rows in all, numbered 0 to rows - 1; every one has at least one piece
    cuts             times a piece was cut to save a row
    least_cuts       no plan with so few rows has fewer
    tally            int64[24], rows with 1, 2, 3 to 4, 5 to 8 … pieces
    """

    sequence_length: int
    counts: Int64s
    base: Int64s
    first_slot: Int64s
    first_part: Int64s
    part_count: Int64s
    parts: Int64s
    rows: int
    cuts: int
    least_cuts: int
    tally: Int64s

    @property
    def segments(self) -> int:
        """Pieces in all, those cut counted as often as they have parts."""
        return int(self.counts.sum()) + self.cuts

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

    def parts_of(
        self, length: npt.NDArray[np.integer], slot: npt.NDArray[np.integer]
    ) -> tuple[Int64s, Int64s, Int64s, Int64s]:
        """The parts of slot number `slot` among the pieces of `length`, both int[n], in order: int64[k] each,

        position of the piece among the given, offset in the piece, tokens, row.
        """
        number = self.base[length] + slot
        run = np.searchsorted(self.first_slot, number, side="right") - 1
        within = number - self.first_slot[run]
        part = self.first_part[run]
        piece = np.arange(len(number))
        if self.cuts:
            times = self.part_count[run]
            piece = np.repeat(piece, times)
            part = part[piece] + np.arange(len(piece)) - (np.cumsum(times) - times)[piece]
            within = within[piece]
        row, per_row, offset, tokens = (self.parts[part, column] for column in range(4))
        return piece, offset, tokens, row + within // per_row


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


def plan(counts: Int64s, max_padding: float | None = None, max_pieces: int | None = None) -> Plan:
    """Plan a corpus from `counts` int64[sequence_length + 1], the pieces of each length. Raises ConfigError.

    Nothing is cut, unless the share of padding in the room of all rows would be above `max_padding`: then there are
    as many rows as are allowed, and few cuts, see `least_cuts`. No row gets more than `max_pieces`, whatever that pads.
    """
    counts = np.ascontiguousarray(counts, dtype=np.int64)
    sequence_length = len(counts) - 1
    check_sequence_length(sequence_length)
    if counts.min() < 0 or counts[0]:
        raise ConfigError(
            f"histogram: got {counts[0]} pieces of length 0, least {counts.min()}; allowed: no such piece, none below 0"
        )
    if int(counts.sum()) * sequence_length >= _ANY:
        raise ConfigError(f"{counts.sum()} pieces in rows of {sequence_length} tokens: too many to count in 63 bits")
    base = np.zeros_like(counts)
    base[:-1] = np.cumsum(counts[::-1])[::-1][1:]  # the longest pieces are numbered first
    most_pieces = _ANY if max_pieces is None else max_pieces
    made = _planned(counts, base, _ANY, most_pieces, at_once=True)
    if max_padding is None:
        return made
    allowed = max(made.lower_bound_rows, math.floor(made.tokens / (sequence_length * (1 - max_padding))))
    if made.rows <= allowed:
        return made
    first = _planned(counts, base, allowed, most_pieces, at_once=True)
    if first.cuts == first.least_cuts:
        return first
    # neither way is always the better one: long pieces cut before short ones take the rooms, or the other way round
    return min(first, _planned(counts, base, allowed, most_pieces, at_once=False), key=_cost)


def _cost(made: Plan) -> tuple[int, int]:
    return made.rows, made.cuts


def _planned(counts: Int64s, base: Int64s, most_rows: int, most_pieces: int, *, at_once: bool) -> Plan:
    runs, parts, tally, rows = best_fit(counts, base, most_rows, most_pieces, at_once)
    part_count = np.diff(runs[:, 1], append=len(parts))
    order = np.argsort(runs[:, 0], kind="stable")
    first_slot = runs[order, 0]
    part_count = part_count[order]
    cuts = int(np.dot(np.diff(first_slot, append=counts.sum()), part_count - 1))
    least = max(0, rows_without_cuts(counts) - int(rows)) if cuts else 0
    return Plan(
        len(counts) - 1, counts, base, first_slot, runs[order, 1], part_count, parts, int(rows), cuts, least, tally
    )


def rows_without_cuts(counts: Int64s) -> int:
    """No packing that cuts none of these pieces needs fewer rows (Martello and Toth, 1990, "Lower bounds and reduction
    procedures for the bin packing problem", bound L2).

    For every length k up to half a row: pieces longer than a row less k have a row of their own as far as pieces from
    k on are concerned, those longer than half a row have one each, and the others from k on fill what the latter leave.
    """
    limit = len(counts) - 1
    sizes = np.arange(limit + 1)
    many = np.concatenate(([0], np.cumsum(counts)))  # many[i]: pieces shorter than i
    mass = np.concatenate(([0], np.cumsum(counts * sizes)))
    k = np.arange(limit // 2 + 1)
    half = limit // 2 + 1
    alone = many[limit + 1] - many[limit - k + 1]
    long, long_mass = many[limit - k + 1] - many[half], mass[limit - k + 1] - mass[half]
    small = mass[half] - mass[k]
    return int((alone + long + np.maximum(0, -((long * limit - long_mass - small) // limit))).max())
