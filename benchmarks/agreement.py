"""`make agree`: every dialect against the implementation it is named after, on real documents.

Each reference runs in an environment of its own (`environments.py`, `references.py`) over the same documents, and what
it said is kept on disk, for it is slow. A dialect agrees on a document when both keep it or both drop it; where the
rule set edits, the texts of documents that both keep are compared too. Exit 1 below 99.5 % of either.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import regex
import xxhash

import corpusmill.filters  # noqa: F401  it registers the steps
from benchmarks.corpus import MIN_BYTES, texts_of, texts_of_this_machine
from benchmarks.environments import ROOT, python_of
from benchmarks.references import BAD_WORDS, PUNKT, digest
from corpusmill.filters.measure import measure

LEAST = 0.995
"""Share of the documents on which a dialect and its reference must agree."""

WHOLE = 20
"""One long document in so many is not cut."""

SPREAD = 4
BATCH_DOCUMENTS = 1000
REFERENCES = Path(__file__).with_name("references.py")


@dataclass(frozen=True)
class Pair:
    """A dialect and what it reproduces: `family` and `rules` name the reference as references.py does.

    An option that is one of the files of references.py becomes its path.
    """

    family: str
    rules: str
    use: str
    dialect: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        options = "".join(f", {name} = {str(value).lower()}" for name, value in self.options.items())
        return f"{self.use} {self.dialect}{options}"


PAIRS = (
    Pair("c4", "clean_page", "c4", "code"),
    Pair("c4", "clean_page", "c4", "code", {"sentence_model": PUNKT}),
    Pair("c4", "bad words", "bad_words", "code", {"path": BAD_WORDS}),
    Pair("datatrove", "c4", "c4", "datatrove"),
    Pair("datatrove", "c4 of FineWeb", "c4", "datatrove", {"terminal_mark": False}),
    Pair("datatrove", "gopher_quality", "gopher_quality", "datatrove"),
    Pair("datatrove", "gopher_repetition", "gopher_repetition", "datatrove"),
    Pair("datatrove", "fineweb", "fineweb", "datatrove"),
    Pair("datatrove's bad words", "bad words", "bad_words", "datatrove", {"path": BAD_WORDS}),
    Pair("dolma", "c4_v2", "c4", "dolma"),
    Pair("dolma", "bad words", "bad_words", "dolma", {"path": BAD_WORDS}),
    Pair("dolma", "gopher_v1 quality", "gopher_quality", "dolma"),
    Pair("dolma", "gopher_v2 quality", "gopher_quality", "dolma_v2"),
    Pair("dolma", "gopher_v1 repetition", "gopher_repetition", "dolma"),
    Pair("dolma", "gopher_v2 repetition", "gopher_repetition", "dolma_v2"),
)

ENVIRONMENT = {"datatrove": "rivals", "datatrove's bad words": "rivals", "dolma": "dolma", "c4": "c4"}


@dataclass
class Outcome:
    """How a pair compares on all documents.

    kept        by the reference, by ours
    kinds       what tells a disagreement from another → numbers of the documents
    errors      documents on which the reference raised an error: it has no decision to agree with
    edited      documents that both keep, where the rule set edits
    """

    pair: Pair
    versions: str
    documents: int = 0
    kept: list[int] = field(default_factory=lambda: [0, 0])
    kinds: dict[str, list[int]] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    edited: int = 0
    text_differs: list[int] = field(default_factory=list)

    @property
    def disagreements(self) -> int:
        return sum(map(len, self.kinds.values()))

    @property
    def agreement(self) -> float:
        return 1 - self.disagreements / max(self.documents, 1)

    @property
    def same_text(self) -> float | None:
        return 1 - len(self.text_differs) / self.edited if self.edited else None

    @property
    def good(self) -> bool:
        return self.documents > 0 and self.agreement >= LEAST and (self.same_text is None or self.same_text >= LEAST)

    def cells(self) -> list[str]:
        texts = "" if self.same_text is None else f"{self.same_text:.2%}"
        named = f"{self.versions} {self.pair.rules}"
        kept = [f"{count:,}" for count in self.kept]
        return [str(self.pair), named, f"{self.documents:,}", *kept, f"{self.agreement:.2%}", texts]


def write_documents(path: Path, documents: int, text_file: Path | None, max_bytes: int) -> list[str]:
    """`documents` texts of `text_file`, or of this machine, and on disk for the references.

    Long ones are cut at blank lines into pieces of about `max_bytes`, but for some that stay whole. Where there are
    more than enough, they are spread over the first `SPREAD` times as many.
    """
    whole = texts_of(text_file) if text_file else texts_of_this_machine()
    pieces = list(islice((piece for text in whole for piece in cut(text, max_bytes)), SPREAD * documents))
    if len(pieces) < documents:
        print(f"{len(pieces):,} documents only, wanted {documents:,}: --text names more", file=sys.stderr)
    chosen = [pieces[n * len(pieces) // documents] for n in range(min(documents, len(pieces)))]
    with path.open("w", encoding="utf-8") as sink:
        sink.writelines(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(chosen))
    return chosen


def cut(text: str, max_bytes: int) -> Iterator[str]:
    """Pieces between blank lines, `max_bytes` or a paragraph more; scraps shorter than MIN_BYTES are left out."""
    if len(text) <= max_bytes or xxhash.xxh3_64_intdigest(text.encode()) % WHOLE == 0:
        yield text
        return
    piece = ""
    for paragraph in regex.splititer(r"(?<=\n)(?=\n)", text):
        piece += paragraph
        if len(piece) >= max_bytes:
            yield piece
            piece = ""
    if len(piece) >= MIN_BYTES:
        yield piece


def interpreters() -> dict[str, str]:
    """The Python of each environment. Raises SystemExit where one can't be made."""
    found = {name: python_of(name) for name in sorted(set(ENVIRONMENT.values()))}
    pythons = {name: python for name, python in found.items() if python is not None}
    if len(pythons) < len(found):
        raise SystemExit(1)
    return pythons


