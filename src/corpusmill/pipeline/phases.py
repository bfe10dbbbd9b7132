"""Phases: units of work of several kinds in one Beam job, a phase when the one before it is done.

Nothing but names crosses from phase to phase; what a phase leaves for the next is in files. Each unit has its record,
so a run that was cut off does only the units that are missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import apache_beam as beam

from corpusmill.pipeline.directory import Record, RunDirectory
from corpusmill.pipeline.runner import Engine
from corpusmill.pipeline.units import DoUnit, Units, Work, do_units, leave, result_of, unit_mark
from corpusmill.storage import FileEntry

Unit = tuple[str, Any]


@dataclass(frozen=True)
class Phase:
    """Units of one kind: each has a name that no other unit of the stage has, and arguments that become JSON."""

    name: str
    units: Units
    work: Work


def files_record(*files: FileEntry) -> Record:
    """The record of a unit that has nothing to say but what it wrote."""
    return {"files": [file.to_json() for file in files]}


def run_phases(
    engine: Engine, directory: RunDirectory, stage: str, mark: str, phases: Sequence[Phase], size: int
) -> tuple[list[Record], str]:
    """Do every phase in its turn, `size` bytes in all; gives the records of the last one and the runner's name."""
    if not phases[-1].units:
        return [], engine.runner_name(size)

    def construct(pipeline: beam.Pipeline) -> None:
        done = pipeline | f"{stage}: start" >> beam.Impulse()
        for n, phase in enumerate((phase for phase in phases if phase.units), 1):
            label = f"{stage}: {n} {phase.name}"
            do = partial(DoUnit, directory, stage, mark, phase.work)
            records = do_units(done, label, phase.units, do, shared=engine.shares(size))
            if phase is not phases[-1]:  # there is a group of records when all are there
                done = records | f"{label}: all done" >> beam.GroupByKey()
        leave(records, directory, stage)

    runner = engine.run(construct, size)
    return result_of(directory, stage), runner


def marks(mark: str, phases: Sequence[Phase]) -> dict[str, str]:
    """The mark of every unit of every phase, by name."""
    return {name: unit_mark(mark, name, unit) for phase in phases for name, unit in phase.units}
