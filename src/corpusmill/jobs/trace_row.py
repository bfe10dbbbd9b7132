"""The documents in one packed row: where each piece lies, which document it is and where that came from."""

from __future__ import annotations

import argparse

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console

from corpusmill.errors import ConfigError
from corpusmill.manifest import RUN_MANIFEST, load
from corpusmill.pipeline.directory import RunDirectory, run_directory
from corpusmill.storage import open_input
from corpusmill.tokenize.shards import Packed

HEAD_CHARS = 60


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("directory", metavar="DIR", help="a finished run's directory")
    command.add_argument("--row", type=int, required=True, metavar="N", help="the row, counted from 0")


def do(given: argparse.Namespace, console: Console) -> None:
    """Print a line per segment."""
    directory = run_directory(given.directory)
    packed = Packed(directory.path("shards"))
    if not 0 <= given.row < len(packed):
        raise ConfigError(f"--row {given.row}: the run has rows 0 to {len(packed) - 1}")
    row = packed[given.row]
    ids = row.document_ids
    where = locators(directory, ids)
    for segment, identity in zip(row.segments, ids, strict=True):
        start, length, offset = (int(segment[name]) for name in ("start", "length", "offset"))
        text = packed.tokenizer.decode(row.tokens[start : start + length])
        head = " ".join(text[: 4 * HEAD_CHARS].split())[:HEAD_CHARS]
        source, locator = where.get(identity, (packed.sources[segment["source"]], "?"))
        print(f"tokens {start}–{start + length}  {identity.hex()}  {source}  {locator}  from token {offset}  {head!r}")
    padding = packed.sequence_length - sum(int(segment["length"]) for segment in row.segments)
    print(f"{len(ids)} segments, {padding} tokens of padding")
    if not where:
        console.print("the run's documents are not there: only what the shards hold is shown", markup=False)


def locators(directory: RunDirectory, ids: list[bytes]) -> dict[bytes, tuple[str, str]]:
    """Source and locator of each id, from the run's kept documents."""
    wanted = pa.array(ids, pa.binary(16))
    found: dict[bytes, tuple[str, str]] = {}
    for path in documents_paths(directory):
        with open_input(directory.path(path)) as file:
            table = pq.read_table(file, columns=["id", "source", "locator"])
        for row in table.filter(pc.is_in(table["id"], value_set=wanted)).to_pylist():
            found[row["id"]] = (row["source"], row["locator"])
    return found


def documents_paths(directory: RunDirectory) -> list[str]:
    """The files of kept documents that the run's manifests name."""
    stages = [load(directory.path(stage["path"])) for stage in load(directory.path(RUN_MANIFEST))["stages"]]
    names = (file["path"] for body in stages for file in body["files"])
    return sorted(name for name in names if name.startswith("documents/"))
