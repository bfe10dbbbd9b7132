"""Files as the run sees them: written whole or not at all, hashed while written, on a disk or an object store.

A path with `://` goes to pyarrow's file systems (gs, s3, hdfs); anything else is a local path. Writers write to an
attempt-unique temporary name and rename, so a reader sees the old file, the new file or none, never a part of one.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.fs as pafs

from corpusmill.errors import IntegrityError, NotCommitted

HASH_CHUNK_BYTES = 1 << 20

Durable = bool | Literal["content"]


@dataclass(frozen=True)
class FileEntry:
    """One committed file: `path` relative to the run directory, length, sha256 in hex, rows where it is a table."""

    path: str
    bytes: int
    sha256: str
    rows: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data; `rows` is left out where it is None."""
        body: dict[str, Any] = {"path": self.path, "bytes": self.bytes, "sha256": self.sha256}
        if self.rows is not None:
            body["rows"] = self.rows
        return body


class Sink:
    """What pyarrow asks of a binary file to write to, but for `write`, which adds to `bytes`."""

    closed = False
    bytes = 0

    def tell(self) -> int:
        """Bytes written so far."""
        return self.bytes

    def flush(self) -> None:
        """Nothing: the owner of the file does it."""

    def close(self) -> None:
        """Nothing: the owner of the file does it."""

    def writable(self) -> bool:
        """Yes."""
        return True

    def readable(self) -> bool:
        """No."""
        return False

    def seekable(self) -> bool:
        """No."""
        return False


class HashingFile(Sink):
    """A binary file to write to that counts and hashes what passes."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._sha256 = hashlib.sha256()

    def write(self, data: Any) -> int:
        """Write bytes or any contiguous buffer."""
        view = memoryview(data).cast("B")
        self._raw.write(view)
        self._sha256.update(view)
        self.bytes += len(view)
        return len(view)

    @property
    def sha256(self) -> str:
        """Hash of what was written so far, hex."""
        return self._sha256.hexdigest()


def is_local(path: str) -> bool:
    """Whether `path` is on a local disk."""
    return "://" not in path


def join(directory: str, *parts: str) -> str:
    """A path below `directory`, local or not."""
    return "/".join([directory.rstrip("/") or "/", *parts]) if parts else directory


@contextmanager
def atomic_writer(path: str, *, durable: Durable = True) -> Iterator[HashingFile]:
    """Write a file that appears under `path` whole, when the block ends without an error.

    A `durable` one is on the disk by then; others, made again when they are lost, the system writes when it likes. With
    "content" it is there or not after a loss of power, but never spoilt: its name is on the disk when the next durable
    file of its folder is.
    """
    if is_local(path):
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
        try:
            with temporary.open("xb") as raw:
                sink = HashingFile(raw)
                yield sink
                raw.flush()
                if durable:
                    os.fsync(raw.fileno())
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if durable is True:
            _sync_directory(target.parent)
        return
    system, name = pafs.FileSystem.from_uri(path)
    system.create_dir(os.path.dirname(name), recursive=True)
    temporary_name = f"{name}.{uuid.uuid4().hex}.tmp"
    with system.open_output_stream(temporary_name) as raw:
        sink = HashingFile(raw)
        yield sink
    system.move(temporary_name, name)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: str, data: bytes, *, durable: Durable = True) -> str:
    """Write a small file atomically; gives its sha256 in hex. `durable` as for `atomic_writer`."""
    with atomic_writer(path, durable=durable) as sink:
        sink.write(data)
    return sink.sha256


def read_bytes(path: str) -> bytes:
    """The whole of a small file. Raises NotCommitted when there is none."""
    try:
        with open_input(path) as file:
            return bytes(file.read())
    except FileNotFoundError as error:
        raise NotCommitted(
            f"no file {path}: what should have written it never finished; run the recipe again"
        ) from error


def open_input(path: str) -> pa.NativeFile:
    """A random-access file; local files are memory-mapped."""
    if is_local(path):
        return pa.memory_map(path) if os.path.getsize(path) else pa.BufferReader(b"")
    system, name = pafs.FileSystem.from_uri(path)
    return system.open_input_file(name)


def size(path: str) -> int | None:
    """Length in bytes, or None when there is no such file."""
    if is_local(path):
        try:
            return os.stat(path).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
    system, name = pafs.FileSystem.from_uri(path)
    info = system.get_file_info(name)
    return info.size if info.type == pafs.FileType.File else None


def remove(path: str) -> None:
    """Delete a file, if there is one."""
    if is_local(path):
        Path(path).unlink(missing_ok=True)
    elif size(path) is not None:
        system, name = pafs.FileSystem.from_uri(path)
        system.delete_file(name)


def sha256_of(path: str) -> str:
    """Hash of a whole file, hex, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with open_input(path) as file:
        while chunk := file.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def check(entry: FileEntry, directory: str, *, content: bool) -> None:
    """Raise IntegrityError unless the file is there, as long as its entry says and, if `content`, of the same hash."""
    check_size(entry.path, entry.bytes, directory)
    path = join(directory, entry.path)
    if content and (digest := sha256_of(path)) != entry.sha256:
        raise IntegrityError(f"{entry.path}: sha256 {digest[:16]}…, its manifest says {entry.sha256[:16]}…")


def check_size(name: str, wanted: int, directory: str) -> None:
    """Raise IntegrityError unless the file `name` of a folder is there and has `wanted` bytes."""
    found = size(join(directory, name))
    if found is None:
        raise IntegrityError(f"{name}: missing; its manifest names {wanted} bytes")
    if found != wanted:
        raise IntegrityError(f"{name}: {found} bytes, its manifest says {wanted}")
