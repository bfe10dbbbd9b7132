"""Write report.html of a finished run anew (a run writes it at its end), and print the summary."""

from __future__ import annotations

import argparse
import json

from rich.console import Console

from corpusmill.jobs.places import finished_run
from corpusmill.pipeline.finish import recommit
from corpusmill.pipeline.summary import summary_table
from corpusmill.storage import read_bytes


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("directory", metavar="DIR", help="a finished run's directory")


def do(given: argparse.Namespace, console: Console) -> None:
    """Rewrite the report and the manifest that names it."""
    directory, stages = finished_run(given.directory)
    recommit(directory)
    account = json.loads(read_bytes(directory.path("ledger.json")))
    Console().print(summary_table(account, stages[-1]["pack"]))
    console.print(f"report: {directory.path('report.html')}", markup=False)
