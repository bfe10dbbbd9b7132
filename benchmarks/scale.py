"""Keys of documents that were never written: a corpus of any size for the barrier of near-duplicates, with its truth.

A document is what MinHash would make of it and no more. The corpus is made of clusters, whose sizes follow a power
law. A member of a cluster is a copy of the cluster's text with similarity s to it, drawn from SIMILARITY, so that each
signature value is the text's with probability s, and a band of ROWS values with s**ROWS: such a band has the cluster's
key, every other band has one of its own. So two members are linked if and only if some band has the cluster's key in
both of them, and the components are known without looking at a key.

Everything is a hash of the seed and of the ordinals: any block can be made alone.

    python -m benchmarks.scale --documents 50000000 --workers 2 --folder /big/disk/scale

writes the keys, runs the barrier on them as a run does, from key files to removals, and compares these with the truth.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from rich.console import Console

from corpusmill.dedup.components import Components
from corpusmill.dedup.minhash import MinHash
from corpusmill.pipeline import dedup
from corpusmill.pipeline.directory import Entry, Record, RunDirectory
from corpusmill.pipeline.groups import BarrierStage, Work, groups_for
from corpusmill.pipeline.job import Run
from corpusmill.pipeline.phases import Phase, files_record, run_phases
from corpusmill.pipeline.removed import REMOVAL
from corpusmill.pipeline.rounds import join_by_rounds, joins_for
from corpusmill.pipeline.runner import Engine
from corpusmill.scan import finish_hash
from corpusmill.tokenize.packing.place import permuted

KEY = np.dtype([("high", "<u8"), ("low", "<u8"), ("document", "<u8"), ("rank", "<u8")])
BANDS, ROWS = 14, 8
"""FineWeb's bands (arXiv 2406.17557, section 3.4)."""

BLOCK_DOCUMENTS = 1 << 16
"""Documents in a block of keys: 28 MiB."""

IN_CLUSTERS = 0.5
"""Share of the documents that are in a cluster of two or more."""

POWER = 2.5
"""Clusters of size k are in proportion to k**-POWER: many pairs, few crowds."""

GIANT = 0.02
"""Share of the documents in the one largest cluster: a boilerplate page that everybody has."""

SIMILARITY = (0.5, 1.0)
"""Least and greatest similarity of a copy to its cluster's text."""

PART_DOCUMENTS = 1 << 18
"""Documents whose keys are in one file: 112 MiB of them."""

UInt64 = npt.NDArray[np.uint64]
Sizes = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_OWN = np.uint64(1 << 63)


def cluster_table(documents: int) -> Sizes:
    """uint64[k, 2]: sizes of clusters by falling size, and how many clusters have each; the last size is 1.

    Sizes times clusters add up to `documents`.
    """
    giant = int(documents * GIANT)
    left = int(documents * IN_CLUSTERS) - giant
    sizes = np.arange(2, max(3, min(left, 100_000)), dtype=np.float64)
    clusters = np.floor(left * sizes**-POWER / np.sum(sizes ** (1.0 - POWER)))
    rows = [(int(k), int(n)) for k, n in zip(sizes[::-1], clusters[::-1], strict=True) if n > 0]
    rows = [(giant, 1), *rows] if giant > 1 else rows
    return np.array([*rows, (1, documents - sum(k * n for k, n in rows))], dtype=np.uint64)


def key_blocks(documents: int, seed: int) -> Iterator[npt.NDArray[np.void]]:
    """KEY[m] each: BANDS keys for every document in the order of ordinals; `rank` is as for keep = "longest"."""
    table = cluster_table(documents)
    for first in range(0, documents, BLOCK_DOCUMENTS):
        block = np.empty(min(BLOCK_DOCUMENTS, documents - first) * BANDS, dtype=KEY)
        _fill(np.uint64(first), np.uint64(documents), _seeded(seed), table, block.view(np.uint64).reshape(-1, 4))
        yield block


def truth(documents: int, seed: int) -> Components:
    """The components that the keys make, with the survivors by rank, as `components` would give them.

    About 60 bytes of memory for each document.
    """
    table, key = cluster_table(documents), _seeded(seed)
    survivor = np.empty(documents, dtype=np.uint64)
    size = np.empty(documents, dtype=np.int64)
    _join(_by_place(np.uint64(documents), key), table, key, survivor, size)
    document = np.flatnonzero(size > 1).astype(np.uint64)
    return Components(document, survivor[size > 1], size[size > 1])


