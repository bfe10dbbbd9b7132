"""Load and resolve a recipe and print it with its stages; touches no data."""

from __future__ import annotations

import argparse

from rich.console import Console

import corpusmill.dedup
import corpusmill.filters  # noqa: F401  both packages register their steps
from corpusmill.pipeline.job import stages_of
from corpusmill.recipe import load, to_toml


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("recipe", metavar="RECIPE", help="a TOML file")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="lay a value over the recipe")


def do(given: argparse.Namespace, console: Console) -> None:
    """Print the resolved recipe as TOML, the stages as comments."""
    recipe = load(given.recipe, given.set)
    print(to_toml(recipe))
    for stage in stages_of(recipe):
        print(f"# stage {stage.name}: {', '.join(step.use for step in stage.steps) or stage.kind}")
    console.print("the recipe is sound", markup=False)
