"""Indexes: a crawl against the earlier ones is decided as in one run over all; merged, and with documents deleted."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

import corpusmill as cm
from corpusmill.document import document_id
from corpusmill.errors import ConfigError, IntegrityError
from corpusmill.jobs.main import main
from corpusmill.pipeline.index import load

QUIET = Console(quiet=True)
STEPS: list[dict[str, Any]] = [
    {"use": "exact"},
    {"use": "exact", "keep": "longest", "normalize": "words"},
    {"use": "same_url", "keep": "first"},
    {"use": "minhash"},
    {"use": "minhash", "keep": "longest"},
    {"use": "minhash", "verify": False},
    {"use": "simhash"},
    {"use": "lines"},
    {"use": "sentences"},
]
"""Two steps of one kind are told apart by their options."""


def name_of(step: dict[str, Any]) -> str:
    return "-".join(map(str, step.values()))


@pytest.fixture(scope="module")
def crawls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three crawls of 60 documents each, with copies and near-copies within and between them."""
    folder = tmp_path_factory.mktemp("crawls")
    draw = random.Random(5)  # noqa: S311
    words = [f"word{n}" for n in range(300)]
    pages = [[" ".join(draw.choices(words, k=12)) + "." for _ in range(6)] for _ in range(40)]
    for crawl in "abc":
        with (folder / f"{crawl}.jsonl").open("w") as file:
            for n in range(60):
                lines = list(draw.choice(pages))
                for _ in range(draw.choice((0, 0, 1, 3))):
                    line = draw.randrange(len(lines))
                    lines[line] = lines[line].replace(" ", f" new{draw.randrange(9)} ", 1)
                body = {"text": "\n".join(lines), "url": f"http://x.org/{draw.randrange(40)}", "n": n}
                file.write(json.dumps(body) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(crawls: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that runs a step over some crawls, once for the same arguments."""
    done: dict[str, Path] = {}

    def do(names: str, step: dict[str, Any], *, leave_out: tuple[int, ...] = ()) -> Path:
        key = json.dumps([names, step, leave_out])
        if key not in done:
            done[key] = tmp_path_factory.mktemp("run") / "out"
            paths = {name: crawls / f"{name}.jsonl" for name in names}
            if leave_out:
                (done[key].parent / "b").mkdir()
                lines = paths["b"].read_text().splitlines(keepends=True)
                paths["b"] = done[key].parent / "b" / "b.jsonl"
                paths["b"].write_text("".join(line for n, line in enumerate(lines) if n not in leave_out))
            body = {
                "name": "crawls",
                "sources": [{"name": n, "paths": [str(path)], "format": "jsonl"} for n, path in paths.items()],
                "steps": [step],
                "tokenizer": {"train": {"vocab_size": 300}},
                "shards": {"sequence_length": 64},
            }
            cm.run(body, done[key], console=QUIET)
        return done[key]

    return do


def rows_of(out: Path, source: str) -> list[dict[str, Any]]:
    rows = [row for path in sorted((out / "documents").glob("*")) for row in pq.read_table(path).to_pylist()]
    return [row for row in rows if row["source"] == source]


def rejected_of(out: Path, source: str) -> list[dict[str, Any]]:
    rows = [row for path in sorted((out / "rejected").glob("*")) for row in pq.read_table(path).to_pylist()]
    return sorted((row for row in rows if row["source"] == source), key=lambda row: row["id"])


@pytest.fixture(scope="module")
def indexed(run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], Path]:
    """A function that gives the index of crawls a and b."""
    root = tmp_path_factory.mktemp("indexes")

    def make(step: dict[str, Any]) -> Path:
        path = root / name_of(step)
        run("ab", {**step, "save": str(path)})
        return path

    return make


@pytest.mark.parametrize("step", STEPS, ids=name_of)
def test_a_later_crawl_is_decided_as_in_one_run(
    step: dict[str, Any], run: Callable[..., Path], indexed: Callable[[dict[str, Any]], Path]
) -> None:
    one = run("abc", step)
    later = run("c", {**step, "against": str(indexed(step))})
    assert rows_of(later, "c") == rows_of(one, "c")
    assert rejected_of(later, "c") == rejected_of(one, "c")
    alone = run("c", step)
    assert rows_of(alone, "c") != rows_of(one, "c")  # else the index would not matter here


def test_crawl_by_crawl_is_one_run(
    run: Callable[..., Path], indexed: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    step = {"use": "minhash"}
    first, second = tmp_path / "i1", tmp_path / "i2"
    run("a", {**step, "save": str(first)})
    run("b", {**step, "against": str(first), "save": str(second)})
    whole = load(str(indexed(step)))
    grown = load(str(second))
    assert grown.documents == whole.documents == 120
    assert [entry["sha256"] for entry in grown.body["files"]] == [entry["sha256"] for entry in whole.body["files"]]


def test_what_this_run_would_have_decided_otherwise_is_listed(
    run: Callable[..., Path], indexed: Callable[[dict[str, Any]], Path]
) -> None:
    step = {"use": "minhash", "keep": "longest"}
    later = run("c", {**step, "against": str(indexed(step))})
    (path,) = (later / "removed").glob("*superseded*")
    rows = pa.ipc.open_file(pa.memory_map(str(path))).read_all().to_pylist()
    one, before = run("abc", step), run("ab", step)
    gone_now = {row["id"] for source in "ab" for row in rejected_of(one, source)}
    gone_then = {row["id"] for source in "ab" for row in rejected_of(before, source)}
    assert {row["id"] for row in rows if row["fate"] == "removed"} == gone_now - gone_then
    assert {row["id"] for row in rows if row["fate"] == "kept"} == gone_then - gone_now
    assert all((row["survivor"] is not None) == (row["fate"] == "removed") for row in rows)
    assert gone_now - gone_then


@pytest.mark.parametrize("step", [{"use": "minhash"}, {"use": "lines"}], ids=name_of)
def test_merged_indexes_are_the_index_of_both(
    step: dict[str, Any], run: Callable[..., Path], indexed: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    for crawl in "ab":
        run(crawl, {**step, "save": str(tmp_path / crawl)})
    assert main(["index", "merge", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "ab")]) == 0
    later = run("c", {**step, "against": str(tmp_path / "ab")})
    assert rows_of(later, "c") == rows_of(run("c", {**step, "against": str(indexed(step))}), "c")


@pytest.mark.parametrize("step", [{"use": "minhash"}, {"use": "exact"}, {"use": "lines"}], ids=name_of)
def test_a_deleted_document_is_as_if_it_had_never_been(
    step: dict[str, Any],
    crawls: Path,
    run: Callable[..., Path],
    indexed: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
) -> None:
    numbers = tuple(range(0, 60, 2))
    places = list(accumulate(map(len, (crawls / "b.jsonl").read_bytes().splitlines(keepends=True)), initial=0))
    ids = [document_id("b", f"b.jsonl#{places[n]}") for n in numbers]
    (tmp_path / "ids").write_text("\n".join(identity.hex() for identity in ids))
    index = str(indexed(step))
    assert main(["index", "delete", index, "--ids", str(tmp_path / "ids"), "--out", str(tmp_path / "less")]) == 0
    less = load(str(tmp_path / "less"))
    assert less.documents == load(index).documents - len(numbers)
    for path in (tmp_path / "less").rglob("*"):
        if path.is_file():
            assert not any(identity in path.read_bytes() for identity in ids)
    later = run("c", {**step, "against": str(tmp_path / "less")})
    one = run("abc", step, leave_out=numbers)
    assert rows_of(later, "c") == rows_of(one, "c")
    assert rows_of(later, "c") != rows_of(run("c", {**step, "against": index}), "c")
    for path in (later / "removed").glob("*superseded*"):
        assert bytes(16) not in pa.ipc.open_file(pa.memory_map(str(path))).read_all()["id"].to_pylist()


def test_what_does_not_fit_is_refused(
    run: Callable[..., Path],
    indexed: Callable[[dict[str, Any]], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    index = str(indexed({"use": "exact"}))
    with pytest.raises(ConfigError, match="was made with options"):
        run("c", {"use": "exact", "keep": "longest", "against": index})
    with pytest.raises(ConfigError, match="was made with use exact"):
        run("c", {"use": "lines", "against": index})
    with pytest.raises(ConfigError, match="no index there"):
        run("c", {"use": "exact", "against": str(tmp_path / "none")})
    with pytest.raises(ConfigError, match="something already"):
        run("c", {"use": "exact", "against": index, "save": index})
    (tmp_path / "ids").write_text("0" * 32)
    assert main(["index", "delete", index, "--ids", str(tmp_path / "ids"), "--out", str(tmp_path / "x")]) == 2
    assert "not in the index" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    (tmp_path / "ids").write_text("http://x.org")
    assert main(["index", "delete", index, "--ids", str(tmp_path / "ids"), "--out", str(tmp_path / "x")]) == 2
    assert "wanted 32 hex digits" in capsys.readouterr().err
    lines = str(indexed({"use": "lines"}))
    assert main(["index", "merge", index, lines, "--out", str(tmp_path / "x")]) == 2
    assert "same step" in capsys.readouterr().err
    assert main(["index", "merge", index, index, "--out", str(tmp_path / "x")]) == 2
    assert "named twice" in capsys.readouterr().err
    assert main(["index", "merge", index, f"{index}/", "--out", str(tmp_path / "x")]) == 2
    assert "documents in common" in capsys.readouterr().err
    assert main(["index", "show", str(tmp_path / "ids")]) == 2
    assert "no index there" in capsys.readouterr().err
    assert main(["index", "show", index]) == 0


def test_a_run_cut_off_behind_its_index_goes_on(crawls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {
        "name": "again",
        "sources": [{"name": "a", "paths": [str(crawls / "a.jsonl")], "format": "jsonl"}],
        "steps": [{"use": "exact", "save": str(tmp_path / "i")}],
        "tokenizer": {"train": {"vocab_size": 300}},
        "shards": {"sequence_length": 64},
    }

    def failing(*_: Any, **__: Any) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr("corpusmill.pipeline.barriers.settle", failing)
        with pytest.raises(OSError, match="the disk is gone"):
            cm.run(body, tmp_path / "out", console=QUIET)
    before = (tmp_path / "i" / "manifest.json").read_bytes()
    with pytest.raises(ConfigError, match="something already"):
        cm.run({**body, "seed": 5, "steps": [{**body["steps"][0], "keep": "longest"}]}, tmp_path / "x", console=QUIET)
    cm.run(body, tmp_path / "out", console=QUIET)
    assert (tmp_path / "i" / "manifest.json").read_bytes() == before


def test_a_filter_knows_no_documents(
    run: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step = {"use": "bloom", "expected_ngrams": 100_000, "ngram_words": 3}
    run("ab", {**step, "save": str(tmp_path / "i")})
    later = run("c", {**step, "against": str(tmp_path / "i")})
    assert rows_of(later, "c") == rows_of(run("abc", step), "c")
    assert main(["index", "merge", str(tmp_path / "i"), "--out", str(tmp_path / "x")]) == 2
    assert "does not know its documents" in capsys.readouterr().err
    assert main(["index", "show", str(tmp_path / "i")]) == 0
    assert "filter of bloom" in capsys.readouterr().err


def test_a_damaged_index_is_found(run: Callable[..., Path], tmp_path: Path) -> None:
    step = {"use": "exact"}
    run("a", {**step, "save": str(tmp_path / "i")})
    keys = next((tmp_path / "i").rglob("keys.bin"))
    good = keys.read_bytes()
    keys.unlink()  # it may be one file with others
    keys.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    with pytest.raises(IntegrityError, match=r"keys\.bin"):
        run("b", {**step, "against": str(tmp_path / "i")})
    keys.write_bytes(good[:-1])
    with pytest.raises(IntegrityError, match=r"keys\.bin"):
        run("c", {**step, "against": str(tmp_path / "i")})


def test_an_index_that_went_missing_is_made_again(crawls: Path, tmp_path: Path) -> None:
    body = {
        "name": "again",
        "sources": [{"name": "a", "paths": [str(crawls / "a.jsonl")], "format": "jsonl"}],
        "steps": [{"use": "exact", "save": str(tmp_path / "i")}],
        "tokenizer": {"train": {"vocab_size": 300}},
        "shards": {"sequence_length": 64},
    }
    cm.run(body, tmp_path / "out", console=QUIET)
    before = (tmp_path / "i" / "manifest.json").read_bytes()
    cm.run(body, tmp_path / "out", console=QUIET)
    (tmp_path / "i").rename(tmp_path / "away")
    cm.run(body, tmp_path / "out", console=QUIET)
    assert (tmp_path / "i" / "manifest.json").read_bytes() == before
