"""One piece of deduplication by somebody else's code, alone in a process on one core: prints JSON.

Imports nothing of corpusmill. A work takes the texts, or the file of documents (`*_run`), and gives how many documents,
or what `UNITS` says, are to go. Everything is called as its documentation shows, with its defaults but for what makes
the work the same: 112 values of shingles of 5 words in 14 bands of 8, spans of 200 bytes, n-grams of 13 words of which
0.8 are known.
"""

from __future__ import annotations

import argparse
import time
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks import rivals_from_files as files
from benchmarks import rivals_in_memory as memory
from benchmarks.process import bind, peak_bytes, say, versions
from benchmarks.rivals_in_memory import Rival

WARM_UP_DOCUMENTS = 20
PACKAGES = ("datatrove", "spacy", "rensa", "datasketch", "text-dedup", "datasets", "simhash", "pydivsufsort", "dolma")

WORKS: dict[str, dict[str, Rival]] = {
    "minhash": {
        "datatrove": memory.datatrove_signatures,
        "rensa": memory.rensa_signatures,
        "datasketch": memory.datasketch_signatures,
    },
    "minhash_memory": {
        "rensa + Python": memory.rensa_and_python,
        "rensa, own index": memory.rensa_lsh,
        "datasketch LSH": memory.datasketch_lsh,
    },
    "minhash_run": {
        "datatrove": files.datatrove(files.datatrove_minhash),
        "text-dedup": files.text_dedup("minhash", **files.BANDED),
    },
    "exact_memory": {"set of sha1": memory.set_of_texts},
    "exact_run": {"datatrove": files.datatrove(files.datatrove_exact), "text-dedup": files.text_dedup("exact_hash")},
    "lines_memory": {"set of sha1 of lines": memory.set_of_lines},
    "lines_run": {
        "datatrove, spans of one line": files.datatrove(files.datatrove_lines),
        "text-dedup ccnet": files.text_dedup("ccnet"),
        "dolma, bloom of lines": files.dolma(),
    },
    "sentences_run": {"datatrove": files.datatrove(files.datatrove_spans)},
    "substring_run": {"libdivsufsort + numpy": files.suffix_array},
    "bloom_run": {"datatrove": files.datatrove(files.datatrove_bloom), "dolma": files.dolma(by_ngram=files.NGRAMS)},
    "simhash": {"simhash": memory.simhash_values},
    "simhash_run": {"simhash + index": files.simhash_index, "text-dedup": files.text_dedup("simhash")},
}

SLOW = {
    *(("minhash", "datatrove"), ("minhash_run", "datatrove"), ("minhash_run", "text-dedup")),
    *(("lines_run", "datatrove, spans of one line"), ("lines_run", "text-dedup ccnet"), ("sentences_run", "datatrove")),
    *(("bloom_run", "datatrove"), ("simhash", "simhash"), ("simhash_run", "simhash + index")),
    ("simhash_run", "text-dedup"),
}
"""Work and rival of less than 2 MB/s."""

UNITS = {
    "rensa, own index": "documents flagged",
    "libdivsufsort + numpy": "bytes",
    **dict.fromkeys(("set of sha1 of lines", "dolma", "dolma, bloom of lines"), "lines"),
}
"""What is counted, where it isn't documents that go."""


def environment_of(rival: str) -> str:
    """Which environment of `environments.py` has it."""
    return next((name for name in ("dolma", "text_dedup") if rival.replace("-", "_").startswith(name)), "rivals")


def head(file: Path, documents: int, to: Path) -> Path:
    with file.open(encoding="utf-8") as lines:
        to.write_text("".join(islice(lines, documents)), "utf-8")
    return to


def measure(file: Path, work: str, rival: str, folder: Path) -> dict[str, Any]:
    """Some documents first, which loads what is to be loaded, then all of them once."""
    begun = time.perf_counter()
    some = head(file, WARM_UP_DOCUMENTS, files.fresh(folder / "rival") / "some.jsonl")
    once = WORKS[work][rival](folder / "rival")
    from_file = work.endswith("_run")
    once(some if from_file else files.read_texts(some))
    given = file if from_file else files.read_texts(file)
    warm = time.perf_counter() - begun
    wall, cpu = time.perf_counter(), time.process_time()
    found = once(given)
    spent = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    return {"warm_up_s": warm, "rounds": [spent], "found": found}


def main() -> None:
    """One work of one rival, named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dedup_rivals")
    parser.add_argument("file", type=Path)
    parser.add_argument("work", choices=WORKS)
    parser.add_argument("rival")
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    bind()
    found = measure(given.file, given.work, given.rival, given.folder)
    say({**found, "max_rss_bytes": peak_bytes(), "versions": versions(PACKAGES)})


if __name__ == "__main__":
    main()
