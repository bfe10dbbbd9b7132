"""Megatron-LM, NeMo and gpt-neox: `.bin` with the tokens and `.idx` with lengths, places and documents.

The layout is that of `megatron/core/datasets/indexed_dataset.py` (core 0.19): version 1, types by number, int32 from
65,500 ids on, as its `optimal_dtype` chooses. Rows are one sequence and one document each: samples of Megatron advance
by `seq_length` tokens while they read one more, so rows of exactly that length stay aligned.
"""

from __future__ import annotations

import struct
from typing import ClassVar

import numpy as np

from corpusmill.tokenize.export.blocks import offsets_of
from corpusmill.tokenize.export.formats import Format, Target
from corpusmill.tokenize.export.parts import Part

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
HEADER = struct.Struct("<9sQBQQ")
CODES = {3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}
"""Types of tokens by their number; 1 and 2 are bytes, 6 and 7 floats in an order that Megatron and gpt-neox dispute."""


class Megatron(Format):
    """`part-00000.bin` and `part-00000.idx`, …"""

    name: ClassVar[str] = "megatron"
    types: ClassVar[tuple[tuple[int, str], ...]] = ((65_499, "<u2"), (1 << 31, "<i4"))
    limit: ClassVar[int] = (1 << 31) - 1  # tokens of a sequence are an int32
    most: ClassVar[int] = (1 << 31) - 1

    def write(self, target: Target, part: Part) -> None:
        """The tokens, then the index; lengths are read anew for each of its columns and never held."""
        name = f"part-{part.number:05d}"
        with target.file(f"{name}.bin") as out:
            for block in part.blocks():
                out.write(block.tokens)
        code = next(code for code, kind in CODES.items() if np.dtype(kind) == part.dtype)
        with target.file(f"{name}.idx", rows=part.sequences) as out:
            out.write(HEADER.pack(MAGIC, VERSION, code, part.sequences, part.sequences + 1))
            for lengths in part.lengths():
                out.write(lengths.astype("<i4"))
            at = 0
            for lengths in part.lengths():
                out.write(((at + offsets_of(lengths)[:-1]) * part.dtype.itemsize).astype("<i8"))
                at += int(lengths.sum())
            at = 0
            for lengths in part.lengths():
                out.write(np.arange(at, at + len(lengths), dtype="<i8"))
                at += len(lengths)
            out.write(np.array([at], dtype="<i8"))
