"""The documents in one packed row, or in the rows of a training step: where each piece lies, which document it is and
where that came from."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console

from corpusmill.errors import ConfigError
from corpusmill.jobs.places import finished_run, imported, shards_of
from corpusmill.manifest import RUN_MANIFEST, load
from corpusmill.pipeline.directory import RunDirectory, run_directory
from corpusmill.storage import open_input
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenize.tokenizers.encode import Tokens

HEAD_CHARS = 60


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("directory", metavar="DIR", help="a finished run's directory, or a folder of shards")
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("--row", type=int, metavar="N", help="the row, counted from 0")
    which.add_argument("--step", type=int, metavar="N", help="the rows of this step, counted from 1, of --training")
    command.add_argument("--training", metavar="OUT", help="the folder of a training on the run's shards")


def do(given: argparse.Namespace, console: Console) -> None:
    """Print a line per segment."""
    if (given.step is None) != (given.training is None):
        raise ConfigError("--step and --training belong together: give the step, and the folder of the training")
    packed, rows = _wanted(shards_of(given.directory), given)
    alone = packed.directory == Path(run_directory(given.directory).root)
    directory, stages = (None, []) if alone else finished_run(given.directory)
    ids = [identity for row in rows for identity in packed[row].document_ids]
    where = {} if directory is None else locators(directory, ids)
    for number in rows:
        _print_row(packed, number, where, head=f"row {number}  " if given.row is None else "")
    if not where:
        what = "a folder of shards" if alone else "an import" if imported(stages) else "this run"
        said = f"{what} has no documents: where they came from is not known, only what the shards hold"
        console.print(said, markup=False, soft_wrap=True)


def _wanted(shards: str, given: argparse.Namespace) -> tuple[Packed, list[int]]:
    """The shards and the numbers of the rows to show."""
    if given.step is None:
        packed = Packed(shards)
        if not 0 <= given.row < len(packed):
            raise ConfigError(f"--row {given.row}: the run has rows 0 to {len(packed) - 1}")
        return packed, [given.row]
    from corpusmill.trainer.replay import step_rows

    packed, place, rows = step_rows(shards, given.training, given.step)
    print(f"step {place.step}: places {place.row} to {place.row + place.rows - 1} of epoch {place.epoch}")
    return packed, rows


def _print_row(packed: Packed, number: int, where: Mapping[bytes, tuple[str, str]], head: str) -> None:
    row = packed[number]
    ids, segments = row.document_ids, row.segments
    for segment, identity, hidden in zip(segments, ids, row.hidden.tolist(), strict=True):
        start, length, offset = (int(segment[name]) for name in ("start", "length", "offset"))
        said = _why_hidden(packed, identity) if hidden else _begin(packed, row.tokens[start : start + length])
        source, locator = where.get(identity, (packed.sources[segment["source"]], "?"))
        place = f"{head}tokens {start}–{start + length}"
        print(f"{place}  {identity.hex()}  {source}  {locator}  from token {offset}  {said}")
    padding = packed.sequence_length - sum(int(segment["length"]) for segment in segments)
    print(f"{head}{len(ids)} segments, {padding} tokens of padding")


def _begin(packed: Packed, tokens: Tokens) -> str:
    text = packed.tokenizer.decode(tokens)
    return repr(" ".join(text[: 4 * HEAD_CHARS].split())[:HEAD_CHARS])


def _why_hidden(packed: Packed, identity: bytes) -> str:
    """Why a segment of this document, which is hidden, is not delivered."""
    taken = next((each for each in packed.takedowns if identity in each.ids), None)
    return "on the skip list, not learnt from" if taken is None else f"taken down on {taken.date}: {taken.reason}"


def locators(directory: RunDirectory, ids: list[bytes]) -> dict[bytes, tuple[str, str]]:
    """Source and locator of each id, from the run's kept documents."""
    wanted = pa.array(ids, pa.binary(16))
    found: dict[bytes, tuple[str, str]] = {}
    for path in _documents_paths(directory):
        with open_input(directory.path(path)) as file:
            table = pq.read_table(file, columns=["id", "source", "locator"])
        for row in table.filter(pc.is_in(table["id"], value_set=wanted)).to_pylist():
            found[row["id"]] = (row["source"], row["locator"])
    return found


def _documents_paths(directory: RunDirectory) -> list[str]:
    """The files of kept documents that the run's manifests name."""
    stages = [load(directory.path(stage["path"])) for stage in load(directory.path(RUN_MANIFEST))["stages"]]
    names = (file["path"] for body in stages for file in body["files"])
    return sorted(name for name in names if name.startswith("documents/"))
