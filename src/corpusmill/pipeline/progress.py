"""Progress for the eye: a bar per stage with rate and time left, from the records that units of work leave.

Nothing depends on it. On a terminal it is a live bar; elsewhere a line per stage.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from corpusmill.pipeline.directory import RunDirectory
from corpusmill.storage import is_local

POLL_S = 0.5


@contextmanager
def watch(console: Console, directory: RunDirectory, stage: str, sizes: Mapping[str, int]) -> Iterator[None]:
    """Show how many of the stage's bytes are done; `sizes` has the bytes of each unit by name."""
    if not is_local(directory.root):
        console.print(f"{stage}: {len(sizes)} units, {sum(sizes.values()) / 1e6:.1f} MB")
        yield
        return
    folder = os.path.dirname(directory.unit_record(stage, ""))
    stop = threading.Event()
    with Progress(
        TextColumn("{task.description:<14}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
    ) as progress:
        task = progress.add_task(stage, total=max(1, sum(sizes.values())))

        def poll() -> None:
            while not stop.wait(POLL_S):
                progress.update(task, completed=_done(folder, sizes))

        thread = threading.Thread(target=poll, daemon=True)
        thread.start()
        try:
            yield
            progress.update(task, completed=max(1, sum(sizes.values())))
        finally:
            stop.set()
            thread.join()


def _done(folder: str, sizes: Mapping[str, int]) -> int:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return 0
    return sum(sizes.get(name.removesuffix(".json"), 0) for name in names)
