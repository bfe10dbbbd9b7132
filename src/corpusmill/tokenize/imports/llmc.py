"""llm.c's and modded-nanogpt's files; documents are found by their end token, or the one that begins them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from corpusmill.errors import InputError
from corpusmill.tokenize.export.llmc import HEADER_INTS, VARIANTS
from corpusmill.tokenize.imports.reading import Read, Reader, Span, Wanted, listed, mapped
from corpusmill.tokenize.imports.scanning import read_scanned, scanned_spans

BASE = 4 * HEADER_INTS


class Llmc(Reader):
    """`*.bin` with a header of 1,024 bytes."""

    name: ClassVar[str] = "llmc"

    def files(self, path: Path) -> list[Path]:
        """See Reader."""
        return listed(path, "*.bin", "llm.c file")

    def spans(self, path: Path, wanted: Wanted) -> Iterator[Span]:
        """See Reader."""
        yield from scanned_spans(path, BASE, _dtype(path), wanted)

    def read(self, span: Span, wanted: Wanted) -> Read:
        """See Reader."""
        return read_scanned(span, BASE, _dtype(Path(span.path)), wanted)


def _dtype(path: Path) -> str:
    """The type of the tokens, by the header."""
    magic, version, tokens = (int(value) for value in mapped(path, "<i4", 0, HEADER_INTS)[:3])
    size = next((size for size, variant in VARIANTS.items() if variant == (magic, version)), None)
    if size is None:
        raise InputError(f"{path}: magic {magic}, version {version}; wanted one of {[*VARIANTS.values()]}")
    if path.stat().st_size != BASE + tokens * size:
        raise InputError(
            f"{path}: {path.stat().st_size} bytes, wanted {BASE + tokens * size} for the {tokens} tokens of its header"
        )
    return np.dtype(f"<u{size}").str
