"""How many tokens a model of so many parameters wants by the published fits, and what a corpus can give it.

Without RUN only the fits are shown. RUN is a finished run, whose tokens are known, or a recipe, whose tokens are
estimated from the bytes of its files as they lie: before any filter, so a bound from above; compressed files hold more,
pages with markup hold less. The mix is solved in both cases, and shown first.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

import corpusmill.dedup
import corpusmill.filters  # noqa: F401  both packages register their steps
from corpusmill.errors import ConfigError
from corpusmill.jobs.places import finished_run
from corpusmill.packing_options import token_count
from corpusmill.pipeline.mix_table import mix_table, parts_of
from corpusmill.pipeline.readers import find_files
from corpusmill.recipe import load
from corpusmill.tokenize.packing.mixture import GOOD_EPOCHS, Part, remarks
from corpusmill.tokenize.packing.scaling import LAWS, Law, flops, worth

BYTES_PER_TOKEN = 4.2
"""Of English text with a byte-level vocabulary of 32,000; other languages and code have fewer bytes a token."""


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("run", nargs="?", metavar="RUN", help="a finished run's directory, or a recipe")
    command.add_argument("--params", required=True, metavar="N", help="parameters of the model: 125M, 1B, 7B")
    command.add_argument("--tokens", metavar="N", help="tokens you mean to train on: 20B")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="lay a value over the recipe")


def do(given: argparse.Namespace, console: Console) -> None:
    """Print the mix of the corpus, then the fits beside it."""
    parameters = _number(given.params, "--params")
    laws = list(LAWS)
    if given.tokens is not None:
        wanted = float(_number(given.tokens, "--tokens"))
        laws.append(Law("yours", "--tokens", lambda _: wanted))
    out = Console()
    parts: Sequence[Part] = ()
    if given.run is not None:
        parts = estimate(given.run, given.set, console) if given.run.endswith(".toml") else _of_run(given.run)
        out.print(mix_table(parts))
        for remark in remarks(parts):
            console.print(remark, markup=False, soft_wrap=True)
    out.print(budget_table(laws, parameters, parts))
    for law in laws:
        out.print(f"{law.name}: {law.source}", markup=False, highlight=False, soft_wrap=True)
    if parts:
        out.print(
            "worth: as many new tokens as would do the same, by Muennighoff et al. 2023, arXiv 2305.16264: "
            f"up to {GOOD_EPOCHS:g} epochs little is lost, beyond 16 next to nothing is won",
            soft_wrap=True,
        )


def _number(given: str, option: str) -> int:
    number = token_count(given, option)
    if number < 1:
        raise ConfigError(f"{option} {given}: wanted 1 or more")
    return number


def _of_run(path: str) -> list[Part]:
    """The mix of a finished run, as it was packed. Raises NotCommitted, ConfigError."""
    pack = finished_run(path)[1][-1]["pack"]
    return [
        Part(name, found["in"], found["wished"], found["packed"] / (found["in"] or 1), found["packed"], found["capped"])
        for name, found in pack["sources"].items()
    ]


def estimate(path: str, settings: Sequence[str], console: Console) -> list[Part]:
    """The mix that a recipe would have, if its files were all text. Raises ConfigError, InputError."""
    recipe = load(path, settings)
    size = {source.name: sum(file.size for file in find_files(source.paths)) for source in recipe.sources}
    console.print(
        f"{Path(path).name}: an estimate, {sum(size.values()):,} bytes of files at {BYTES_PER_TOKEN} bytes a token, "
        "before any filter",
        markup=False,
        soft_wrap=True,
    )
    return parts_of(recipe, {name: round(found / BYTES_PER_TOKEN) for name, found in size.items()})


def budget_table(laws: Sequence[Law], parameters: float, parts: Sequence[Part] = ()) -> Table:
    """A row for each fit: tokens, FLOPs, and with a corpus how often the mix must be seen and what that is worth.

    Epochs count the tokens that the corpus holds, those of sources that are left out not among them.
    """
    titles = ["fit", "tokens", "per param", "FLOPs", *(["epochs", "worth", ""] if parts else [])]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for title in titles:
        table.add_column(title, justify="left" if title == "fit" else "right", no_wrap=True)
    unique = sum(min(part.tokens, part.mixed) for part in parts)
    for law in laws:
        tokens = law.tokens(parameters)
        row = [law.name, _short(tokens), f"{tokens / parameters:.1f}", f"{flops(parameters, tokens):.2e}"]
        if parts and unique:
            value = worth(unique, tokens)
            epochs = tokens / unique
            seen = f"{epochs:,.0f}" if epochs >= 10 else f"{epochs:.2g}"
            row += [seen + (" !" if epochs > GOOD_EPOCHS else ""), _short(value), f"{value / tokens:.0%}"]
        table.add_row(*row)
    return table


def _short(tokens: float) -> str:
    """12345678901 → 12.3B."""
    for power, unit in ((12, "T"), (9, "B"), (6, "M"), (3, "K")):
        if tokens >= 10**power:
            digits = max(0, 2 - int(math.log10(tokens / 10**power)))
            return f"{tokens / 10**power:.{digits}f}{unit}"
    return f"{tokens:.0f}"
