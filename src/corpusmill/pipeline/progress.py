"""Progress for the eye: a bar per stage with rate and time left, from the records that units of work leave.

Nothing depends on it. On a terminal it is a live bar; elsewhere a line per stage.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from corpusmill.pipeline.directory import RunDirectory
from corpusmill.storage import is_local

POLL_S = 0.5


class Rate(ProgressColumn):
    """MB/s since the stage began: units finish in bursts, so a rate over the last seconds would jump."""

    def render(self, task: Task) -> Text:
        """Right-aligned, in millions of bytes."""
        elapsed = task.finished_time or task.elapsed or 0.0
        rate = task.completed / elapsed / 1e6 if elapsed else 0.0
        return Text(f"{rate:7.1f} MB/s", style="progress.data.speed")


@contextmanager
def watch(console: Console, directory: RunDirectory, stage: str, sizes: Mapping[str, int]) -> Iterator[None]:
    """Show how many of the stage's bytes are done; `sizes` has the bytes of each unit by name."""
    if not is_local(directory.root):
        console.print(f"{stage}: {len(sizes)} units, {sum(sizes.values()) / 1e6:.1f} MB")
        yield
        return
    folder = Path(directory.unit_record(stage, "")).parent
    stop = threading.Event()
    with Progress(
        TextColumn("{task.description:<14}"),
        BarColumn(),
        DownloadColumn(),
        Rate(),
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


def _done(folder: Path, sizes: Mapping[str, int]) -> int:
    return sum(sizes.get(path.stem, 0) for path in folder.glob("*.json"))
