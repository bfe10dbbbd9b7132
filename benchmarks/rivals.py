"""One piece of work of datatrove, alone in a process on one core, in an environment of its own: prints JSON.

Imports nothing of corpusmill. Every object is built as its documentation shows, with its defaults.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup.minhash import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
)
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.logging import logger
from fasttext.FastText import _FastText

Texts = list[str]
Once = Callable[[Texts], object]
WARM_UP_DOCUMENTS = 20


class Lid:
    """lid.176 from a file: datatrove would download it. Given lists, because a lone string fails on numpy 2.

    Loaded at the first text, because the executor copies its pipeline and no model can be copied.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._model: Any = None

    def predict(self, text: str, k: int) -> tuple[Any, Any]:
        if self._model is None:
            self._model = _FastText(self._path)
        labels, scores = self._model.predict([text], k=k)
        return labels[0], scores[0]


def language(given: argparse.Namespace) -> LanguageFilter:
    step = LanguageFilter(languages=["en"])
    step.model._model = Lid(given.lid)
    return step


FILTERS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "language": language,
    "gopher_repetition": lambda _: GopherRepetitionFilter(),
    "gopher_quality": lambda _: GopherQualityFilter(),
    "c4": lambda _: C4QualityFilter(),
    "fineweb": lambda _: FineWebQualityFilter(),
}


def a_filter(use: str, given: argparse.Namespace) -> Once:
    step = FILTERS[use](given)
    return lambda texts: [step.filter(Document(text=text, id="")) for text in texts]


def filters(given: argparse.Namespace) -> Once:
    """All filters in the order of a run: a document leaves at the first that drops it."""
    steps = [make(given) for make in FILTERS.values()]
    pii = PIIFormatter()

    def one(text: str) -> None:
        document = Document(text=text, id="")
        for step in steps:
            kept = step.filter(document)
            if not (kept[0] if isinstance(kept, tuple) else kept):
                return
        pii.format(document.text)

    def all_of_them(texts: Texts) -> None:
        for text in texts:
            one(text)

    return all_of_them


def filters_measure_all(given: argparse.Namespace) -> Once:
    """All filters on every document."""
    every = [a_filter(use, given) for use in FILTERS] + [pii(given)]
    return lambda texts: [once(texts) for once in every]


def pii(_: argparse.Namespace) -> Once:
    step = PIIFormatter()
    return lambda texts: [step.format(text) for text in texts]


def minhash(given: argparse.Namespace) -> Once:
    step = MinhashDedupSignature(str(given.folder / "signatures"))

    def one(text: str) -> list[list[int]] | None:
        shingles = step.get_shingles(text)
        return step.get_signature(shingles) if shingles.size else None

    return lambda texts: [one(text) for text in texts]


def bpe(given: argparse.Namespace) -> Once:
    """Tokenize and write, without the shuffling that would come behind it."""
    step = DocumentTokenizer(str(given.folder / "tokens"), given.tokenizer, shuffle_documents=False, save_filename="b")
    return lambda texts: step.write_unshuffled((Document(text=text, id="") for text in texts), "bench")


WORKS: dict[str, Callable[[argparse.Namespace], Once]] = {
    **{use: lambda given, use=use: a_filter(use, given) for use in FILTERS},  # type: ignore[misc]
    "filters": filters,
    "filters_measure_all": filters_measure_all,
    "pii": pii,
    "minhash": minhash,
    "bpe": bpe,
}
PATHS = ("path", "path_dedup")


def read_texts(path: Path) -> Texts:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def measure(given: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """Warm up on some documents, which loads models and word tokenizers, then do all once: it is slow enough."""
    texts = read_texts(given.file)
    once = WORKS[given.work](given)
    began = time.perf_counter()
    once(texts[:WARM_UP_DOCUMENTS])
    warm = time.perf_counter() - began
    wall, cpu = time.perf_counter(), time.process_time()
    once(texts)
    spent = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    return {"warm_up_s": warm, "rounds": [spent]}, sum(len(text.encode()) for text in texts)


def measure_path(given: argparse.Namespace) -> dict[str, Any]:
    """JSONL in, tokens out: filters, the four stages of MinHash, PII, tokens. No exact stage and no packing."""
    here = given.folder / "datatrove"
    shutil.rmtree(here, ignore_errors=True)
    at = {name: str(here / name) for name in ("kept", "signatures", "buckets", "remove", "tokens")}
    source = JsonlReader(str(given.file.parent), glob_pattern=given.file.name)
    sieves = [make(given) for make in FILTERS.values()] if given.work == "path" else []
    stages = [
        [source, *sieves, JsonlWriter(at["kept"], compression=None)],
        [JsonlReader(at["kept"]), MinhashDedupSignature(at["signatures"])],
        [MinhashDedupBuckets(at["signatures"], at["buckets"])],
        [MinhashDedupCluster(at["buckets"], at["remove"])],
        [
            JsonlReader(at["kept"]),
            MinhashDedupFilter(at["remove"]),
            PIIFormatter(),
            DocumentTokenizer(at["tokens"], given.tokenizer, eos_token="<|endoftext|>"),  # noqa: S106
        ],
    ]
    # MinHash's second stage wants as many tasks as there are buckets; run by one worker.
    tasks = [1, 1, 14, 1, 1]
    wall, cpu = time.perf_counter(), time.process_time()
    spent = []
    for n, (stage, count) in enumerate(zip(stages, tasks, strict=True)):
        began = time.perf_counter()
        LocalPipelineExecutor(pipeline=stage, tasks=count, workers=1, logging_dir=str(here / f"logs{n}")).run()
        spent.append(round(time.perf_counter() - began, 2))
    total = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    tokens = sum(file.stat().st_size for file in Path(at["tokens"]).glob("*.ds")) // 2
    return {"rounds": [total], "note": f"{tokens:,} tokens; seconds of the stages: {spent}"}


def main() -> None:
    """One work, named on the command line."""
    parser = argparse.ArgumentParser(prog="python benchmarks/rivals.py")
    parser.add_argument("file", type=Path)
    parser.add_argument("work", choices=[*WORKS, *PATHS])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--tokenizer", required=True, help="a tokenizer.json")
    parser.add_argument("--lid", required=True, help="lid.176.ftz or lid.176.bin")
    given = parser.parse_args()
    logger.remove()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if given.work in PATHS:
        found = measure_path(given)
    else:
        found, found_bytes = measure(given)
        found["bytes"] = found_bytes
    found["max_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found["versions"] = {name: version(name) for name in ("datatrove", "spacy", "tokenizers", "numpy")}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
