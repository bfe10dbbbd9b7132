"""Train the small model on packed shards, in one process or in torchrun's, with a resume that is exact to the bit.

Calling `train` again with the same arguments goes on from the last checkpoint. On the CPU, with the same version of
torch, the same number of threads and as many processes, the weights and the log are then the same bits as without the
interruption. With another number of processes every step still has the same rows.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import torch

from corpusmill.errors import ConfigError
from corpusmill.options import plain
from corpusmill.storage import is_local
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.trainer import checkpoint
from corpusmill.trainer.config import HOW, TrainConfig
from corpusmill.trainer.data import opened
from corpusmill.trainer.learner import Learner, Record
from corpusmill.trainer.loss import evaluate
from corpusmill.trainer.model import Model, ModelConfig
from corpusmill.trainer.parallel import joined


@dataclass(frozen=True)
class History:
    """What a training run did.

    records      the lines of `log.jsonl`: step, loss, sources (name → loss), lr, grad_norm, tokens, epoch, row, places,
                 skipped, and held_out where it was measured. Losses are nats per supervised token since the record
                 before (None where there was none); tokens, supervised ones, epoch and row count up to this step;
                 places are [epoch, first, one past the last] of what was read since the record before, skipped the
                 steps since then whose update was not made
    parameters   weights of the model
    tokens       supervised tokens trained on, in all
    resumed_from step of the checkpoint this call went on from, 0 for none
    seconds      of this call
    tokens_read  in this call, padding included
    flops        of the model in this call, see `Model.flops_per_token`
    """

    records: list[Record]
    parameters: int
    tokens: int
    resumed_from: int
    seconds: float
    tokens_read: int
    flops: int


def train(
    shards: str | Path | Packed,
    out_dir: str | Path,
    config: TrainConfig | None = None,
    on_step: Callable[[Record], None] | None = None,
    measure: str | Path | Packed | None = None,
    from_step: int | None = None,
) -> History:
    """Train, or go on with training, in `out_dir`; `on_step` gets each record as it is logged, in one process only.

    `measure` are held-out shards in place of the option `eval_shards`. With `from_step` the run first goes back to the
    checkpoint of that step, which must be kept, and forgets what came after. Under torchrun all processes call it
    with the same arguments and see the same `out_dir`.

    Raises ConfigError when `out_dir` was begun with other shards or another config, or the held-out shards are of
    another tokenizer; IntegrityError when its files were changed; CorpusmillError when the loss is no longer a number.
    """
    config = config or TrainConfig()
    if not is_local(str(out_dir)):
        raise ConfigError(f"out_dir = {out_dir}, wanted a local folder")
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    packed = opened_for(shards, config)
    held_out = _held_out(packed, measure if measure is not None else config.eval_shards)
    begun, read = time.monotonic(), 0
    with deterministic(config.seed), joined(config.device) as world:
        learner = Learner(packed, config, world)
        records = _begin(folder, learner, held_out, from_step)
        resumed_from = learner.step
        with (folder / checkpoint.LOG).open("a", encoding="utf-8") as sink:
            for place in learner.schedule.places(learner.step + 1):
                learner.learn(place)
                read += place.rows * packed.sequence_length
                saves, measures = learner.due(config.checkpoint_every), learner.due(config.eval_every)
                if not (saves or learner.due(config.log_every) or (held_out is not None and measures)):
                    continue
                records.append(learner.record())
                if held_out is not None and measures:
                    found = evaluate(learner.model, held_out, config.micro_rows, world, learner.precision)
                    records[-1]["held_out"] = asdict(found)
                if world.main:
                    _write(sink, records[-1], on_step)
                if saves:
                    content = learner.content()
                    if world.main:
                        checkpoint.commit(folder, content, facts_for(learner, held_out), config.keep_checkpoints)
        world.wait()
    return History(
        records,
        learner.model.parameter_count(),
        int(learner.tokens),
        resumed_from,
        time.monotonic() - begun,
        read,
        read * learner.model.flops_per_token(packed.sequence_length),
    )


def load(out_dir: str | Path) -> Model:
    """The model of the last checkpoint, on the CPU.

    Raises NotCommitted when there is none, IntegrityError when it was changed.
    """
    folder = Path(out_dir)
    facts = checkpoint.found(folder)
    model = Model(ModelConfig(**facts["model"]))
    model.load_state_dict(checkpoint.restore(folder, checkpoint.checkpoints(facts)[0])["model"])
    return model


def opened_for(shards: str | Path | Packed, config: TrainConfig) -> Packed:
    """The shards as this training reads them: without what its skip list names. Raises ConfigError for a bad one."""
    packed = opened(shards)
    return packed if config.skip_list is None else Packed(packed.root, skip=config.skip_list)


def facts_for(learner: Learner, held_out: Packed | None) -> Record:
    """What the manifest says of a run."""
    return {
        "step": learner.step,
        "shards": learner.packed.id,
        "content": learner.packed.content_id,
        "held_out": held_out and held_out.id,
        "config": plain(learner.config),
        "precision": learner.precision,
        "model": asdict(learner.model.config),
        "parameters": learner.model.parameter_count(),
        "processes": learner.world.size,
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
    }


def _held_out(packed: Packed, measure: str | Path | Packed | None) -> Packed | None:
    """The held-out shards, opened. Raises ConfigError unless their tokens mean the same."""
    if measure is None:
        return None
    found = opened(measure)
    mine, its = (shards.manifest["tokenizer"] for shards in (packed, found))
    if mine["sha256"] != its["sha256"]:
        raise ConfigError(
            f"held-out shards {found.directory}: their tokenizer is {its['sha256'][:16]}…, that of {packed.directory} "
            f"{mine['sha256'][:16]}…; pack both with one tokenizer"
        )
    return found


def _begin(folder: Path, learner: Learner, held_out: Packed | None, from_step: int | None) -> list[Record]:
    """Put folder and learner in the state of the checkpoint to go on from; gives the records up to it."""
    facts = checkpoint.facts_of(folder)
    if facts is not None:
        _check_same(folder, facts, facts_for(learner, held_out))
    learner.world.wait()
    if learner.world.main:
        if from_step is not None:
            checkpoint.go_back(folder, from_step)
        checkpoint.rewind(folder, checkpoint.facts_of(folder))
    learner.world.wait()
    facts = checkpoint.facts_of(folder)
    if facts is not None:
        learner.restore(checkpoint.restore(folder, checkpoint.checkpoints(facts)[0]))
    return [json.loads(line) for line in (folder / checkpoint.LOG).read_text("utf-8").splitlines()]


def _write(sink: IO[str], record: Record, on_step: Callable[[Record], None] | None) -> None:
    sink.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    sink.flush()
    if on_step:
        on_step(record)


def _check_same(folder: Path, facts: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise ConfigError where a run in this folder was begun differently."""
    differing = [
        f"{key} was {facts['config'].get(key)!r}, now {value!r}"
        for key, value in wanted["config"].items()
        if key not in HOW and facts["config"].get(key) != value
    ]
    for key, name in (("shards", "shards were"), ("held_out", "held-out shards were"), ("precision", "precision was")):
        if facts[key] != wanted[key]:
            differing.append(f"{name} {str(facts[key])[:16]}…, now {str(wanted[key])[:16]}…")
    if differing:
        raise ConfigError(
            f"{folder} holds a training run begun differently, at step {facts['step']}: {'; '.join(differing)}; "
            "give the same shards and settings to go on, or train into a new folder"
        )


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Seeded, deterministic algorithms where torch has them; the caller's settings and random state come back."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
