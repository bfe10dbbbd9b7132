"""Train a small LLaMA-style model on packed shards; the same command goes on from the last checkpoint.

Settings are the fields of the trainer's options, for example --set steps=500 --set dim=256 --set learning_rate=1e-3
--set tokens=10_000_000 --set 'batch_ramp=[[0, 8], [1_000_000, 16]]' --set precision=auto --set skip_sigma=6.

Several processes: torchrun --nproc-per-node 2 -m corpusmill train SHARDS --out DIR [--set parallel=fsdp]; every step
has the same rows for any number of them.
"""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from corpusmill.jobs.places import check_folder, shards_of
from corpusmill.jobs.settings import pairs


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("shards", metavar="SHARDS", help="a finished run's directory, or a folder of shards")
    command.add_argument("--out", required=True, metavar="DIR", help="where checkpoints and log.jsonl go")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the trainer")
    command.add_argument(
        "--from-step", type=int, metavar="N", help="first go back to this step, whose checkpoint is kept"
    )


def do(given: argparse.Namespace, console: Console) -> None:
    """Train with a progress bar; print the losses of the first and the last step."""
    from corpusmill.trainer.config import TrainConfig

    check_folder(given.out)
    show(shards_of(given.shards), given.out, TrainConfig.from_settings(pairs(given.set)), console, given.from_step)


def show(shards: str, out: str, config: Any, console: Console, from_step: int | None = None) -> None:
    """Train and show it, in one process of torchrun's only; `config` is a TrainConfig."""
    from corpusmill.trainer.parallel import is_main
    from corpusmill.trainer.schedule import Schedule
    from corpusmill.trainer.train import opened_for, train

    packed = opened_for(shards, config)
    steps = Schedule(config, len(packed), packed.sequence_length).steps
    with bars(console, hidden=not is_main()) as progress:
        task = progress.add_task(f"{'training':<14}", total=steps)

        def on_step(record: dict[str, Any]) -> None:
            progress.update(task, completed=record["step"], description=f"training, loss {shown(record['loss'])}")

        history = train(packed, out, config, on_step, from_step=from_step)
    if is_main():
        _summarize(history)


def _summarize(history: Any) -> None:
    first, last = history.records[0], history.records[-1]
    speed = (
        f"{history.tokens_read / history.seconds:,.0f} tokens/s and {history.flops / history.seconds / 1e9:,.1f} "
        "GFLOP/s of the model"
        if history.tokens_read
        else "done before"
    )
    print(
        f"{history.parameters:,} weights, {history.tokens:,} tokens learnt; {speed}; "
        f"loss {shown(first['loss'])} at step {first['step']}, {shown(last['loss'])} at step {last['step']}"
    )
    skipped = sum(len(record["skipped"]) for record in history.records)
    if skipped:
        print(f"{skipped} steps left out as spikes; log.jsonl names them, `corpusmill bisect` looks into one")
    for name, loss in sorted(last["sources"].items()):
        print(f"  {name}: loss {shown(loss)}")
    for name, loss in sorted(last.get("held_out", {}).get("sources", {}).items()):
        print(f"  held out, {name}: loss {shown(loss)}")


def bars(console: Console, hidden: bool = False) -> Progress:
    """Progress bars that count steps."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=hidden)


def shown(value: float | str | None, digits: int = 3) -> str:
    """A loss or a norm of the log, which has None where there was none and a string where it was no number."""
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value or "none")
