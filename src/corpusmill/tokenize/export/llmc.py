"""llm.c: a header of 256 int32 and the tokens, as `dev/data/data_common.py` writes them.

GPT-2's variant (magic 20240520, version 1) has 16 bits a token, that of Llama 3 (20240801, version 7) has 32; the C
loader takes only the first. A file has less than 2**31 tokens, and 10**8 unless something else is asked for.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from corpusmill.tokenize.export.formats import Format, Target
from corpusmill.tokenize.export.parts import Part

HEADER_INTS = 256
VARIANTS = {2: (20240520, 1), 4: (20240801, 7)}
"""Bytes of a token: (magic, version)."""
MOST_TOKENS = (1 << 31) - 1


class Llmc(Format):
    """`tokens_train_000000.bin`, …"""

    name: ClassVar[str] = "llmc"
    ends_by_token: ClassVar[bool] = True
    limit: ClassVar[int] = MOST_TOKENS
    most: ClassVar[int] = MOST_TOKENS
    own_folder: ClassVar[bool] = False

    def write(self, target: Target, part: Part) -> None:
        """Header and tokens."""
        header = np.zeros(HEADER_INTS, dtype="<i4")
        header[:3] = (*VARIANTS[part.dtype.itemsize], part.tokens)
        with target.file(f"tokens_{part.split.name}_{part.number:06d}.bin") as out:
            out.write(header)
            for block in part.blocks():
                out.write(block.tokens)