def carried(pythons: Mapping[str, str]) -> dict[str, str]:
    """Name → path of the files that the references' packages carry."""
    found: dict[str, str] = {}
    for python in pythons.values():
        said = subprocess.run([python, str(REFERENCES)], stdout=subprocess.PIPE, check=True).stdout
        found |= json.loads(said)
    return found


def ask(family: str, documents: Path, folder: Path, python: str, files: Mapping[str, str]) -> Path:
    """The file with the answers of a family of references, made unless it is there.

    Its name has the digest of the documents and of the code that asks. Raises SystemExit where the reference fails.
    """
    mark = hashlib.sha256(documents.read_bytes() + REFERENCES.read_bytes()).hexdigest()[:16]
    path = folder / (regex.sub(r"\W+", "-", family) + f"-{mark}.jsonl")
    if not path.exists():
        print(f"asking {family}", flush=True)
        log = path.with_suffix(".log")
        command = [python, str(REFERENCES), str(documents), family, str(path)]
        with log.open("wb") as sink:
            environment = {**os.environ, **files}
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=sink, stderr=sink, check=False)
        if done.returncode:
            raise SystemExit(f"{family} failed ({done.returncode}), see {log}")
    return path


def ours(texts: list[str], pair: Pair, files: Mapping[str, str]) -> pa.Table:
    """Signals, `keep`, `reasons` and `text` of every document."""
    options = {name: files[value] if isinstance(value, str) else value for name, value in pair.options.items()}
    parts = [
        measure(texts[start : start + BATCH_DOCUMENTS], pair.use, dialect=pair.dialect, **options)
        for start in range(0, len(texts), BATCH_DOCUMENTS)
    ]
    return pa.concat_tables(parts)


def compare(pair: Pair, versions: str, answers: list[dict[str, Any]], table: pa.Table) -> Outcome:
    """Document by document."""
    outcome = Outcome(pair, versions)
    rows = zip(answers, table["keep"].to_pylist(), table["reasons"].to_pylist(), table["text"].to_pylist(), strict=True)
    for n, (answer, keep, reasons, text) in enumerate(rows):
        if "error" in answer:
            outcome.errors[answer["error"]] += 1
            continue
        kept = not answer["reasons"]
        outcome.documents += 1
        outcome.kept[0] += kept
        outcome.kept[1] += keep
        if kept != keep:
            names = sorted({reason.partition(" = ")[0].partition(": ")[0] for reason in answer["reasons"] or reasons})
            kind = f"only {'ours' if kept else 'the reference'} drops: {' + '.join(names)}"
            outcome.kinds.setdefault(kind, []).append(n)
        elif kept and "text" in answer:
            outcome.edited += 1
            if answer["text"] != digest(text):
                outcome.text_differs.append(n)
    return outcome


