"""Deduplication by somebody else's code for `dedup_rivals.py`: from a file of documents to a file of those that stay.

Gives how many documents are gone, or lines or bytes. Packages are imported when asked for: not all are in one
environment.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.rivals_in_memory import BANDS, PERMUTATIONS, ROWS, SHINGLE_WORDS, Rival, Texts, Union, simhash_values

BANDED = {"num_perm": PERMUTATIONS, "b": BANDS, "r": ROWS, "ngram": SHINGLE_WORDS}
NGRAM_WORDS, OVERLAP = 13, 0.8
NGRAMS = {"ngram_length": NGRAM_WORDS, "stride": 0, "overlap_threshold": OVERLAP, "skip_short_paragraphs": True}
SPAN_BYTES = 200
BLOOM_ENTRIES = 64_000_000
BIT_DIFFERENCE = 3


def read_texts(path: Path) -> Texts:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def count_lines(files: Iterable[Path]) -> int:
    return sum(file.read_bytes().count(b"\n") for file in files)


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def datatrove(stages: Callable[[Any, Any, Path], list[tuple[list[Any], int]]]) -> Rival:
    """Pipelines with their numbers of tasks, one after the other by the local executor with one worker."""

    def rival(folder: Path) -> Callable[[Path], int]:
        from datatrove.executor.local import LocalPipelineExecutor
        from datatrove.pipeline.readers import JsonlReader
        from datatrove.pipeline.writers import JsonlWriter
        from datatrove.utils.logging import logger

        logger.remove()

        def work(file: Path) -> int:
            here = fresh(folder / "datatrove")
            source = JsonlReader(str(file.parent), glob_pattern=file.name)
            for n, (stage, tasks) in enumerate(stages(source, JsonlWriter(str(here / "kept"), compression=None), here)):
                LocalPipelineExecutor(pipeline=stage, tasks=tasks, workers=1, logging_dir=str(here / f"logs{n}")).run()
            return count_lines([file]) - count_lines((here / "kept").glob("*.jsonl"))

        return work

    return rival


def datatrove_minhash(source: Any, sink: Any, here: Path) -> list[tuple[list[Any], int]]:
    from datatrove.pipeline.dedup import minhash

    signatures, buckets, remove = (str(here / name) for name in ("signatures", "buckets", "remove"))
    return [
        ([source, minhash.MinhashDedupSignature(signatures)], 1),
        ([minhash.MinhashDedupBuckets(signatures, buckets)], BANDS),  # it wants a multiple of the bands
        ([minhash.MinhashDedupCluster(buckets, remove)], 1),
        ([source, minhash.MinhashDedupFilter(remove), sink], 1),
    ]


def text_of(document: Any) -> str:
    return document.text  # type: ignore[no-any-return]


def datatrove_exact(source: Any, sink: Any, here: Path) -> list[tuple[list[Any], int]]:
    from datatrove.pipeline.dedup import exact_dedup as exact

    # It wants the type itself for what the function gives, not its name.
    text_of.__annotations__["return"] = str
    config = exact.ExactDedupConfig(content_getter=text_of)
    signatures, copies = str(here / "signatures"), str(here / "copies")
    return [
        ([source, exact.ExactDedupSignature(signatures, config)], 1),
        ([exact.ExactFindDedups(signatures, copies, config)], 1),
        ([source, exact.ExactDedupFilter(copies, config), sink], 1),
    ]


def datatrove_spans(source: Any, sink: Any, here: Path, **options: Any) -> list[tuple[list[Any], int]]:
    from datatrove.pipeline.dedup import sentence_dedup as spans

    config = spans.SentDedupConfig(**options)
    signatures, copies = str(here / "signatures"), str(here / "copies")
    return [
        ([source, spans.SentenceDedupSignature(signatures, config=config)], 1),
        ([spans.SentenceFindDedups(signatures, copies, config=config)], 1),
        ([source, spans.SentenceDedupFilter(copies, config=config), sink], 1),
    ]


def datatrove_lines(source: Any, sink: Any, here: Path) -> list[tuple[list[Any], int]]:
    """Its sentence deduplication with spans of one line, and no document lost for being short."""
    one = {"n_sentences": 1, "split_sentences": False, "min_doc_words": 0, "min_num_sentences": 0}
    return datatrove_spans(source, sink, here, **one)


def datatrove_bloom(source: Any, sink: Any, here: Path) -> list[tuple[list[Any], int]]:
    from datatrove.pipeline.dedup.bloom_filter import BloomFilterConfig, SingleBloomFilter

    # All ones, because it takes positions by a bitwise and with the number of bytes.
    config = BloomFilterConfig(m_bytes=(1 << 24) - 1, k=7, n_grams=NGRAM_WORDS, duplicate_threshold=OVERLAP)
    return [([source, SingleBloomFilter(str(here / "bloom"), config), sink], 1)]


def text_dedup(module: str, **options: int) -> Rival:
    """A command of text-dedup in this process; it works in one process of its own."""

    def rival(folder: Path) -> Callable[[Path], int]:
        os.environ |= {"HF_HOME": str(folder / "hf"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        command = import_module(f"text_dedup.{module}").main
        from datasets import load_from_disk

        def work(file: Path) -> int:
            here = fresh(folder / "text_dedup")
            data = {"path": "json", "data_files": file, "split": "train", "column": "text", "num_proc": 1}
            given = {**data, "cache_dir": here / "cache", "output": here / "kept", **options}
            words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
            command(words, standalone_mode=False)
            return count_lines([file]) - len(load_from_disk(str(here / "kept")))

        return work

    return rival


def dolma(**paragraphs: Any) -> Rival:
    """Its deduper in Rust: marks paragraphs, which are lines, and leaves it to its mixer to take them out."""

    def rival(folder: Path) -> Callable[[Path], int]:
        from dolma import deduper

        def work(file: Path) -> int:
            here = fresh(folder / "dolma")
            for name in ("documents", "work/in", "work/out"):
                (here / name).mkdir(parents=True)
            os.link(file, here / "documents" / "all.jsonl")
            deduper(
                {
                    "documents": [str(here / "documents" / "*.jsonl")],
                    "dedupe": {"name": "copies", "paragraphs": {"attribute_name": "copies", **paragraphs}}
                    | {"skip_empty": True, "min_length": 0, "min_words": 0},
                    "bloom_filter": {"file": str(here / "filter"), "read_only": False, "size_in_bytes": 0}
                    | {"estimated_doc_count": BLOOM_ENTRIES, "desired_false_positive_rate": 0.01},
                    "work_dir": {"input": str(here / "work/in"), "output": str(here / "work/out")},
                    "compression": {"input": None, "output": None},
                    "is_s3_volume": False,
                    "processes": 1,
                }
            )
            with (here / "attributes" / "copies" / "all.jsonl").open(encoding="utf-8") as found:
                return sum(score >= OVERLAP for line in found for *_, score in json.loads(line)["attributes"]["copies"])

        return work

    return rival


def covered(starts: Any, size: int) -> Any:
    """bool[size]: the bytes of the windows that begin at `starts`, int64[m]."""
    import numpy as np

    edges = np.bincount(starts, minlength=size + 1) - np.bincount(starts + SPAN_BYTES, minlength=size + 1)
    return np.cumsum(edges[:-1]) > 0


def suffix_array(folder: Path) -> Callable[[Path], int]:
    """What Lee et al. do (2107.06499), by libdivsufsort, Kasai's neighbours and numpy.

    The first copy of every window stays, also where it overlaps a later one of another.
    """
    import numpy as np
    from pydivsufsort import divsufsort, kasai

    def work(file: Path) -> int:
        texts = [text.encode() for text in read_texts(file)]
        data = np.frombuffer(bytearray(b"\xff").join([*texts, b""]), np.uint8)
        order = divsufsort(data)
        # No text in UTF-8 has the byte that ends each, so equal windows have it both or neither.
        ends = np.flatnonzero(data == 0xFF)
        repeated = kasai(data, order) >= SPAN_BYTES
        starts = order[repeated]
        repeated[repeated] = ends[np.searchsorted(ends, starts)] - starts >= SPAN_BYTES
        # A run of neighbours with so much in common is one window; which stands first in the text is its first copy.
        before = np.concatenate(([False], repeated[:-1]))
        member, opens = repeated | before, repeated & ~before
        positions, run = order[member].astype(np.int64), np.cumsum(opens[member]) - 1
        firsts = np.minimum.reduceat(positions, np.flatnonzero(opens[member])) if len(positions) else positions
        cut = covered(positions[positions != firsts[run]], len(data)) & ~covered(firsts, len(data))
        with (folder / "kept.jsonl").open("w", encoding="utf-8") as sink:
            for text, end in zip(texts, ends.tolist(), strict=True):
                here = slice(end - len(text), end)
                kept = data[here][~cut[here]].tobytes().decode(errors="ignore")
                sink.write(json.dumps({"text": kept}, ensure_ascii=False) + "\n")
        return int(cut.sum())

    return work


def simhash_index(folder: Path) -> Callable[[Path], int]:
    """Fingerprints and the index of the package `simhash`, components by union-find."""
    from simhash import Simhash, SimhashIndex

    simhash_values(folder)

    def work(file: Path) -> int:
        texts = read_texts(file)
        index = SimhashIndex([], k=BIT_DIFFERENCE)
        sets = Union(len(texts))
        for n, value in enumerate(map(Simhash, texts)):
            for other in index.get_near_dups(value):
                sets.join(int(other), n)
            index.add(str(n), value)
        with (folder / "kept.jsonl").open("w", encoding="utf-8") as sink:
            for n, text in enumerate(texts):
                if sets.find(n) == n:
                    sink.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
        return sets.joined

    return work
