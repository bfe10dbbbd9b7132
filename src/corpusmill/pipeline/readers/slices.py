"""Finding a source's files and cutting them into work units.

A file is named relative to the fixed part of the pattern that found it, so a corpus that has moved gives the same
names, ids and bytes. Units are cut by size alone, never by the number of workers.
"""

from __future__ import annotations

import dataclasses
import os
import posixpath
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from corpusmill.errors import ConfigError, InputError

UNIT_BYTES = 64 << 20
"""A work unit holds about this many bytes of input files."""

_MAX_SLICES = 10_000
"""Slices of one unit: keeps a unit of tiny files small as a Beam element."""

COMPRESSED = (".gz", ".zst", ".bz2", ".xz", ".lz4")
"""Suffixes of files that are read from their beginning only."""

PARQUET_LIMITS = {
    "thrift_string_size_limit": 16 << 20,
    "thrift_container_size_limit": 1 << 20,
    "page_checksum_verification": True,
    "arrow_extensions_enabled": False,
}
"""For every `ParquetFile` that is opened: a lying footer must not allocate more than this, nor name classes to load."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a source.

    path   where it is: a local path or a URI
    name   how ids and locators call it
    size   bytes
    stamp  changes when the file does (time of change in nanoseconds); tells a resumed run that its input has changed
    """

    path: str
    name: str
    size: int
    stamp: str


@dataclass(frozen=True)
class Slice:
    """A piece of a file: bytes [start, stop), for Parquet row groups [start, stop), else the whole file [0, size)."""

    path: str
    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class WorkUnit:
    """What one worker reads in one go, and what becomes one committed file. `bytes` is what progress is counted in."""

    name: str
    source: str
    format: str
    slices: tuple[Slice, ...]
    bytes: int

    def to_json(self) -> dict[str, object]:
        """Plain types only."""
        return dataclasses.asdict(self)


def find_files(patterns: Sequence[str]) -> list[SourceFile]:
    """The files that the patterns name, sorted by name.

    A pattern is a path or a URI (gs://, s3://, hdfs://, file://) with `*`, `?`, `[…]` and `**`; a folder means
    everything below it. Names that begin with a dot are found only when the pattern says so.
    Raises InputError for a pattern that finds nothing, ConfigError where two files would have the same name.
    """
    found: dict[str, SourceFile] = {}
    names: dict[str, SourceFile] = {}
    for pattern in patterns:
        before = len(found)
        duplicates = 0
        for file in _find(pattern):
            if file.path in found:
                duplicates += 1
                continue
            if file.name in names:
                raise ConfigError(
                    f"{file.path} and {names[file.name].path} would both be called {file.name!r}, and documents are "
                    "known by source and file name: use one pattern over the folder they share, or two sources"
                )
            found[file.path] = names[file.name] = file
        if len(found) + duplicates == before:
            raise InputError(
                f"no file matches {pattern!r}: check the path, which counts from the working directory, and that it "
                "can be read from here"
            )
    return sorted(found.values(), key=lambda file: file.name)


def open_file(path: str) -> pa.NativeFile:
    """A local path or URI, opened for reading bytes at any place. Raises InputError when it can't be."""
    try:
        if "://" in path:
            filesystem, inner = fs.FileSystem.from_uri(path)
            return filesystem.open_input_file(inner)
        return pa.OSFile(os.fsencode(path), "rb")
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} can't be opened ({error}); it was there when the files were listed") from error


def cut(files: Sequence[SourceFile], format: str, source: str, unit_bytes: int = UNIT_BYTES) -> list[WorkUnit]:
    """Work units of about `unit_bytes` over `files`, in the order given.

    Uncompressed JSONL is cut at byte ranges, Parquet at row groups; all else stays whole. Small pieces share a unit.
    """
    if unit_bytes < 1:
        raise ConfigError(f"unit_bytes: got {unit_bytes}, wanted at least 1")
    groups: list[list[Slice]] = []
    sizes: list[int] = []
    for file in files:
        for piece, size in _pieces(file, format, unit_bytes):
            if not groups or sizes[-1] + size > unit_bytes or len(groups[-1]) == _MAX_SLICES:
                groups.append([])
                sizes.append(0)
            groups[-1].append(piece)
            sizes[-1] += size
    digits = max(5, len(str(len(groups))))
    return [
        WorkUnit(f"{number:0{digits}d}-{source}", source, format, tuple(group), size)
        for number, (group, size) in enumerate(zip(groups, sizes, strict=True))
    ]


def _pieces(file: SourceFile, format: str, unit_bytes: int) -> Iterator[tuple[Slice, int]]:
    """The slices of one file, each with its size in bytes."""
    if format == "parquet":
        yield from _row_group_ranges(file, unit_bytes)
        return
    step = unit_bytes if format == "jsonl" and not file.name.endswith(COMPRESSED) else max(file.size, 1)
    for start in range(0, max(file.size, 1), step):
        stop = min(start + step, file.size)
        yield Slice(file.path, file.name, start, stop), stop - start


