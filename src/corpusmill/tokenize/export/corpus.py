"""What there is to export: the whole documents of a run's token files, or the packed rows of its shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from corpusmill.tokenize.export.blocks import PADDING, PIECE, Block, Int64s, copy_pieces, offsets_of
from corpusmill.tokenize.packing.place import keyed, order_key
from corpusmill.tokenize.packing.token_files import TokenFile, open_token_file
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenize.shards.takedown import listed

LEFT_OUT = -1
"""The length of a sequence that is not exported."""


@dataclass(frozen=True)
class Split:
    """The sequences whose hash, as a fraction of 2**64, is at least `low` and below `high`."""

    name: str
    low: float = 0.0
    high: float = 1.0

    def takes(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """bool[n]."""
        share = (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return (share >= self.low) & (share < self.high)


class Corpus(Protocol):
    """Sequences in files, in a fixed order.

    sources  names, in the order that `PIECE["source"]` counts
    files    how many there are
    tokens   all of them that the manifests tell, padding included
    id_sum   sum of the ids of its documents mod 2**128, None where it is not known
    """

    @property
    def sources(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def files(self) -> int: ...  # noqa: D102
    @property
    def tokens(self) -> int: ...  # noqa: D102
    @property
    def id_sum(self) -> int | None: ...  # noqa: D102

    def lengths(self, file: int, split: Split) -> Int64s:
        """int64[n]: tokens of each sequence of a file, separators included; LEFT_OUT where it is not exported."""

    def pieces(self, file: int) -> Int64s:
        """int64[n]: pieces of documents in each sequence of a file."""

    def block(self, file: int, first: int, stop: int, split: Split) -> Block:
        """The sequences `first` to `stop` of a file that are exported."""


@dataclass(frozen=True)
class Tokens:
    """One token file: its source's position and the ordinal of its first document in the corpus."""

    path: str
    source: int
    first_document: int


