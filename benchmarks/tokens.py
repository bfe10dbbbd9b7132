"""`python -m benchmarks.tokens`: tokens, packing, shards and loaders of corpusmill and of others, on one core.

For every work: ours in a fresh process with nothing compiled, then every rival, then ours again with the kernels that
the first process compiled. Rivals get the same texts, lengths, rows or files, and are compared in the same run.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass
from typing import Any

from benchmarks import token_ours, token_rivals
from benchmarks.corpus import write_corpus
from benchmarks.environments import python_of
from benchmarks.run import Bench, folder_of, parser, told_machine, write_results

Row = dict[str, Any]


@dataclass(frozen=True)
class Unit:
    """What a work's figure is: `scale` seconds for one of it, or, if it is a `rate`, so many in a second.

    clock   what counts: the clock on the wall, or processor time where there is only to calculate
    target  of corpusmill
    """

    name: str
    target: str = ""
    rate: bool = False
    scale: float = 1.0
    clock: str = "cpu_s"

    def value(self, found: Row, clock: str) -> float:
        """The median of the rounds."""
        seconds = max(1e-9, statistics.median(each[clock] for each in found["rounds"]))
        return float(found["amount"] / seconds if self.rate else self.scale * seconds / found["amount"])

    def ratio(self, ours: float, theirs: float) -> float:
        """How many times better ours is."""
        return ours / theirs if self.rate else theirs / ours


UNITS = {
    "encode": Unit("MB/s of text", "≥ 70", rate=True),
    **{work: Unit("s", "< 1") for work in token_ours.WORKS if work.startswith("plan ")},
    "plan_million": Unit("ms", scale=1e3),
    "pack_write": Unit("MB/s of tokens", "≥ 200", rate=True, clock="wall_s"),
    "open": Unit("ms for 10,000 files", "≤ 50", scale=1e3, clock="wall_s"),
    "row": Unit("µs", "≤ 2", scale=1e6),
    "loader": Unit("MB/s of tokens", "≥ 1000", rate=True, clock="wall_s"),
    "verify": Unit("GB/s", "≥ 2", rate=True),
}


def ours(bench: Bench, work: str, who: str = "", *more: str) -> Row | None:
    command = [sys.executable, "-m", "benchmarks.token_ours", str(bench.folder), work, *([who] if who else []), *more]
    return bench.call(command, cache=f"{work} {who}".replace(" ", "_").replace(",", ""))


def theirs(bench: Bench, work: str, who: str) -> Row | None:
    environment = token_rivals.environment_of(work)
    python = sys.executable if environment is None else python_of(environment)
    if python is None:
        return None
    return bench.call([python, "-m", "benchmarks.token_rivals", str(bench.folder), work, who])


def compare(bench: Bench, work: str, rivals: bool) -> list[Row]:
    """Ours, the rivals, ours. Rivals are compared with the first of ours."""
    unit = UNITS[work]
    cold = {who: ours(bench, work, who) for who in token_ours.WORKS[work]}
    found = {who: theirs(bench, work, who) for who in (token_rivals.WORKS.get(work, {}) if rivals else ())}
    warm: dict[str, Row | None] = {}
    for who, first in cold.items():
        again = ours(bench, work, who)
        if first is None or again is None:
            raise SystemExit(1)
        warm[who] = {**again, "rounds": [*first["rounds"], *again["rounds"]], "compile_s": first["warm_up_s"]}
    rows = [{"who": who, **row} for who, row in {**warm, **found}.items() if row is not None]
    for row in rows:
        row["wall"], row["cpu"] = unit.value(row, "wall_s"), unit.value(row, "cpu_s")
        row["value"] = row["wall" if unit.clock == "wall_s" else "cpu"]
        if row["who"] in found:
            row["ratio"] = unit.ratio(rows[0]["value"], row["value"])
            if "digest" in row:
                same = row["digest"] == rows[0]["digest"]
                row["found"] += ", the same ids" if same else ", OTHER IDS THAN OURS"
    return rows


def number(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def cells(work: str, row: Row) -> list[str]:
    unit, is_ours = UNITS[work], "compile_s" in row
    ratio = f"{number(row['ratio'])} ×" if "ratio" in row else ""
    memory = f"{row['max_rss_bytes'] / 1e6:.0f}"
    said = [row["found"]] if "found" in row else []
    if is_ours:
        said.append(f"first run {row['compile_s']:.1f} s, later {row['warm_up_s']:.1f} s")
    values = [f"{number(row['value'])} {unit.name}", number(row["wall"]), number(row["cpu"])]
    return [work, row["who"], *values, unit.target if is_ours else "", ratio, memory, "; ".join(said)]


def main() -> None:
    given = parser("benchmarks.tokens", __doc__, UNITS).parse_args()
    works = given.only or list(UNITS)
    with folder_of(given) as folder:
        facts = told_machine()
        corpus = write_corpus(folder / "corpus.jsonl", given.megabytes, given.text)
        print(f"{corpus}; packed {token_ours.COPIES} times over", flush=True)
        bench = Bench(folder, corpus, corpus, None)
        if ours(bench, "prepare", "", "--file", str(corpus.path)) is None:
            raise SystemExit(1)
        if "open" in works and ours(bench, "prepare_many") is None:
            raise SystemExit(1)
        print("\n| work | who | figure | by the clock | by processor time | target | ours is | memory MB | found |")
        print("|---|---|--:|--:|--:|--:|--:|--:|---|")
        rows: dict[str, list[Row]] = {}
        for work in works:
            rows[work] = compare(bench, work, not given.no_rivals)
            for row in rows[work]:
                print("| " + " | ".join(cells(work, row)) + " |", flush=True)
        body = {"machine": facts, "corpus": str(corpus), "works": rows}
        write_results(given.out, body)


if __name__ == "__main__":
    main()
