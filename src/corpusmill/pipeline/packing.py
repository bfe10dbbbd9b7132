"""What the workers of the pack stage share: the token files, and their pieces on the way to rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.packing_options import Shards
from corpusmill.pipeline.directory import Record, RunDirectory
from corpusmill.storage import is_local
from corpusmill.tokenize.packing import mixture
from corpusmill.tokenize.packing.arrange import Arrangement, count
from corpusmill.tokenize.packing.place import keyed, order_key
from corpusmill.tokenize.packing.strata import Strata
from corpusmill.tokenize.packing.token_files import TokenFile, open_token_file

PIECE = np.dtype(
    [
        ("row", "<i8"),
        ("order", "<u8"),
        ("document", "<i8"),
        ("id", "<u8", (2,)),
        ("source", "<u2"),
        ("file", "<u4"),
        ("begin", "<i8"),
        ("offset", "<u4"),
        ("length", "<u4"),
    ]
)
"""A piece of a document on its way to its row: `row` in the shard, `begin` in the token file `file`."""

MOST_MAPPED = 4096
"""Token files that a worker keeps mapped: every shard has tokens from all of them, and to map one anew costs more than
its part of a shard. Linux allows a process 65,530 maps."""

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Input:
    """One token file: its source's position and epochs, and the ordinal of its first document in the corpus."""

    path: str
    source: int
    epochs: float
    first_document: int


@dataclass(frozen=True)
class Drawn:
    """The documents of one token file that are in the mix, as often as they are, in the order in which they are placed.

    file      the open token file
    document  int64[n], position in the file
    lengths   int64[n], tokens
    stratum   int64[n]
    """

    file: TokenFile
    document: Int64s
    lengths: Int64s
    stratum: Int64s


@dataclass(frozen=True)
class Packing:
    """What the workers of the pack stage need to know."""

    stage: str
    fingerprint: str
    directory: RunDirectory
    inputs: tuple[Input, ...]
    sources: tuple[str, ...]
    seed: int
    options: Shards
    pad_id: int
    dtype: str

    @property
    def sequence_length(self) -> int:
        """Tokens per row."""
        return self.options.sequence_length

    @property
    def rows_per_shard(self) -> int:
        """Rows of every shard but the last."""
        return self.options.rows_per_shard

    @cached_property
    def strata(self) -> Strata:
        """The strata of the mix."""
        return Strata(self.options.strata, self.sources)

    @cached_property
    def opened(self) -> Callable[[int], TokenFile]:
        """The token file at a position. For workers only: what has files open can't be sent to one."""
        directory, inputs = self.directory, self.inputs  # not self: a cycle would keep the files mapped
        most = MOST_MAPPED if is_local(directory.root) else 1  # what is not mapped is in memory as a whole
        return lru_cache(most)(lambda at: open_token_file(directory.path(inputs[at].path)))

    def order(self) -> list[int]:
        """Positions of the token files in the order in which their documents are counted.

        "fit" gives pieces of one length places by chance whatever their order, so it is that of the corpus and rows do
        not depend on how it was cut into files; "concat" lays neighbours side by side.
        """
        every = range(len(self.inputs))
        if self.options.packing == "fit":
            return list(every)
        return sorted(every, key=lambda n: keyed(self.seed, "file", self.inputs[n].path))

    def drawn(self, position: int) -> Drawn:
        """The documents of one token file that are in the mix."""
        given = self.inputs[position]
        file = self.opened(position)
        ids = file.ids
        times = mixture.copies(ids, given.epochs, self.seed)
        sizes = np.diff(file.offsets)
        stratum = self.strata.numbers(given.source, sizes, file.signals)
        document = np.repeat(np.arange(len(times)), times)
        if self.options.packing == "concat":  # neighbours in the file must not be neighbours in a row, nor copies
            copy = np.arange(len(document)) - np.repeat(np.cumsum(times) - times, times)
            document = document[np.argsort(order_key(ids[document], copy, keyed(self.seed, "stream")))]
        return Drawn(file, document, sizes[document], stratum[document])

    def count(self, drawn: Drawn) -> Int64s:
        """What a token file brings, see `arrange.count`."""
        return count(self.options, drawn.lengths, drawn.stratum, len(self.strata.names))

    def arrange(self, total: Int64s) -> Arrangement:
        """The rows of all documents, from the sum of all counts."""
        return Arrangement(self.options, total)

    def pieces(self, position: int, drawn: Drawn, arrangement: Arrangement, before: Int64s) -> npt.NDArray[Any]:
        """PIECE[m]: the pieces of one token file, `row` in all rows; `before` is the count of all files before it."""
        found = arrangement.place(drawn.lengths, drawn.stratum, before, self.seed)
        document = drawn.document[found.document]
        given = self.inputs[position]
        out = np.empty(len(document), PIECE)
        out["row"], out["source"], out["file"] = found.row, given.source, position
        out["document"], out["id"] = given.first_document + document, drawn.file.ids[document]
        out["begin"], out["offset"] = drawn.file.offsets[document] + found.offset, found.offset
        out["length"] = found.length
        if found.stream is not None:
            out["order"] = found.stream
        else:  # copies of a document may be cut in different places
            out["order"] = order_key(out["id"], found.offset | found.length << 32, self.seed)
        return out


def counts_of(record: Record) -> Int64s:
    """int64[strata, k]: the counts in a record of `Count`."""
    made = np.zeros(record["shape"], np.int64)
    made.reshape(-1)[np.frombuffer(bytes.fromhex(record["cells"]), np.int64)] = np.frombuffer(
        bytes.fromhex(record["counts"]), np.int64
    )
    return made


def counts_record(counts: Int64s) -> Record:
    """Counts as plain data."""
    cells = np.flatnonzero(counts)
    numbers = counts.reshape(-1)[cells]
    return {"shape": list(counts.shape), "cells": cells.tobytes().hex(), "counts": numbers.tobytes().hex()}
