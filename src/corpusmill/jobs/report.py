"""Write report.html of a finished run anew (a run writes it at its end), and print the summary."""

from __future__ import annotations

import argparse
import json

from rich.console import Console

from corpusmill.manifest import RUN_MANIFEST, load
from corpusmill.pipeline.directory import run_directory
from corpusmill.pipeline.finish import recommit
from corpusmill.pipeline.summary import summary_table
from corpusmill.storage import read_bytes


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("directory", metavar="DIR", help="a finished run's directory")


def do(given: argparse.Namespace, console: Console) -> None:
    """Rewrite the report and the manifest that names it."""
    directory = run_directory(given.directory)
    recommit(directory)
    last = load(directory.path(RUN_MANIFEST))["stages"][-1]
    account = json.loads(read_bytes(directory.path("ledger.json")))
    Console().print(summary_table(account, load(directory.path(last["path"]))["pack"]))
    console.print(f"report: {directory.path('report.html')}", markup=False)
