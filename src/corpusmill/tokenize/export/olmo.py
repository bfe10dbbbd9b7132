"""OLMo-core and dolma: `.npy` that is no npy (tokens without header), `.csv.gz` beside it with the documents.

As dolma's `tokenizer/memmap_writer.py` writes them: rows of start, end, id, src, loc in tokens, half open, no header;
at most 512 Mi tokens a file; here `loc` is the document's number in the run. The type of the tokens is told to the
reader, which finds documents by their last token. Rows have a mask of one byte a token (`label_mask_paths`) too.
"""

from __future__ import annotations

import gzip
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from corpusmill.tokenize.export.blocks import PADDING, Block, hex_strings
from corpusmill.tokenize.export.corpus import Corpus
from corpusmill.tokenize.export.formats import Format, Target
from corpusmill.tokenize.export.parts import Part

MOST_TOKENS = 512 << 20
_CSV = pacsv.WriteOptions(include_header=False, quoting_style="none")  # names and ids have no comma


class Olmo(Format):
    """`part-00-00000.npy`, `part-00-00000.csv.gz`, … and for rows `mask-00-00000.npy`."""

    name: ClassVar[str] = "olmo"
    ends_by_token: ClassVar[bool] = True
    limit: ClassVar[int] = MOST_TOKENS
    most: ClassVar[int] = MOST_TOKENS

    def write(self, target: Target, part: Part) -> None:
        """Tokens, documents, mask."""
        name = f"00-{part.number:05d}"
        with target.file(f"part-{name}.npy") as out:
            for block in part.blocks():
                out.write(block.tokens)
        at = 0
        with (
            target.file(f"part-{name}.csv.gz", rows=part.sequences) as out,
            # no name and no time in it: the same documents give the same bytes
            gzip.GzipFile(filename="", fileobj=out, mode="wb", compresslevel=6, mtime=0) as packed,
        ):
            for block in part.blocks():
                pacsv.write_csv(_table(block, part.corpus, at), packed, _CSV)
                at += len(block.tokens)
        if target.facts.what == "rows":
            with target.file(f"mask-{name}.npy") as out:
                for block in part.blocks():
                    out.write(block.trained().view(np.uint8))


def _table(block: Block, corpus: Corpus, at: int) -> pa.Table:
    """start, end, id, src, loc of the pieces but padding."""
    ends = at + np.cumsum(block.pieces["length"])
    real = block.pieces["source"] != PADDING
    pieces, ends = block.pieces[real], ends[real]
    sources = pa.DictionaryArray.from_arrays(pa.array(pieces["source"]), pa.array(list(corpus.sources), pa.string()))
    columns = {
        "start": ends - pieces["length"],
        "end": ends,
        "id": hex_strings(np.ascontiguousarray(pieces["id"])),
        "src": sources.cast(pa.string()),
        "loc": np.ascontiguousarray(pieces["document"]),
    }
    return pa.table(columns)
