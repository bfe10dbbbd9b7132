"""Load and resolve a recipe and print it with its stages; touches no data."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from rich.console import Console

import corpusmill.dedup
import corpusmill.filters  # noqa: F401  both packages register their steps
from corpusmill.dedup.minhash import MinHash
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
        for step in stage.steps:
            if isinstance(step, MinHash):
                print("\n".join(f"#   {line}" for line in s_curve(step)))
    console.print("the recipe is sound", markup=False)


def s_curve(step: MinHash) -> Iterator[str]:
    """What share of the pairs of each similarity is found."""
    bands, rows = step.banding
    yield f"{bands} bands of {rows} rows find half of the pairs with a Jaccard similarity of {step.curve().half:.3f};"
    yield f"pairs found are linked from {step.min_jaccard:g} on" if step.verify else "pairs found are linked unverified"
    yield "similarity  " + "  ".join(f"{jaccard:.2f}" for jaccard, _ in step.curve().points)
    yield "found       " + "  ".join(f"{found:.2f}" for _, found in step.curve().points)
