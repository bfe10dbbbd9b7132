"""Phases: units of work of several kinds in one Beam job, a phase when the one before it is done.

Nothing but names crosses from phase to phase; what a phase leaves for the next is in files. Each unit has its record,
so a run that was cut off does only the units that are missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from corpusmill.pipeline.directory import Record, RunDirectory
from corpusmill.pipeline.runner import Engine
from corpusmill.pipeline.units import DoUnit, Finish, Work, result_of, unit_mark
from corpusmill.storage import FileEntry

Unit = tuple[str, Any]


@dataclass(frozen=True)
class Phase:
    """Units of one kind: each has a name that no other unit of the stage has, and arguments that become JSON."""

    name: str
    units: Sequence[Unit]
    work: Work


def files_record(*files: FileEntry) -> Record:
    """The record of a unit that has nothing to say but what it wrote."""
    return {"files": [file.to_json() for file in files]}


def when_done(_: tuple[int, Iterable[int]], units: Sequence[Unit]) -> Iterator[tuple[int, Unit]]:
    """The units of a phase, numbered, once all of the phase before are done: only then is there a group of them."""
    yield from enumerate(units)


def done_one(_: Record) -> tuple[int, int]:
    """That a unit is done."""
    return 0, 1


def run_phases(
    engine: Engine, directory: RunDirectory, stage: str, mark: str, phases: Sequence[Phase], size: int
) -> tuple[list[Record], str]:
    """Do every phase in its turn, `size` bytes in all; gives the records of the last one and the runner's name."""
    if not phases[-1].units:
        return [], engine.runner_name(size)

    def construct(pipeline: beam.Pipeline) -> None:
        records: beam.PCollection | None = None
        for n, phase in enumerate((phase for phase in phases if phase.units), 1):
            label = f"{stage}: {n} {phase.name}"
            if records is None:
                numbered = pipeline | f"{label}: units" >> beam.Create(list(enumerate(phase.units)), reshuffle=False)
            else:
                numbered = (
                    records
                    | f"{label}: done" >> beam.Map(done_one)
                    | f"{label}: all done" >> beam.GroupByKey()
                    | f"{label}: units" >> beam.FlatMap(when_done, list(phase.units))
                )
            records = (
                numbered
                | f"{label}: spread" >> beam.GroupByKey()
                | f"{label}: do" >> beam.ParDo(DoUnit(directory, stage, mark, phase.work))
            )
        records | f"{stage}: finish" >> Finish(directory, stage)

    runner = engine.run(construct, size)
    return result_of(directory, stage), runner


def marks(mark: str, phases: Sequence[Phase]) -> dict[str, str]:
    """The mark of every unit of every phase, by name."""
    return {name: unit_mark(mark, name, unit) for phase in phases for name, unit in phase.units}
