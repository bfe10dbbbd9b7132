"""Where two dialects of a step disagree on your own documents, and why.

Takes a sample of the recipe's sources (the smallest document ids: the same whatever the order), applies the filters in
front of the step, and measures the rest in each dialect. Barriers in front of it are passed over. A step that the
recipe does not have is measured on the documents as they were read.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import combinations

from rich.console import Console

import corpusmill.dedup
import corpusmill.filters  # noqa: F401  both packages register their steps
from corpusmill.errors import ConfigError, InputError
from corpusmill.pipeline.compare import Comparison, as_json, before, compare, dialects_of, in_dialect, sample
from corpusmill.recipe import Recipe, load
from corpusmill.steps import Filter


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("recipe", metavar="RECIPE", help="a TOML file")
    command.add_argument(
        "--dialects",
        nargs="+",
        default=[],
        metavar="STEP=A,B",
        help="dialects to compare; STEP alone takes all of its (default: all of every step in the recipe)",
    )
    command.add_argument("--documents", type=int, default=20_000, metavar="N", help="size of the sample (20000)")
    command.add_argument("--examples", type=int, default=5, metavar="N", help="documents shown of every kind (5)")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="lay a value over the recipe")
    command.add_argument("--json", action="store_true", help="print JSON")


def do(given: argparse.Namespace, console: Console) -> None:
    """Compare, and print each pair. Raises ConfigError for steps and dialects that do not exist."""
    for name, least in (("documents", 1), ("examples", 0)):
        if getattr(given, name) < least:
            raise ConfigError(f"--{name} = {getattr(given, name)}; wanted at least {least}")
    recipe = load(given.recipe, given.set)
    wanted = pairs_of(recipe, given.dialects)
    with console.status("reading the sources"):
        batches = list(sample(recipe, given.documents))
    if not batches:
        raise InputError("the recipe's sources hold no documents: nothing to compare")
    outcomes: list[Comparison] = []
    for use, pairs in wanted.items():
        _, barriers = before(recipe, use)
        if barriers:
            console.print(f"{use}: {', '.join(barriers)} before it not applied to a sample", markup=False)
        if use not in {step.use for step in recipe.steps}:
            console.print(f"{use} is not in the recipe: measured with its defaults, on documents as read", markup=False)
        outcomes += compare(recipe, use, pairs, batches, given.examples)
    if given.json:
        print(json.dumps([as_json(outcome) for outcome in outcomes], ensure_ascii=False, indent=1))
    else:
        print("\n\n".join("\n".join(lines(outcome)) for outcome in outcomes))


def pairs_of(recipe: Recipe, words: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """The pairs of dialects to compare, for each step. Raises ConfigError."""
    if not words:
        words = [step.use for step in recipe.steps if isinstance(step, Filter) and dialects_of(step.use)]
    if not words:
        raise ConfigError("no step of the recipe has dialects: name one with --dialects STEP=A,B; see docs/dialects.md")
    wanted: dict[str, list[tuple[str, str]]] = {}
    for word in words:
        use, equals, listed = word.partition("=")
        names = listed.split(",") if equals else [*dialects_of(use)] or [""]
        for name in names:
            in_dialect(recipe, use, name)
        if len(set(names)) < 2 or len(set(names)) < len(names):
            raise ConfigError(
                f"--dialects {word}: wanted two or more different dialects, as in {use}={','.join(dialects_of(use))}"
            )
        wanted.setdefault(use, []).extend(combinations(names, 2))
    return wanted


def lines(outcome: Comparison) -> Iterator[str]:
    """One pair, for people."""
    yield f"{outcome.use}: {' and '.join(outcome.dialects)} on {outcome.documents:,} documents"
    if not outcome.documents:
        yield "  no document of the sample gets as far as this step"
        return
    yield f"  {'both keep':<24} {_share(outcome.both_keep, outcome.documents)}"
    yield f"  {'both drop':<24} {_share(outcome.both_drop, outcome.documents)}"
    for keeper, dropper in (outcome.dialects, outcome.dialects[::-1]):
        yield f"  {f'only {keeper} keeps':<24} {_share(outcome.only[keeper], outcome.documents)}"
        for rule, count in outcome.rules[dropper].most_common():
            yield f"    {count:>8,} {rule} of {dropper}"
    yield f"  {'kept, texts differ':<24} {_share(outcome.texts, outcome.documents)}"
    if not outcome.differ:
        yield "  no disagreement"
    for example in sorted(outcome.examples, key=lambda example: example.dropped_by or "~"):
        yield f"\n  {example.source} {example.locator}: {example.excerpt!r}"
        yield from (f"    {reason}" for reason in example.reasons)


def _share(count: int, whole: int) -> str:
    return f"{count:>8,}  {count / whole:7.2%}"
