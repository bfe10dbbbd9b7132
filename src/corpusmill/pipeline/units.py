"""Units of work: each writes its files and then its record; the records are merged in the graph.

Run again, only the units whose record is missing or stale are done.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import apache_beam as beam
import pyarrow as pa

from corpusmill import manifest
from corpusmill.errors import IntegrityError
from corpusmill.pipeline.directory import Record, RunDirectory
from corpusmill.pipeline.runner import Engine
from corpusmill.storage import check, is_local, read_bytes, remove, write_bytes

Units = Sequence[tuple[str, Any]]
"""Names and arguments, which become JSON."""

SCRATCH_MARK = "@"
"""In the names of units that only later units of their stage need: what they leave, records too, goes when it commits.

Neither is forced to the disk. A record that a loss of power spoilt is none, and the unit is done again; the files of a
whole one are checked by their content.
"""


class Work(Protocol):
    """One kind of unit: a picklable object that does unit `name`, whose arguments are `unit`."""

    def __call__(self, directory: RunDirectory, name: str, unit: Any) -> Record:
        """Write the unit's files and give its record: `files` (as in a manifest) and whatever the stage needs."""


class DoUnit(beam.DoFn):
    """Do units of work unless their records are there already. All records are under one key."""

    def __init__(self, directory: RunDirectory, stage: str, fingerprint: str, work: Work, units: Units = ()) -> None:
        """`units` are done for any element; without them, those that come."""
        self._directory, self._stage, self._fingerprint, self._work = directory, stage, fingerprint, work
        self._units = units

    def setup(self) -> None:
        """One core per worker: Beam does the spreading."""
        pa.set_cpu_count(1)

    def process(self, element: Any) -> Iterator[tuple[int, Record]]:
        """`element` is (key, [(name, unit)]), or anything."""
        for name, unit in self._units or element[1]:
            mark = unit_mark(self._fingerprint, name, unit)
            do = partial(self._work, self._directory, name, unit)
            yield one_key(current_or_done(self._directory, self._stage, name, mark, do))


def unit_mark(fingerprint: str, name: str, unit: Any) -> str:
    """The fingerprint of one unit of a stage with `fingerprint`."""
    return manifest.fingerprint([fingerprint, name, unit])


def current_or_done(directory: RunDirectory, stage: str, name: str, mark: str, do: Callable[[], Record]) -> Record:
    """The unit's record if it is committed with this mark; else do it and commit its record.

    A record is forced to the disk but for its name: when that is lost the unit is done again.
    """
    path = directory.unit_record(stage, name)
    record = manifest.is_current(path, mark, directory.root)
    if record is None or not intact(directory, record):
        record = {**do(), "unit": name, "fingerprint": mark}
        manifest.commit(path, record, durable=SCRATCH_MARK not in name and "content")
    return record


def intact(directory: RunDirectory, record: Record) -> bool:
    """Whether the scratch files of a record are what was written.

    They were not forced to the disk: after a loss of power they may have their length and not their content.
    """
    try:
        for entry in manifest.entries(record):
            if "/scratch/" in entry.path:
                check(entry, directory.root, content=True)
    except IntegrityError:
        return False
    return True


def leave_result(element: tuple[int, Iterable[Record]], directory: RunDirectory, stage: str) -> None:
    """The last step of a graph: leave all records, in the order of their units, for the driver."""
    ordered = sorted(element[1], key=lambda record: str(record["unit"]))
    write_bytes(directory.stage_result(stage), json.dumps(ordered).encode())


def leave(records: beam.PCollection, directory: RunDirectory, stage: str) -> beam.PCollection:
    """Write records that are under one key, one at least, to the stage's result file.

    Beam's global combiners take ten times as long to set up.
    """
    together = records | f"{stage}: together" >> beam.GroupByKey()
    return together | f"{stage}: leave result" >> beam.Map(leave_result, directory, stage)


def one_key(record: Record) -> tuple[int, Record]:
    """All records under one key."""
    return 0, record


def numbered(_: Any, units: Units) -> Iterator[tuple[int, tuple[str, Any]]]:
    """The units with their positions, for one element of any kind: so they are there when that is."""
    yield from enumerate(units)


def do_units(
    before: beam.PCollection, label: str, units: Units, do: Callable[[Units], beam.DoFn], *, shared: bool
) -> beam.PCollection:
    """What `do` makes of units, such as their records, once the one element of `before` is there.

    `shared`, any number of workers has an even part of them; else one does them in order, which takes less of Beam.
    `do` makes the step from the units that it does whatever comes.
    """
    if not shared or len(units) == 1:
        return before | f"{label}: do" >> beam.ParDo(do(units))
    each = before | f"{label}: units" >> beam.FlatMap(numbered, units)
    return each | f"{label}: spread" >> beam.GroupByKey() | f"{label}: do" >> beam.ParDo(do(()))


def result_of(directory: RunDirectory, stage: str) -> list[Record]:
    """What the graph left, taken away once read: the stage's manifest will have it."""
    path = directory.stage_result(stage)
    records: list[Record] = json.loads(read_bytes(path))
    remove(path)
    return records


def map_units(
    engine: Engine,
    directory: RunDirectory,
    stage: str,
    fingerprint: str,
    units: Units,
    work: Work,
    size: int,
) -> tuple[list[Record], str]:
    """Do every unit, `size` bytes in all, in one Beam job without a shuffle of data.

    Gives the records and the runner's name.
    """
    if not units:
        return [], engine.runner_name(size)

    def construct(pipeline: beam.Pipeline) -> None:
        start = pipeline | f"{stage}: start" >> beam.Impulse()
        do = partial(DoUnit, directory, stage, fingerprint, work)
        leave(do_units(start, stage, units, do, shared=engine.shares(size)), directory, stage)

    runner = engine.run(construct, size)
    return result_of(directory, stage), runner


def sweep(directory: RunDirectory, stage: str, wanted: Callable[[str], str | None]) -> None:
    """Before a stage is done anew: take away what an earlier recipe left of it, so that nothing stale lies beside.

    Removes the stage's manifest, and the records and files of units whose mark is not the `wanted` one.
    """
    if not is_local(directory.root):
        return
    old = Path(directory.stage_manifest(stage))
    keep: set[str] = set()
    stale: set[str] = set()
    for path in [old, *sorted(Path(directory.unit_record(stage, "")).parent.glob("*.json"))]:
        if not path.exists():
            continue
        try:
            body = manifest.load(str(path))
        except IntegrityError:
            body = {"files": []}
        names = {str(entry["path"]) for entry in body["files"]}
        if path != old and body.get("fingerprint") is not None and wanted(path.stem) == body["fingerprint"]:
            keep |= names
        else:
            stale |= names
            path.unlink()
    for name in sorted(stale - keep):
        Path(directory.path(name)).unlink(missing_ok=True)
