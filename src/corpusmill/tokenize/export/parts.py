"""An export cut into parts that keep the format's limits, and read block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from corpusmill.errors import ConfigError
from corpusmill.tokenize.export.blocks import Block, Int64s, checked_cast
from corpusmill.tokenize.export.corpus import LEFT_OUT, Corpus, Split

BLOCK_TOKENS = 4 << 20
"""What is in memory at once, but for a longer sequence."""


@dataclass(frozen=True)
class Slice:
    """Sequences `first` to `stop` of a file of the corpus; those that are left out do not count."""

    file: int
    first: int
    stop: int


@dataclass(frozen=True)
class Part:
    """What goes into one file of the export (or one set of files): `sequences` with `tokens` in all."""

    corpus: Corpus
    split: Split
    dtype: np.dtype[Any]
    slices: tuple[Slice, ...]
    sequences: int
    tokens: int
    number: int = 0
    of: int = 1

    def lengths(self) -> Iterator[Int64s]:
        """Tokens of the sequences, slice by slice."""
        for piece in self.slices:
            lengths = self.corpus.lengths(piece.file, self.split)[piece.first : piece.stop]
            yield lengths[lengths != LEFT_OUT]

    def blocks(self) -> Iterator[Block]:
        """The sequences, in the type that the format stores. Raises IntegrityError for a token that does not fit it."""
        for piece in self.slices:
            block = self.corpus.block(piece.file, piece.first, piece.stop, self.split)
            yield replace(block, tokens=checked_cast(block.tokens, self.dtype, f"file {piece.file} of the corpus"))


def plan_parts(
    corpus: Corpus, split: Split, dtype: np.dtype[Any], limit: int, most: int, weights: tuple[int, int, int]
) -> list[Part]:
    """The parts of a split, none heavier than `limit` but for a single sequence, which may
    weigh `most`; `weights` are those of a token, a piece and a sequence.

    Raises ConfigError for a sequence that no part can hold.
    """
    parts: list[Part] = []
    slices: list[Slice] = []
    weight = sequences = tokens = 0

    def close() -> None:
        nonlocal weight, sequences, tokens
        if sequences:
            parts.append(Part(corpus, split, dtype, tuple(slices), sequences, tokens))
        slices.clear()
        weight = sequences = tokens = 0

    for file in range(corpus.files):
        lengths = corpus.lengths(file, split)
        kept = lengths != LEFT_OUT
        token, piece, sequence = weights
        sizes = kept * (token * lengths + sequence + (piece * corpus.pieces(file) if piece else 0))
        ends = {"weight": np.cumsum(sizes), "tokens": np.cumsum(lengths * kept), "kept": np.cumsum(kept)}
        first = 0
        while first < len(lengths):
            before = {name: int(values[first - 1]) if first else 0 for name, values in ends.items()}
            stop = int(np.searchsorted(ends["weight"], before["weight"] + limit - weight, side="right"))
            stop = min(stop, int(np.searchsorted(ends["tokens"], before["tokens"] + BLOCK_TOKENS, side="right")))
            if stop <= first:
                if weight and weight + int(sizes[first]) > limit:
                    close()
                    continue
                if int(sizes[first]) > most:
                    raise ConfigError(
                        f"a sequence of {lengths[first]} tokens is more than one file of this format can hold; export "
                        "rows, or another format"
                    )
                stop = first + 1  # longer than a block, or heavier than other parts
            slices.append(Slice(file, first, stop))
            weight += int(ends["weight"][stop - 1]) - before["weight"]
            tokens += int(ends["tokens"][stop - 1]) - before["tokens"]
            sequences += int(ends["kept"][stop - 1]) - before["kept"]
            first = stop
    close()
    return [replace(part, number=number, of=len(parts)) for number, part in enumerate(parts)]
