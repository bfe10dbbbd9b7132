"""MosaicML streaming: MDS shards and `index.json`.

The layout is that of `streaming/base/format/mds` (version 2): the number of samples, the places of all of them, the
configuration, the samples. A sample has the sizes of its variable columns, then its columns by rising name. Rows have
the columns `tokens` (fixed shape) and `lengths` (of the row's pieces of documents, padding included); documents have
`id`, `source` and `tokens`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from corpusmill.storage import FileEntry
from corpusmill.tokenize.export.blocks import Block, Int64s, copy_pieces, hex_ids, offsets_of
from corpusmill.tokenize.export.corpus import Corpus
from corpusmill.tokenize.export.formats import Facts, Format, Target, What
from corpusmill.tokenize.export.parts import Part

VERSION = 2
SIZE_LIMIT = 1 << 26
"""Bytes of a shard, the library's default."""
MOST_BYTES = (1 << 32) - (1 << 16)
"""Places are uint32, and the configuration is before them."""
HEAD_BYTES = 112
"""At least what a document's sample has beside its tokens: its place, three sizes, id, the shape, a source's name."""

Column = tuple[npt.NDArray[np.uint8], Int64s]
"""The bytes of one column of all samples, and their lengths."""


class Mds(Format):
    """`shard.00000.mds`, … and `index.json`."""

    name: ClassVar[str] = "mds"
    default_what: ClassVar[What] = "rows"
    limit: ClassVar[int] = SIZE_LIMIT
    most: ClassVar[int] = MOST_BYTES
    weights: ClassVar[tuple[int, int, int]] = (4, 4, HEAD_BYTES)  # bytes

    def write(self, target: Target, part: Part) -> None:
        """One shard, put together in memory: it has 64 MiB at most, or one longer document."""
        config = _config(part, target.facts)
        head = json.dumps(config, sort_keys=True).encode()
        made = [assemble(_columns(block, part.corpus, target.facts), _variable(config)) for block in part.blocks()]
        first = 4 + 4 * (part.sequences + 1) + len(head)
        places = first + offsets_of(np.concatenate([sizes for _, sizes in made]))
        with target.file(f"shard.{part.number:05d}.mds", rows=part.sequences) as out:
            out.write(struct.pack("<I", part.sequences))
            out.write(places.astype("<u4"))
            out.write(head)
            for data, _ in made:
                out.write(data)

    def finish(self, target: Target, parts: Sequence[Part]) -> None:
        """The index."""
        written = {entry.path: entry for entry in target.folder.entries}
        shards = []
        for part in parts:
            entry: FileEntry = written[f"{target.prefix}shard.{part.number:05d}.mds"]
            raw = {"basename": entry.path.removeprefix(target.prefix), "bytes": entry.bytes, "hashes": {}}
            shards.append({**_config(part, target.facts), "raw_data": raw, "samples": part.sequences, "zip_data": None})
        body = {"shards": shards, "version": VERSION}
        target.write("index.json", json.dumps(body, sort_keys=True).encode())


def _config(part: Part, facts: Facts) -> dict[str, Any]:
    kind = part.dtype.name
    if facts.what == "rows":
        length = facts.sequence_length or 0
        columns = {
            "lengths": ("ndarray:uint32", None),
            "tokens": (f"ndarray:{kind}:{length}", length * part.dtype.itemsize),
        }
    else:
        columns = {"id": ("str", None), "source": ("str", None), "tokens": (f"ndarray:{kind}", None)}
    return {
        "column_encodings": [encoding for encoding, _ in columns.values()],
        "column_names": list(columns),
        "column_sizes": [size for _, size in columns.values()],
        "compression": None,
        "format": "mds",
        "hashes": [],
        "size_limit": SIZE_LIMIT,
        "version": VERSION,
    }


def _variable(config: dict[str, Any]) -> list[bool]:
    return [size is None for size in config["column_sizes"]]


def _columns(block: Block, corpus: Corpus, facts: Facts) -> list[Column]:
    """The columns of a block, in the order of their names."""
    tokens = block.tokens.view(np.uint8)
    token_bytes = block.lengths * block.tokens.dtype.itemsize
    if facts.what == "rows":
        lengths = np.ascontiguousarray(block.pieces["length"]).astype("<u4")
        return [_shaped(lengths.view(np.uint8), 4 * block.counts, block.counts), (tokens, token_bytes)]
    names = [name.encode() for name in corpus.sources]
    table, sizes = np.frombuffer(b"".join(names), np.uint8), np.array([len(name) for name in names], dtype=np.int64)
    which = block.pieces["source"].astype(np.int64)
    sources = np.empty(int(sizes[which].sum()), dtype=np.uint8)
    copy_pieces(table, offsets_of(sizes)[which], sizes[which], sources, offsets_of(sizes[which])[:-1])
    ids = hex_ids(np.ascontiguousarray(block.pieces["id"])).reshape(-1)
    documents = len(block.lengths)
    return [
        (ids, np.full(documents, 32, dtype=np.int64)),
        (sources, sizes[which]),
        _shaped(tokens, token_bytes, block.lengths),
    ]


def _shaped(data: npt.NDArray[np.uint8], sizes: Int64s, shape: Int64s) -> Column:
    """One-dimensional arrays of `shape` numbers each behind their shape: (dimensions << 2 | code), then the number."""
    code = (shape >= 1 << 8).astype(np.int64) + (shape >= 1 << 16)  # 0, 1, 2: uint8, uint16, uint32
    heads = np.zeros((len(shape), 5), dtype=np.uint8)
    heads[:, 0] = 1 << 2 | code
    heads[:, 1:] = shape.astype("<u4").view(np.uint8).reshape(-1, 4)
    width = 1 + (1 << code)
    begin = np.arange(len(shape), dtype=np.int64) * 5
    total = sizes + width
    out = np.empty(int(total.sum()), dtype=np.uint8)
    at = offsets_of(total)[:-1]
    copy_pieces(heads.reshape(-1), begin, width, out, at)
    copy_pieces(data, offsets_of(sizes)[:-1], sizes, out, at + width)
    return out, total


def assemble(columns: Sequence[Column], variable: Sequence[bool]) -> Column:
    """Samples of n columns: uint8[b] and int64[samples], their bytes."""
    sized = [sizes for (_, sizes), free in zip(columns, variable, strict=True) if free]
    total = sum((sizes for _, sizes in columns), np.full(len(columns[0][1]), 4 * len(sized), dtype=np.int64))
    out = np.empty(int(total.sum()), dtype=np.uint8)
    at = offsets_of(total)[:-1]
    four = np.full(len(total), 4, dtype=np.int64)
    for sizes in sized:
        copy_pieces(sizes.astype("<u4").view(np.uint8), offsets_of(four)[:-1], four, out, at)
        at = at + 4
    for data, sizes in columns:
        copy_pieces(data, offsets_of(sizes)[:-1], sizes, out, at)
        at = at + sizes
    return out, total
