"""Train a small LLaMA-style model on packed shards; the same command goes on from the last checkpoint.

Settings are the fields of the trainer's options, for example --set steps=500 --set dim=256 --set learning_rate=1e-3.
"""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from corpusmill.jobs.settings import pairs


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("shards", metavar="SHARDS", help="the shards/ folder of a run")
    command.add_argument("--out", required=True, metavar="DIR", help="where checkpoints and log.jsonl go")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the trainer")


def do(given: argparse.Namespace, console: Console) -> None:
    """Train with a progress bar; print the losses of the first and the last step."""
    from corpusmill.trainer.config import TrainConfig

    show(given.shards, given.out, TrainConfig.from_settings(pairs(given.set)), console)


def show(shards: str, out: str, config: Any, console: Console) -> None:
    """Train and show it; `config` is a TrainConfig."""
    from corpusmill.trainer.train import train

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{'training':<14}", total=config.steps)

        def on_step(record: dict[str, Any]) -> None:
            label = f"training, loss {record['loss']:.3f}"
            progress.update(task, completed=record["step"], description=label)

        history = train(shards, out, config, on_step)
    first, last = history.records[0], history.records[-1]
    speed = f", {history.tokens / history.seconds:,.0f} tokens/s" if not history.resumed_from else ""
    print(
        f"{history.parameters:,} weights, {history.tokens:,} tokens{speed}; "
        f"loss {first['loss']:.3f} at step {first['step']}, {last['loss']:.3f} at step {last['step']}"
    )
    for name, loss in sorted(last["sources"].items()):
        if loss is not None:
            print(f"  {name}: loss {loss:.3f}")
