"""What `token_ours.py` and `token_rivals.py` share: how a work is measured, and the files that both read.

Imports nothing of corpusmill. FOLDER has tokenizer.json, texts.arrow, rows.npy (the packed rows, uint16[rows, 2048])
and what `token_ours prepare` and the works themselves put there.
"""

from __future__ import annotations

import hashlib
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROUNDS, MAX_SECONDS = 5, 30.0
"""Rounds of each work; no further one is begun after so many seconds."""
ROW_TOKENS, BATCH_ROWS = 2048, 8
TOKENIZER, TEXTS, ROWS = "tokenizer.json", "texts.arrow", "rows.npy"
MANY_FILES = 10_000
READS = 20_000
MEDIAN_TOKENS, SIGMA, MILLION = 800, 1.0, 1_000_000


@dataclass(frozen=True)
class Job:
    """A work made ready: `once` is timed and does `amount` of it; `told` says what it found, untimed."""

    once: Callable[[], Any]
    amount: float
    told: Callable[[Any], dict[str, Any]] = lambda _: {}


Work = Callable[[Path, bool], Job]
"""(FOLDER, whether a little of it is enough, for the warm-up) → the work, anew for every round."""


def measure(work: Work, folder: Path) -> dict[str, Any]:
    """A little first, which compiles, imports and loads; then rounds."""
    begun = time.perf_counter()
    work(folder, True).once()
    warm = time.perf_counter() - begun
    rounds: list[dict[str, float]] = []
    stop = time.perf_counter() + MAX_SECONDS
    while len(rounds) < ROUNDS and (not rounds or time.perf_counter() < stop):
        job = work(folder, False)
        wall, cpu = time.perf_counter(), processor_s()
        found = job.once()
        rounds.append({"wall_s": time.perf_counter() - wall, "cpu_s": processor_s() - cpu})
    return {"warm_up_s": warm, "rounds": rounds, "amount": job.amount, **job.told(found)}


def processor_s() -> float:
    """Processor time of this process and of those it waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def ids_told(parts: Sequence[npt.NDArray[Any]]) -> dict[str, Any]:
    """The ids of all documents one behind the other, in words and as a hash."""
    ids = np.concatenate(list(parts)).astype(np.uint32)
    return {"found": f"{len(ids):,} tokens", "digest": hashlib.sha256(ids.tobytes()).hexdigest()}


def lengths_of_documents(documents: int) -> npt.NDArray[np.int64]:
    """int64[n]: log-normal, 1 token at least."""
    drawn = np.random.default_rng(5).lognormal(np.log(MEDIAN_TOKENS), SIGMA, documents)
    return np.maximum(drawn, 1).astype(np.int64)


def pieces_of_documents(documents: int) -> npt.NDArray[np.int64]:
    """int64[m]: the same cut into full rows and a rest, as everybody who cuts long documents does."""
    sizes = lengths_of_documents(documents)
    full, rest = np.divmod(sizes, ROW_TOKENS)
    return np.concatenate([np.full(full.sum(), ROW_TOKENS), rest[rest > 0]])


def packed_told(rows: int, pieces: npt.NDArray[np.int64]) -> dict[str, Any]:
    least = -(-int(pieces.sum()) // ROW_TOKENS)
    return {"found": f"{rows:,} rows of {ROW_TOKENS}, {rows - least:,} above the least possible", "rows": rows}


def some_rows(few: bool) -> npt.NDArray[np.int64]:
    """Shuffled numbers below 2**62, to be taken modulo the number of rows there are."""
    return np.random.default_rng(7).integers(0, 1 << 62, 100 if few else READS)
