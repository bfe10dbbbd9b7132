"""Units of work: shared or in one element, each is done once; a phase begins when the one before it is done."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from corpusmill.pipeline.directory import Record, RunDirectory
from corpusmill.pipeline.phases import Phase, run_phases
from corpusmill.pipeline.runner import Engine, Options
from corpusmill.pipeline.units import DoUnit, current_or_done, do_units, leave, map_units, result_of
from corpusmill.storage import read_bytes, write_bytes


def note(directory: RunDirectory, name: str, unit: Any) -> Record:
    """Say how often the unit was done, and which files were there."""
    path = directory.path("done", name)
    times = int(read_bytes(path)) if Path(path).exists() else 0
    before = sorted(file.name for file in Path(directory.path("done")).glob("*"))
    write_bytes(path, str(times + 1).encode())
    return {"files": [], "unit_was": unit, "before": before}


def units(prefix: str, count: int) -> list[tuple[str, Any]]:
    return [(f"{prefix}{n}", [n, "word"]) for n in range(count)]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("count", [1, 5])
def test_every_unit_is_done_once(tmp_path: Path, shared: bool, count: int) -> None:
    directory = RunDirectory(str(tmp_path))
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=Options([]))
    start = pipeline | beam.Impulse()
    do = partial(DoUnit, directory, "s", "mark", note)
    leave(do_units(start, "s", units("u", count), do, shared=shared), directory, "s")
    pipeline.run().wait_until_finish()
    records = result_of(directory, "s")
    assert [(record["unit"], record["unit_was"]) for record in records] == units("u", count)
    assert {file.read_text() for file in (tmp_path / "done").iterdir()} == {"1"}


def test_a_phase_begins_when_the_one_before_is_done(tmp_path: Path) -> None:
    directory = RunDirectory(str(tmp_path))
    phases = [Phase("a", units("a", 3), note), Phase("none", [], note), Phase("b", units("b", 2), note)]
    records, runner = run_phases(Engine(), directory, "s", "mark", phases, 1)
    assert runner == "FnApiRunner"
    assert [record["unit"] for record in records] == ["b0", "b1"]
    assert all({"a0", "a1", "a2"} <= set(record["before"]) for record in records)


def test_only_what_is_missing_is_done_again(tmp_path: Path) -> None:
    directory = RunDirectory(str(tmp_path))
    first, _ = map_units(Engine(), directory, "s", "mark", units("u", 3), note, 1)
    Path(directory.unit_record("s", "u1")).unlink()
    second, _ = map_units(Engine(), directory, "s", "mark", units("u", 3), note, 1)
    assert [read_bytes(directory.path("done", name)) for name, _ in units("u", 3)] == [b"1", b"2", b"1"]
    assert [record["unit"] for record in second] == [record["unit"] for record in first]
    assert not Path(directory.stage_result("s")).exists()


def test_records_of_scratch_are_not_forced_to_the_disk_and_done_again_when_spoilt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(str(tmp_path))
    forced: list[int] = []
    monkeypatch.setattr(os, "fsync", forced.append)
    for name, times in (("keys@a", 0), ("a", 1)):
        forced.clear()
        current_or_done(directory, "s", name, "mark", lambda: {"files": []})
        assert len(forced) == times
        record = Path(directory.unit_record("s", name))
        good = record.read_bytes()
        for spoilt in (b"", bytes(len(good))):
            record.write_bytes(spoilt)
            current_or_done(directory, "s", name, "mark", lambda: {"files": []})
            assert record.read_bytes() == good


@pytest.mark.parametrize(
    ("engine", "size", "shared"),
    [
        (Engine(), 1 << 40, False),
        (Engine(workers=4, bytes_per_worker=10), 19, False),
        (Engine(workers=4, bytes_per_worker=10), 20, True),
        (Engine(beam_args=("--runner=DataflowRunner",)), 1, True),
    ],
)
def test_who_shares_work(engine: Engine, size: int, shared: bool) -> None:
    assert engine.shares(size) is shared


def test_views_of_options_are_made_once_and_share_their_values() -> None:
    options = Options(["--runner=Some"])
    view = options.view_as(DirectOptions)
    view.direct_num_workers = 7
    assert options.view_as(DirectOptions) is view
    assert options.view_as(StandardOptions).runner == "Some"
    fresh = PipelineOptions(["--runner=Some"])
    fresh.view_as(DirectOptions).direct_num_workers = 7
    for each in (options, fresh):
        each.view_as(StandardOptions)
    assert options.get_all_options() == fresh.get_all_options()
    assert "_views" not in options.__getstate__()
    json.dumps(options.get_all_options(drop_default=True))