@dataclass(frozen=True)
class Documents:
    """Whole documents; `separator` (a token) is put behind each where the format needs one and they have none.

    `takedowns` are the ids of documents that must not be used any more, see `takedown.id_table`.
    """

    sources: Sequence[str]
    inputs: tuple[Tokens, ...]
    tokens: int
    id_sum: int | None = None
    separator: int | None = None
    takedowns: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty((0, 2), np.uint64))

    @property
    def files(self) -> int:
        """Token files."""
        return len(self.inputs)

    def lengths(self, file: int, split: Split) -> Int64s:
        """See Corpus."""
        found = _opened(self.inputs[file].path)
        lengths = np.diff(found.offsets) + (self.separator is not None)
        return np.where(self._kept(found.ids, split), lengths, LEFT_OUT)

    def pieces(self, file: int) -> Int64s:
        """See Corpus."""
        return np.ones(len(_opened(self.inputs[file].path).ids), dtype=np.int64)

    def units(self) -> list[list[Any]]:
        """Name and exported documents of each token file: how the documents lie in a row depends on both."""
        every = Split("")
        return [
            [Path(given.path).stem, int((self.lengths(n, every) != LEFT_OUT).sum())]
            for n, given in enumerate(self.inputs)
        ]

    def taken_down(self, file: int) -> tuple[int, int, npt.NDArray[np.uint64]]:
        """Documents and tokens of a file that are left out for good, and their ids."""
        found = _opened(self.inputs[file].path)
        gone = self._gone(found.ids)
        return int(gone.sum()), int(np.diff(found.offsets)[gone].sum()), found.ids[gone]

    def block(self, file: int, first: int, stop: int, split: Split) -> Block:
        """See Corpus."""
        given, found = self.inputs[file], _opened(self.inputs[file].path)
        ids = found.ids[first:stop]
        taken = np.flatnonzero(self._kept(ids, split))
        kept = first + taken
        begin, inside = found.offsets[kept], found.offsets[kept + 1] - found.offsets[kept]
        lengths = inside + (self.separator is not None)
        at = offsets_of(lengths)
        tokens = np.empty(at[-1], dtype=found.tokens.dtype)
        copy_pieces(found.tokens, begin, inside, tokens, at[:-1])
        if self.separator is not None:
            tokens[at[1:] - 1] = self.separator
        pieces = np.zeros(len(kept), dtype=PIECE)
        pieces["length"], pieces["source"], pieces["document"] = lengths, given.source, given.first_document + kept
        pieces["id"] = _id_bytes(ids[taken])
        return Block(tokens, lengths, pieces, np.ones(len(kept), dtype=np.int64))

    def _kept(self, ids: npt.NDArray[np.uint64], split: Split) -> npt.NDArray[np.bool_]:
        hashes = order_key(ids, np.zeros(len(ids), dtype=np.int64), keyed(0, "export", "split"))
        return split.takes(hashes) & ~self._gone(ids)

    def _gone(self, ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        return listed(_id_bytes(ids), self.takedowns)


@lru_cache(maxsize=2)
def _opened(path: str) -> TokenFile:
    return open_token_file(path)


def _id_bytes(ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """uint8[n, 16] of ids uint64[n, 2]."""
    return np.ascontiguousarray(ids.astype(">u8")).view(np.uint8).reshape(-1, 16)


@dataclass(frozen=True)
class Rows:
    """The packed rows of a shards folder, as its reader gives them; a shard counts as a file.

    What was taken down stays in its place, as padding.
    """

    packed: Packed
    id_sum: int | None = None

    @property
    def sources(self) -> Sequence[str]:
        """See Corpus."""
        return self.packed.sources

    @property
    def files(self) -> int:
        """Shards."""
        return self.packed.shards

    @property
    def tokens(self) -> int:
        """Padding included."""
        return len(self.packed) * self.packed.sequence_length

    def lengths(self, file: int, split: Split) -> Int64s:
        """See Corpus."""
        return np.where(self._kept(file, split), self.packed.sequence_length, LEFT_OUT).astype(np.int64)

    def pieces(self, file: int) -> Int64s:
        """See Corpus; padding counts, where there is none too."""
        shard, rows = self.packed.shard(file), self.packed.rows_of(file)
        first = np.searchsorted(shard.end, np.arange(rows + 1) * self.packed.sequence_length, side="right")
        return np.diff(first) + 1

    def block(self, file: int, first: int, stop: int, split: Split) -> Block:
        """See Corpus."""
        length, shard = self.packed.sequence_length, self.packed.shard(file)
        found = self.packed.gather(file * self.packed.rows_per_shard + np.arange(first, stop))
        begin = shard.bounds(first)[0]
        segments = slice(begin, begin + int(found.first[-1]))
        held = np.diff(found.first)
        ends = np.where(held > 0, (found.start + found.length)[found.first[1:] - 1] if len(found.start) else 0, 0)
        padded = ends < length
        before: Int64s = np.cumsum(padded) - padded  # pieces of padding before each row
        pieces = np.zeros(len(found.start) + int(padded.sum()), dtype=PIECE)
        pieces["source"] = PADDING
        at = np.arange(len(found.start)) + np.repeat(before, held)
        pieces["length"][at] = found.length
        pieces["length"][(found.first[1:] + before)[padded]] = (length - ends)[padded]
        at, seen = at[~found.hidden], np.flatnonzero(~found.hidden)
        pieces["source"][at] = found.source[seen]
        for name, column in (("document", shard.document), ("offset", shard.offset), ("id", shard.ids)):
            pieces[name][at] = column[segments][seen]
        kept = self._kept(file, split)[first:stop]
        counts = held + padded
        tokens = found.tokens[kept].reshape(-1)
        return Block(tokens, np.full(kept.sum(), length, np.int64), pieces[np.repeat(kept, counts)], counts[kept])

    def _kept(self, file: int, split: Split) -> npt.NDArray[np.bool_]:
        rows = np.arange(self.packed.rows_of(file), dtype=np.uint64) + np.uint64(file * self.packed.rows_per_shard)
        ids = np.stack([np.zeros_like(rows), rows], axis=1)
        return split.takes(order_key(ids, np.zeros(len(rows), np.int64), keyed(0, "export", "split")))
