"""The barrier stage: find duplicates of one kind over the whole corpus, take them out, commit."""

from __future__ import annotations

from corpusmill.errors import ConfigError
from corpusmill.pipeline.dedup import dedup
from corpusmill.pipeline.directory import Record, as_json, entries_of
from corpusmill.pipeline.groups import BarrierStage
from corpusmill.pipeline.job import Run, Stage, settle
from corpusmill.pipeline.pieces import dedup_pieces
from corpusmill.pipeline.progress import watch
from corpusmill.steps import DocumentBarrier, PieceBarrier


def dedup_stage(job: Run, stage: Stage, left: Record | None) -> Record:
    """Find and take out duplicates of one kind; commit."""
    if left is None:
        raise ConfigError("a barrier can't be the first stage")
    (barrier,) = stage.steps
    entries = tuple(entries_of(left))
    mark = job.stage_fingerprint(stage, left, [as_json(entry) for entry in entries])
    directory = job.directory
    done = job.done_before(stage, mark, lambda _: None)
    if done is not None:
        return done
    with watch(job.console, directory, stage.name, {entry.unit: entry.bytes for entry in entries}):
        if isinstance(barrier, PieceBarrier):
            records, runner = dedup_pieces(job.engine, BarrierStage(stage.name, barrier, entries, directory))
        elif isinstance(barrier, DocumentBarrier):
            records, runner = dedup(job.engine, BarrierStage(stage.name, barrier, entries, directory))
        else:
            raise ConfigError(f"step {barrier.use!r} is no barrier")
    return settle(job, stage, mark, records, left, runner=runner)
