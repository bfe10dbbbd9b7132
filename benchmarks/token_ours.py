"""Tokens, packing, shards and loaders of corpusmill: one work, alone in a process on one core; prints JSON."""

from __future__ import annotations

import argparse
import math
import shutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks import ours
from benchmarks.packed_shards import TokenFiles, pack, write_tokens
from benchmarks.process import peak_bytes, say
from benchmarks.token_measure import (
    BATCH_ROWS,
    MANY_FILES,
    MEDIAN_TOKENS,
    MILLION,
    ROW_TOKENS,
    ROWS,
    SIGMA,
    TEXTS,
    TOKENIZER,
    Job,
    Work,
    ids_told,
    measure,
    packed_told,
    pieces_of_documents,
    some_rows,
)
from corpusmill.packing_options import Shards
from corpusmill.pipeline.write_shards import FOLDER
from corpusmill.text import Texts
from corpusmill.tokenize.packing import place, plan
from corpusmill.tokenize.packing.token_files import open_token_file
from corpusmill.tokenize.shards.order import Reading, State
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenize.tokenizers.encode import Encoder, Policy
from corpusmill.tokenize.tokenizers.train import train_tokenizer
from corpusmill.tokenizer_options import TokenizerTraining

COPIES = 8
"""The corpus is packed so many times over, for more tokens than any cache of a processor holds."""
ROWS_PER_SHARD = 4096
BILLION = 1_000_000_000
MOST_TOKENS = 1 << 20
"""Of a document, in the synthetic histogram."""
EPOCHS = 4
SHARDS, MANY = "packed", "many"


def prepare(file: Path, folder: Path) -> None:
    """Train the tokenizer, write what all works read: texts, token files, shards, their rows as a plain array."""
    data = ours.load(file, folder)
    sample = [text for batch in data.batches[:2] for text in batch["text"].to_pylist()]
    train_tokenizer(sample, TokenizerTraining(vocab_size=32_000), folder / TOKENIZER)
    texts = [batch.select(["text"]) for batch in data.batches]
    with pa.ipc.new_file(folder / TEXTS, texts[0].schema) as writer:
        for batch in texts:
            writer.write_batch(batch)
    encoder = Encoder(folder / TOKENIZER, backend="gigatoken")
    made = [(batch["id"], *encoder.encode(batch["text"])) for batch in data.batches]
    (folder / "tokens").mkdir(exist_ok=True)
    given = write_tokens(folder / "tokens", ((ids, tokens, np.diff(at)) for ids, tokens, at in made * COPIES))
    packed = pack(given, encoder, Shards(ROW_TOKENS, ROWS_PER_SHARD), folder / SHARDS)
    rows = np.lib.format.open_memmap(folder / ROWS, "w+", packed.dtype, (len(packed), ROW_TOKENS))
    for number in range(packed.shards):
        first = number * packed.rows_per_shard
        rows[first : first + packed.rows_of(number)] = packed.shard(number).tokens


def token_files(folder: Path, most_tokens: float = math.inf) -> TokenFiles:
    """The first token files, up to so many tokens."""
    found: list[tuple[str, int, int]] = []
    total = 0
    for path in sorted((folder / "tokens").glob("*.arrow")):
        file = open_token_file(str(path))
        if found and total + len(file.tokens) > most_tokens:
            break
        found.append((path.name, len(file.ids), len(file.tokens)))
        total += len(file.tokens)
    return TokenFiles(folder / "tokens", tuple(found))


def encode(folder: Path, few: bool) -> Job:
    with pa.memory_map(str(folder / TEXTS)) as file:
        batches = pa.ipc.open_file(file).read_all().to_batches()
    texts = [batch["text"].slice(0, 20) if few else batch["text"] for batch in batches]
    encoder = Encoder(folder / TOKENIZER, Policy(eos=False), backend="gigatoken")

    def told(found: list[Any]) -> dict[str, Any]:
        admitted = Encoder(folder / TOKENIZER, Policy(eos=False))
        admitted.admit(texts[0].to_pylist()[:200])
        return {**ids_told([tokens for tokens, _ in found]), "note": f"{admitted.backend}: {admitted.reason}"}

    size = sum(int(Texts.from_arrow(some).bytes.sum()) for some in texts)
    return Job(lambda: [encoder.encode(some) for some in texts], size / 1e6, told)


@cache
def billion(sequence_length: int) -> npt.NDArray[np.int64]:
    """The histogram of pieces of 10⁹ log-normal documents: full rows, and what is left."""
    edges = [math.erf(math.log((n + 0.5) / MEDIAN_TOKENS) / (SIGMA * math.sqrt(2))) for n in range(MOST_TOKENS + 1)]
    documents = np.diff(np.round((np.array(edges) + 1) / 2 * BILLION))
    full, rest = np.divmod(np.arange(1, MOST_TOKENS + 1), sequence_length)
    counts = np.bincount(rest, weights=documents, minlength=sequence_length + 1).astype(np.int64)
    counts[0], counts[sequence_length] = 0, int(np.dot(full, documents))
    return counts


def plan_billion(sequence_length: int, _: Path, few: bool) -> Job:
    counts = np.bincount([sequence_length, 16]) if few else billion(sequence_length)

    def told(made: plan.Plan) -> dict[str, Any]:
        above = made.rows - made.lower_bound_rows
        return {"found": f"{made.segments:,} pieces, {made.rows:,} rows, {above:,} above the least possible"}

    return Job(lambda: plan.plan(counts), 1, told)


