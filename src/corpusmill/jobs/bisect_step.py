"""Which rows and documents of a training step moved the weights most: loss and gradient norm of each, worst first.

The step is replayed from the nearest checkpoint that is left before it (train with --set keep_checkpoints=5 to have
more of them). With --skip-list the worst segments are added to a file that `train --set skip_list=FILE` does not learn
from; `train --from-step` goes back to before the step.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from rich.console import Console

from corpusmill.errors import ConfigError
from corpusmill.jobs.places import shards_of
from corpusmill.jobs.train import shown
from corpusmill.tokenize.shards.takedown import SkipList, content_hash, write_skip_list


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("training", metavar="OUT", help="the folder of a training")
    command.add_argument("shards", metavar="SHARDS", help="the run or the shards it was trained on")
    command.add_argument("--step", type=int, required=True, metavar="N", help="the step, counted from 1")
    command.add_argument("--top", type=int, default=10, metavar="K", help="segments to show (default 10)")
    command.add_argument("--skip-list", metavar="FILE", help="add the worst segments to this file")
    command.add_argument("--worst", type=int, default=1, metavar="K", help="how many of them (default 1)")


def do(given: argparse.Namespace, console: Console) -> None:
    """Replay, print rows and segments, write the skip list."""
    from corpusmill.trainer.replay import replay, step_rows

    for name in ("top", "worst"):
        if getattr(given, name) < 1:
            raise ConfigError(f"--{name} {getattr(given, name)}: wanted 1 or more")
    if given.skip_list and Path(given.skip_list).is_dir():
        raise ConfigError(f"--skip-list {given.skip_list} is a folder; wanted a file")
    if given.skip_list and Path(given.skip_list).exists():
        SkipList.load(given.skip_list)  # before a long replay
    packed, place, _ = step_rows(shards_of(given.shards), given.training, given.step)

    with console.status("replaying") as status:
        found = replay(
            packed,
            given.training,
            given.step,
            lambda step, wanted: status.update(f"replaying: step {step}, on the way to step {wanted}"),
        )
    print(f"step {place.step}: places {place.row} to {place.row + place.rows - 1} of epoch {place.epoch}")
    print(f"replayed from step {found.begun_at}: loss {found.loss:.6f}, gradient norm {found.grad_norm:.6f}", end="")
    print("; the log says " + " and ".join(shown(value, 6) for value in found.logged) if found.logged else "")
    for share in found.rows:
        print(f"row {share.row}  loss {shown(share.loss, 4)}  gradient norm {shown(share.grad_norm, 4)}")
    chosen = [_described(packed, share, place.step) for share in found.segments[: max(given.top, given.worst)]]
    for each in chosen[: given.top]:
        print(
            f"row {each['row']} segment {each['segment']}  loss {shown(each['loss'], 4)}  "
            f"gradient norm {shown(each['grad_norm'], 4)}  {each['document']}  {each['source']}  from token "
            f"{each['offset']}  {each['tokens']} tokens"
        )
    if given.skip_list:
        worst = [each for each in chosen[: given.worst] if each["loss"] is not None]
        print(f"{given.skip_list}: {_add(given.skip_list, worst)} segments; train --set skip_list={given.skip_list}")


def _described(packed: Any, share: Any, step: int) -> dict[str, Any]:
    """A segment as the skip list names it: tokens and xxh3_128 bind, the rest is for people."""
    row = packed[share.row]
    segment = row.segments[share.number]
    start, length = int(segment["start"]), int(segment["length"])
    return {
        "tokens": length,
        "xxh3_128": content_hash(row.tokens[start : start + length]).hex(),
        "document": row.document_ids[share.number].hex(),
        "source": packed.sources[int(segment["source"])],
        "offset": int(segment["offset"]),
        "row": share.row,
        "segment": share.number,
        "step": step,
        # JSON has no nan
        "loss": share.loss if share.loss is None or math.isfinite(share.loss) else str(share.loss),
        "grad_norm": share.grad_norm if math.isfinite(share.grad_norm) else str(share.grad_norm),
    }


def _add(path: str, segments: list[dict[str, Any]]) -> int:
    """Add to the list, or begin one; gives how many segments it has now. Raises ConfigError for any other file."""
    known: dict[tuple[int, str], dict[str, Any]] = {}
    documents: frozenset[bytes] = frozenset()
    if Path(path).exists():
        documents = SkipList.load(path).documents
        listed = json.loads(Path(path).read_bytes()).get("segments", [])
        known = {(each["tokens"], each["xxh3_128"]): each for each in listed}
    for each in segments:
        known.setdefault((each["tokens"], each["xxh3_128"]), each)
    write_skip_list(path, documents, known.values())
    return len(known)
