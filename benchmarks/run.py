"""`python -m benchmarks.run`: corpusmill and datatrove on the same documents, work by work, each alone on one core.

For every work: ours in a fresh process with nothing compiled, then datatrove, then ours again with the kernels that
the first process compiled. So both see the same machine, and a noisy minute shows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.corpus import Corpus, write_corpus
from benchmarks.environments import ROOT, python_of
from benchmarks.ours import PATHS, WORKS
from corpusmill.filters.models.fasttext_model import language_model_path

RIVAL_WORKS = {
    *("language", "gopher_repetition", "gopher_quality", "c4", "fineweb", "pii"),
    *("filters", "filters_measure_all", "minhash", "bpe", *PATHS),
}
TARGETS = {
    "language": "≥ 80",
    "gopher_repetition": "≥ 60",
    "gopher_quality": "≥ 150",
    "c4": "≥ 100",
    "fineweb": "≥ 150",
    "pii": "≥ 100",
    "minhash": "≥ 150",
    "bpe": "≥ 70",
    "path": "≥ 15, ≥ 100 ×",
}
"""MB/s on one core."""

SCALING = "path, 2 workers"
"""One run of the corpus taken as many times as makes enough work, every copy a source of its own."""

PATH_RUNS = 3
PACKAGES = ("corpusmill", "apache-beam", "gigatoken", "numba", "numpy", "pyarrow", "tokenizers")
ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"), "1"),
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
}


@dataclass
class Line:
    """One line of the table, in MB of text per second."""

    work: str
    ours: float
    rival: float | None = None
    ratio: float | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def cells(self) -> list[str]:
        rival = "" if self.rival is None else f"{self.rival:.2f}"
        ratio = "" if self.ratio is None else f"{self.ratio:.0f} ×"
        return [self.work, f"{self.ours:.1f}" if self.ours < 1000 else f"{self.ours:.0f}", rival, ratio]


class Bench:
    """The files, the folder and the interpreters of one benchmark."""

    def __init__(self, folder: Path, corpus: Corpus, compared: Corpus, rival: str | None) -> None:
        """`compared` are the documents that datatrove gets: all of `corpus` or some."""
        self.folder, self.corpus, self.compared, self.rival = folder, corpus, compared, rival
        self.log = (folder / "log.txt").open("ab")

    def call(self, command: list[str], cache: str = "", **more: str) -> dict[str, Any] | None:
        """The JSON that a process prints last; None, with a word on stderr, where it fails."""
        environment = {**os.environ, **ONE_THREAD, "NUMBA_CACHE_DIR": str(self.folder / "numba" / cache), **more}
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=self.log, check=False)
        if done.returncode:
            print(f"failed ({done.returncode}), see {self.log.name}: {' '.join(command)}", file=sys.stderr)
            return None
        found = done.stdout.decode().strip().rpartition("\n")[2]
        return json.loads(found) if found else {}

    def ours(self, corpus: Corpus, work: str, workers: int = 1, cache: str | None = None) -> dict[str, Any]:
        """Raises SystemExit where it fails: there is nothing to compare then."""
        command = [sys.executable, "-m", "benchmarks.ours", str(corpus.path), work, "--folder", str(self.folder)]
        found = self.call([*command, "--workers", str(workers)], cache=cache or work)
        if found is None:
            raise SystemExit(1)
        return found

    def theirs(self, work: str) -> dict[str, Any] | None:
        if self.rival is None or work not in RIVAL_WORKS:
            return None
        command = [self.rival, "benchmarks/rivals.py", str(self.compared.path), work, "--folder", str(self.folder)]
        return self.call([*command, "--tokenizer", str(self.folder / "tokenizer.json"), "--lid", language_model_path()])

    def line(self, work: str) -> Line:
        """Ours, datatrove, ours."""
        cold = self.ours(self.corpus, work)
        theirs = self.theirs(work)
        warm = [self.ours(self.corpus, work) for _ in range(PATH_RUNS if work in PATHS else 1)]
        # A path reads and writes files, and its first run compiles. The other works only calculate: their processor
        # time is the time they would take undisturbed, and a stranger on the same core does not count.
        clock = "wall_s" if work in PATHS else "cpu_s"
        rounds = [r for found in ([] if work in PATHS else [cold]) + warm for r in found["rounds"]]
        line = Line(work, rate(self.corpus, rounds, clock))
        line.details = {
            "best": best(self.corpus, rounds, clock),
            "clock": clock,
            "rounds": rounds,
            "note": warm[-1].get("note", ""),
        }
        line.details["max_rss_bytes"] = max(found["max_rss_bytes"] for found in warm)
        for name, found in (("compile_s", cold), ("load_s", warm[-1])):
            line.details[name] = found.get("warm_up_s", found["rounds"][0]["wall_s"])
        if theirs is not None:
            line.rival = rate(self.compared, theirs["rounds"], clock)
            again = rounds if self.compared == self.corpus else self.ours(self.compared, work)["rounds"]
            same = rate(self.compared, again, clock)
            line.ratio = same / line.rival
            line.details |= {"datatrove": theirs, "ours_on_the_documents_of_datatrove": same}
        return line

    def scaling(self, megabytes: float) -> Line:
        """The whole path with one worker on one core, and with two on all."""
        copies = max(2, round(megabytes * 1e6 / self.corpus.bytes))
        parts = self.folder / "copies"
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir()
        for n in range(copies):
            (parts / f"copy{n:02d}.jsonl").symlink_to(self.corpus.path)
        whole = Corpus(parts, copies * self.corpus.documents, copies * self.corpus.bytes)
        self.ours(self.corpus, "path", cache="path")
        one, two = (self.ours(whole, "path", workers, "path") for workers in (1, 2))
        line = Line(SCALING, rate(whole, two["rounds"]))
        single = rate(whole, one["rounds"])
        line.details = {"one": one, "two": two, "documents": whole.documents, "bytes": whole.bytes}
        line.details["note"] = f"{line.ours / single:.2f} times one worker, which has {single:.1f} MB/s, on {whole}"
        return line


def rate(corpus: Corpus, rounds: list[dict[str, float]], clock: str = "wall_s") -> float:
    """MB of text per second, the median of the rounds."""
    return corpus.bytes / 1e6 / statistics.median(r[clock] for r in rounds)


def best(corpus: Corpus, rounds: list[dict[str, float]], clock: str) -> float:
    """The same of the fastest round."""
    return corpus.bytes / 1e6 / min(r[clock] for r in rounds)


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    cpuinfo = Path("/proc/cpuinfo")
    models = [line for line in cpuinfo.read_text().splitlines() if "model name" in line] if cpuinfo.exists() else []
    return {
        "cpu": models[0].partition(": ")[2] if models else platform.processor(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def show(lines: list[Line]) -> None:
    """A table in Markdown, then what else is to say of each work."""
    print("\n| work | ours MB/s | datatrove MB/s | ratio | target |\n|---|--:|--:|--:|--:|")
    for line in lines:
        print("| " + " | ".join([*line.cells(), TARGETS.get(line.work, "")]) + " |")
    print()
    for line in lines:
        said = line.details
        told = [f"best {said['best']:.1f} MB/s, {said['max_rss_bytes'] / 1e6:.0f} MB"] if "best" in said else []
        if "compile_s" in said:
            verb = ("first run", "later runs") if line.work in PATHS else ("compiling", "loading")
            told.append(f"{verb[0]} {said['compile_s']:.1f} s, {verb[1]} {said['load_s']:.1f} s")
        print(f"{line.work}: {'; '.join([*told, *([said['note']] if said.get('note') else [])])}")


def parser(prog: str, description: str, works: Iterable[str]) -> argparse.ArgumentParser:
    """What all benchmarks that compare take."""
    made = argparse.ArgumentParser(prog=f"python -m {prog}", description=description.partition("\n")[0])
    made.add_argument("--text", type=Path, metavar="FILE", help="JSONL with `text` (default: text of this machine)")
    made.add_argument("--megabytes", type=float, default=64, metavar="N", help="how much of it (default 64)")
    made.add_argument("--only", nargs="+", choices=list(works), metavar="NAME", help="these works")
    made.add_argument("--no-rivals", action="store_true", help="ours alone")
    made.add_argument("--folder", type=Path, help="keep corpora, models and the log here (default: a temporary one)")
    made.add_argument("--out", type=Path, default=Path("results.json"), help="default results.json")
    return made


@contextmanager
def folder_of(given: argparse.Namespace) -> Iterator[Path]:
    """The folder to work in, with no kernel compiled."""
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = (given.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / "numba", ignore_errors=True)
        yield folder


def told_machine() -> dict[str, Any]:
    """What `machine` says, printed."""
    facts = machine()
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    return facts


def write_results(path: Path, body: dict[str, Any]) -> None:
    """All that was measured, as JSON."""
    path.write_text(json.dumps(body, indent=1, ensure_ascii=False, default=str) + "\n", "utf-8")


def arguments() -> argparse.Namespace:
    made = parser("benchmarks.run", __doc__, [*WORKS, *PATHS, "scaling"])
    made.add_argument(
        "--rival-megabytes", type=float, metavar="N", help="datatrove gets about N only, from all over the text"
    )
    made.add_argument(
        "--scaling-megabytes", type=float, default=1024, metavar="N", help="text for two workers (default 1024)"
    )
    return made.parse_args()


def main() -> None:
    given = arguments()
    with folder_of(given) as folder:
        facts = told_machine()
        corpus = write_corpus(folder / "corpus.jsonl", given.megabytes, given.text)
        compared = corpus
        if given.rival_megabytes and given.rival_megabytes < given.megabytes:
            every = round(given.megabytes / given.rival_megabytes)
            compared = write_corpus(folder / "compared.jsonl", given.rival_megabytes, corpus.path, every)
        rival = None if given.no_rivals else python_of("rivals")
        print(corpus, flush=True)
        bench = Bench(folder, corpus, compared, rival)
        bench.ours(corpus, "prepare")
        lines: list[Line] = []
        for work in given.only or [*WORKS, *PATHS, "scaling"]:
            if work == "scaling":
                lines.append(bench.scaling(given.scaling_megabytes))
            else:
                lines.append(bench.line(work))
            print(" | ".join(lines[-1].cells()), flush=True)
        show(lines)
        sizes = {
            name: {"documents": c.documents, "bytes": c.bytes}
            for name, c in (("ours", corpus), ("datatrove", compared))
        }
        body = {"machine": facts, "corpus": sizes, "works": [vars(line) for line in lines]}
        write_results(given.out, body)


if __name__ == "__main__":
    main()
