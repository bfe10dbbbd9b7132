"""A run under way: what every stage needs, and how a stage settles its account and commits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console

from corpusmill import ledger, manifest
from corpusmill.errors import QuarantineError
from corpusmill.ledger import Tally
from corpusmill.options import plain
from corpusmill.pipeline.directory import Record, RunDirectory, documents_json
from corpusmill.pipeline.progress import watch
from corpusmill.pipeline.runner import Engine
from corpusmill.pipeline.units import Work, map_units, sweep, unit_mark
from corpusmill.recipe import Recipe
from corpusmill.steps import Barrier, Step
from corpusmill.storage import remove, sha256_of

Kind = Literal["curate", "dedup", "tokenizer", "tokenize", "pack"]

VERSIONS: Mapping[Kind, int] = {"curate": 2, "dedup": 2, "tokenizer": 1, "tokenize": 1, "pack": 1}
"""Raised when a stage writes other bytes for the same input; steps have versions of their own."""


@dataclass(frozen=True)
class Stage:
    """One stage of a run: filters between two barriers, a barrier, or one of the last three."""

    name: str
    kind: Kind
    steps: tuple[Step, ...] = ()
    last_map: bool = False


def stages_of(recipe: Recipe) -> list[Stage]:
    """The stages of a recipe, in order."""
    groups: list[tuple[Kind, list[Step]]] = [("curate", [])]
    for step in recipe.steps:
        if isinstance(step, Barrier):
            groups.append(("dedup", [step]))
        elif groups[-1][0] == "curate":
            groups[-1][1].append(step)
        else:
            groups.append(("curate", [step]))
    if groups[-1][0] == "dedup":
        groups.append(("curate", []))
    last = len(groups) - 1
    stages = [
        Stage(f"{n}-{steps[0].use if kind == 'dedup' else kind}", kind, tuple(steps), n - 1 == last)
        for n, (kind, steps) in enumerate(groups, 1)
    ]
    tail: tuple[Kind, ...] = ("tokenizer", "tokenize", "pack")
    return [*stages, *(Stage(f"{len(stages) + n}-{kind}", kind) for n, kind in enumerate(tail, 1))]


@dataclass(frozen=True)
class Run:
    """A run under way: what every stage needs."""

    recipe: Recipe
    directory: RunDirectory
    engine: Engine
    console: Console

    def stage_fingerprint(self, stage: Stage, left: Record | None, inputs: Any) -> str:
        """Changes with whatever changes the stage's bytes: its steps, all that is on its left, and its other `inputs`.

        The left stage's own fingerprint is part of it: its files alone do not tell, for a barrier that removed nothing
        has none.
        """
        steps = [
            {
                "use": step.use,
                "version": step.version,
                "options": plain(step),
                "files": [sha256_of(path) for path in step.files()],
            }
            for step in stage.steps
        ]
        before = left and [left["fingerprint"], left["files"]]
        body = {"kind": stage.kind, "version": VERSIONS[stage.kind], "steps": steps, "left": before, "inputs": inputs}
        return manifest.fingerprint(body)

    def done_before(self, stage: Stage, mark: str, wanted: Callable[[str], str | None]) -> Record | None:
        """The stage's manifest if it is committed with this fingerprint; else None, with stale files swept away.

        `wanted` gives the mark that a unit's record must have to be kept.
        """
        directory = self.directory
        done = manifest.is_current(directory.stage_manifest(stage.name), mark, directory.root)
        if done is not None:
            self.console.print(f"{stage.name:<14} done before")
            return done
        remove(directory.path(manifest.RUN_MANIFEST))
        sweep(directory, stage.name, wanted)
        return None


def commit_map(
    job: Run,
    stage: Stage,
    mark: str,
    units: Sequence[tuple[str, Any]],
    sizes: Mapping[str, int],
    work: Work,
    left: Record | None,
    **more: Any,
) -> Record:
    """Do the units that are missing, check the ledger, commit; or give what is committed already.

    `sizes` has the bytes of each unit for the progress bar; `more` goes into the stage's manifest.
    """
    done = job.done_before(stage, mark, {name: unit_mark(mark, name, unit) for name, unit in units}.get)
    if done is not None:
        return done
    with watch(job.console, job.directory, stage.name, sizes):
        size = sum(sizes.values())
        records, runner = map_units(job.engine, job.directory, stage.name, mark, units, work, size)
    return settle(job, stage, mark, records, left, runner=runner, **more)


def settle(job: Run, stage: Stage, mark: str, records: Sequence[Record], left: Record | None, **more: Any) -> Record:
    """Check the stage's balance and its share of quarantine, then commit it."""
    tally = Tally()
    for record in records:
        tally.merge(Tally.from_json(record["tally"]))
    tally.check(stage.name)
    if left is not None and left["tally"]:
        ledger.check_chain(stage.name, tally, Tally.from_json(left["tally"]))
    check_quarantine(job.recipe, tally)
    tokens = [record["tokens"] for record in records if "tokens" in record]
    documents = documents_json(records)
    return commit_stage(job.directory, stage, mark, records, documents=documents, tokens=tokens, **more)


def check_quarantine(recipe: Recipe, tally: Tally) -> None:
    """Raise QuarantineError when more of the input is bad than the recipe allows."""
    bad, came = tally.total(ledger.QUARANTINED)[0], tally.total(ledger.IN)[0]
    if bad and bad > recipe.max_quarantine_ratio * came:
        reasons = ledger.account(tally)["documents"][ledger.QUARANTINED]
        most = ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items(), key=lambda item: -item[1])[:5])
        raise QuarantineError(
            f"{bad} of {came} records are unreadable ({most}), {bad / came:.2%}; the recipe allows "
            f"{recipe.max_quarantine_ratio:.2%}. They are listed in quarantine/. Mend the input, or set "
            "max_quarantine_ratio and run again: what is done is kept"
        )


def commit_stage(directory: RunDirectory, stage: Stage, mark: str, records: Sequence[Record], **more: Any) -> Record:
    """Write the stage's manifest from its units' records; gives its body."""
    tally = Tally()
    for record in records:
        tally.merge(Tally.from_json(record.get("tally", [])))
    files = sorted((entry for record in records for entry in record["files"]), key=lambda entry: str(entry["path"]))
    head = {"stage": stage.name, "kind": stage.kind, "fingerprint": mark}
    body: Record = {**head, "files": files, "tally": tally.to_json(), **more}
    manifest.commit(directory.stage_manifest(stage.name), body)
    return body
