"""Megatron's `.bin` and `.idx`; a document is the sequences that the index says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from corpusmill.errors import InputError
from corpusmill.tokenize.export.blocks import offsets_of
from corpusmill.tokenize.export.megatron import CODES, HEADER, MAGIC, VERSION
from corpusmill.tokenize.imports.reading import Int64s, Read, Reader, Span, Wanted, cut_spans, listed, mapped


class Megatron(Reader):
    """`NAME.idx` beside `NAME.bin`."""

    name: ClassVar[str] = "megatron"

    def files(self, path: Path) -> list[Path]:
        """The `.bin` files; one without its index is named too, and refused when it is read."""
        indexes = listed(path, "*.idx", "Megatron index")
        return sorted({each.with_suffix(".bin") for each in [*indexes, *path.glob("*.bin")]})

    def beside(self, path: Path) -> list[Path]:
        """The index, if it is there."""
        return [index] if (index := path.with_suffix(".idx")).is_file() else []

    def spans(self, path: Path, wanted: Wanted) -> Iterator[Span]:  # noqa: ARG002
        """See Reader."""
        dtype, offsets = _offsets(path)
        held = mapped(path, dtype)
        if offsets[-1] != len(held):
            raise InputError(f"{path}: {len(held)} tokens, its index has {offsets[-1]}; one of the two is cut short")
        yield from cut_spans(path, offsets)

    def read(self, span: Span, wanted: Wanted) -> Read:  # noqa: ARG002
        """See Reader."""
        path = Path(span.path)
        dtype, offsets = _offsets(path)
        tokens = mapped(path, dtype, span.begin * np.dtype(dtype).itemsize, span.tokens)
        return Read(tokens, np.diff(offsets[span.first : span.first + span.documents + 1]))


def _offsets(path: Path) -> tuple[str, Int64s]:
    """The type of the tokens, and int64[documents + 1]: where they begin, in tokens."""
    index = path.with_suffix(".idx")
    if not path.is_file() or not index.is_file():
        raise InputError(f"{path} and {index.name}: both are needed, one is missing")
    size = index.stat().st_size
    with index.open("rb") as file:
        head = file.read(HEADER.size)
    if len(head) < HEADER.size or not head.startswith(MAGIC):
        raise InputError(f"{index}: begins with {head[:9]!r}; wanted {MAGIC!r}: not a Megatron index")
    _, version, code, sequences, starts = HEADER.unpack(head)
    if version != VERSION or code not in CODES:
        raise InputError(f"{index}: version {version}, type {code}; wanted version {VERSION} and a type of {[*CODES]}")
    if size != HEADER.size + 12 * sequences + 8 * starts or starts < 1:
        raise InputError(
            f"{index}: {size} bytes, wanted {HEADER.size + 12 * sequences + 8 * starts} for {sequences} sequences in "
            f"{starts - 1} documents; it is cut short or multimodal"
        )
    lengths = mapped(index, "<i4", HEADER.size, sequences)
    places = mapped(index, "<i8", HEADER.size + 4 * sequences, sequences)
    documents = np.asarray(mapped(index, "<i8", HEADER.size + 12 * sequences, starts))
    if documents[0] != 0 or documents[-1] != sequences or (np.diff(documents) < 0).any():
        raise InputError(f"{index}: its documents do not run from sequence 0 to {sequences}; the index is damaged")
    item = np.dtype(CODES[code]).itemsize
    ends = offsets_of(np.asarray(lengths))
    if (lengths < 0).any() or not np.array_equal(places, ends[:-1] * item):
        raise InputError(f"{index}: sequences of {path.name} do not lie one behind the other; the index is damaged")
    return CODES[code], ends[documents]
