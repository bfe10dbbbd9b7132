"""One run at a time in a run directory."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpusmill.errors import ConfigError
from corpusmill.pipeline.directory import RunDirectory
from corpusmill.storage import is_local


@contextmanager
def locked(directory: RunDirectory) -> Iterator[None]:
    """Hold the run directory's lock; a lock dies with its process. Raises ConfigError when another run holds it."""
    if not is_local(directory.root):
        yield
        return
    path = Path(directory.root) / "work" / ".lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                f"another run is at work in {directory.root}; wait for it or choose another --out"
            ) from None
        yield
