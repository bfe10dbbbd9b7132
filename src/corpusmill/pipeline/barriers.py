"""The barrier stage: find duplicates of one kind over the whole corpus, take them out, commit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from corpusmill.dedup.ordered import OrderedBarrier
from corpusmill.dedup.spans import SpanBarrier
from corpusmill.errors import ConfigError, IntegrityError, NotCommitted
from corpusmill.pipeline import dedup, index, ordered, pieces, spans
from corpusmill.pipeline.directory import Record, RunDirectory, entries_of
from corpusmill.pipeline.groups import BarrierStage, groups_for
from corpusmill.pipeline.job import Run, Stage, settle
from corpusmill.pipeline.phases import Phase, marks, run_phases
from corpusmill.pipeline.progress import watch
from corpusmill.pipeline.removed import REMOVAL, write_superseded
from corpusmill.pipeline.rounds import join_by_rounds, joins_for
from corpusmill.steps import Barrier, DocumentBarrier, PieceBarrier
from corpusmill.storage import is_local, join


def dedup_stage(job: Run, stage: Stage, left: Record | None) -> Record:
    """Find and take out duplicates of one kind; commit."""
    if left is None:
        raise ConfigError("a barrier can't be the first stage")
    (barrier,) = stage.steps
    if not isinstance(barrier, Barrier):
        raise ConfigError(f"step {barrier.use!r} is no barrier")
    directory = job.directory
    mark = job.stage_fingerprint(stage, left, left["documents"])
    if barrier.save:  # before anything of an earlier run is taken away
        index.check_free(barrier.save, mark)
    plan = plan_of(directory, stage.name, barrier, left)
    phases = phases_of(plan)
    done = job.done_before(stage, mark, marks(mark, phases).get)
    if done is not None and saved(done, barrier):
        return done
    sizes = {name: entry.bytes for entry in plan.entries for name in (f"keys@{entry.unit}", entry.unit)}
    size = sum(sizes.values()) // 2
    with watch(job.console, directory, stage.name, sizes):
        if plan.joins > 1:
            run_phases(job.engine, directory, stage.name, mark, phases[:-1], size)
            join_by_rounds(job, plan, mark, size)
            phases = phases[-1:]
        records, runner = run_phases(job.engine, directory, stage.name, mark, phases, size)
    files = write_superseded(plan) if isinstance(barrier, DocumentBarrier) and plan.indexed else []
    if files:
        records.append({"unit": "", "files": [file.to_json() for file in files], "documents": None, "tally": []})
    made: dict[str, Any] = {"index": save(plan, barrier.save, mark)} if barrier.save else {}
    if barrier.against:
        made["against"] = index.stamp(barrier.against)
    body = settle(job, stage, mark, records, left, runner=runner, **made)
    clear(directory, stage.name)
    return body


def plan_of(directory: RunDirectory, stage: str, barrier: Barrier, left: Record) -> BarrierStage[Any]:
    """What the workers need to know."""
    entries = tuple(entries_of(left))
    known = index.load_for(barrier)
    indexed = known.parts if known else ()
    rows = sum(entry.rows for entry in entries) + sum(part.rows for part in indexed)
    size = sum(entry.bytes for entry in entries)
    keys, joins = size // pieces.BYTES_PER_PIECE + sum(part.rows for part in indexed), 1
    if isinstance(barrier, SpanBarrier):
        keys = size // spans.BYTES_PER_ANCHOR
    elif isinstance(barrier, DocumentBarrier):
        keys, joins = rows * barrier.keys_per_document(), joins_for(rows)
    state = join(known.path, index.STATE) if known and not indexed else ""
    return BarrierStage(
        stage, barrier, entries, directory, groups_for(keys), indexed, state, joins, barrier.save is not None
    )


def phases_of(plan: BarrierStage[Any]) -> list[Phase]:
    """What they have to do, but for the rounds of a join that is not in memory; the last one writes."""
    if isinstance(plan.barrier, PieceBarrier):
        return pieces.phases(plan)
    if isinstance(plan.barrier, OrderedBarrier):
        return ordered.phases(plan)
    if isinstance(plan.barrier, SpanBarrier):
        return spans.phases(plan)
    joined = [dedup.join_phase(plan)] if plan.joins == 1 else []
    return [*dedup.link_phases(plan), *joined, dedup.write_phase(plan)]


def save(plan: BarrierStage[Any], path: str, mark: str) -> Record:
    """Make the index of a stage whose phases are done; gives where it is and its hash."""
    made_by = index.options_of(plan.barrier)
    if isinstance(plan.barrier, OrderedBarrier):
        index.save(path, made_by, [], [], state=plan.directory.path(plan.scratch("state", "all")), mark=mark)
        return index.stamp(path)
    flags = [index.removed_before(part) for part in plan.parts]
    if isinstance(plan.barrier, DocumentBarrier):
        gone = plan.read_joined("removals", REMOVAL)["document"]
        for n, (first, last) in enumerate(zip(plan.first_ordinals()[:-1], plan.first_ordinals()[1:], strict=True)):
            flags[n] = np.zeros_like(flags[n])
            flags[n][(gone[(gone >= first) & (gone < last)] - first).astype(np.int64)] = 1
    index.save(path, made_by, plan.parts, flags, mark=mark)
    return index.stamp(path)


def saved(done: Record, barrier: Barrier) -> bool:
    """Whether the index that a committed stage made is still what it was, by its manifest and its files' sizes."""
    if barrier.save is None:
        return True
    try:
        return index.stamp(barrier.save) == done["index"]
    except (ConfigError, IntegrityError, NotCommitted):
        return False


def clear(directory: RunDirectory, stage: str) -> None:
    """Take away what the phases of a committed stage left for each other."""
    if is_local(directory.root):
        folder = Path(directory.path("work", stage))
        shutil.rmtree(folder / "scratch", ignore_errors=True)
        for record in (folder / "units").glob("*@*.json"):
            record.unlink()
