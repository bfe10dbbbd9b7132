"""Compare corpora: the same small model on each, the same number of tokens, several seeds, one held-out set.

Everything but the text is equal: weights at the start (they depend on the seed), tokens, batches, learning rates, the
tokenizer and the length of rows. Each seed reads its own epoch of the rows' order, so that the spread between seeds has
that of the choice of text in it. Held-out segments that lie in a corpus are not learnt from; a corpus with fewer tokens
than the training takes is repeated. Both are reported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from corpusmill.errors import ConfigError
from corpusmill.options import plain
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenize.shards.takedown import SkipList, content_hash
from corpusmill.trainer.config import TrainConfig
from corpusmill.trainer.data import opened
from corpusmill.trainer.intervals import Interval, interval
from corpusmill.trainer.schedule import Schedule
from corpusmill.trainer.train import train

EVALUATIONS = 20
"""Points of a curve, unless eval_every says otherwise."""
ROWS_AT_ONCE = 1024
ALL = "all"
"""The name of all held-out sources together."""

Record = dict[str, Any]
Losses = dict[str, list[float]]


@dataclass(frozen=True)
class Comparison:
    """What an ablation found.

    config       the trainer's options
    corpora      corpus → tokens and rows it holds, length of rows, tokens read by one training, how many epochs that
                 is, segments left out because they are held-out ones, id of its shards
    losses       corpus → held-out source, or "all" → nats per token at the end, one for each seed
    intervals    the same, mean and 95 % interval over the seeds
    differences  corpus → source → its loss minus that of the first corpus, seed by seed: what both have in common with
                 a seed falls out, so these intervals are narrower
    curves       corpus → [(tokens read, mean held-out loss, half width of its interval)]
    """

    config: Record
    corpora: dict[str, Record]
    losses: dict[str, Losses]
    intervals: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Interval]]
    curves: dict[str, list[tuple[int, float, float | None]]]

    def to_json(self) -> Record:
        """Plain data."""
        return dataclasses.asdict(self)


def ablate(
    corpora: Mapping[str, str | Path],
    held_out: str | Path,
    out_dir: str | Path,
    config: TrainConfig,
    seeds: int,
    on_step: Callable[[str, int, Record], None] | None = None,
) -> Comparison:
    """Train on each of `corpora` (name → shards folder) with each seed, or go on with it, below `out_dir`.

    Raises ConfigError for fewer than two corpora, no seed, options that an ablation sets itself, and shards whose
    tokenizers or rows differ, or whose names can't be told apart.
    """
    check_asked(len(corpora), seeds, config)
    measure = opened(held_out)
    if ALL in measure.sources:
        raise ConfigError(f"the held-out loss over everything is called {ALL!r}; give the source {ALL!r} another name")
    skip = held_out_segments(measure)
    packed = {name: Packed(opened(path).root, skip=skip) for name, path in corpora.items()}
    check_comparable({**packed, "the held-out set": measure})
    config = equal_tokens(config, measure.sequence_length)
    logs: dict[str, list[list[Record]]] = {name: [] for name in corpora}
    for seed in range(seeds):
        for name in corpora:
            steps = Schedule(config, len(packed[name]), measure.sequence_length).steps
            chosen = dataclasses.replace(
                config,
                seed=config.seed + seed,
                first_epoch=config.first_epoch + seed,
                eval_every=config.eval_every or max(1, steps // EVALUATIONS),
            )
            folder = Path(out_dir) / name / f"seed-{chosen.seed}"
            history = train(packed[name], folder, chosen, on_step and partial(on_step, name, seed), measure)
            logs[name].append(history.records)
    facts = {name: facts_of(packed[name], logs[name][0]) for name in corpora}
    return compare(plain(config), facts, logs)


def equal_tokens(config: TrainConfig, sequence_length: int) -> TrainConfig:
    """The same options with the length in tokens: a step at the end of an epoch is shorter, so steps are no measure.

    Raises ConfigError where steps are of changing size.
    """
    if config.tokens is not None:
        return config
    if config.batch_ramp:
        raise ConfigError("batch_ramp: the corpora are compared at equal tokens; give the length as tokens, not steps")
    return dataclasses.replace(config, tokens=config.steps * config.batch_rows * sequence_length)


def check_asked(corpora: int, seeds: int, config: TrainConfig) -> None:
    """Raise ConfigError for fewer than two corpora, no seed, and options that an ablation sets itself."""
    if corpora < 2 or seeds < 1:
        raise ConfigError(f"an ablation has two corpora or more and one seed or more; got {corpora} and {seeds}")
    for name in ("eval_shards", "skip_list"):
        if getattr(config, name) is not None:
            raise ConfigError(f"{name}: an ablation measures on the held-out set and leaves that out; drop the option")


def held_out_segments(measure: Packed) -> SkipList:
    """The segments of the held-out set, to be left out of what is learnt from."""
    found = set()
    for row in measure:
        tokens = row.tokens
        for piece in row.segments:
            segment = tokens[piece["start"] : piece["start"] + piece["length"]]
            found.add((len(segment), content_hash(segment)))
    return SkipList(segments=frozenset(found))


def check_comparable(shards: Mapping[str, Packed]) -> None:
    """Raise ConfigError unless all have rows of one length from one tokenizer with one policy."""
    (first, one), *others = shards.items()
    for name, other in others:
        mine, its = one.manifest["tokenizer"], other.manifest["tokenizer"]
        for what, wanted, got in (
            ("the tokenizer", mine["sha256"], its["sha256"]),
            ("the tokenizer's policy", mine["policy"], its["policy"]),
            ("sequence_length", one.sequence_length, other.sequence_length),
        ):
            if wanted != got:
                raise ConfigError(
                    f"{what} of {first} is {wanted}, that of {name} is {got}; losses can be compared only where they "
                    "are the same: pack both with one tokenizer and one sequence_length"
                )


def facts_of(packed: Packed, log: list[Record]) -> Record:
    """What a reader wants to know of a corpus beside its losses."""
    read = rows_read(log, len(packed))
    return {
        "tokens": packed.manifest["totals"]["tokens"],
        "rows": len(packed),
        "sequence_length": packed.sequence_length,
        "trained_tokens": read * packed.sequence_length,
        "epochs": read / len(packed),
        "held_out_segments": hidden_segments(packed) - hidden_segments(Packed(packed.root)),
        "id": packed.id,
    }


def hidden_segments(packed: Packed) -> int:
    """How many segments this reader hides, taken-down ones among them."""
    if not packed.hidden:
        return 0
    blocks = (range(at, min(at + ROWS_AT_ONCE, len(packed))) for at in range(0, len(packed), ROWS_AT_ONCE))
    return sum(int(packed.gather(rows).hidden.sum()) for rows in blocks)


def rows_read(log: list[Record], rows: int) -> int:
    """Rows that a training has read, from the first place in its log to the last."""
    first, _, _ = log[0]["places"][0]
    epoch, _, stop = log[-1]["places"][-1]
    return int((epoch - first) * rows + stop)


def compare(config: Record, facts: dict[str, Record], logs: Mapping[str, list[list[Record]]]) -> Comparison:
    """The statistics of the logs of all trainings."""
    losses: dict[str, Losses] = {}
    for name, of_seeds in logs.items():
        ends = [log[-1]["held_out"] for log in of_seeds]
        losses[name] = {source: [end["sources"][source] for end in ends] for source in ends[0]["sources"]}
        losses[name][ALL] = [end["loss"] for end in ends]
    first = next(iter(losses))
    return Comparison(
        config,
        facts,
        losses,
        {name: {source: interval(values) for source, values in found.items()} for name, found in losses.items()},
        {
            name: {source: interval(minus(values, losses[first][source])) for source, values in found.items()}
            for name, found in losses.items()
            if name != first
        },
        {name: curve(of_seeds, facts[name]) for name, of_seeds in logs.items()},
    )


def minus(values: list[float], others: list[float]) -> list[float]:
    """Differences, seed by seed."""
    return [value - other for value, other in zip(values, others, strict=True)]


def curve(of_seeds: list[list[Record]], facts: Record) -> list[tuple[int, float, float | None]]:
    """The mean held-out loss wherever it was measured."""
    measured = [[record for record in log if "held_out" in record] for log in of_seeds]
    found = []
    for records in zip(*measured, strict=True):
        read = rows_read([of_seeds[0][0], records[0]], facts["rows"])
        spread = interval([record["held_out"]["loss"] for record in records])
        found.append((read * facts["sequence_length"], spread.mean, spread.half_width))
    return found
