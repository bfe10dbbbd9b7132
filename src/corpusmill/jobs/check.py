"""Load and resolve a recipe and print it with its stages; touches no data."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from rich.console import Console

import corpusmill.dedup
import corpusmill.filters  # noqa: F401  both packages register their steps
from corpusmill.dedup.minhash import MinHash
from corpusmill.pipeline.job import stages_of
from corpusmill.recipe import Recipe, load, to_toml
from corpusmill.tokenize.packing.mixture import GOOD_EPOCHS


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("recipe", metavar="RECIPE", help="a TOML file")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="lay a value over the recipe")


def do(given: argparse.Namespace, console: Console) -> None:
    """Print the resolved recipe as TOML, the stages as comments."""
    recipe = load(given.recipe, given.set)
    print(to_toml(recipe))
    for line in mix_wishes(recipe):
        print(f"# mix: {line}")
    for stage in stages_of(recipe):
        print(f"# stage {stage.name}: {', '.join(step.use for step in stage.steps) or stage.kind}")
        for step in stage.steps:
            if isinstance(step, MinHash):
                print("\n".join(f"#   {line}" for line in s_curve(step)))
    console.print("the recipe is sound", markup=False)


def mix_wishes(recipe: Recipe) -> Iterator[str]:
    """What is wished of each source; in tokens it is told by `plan`, and before packing."""
    shards = recipe.shards
    whole = sum(source.weight or 0.0 for source in recipe.sources)
    for source in sorted(recipe.sources, key=lambda source: source.name):
        cap = shards.max_epochs if source.max_epochs is None else source.max_epochs
        most = cap
        if source.epochs is not None:
            wish, most = f"{source.epochs:g} epochs", source.epochs
        elif source.token_budget is not None:
            wish = f"{source.token_budget:,} tokens, at most {cap:g} epochs"
        elif source.weight is not None:
            wish = f"{source.weight / whole:.1%} of the tokens, at most {cap:g} epochs"
        elif shards.temperature is not None:
            wish = f"a share as its tokens to the power of 1 / {shards.temperature:g}, at most {cap:g} epochs"
        elif shards.mix_tokens is not None:
            wish = f"the same part as of all, at most {cap:g} epochs"
        else:
            wish, most = "one epoch", 1.0
        yield f"{source.name}: {wish}"
        if most > GOOD_EPOCHS:
            yield f"{source.name}: beyond four epochs repeats are worth less and less (arXiv 2305.16264)"
    yield f"{shards.mix_tokens:,} tokens in all" if shards.mix_tokens else "as many tokens in all as this comes to"


def s_curve(step: MinHash) -> Iterator[str]:
    """What share of the pairs of each similarity is found."""
    bands, rows = step.banding
    yield f"{bands} bands of {rows} rows find half of the pairs with a Jaccard similarity of {step.curve().half:.3f};"
    yield f"pairs found are linked from {step.min_jaccard:g} on" if step.verify else "pairs found are linked unverified"
    yield "similarity  " + "  ".join(f"{jaccard:.2f}" for jaccard, _ in step.curve().points)
    yield "found       " + "  ".join(f"{found:.2f}" for _, found in step.curve().points)
