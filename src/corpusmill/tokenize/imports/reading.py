"""What every format of an import is: files that are checked, cut into spans of documents, and read span by span."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.errors import InputError
from corpusmill.tokenize.export.blocks import offsets_of
from corpusmill.tokenize.tokenizers.encode import UINT16_VOCAB

SPAN_TOKENS = 32 << 20
"""About so many tokens are one unit of work and one token file."""

Ints = npt.NDArray[Any]
Int64s = npt.NDArray[np.int64]
DTYPES = ("uint16", "uint32", "int32", "int64")


@dataclass(frozen=True)
class Wanted:
    """How files are to be understood.

    vocab_size  of the tokenizer: every token must be below
    boundary    the token that parts documents where a format has no index of them, None where there is none
    at          whether it ends documents or begins them
    dtype       of files that do not tell theirs, None for what is usual
    kept        whether ids and sources in the files are those of corpusmill, which wrote them
    """

    vocab_size: int
    boundary: int | None = None
    at: Literal["end", "start"] = "end"
    dtype: str | None = None
    kept: bool = False


@dataclass(frozen=True)
class Span:
    """Consecutive documents of one file: numbers `first` to `first + documents`, with the tokens from `begin` on.

    source   where the file itself says it, else None
    scanned  whether the documents were found by the boundary token
    """

    path: str
    first: int
    documents: int
    begin: int
    tokens: int
    source: str | None = None
    scanned: bool = False


@dataclass(frozen=True)
class Read:
    """n documents: integers [t] of any type, int64[n] lengths, and uint8[n, 16] ids where the file has them."""

    tokens: Ints
    lengths: Int64s
    ids: npt.NDArray[np.uint8] | None = None


class Reader(ABC):
    """A file format of another trainer."""

    name: ClassVar[str]

    @abstractmethod
    def files(self, path: Path) -> list[Path]:
        """The files with tokens at `path`, a file or a folder, in order. Raises InputError where there is none."""

    def beside(self, path: Path) -> list[Path]:  # noqa: ARG002
        """Files that belong to one of `files`."""
        return []

    @abstractmethod
    def spans(self, path: Path, wanted: Wanted) -> Iterator[Span]:
        """All documents of a file. Raises InputError for a file that is not whole and right."""

    @abstractmethod
    def read(self, span: Span, wanted: Wanted) -> Read:
        """The documents of a span."""


def listed(path: Path, pattern: str, what: str) -> list[Path]:
    """The files of a folder that fit, by name; a file is itself. Raises InputError where there is none."""
    found = [path] if path.is_file() else sorted(each for each in path.glob(pattern) if each.is_file())
    if not found:
        inside = sorted({str(each.parent) for each in path.glob(f"*/{pattern}")})
        hint = f"; there are some in {', '.join(inside[:10])}: give those" if inside else ""
        raise InputError(f"{path}: no {what} there (looked for {pattern}){hint}")
    return found


def cut_spans(
    path: Path, offsets: Int64s, sources: list[tuple[int, str]] | None = None, scanned: bool = False
) -> Iterator[Span]:
    """Spans of documents with the token offsets int64[n + 1]; `sources` are (first document, name) of every run."""
    runs = sources or [(0, "")]
    documents = len(offsets) - 1
    for (first, name), stop in zip(runs, [*(first for first, _ in runs[1:]), documents], strict=True):
        while first < stop:
            limit = int(np.searchsorted(offsets[: stop + 1], offsets[first] + SPAN_TOKENS, side="right")) - 1
            last = min(stop, max(limit, first + 1))
            begin, end = int(offsets[first]), int(offsets[last])
            yield Span(str(path), first, last - first, begin, end - begin, name or None, scanned)
            first = last


def source_runs(names: Any) -> list[tuple[int, str]]:
    """(first, name) of each run of equal strings in an Arrow array."""
    codes = names.dictionary_encode()
    numbers = codes.indices.to_numpy()
    firsts = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    table = codes.dictionary.to_pylist()
    return [(first, table[numbers[first]]) for first in firsts]


def split_span(span: Span, lengths: Int64s, units: list[tuple[str, int]]) -> Iterator[tuple[str, Span]]:
    """The span cut where token files of a former run ended, each part with that file's name, "" where unknown.

    `units` are the names and documents of the files that are still to come; what the span takes is taken out.
    """
    ends = offsets_of(lengths)
    at = 0
    while at < span.documents:
        while units and not units[0][1]:
            units.pop(0)
        name, left = units.pop(0) if units else ("", span.documents)
        stop = min(span.documents, at + left)
        if name:
            units.insert(0, (f"{name}~", left - (stop - at)))  # what is left sorts behind its first part
        begin, size = span.begin + int(ends[at]), int(ends[stop] - ends[at])
        yield name, replace(span, first=span.first + at, documents=stop - at, begin=begin, tokens=size)
        at = stop


def check_tokens(read: Read, span: Span, wanted: Wanted) -> None:
    """Raise InputError for a token that the tokenizer does not have."""
    tokens = read.tokens
    if not tokens.size or (int(tokens.max()) < wanted.vocab_size and int(tokens.min()) >= 0):
        return
    at = int(np.flatnonzero((tokens >= wanted.vocab_size) | (tokens < 0))[0])
    record = span.first + int(np.searchsorted(np.cumsum(read.lengths), at, side="right"))
    raise InputError(
        f"{span.path}, document {record}: token {tokens[at]}; the tokenizer has ids 0 to {wanted.vocab_size - 1}. "
        "Give the tokenizer that made the file, or the right --dtype"
    )


def ids_of(column: pa.ChunkedArray, where: str) -> npt.NDArray[np.uint8]:
    """uint8[n, 16] from a column of strings of 32 hex digits. Raises InputError."""
    try:
        digits = column.combine_chunks().cast(pa.binary(32))
    except pa.ArrowInvalid as error:
        raise InputError(f"{where}: an id that is not 32 hex digits; it was changed since") from error
    if digits.null_count:
        raise InputError(f"{where}: a document without id; it was changed since")
    raw = np.frombuffer(digits.buffers()[1], np.uint8)[32 * digits.offset :][: 32 * len(digits)]
    return hex_to_ids(raw.reshape(-1, 32), where)


def hex_to_ids(digits: npt.NDArray[np.uint8], where: str) -> npt.NDArray[np.uint8]:
    """uint8[n, 16] from ASCII hex digits uint8[n, 32]. Raises InputError."""
    value = np.full(256, 255, dtype=np.uint8)
    value[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16)
    found = value[digits]
    if (found == 255).any():
        raise InputError(f"{where}: an id that is not 32 hex digits; it was changed after corpusmill wrote it")
    ids: npt.NDArray[np.uint8] = found[:, 0::2] << np.uint8(4) | found[:, 1::2]
    return ids


def mapped(path: Path, dtype: str, offset: int = 0, count: int | None = None) -> Ints:
    """Numbers of a file, mapped. Raises InputError where the file does not hold them."""
    size = path.stat().st_size - offset
    item = np.dtype(dtype).itemsize
    if size < 0 or (count is None and size % item) or (count is not None and count * item > size):
        wanted = f"a multiple of {item}" if count is None else f"at least {count * item}"
        raise InputError(f"{path}: {size} bytes from byte {offset} on, wanted {wanted} for {dtype}; it is cut short")
    count = size // item if count is None else count
    if not count:
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=(count,))


def little(name: str) -> str:
    """A type's name as numpy wants it for little-endian files."""
    return {"uint16": "<u2", "uint32": "<u4", "int32": "<i4", "int64": "<i8"}[name]


def usual_dtype(wanted: Wanted) -> str:
    """The type of a file that does not tell it: the one asked for, else 16 bits where they hold the vocabulary."""
    return little(wanted.dtype or ("uint16" if wanted.vocab_size <= UINT16_VOCAB else "uint32"))
