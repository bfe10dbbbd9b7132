"""The rows of a whole mix: a plan for each stratum, rows of all strata permuted together.

Everybody who has the counts of all token files makes the same arrangement, and finds the rows of his own documents from
the counts of the files before his. "fit" counts pieces by length and plans, see `plan`. "concat" counts tokens only: a
document's rows are where it lies in the stream of its stratum's documents, and the order of that stream is that of the
files as they are counted, and the given order within them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corpusmill.errors import ConfigError
from corpusmill.packing_options import Shards
from corpusmill.tokenize.packing import plan
from corpusmill.tokenize.packing.place import Permutation, keyed, place

VERSION = 1

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Chop:
    """Documents one behind the other, `tokens` in all, cut where a row ends; only the last row is padded."""

    sequence_length: int
    tokens: int

    @property
    def rows(self) -> int:
        """Rows, the last one perhaps padded."""
        return -(-self.tokens // self.sequence_length)

    @property
    def pad_tokens(self) -> int:
        """Padding of the last row."""
        return self.rows * self.sequence_length - self.tokens


@dataclass(frozen=True)
class Placed:
    """Pieces of documents with their rows, int64[k] each.

    document  position among the documents given
    offset    first token in the document
    length    tokens
    row       in all rows of the mix
    stream    concat: place in the stream of documents, which pieces keep in their row; fit: None
    """

    document: Int64s
    offset: Int64s
    length: Int64s
    row: Int64s
    stream: Int64s | None


def count(options: Shards, lengths: Int64s, stratum: Int64s, strata: int) -> Int64s:
    """What documents bring: fit int64[strata, sequence_length + 1], pieces; concat int64[strata, 1], tokens.

    `lengths` int64[n] in tokens, `stratum` int64[n] below `strata`. Counts of parts of a corpus are summed.
    """
    if options.packing == "concat":
        made = np.zeros((strata, 1), dtype=np.int64)
        np.add.at(made[:, 0], stratum, lengths)
        return made
    document, _, length = plan.pieces(lengths, options.sequence_length)
    width = options.sequence_length + 1
    cells = stratum[document] * width + length
    return np.bincount(cells, minlength=strata * width).astype(np.int64).reshape(strata, width)


class Arrangement:
    """All rows of a mix.

    plans      a Plan or a Chop for each stratum
    first_row  int64[strata], its first row before all are permuted
    rows       rows in all
    """

    def __init__(self, options: Shards, total: Int64s) -> None:
        """Arrange a mix with the counts `total`, see `count`. Raises ConfigError."""
        self.plans: list[plan.Plan | Chop] = [
            Chop(options.sequence_length, int(counts[0]))
            if options.packing == "concat"
            else plan.plan(counts, options.max_padding, options.max_documents_per_row)
            for counts in total
        ]
        rows = np.array([made.rows for made in self.plans], dtype=np.int64)
        self.first_row: Int64s = np.cumsum(rows) - rows
        self.rows = int(rows.sum())

    def place(self, lengths: Int64s, stratum: Int64s, before: Int64s, seed: int) -> Placed:
        """The rows of documents, `lengths` int64[n] and `stratum` int64[n] in their order.

        `before` is the count of all documents before them. Whoever cuts the corpus elsewhere gets the same rows.
        Raises ConfigError when there are more documents than were counted.
        """
        parts = [np.empty((4 if isinstance(self.plans[0], plan.Plan) else 5, 0), np.int64)]
        for number in np.unique(stratum).tolist():
            own = np.flatnonzero(stratum == number)
            made = self.plans[number]
            if isinstance(made, Chop):
                found = _chopped(made, lengths[own], int(before[number, 0]))
            else:
                found = _fitted(made, lengths[own], before[number], keyed(seed, "slot", number))
            found[0] = own[found[0]]
            found[3] += self.first_row[number]
            parts.append(found)
        document, offset, length, row, *stream = np.concatenate(parts, axis=1)
        row = Permutation(self.rows, keyed(seed, "row")).forward(row).astype(np.int64)
        return Placed(document, offset, length, row, stream[0] if stream else None)


def _fitted(made: plan.Plan, lengths: Int64s, before: Int64s, key: int) -> Int64s:
    """int64[4, k]: document, offset, length, row."""
    document, offset, length = plan.pieces(lengths, made.sequence_length)
    piece, within, tokens, row = place(made, length, before, key)
    return np.stack((document[piece], offset.astype(np.int64)[piece] + within, tokens, row))


def _chopped(made: Chop, lengths: Int64s, before: int) -> Int64s:
    """int64[5, k]: document, offset, length, row, place in the stream."""
    size = made.sequence_length
    ends = before + np.cumsum(lengths)
    if len(ends) and ends[-1] > made.tokens:
        raise ConfigError(f"more documents than the {made.tokens} tokens counted: count again")
    starts = ends - lengths
    first = starts // size
    parts = np.where(lengths > 0, (ends - 1) // size - first + 1, 0)
    document = np.repeat(np.arange(len(lengths)), parts)
    row = first[document] + np.arange(len(document)) - (np.cumsum(parts) - parts)[document]
    begin = np.maximum(starts[document], row * size)
    end = np.minimum(ends[document], (row + 1) * size)
    return np.stack((document, begin - starts[document], end - begin, row, begin))
