"""From a recipe to a finished run: its stages in order, each skipped when it is committed already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

import corpusmill.dedup
import corpusmill.filters  # noqa: F401  both packages register their steps
from corpusmill.pipeline.barriers import dedup_stage
from corpusmill.pipeline.curate import curate_stage
from corpusmill.pipeline.directory import Record, run_directory
from corpusmill.pipeline.finish import finish, finished
from corpusmill.pipeline.job import Kind, Run, Stage, stages_of
from corpusmill.pipeline.lock import locked
from corpusmill.pipeline.pack import pack_stage
from corpusmill.pipeline.runner import BYTES_PER_WORKER, Engine
from corpusmill.pipeline.tokens import check_tokenizer, tokenize_stage, tokenizer_stage
from corpusmill.recipe import Recipe, load


def run(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    out: str | Path,
    *,
    settings: Sequence[str] = (),
    workers: int = 1,
    beam_args: Sequence[str] = (),
    bytes_per_worker: int = BYTES_PER_WORKER,
    console: Console | None = None,
) -> dict[str, Any]:
    """Run a recipe, or go on with a run that was cut off; gives the body of `ledger.json`.

    `settings` are `key=value` laid over the recipe; a stage takes up to `workers` local processes, one for each
    `bytes_per_worker` of its input. Raises CorpusmillError; what is committed stays committed.
    """
    loaded = load(recipe, settings)
    check_tokenizer(loaded)
    directory = run_directory(out)
    job = Run(loaded, directory, Engine(workers, tuple(beam_args), bytes_per_worker), console or Console(stderr=True))
    do: dict[Kind, Callable[[Run, Stage, Record | None], Record]] = {
        "curate": curate_stage,
        "dedup": dedup_stage,
        "tokenizer": tokenizer_stage,
        "tokenize": tokenize_stage,
        "pack": pack_stage,
    }
    with locked(directory):
        left: Record | None = None
        bodies: list[Record] = []
        for stage in stages_of(loaded):
            body = do[stage.kind](job, stage, left)
            bodies.append(body)
            left = body
        return finished(job, bodies) or finish(job, bodies)
