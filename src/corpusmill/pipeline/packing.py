"""What the workers of the pack stage share: the token files, and their pieces on the way to rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.pipeline.directory import Record, RunDirectory
from corpusmill.tokenize import mixture, plan
from corpusmill.tokenize.token_files import open_token_file

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

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Input:
    """One token file: its source's position and epochs, and the ordinal of its first document in the corpus."""

    path: str
    source: int
    epochs: float
    first_document: int


@dataclass(frozen=True)
class Packing:
    """What the workers of the pack stage need to know."""

    stage: str
    fingerprint: str
    directory: RunDirectory
    inputs: tuple[Input, ...]
    seed: int
    sequence_length: int
    rows_per_shard: int
    pad_id: int
    dtype: str

    def pieces(self, position: int) -> npt.NDArray[Any]:
        """PIECE[m]: the pieces of one token file, copies included, with neither row nor order yet."""
        given = self.inputs[position]
        file = open_token_file(self.directory.path(given.path))
        times = mixture.copies(file.ids, given.epochs, self.seed)
        drawn = np.repeat(np.arange(len(file.ids)), times)
        document, offset, length = plan.pieces(np.diff(file.offsets)[drawn], self.sequence_length)
        document = drawn[document]
        out = np.zeros(len(document), PIECE)
        out["document"], out["id"] = given.first_document + document, file.ids[document]
        out["source"], out["file"] = given.source, position
        out["begin"], out["offset"], out["length"] = file.offsets[document] + offset, offset, length
        return out


def histogram_of(record: Record) -> Int64s:
    """The histogram in a record of `Count`."""
    return np.frombuffer(bytes.fromhex(record["histogram"]), np.int64)


def total_of(records: list[Record]) -> Int64s:
    """The histogram of all token files."""
    return np.sum([histogram_of(record) for record in records], axis=0, dtype=np.int64)
