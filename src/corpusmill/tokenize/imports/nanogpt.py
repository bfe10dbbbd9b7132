"""nanoGPT's files, of 16-bit tokens unless another type is asked for; documents are found by their end token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from corpusmill.tokenize.imports.reading import Read, Reader, Span, Wanted, listed, little
from corpusmill.tokenize.imports.scanning import read_scanned, scanned_spans


class NanoGpt(Reader):
    """`train.bin`, `val.bin`."""

    name: ClassVar[str] = "nanogpt"

    def files(self, path: Path) -> list[Path]:
        """See Reader."""
        return listed(path, "*.bin", "nanoGPT file")

    def spans(self, path: Path, wanted: Wanted) -> Iterator[Span]:
        """See Reader."""
        yield from scanned_spans(path, 0, _dtype(wanted), wanted)

    def read(self, span: Span, wanted: Wanted) -> Read:
        """See Reader."""
        return read_scanned(span, 0, _dtype(wanted), wanted)


def _dtype(wanted: Wanted) -> str:
    return little(wanted.dtype or "uint16")
