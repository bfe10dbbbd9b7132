"""`python -m benchmarks.sizes FILE.jsonl`: the same text in documents of 1 KB to 16 MB, filter by filter.

A cost that is linear in the text gives the same MB/s in every column. Short documents show what a document costs.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.ours import FILTERS, RULE_SETS, a_step, read_batches
from corpusmill.document import DOCUMENT, conform, document_ids
from corpusmill.text import Texts

SIZES = {"1 KB": 1 << 10, "16 KB": 1 << 14, "256 KB": 1 << 18, "1 MB": 1 << 20, "4 MB": 1 << 22, "16 MB": 1 << 24}
TEXT_BYTES = 1 << 24
ROUNDS = 3


def cut(text: bytes, size: int) -> pa.RecordBatch:
    """The text in documents of about `size` bytes, no character cut."""
    starts = [0, *range(size, len(text), size), len(text)]
    starts = [min(at + next(k for k in range(4) if at + k >= len(text) or text[at + k] & 0xC0 != 0x80), len(text))
              for at in starts]  # fmt: skip
    offsets = np.unique(np.array(starts, dtype=np.int64))
    texts = Texts(np.frombuffer(text, np.uint8), offsets).to_arrow()
    ids = pa.array(document_ids("sizes", map(str, range(len(texts)))), DOCUMENT.field("id").type)
    return conform(pa.record_batch({"id": ids, "text": texts}), DOCUMENT)


def rate(step: Any, batch: pa.RecordBatch) -> float:
    """MB/s of processor time, the best of some rounds; words and lines are looked for again in each."""
    best = np.inf
    for _ in range(ROUNDS):
        texts = Texts.from_arrow(batch["text"])
        began = time.process_time()
        step.measure(texts, batch)
        best = min(best, time.process_time() - began)
    return TEXT_BYTES / 1e6 / best


def main() -> None:
    """One table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizes", description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path, help="JSONL with `text`, 16 MB of it or more")
    given = parser.parse_args()
    pa.set_cpu_count(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    text = "\n\n".join(text for batch in read_batches(given.file) for text in batch["text"].to_pylist()).encode()
    if len(text) < TEXT_BYTES:
        parser.error(f"{given.file} has {len(text):,} bytes of text; wanted at least {TEXT_BYTES:,}")
    batches = {name: cut(text[:TEXT_BYTES], size) for name, size in SIZES.items()}
    print(f"| filter, MB/s | {' | '.join(batches)} |\n|---|{'--:|' * len(batches)}")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "words.txt").write_text("\n".join(f"bad{n}" for n in range(400)))
        for use in (*FILTERS, *RULE_SETS):
            step = a_step(use, Path(folder))
            rate(step, batches["256 KB"].slice(0, 1))
            rates = [rate(step, batch) for batch in batches.values()]
            print(f"| {use} | {' | '.join(f'{value:.0f}' for value in rates)} |", flush=True)


if __name__ == "__main__":
    main()
