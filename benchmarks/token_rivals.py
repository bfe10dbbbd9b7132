"""One piece of work with tokens by somebody else's code, alone in a process on one core: prints JSON.

Imports nothing of corpusmill. Everything is called as its documentation shows, with its defaults but for what makes
the work the same.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import loader_rivals as loaders
from benchmarks.process import bind, peak_bytes, say, versions
from benchmarks.token_measure import (
    MILLION,
    ROW_TOKENS,
    TEXTS,
    TOKENIZER,
    Job,
    Work,
    ids_told,
    measure,
    packed_told,
    pieces_of_documents,
)

PACKAGES = ("tokenizers", "tiktoken", "lightbinpack", "mosaicml-streaming", "litdata", "megatron-core", "torch")

GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
"""What tiktoken has for GPT-2 (openai_public.py, r50k_pat_str): cuts as the tokenizer's own does, and faster."""


def texts_of(folder: Path, few: bool) -> tuple[list[Any], int]:
    """The texts as Arrow arrays, some MiB each, and their bytes of UTF-8."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with pa.memory_map(str(folder / TEXTS)) as file:
        batches = pa.ipc.open_file(file).read_all().to_batches()
    texts = [batch["text"].slice(0, 20) if few else batch["text"] for batch in batches]
    return texts, sum(pc.sum(pc.binary_length(some)).as_py() for some in texts)


def tokenizers_encode(folder: Path, few: bool) -> Job:
    from tokenizers import Tokenizer

    texts, size = texts_of(folder, few)
    encode = Tokenizer.from_file(str(folder / TOKENIZER)).encode_batch_fast

    def once() -> list[Any]:
        return [
            np.array(found.ids, dtype=np.uint32)
            for some in texts
            for found in encode(some.to_pylist(), add_special_tokens=False)
        ]

    return Job(once, size / 1e6, ids_told)


def tiktoken_encode(folder: Path, few: bool) -> Job:
    """Into arrays, which is tiktoken's faster way out."""
    import tiktoken

    texts, size = texts_of(folder, few)
    config = json.loads((folder / TOKENIZER).read_text("utf-8"))
    special = {token["content"] for token in config["added_tokens"]}
    byte_of = bytes_of_characters()
    ranks = {
        bytes(byte_of[character] for character in piece): rank
        for piece, rank in config["model"]["vocab"].items()
        if piece not in special
    }
    encoding = tiktoken.Encoding("bench", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={})

    def once() -> list[Any]:
        return [encoding.encode_to_numpy(text, disallowed_special=()) for some in texts for text in some.to_pylist()]

    return Job(once, size / 1e6, ids_told)


def bytes_of_characters() -> dict[str, int]:
    """The byte for each character of a byte-level vocabulary: itself if it prints, the others in turn from 256 on."""
    printing = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printing]
    return {chr(byte): byte for byte in printing} | {chr(256 + n): byte for n, byte in enumerate(others)}


def lightbinpack_plan(function: str, _: Path, few: bool) -> Job:
    import lightbinpack

    pieces = pieces_of_documents(1000 if few else MILLION)
    lengths, fit = pieces.tolist(), getattr(lightbinpack, function)
    return Job(lambda: len(fit(lengths, ROW_TOKENS)), 1, lambda rows: packed_told(rows, pieces))


WORKS: dict[str, dict[str, Work]] = {
    "encode": {"tiktoken": tiktoken_encode, "tokenizers": tokenizers_encode},
    "plan_million": {f"lightbinpack {name}": partial(lightbinpack_plan, name) for name in ("obfd", "ffd")},
    "pack_write": loaders.by_all(loaders.write),
    "open": loaders.by_all(loaders.open_many),
    "row": loaders.by_all(loaders.row),
    "loader": {
        "mosaicml-streaming": partial(loaders.loader, loaders.mds_batches, "mosaicml-streaming"),
        "litdata": partial(loaders.loader, loaders.litdata_batches, "litdata"),
        "Megatron IndexedDataset": partial(loaders.loader, loaders.indexed_batches, "Megatron"),
        "Megatron GPTDataset": partial(loaders.loader, loaders.gpt_batches, "Megatron"),
    },
    "verify": {"sha256, hashlib": loaders.sha256, "sha256sum": loaders.sha256sum},
}


def environment_of(work: str) -> str | None:
    """Which environment of `environments.py` has the rivals of a work; None: any Python."""
    return {**dict.fromkeys(("encode", "plan_million"), "tokenizers_rivals"), "verify": None}.get(work, "loaders")


def main() -> None:
    """One work of one rival, named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.token_rivals")
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", choices=WORKS)
    parser.add_argument("who")
    given = parser.parse_args()
    bind()
    loaders.raise_limit_of_files()
    found = measure(WORKS[given.work][given.who], given.folder)
    say({**found, "max_rss_bytes": peak_bytes(), "versions": versions(PACKAGES)})


if __name__ == "__main__":
    main()
