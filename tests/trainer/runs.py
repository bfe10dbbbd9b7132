"""A small training and what it left behind, for the tests of several files."""

from pathlib import Path

import pytest
import torch

from corpusmill.tokenize.shards.packed import Packed
from corpusmill.trainer import TrainConfig, train
from corpusmill.trainer.learner import Record

TINY = TrainConfig(
    steps=12, batch_rows=6, micro_rows=4, warmup_steps=3, dim=32, layers=2, heads=2, checkpoint_every=4
)  # fmt: skip


class Killed(Exception):
    """Stands for a crash between two steps."""


def killed_after(step: int, shards: Packed, folder: Path, config: TrainConfig) -> None:
    def on_step(record: Record) -> None:
        if record["step"] == step:
            raise Killed

    with pytest.raises(Killed):
        train(shards, folder, config, on_step)


def log_of(folder: Path) -> str:
    return (folder / "log.jsonl").read_text("utf-8")


def saved(folder: Path) -> dict:
    [path] = folder.glob("checkpoint-*.pt")
    return torch.load(path, weights_only=True)


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return (
            isinstance(other, torch.Tensor)
            and one.dtype == other.dtype
            and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
        )
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    return one == other
