"""Everything of a training run that changes from step to step, and how a step changes it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from corpusmill.errors import CorpusmillError
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.trainer.config import TrainConfig
from corpusmill.trainer.data import IGNORE, Batch
from corpusmill.trainer.loss import by_source, logits_of, losses_of, mean, shared, source_sums, z_penalty
from corpusmill.trainer.model import Model
from corpusmill.trainer.parallel import World, part, spread, synchronize, whole
from corpusmill.trainer.precision import autocast, resolve
from corpusmill.trainer.schedule import Place, Schedule
from corpusmill.trainer.spikes import Spikes

Record = dict[str, Any]


class Learner:
    """A model, its optimiser, and what the log is to be told."""

    def __init__(self, packed: Packed, config: TrainConfig, world: World) -> None:
        """Fresh weights from torch's random state. All processes of `world` build and use theirs in step."""
        self.packed, self.config, self.world = packed, config, world
        self.schedule = Schedule(config, len(packed), packed.sequence_length)
        self.precision = resolve(config.precision, world.device)
        model = Model(config.model(packed.manifest["tokenizer"]["vocab_size"])).to(world.device)
        model.recompute = config.recompute
        self.model = spread(model, config.parallel, world)
        self.optimizer = adamw(self.model, config)
        self.spikes = Spikes(config.skip_sigma, config.skip_window, world.device)
        self.step = 0
        # All of these stay on the device until a record is made. By source: this process's loss sums and tokens.
        self.tokens = torch.zeros((), dtype=torch.int64, device=world.device)
        self.skipped_in_a_row = torch.zeros((), device=world.device)
        self.window = torch.zeros(2, len(packed.sources), dtype=torch.float64, device=world.device)
        # The steps since the last record, and loss, gradient norm and verdict of each.
        self.pending: list[Place] = []
        self.verdicts: list[Tensor] = []

    def due(self, every: int | None) -> bool:
        """Whether what is done `every` steps, and after the last, is due now."""
        return self.step == self.schedule.steps or (every is not None and self.step % every == 0)

    def batch(self, place: Place) -> Batch:
        """This process's share of a step's rows, on the CPU."""
        return shared(self.packed, place.epoch, place.row, place.rows, self.config.seed, self.world)

    def learn(self, place: Place) -> None:
        """One step of the optimiser: the mean loss over the supervised tokens of all rows of the step."""
        sums, count = self.gradients(place)
        limit = math.inf if self.config.clip_norm is None else self.config.clip_norm
        norm = whole(torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit))
        loss = self.world.add_up(sums.sum(dim=1)[0]) / count.clamp(min=1)
        skip = self.spikes.judge(loss, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(place.step)
        # What a gradient scaler tells a fused optimiser: with 1 weights, moments and its count of steps stay as they
        # are. The device decides; nothing waits for it.
        self.optimizer.grad_scale, self.optimizer.found_inf = None, skip  # type: ignore[attr-defined]
        self.optimizer.step()
        self.step = place.step
        self.tokens += count
        self.window += torch.where(loss.isfinite() & norm.isfinite(), sums, 0)
        self.skipped_in_a_row = (self.skipped_in_a_row + 1) * skip
        self.pending.append(place)
        self.verdicts.append(torch.stack((loss.double(), norm.double(), skip.double())))

    def gradients(self, place: Place) -> tuple[Tensor, Tensor]:
        """Fill the gradients; gives this process's `source_sums` and the supervised tokens of all processes."""
        batch = self.batch(place)
        count = (batch.targets != IGNORE).sum().to(self.world.device)
        self.world.add_up(count)
        sums = torch.zeros_like(self.window)
        parts = list(batch.to(self.world.device).split(self.config.micro_rows))
        self.optimizer.zero_grad()
        for number, rows in enumerate(parts, start=1):
            synchronize(self.model, number == len(parts))
            with autocast(self.precision, self.world.device):
                logits = logits_of(self.model, rows)
                losses = losses_of(logits, rows)
                total = losses.sum()
                if self.config.z_loss is not None:
                    total = total + self.config.z_loss * z_penalty(logits, rows)
            # Gradients are the mean over the processes; their share of the loss is one of all tokens.
            (total * self.world.size / count.clamp(min=1)).backward()  # type: ignore[no-untyped-call]
            sums += source_sums(losses, rows, len(self.packed.sources))
        return sums, count

    def record(self) -> Record:
        """The line of the log for the steps since the last one. All processes call it and get the same.

        Raises CorpusmillError where gradients are no numbers and no rule says to go on, or nothing else comes.
        """
        verdicts = self._check()
        sums = self.world.add_up(self.window.clone()).cpu()
        last = self.pending[-1]
        record = {
            "step": self.step,
            "loss": mean(sums),
            "lr": self.schedule.rate(self.step),
            "grad_norm": _number(verdicts[-1][1]),
            "tokens": int(self.tokens),
            **asdict(self.schedule.state_after(last)),
            "places": _ranges(self.pending),
            "skipped": [
                {**asdict(place), "loss": _number(loss), "grad_norm": _number(norm)}
                for place, (loss, norm, skipped) in zip(self.pending, verdicts, strict=True)
                if skipped
            ],
            "sources": by_source(sums, self.packed.sources),
        }
        self.forget()
        return record

    def forget(self) -> None:
        """Begin a new record."""
        self.window = torch.zeros_like(self.window)
        self.pending, self.verdicts = [], []

    def _check(self) -> list[list[float]]:
        """Loss, gradient norm and verdict of the pending steps; see `record` for what it raises."""
        verdicts: list[list[float]] = torch.stack(self.verdicts).tolist()
        config = self.config
        for place, (loss, norm, skipped) in zip(self.pending, verdicts, strict=True):
            if config.skip_sigma is None and skipped:
                raise CorpusmillError(
                    f"step {place.step}: the loss is {loss}, the gradient's norm is {norm}; places {place.row} to "
                    f"{place.row + place.rows - 1} of epoch {place.epoch}. Its update was not made. A lower "
                    f"learning_rate than {config.learning_rate} may help, or skip_sigma = 6, which goes on without it"
                )
        if int(self.skipped_in_a_row) >= config.skip_window:
            raise CorpusmillError(
                f"step {self.step}: the last {config.skip_window} steps were all left out as spikes; the model learns "
                f"no more. A lower learning_rate than {config.learning_rate} may help"
            )
        return verdicts

    def content(self) -> dict[str, Any]:
        """What a checkpoint holds, the same for any world; made after a record. All processes call it."""
        return {
            "model": {name: whole(value).cpu() for name, value in self.model.state_dict().items()},
            "optimizer": {
                name: {key: whole(value).cpu() for key, value in self.optimizer.state[weight].items()}
                for name, weight in self.model.named_parameters()
            },
            "step": self.step,
            "tokens": self.tokens.cpu(),
            "spikes": self.spikes.last.cpu(),
            "skipped_in_a_row": self.skipped_in_a_row.cpu(),
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        """Go back to a checkpoint."""
        device = self.world.device
        with torch.no_grad():
            for name, weight in self.model.named_parameters():
                weight.copy_(part(content["model"][name], weight))
                # Interned, as the optimiser's own keys are: the next checkpoint's file is then the same bytes.
                self.optimizer.state[weight] = {
                    sys.intern(key): part(value, weight) if value.ndim else value.to(device)
                    for key, value in content["optimizer"][name].items()
                }
        self.step = content["step"]
        self.tokens = content["tokens"].to(device)
        self.spikes.last = content["spikes"].to(device)
        self.skipped_in_a_row = content["skipped_in_a_row"].to(device)


def adamw(model: Model, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW with the weight decay on matrices that are multiplied with; epsilon 1e-8."""
    named = list(model.named_parameters())
    decayed = [weight for name, weight in named if weight.ndim >= 2 and not name.startswith("embedding")]
    rest = [weight for name, weight in named if weight.ndim < 2 or name.startswith("embedding")]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=(config.beta1, config.beta2), eps=1e-8, fused=True)


def _ranges(places: list[Place]) -> list[list[int]]:
    """[epoch, first place, one past the last] of runs of steps that follow each other within an epoch."""
    found: list[list[int]] = []
    for place in places:
        if found and found[-1][0] == place.epoch and found[-1][2] == place.row:
            found[-1][2] += place.rows
        else:
            found.append([place.epoch, place.row, place.row + place.rows])
    return found


def _number(value: float) -> float | str:
    """As JSON can hold it, which knows neither nan nor infinity."""
    return value if math.isfinite(value) else str(value)
