"""Hugging Face: Parquet that `load_dataset("parquet", …)` or `load_dataset(FOLDER)` reads.

Rows: `input_ids`, `labels` (-100 where a token may not be predicted: a piece's first, padding), `position_ids` (from 0
in every piece) and `seq_lengths` (of the pieces, padding included), which is what the padding-free collators of TRL and
transformers take. Documents: `input_ids`, `id`, `source`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.tokenize.export.blocks import Block, hex_strings, offsets_of
from corpusmill.tokenize.export.corpus import Corpus
from corpusmill.tokenize.export.formats import Facts, Format, Target, What
from corpusmill.tokenize.export.parts import Part

IGNORE = -100
GROUP_TOKENS = 1 << 20
"""About this many tokens in a row group: what a reader takes into memory for one row."""
SPLITS = {"train": "train", "val": "validation"}


class HuggingFace(Format):
    """`data/train-00000-of-00001.parquet`, …"""

    name: ClassVar[str] = "hf"
    default_what: ClassVar[What] = "rows"
    types: ClassVar[tuple[tuple[int, str], ...]] = ((1 << 31, "<i4"),)  # labels need a sign
    limit: ClassVar[int] = 1 << 28
    most: ClassVar[int] = (1 << 31) - 1  # places in a list are int32
    own_folder: ClassVar[bool] = False

    def write(self, target: Target, part: Part) -> None:
        """One file of many row groups."""
        name = f"data/{SPLITS[part.split.name]}-{part.number:05d}-of-{part.of:05d}.parquet"
        schema = _schema(target.facts)
        with (
            target.file(name, rows=part.sequences) as out,
            pq.ParquetWriter(pa.PythonFile(out, "w"), schema, compression="zstd", write_statistics=False) as writer,
        ):
            for block in part.blocks():
                rows = max(1, GROUP_TOKENS * len(block.lengths) // max(1, len(block.tokens)))
                writer.write_table(_table(block, part.corpus, schema), row_group_size=rows)


def _schema(facts: Facts) -> pa.Schema:
    ids = pa.list_(pa.field("element", pa.int32()))
    if facts.what == "rows":
        return pa.schema({name: ids for name in ("input_ids", "labels", "position_ids", "seq_lengths")})
    return pa.schema({"input_ids": ids, "id": pa.string(), "source": pa.string()})


def _table(block: Block, corpus: Corpus, schema: pa.Schema) -> pa.Table:
    def lists(values: Any, lengths: Any) -> pa.Array:
        offsets = pa.array(offsets_of(lengths).astype(np.int32))
        return pa.ListArray.from_arrays(offsets, pa.array(values), type=schema.field("input_ids").type)

    if "labels" in schema.names:
        columns = [
            lists(block.tokens, block.lengths),
            lists(np.where(block.trained(), block.tokens, np.int32(IGNORE)), block.lengths),
            lists(block.positions(), block.lengths),
            lists(block.pieces["length"].astype(np.int32), block.counts),
        ]
    else:
        names = pa.array(list(corpus.sources), pa.string())
        columns = [
            lists(block.tokens, block.lengths),
            hex_strings(np.ascontiguousarray(block.pieces["id"])),
            pa.DictionaryArray.from_arrays(pa.array(block.pieces["source"]), names).cast(pa.string()),
        ]
    return pa.Table.from_arrays(columns, schema=schema)
