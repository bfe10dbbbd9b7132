"""Run a recipe, or go on with a run that was cut off: the same command does only what is missing.

Options after `--` go to Beam, for example: -- --runner=DataflowRunner --project=P --region=R --temp_location=gs://B/tmp
"""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console

from corpusmill.jobs.places import check_folder
from corpusmill.manifest import load
from corpusmill.pipeline.build import run
from corpusmill.pipeline.directory import run_directory
from corpusmill.pipeline.job import stages_of
from corpusmill.pipeline.summary import summary_table
from corpusmill.recipe import Recipe
from corpusmill.recipe import load as load_recipe


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("recipe", metavar="RECIPE", help="a TOML file")
    command.add_argument("--out", required=True, metavar="DIR", help="the run directory, local or a URI")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="lay a value over the recipe, for example seed=3",
    )
    command.add_argument("--workers", type=int, default=1, metavar="N", help="local worker processes (default 1)")


def do(given: argparse.Namespace, console: Console) -> None:
    """Run, then print the summary."""
    check_folder(given.out)
    recipe = load_recipe(given.recipe, given.set)
    account = run(recipe, given.out, workers=given.workers, beam_args=given.beam_args, console=console)
    summarize(recipe, account, given.out, console)


def summarize(recipe: Recipe, account: dict[str, Any], out: str, console: Console) -> None:
    """Print the table of a finished run and where its results are."""
    directory = run_directory(out)
    pack = load(directory.stage_manifest(stages_of(recipe)[-1].name))["pack"]
    Console().print(summary_table(account, pack))
    console.print(f"shards: {directory.path('shards')}\nreport: {directory.path('report.html')}", markup=False)
