"""One piece of deduplication by corpusmill, alone in a process on one core: prints a JSON object with its times."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import corpusmill
from benchmarks.ours import Data, Once, bind, load, measure, minhash, recipe_of
from benchmarks.process import peak_bytes, say
from benchmarks.rivals_from_files import BLOOM_ENTRIES
from corpusmill.manifest import load as load_manifest
from corpusmill.steps import find
from corpusmill.text import Texts

WARM_UP_DOCUMENTS = 20


def simhash(data: Data) -> Once:
    step: Any = find("simhash")()
    return data.each(lambda texts, _: step.keys(texts))


def minhash_memory(data: Data) -> Once:
    """From a list of texts to the number of those that are not the first of their cluster."""
    texts = [text for batch in data.batches for text in batch["text"].to_pylist()]
    return lambda: sum(len(cluster) - 1 for cluster in corpusmill.near_duplicates(texts))


def copies(data: Data, keys_of: Callable[[Texts], npt.NDArray[np.uint64]]) -> Once:
    """How many keys, uint64[m, 2], have been there before, by 64 of their bits."""

    def once() -> int:
        keys = np.concatenate([keys_of(Texts.from_arrow(batch["text"]))[:, 0] for batch in data.batches])
        return len(keys) - len(np.unique(keys))

    return once


def exact_memory(data: Data) -> Once:
    step: Any = find("exact")()
    return copies(data, lambda texts: step.keys(texts)[:, 0])


def lines_memory(data: Data) -> Once:
    step: Any = find("lines")()
    return copies(data, lambda texts: step.keys(texts, step.pieces(texts)))


WORKS: dict[str, Callable[[Data], Once]] = {
    "minhash": minhash,
    "minhash_memory": minhash_memory,
    "exact_memory": exact_memory,
    "lines_memory": lines_memory,
    "simhash": simhash,
}
OPTIONS: dict[str, dict[str, Any]] = {"bloom": {"expected_ngrams": BLOOM_ENTRIES}}
RUNS = ("minhash_run", "exact_run", "lines_run", "sentences_run", "substring_run", "bloom_run", "simhash_run")


def step_of(work: str) -> str:
    return work.partition("_")[0]


def measure_run(path: Path, folder: Path, use: str) -> dict[str, Any]:
    """From JSONL to files of the documents that stay: a run of one barrier up to where its tokenizer begins.

    Some documents first, as the rivals have them. When a stage was done, the time of its manifest says.
    """
    few, out = folder / "some.jsonl", folder / "run"
    with path.open(encoding="utf-8") as lines:
        few.write_text("".join(islice(lines, WARM_UP_DOCUMENTS)), "utf-8")
    walls = []
    for file in (few, path):
        shutil.rmtree(out, ignore_errors=True)
        began, clock = time.perf_counter(), time.time()
        account = corpusmill.run(recipe_of([file], folder, [{"use": use, **OPTIONS.get(use, {})}]), out)
        walls.append(time.perf_counter() - began)
    stages = {}
    for stage in load_manifest(str(out / "manifest.json"))["stages"]:
        done = (out / stage["path"]).stat().st_mtime
        stages[stage["stage"]], clock = done - clock, done
    names = list(stages)
    end = next(n for n, name in enumerate(names) if name.endswith("-tokenizer"))
    documents, sizes = account["documents"], account["bytes"]
    return {
        "warm_up_s": walls[0],
        "rounds": [{"wall_s": sum(stages[name] for name in names[:end])}],
        "barrier_s": next(stages[name] for name in names if name.endswith(f"-{use}")),
        "whole_run_s": walls[1],
        "stages_s": stages,
        "found": documents["in"] - documents["kept"],
        "bytes_gone": sizes["in"] - sizes["kept"],
    }


def main() -> None:
    """One work, named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dedup_ours")
    parser.add_argument("file", type=Path)
    parser.add_argument("work", choices=[*WORKS, *RUNS])
    parser.add_argument("--folder", type=Path, required=True, help="where the tokenizer is and runs go")
    given = parser.parse_args()
    bind()
    if given.work in RUNS:
        found = measure_run(given.file, given.folder, step_of(given.work))
    else:
        found = measure(load(given.file, given.folder), WORKS[given.work])
    say({**found, "max_rss_bytes": peak_bytes()})


if __name__ == "__main__":
    main()
