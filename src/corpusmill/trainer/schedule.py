"""What each step reads and its learning rate: arithmetic on the options and the number of rows, nothing else.

So the rows of step N are known without training, and do not depend on how many processes train.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from corpusmill.tokenize.shards.order import State
from corpusmill.trainer.config import TrainConfig


@dataclass(frozen=True)
class Place:
    """Step `step` (from 1) reads the places row … row + rows - 1 of an epoch's order."""

    step: int
    epoch: int
    row: int
    rows: int


class Schedule:
    """The steps of a run over shards of `rows` rows of `sequence_length` tokens. `steps` is how many they are."""

    def __init__(self, config: TrainConfig, rows: int, sequence_length: int) -> None:
        """Costs time by the number of epochs and changes of the batch size, not by the number of steps."""
        self._config, self._rows, self._length = config, rows, sequence_length
        self.steps = sum(count for _, count in self._stretches())

    def _stretches(self) -> Iterator[tuple[Place, int]]:
        """Runs of steps with the same number of rows in one epoch: the first, and how many they are.

        A step never crosses the end of an epoch: the last one of an epoch is shorter where rows are left over.
        """
        config = self._config
        step, epoch, row, read = 1, config.first_epoch, 0, 0
        while (config.tokens is None and step <= config.steps) or (config.tokens is not None and read < config.tokens):
            wanted = [size for tokens, size in config.batch_ramp if tokens <= read]
            size = min(wanted[-1] if wanted else config.batch_rows, self._rows - row)
            limits = [tokens for tokens, _ in config.batch_ramp if tokens > read][:1]
            limits += [] if config.tokens is None else [config.tokens]
            counts = [(self._rows - row) // size, *(-((read - tokens) // (size * self._length)) for tokens in limits)]
            counts += [config.steps - step + 1] if config.tokens is None else []
            count = min(counts)
            yield Place(step, epoch, row, size), count
            step, row, read = step + count, row + count * size, read + count * size * self._length
            if row == self._rows:
                epoch, row = epoch + 1, 0

    def places(self, first: int = 1) -> Iterator[Place]:
        """The places of the steps from `first` on."""
        for start, count in self._stretches():
            for k in range(max(first - start.step, 0), count):
                yield Place(start.step + k, start.epoch, start.row + k * start.rows, start.rows)

    def state_after(self, place: Place) -> State:
        """Where a loader goes on after this step."""
        end = place.row + place.rows
        return State(place.epoch, end) if end < self._rows else State(place.epoch + 1, 0)

    def rate(self, step: int) -> float:
        """Learning rate of step 1 … `steps`."""
        config = self._config
        if step < config.warmup_steps:
            return config.learning_rate * step / config.warmup_steps
        if config.schedule == "wsd":
            height = min((self.steps - step) / max(math.ceil(config.decay_ratio * self.steps), 1), 1)
        else:
            done = (step - config.warmup_steps) / max(self.steps - config.warmup_steps, 1)
            height = (1 + math.cos(math.pi * done)) / 2
        return config.learning_rate * (config.min_lr_ratio + (1 - config.min_lr_ratio) * height)
