"""Train the small model on packed shards: AdamW, warm-up and cosine, and a resume that is exact to the bit.

Calling `train` again with the same arguments goes on from the last checkpoint. On the CPU, with the same version of
torch and the same number of threads, the weights and the log are then the same bits as without the interruption.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from corpusmill import manifest
from corpusmill.errors import ConfigError, CorpusmillError, NotCommitted
from corpusmill.storage import is_local
from corpusmill.tokenize.shards import Packed
from corpusmill.trainer import checkpoint
from corpusmill.trainer.config import TrainConfig
from corpusmill.trainer.data import IGNORE, Batch, State, batches, opened
from corpusmill.trainer.loss import by_source, mean, source_sums, token_losses
from corpusmill.trainer.model import Model, ModelConfig

Record = dict[str, Any]


@dataclass(frozen=True)
class History:
    """What a training run did.

    records      the lines of `log.jsonl`: step, loss, sources (name → loss), lr, grad_norm, tokens, epoch, row. Losses
                 are nats per supervised token since the record before; tokens, epoch and row count up to this step
    parameters   weights of the model
    tokens       supervised tokens trained on, in all
    resumed_from step of the checkpoint this call went on from, 0 for none
    seconds      of this call
    """

    records: list[Record]
    parameters: int
    tokens: int
    resumed_from: int
    seconds: float


def train(
    shards: str | Path | Packed,
    out_dir: str | Path,
    config: TrainConfig | None = None,
    on_step: Callable[[Record], None] | None = None,
) -> History:
    """Train, or go on with training, in `out_dir`; `on_step` gets each record as it is logged.

    Raises ConfigError when `out_dir` was begun with other shards or another config, IntegrityError when its files were
    changed, CorpusmillError when the loss is no longer a number.
    """
    config = config or TrainConfig()
    if not is_local(str(out_dir)):
        raise ConfigError(f"out_dir = {out_dir}, wanted a local folder")
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    packed = opened(shards)
    facts = checkpoint.facts_of(folder)
    begun = time.monotonic()
    with _deterministic(config.seed):
        run = _Run(packed, config)
        if facts is not None:
            _check_same(folder, facts, run.facts())
            run.restore(checkpoint.restore(folder, facts))
        resumed_from = run.step
        checkpoint.rewind(folder, facts)
        log = folder / checkpoint.LOG
        records = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
        with log.open("a", encoding="utf-8") as sink:
            for batch in run.rest():
                run.learn(batch)
                if run.step % config.log_every == 0 or run.step == config.steps:
                    records.append(run.record())
                    sink.write(json.dumps(records[-1], ensure_ascii=False) + "\n")
                    sink.flush()
                    if on_step:
                        on_step(records[-1])
                if run.step == config.steps or (config.checkpoint_every and run.step % config.checkpoint_every == 0):
                    checkpoint.commit(folder, run.content(), run.facts())
    return History(records, run.model.parameter_count(), run.tokens, resumed_from, time.monotonic() - begun)


def load(out_dir: str | Path) -> Model:
    """The model of the last checkpoint, on the CPU.

    Raises NotCommitted when there is none, IntegrityError when it was changed.
    """
    folder = Path(out_dir)
    facts = checkpoint.facts_of(folder)
    if facts is None:
        raise NotCommitted(f"{folder}: no checkpoint; `corpusmill train SHARDS` makes one")
    model = Model(ModelConfig(**facts["model"]))
    model.load_state_dict(checkpoint.restore(folder, facts)["model"])
    return model


class _Run:
    """Everything that changes from step to step, and how a step changes it."""

    def __init__(self, packed: Packed, config: TrainConfig) -> None:
        self.packed, self.config = packed, config
        self.model = Model(config.model(packed.manifest["tokenizer"]["vocab_size"])).to(config.device)
        decayed = [w for name, w in self.model.named_parameters() if w.ndim >= 2 and not name.startswith("embedding")]
        rest = [w for name, w in self.model.named_parameters() if w.ndim < 2 or name.startswith("embedding")]
        groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, betas=(config.beta1, config.beta2), fused=True)
        self.step, self.tokens, self.state = 0, 0, State()
        self.norm = torch.zeros(())
        # Loss sums and supervised tokens of each source since the last record; read by the log only.
        self.window = torch.zeros(2, len(packed.sources), dtype=torch.float64, device=config.device)

    def rest(self) -> Iterator[Batch]:
        """The batches of the steps still to do, across epochs."""
        while self.step < self.config.steps:
            for batch, state in batches(self.packed, self.config.batch_rows, self.state, seed=self.config.seed):
                self.state = state
                yield batch
                if self.step == self.config.steps:
                    return

    def learn(self, batch: Batch) -> None:
        """One step of the optimiser: the mean loss over the supervised tokens of the whole batch."""
        self.step += 1
        supervised = int((batch.targets != IGNORE).sum())
        self.optimizer.zero_grad()
        for part in batch.to(self.config.device).split(self.config.micro_rows):
            losses = token_losses(self.model, part)
            (losses.sum() / max(supervised, 1)).backward()  # type: ignore[no-untyped-call]
            self.window += source_sums(losses.detach(), part, len(self.packed.sources))
        limit = math.inf if self.config.clip_norm is None else self.config.clip_norm
        self.norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), limit)
        if not math.isfinite(float(self.norm)):
            raise CorpusmillError(
                f"step {self.step}: the gradient's norm is {float(self.norm)}; rows {batch.rows.tolist()}; "
                f"a lower learning_rate than {self.config.learning_rate} may help"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate(self.step)
        self.optimizer.step()
        self.tokens += supervised

    def record(self) -> Record:
        """The line of the log for this step; starts the next window."""
        sums = self.window.cpu()
        self.window = torch.zeros_like(self.window)
        return {
            "step": self.step,
            "loss": mean(sums),
            "lr": self.config.rate(self.step),
            "grad_norm": float(self.norm),
            "tokens": self.tokens,
            **asdict(self.state),
            "sources": by_source(sums, self.packed.sources),
        }

    def facts(self) -> dict[str, Any]:
        """What the manifest says of the run."""
        return {
            "step": self.step,
            "shards": manifest.fingerprint(
                {key: self.packed.manifest[key] for key in ("files", "sources", "sequence_length")}
            ),
            "config": asdict(self.config),
            "model": asdict(self.model.config),
            "parameters": self.model.parameter_count(),
            "torch": str(torch.__version__),
            "threads": torch.get_num_threads(),
        }

    def content(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "tokens": self.tokens,
            "state": asdict(self.state),
            "window": self.window,
            "rng": torch.get_rng_state(),
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        """Go back to a checkpoint."""
        self.model.load_state_dict(content["model"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.step, self.tokens, self.state = content["step"], content["tokens"], State(**content["state"])
        self.window = content["window"].to(self.config.device)
        torch.set_rng_state(content["rng"])


def _check_same(folder: Path, facts: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise ConfigError where a run in this folder was begun differently."""
    differing = [
        f"{key} was {facts['config'].get(key)!r}, now {value!r}"
        for key, value in wanted["config"].items()
        if facts["config"].get(key) != value
    ]
    if facts["shards"] != wanted["shards"]:
        differing.append(f"shards were {facts['shards'][:16]}…, now {wanted['shards'][:16]}…")
    if differing:
        raise ConfigError(
            f"{folder} holds a training run begun differently, at step {facts['step']}: {'; '.join(differing)}; "
            "give the same shards and settings to go on, or train into a new folder"
        )


@contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """Seeded, deterministic algorithms where torch has them; the caller's settings and random state come back."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
