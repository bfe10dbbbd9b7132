"""nanoGPT: one file of tokens, 16 bits each, without any header; documents end with the end-of-text token.

As `data/openwebtext/prepare.py` writes them: `train.bin`, `val.bin`. Its `meta.pkl` is optional and not written.
"""

from __future__ import annotations

from typing import ClassVar

from corpusmill.tokenize.export.formats import Format, Target
from corpusmill.tokenize.export.parts import Part
from corpusmill.tokenize.tokenizers.encode import UINT16_VOCAB


class NanoGpt(Format):
    """`train.bin`, of any length."""

    name: ClassVar[str] = "nanogpt"
    types: ClassVar[tuple[tuple[int, str], ...]] = ((UINT16_VOCAB, "<u2"),)
    ends_by_token: ClassVar[bool] = True
    limit: ClassVar[int] = 1 << 62
    own_folder: ClassVar[bool] = False

    def write(self, target: Target, part: Part) -> None:
        """The tokens."""
        name = part.split.name if part.of == 1 else f"{part.split.name}-{part.number:05d}"
        with target.file(f"{name}.bin") as out:
            for block in part.blocks():
                out.write(block.tokens)
