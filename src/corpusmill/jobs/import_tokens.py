"""Pack the tokens of another trainer's files anew: the result is a run like any other, to verify and to train on.

Documents are taken from the files' own index; where a format has none they are found by the token that ends (or begins)
each. Tokens are kept as they are. A file beside which the manifest of `corpusmill export` lies is checked against it.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from rich.console import Console

from corpusmill.jobs.places import check_folder
from corpusmill.manifest import load
from corpusmill.pipeline.directory import run_directory
from corpusmill.pipeline.import_tokens import PACK, Given, Options, import_tokens
from corpusmill.pipeline.summary import summary_table
from corpusmill.tokenize.imports.reading import DTYPES
from corpusmill.tokenize.imports.registry import READERS


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("paths", metavar="[NAME=]PATH", nargs="+", help="files or folders, and the names of sources")
    command.add_argument("--from", required=True, choices=sorted(READERS), dest="format", help="their format")
    command.add_argument("--tokenizer", required=True, metavar="FILE", help="the tokenizer that made the tokens")
    command.add_argument("--out", required=True, metavar="DIR", help="the run directory")
    command.add_argument(
        "--boundary", choices=("end", "start"), default="end", help="where documents have their end token (default end)"
    )
    command.add_argument("--boundary-id", type=int, metavar="ID", help="that token, if not the tokenizer's usual one")
    command.add_argument("--dtype", choices=DTYPES, help="of files that do not tell the type of their tokens")
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="for example shards.sequence_length=4096"
    )
    command.add_argument("--workers", type=int, default=1, metavar="N", help="local worker processes (default 1)")


def do(given: argparse.Namespace, console: Console) -> None:
    """Import, pack, and print the summary."""
    check_folder(given.out)
    paths = [named(text) for text in given.paths]
    options = Options(given.boundary_id, given.boundary, given.dtype)
    account = import_tokens(
        paths,
        READERS[given.format],
        given.tokenizer,
        given.out,
        options,
        settings=given.set,
        workers=given.workers,
        console=console,
    )
    directory = run_directory(given.out)
    Console().print(summary_table(account, load(directory.stage_manifest(PACK.name))["pack"]))
    console.print(f"shards: {directory.path('shards')}\nreport: {directory.path('report.html')}", markup=False)


def named(text: str) -> Given:
    """A path with the name of its source, if one is before it: `web=/data/web`."""
    found = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,63})=(.+)", text)
    return Given(Path(found[2]), found[1]) if found else Given(Path(text))
