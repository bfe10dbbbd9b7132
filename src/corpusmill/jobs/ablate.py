"""Train the same small model on each of several corpora and compare their losses on held-out text.

Every CORPUS and the held-out set is a recipe, which is run below --out, or the directory of a finished run. All are
packed with one tokenizer (that of the finished runs, else --tokenizer, else that of the first recipe) into rows of one
length, so that losses can be compared; all models see the same number of tokens. The same command goes on from where it
was.

Settings are the trainer's, for example --set steps=1000 --set dim=256 --set learning_rate=1e-3.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from corpusmill import manifest
from corpusmill.errors import ConfigError
from corpusmill.jobs.places import check_folder, shards_of
from corpusmill.jobs.settings import pairs
from corpusmill.jobs.train import bars, shown
from corpusmill.manifest import RUN_MANIFEST
from corpusmill.options import OFF
from corpusmill.pipeline.build import run
from corpusmill.pipeline.report.ablation import ablation_page, around
from corpusmill.recipe import load, read_body
from corpusmill.storage import sha256_of, write_bytes
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenizer_options import Policy

HELD_OUT = "held-out"
POLICY = tuple(field.name for field in fields(Policy))


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("corpora", nargs="+", metavar="CORPUS", help="the first is what others are compared with")
    command.add_argument("--held-out", required=True, metavar="CORPUS", help="what the models are measured on")
    command.add_argument("--out", required=True, metavar="DIR", help="for runs, checkpoints, ablation.json and .html")
    command.add_argument("--seeds", type=int, default=3, metavar="N", help="trainings of each corpus (default 3)")
    command.add_argument("--tokenizer", metavar="FILE", help="the tokenizer.json of all recipes")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the trainer")
    command.add_argument("--workers", type=int, default=1, metavar="N", help="local worker processes of the runs")


def do(given: argparse.Namespace, console: Console) -> None:
    """Run what is no run yet, train, print the losses, write the page."""
    from corpusmill.trainer.ablate import ablate, check_asked
    from corpusmill.trainer.config import TrainConfig

    config = TrainConfig.from_settings(pairs(given.set))
    check_folder(given.out)
    check_asked(len(given.corpora), given.seeds, config)
    out = Path(given.out)
    shards = packed_alike(given, out, console)
    held_out = shards.pop(HELD_OUT)
    with bars(console) as progress:
        tasks: dict[tuple[str, int], Any] = {}

        def on_step(name: str, seed: int, record: dict[str, Any]) -> None:
            task = tasks.get((name, seed))
            if task is None:
                task = tasks[name, seed] = progress.add_task(f"{name}, seed {seed}", total=None)
            progress.update(task, completed=record["step"], description=f"{name}, seed {seed}, {told(record)}")

        found = ablate(shards, held_out, out / "training", config, given.seeds, on_step)
    body = found.to_json()
    manifest.commit(str(out / "ablation.json"), body)
    write_bytes(str(out / "ablation.html"), ablation_page(body).encode())
    Console().print(table_of(body))
    console.print(f"{out / 'ablation.html'}", markup=False)


def named(corpora: Sequence[str], held_out: str) -> dict[str, str]:
    """The recipe or the directory of each corpus by its name, the held-out set last.

    Raises ConfigError for what can't be read and for two of one name, NotCommitted for a folder without shards.
    """
    found: dict[str, str] = {}
    for where in [*corpora, held_out]:
        if Path(where).is_dir():
            shards_of(where)
            name = Path(where).resolve().name
        else:
            name = str(read_body(where).get("name", Path(where).stem))
        last = len(found) == len(corpora)
        name = HELD_OUT if last else name
        if name in found or (name == HELD_OUT and not last):
            raise ConfigError(f"{where}: another corpus is called {name!r} already; give one of them another name")
        found[name] = where
    return found


def packed_alike(given: argparse.Namespace, out: Path, console: Console) -> dict[str, str]:
    """Shards folder of each corpus by its name, and of the held-out set, all with one tokenizer and one row length.

    What can be wrong is found before anything is run. Raises ConfigError.
    """
    corpora = named(given.corpora, given.held_out)
    found = {name: shards_of(where) for name, where in corpora.items() if Path(where).is_dir()}
    alike: dict[str, Any] = {"tokenizer": given.tokenizer and {"path": given.tokenizer}}
    if found:
        check_runs(found, given.tokenizer)
        alike = settings_of(Path(next(iter(found.values()))))
    recipes = {name: read_body(where) for name, where in corpora.items() if name not in found}
    for body in recipes.values():
        load(like(body, alike))
    for name, body in recipes.items():
        console.print(f"{name}: {corpora[name]}", markup=False)
        folder = out / "runs" / name
        run(load(like(body, alike)), folder, workers=given.workers, console=console)
        found[name] = str(folder / "shards")
        if "sequence_length" not in alike:
            alike = settings_of(folder / "shards")
    return {name: found[name] for name in corpora}


def check_runs(shards: dict[str, str], tokenizer: str | None) -> None:
    """Raise ConfigError unless finished runs have one tokenizer and one row length, and `tokenizer` is that one."""
    from corpusmill.trainer.ablate import check_comparable

    packed = {name: Packed(folder) for name, folder in shards.items()}
    check_comparable(packed)
    name, first = next(iter(packed.items()))
    if tokenizer is not None and sha256_of(tokenizer) != first.manifest["tokenizer"]["sha256"]:
        raise ConfigError(
            f"--tokenizer {tokenizer}: {name} is a finished run with another one, {shards[name]}/tokenizer.json; leave "
            "--tokenizer out, or give the recipes"
        )


def settings_of(shards: Path) -> dict[str, Any]:
    """What the other corpora must have like the one in this folder: tokenizer, policy, length of rows."""
    told = manifest.load(str(shards / RUN_MANIFEST))
    tokenizer = {"path": str(shards / told["tokenizer"]["path"]), **told["tokenizer"]["policy"]}
    return {"tokenizer": tokenizer, "sequence_length": told["sequence_length"]}


def like(body: dict[str, Any], alike: dict[str, Any]) -> dict[str, Any]:
    """A recipe with the tokenizer and the rows that the others have."""
    changed = dict(body)
    if alike["tokenizer"]:
        policy = {key: value for key, value in body.get("tokenizer", {}).items() if key in POLICY}
        wanted = {key: OFF if value is None else value for key, value in alike["tokenizer"].items()}
        changed["tokenizer"] = {**policy, **wanted}
    if "sequence_length" in alike:
        changed["shards"] = {**body.get("shards", {}), "sequence_length": alike["sequence_length"]}
    return changed


def told(record: dict[str, Any]) -> str:
    """The losses of a record in words."""
    held_out = record.get("held_out")
    return f"loss {shown(record['loss'])}" + (f", held-out {shown(held_out['loss'])}" if held_out else "")


def table_of(body: dict[str, Any]) -> Table:
    """Held-out losses by corpus and source, then what the corpora differ by from the first."""
    names = list(body["intervals"])
    sources = list(body["intervals"][names[0]])
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("held-out loss", overflow="fold", min_width=12)
    for source in sources:
        table.add_column(source, justify="right", no_wrap=True)
    for name in names:
        table.add_row(name, *(around(body["intervals"][name][source]) for source in sources))
    table.add_section()
    for name, found in body["differences"].items():
        table.add_row(f"{name} − {names[0]}", *(around(found[source], "+") for source in sources))
    return table
