"""litdata and litgpt: chunks of tokens for `TokensLoader`, and `index.json`.

A chunk is one item, an array of tokens: the number of items, where it begins and ends, its bytes
(`litdata/streaming/writer.py`). The loader cuts chunks into blocks of its own `block_size`: rows of L tokens are read
whole with `TokensLoader(block_size=L)`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from corpusmill.tokenize.export.formats import Format, Target, What
from corpusmill.tokenize.export.parts import Part

HEAD_BYTES = 12
USUAL_TOKENS = 1 << 25
NUMBERS = {"uint16": 5, "uint32": 6}
"""litdata's numbers of numpy types."""


class LitData(Format):
    """`chunk-0-0.bin`, … and `index.json`."""

    name: ClassVar[str] = "litdata"
    default_what: ClassVar[What] = "rows"
    limit: ClassVar[int] = USUAL_TOKENS
    most: ClassVar[int] = (1 << 30) - 4  # places in bytes are uint32

    def write(self, target: Target, part: Part) -> None:
        """One chunk."""
        size = part.tokens * part.dtype.itemsize
        with target.file(f"chunk-0-{part.number}.bin", rows=1) as out:
            out.write(np.array([1, HEAD_BYTES, HEAD_BYTES + size], dtype="<u4"))
            for block in part.blocks():
                out.write(block.tokens)

    def finish(self, target: Target, parts: Sequence[Part]) -> None:
        """The index."""
        kind = parts[0].dtype
        chunks = [
            {
                "chunk_bytes": part.tokens * kind.itemsize,
                "chunk_size": 1,
                "dim": part.tokens,
                "filename": f"chunk-0-{part.number}.bin",
            }
            for part in parts
        ]
        config = {
            "chunk_bytes": USUAL_TOKENS * kind.itemsize,
            "chunk_size": None,
            "compression": None,
            "data_format": [f"no_header_numpy:{NUMBERS[kind.name]}"],
            "data_spec": json.dumps([1, {"type": None, "context": None, "children_spec": []}]),
            "encryption": None,
            "item_loader": "TokensLoader",
        }
        body = {"chunks": chunks, "config": config, "updated_at": "0"}
        target.write("index.json", json.dumps(body, sort_keys=True).encode())
