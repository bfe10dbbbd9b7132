"""One piece of work of corpusmill, alone in a process on one core: prints a JSON object with its times.

A work is a function that takes the data, prepares what may be prepared, and gives a function that does the work once
over all of it. It is prepared anew before every round, so nothing found in one round helps the next.
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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import corpusmill.dedup
import corpusmill.filters  # both packages register their steps
from benchmarks.packed_shards import pack, write_tokens
from corpusmill.document import DOCUMENT, conform, id_words
from corpusmill.filters.models.quality import train_quality
from corpusmill.filters.sift import sift
from corpusmill.ledger import Tally
from corpusmill.options import build
from corpusmill.packing_options import Shards
from corpusmill.pipeline import readers
from corpusmill.steps import find
from corpusmill.text import Texts
from corpusmill.tokenize.packing import place, plan
from corpusmill.tokenize.shards import packed as shards
from corpusmill.tokenize.shards.writer import Draft, Pieces
from corpusmill.tokenize.tokenizers.encode import Backend, Encoder
from corpusmill.tokenize.tokenizers.train import train_tokenizer
from corpusmill.tokenizer_options import TokenizerTraining

ROUNDS, MAX_SECONDS = 3, 20.0
"""Rounds of each work; no further one is begun after so many seconds."""

WARM_UP_BYTES = 1 << 18
FILTERS = ("language", "gopher_repetition", "gopher_quality", "c4", "fineweb", "pii")
RULE_SETS = ("refinedweb", "nemo", "roots", "data_juicer", "codex", "stack", "github", "licence", "bad_words")
DIALECTS = tuple(
    f"{use}={dialect}"
    for use in ("c4", "gopher_quality", "gopher_repetition", "fineweb")
    for dialect in list(find(use).DIALECTS)[1:]  # type: ignore[attr-defined]
)
"""The dialects that are not the default."""
PARAMS: dict[str, dict[str, Any]] = {"language": {"keep": ["en"]}, "fineweb2": {"language": "fr"}}
MODELS = {"quality": {"model": "quality.bin"}, "bad_words": {"path": "words.txt"}}
"""Options that name files of the folder."""
RECIPE = ("language", "gopher_repetition", "gopher_quality", "c4", "fineweb", "exact", "minhash", "pii")
DEDUP = ("exact", "minhash", "pii")
SEQUENCE_LENGTH, ROWS_PER_SHARD = 2048, 16384

Once = Callable[[], object]


@dataclass(frozen=True)
class Data:
    """What works work on: the file, its documents in batches of 8 MiB, and a folder with the models."""

    path: Path
    batches: list[pa.RecordBatch]
    folder: Path

    @property
    def bytes(self) -> int:
        return sum(int(Texts.from_arrow(batch["text"]).bytes.sum()) for batch in self.batches)

    def each(self, work: Callable[[Texts, pa.RecordBatch], object]) -> Once:
        """`work` on every batch with texts of which nothing is known; what it gives is let go, as in a run."""

        def once() -> None:
            for batch in self.batches:
                work(Texts.from_arrow(batch["text"]), batch)

        return once

    def first(self, size: int) -> Data:
        """The documents that begin in the first `size` bytes, in one batch."""
        batch = self.batches[0]
        rows = int(np.searchsorted(Texts.from_arrow(batch["text"]).offsets, size))
        return replace(self, batches=[batch.slice(0, max(1, min(rows, len(batch))))])


def read_batches(path: Path) -> list[pa.RecordBatch]:
    size = path.stat().st_size
    unit = readers.WorkUnit("bench", "bench", "jsonl", (readers.Slice(str(path), path.name, 0, size),), size)
    return [batch.documents for batch in readers.read(unit, readers.ReaderOptions())]


def load(path: Path, folder: Path) -> Data:
    return Data(path, [conform(batch, DOCUMENT) for batch in read_batches(path)], folder)


def prepare(data: Data) -> None:
    """Train the tokenizer and the quality model that works use, on the first batches."""
    some = [text for batch in data.batches[:2] for text in batch["text"].to_pylist()]
    train_tokenizer(some, TokenizerTraining(vocab_size=32_000), data.folder / "tokenizer.json")
    half = len(some) // 2
    train_quality(some[:half], some[half:], data.folder / "quality.bin")
    # No word of the text: what is timed is the search, not the finds.
    (data.folder / "words.txt").write_text("\n".join(f"{word}{n}" for word in ("bad", "worse") for n in range(200)))


def encoder(data: Data, backend: Backend) -> Encoder:
    return Encoder(data.folder / "tokenizer.json", backend=backend)


def a_step(use: str, folder: Path, dialect: str = "") -> Any:
    """The step with its defaults, and its model loaded."""
    files = {name: str(folder / file) for name, file in MODELS.get(use, {}).items()}
    step = build(find(use), {**PARAMS.get(use, {}), **files, **({"dialect": dialect} if dialect else {})})
    step.files()
    return step


def a_filter(work: str, data: Data) -> Once:
    """`use`, or `use=dialect`."""
    use, _, dialect = work.partition("=")
    return data.each(a_step(use, data.folder, dialect).measure)


def filters(data: Data, measure_all: bool) -> Once:
    """All filters as a run does them, rules and ledger included; one that drops saves the later ones its work."""
    steps: Any = [build(find(use), PARAMS.get(use, {})) for use in FILTERS]
    steps[0].files()
    return data.each(lambda _, batch: sift(batch, steps, "bench", Tally(), measure_all=measure_all))


def exact(data: Data) -> Once:
    step: Any = find("exact")()
    return data.each(lambda texts, _: step.keys(texts))


def minhash(data: Data) -> Once:
    step: Any = find("minhash")()
    return data.each(lambda texts, _: step.signatures(texts))


def bpe(backend: Backend, data: Data) -> Once:
    encode = encoder(data, backend).encode
    return data.each(lambda texts, _: encode(texts))


@dataclass(frozen=True)
class Encoded:
    ids: Any
    tokens: Any
    lengths: Any


def encoded(data: Data) -> Encoded:
    encode = encoder(data, "gigatoken").encode
    parts = [encode(batch["text"]) for batch in data.batches]
    return Encoded(
        np.concatenate([id_words(batch["id"]) for batch in data.batches]),
        np.concatenate([tokens for tokens, _ in parts]),
        np.concatenate([np.diff(offsets) for _, offsets in parts]),
    )


def layout(given: Encoded, encoder: Encoder) -> Draft:
    """Plan, place and lay out, all in one shard."""
    document, offset, length = plan.pieces(given.lengths, SEQUENCE_LENGTH)
    planned = plan.plan(plan.histogram(length, SEQUENCE_LENGTH))
    *_, rows = place.place(planned, length, np.zeros(SEQUENCE_LENGTH + 1, dtype=np.int64), key=17)
    ids = given.ids[document]
    order = place.order_key(ids, offset, seed=17)
    pieces = Pieces(rows, order, document, ids, np.zeros(len(length), dtype=np.uint16), offset, length)
    draft = Draft(
        pieces, rows=planned.rows, sequence_length=SEQUENCE_LENGTH, dtype=encoder.dtype, pad_id=encoder.pad_id
    )
    draft.put(given.tokens, (np.cumsum(given.lengths) - given.lengths)[document] + offset)
    return draft


def packing(data: Data) -> Once:
    given, encode = encoded(data), encoder(data, "gigatoken")
    return lambda: layout(given, encode)


def packed(data: Data) -> Once:
    """Every row through `Packed`: a sum over its tokens, and its segments."""
    given, tokens = encoded(data), data.folder / "tokens"
    tokens.mkdir(exist_ok=True)
    ids = pa.concat_arrays([batch["id"] for batch in data.batches])
    reader = pack(
        write_tokens(tokens, [(ids, given.tokens, given.lengths)]),
        encoder(data, "gigatoken"),
        Shards(SEQUENCE_LENGTH, ROWS_PER_SHARD),
        data.folder / "packed",
    )

    def once() -> None:
        for row in reader:
            row.tokens.sum()
            _ = row.segments

    return once


def read_jsonl(data: Data) -> Once:
    return lambda: read_batches(data.path)


WORKS: dict[str, Callable[[Data], Once]] = {
    "read_jsonl": read_jsonl,
    **{use: lambda data, use=use: a_filter(use, data) for use in (*FILTERS, "quality", *RULE_SETS, "fineweb2")},  # type: ignore[misc]
    **{work: lambda data, work=work: a_filter(work, data) for work in DIALECTS},  # type: ignore[misc]
    "filters": lambda data: filters(data, False),
    "filters_measure_all": lambda data: filters(data, True),
    "exact": exact,
    "minhash": minhash,
    "bpe": lambda data: bpe("gigatoken", data),
    "bpe_tokenizers": lambda data: bpe("tokenizers", data),
    "packing": packing,
    "packed_reader": packed,
}
PATHS = {"path": RECIPE, "path_dedup": DEDUP}
"""Whole runs, text in and shards out: with all steps, and with none that drops more than copies."""


def measure(data: Data, work: Callable[[Data], Once]) -> dict[str, Any]:
    """Times of a work: the warm-up, which compiles or loads, and each round. A number that it gives is `found`."""
    began = time.perf_counter()
    work(data.first(WARM_UP_BYTES))()
    found: dict[str, Any] = {"warm_up_s": time.perf_counter() - began, "rounds": []}
    stop = time.perf_counter() + MAX_SECONDS
    while len(found["rounds"]) < ROUNDS and (not found["rounds"] or time.perf_counter() < stop):
        once = work(data)
        wall, cpu = time.perf_counter(), time.process_time()
        given = once()
        found["rounds"].append({"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu})
        if isinstance(given, int):
            found["found"] = given
    return found


def _admission(data: Data) -> str:
    chosen = encoder(data, "tokenizers")
    chosen.admit(data.first(1 << 20).batches[0]["text"].to_pylist())
    return f"backend {chosen.backend}: {chosen.reason}"


def recipe_of(files: list[Path], folder: Path, steps: list[dict[str, Any]]) -> dict[str, Any]:
    """A recipe with a source for each file."""
    return {
        "name": "bench",
        "sources": [{"name": file.stem, "paths": [str(file)], "format": "jsonl"} for file in files],
        "steps": steps,
        "tokenizer": {"path": str(folder / "tokenizer.json")},
        "shards": {"sequence_length": SEQUENCE_LENGTH, "rows_per_shard": ROWS_PER_SHARD},
    }


def measure_path(path: Path, folder: Path, steps: tuple[str, ...], workers: int) -> dict[str, Any]:
    """A whole run in this process, loading of kernels within. A folder gives a source for each of its files."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    out = folder / "run"
    shutil.rmtree(out, ignore_errors=True)
    recipe = recipe_of(files, folder, [{"use": use, **PARAMS.get(use, {})} for use in steps])
    before = os.times()
    began = time.perf_counter()
    account = corpusmill.run(recipe, out, workers=workers)
    wall, after = time.perf_counter() - began, os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    documents = account["documents"]
    tokens = shards.Packed(out / "shards").manifest["totals"]["tokens"]
    note = f"{documents['kept']:,} of {documents['in']:,} documents kept, {tokens:,} tokens"
    return {"rounds": [{"wall_s": wall, "cpu_s": cpu}], "note": note}


def bind(workers: int = 1) -> None:
    """Bind this process to one core, for one worker, and Arrow to one thread."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    if workers == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def main() -> None:
    """One work, named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ours")
    parser.add_argument("file", type=Path)
    parser.add_argument("work", choices=["prepare", *WORKS, *PATHS])
    parser.add_argument("--folder", type=Path, required=True, help="where models are and runs go")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    bind(given.workers)
    if given.work in PATHS:
        found = measure_path(given.file, given.folder, PATHS[given.work], given.workers)
    else:
        data = load(given.file, given.folder)
        if given.work == "prepare":
            prepare(data)
            return
        found = measure(data, WORKS[given.work])
        found["bytes"] = data.bytes
        if given.work == "bpe":
            found["note"] = _admission(data)
    found["max_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
