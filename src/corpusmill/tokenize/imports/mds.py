"""MosaicML streaming's MDS shards with a column `tokens` of bytes or integers; every sample is a document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.errors import InputError
from corpusmill.tokenize.export.blocks import copy_pieces, offsets_of
from corpusmill.tokenize.imports.reading import (
    DTYPES,
    Int64s,
    Read,
    Reader,
    Span,
    Wanted,
    cut_spans,
    hex_to_ids,
    little,
    mapped,
    source_runs,
)

INDEX = "index.json"
COLUMN = "tokens"
Bytes = npt.NDArray[np.uint8]


class Mds(Reader):
    """The shards that `index.json` names."""

    name: ClassVar[str] = "mds"

    def files(self, path: Path) -> list[Path]:
        """See Reader. Names in the index are files of its own folder, whatever they say."""
        folder = path.parent if path.name == INDEX else path
        found = []
        for shard in _index(folder):
            if shard.get("compression") and not (folder / _basename(shard, folder)).is_file():
                raise InputError(f"{folder}: shards are compressed with {shard['compression']}; unpack them first")
            found.append(folder / _basename(shard, folder))
        missing = [each.name for each in found if not each.is_file()]
        if missing or not found:
            raise InputError(f"{folder / INDEX}: shards {missing[:3] or 'none'} missing; wanted all it names")
        return found

    def beside(self, path: Path) -> list[Path]:
        """The index."""
        return [path.with_name(INDEX)]

    def spans(self, path: Path, wanted: Wanted) -> Iterator[Span]:
        """See Reader."""
        shard = Samples.open(path, wanted)
        runs = source_runs(shard.strings("source")) if wanted.kept and shard.count else None
        yield from cut_spans(path, offsets_of(shard.lengths), runs)

    def read(self, span: Span, wanted: Wanted) -> Read:
        """See Reader."""
        shard = Samples.open(Path(span.path), wanted)
        which = slice(span.first, span.first + span.documents)
        lengths = shard.lengths[which]
        tokens = shard.gathered(shard.begin[which], lengths * shard.dtype.itemsize).view(shard.dtype)
        if not wanted.kept:
            return Read(tokens, lengths)
        begin, size = shard.places("id")
        if (size[which] != 32).any():
            raise InputError(f"{span.path}: an id that is not 32 hex digits; it was changed since")
        digits = shard.gathered(begin[which], size[which]).reshape(-1, 32)
        return Read(tokens, lengths, hex_to_ids(digits, span.path))


@dataclass(frozen=True)
class Samples:
    """An open shard of `count` samples.

    begin, lengths  int64[count]: byte at which the tokens of each begin, and how many there are
    columns         name → (int64[count] first byte, int64[count] bytes)
    """

    path: Path
    data: Bytes
    dtype: np.dtype[Any]
    count: int
    begin: Int64s
    lengths: Int64s
    columns: dict[str, tuple[Int64s, Int64s]]

    @staticmethod
    def open(path: Path, wanted: Wanted) -> Samples:
        """Read the places of everything, and check that all of it is within the file. Raises InputError."""
        return _samples(path, wanted.dtype)

    def places(self, name: str) -> tuple[Int64s, Int64s]:
        """First byte and bytes of a column of each sample."""
        if name not in self.columns:
            raise InputError(f"{self.path}: no column {name}; it was changed after corpusmill wrote it")
        return self.columns[name]

    def gathered(self, begin: Int64s, size: Int64s) -> Bytes:
        """The bytes of pieces of the file, one behind the other."""
        at = offsets_of(size)
        out = np.empty(at[-1], dtype=np.uint8)
        copy_pieces(self.data, begin, size, out, at[:-1])
        return out

    def strings(self, name: str) -> pa.StringArray:
        """A column of text."""
        begin, size = self.places(name)
        offsets = offsets_of(size).astype(np.int32)
        text = pa.StringArray.from_buffers(self.count, pa.py_buffer(offsets), pa.py_buffer(self.gathered(begin, size)))
        try:
            text.validate(full=True)
        except pa.ArrowInvalid as error:
            raise InputError(f"{self.path}: column {name} is not UTF-8 ({error})") from error
        return text


@lru_cache(maxsize=1)
def _samples(path: Path, asked: str | None) -> Samples:
    data = mapped(path, "|u1")
    shard = next(shard for shard in _index(path.parent) if _basename(shard, path.parent) == path.name)
    try:
        names, sizes = list(shard["column_names"]), list(shard["column_sizes"])
        encoding = dict(zip(names, shard["column_encodings"], strict=True))[COLUMN]
        count = int(shard["samples"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path.parent / INDEX}: shard {path.name} has no column {COLUMN} ({error!r})") from error
    if len(data) < 4 + 4 * (count + 1) or int(data[:4].view("<u4")[0]) != count:
        raise InputError(f"{path}: not the {count} samples of its index; it is cut short or another file")
    places = data[4 : 8 + 4 * count].view("<u4").astype(np.int64)
    if (np.diff(places) < 0).any() or places[0] < 8 + 4 * count or places[-1] != len(data):
        raise InputError(f"{path}: {len(data)} bytes, its samples end at {places[-1]}; it is cut short or damaged")
    columns = _columns(data, places, names, sizes, path)
    dtype, begin, lengths = _tokens(data, columns[COLUMN], encoding, asked, path)
    return Samples(path, data, dtype, count, begin, lengths, columns)


def _columns(
    data: Bytes, places: Int64s, names: list[str], sizes: list[Any], path: Path
) -> dict[str, tuple[Int64s, Int64s]]:
    """First byte and bytes of every column of every sample: sizes of the variable ones come first, then the values."""
    variable = [size is None for size in sizes]
    if (np.diff(places) < 4 * sum(variable)).any() or not all(size is None or int(size) >= 0 for size in sizes):
        raise InputError(f"{path}: samples too short for their {len(names)} columns; the file is damaged")
    found, head, at = {}, 0, places[:-1] + 4 * sum(variable)
    for name, size, free in zip(names, sizes, variable, strict=True):
        held = np.full(len(at), 0 if free else int(size), dtype=np.int64)
        if free:
            held = _numbers(data, places[:-1] + head, 4)
            head += 4
        found[name] = (at, held)
        at = at + held
    if not np.array_equal(at, places[1:]):
        raise InputError(f"{path}: columns that do not fill their samples; the file is damaged")
    return found


def _tokens(
    data: Bytes, places: tuple[Int64s, Int64s], encoding: str, asked: str | None, path: Path
) -> tuple[np.dtype[Any], Int64s, Int64s]:
    """The type of the tokens, their first byte and their number in each sample."""
    begin, size = places
    kind, _, shape = encoding.removeprefix("ndarray:").partition(":")
    if encoding == "bytes":
        kind = asked or "int64"  # what llm-foundry takes them for
    elif not encoding.startswith("ndarray:") or kind not in DTYPES:
        raise InputError(f"{path}: column {COLUMN} is {encoding!r}; wanted bytes or ndarray of {', '.join(DTYPES)}")
    dtype = np.dtype(little(kind))
    if encoding != "bytes" and not shape:
        if (size < 2).any():
            raise InputError(f"{path}: an array without shape; the file is damaged")
        code = _numbers(data, begin, 1)
        width = 1 + (1 << (code & 3))
        if (code >> 2 != 1).any() or (size < width).any():
            raise InputError(f"{path}: column {COLUMN} has arrays of more than one dimension; wanted one")
        begin, size = begin + width, size - width
    if (size % dtype.itemsize).any():
        raise InputError(f"{path}: tokens that are no multiple of the {dtype.itemsize} bytes of {dtype}; give --dtype")
    return dtype, begin, size // dtype.itemsize


def _numbers(data: Bytes, begin: Int64s, width: int) -> Int64s:
    """Little-endian numbers of `width` bytes at these places."""
    found = np.zeros(len(begin), dtype=np.int64)
    for byte in range(width):
        found |= data[begin + byte].astype(np.int64) << (8 * byte)
    return found


@lru_cache(maxsize=4)
def _index(folder: Path) -> list[dict[str, Any]]:
    """The shards of an index."""
    path = folder / INDEX
    try:
        body = json.loads(path.read_bytes())
        shards = body["shards"]
        if body["version"] != 2 or not all(shard["format"] == "mds" for shard in shards):
            raise InputError(f"{path}: not an index of MDS shards of version 2")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not an index of MDS shards ({error!r})") from error
    return list(shards)


def _basename(shard: dict[str, Any], folder: Path) -> str:
    try:
        name = str(shard["raw_data"]["basename"])
    except (KeyError, TypeError) as error:
        raise InputError(f"{folder / INDEX}: a shard without raw_data.basename") from error
    if Path(name).name != name or name in ("", ".", ".."):
        raise InputError(f"{folder / INDEX}: shard {name!r}; wanted the plain name of a file beside it")
    return name