def _seeded(seed: int) -> np.uint64:
    return np.uint64(int.from_bytes(np.random.default_rng(seed).bytes(8), "little"))


@njit(cache=True, nogil=True)
def _mix(key, a, b):  # type: ignore[no-untyped-def]
    return finish_hash(finish_hash(key ^ finish_hash(a + _GOLDEN)) ^ (b * _GOLDEN + np.uint64(1)))


@njit(cache=True, nogil=True)
def _rank(document, key):  # type: ignore[no-untyped-def]
    """2**63 - length, of lengths from 100 to 16483 bytes, so that ties occur."""
    return _OWN - np.uint64(100) - (_mix(key, document, np.uint64(1000)) >> np.uint64(50))


@njit(cache=True, nogil=True)
def _kept_bands(document, key):  # type: ignore[no-untyped-def]
    """Bit b: the document has its cluster's key in band b."""
    unit = 1.0 / 2.0**53
    drawn = float(_mix(key, document, np.uint64(2000)) >> np.uint64(11)) * unit
    chance = (SIMILARITY[0] + (SIMILARITY[1] - SIMILARITY[0]) * drawn) ** ROWS
    kept = 0
    for band in range(BANDS):
        drawn = float(_mix(key, document, np.uint64(3000 + band)) >> np.uint64(11)) * unit
        kept |= int(drawn < chance) << band
    return kept


@njit(cache=True, nogil=True)
def _cluster(place, table):  # type: ignore[no-untyped-def]
    """The place of the first member of the cluster that has a place in the list of all clusters, largest first."""
    start = np.uint64(0)
    for k in range(len(table)):
        stop = start + table[k, 0] * table[k, 1]
        if place < stop:
            return place - (place - start) % table[k, 0]
        start = stop
    return place


