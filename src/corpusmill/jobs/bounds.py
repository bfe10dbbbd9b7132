"""Bounds for a step's statistics from your own documents: mean ± sigma standard deviations.

Takes a sample of the recipe's sources (the smallest document ids: the same whatever the order), applies the filters in
front of the step, and measures the rest. Barriers in front of it are passed over. The standard deviation is that of a
sample (divided by n - 1, as in data-juicer's analyser). A bound that no value can cross, such as a minimum below 0, is
left out. Give the file's path to the step as `bounds`.
"""

from __future__ import annotations

import argparse
import json

import numpy as np
import numpy.typing as npt
from rich.console import Console

import corpusmill.dedup
import corpusmill.filters  # noqa: F401  both packages register their steps
from corpusmill.errors import ConfigError, InputError
from corpusmill.pipeline.compare import arriving, before, sample
from corpusmill.recipe import Recipe, load, read_body
from corpusmill.steps import REGISTER, Filter, Range
from corpusmill.storage import write_bytes
from corpusmill.text import Texts


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("recipe", metavar="RECIPE", help="a TOML file")
    command.add_argument("--step", default="data_juicer", metavar="STEP", help="the step (default data_juicer)")
    command.add_argument("--sigma", type=float, default=3.0, metavar="X", help="standard deviations (default 3)")
    command.add_argument("--documents", type=int, default=20_000, metavar="N", help="size of the sample (20000)")
    command.add_argument("--out", required=True, metavar="FILE", help="the JSON file to write")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="lay a value over the recipe")


def do(given: argparse.Namespace, console: Console) -> None:
    """Measure, write the file, print it as a table. Raises ConfigError, and InputError for too few documents."""
    if not (np.isfinite(given.sigma) and given.sigma > 0):
        raise ConfigError(f"--sigma {given.sigma}: wanted a number above 0")
    if given.documents < 2:
        raise ConfigError(f"--documents {given.documents}: wanted at least 2")
    known = sorted(use for use, cls in REGISTER.items() if "bounds" in getattr(cls, "__dataclass_fields__", {}))
    if given.step not in known:
        raise ConfigError(f"--step {given.step}: takes no bounds from a file; steps that do: {', '.join(known)}")
    if given.step not in [entry.get("use") for entry in read_body(given.recipe).get("steps", [])]:
        wanted = f'put [[steps]] with use = "{given.step}" where it is to stand'
        raise ConfigError(f"--step {given.step}: {given.recipe} has no such step; {wanted}")
    # The recipe may name the file that is to be written, and its old content must not decide anything.
    recipe = load(given.recipe, [*given.set, f"steps.{given.step}.bounds=off"])
    _, barriers = before(recipe, given.step)
    if barriers:
        console.print(f"{', '.join(barriers)} before {given.step} not applied to a sample", markup=False)
    with console.status("reading the sources"):
        ranges, values = measure(recipe, given.step, given.documents)
    n = len(next(iter(values.values())))
    if n < 2:
        raise InputError(f"{n} documents of the sample get as far as {given.step}: wanted 2 or more")
    statistics = {name: bounds_of(found, given.sigma, ranges[name]) for name, found in values.items()}
    body = {"step": given.step, "documents": n, "sigmas": given.sigma, "statistics": statistics}
    write_bytes(given.out, (json.dumps(body, indent=1) + "\n").encode())
    print(f"{n:,} documents, mean ± {given.sigma:g} sigma")
    print(f"{'':<26}{'mean':>14}{'sigma':>14}{'min':>14}{'max':>14}")
    for name, row in statistics.items():
        print(f"{name:<26}" + "".join(f"{'off' if value is None else f'{value:.6g}':>14}" for value in row.values()))


def measure(recipe: Recipe, use: str, documents: int) -> tuple[dict[str, Range], dict[str, npt.NDArray[np.float64]]]:
    """Range and values of each statistic of the step `use`, by name, in the order of document ids."""
    step = next(step for step in recipe.steps if isinstance(step, Filter) and step.use == use)
    names = {name: name.partition(".")[2] for name in step.signals()}
    parts: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in names}
    for left in arriving(recipe, use, sample(recipe, documents)):
        signals = step.measure(Texts.from_arrow(left.column("text")), left).signals
        for name in names:
            parts[name].append(np.asarray(signals[name], dtype=np.float64))
    empty = np.empty(0, dtype=np.float64)
    values = {short: np.concatenate([*parts[name], empty]) for name, short in names.items()}
    return {short: step.ranges()[name] for name, short in names.items()}, values


def bounds_of(values: npt.NDArray[np.float64], sigmas: float, within: Range) -> dict[str, float | None]:
    """Mean, standard deviation (n - 1) and the bounds around it; None where the bound lies outside the range."""
    mean, sigma = float(values.mean()), float(values.std(ddof=1))
    least, most = mean - sigmas * sigma, mean + sigmas * sigma
    return {
        "mean": mean,
        "sigma": sigma,
        "min": least if least > within[0] else None,
        "max": most if most < within[1] else None,
    }
