"""A corpus of whole documents in token files, and one of packed rows, both small and without a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.document import document_ids, id_sum, id_words
from corpusmill.tokenize.export.blocks import PADDING, PIECE, Block, Int64s
from corpusmill.tokenize.export.corpus import LEFT_OUT, Documents, Split, Tokens
from corpusmill.tokenize.packing.token_files import write_token_file

END = 0


@dataclass(frozen=True)
class FixedRows:
    """Rows given as lists of pieces (source, tokens); what is left of a row is padding of token END."""

    rows: Sequence[Sequence[tuple[int, Sequence[int]]]]
    length: int
    sources: Sequence[str] = ("code", "web")
    files: int = 1
    id_sum: int | None = None

    @property
    def tokens(self) -> int:
        return len(self.rows) * self.length

    def lengths(self, file: int, split: Split) -> Int64s:  # noqa: ARG002
        hashes = np.linspace(0, 2.0**64 * 0.999, len(self.rows)).astype(np.uint64)
        return np.where(split.takes(hashes), self.length, LEFT_OUT)

    def pieces(self, file: int) -> Int64s:  # noqa: ARG002
        return np.array([len(row) + 1 for row in self.rows], dtype=np.int64)

    def block(self, file: int, first: int, stop: int, split: Split) -> Block:
        kept = first + np.flatnonzero(self.lengths(file, split)[first:stop] != LEFT_OUT)
        tokens: list[int] = []
        pieces, counts = [], []
        for at in kept.tolist():
            row = self.rows[at]
            inside = [token for _, part in row for token in part]
            found = [(len(part), source, at, 0, bytes([at, n] * 8)) for n, (source, part) in enumerate(row)]
            if len(inside) < self.length:
                found.append((self.length - len(inside), PADDING, 0, 0, bytes(16)))
            tokens += inside + [END] * (self.length - len(inside))
            pieces += [(*piece[:4], list(piece[4])) for piece in found]
            counts.append(len(found))
        lengths = np.full(len(kept), self.length, np.int64)
        return Block(np.array(tokens, np.uint16), lengths, np.array(pieces, PIECE), np.array(counts, np.int64))


Make = Callable[..., Documents]


@pytest.fixture
def documents(tmp_path: Path) -> Make:
    """A function: documents by source and file, as lists of tokens, to a corpus."""

    made: list[Documents] = []

    def make(files: Sequence[tuple[str, Sequence[Sequence[int]]]], dtype: str = "uint16", **more: object) -> Documents:
        names = sorted({name for name, _ in files})
        inputs, total, ids = [], 0, 0
        first = 0
        for number, (name, texts) in enumerate(files):
            path = tmp_path / "tokens" / f"{len(made)}-{number}.arrow"
            flat = np.array([token for text in texts for token in text], dtype=dtype)
            found = pa.array(document_ids(name, [f"{number}#{n}" for n in range(len(texts))]), pa.binary(16))
            write_token_file(str(path), path.name, found, flat, np.array([len(text) for text in texts], np.int64))
            inputs.append(Tokens(str(path), names.index(name), first))
            first, total, ids = first + len(texts), total + len(flat), ids + id_sum(id_words(found))
        corpus = Documents(tuple(names), tuple(inputs), total, ids % (1 << 128), **more)  # type: ignore[arg-type]
        made.append(corpus)
        return corpus

    return make


@pytest.fixture
def fixed_rows() -> type[FixedRows]:
    return FixedRows