@njit(cache=True, nogil=True)
def _fill(first, documents, key, table, out):  # type: ignore[no-untyped-def]
    for d in range(len(out) // BANDS):
        document = first + np.uint64(d)
        cluster = _cluster(permuted(document, documents, key), table)
        kept = _kept_bands(document, key)
        rank = _rank(document, key)
        for band in range(BANDS):
            owner = cluster if kept >> band & 1 else document | _OWN
            row = out[d * BANDS + band]
            row[0] = _mix(key, owner, np.uint64(4000 + band))
            row[1] = _mix(key, owner, np.uint64(5000 + band))
            row[2], row[3] = document, rank


@njit(cache=True, nogil=True)
def _by_place(documents, key):  # type: ignore[no-untyped-def]
    """uint64[documents]: the document at each place in the list of all clusters."""
    found = np.empty(np.int64(documents), dtype=np.uint64)
    for d in range(len(found)):
        found[np.int64(permuted(np.uint64(d), documents, key))] = d
    return found


@njit(cache=True, nogil=True)
def _root(x, parent):  # type: ignore[no-untyped-def]
    while parent[x] != x:
        x = parent[x]
    return x


@njit(cache=True, nogil=True)
def _lowest(bits):  # type: ignore[no-untyped-def]
    band = 0
    while not bits >> band & 1:
        band += 1
    return band


@njit(cache=True, nogil=True)
def _join(members, table, key, survivor, size):  # type: ignore[no-untyped-def]
    """Join the bands of each cluster that occur in one document: its components are sets of bands."""
    parent, best, count = np.empty(BANDS, np.int64), np.empty(BANDS, np.int64), np.empty(BANDS, np.int64)
    start = np.int64(0)
    for k in range(len(table)):
        for _ in range(table[k, 1]):
            stop = start + np.int64(table[k, 0])
            for band in range(BANDS):
                parent[band], best[band], count[band] = band, -1, 0
            for i in range(start, stop):
                kept = _kept_bands(members[i], key)
                for band in range(BANDS):
                    if kept >> band & 1:
                        x, y = _root(_lowest(kept), parent), _root(band, parent)
                        parent[max(x, y)] = min(x, y)
            for i in range(start, stop):
                d = np.int64(members[i])
                survivor[d], size[d] = d, 1
                kept = _kept_bands(members[i], key)
                if kept:
                    root = _root(_lowest(kept), parent)
                    count[root] += 1
                    b, rank = best[root], _rank(members[i], key)
                    if b < 0 or rank < _rank(np.uint64(b), key) or (rank == _rank(np.uint64(b), key) and d < b):
                        best[root] = d
            for i in range(start, stop):
                kept = _kept_bands(members[i], key)
                if kept:
                    root = _root(_lowest(kept), parent)
                    survivor[np.int64(members[i])] = best[root]
                    size[np.int64(members[i])] = count[root]
            start = stop


def write_part(stage: BarrierStage[Any], unit: Any) -> Record:
    """Write the keys of one part, as the barrier's first phase does."""
    name, first, rows, documents, seed = unit
    block = np.empty(rows * BANDS, dtype=KEY)
    _fill(np.uint64(first), np.uint64(documents), _seeded(seed), cluster_table(documents), _words(block))
    block["document"] -= np.uint64(first)
    return files_record(stage.write("keys", name, block, "high"))


def _words(block: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    return block.view(np.uint64).reshape(-1, 4)


def barrier(documents: int, seed: int, workers: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Run the barrier on keys alone; gives each part of the work with its seconds. Raises when the result is wrong."""
    rows = [min(PART_DOCUMENTS, documents - first) for first in range(0, documents, PART_DOCUMENTS)]
    entries = tuple(Entry(f"p{n:05d}", "", count, count << 12, "scale") for n, count in enumerate(rows))
    step = MinHash(bands=BANDS, rows=ROWS, verify=False, keep="longest")
    directory = RunDirectory(str(folder))
    stage = BarrierStage("scale", step, entries, directory, groups_for(documents * BANDS), joins=joins_for(documents))
    job = Run(None, directory, Engine(workers), Console(stderr=True))  # type: ignore[arg-type]  no recipe is needed
    units = [
        (f"keys@{entry.unit}", [entry.unit, n * PART_DOCUMENTS, entry.rows, documents, seed])
        for n, entry in enumerate(entries)
    ]
    pairs = dedup.link_phases(stage)[1]
    size = documents << 12

    def timed(name: str, *phases: Phase) -> tuple[str, float]:
        start = time.perf_counter()
        run_phases(job.engine, directory, stage.stage, "mark", phases, size)
        return name, time.perf_counter() - start

    yield timed("write keys", Phase("keys", units, Work(write_part, stage)))
    yield timed("pairs", pairs)
    if stage.joins == 1:
        yield timed("join", dedup.join_phase(stage))
    else:
        start = time.perf_counter()
        join_by_rounds(job, stage, "mark", size)
        yield f"join, {stage.joins} parts", time.perf_counter() - start
    start = time.perf_counter()
    _check(stage, documents, seed)
    yield "check", time.perf_counter() - start


def _check(stage: BarrierStage[Any], documents: int, seed: int) -> None:
    wanted = truth(documents, seed)
    gone = wanted.document != wanted.survivor
    found = stage.read_joined("removals", REMOVAL)
    for name in REMOVAL.names or ():
        if not np.array_equal(found[name], getattr(wanted, name)[gone]):
            raise SystemExit(f"wrong: {name} of {len(found):,} removals; {int(gone.sum()):,} are right")
    print(f"{len(found):,} of {documents:,} documents removed, each as it should be")


class Memory(threading.Thread):
    """Watches this process and those it starts: the most that one held of its own, files in memory left out."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most: dict[str, int] = {}

    def run(self) -> None:
        """Look every 50 ms."""
        mine = os.getpgid(0)
        while True:
            for status in Path("/proc").glob("[0-9]*/status"):
                try:
                    if os.getpgid(int(status.parent.name)) != mine:
                        continue
                    words = dict(line.split(":", 1) for line in status.read_text().splitlines())
                    own = int(words.get("RssAnon", "0 kB").split()[0]) << 10
                except (OSError, ValueError):
                    continue
                self.most[status.parent.name] = max(self.most.get(status.parent.name, 0), own)
            time.sleep(0.05)


def main() -> None:
    """Run and print a JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=50_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True, help="about 600 bytes per document; emptied before")
    given = parser.parse_args()
    shutil.rmtree(given.folder, ignore_errors=True)
    memory = Memory()
    memory.start()
    seconds = {}
    for name, took in barrier(given.documents, given.seed, given.workers, given.folder):
        seconds[name] = round(took, 1)
        held = max(memory.most.values(), default=0) >> 20
        disk = sum(path.stat().st_size for path in given.folder.rglob("*") if path.is_file())
        print(
            f"{name:<16} {took:8.1f} s   at most {held:,} MiB in one process   {disk / 1e9:.1f} GB on disk", flush=True
        )
        memory.most.clear()
    print(json.dumps({"documents": given.documents, "workers": given.workers, "seconds": seconds}))
    shutil.rmtree(given.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