def explain(outcome: Outcome, answers: list[dict[str, Any]], table: pa.Table, texts: list[str], most: int) -> None:
    """Disagreements, one of each kind in turn, with what both found."""
    kinds = [*sorted(outcome.kinds.values(), key=len, reverse=True), outcome.text_differs]
    turns = [n for turn in zip_longest(*kinds) for n in turn if n is not None]
    for n in turns[:most]:
        row = table.slice(n, 1).to_pylist()[0]
        keep, reasons, after = (row.pop(name) for name in ("keep", "reasons", "text"))
        print(f"\n{outcome.pair}, document {n} of {len(texts[n].encode()):,} bytes: {texts[n][:80]!r}")
        print(f"  the reference: {answers[n]}")
        print(f"  ours: {'kept' if keep else 'dropped'} {reasons}, text {digest(after)}")
        print("  " + ", ".join(f"{name.partition('.')[2]} {_short(value)}" for name, value in row.items()))


def _short(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def show(outcomes: list[Outcome]) -> None:
    """A table in Markdown, then the kinds of difference."""
    print("\n| ours | reference | documents | it keeps | ours keeps | same decision | same text |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for outcome in outcomes:
        print("| " + " | ".join(outcome.cells()) + " |")
    for outcome in outcomes:
        if outcome.kinds or outcome.text_differs or outcome.errors:
            print(f"\n{outcome.pair} and {outcome.versions} {outcome.pair.rules}:")
        for kind, numbers in sorted(outcome.kinds.items(), key=lambda item: -len(item[1])):
            print(f"- {len(numbers)}: {kind} (documents {', '.join(map(str, numbers[:5]))})")
        if outcome.text_differs:
            some = ", ".join(map(str, outcome.text_differs[:5]))
            print(f"- {len(outcome.text_differs)}: both keep, but the texts differ (documents {some})")
        for error, count in outcome.errors.items():
            print(f"- {count}: the reference raised {error}; not counted")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__.partition("\n")[0])
    parser.add_argument("--text", type=Path, metavar="FILE", help="JSONL with `text` (default: text of this machine)")
    parser.add_argument("--documents", type=int, default=20_000, metavar="N", help="how many (default 20000)")
    parser.add_argument("--max-bytes", type=int, default=8192, metavar="N", help="cut longer ones (default 8192)")
    parser.add_argument("--only", default="", metavar="WORD", help="pairs whose line in the table has this word")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="explain N disagreements of each pair")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="references run together (default 1)")
    parser.add_argument("--folder", type=Path, default=ROOT / ".venv-references", help="documents and answers")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the outcomes as JSON")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    given.folder.mkdir(parents=True, exist_ok=True)
    documents = given.folder / "documents.jsonl"
    texts = write_documents(documents, given.documents, given.text, given.max_bytes)
    size = sum(len(text.encode()) for text in texts)
    print(f"{len(texts):,} documents, {size / 1e6:.1f} MB")
    pairs = [pair for pair in PAIRS if given.only in f"{pair} {pair.family} {pair.rules}"]
    pythons = interpreters()
    files = carried(pythons)

    def asked(family: str) -> Path:
        return ask(family, documents, given.folder, pythons[ENVIRONMENT[family]], files)

    families = sorted({pair.family for pair in pairs})
    with ThreadPoolExecutor(given.at_once) as pool:
        paths = dict(zip(families, pool.map(asked, families), strict=True))
    outcomes = []
    for pair in pairs:
        with paths[pair.family].open(encoding="utf-8") as source:
            versions = ", ".join(f"{name} {number}" for name, number in json.loads(next(source)).items())
            answers = [json.loads(line)[pair.rules] for line in source]
        table = ours(texts, pair, files)
        outcome = compare(pair, versions, answers, table)
        outcomes.append(outcome)
        print(" | ".join(outcome.cells()), flush=True)
        explain(outcome, answers, table, texts, given.show)
    show(outcomes)
    if given.out:
        body = [
            {
                "dialect": str(outcome.pair),
                "reference": f"{outcome.versions} {outcome.pair.rules}",
                "documents": outcome.documents,
                "kept": outcome.kept,
                "agreement": outcome.agreement,
                "same_text": outcome.same_text,
                "kinds": outcome.kinds,
                "text_differs": outcome.text_differs,
                "errors": outcome.errors,
            }
            for outcome in outcomes
        ]
        given.out.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", "utf-8")
    raise SystemExit(not outcomes or not all(outcome.good for outcome in outcomes))


if __name__ == "__main__":
    main()
