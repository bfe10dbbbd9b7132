"""Datasets of packed rows by somebody else's code, for `token_rivals.py`: writing, opening, reading, verifying.

Everybody gets the rows that corpusmill packed, 2,048 tokens of 16 bits each, and writes them with the writer of its own
library. Packages are imported when asked for.
"""

from __future__ import annotations

import hashlib
import itertools
import resource
import shutil
import subprocess
import sys
import types
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benchmarks.token_measure import BATCH_ROWS, MANY_FILES, ROW_TOKENS, ROWS, Job, some_rows

CHUNK_BYTES = 1 << 26
FEW_ROWS = 64

Rows = Any
"""uint16[rows, 2048]."""


def rows_of(folder: Path, few: bool) -> Rows:
    rows = np.load(folder / ROWS, mmap_mode="r")
    return rows[:FEW_ROWS] if few else rows


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def mosaic() -> Any:
    """The package, without its datasets of images: they want torchvision, which does not load beside every torch."""
    sys.modules.setdefault("streaming.vision", types.ModuleType("streaming.vision"))
    import streaming

    return streaming


def write_mds(rows: Rows, out: Path, shard_bytes: int = CHUNK_BYTES) -> None:
    columns = {"tokens": f"ndarray:uint16:{ROW_TOKENS}"}
    with mosaic().MDSWriter(out=str(fresh(out)), columns=columns, size_limit=shard_bytes) as writer:
        for row in rows:
            writer.write({"tokens": row})


