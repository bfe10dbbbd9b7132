"""`python -m benchmarks.dedup`: deduplication by corpusmill and by others, work by work, each alone on one core.

For every work: ours in a fresh process with nothing compiled, then every rival, then ours again with the kernels that
the first process compiled, on all the text and on what the slow rivals got. Ratios are of the same documents.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any

from benchmarks.corpus import Corpus, write_corpus
from benchmarks.dedup_ours import RUNS, step_of
from benchmarks.dedup_rivals import SLOW, UNITS, WORKS, environment_of
from benchmarks.environments import python_of
from benchmarks.run import Bench, folder_of, parser, rate, told_machine, write_results
from corpusmill.steps import REGISTER

Row = dict[str, Any]
OURS = "corpusmill"
OUR_UNITS = {"lines_memory": "lines"}
KEYS_ONLY = ("minhash", "simhash")
"""Works that look for nothing."""


def clock_of(work: str) -> str:
    """Runs read and write files, so the clock on the wall; processor time where there is only to calculate."""
    return "wall_s" if work in RUNS else "cpu_s"


def row_of(bench: Bench, work: str, name: str, corpus: Corpus) -> Row | None:
    """What a process measured, and its rate; None where it failed."""
    python = sys.executable if name == OURS else python_of(environment_of(name))
    if python is None:
        return None
    what = ["benchmarks.dedup_ours", str(corpus.path), work]
    if name != OURS:
        what = ["benchmarks.dedup_rivals", str(corpus.path), work, name]
    found = bench.call([python, "-m", *what, "--folder", str(bench.folder)], cache=work)
    if found is None:
        return None
    return {"name": name, "corpus": corpus, "rate": rate(corpus, found["rounds"], clock_of(work)), **found}


def compare(bench: Bench, work: str, rivals: bool) -> list[Row]:
    """Ours on all the text and on what the slow rivals get, then every rival with its ratio to ours on the same."""
    row_of(bench, work, OURS, bench.corpus)  # all of it: a few documents do not need every kernel
    names = WORKS[work] if rivals else ()
    theirs = [row_of(bench, work, name, bench.compared if (work, name) in SLOW else bench.corpus) for name in names]
    there = [row for row in theirs if row is not None]
    corpora = dict.fromkeys([bench.corpus, *(row["corpus"] for row in there)])
    ours = {corpus: row for corpus in corpora if (row := row_of(bench, work, OURS, corpus))}
    for row in there:
        if row["corpus"] in ours:
            row["ratio"] = ours[row["corpus"]]["rate"] / row["rate"]
    return [*ours.values(), *there]


def cells(work: str, row: Row) -> list[str]:
    ours = row["name"] == OURS
    unit = OUR_UNITS.get(work, "documents") if ours else UNITS.get(row["name"], "documents")
    found = "" if work in KEYS_ONLY else f"{row['found']:,} {unit}"
    if ours and work in RUNS:
        barrier = row["corpus"].bytes / 1e6 / row["barrier_s"]
        found += f", {row['bytes_gone']:,} bytes; barrier alone {barrier:.1f} MB/s"
    speed = f"{row['rate']:.2f}" if row["rate"] < 100 else f"{row['rate']:.0f}"
    ratio = f"{row['ratio']:.1f} ×" if "ratio" in row else ""
    memory = f"{row['max_rss_bytes'] / 1e6:.0f}"
    return [work, row["name"], f"{row['corpus'].bytes / 1e6:.0f}", speed, ratio, memory, found]


def arguments() -> argparse.Namespace:
    made = parser("benchmarks.dedup", __doc__, WORKS)
    made.add_argument(
        "--rival-megabytes",
        type=float,
        default=8,
        metavar="N",
        help="slow rivals get about N only, from all over the text (default 8)",
    )
    return made.parse_args()


def known(works: Iterable[str]) -> list[str]:
    """Those whose step there is; a word on stderr about the others."""
    found = []
    for work in works:
        if step_of(work) in REGISTER:
            found.append(work)
        else:
            print(f"{work} left out: no step is called {step_of(work)}", file=sys.stderr)
    return found


def main() -> None:
    given = arguments()
    works = known(given.only or WORKS)
    with folder_of(given) as folder:
        facts = told_machine()
        corpus = compared = write_corpus(folder / "corpus.jsonl", given.megabytes, given.text)
        if given.rival_megabytes < given.megabytes:
            every = round(given.megabytes / given.rival_megabytes)
            compared = write_corpus(folder / "compared.jsonl", given.rival_megabytes, corpus.path, every)
        print(f"{corpus}; slow rivals: {compared}", flush=True)
        bench = Bench(folder, corpus, compared, None)
        bench.ours(corpus, "prepare")
        print("\n| work | who | MB of text | MB/s | ours is | memory MB | found |\n|---|---|--:|--:|--:|--:|---|")
        rows: dict[str, list[Row]] = {}
        for work in works:
            rows[work] = compare(bench, work, not given.no_rivals)
            for row in rows[work]:
                print("| " + " | ".join(cells(work, row)) + " |", flush=True)
        body = {"machine": facts, "corpus": str(corpus), "works": rows}
        write_results(given.out, body)


if __name__ == "__main__":
    main()