def plan_million(_: Path, few: bool) -> Job:
    """Lengths to the row of every piece."""
    pieces = pieces_of_documents(1000 if few else MILLION)

    def once() -> int:
        made = plan.plan(plan.histogram(pieces, ROW_TOKENS))
        place.place(made, pieces, np.zeros(ROW_TOKENS + 1, dtype=np.int64), key=17)
        return made.rows

    return Job(once, 1, lambda rows: packed_told(rows, pieces))


def pack_write(folder: Path, few: bool) -> Job:
    given, encoder, out = token_files(folder, 1 if few else math.inf), Encoder(folder / TOKENIZER), folder / "written"
    shutil.rmtree(out, ignore_errors=True)

    def once() -> Packed:
        return pack(given, encoder, Shards(ROW_TOKENS, ROWS_PER_SHARD), out)

    def told(packed: Packed) -> dict[str, Any]:
        totals = packed.manifest["totals"]
        return {"found": f"{len(packed):,} rows, {packed.shards} shards, {totals['pad_tokens']:,} tokens of padding"}

    return Job(once, 2 * given.tokens / 1e6, told)


def prepare_many(folder: Path) -> None:
    """Some 10,000 shards of a row."""
    given = token_files(folder, MANY_FILES * ROW_TOKENS)
    pack(given, Encoder(folder / TOKENIZER), Shards(ROW_TOKENS, rows_per_shard=1), folder / MANY)


def open_many(folder: Path, _: bool) -> Job:
    path = folder / MANY / FOLDER
    return Job(lambda: Packed(path), Packed(path).shards / MANY_FILES, lambda p: {"found": f"{p.shards} shards"})


def row(folder: Path, few: bool) -> Job:
    """A row's tokens and where its segments end, both views."""
    packed = Packed(folder / SHARDS / FOLDER)
    for number in range(packed.shards):
        packed.shard(number).tokens.max()
    wanted = (some_rows(few) % len(packed)).tolist()

    def once() -> None:
        for index in wanted:
            found = packed[index]
            found.tokens, found.ends  # noqa: B018

    return Job(once, len(wanted))


def gathered(packed: Packed, epochs: int) -> int:
    """Numpy batches in the order of a trainer: tokens, and the segments of every row. Gives the tokens."""
    reading, read = Reading(len(packed), BATCH_ROWS, State(1, 0), epochs=epochs), 0
    for begin, end, _ in reading.steps():
        read += packed.gather(reading.mine(begin, end)).tokens.size
    return read


def tensors(packed: Packed, epochs: int) -> int:
    """Dense torch batches: tokens, targets, segments, positions, sources."""
    from corpusmill.trainer.data import batches

    return sum(
        batch.tokens.numel()
        for epoch in range(1, 1 + epochs)
        for batch, _ in batches(packed, BATCH_ROWS, State(epoch, 0))
    )


def data_loader(packed: Packed, epochs: int) -> int:
    """The same through torch's DataLoader."""
    from torch.utils.data import DataLoader

    from corpusmill.trainer.data import PackedDataset

    dataset = PackedDataset(packed, BATCH_ROWS, State(1, 0), epochs=epochs)
    return sum(batch.tokens.numel() for batch, _ in DataLoader(dataset, batch_size=None))


def stacked(packed: Packed, epochs: int) -> int:
    """Tokens alone, each row a view, stacked to a tensor: what Megatron's IndexedDataset is made to do."""
    import torch

    reading, read = Reading(len(packed), BATCH_ROWS, State(1, 0), epochs=epochs), 0
    for begin, end, _ in reading.steps():
        rows = [packed[index].tokens for index in reading.mine(begin, end).tolist()]
        read += torch.from_numpy(np.stack(rows)).numel()
    return read


def loader(read: Callable[[Packed, int], int], folder: Path, few: bool) -> Job:
    packed = Packed(folder / SHARDS / FOLDER)
    epochs = 1 if few else EPOCHS
    size = epochs * len(packed) * ROW_TOKENS * packed.dtype.itemsize
    return Job(lambda: read(packed, epochs), size / 1e6, lambda tokens: {"found": f"{tokens:,} tokens"})


def verify(folder: Path, _: bool) -> Job:
    packed = Packed(folder / SHARDS / FOLDER)
    size = sum(path.stat().st_size for path in (folder / SHARDS / FOLDER).glob("*.arrow"))
    return Job(packed.verify, size / 1e9, lambda seen: {"found": f"{seen:,} bytes"})


WORKS: dict[str, dict[str, Work]] = {
    "encode": {"corpusmill": encode},
    **{f"plan {length}": {"corpusmill": partial(plan_billion, length)} for length in (2048, 8192, 32768, 131072)},
    "plan_million": {"corpusmill": plan_million},
    "pack_write": {"corpusmill": pack_write},
    "open": {"corpusmill": open_many},
    "row": {"corpusmill": row},
    "loader": {
        "corpusmill, DataLoader": partial(loader, data_loader),
        "corpusmill, torch": partial(loader, tensors),
        "corpusmill, numpy": partial(loader, gathered),
        "corpusmill, rows stacked": partial(loader, stacked),
    },
    "verify": {"corpusmill": verify},
}
"""Work → who → how; rivals are compared with the first."""


def main() -> None:
    """One work, named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.token_ours")
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", choices=["prepare", "prepare_many", *WORKS])
    parser.add_argument("who", nargs="?")
    parser.add_argument("--file", type=Path, help="JSONL, for prepare")
    given = parser.parse_args()
    ours.bind()
    if given.work == "prepare":
        prepare(given.file, given.folder)
        return
    if given.work == "prepare_many":
        prepare_many(given.folder)
        return
    found = measure(WORKS[given.work][given.who], given.folder)
    say({**found, "max_rss_bytes": peak_bytes()})


if __name__ == "__main__":
    main()