def write_litdata(rows: Rows, out: Path, chunk_rows: int = CHUNK_BYTES // (2 * ROW_TOKENS)) -> None:
    from litdata.streaming.cache import Cache
    from litdata.streaming.item_loader import TokensLoader

    cache = Cache(str(fresh(out)), chunk_bytes=2 * ROW_TOKENS * chunk_rows, item_loader=TokensLoader(ROW_TOKENS))
    for number, row in enumerate(rows):
        cache[number] = row
    cache.done()
    cache.merge()


def write_megatron(rows: Rows, out: Path) -> None:
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    builder = IndexedDatasetBuilder(f"{fresh(out)}/rows.bin", dtype=np.uint16)
    for row in rows:
        builder.add_document(row, [len(row)])
    builder.finalize(f"{out}/rows.idx")


WRITERS: dict[str, Callable[[Rows, Path], None]] = {
    "mosaicml-streaming": write_mds,
    "litdata": write_litdata,
    "Megatron": write_megatron,
}


def write(who: str, folder: Path, few: bool) -> Job:
    rows, out = rows_of(folder, few), folder / "rival-written"
    return Job(lambda: WRITERS[who](rows, out), rows.size * 2 / 1e6, lambda _: {"found": "no packing, rows as given"})


def written(who: str, folder: Path, few: bool) -> Path:
    """The rows in the rival's format, written when they are not there."""
    out = folder / f"{who}{'-few' if few else ''}"
    if not (out / "done").exists():
        WRITERS[who](rows_of(folder, few), out)
        (out / "done").touch()
    return out


def open_mds(path: Path) -> Any:
    return mosaic().StreamingDataset(local=str(path), shuffle=True, shuffle_algo="py1e", batch_size=BATCH_ROWS)


def open_litdata(path: Path) -> Any:
    import litdata
    from litdata.streaming.item_loader import TokensLoader

    return litdata.StreamingDataset(str(path), item_loader=TokensLoader(ROW_TOKENS), shuffle=True)


def open_megatron(path: Path) -> Any:
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    return IndexedDataset(str(path / "rows"))


OPENERS = {"mosaicml-streaming": open_mds, "litdata": open_litdata, "Megatron": open_megatron}


def many(who: str, folder: Path, few: bool) -> tuple[Path, int]:
    """10,000 files of a row each, and how many rows there are."""
    out, rows = folder / f"{who}-many{'-few' if few else ''}", rows_of(folder, few)[:MANY_FILES]
    if not (out / "done").exists():
        if who == "mosaicml-streaming":
            write_mds(rows, out, shard_bytes=3 * ROW_TOKENS)  # one row, not two
        elif who == "litdata":
            write_litdata(rows, out, chunk_rows=1)
        else:
            for number in range(len(rows)):
                write_megatron(rows[number : number + 1], out / f"{number:05d}")
        (out / "done").touch()
    return out, len(rows)


def open_many(who: str, folder: Path, few: bool) -> Job:
    path, files = many(who, folder, few)

    folders = [path]
    if who == "Megatron":  # several files stay open for each
        files = min(files, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 5)
        folders = [path / f"{number:05d}" for number in range(files)]

    def once() -> int:
        """Their lengths too, for litdata reads its index when it is asked for that."""
        opened = [OPENERS[who](each) for each in folders]
        return sum(map(len, opened))

    return Job(once, files / MANY_FILES, lambda rows: {"found": f"{files} files, {rows} rows"})


def row(who: str, folder: Path, few: bool) -> Job:
    dataset = OPENERS[who](written(who, folder, few))
    wanted = (some_rows(few) % len(dataset)).tolist()
    read = dataset.get if who == "Megatron" else dataset.__getitem__

    def once() -> None:
        for index in wanted:
            read(index)

    once()  # all files are mapped then
    return Job(once, len(wanted))


def loader(batches: Callable[[Any, int], Iterable[Any]], who: str, folder: Path, few: bool) -> Job:
    """An epoch in shuffled order; the tokens of all batches are counted."""
    dataset = OPENERS[who](written(who, folder, few))
    rows = len(dataset)

    def told(tokens: int) -> dict[str, Any]:
        return {"found": f"{tokens:,} of {rows * ROW_TOKENS:,} tokens"}

    epoch = next(_epochs)
    return Job(lambda: sum(batch.numel() for batch in batches(dataset, epoch)), 2 * rows * ROW_TOKENS / 1e6, told)


_epochs = itertools.count(1)


def mds_batches(dataset: Any, _: int) -> Iterable[Any]:
    return (batch["tokens"] for batch in mosaic().StreamingDataLoader(dataset, batch_size=BATCH_ROWS))


def litdata_batches(dataset: Any, _: int) -> Iterable[Any]:
    import litdata

    yield from litdata.StreamingDataLoader(dataset, batch_size=BATCH_ROWS)


def indexed_batches(dataset: Any, epoch: int) -> Iterable[Any]:
    """A permutation of all rows by numpy, rows stacked to tensors."""
    import torch

    order = np.random.default_rng(epoch).permutation(len(dataset)).tolist()
    for first in range(0, len(order), BATCH_ROWS):
        yield torch.from_numpy(np.stack([dataset.get(index) for index in order[first : first + BATCH_ROWS]]))


class Tokenizer:
    """All that GPTDataset asks of one."""

    eod, pad, vocab_size = 0, 1, 32_000
    unique_identifiers: ClassVar = {"class": "none"}


def gpt_batches(dataset: Any, epoch: int) -> Iterable[Any]:
    """Megatron's dataset for training by torch's DataLoader: tokens, labels, mask of the loss, positions."""
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.utils import Split
    from torch.utils.data import DataLoader

    prefix = dataset.path_prefix
    config = GPTDatasetConfig(
        random_seed=epoch,
        sequence_length=ROW_TOKENS,
        blend=([prefix], None),
        split="1,0,0",
        path_to_cache=f"{prefix}-cache",
        tokenizer=Tokenizer(),
        reset_position_ids=False,
        reset_attention_mask=False,
        eod_mask_loss=False,
        create_attention_mask=False,
    )
    rows = np.arange(len(dataset), dtype=np.int32)
    samples = GPTDataset(dataset, prefix, rows, None, Split.train, config)
    return (batch["tokens"] for batch in DataLoader(samples, batch_size=BATCH_ROWS))


def shard_files(folder: Path) -> list[Path]:
    return sorted((folder / "packed" / "shards").glob("*.arrow"))


def sha256(folder: Path, few: bool) -> Job:
    """hashlib, over the files of corpusmill's shards."""
    files = shard_files(folder)[: 1 if few else None]

    def once() -> None:
        for path in files:
            with path.open("rb") as file:
                hashlib.file_digest(file, "sha256")

    return Job(once, sum(path.stat().st_size for path in files) / 1e9)


def sha256sum(folder: Path, few: bool) -> Job:
    files = shard_files(folder)[: 1 if few else None]
    command = ["sha256sum", *map(str, files)]
    return Job(
        lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL),
        sum(path.stat().st_size for path in files) / 1e9,
    )


def by_all(work: Callable[[str, Path, bool], Job]) -> dict[str, Any]:
    return {who: partial(work, who) for who in WRITERS}


def raise_limit_of_files() -> None:
    """Megatron keeps several files open for each dataset."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
