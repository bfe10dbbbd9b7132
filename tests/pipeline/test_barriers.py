"""Every kind of barrier in whole runs: the same bytes for any number of workers, groups and cuts of the work."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

import corpusmill as cm
from corpusmill.errors import ConfigError
from corpusmill.pipeline import dedup
from corpusmill.pipeline.spill import write_grouped, write_spill

QUIET = Console(quiet=True)
KINDS: dict[str, dict[str, Any]] = {
    "exact": {"use": "exact", "keep": "longest", "normalize": "whitespace"},
    "same_url": {"use": "same_url"},
    "minhash": {"use": "minhash", "keep": "longest", "min_jaccard": 0.6, "bands": 20, "rows": 4},
    "unverified": {"use": "minhash", "verify": False},
    "simhash": {"use": "simhash"},
    "lines": {"use": "lines"},
    "paragraphs": {"use": "paragraphs", "keep": "none"},
    "sentences": {"use": "sentences"},
    "substring": {"use": "substring", "min_bytes": 60},
    "bloom": {"use": "bloom", "expected_ngrams": 100_000, "ngram_words": 5},
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources in four files: pages of paragraphs, some of them shared, and a document of every awkward kind."""
    folder = tmp_path_factory.mktemp("corpus")
    draw = random.Random(11)  # noqa: S311
    words = [f"word{n}" for n in range(500)] + ["Ärger", "слово", "语言", "😀"]
    sentences = [" ".join(draw.choices(words, k=draw.randint(4, 12))).capitalize() + "." for _ in range(150)]
    paragraphs = [" ".join(draw.choices(sentences, k=4)) for _ in range(60)]
    awkward = ["", " \n ", "a", "word1 word2", "aaaa" * 400, "语" * 300, "...", "\n\n\n", "e\u0301" * 90]
    for number in range(4):
        texts = []
        for _ in range(40):
            page = draw.choices(paragraphs, k=draw.randint(1, 4))
            if draw.random() < 0.5:
                page[0] = page[0].replace("word", "term", draw.randint(1, 3))
            texts.append("\n\n".join(page))
        texts += draw.choices(texts, k=6) + awkward
        lines = [json.dumps({"text": text, "url": f"http://x.org/{hash_of(text)}"}) for text in texts]
        (folder / f"{'ab'[number // 2]}{number}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def hash_of(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:4], 16) % 97


def recipe(corpus: Path, *steps: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "barriers",
        "sources": [{"name": s, "paths": [f"{corpus}/{s}*.jsonl"], "format": "jsonl"} for s in "ab"],
        "steps": list(steps),
        "tokenizer": {"train": {"vocab_size": 300}},
        "shards": {"sequence_length": 64},
    }


@pytest.fixture(scope="module")
def done(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that gives the plain run of a kind."""
    found: dict[str, Path] = {}

    def run(kind: str) -> Path:
        if kind not in found:
            found[kind] = tmp_path_factory.mktemp("done") / "out"
            cm.run(recipe(corpus, KINDS[kind]), found[kind], console=QUIET)
        return found[kind]

    return run


def digest(out: Path) -> dict[str, str]:
    paths = [path for folder in ("documents", "rejected", "removed", "shards") for path in (out / folder).rglob("*")]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)}


@pytest.mark.parametrize("kind", KINDS)
def test_groups_workers_and_blocks_change_nothing(
    kind: str, corpus: Path, done: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = texts_of(done(kind))
    monkeypatch.setattr("corpusmill.pipeline.rounds.DOCUMENTS_IN_MEMORY", 80)
    monkeypatch.setattr("corpusmill.pipeline.groups.KEYS_PER_GROUP", 150)
    monkeypatch.setattr("corpusmill.pipeline.sketchbook.VERIFY_VALUES", 2000)
    monkeypatch.setattr("corpusmill.pipeline.curate.UNIT_BYTES", 9000)
    cm.run(recipe(corpus, KINDS[kind]), tmp_path / "out", console=QUIET)
    assert texts_of(tmp_path / "out") == wanted
    assert len(list((tmp_path / "out" / "documents").glob("*"))) > 4


def texts_of(out: Path) -> list[dict[str, Any]]:
    """Documents and rejected ones, whatever files they are in."""
    rows = []
    for folder in ("documents", "rejected"):
        for path in (out / folder).glob("*"):
            rows += pq.read_table(path).to_pylist()
    return sorted(rows, key=lambda row: row["id"])


@pytest.mark.parametrize("kind", ["minhash", "substring"])
def test_two_workers_give_the_same_bytes(kind: str, corpus: Path, done: Callable[[str], Path], tmp_path: Path) -> None:
    cm.run(recipe(corpus, KINDS[kind]), tmp_path / "out", workers=2, bytes_per_worker=1, console=QUIET)
    assert digest(tmp_path / "out") == digest(done(kind))


@pytest.mark.parametrize("kind", ["minhash", "substring"])
def test_a_run_that_was_cut_off_goes_on(
    kind: str, corpus: Path, done: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever phase fails: what is done is not done again, and the bytes are the same."""
    calls: list[str] = []

    def failing(*_: Any) -> None:
        raise OSError("the disk is gone")

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def write(root: str, path: str, *more: Any) -> Any:
            calls.append(path)
            return real(root, path, *more)

        return write

    with monkeypatch.context() as patch:
        patch.setattr("corpusmill.pipeline.edited.tally_removal", failing)
        patch.setattr("corpusmill.pipeline.removed.tally_removal", failing)
        with pytest.raises((RuntimeError, OSError), match="the disk is gone"):
            cm.run(recipe(corpus, KINDS[kind]), tmp_path / "out", console=QUIET)
    lost = next((tmp_path / "out" / "work").rglob("scratch/keys-a-*"))  # its content, in a loss of power
    lost.write_bytes(bytes(lost.stat().st_size))
    for write in (write_spill, write_grouped):
        monkeypatch.setattr(f"corpusmill.pipeline.groups.{write.__name__}", counting(write))
    cm.run(recipe(corpus, KINDS[kind]), tmp_path / "out", console=QUIET)
    assert [Path(path).name for path in calls] == [lost.name]
    assert digest(tmp_path / "out") == digest(done(kind))
    assert not list((tmp_path / "out" / "work").rglob("scratch"))


def test_what_is_removed_says_why(done: Callable[[str], Path]) -> None:
    out = done("minhash")
    kept = {row["id"]: row for path in (out / "documents").glob("*") for row in pq.read_table(path).to_pylist()}
    sizes = dict.fromkeys(kept, 1)
    alike = []
    for path in (out / "removed").glob("*.arrow"):
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        if "survivor" in table.schema.names:
            for row in table.to_pylist():
                sizes[row["survivor"]] += 1
                alike.append(row["similarity"])
                assert row["cluster_size"] == kept[row["survivor"]]["minhash.cluster_size"]
    assert {identity: row["minhash.cluster_size"] for identity, row in kept.items()} == sizes
    assert max(sizes.values()) > 2
    assert alike
    assert all(0 < value <= 1 for value in alike)
    reasons = [
        reason for path in (out / "rejected").glob("*") for row in pq.read_table(path)["reasons"] for reason in row
    ]
    assert any(", 1.000 alike" in str(reason) for reason in reasons)


def test_a_later_step_may_use_the_size_of_a_cluster(corpus: Path, tmp_path: Path) -> None:
    where = {"use": "where", "keep": ["exact.cluster_size <= 2"]}
    body = cm.run(recipe(corpus, {"use": "exact"}, where), tmp_path / "out", console=QUIET)
    assert body["documents"]["dropped"]
    with pytest.raises(ConfigError, match="no step before it makes that signal"):
        cm.run(recipe(corpus, where, {"use": "exact"}), tmp_path / "other", console=QUIET)


def test_the_same_kind_twice_writes_its_signal_over(corpus: Path, tmp_path: Path) -> None:
    steps = ({"use": "exact"}, {"use": "lines"}, {"use": "exact", "normalize": "words"})
    cm.run(recipe(corpus, *steps), tmp_path / "out", console=QUIET)
    tables = [pq.read_table(path) for path in sorted((tmp_path / "out" / "documents").glob("*"))]
    assert all(table.schema.names.count("exact.cluster_size") == 1 for table in tables)


def test_all_candidates_of_a_giant_bucket_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "same"
    folder.mkdir()
    (folder / "a.jsonl").write_text(
        "".join(json.dumps({"text": f"one text for all {n % 3}"}) + "\n" for n in range(900))
    )
    seen: list[int] = []
    real = dedup.candidate_pairs

    def counted(*arguments: Any) -> Any:
        found = real(*arguments)
        seen.append(len(found))
        return found

    monkeypatch.setattr(dedup, "candidate_pairs", counted)
    body = recipe(folder, KINDS["minhash"])
    body["sources"] = body["sources"][:1]
    ledger = cm.run(body, tmp_path / "out", console=QUIET)
    assert ledger["documents"]["removed"] == {"minhash": 897}
    assert sum(seen) <= dedup.HUBS * 900
