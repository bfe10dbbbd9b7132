"""datatrove and nanotron: `.ds` with the tokens, `.ds.index` with the ends of documents, `.ds.metadata`.

As `pipeline/tokens/tokenizer.py` (datatrove 0.10) writes them: tokens of 2 or 4 bytes without header, ends as uint64 in
tokens. Its datasets read windows of seq_len + 1: rows of L tokens are read whole with seq_len = L - 1, and with
return_positions=True positions restart at each piece, for pieces are what the index of rows ends.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from corpusmill.tokenize.export.formats import Format, Target
from corpusmill.tokenize.export.parts import Part


class Datatrove(Format):
    """`00000_tokens.ds`, …; rows have `.ds.loss` too, a byte a token: 1 where it may be predicted."""

    name: ClassVar[str] = "datatrove"

    def write(self, target: Target, part: Part) -> None:
        """Tokens and ends in one pass each."""
        name = f"{part.number:05d}_tokens.ds"
        with target.file(name) as out:
            for block in part.blocks():
                out.write(block.tokens)
        at = 0
        with target.file(f"{name}.index", rows=part.sequences) as out:
            for block in part.blocks():
                ends = at + np.cumsum(block.pieces["length"])
                out.write(ends.astype("<u8"))
                at += len(block.tokens)
        if target.facts.what == "rows":
            with target.file(f"{name}.loss") as out:
                for block in part.blocks():
                    out.write(block.trained().view(np.uint8))
        size = part.dtype.itemsize
        lines = (f"{target.facts.tokenizer}|{size}", str(part.tokens), _human(part.tokens))
        target.write(f"{name}.metadata", "\n".join(lines).encode())


def _human(tokens: int) -> str:
    """The count with three digits, as people read it: 1.50 MT is a million and a half tokens."""
    for unit, size in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if tokens >= size:
            return f"{tokens / size:#.3g} {unit}T"
    return f"{tokens} T"
