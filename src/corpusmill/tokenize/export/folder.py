"""The folder an export fills: it appears whole, with a manifest that names every file, or not at all."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from corpusmill import manifest
from corpusmill.errors import ConfigError
from corpusmill.storage import FileEntry, HashingFile, atomic_writer, is_local

FORMAT = "corpusmill.export"
VERSION = 1


class Folder:
    """Where the files of an export are written; `name` prefixes are folders below it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: list[FileEntry] = []

    @contextmanager
    def file(self, name: str, rows: int | None = None) -> Iterator[HashingFile]:
        """A file to write to, hashed while it is written; `rows` is told to the manifest."""
        with atomic_writer(str(self.root / name)) as sink:
            yield sink
        self.entries.append(FileEntry(name, sink.bytes, sink.sha256, rows))

    def write(self, name: str, data: bytes) -> FileEntry:
        """A small file."""
        with self.file(name) as sink:
            sink.write(data)
        return self.entries[-1]


def done_before(out: str, fingerprint: str) -> dict[str, Any] | None:
    """The manifest in `out` if the same export is there already; None where `out` is new or empty.

    Raises ConfigError for a folder with anything else in it: nothing is ever written over.
    """
    if not is_local(out):
        raise ConfigError(f"--out {out}: exports are written to local folders; copy the folder where it should go")
    path = Path(out)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return None
    where = str(path / manifest.RUN_MANIFEST)
    found = manifest.is_current(where, fingerprint, str(path))
    if found is None:
        raise ConfigError(f"--out {out}: there is something else in it; give a new folder or delete this one first")
    return found


@contextmanager
def filled(out: str) -> Iterator[Folder]:
    """A folder beside `out` that gets its name when the block ends without an error; `commit` must have been called."""
    target = Path(out).absolute()
    _sweep(target)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    temporary.mkdir(parents=True)
    handle = os.open(temporary, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield Folder(temporary)
        if target.exists():
            target.rmdir()  # an empty one; raises for any other
        temporary.replace(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        os.close(handle)


def _sweep(target: Path) -> None:
    """Delete what exports to `target` that were killed left beside it; one that still runs has its folder locked."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.{'[0-9a-f]' * 32}.tmp"):
        handle = os.open(left, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
        except BlockingIOError:
            pass
        finally:
            os.close(handle)


def commit(folder: Folder, fingerprint: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest of the export; gives its body."""
    files = sorted(folder.entries, key=lambda entry: entry.path)
    head = {"format": FORMAT, "version": VERSION, "fingerprint": fingerprint}
    whole = {**head, **body, "files": [entry.to_json() for entry in files]}
    manifest.commit(str(folder.root / manifest.RUN_MANIFEST), whole)
    return whole
