"""Everything that happened to one document: signals, rules with value and bound, duplicates, its rows in the shards.

The document is named by its id (32 hex digits), its URL or its locator (file#record).
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console

import corpusmill.dedup
import corpusmill.filters  # noqa: F401  both packages register their steps
from corpusmill.errors import ConfigError
from corpusmill.manifest import RUN_MANIFEST, load
from corpusmill.pipeline.directory import RunDirectory, run_directory
from corpusmill.recipe import load as load_recipe
from corpusmill.steps import Filter
from corpusmill.storage import open_input, read_bytes
from corpusmill.tokenize.shards import Packed

OUTPUTS = ("documents", "rejected", "quarantine")
FIXED = (
    "id",
    "text",
    "source",
    "locator",
    "url",
    "date",
    "step",
    "reasons",
    "stage",
    "reason",
    "detail",
    "head_xxh128",
)


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("directory", metavar="DIR", help="a finished run's directory")
    command.add_argument("document", metavar="ID-OR-URL-OR-LOCATOR", help="which document")


def do(given: argparse.Namespace, console: Console) -> None:
    """Print what is known of every document that the name fits."""
    directory = run_directory(given.directory)
    found = list(find(directory, given.document))
    if not found:
        raise ConfigError(
            f"no document of {directory.root} has the id, URL or locator {given.document!r}; locators look like "
            "file#record, see the column `locator` of documents/, rejected/ and quarantine/"
        )
    for fate, path, row in found:
        print("\n".join(lines(directory, fate, path, row)))


def find(directory: RunDirectory, name: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(documents | rejected | quarantine, file, row) of every document called `name`."""
    identity = bytes.fromhex(name) if re.fullmatch(r"[0-9a-f]{32}", name) else None
    stages = [load(directory.path(stage["path"])) for stage in load(directory.path(RUN_MANIFEST))["stages"]]
    paths = sorted(file["path"] for body in stages for file in body["files"])
    for path in paths:
        folder = path.split("/")[0]
        if folder not in OUTPUTS:
            continue
        with open_input(directory.path(path)) as file, pq.ParquetFile(file) as parquet:
            names = [key for key in ("id", "locator", "url") if key in parquet.schema_arrow.names]
            keys = parquet.read(columns=names)
            fits = pc.equal(keys["locator"], name)
            if "url" in names:
                fits = pc.or_(fits, pc.equal(keys["url"], name).combine_chunks().fill_null(False))
            if identity is not None:
                fits = pc.or_(fits, pc.equal(keys["id"], pa.scalar(identity, pa.binary(16))))
            if pc.any(fits).as_py():
                for row in parquet.read().filter(fits).to_pylist():
                    yield folder, path, row


def lines(directory: RunDirectory, fate: str, path: str, row: dict[str, Any]) -> Iterator[str]:
    """The account of one document, line by line."""
    yield f"id       {row['id'].hex()}"
    for key in ("source", "locator", "url", "date"):
        if row.get(key) is not None:
            yield f"{key:<8} {row[key]}"
    if fate == "quarantine":
        yield f"fate     quarantined in stage {row['stage']}: {row['reason']}: {row['detail']} ({row['bytes']} bytes)"
        return
    if fate == "rejected":
        yield f"fate     rejected by step {row['step']} ({path})"
        yield from (f"         {reason}" for reason in row["reasons"])
    else:
        yield f"fate     kept ({path})"
    yield from _rules(directory, row)
    copies = _copies(directory, row["id"])
    if copies:
        yield f"copies   {len(copies)} removed for this one: {', '.join(copies)}"
    if fate == "documents":
        yield from _rows(directory, row["id"])


def _rules(directory: RunDirectory, row: dict[str, Any]) -> Iterator[str]:
    """Every signal, and what every rule over it says."""
    recipe = load_recipe(_toml(directory))
    judged: set[str] = set()
    for step in recipe.steps:
        if not isinstance(step, Filter):
            continue
        for rule in step.rules():
            value = row.get(rule.signal)
            judged.add(rule.signal)
            if value is None:
                yield f"rule     {rule.name}: not measured"
                continue
            passes, said = rule.judge_one(row)
            yield f"rule     {rule.name}: {'passes' if passes else 'FAILS'}, {said}"
    for name, value in row.items():
        if name not in judged and name not in FIXED and value is not None:
            yield f"signal   {name} = {round(value, 6) if isinstance(value, float) else value}"


def _toml(directory: RunDirectory) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(read_bytes(directory.path("recipe.toml")).decode())


def _copies(directory: RunDirectory, identity: bytes) -> list[str]:
    """Locators of the documents removed as copies of this one."""
    copies: list[str] = []
    stages = [load(directory.path(stage["path"])) for stage in load(directory.path(RUN_MANIFEST))["stages"]]
    for body in stages:
        if body["kind"] != "dedup":
            continue
        for file in body["files"]:
            if file["path"].startswith("rejected/"):
                with open_input(directory.path(file["path"])) as raw:
                    table = pq.read_table(raw, columns=["locator", "reasons"])
                said = pc.binary_join(table["reasons"], " ")
                copies += table["locator"].filter(pc.match_substring(said, identity.hex())).to_pylist()
    return copies


def _rows(directory: RunDirectory, identity: bytes) -> Iterator[str]:
    """Where the document's tokens are in the shards."""
    packed = Packed(directory.path("shards"))
    wanted = np.frombuffer(identity, np.uint8)
    per_shard = packed.manifest["rows_per_shard"]
    shown = 0
    for number in range(-(-len(packed) // per_shard)):
        shard = packed.shard(number)
        for segment in np.flatnonzero((shard.ids == wanted).all(axis=1)):
            row = int(np.searchsorted(shard.first, segment, side="right")) - 1
            start, length, offset = (int(shard.columns[name][segment]) for name in ("start", "length", "offset"))
            yield f"row      {number * per_shard + row}, tokens {start}–{start + length}, from its token {offset}"
            shown += 1
    if not shown:
        yield "row      none: the mixture left it out"
