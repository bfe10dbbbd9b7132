"""datatrove's `.ds` with `.ds.index`; without the index documents are found by their end token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from corpusmill.errors import InputError
from corpusmill.tokenize.imports.reading import (
    Int64s,
    Read,
    Reader,
    Span,
    Wanted,
    cut_spans,
    listed,
    little,
    mapped,
    usual_dtype,
)
from corpusmill.tokenize.imports.scanning import read_scanned, scanned_spans


class Datatrove(Reader):
    """`*.ds`."""

    name: ClassVar[str] = "datatrove"

    def files(self, path: Path) -> list[Path]:
        """See Reader."""
        return listed(path, "*.ds", "datatrove file")

    def beside(self, path: Path) -> list[Path]:
        """The index and the metadata, as far as they are there."""
        return [each for name in ("index", "metadata") if (each := path.with_name(f"{path.name}.{name}")).is_file()]

    def spans(self, path: Path, wanted: Wanted) -> Iterator[Span]:
        """See Reader."""
        dtype = _dtype(path, wanted)
        ends = _ends(path)
        if ends is None:
            yield from scanned_spans(path, 0, dtype, wanted)
            return
        held = len(mapped(path, dtype))
        offsets = np.concatenate([np.zeros(1, np.int64), ends])
        if offsets[-1] != held or (np.diff(offsets) < 0).any():
            raise InputError(
                f"{path}: {held} tokens of {dtype[1:]}, its index ends at {offsets[-1]}; one of the two is cut short, "
                "or --dtype is wrong"
            )
        yield from cut_spans(path, offsets)

    def read(self, span: Span, wanted: Wanted) -> Read:
        """See Reader."""
        path = Path(span.path)
        dtype = _dtype(path, wanted)
        ends = _ends(path)
        if ends is None:
            return read_scanned(span, 0, dtype, wanted)
        tokens = mapped(path, dtype, span.begin * np.dtype(dtype).itemsize, span.tokens)
        stops = ends[span.first : span.first + span.documents]
        return Read(tokens, np.diff(stops, prepend=span.begin))


def _dtype(path: Path, wanted: Wanted) -> str:
    """The type asked for, the one of the metadata (its first line ends in the bytes of a token), or the usual one."""
    metadata = path.with_name(f"{path.name}.metadata")
    if wanted.dtype is not None or not metadata.is_file():
        return usual_dtype(wanted)
    size = metadata.read_bytes()[:4096].split(b"\n")[0].rpartition(b"|")[2]
    if size not in (b"2", b"4"):
        raise InputError(f"{metadata}: tokens of {size[:20]!r} bytes; wanted 2 or 4, or give --dtype")
    return little("uint16" if size == b"2" else "uint32")


def _ends(path: Path) -> Int64s | None:
    index = path.with_name(f"{path.name}.index")
    return np.asarray(mapped(index, "<i8")) if index.is_file() else None
