"""A complete run on real text found on this machine, without any download.

Collects documentation and code of the installed packages (and manual pages and /usr/share/doc where there are any),
trains a small quality classifier, runs the whole recipe, and trains a small model on the shards for a minute.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from rich.console import Console

from corpusmill import manifest
from corpusmill.errors import ConfigError
from corpusmill.filters.models.quality import train_quality
from corpusmill.jobs.demo_sources import write_demo_sources
from corpusmill.jobs.run import summarize
from corpusmill.jobs.tokenizer import texts_of
from corpusmill.pipeline.build import run
from corpusmill.recipe import load
from corpusmill.storage import FileEntry, sha256_of

WEIGHTS = {"packages": 3.0, "docstrings": 3.0, "manual": 2.0, "doc": 2.0, "code": 1.0}
"""Shares of the mix: prose above code."""

SAMPLE_BYTES = 8 << 20
"""How much text of each side the classifier is trained on."""

STEPS = """
[[steps]]
use = "language"
keep = ["en"]
min_score = 0.4        # half of this text is names and code, which no language model is sure of

[[steps]]
use = "gopher_repetition"               # reference pages repeat themselves more than the web's prose does
max_duplicate_line_fraction = 0.4
max_duplicate_5gram_char_fraction = 0.4
max_duplicate_6gram_char_fraction = 0.38
max_duplicate_7gram_char_fraction = 0.36
max_duplicate_8gram_char_fraction = 0.34
max_duplicate_9gram_char_fraction = 0.32
max_duplicate_10gram_char_fraction = 0.3

[[steps]]
use = "gopher_quality"
min_words = 30                          # docstrings are short
min_alphabetic_word_fraction = 0.6      # and full of signs

[[steps]]
use = "fineweb"
dialect = "paper"
min_line_punctuation_fraction = "off"   # lists and code end few lines with a full stop
max_short_line_fraction = "off"
max_newline_ratio = 0.5

[[steps]]
use = "exact"

[[steps]]
use = "minhash"
keep = "longest"

[[steps]]
use = "quality"
model = "{model}"
min_score = 0.02

[[steps]]
use = "pii"

[tokenizer]
train = {{ vocab_size = 4096, kind = "bpe", sample_bytes = 8_000_000 }}

[shards]
sequence_length = 512
rows_per_shard = 8192
"""


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("--out", default="demo", metavar="DIR", help="the run directory (default demo)")
    command.add_argument(
        "--workers", type=int, default=min(2, os.cpu_count() or 1), metavar="N", help="worker processes"
    )
    command.add_argument("--no-train", action="store_true", help="stop at the shards (needs no torch)")


def do(given: argparse.Namespace, console: Console) -> None:
    """Collect, curate, train."""
    out = Path(given.out).absolute()
    recipe = prepare(out / "input", console)
    loaded = load(recipe)
    account = run(loaded, out, workers=given.workers, console=console)
    summarize(loaded, account, str(out), console)
    if not given.no_train:
        from corpusmill.jobs.train import show
        from corpusmill.trainer.config import TrainConfig

        config = TrainConfig(steps=100)
        try:
            show(str(out / "shards"), str(out / "training"), config, console)
        except ConfigError:  # the machine's text changed since the last demo: its training is of other shards
            shutil.rmtree(out / "training")
            show(str(out / "shards"), str(out / "training"), config, console)
    console.print(f"recipe: {recipe}\nnext: corpusmill verify {given.out}", markup=False)


def prepare(folder: Path, console: Console) -> Path:
    """Collect the sources, train the classifier, write the recipe and a manifest of all of them; gives the recipe."""
    sources = {name: path for name, path in write_demo_sources(folder).items() if name in WEIGHTS}
    size = sum(path.stat().st_size for path in sources.values())
    console.print(f"{size / 1e6:.1f} MB of real text in {len(sources)} sources: {', '.join(sorted(sources))}")
    model, recipe = folder / "quality.bin", folder / "demo.toml"
    good = texts_of([str(path) for name, path in sources.items() if name != "code"], "jsonl", "text", SAMPLE_BYTES)
    bad = texts_of([str(sources["code"])], "jsonl", "text", SAMPLE_BYTES)
    figures = train_quality(good, bad, model)
    console.print(f"quality classifier, prose against code: accuracy {figures['accuracy']:.3f} on the tenth held out")
    recipe.write_text(demo_recipe(sources, model), "utf-8")
    files = [FileEntry(p.name, p.stat().st_size, sha256_of(str(p))) for p in sorted([*sources.values(), model, recipe])]
    manifest.commit(str(folder / manifest.RUN_MANIFEST), {"files": [file.to_json() for file in files]})
    return recipe


def demo_recipe(sources: dict[str, Path], model: Path) -> str:
    """The demo's recipe as TOML: a start for one's own."""
    head = ['name = "demo"', "seed = 17", ""]
    for name in sorted(sources):
        head += ["[[sources]]", f'name = "{name}"', f'paths = ["{sources[name]}"]', 'format = "jsonl"']
        head += [f"weight = {WEIGHTS[name]}", ""]
    return "\n".join(head) + STEPS.format(model=model)