def _row_group_ranges(file: SourceFile, unit_bytes: int) -> Iterator[tuple[Slice, int]]:
    """Runs of row groups of about `unit_bytes`, compressed. One empty range where the footer can't be read: the reader
    finds that out again and puts the file into quarantine.
    """
    try:
        with open_file(file.path) as stream, pq.ParquetFile(stream, **PARQUET_LIMITS) as parquet:
            metadata = parquet.metadata
            sizes = [_group_bytes(metadata.row_group(i)) for i in range(metadata.num_row_groups)]
    except (OSError, pa.ArrowException):
        sizes = []
    start = total = 0
    for number, size in enumerate(sizes):
        if total and total + size > unit_bytes:
            yield Slice(file.path, file.name, start, number), total
            start, total = number, 0
        total += size
    yield Slice(file.path, file.name, start, len(sizes)), total if sizes else file.size


def _group_bytes(group: pq.RowGroupMetaData) -> int:
    """Compressed bytes of all columns of a row group; a footer that lies must not make this negative."""
    return sum(max(group.column(i).total_compressed_size, 0) for i in range(group.num_columns))


def _find(pattern: str) -> Iterator[SourceFile]:
    """The files of one pattern, in no particular order."""
    if not pattern.rpartition("://")[2]:
        raise ConfigError(f"paths: got {pattern!r}, wanted a path, a URI, or a pattern with * ? [ ] or **")
    remote = "://" in pattern
    base, rest = pattern, "**"
    wild = _WILD.search(pattern)
    if wild and (remote or not Path(pattern).exists()):
        slash = pattern.rfind("/", 0, wild.start())
        base, rest = pattern[: slash + 1] or ".", pattern[slash + 1 :]
    wanted = re.compile(_translate(rest))
    yield from _list_remote(base, wanted) if remote else _list_local(base, wanted)


_WILD = re.compile(r"[*?[]")


def _translate(pattern: str) -> str:
    """The regular expression of a wildcard pattern. `*`, `?` and `[…]` stay inside one name, `**` crosses folders."""
    folders, _, last = pattern.rpartition("/")
    below = r"(?:(?!\.)[^/]+/)*"
    parts = [below if part == "**" else _translate_name(part) + "/" for part in folders.split("/") if part]
    return "".join(parts) + (below + _translate_name("*") if last == "**" else _translate_name(last))


def _translate_name(pattern: str) -> str:
    """One part of a path between slashes."""
    out = r"(?!\.)" if _WILD.match(pattern) else ""
    for token in re.findall(r"\[!?\]?[^\]]*\]|.", pattern, re.DOTALL):
        if token == "*":  # noqa: S105 - a wildcard, not a password
            out += "[^/]*"
        elif token == "?":  # noqa: S105
            out += "[^/]"
        elif len(token) > 1:
            negated = token[1] == "!"
            inside = re.sub(r"([\\^\[\]&~|])", r"\\\1", token[2 if negated else 1 : -1])
            out += f"(?!/)[{'^' if negated else ''}{inside}]"
        else:
            out += re.escape(token)
    return out


def _list_remote(uri: str, wanted: re.Pattern[str]) -> Iterator[SourceFile]:
    """The file at a URI, or every wanted one below it."""
    try:
        filesystem, base = fs.FileSystem.from_uri(uri)
        at = filesystem.get_file_info(base)
        if at.is_file:
            yield SourceFile(uri, posixpath.basename(base), at.size, str(at.mtime_ns))
            return
        below = filesystem.get_file_info(fs.FileSelector(base, recursive=True, allow_not_found=True))
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{uri} can't be listed: {error}") from error
    prefix = base.rstrip("/") + "/"
    for info in below:
        name = info.path.removeprefix(prefix)
        if info.is_file and wanted.fullmatch(name):
            yield SourceFile(f"{uri.rstrip('/')}/{name}", name, info.size, str(info.mtime_ns))


def _list_local(path: str, wanted: re.Pattern[str]) -> Iterator[SourceFile]:
    """The file at a local path, or every wanted one below it. Links to folders are followed, except to one above."""
    absolute = os.path.abspath(path)
    if Path(absolute).is_file():
        yield _local_file(absolute, Path(absolute).name)
        return
    pending = [(absolute, "", frozenset({os.path.realpath(absolute)}))]
    while pending:
        folder, prefix, above = pending.pop()
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(f"{folder} can't be listed: {error}") from error
        for entry in entries:
            if not entry.is_dir():
                if wanted.fullmatch(prefix + entry.name):
                    yield _local_file(entry.path, prefix + entry.name)
            elif (real := os.path.realpath(entry.path)) not in above:
                pending.append((entry.path, f"{prefix}{entry.name}/", above | {real}))


def _local_file(path: str, name: str) -> SourceFile:
    """Size and time of change of a local file; bytes of its name that are no UTF-8 are spelled out as \\xNN."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is not a regular file; leave it out of the pattern, or make it one")
    known_as = os.fsencode(name).decode("utf-8", "backslashreplace")
    return SourceFile(path, known_as, status.st_size, str(status.st_mtime_ns))
