"""The command line end to end: exit codes, what is printed, and what changes on disk."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from corpusmill.jobs.main import main
from corpusmill.recipe import load, to_toml


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """A folder with recipe.toml and a run of it in out/."""
    folder = tmp_path_factory.mktemp("commands")
    body: dict[str, Any] = {
        "name": "commands",
        "sources": [{"name": "notes", "paths": [str(corpus / "notes")], "format": "jsonl"}],
        "steps": [{"use": "gopher_quality", "min_words": 30}, {"use": "minhash"}],
        "tokenizer": {"train": {"vocab_size": 600, "sample_bytes": 100_000}},
        "shards": {"sequence_length": 128, "rows_per_shard": 512},
    }
    (folder / "recipe.toml").write_text(to_toml(load(body)))
    assert main(["run", str(folder / "recipe.toml"), "--out", str(folder / "out")]) == 0
    return folder


def row_of(ran: Path, folder: str) -> dict[str, Any]:
    row: dict[str, Any] = pq.read_table(
        min((ran / "out" / folder).glob("1-*" if folder == "rejected" else "*"))
    ).to_pylist()[0]
    return row


def test_run_prints_the_summary(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(ran / "recipe.toml"), "--out", str(ran / "out")]) == 0
    said = capsys.readouterr()
    assert "notes" in said.out
    assert "done before" in said.err


def test_check_prints_a_recipe_that_loads(ran: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["check", str(ran / "recipe.toml"), "--set", "seed=5"]) == 0
    printed = capsys.readouterr().out
    assert "# stage 2-minhash: minhash" in printed
    (tmp_path / "again.toml").write_text(printed)
    assert load(tmp_path / "again.toml").seed == 5


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["check", "nowhere.toml"], 2, "can't read the recipe"),
        (["run", "RECIPE", "--out", "OUT", "--set", "seed=x"], 2, "wanted a whole number"),
        (["run", "RECIPE", "--out", "OUT", "--workers", "0"], 2, "workers = 0"),
        (["check", "RECIPE", "--", "--runner=X"], 2, "are Beam's"),
        (["verify", "NOWHERE"], 1, "never finished"),
        (["explain", "OUT", "nothing#0"], 2, "no document"),
        (["trace", "OUT", "--row", "99999999"], 2, "has rows 0 to"),
        (["tokenizer", "check", "RECIPE", "RECIPE"], 2, "not a tokenizer.json"),
        (["train", "OUT/shards", "--out", "OUT/t", "--set", "stepz=1"], 2, "unknown key 'stepz'"),
    ],
)
def test_errors_are_clear_and_exit_codes_right(
    ran: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    places = {"RECIPE": str(ran / "recipe.toml"), "NOWHERE": str(ran / "nowhere")}
    words = [places.get(word, word.replace("OUT", str(ran / "out"))) for word in words]
    assert main(words) == code
    assert message in " ".join(capsys.readouterr().err.split())


def test_verify_passes_and_fails_after_any_changed_byte(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ran / "out", copy)
    assert main(["verify", str(copy)]) == 0
    assert "every ledger adds up" in capsys.readouterr().out
    rng = random.Random(1)  # noqa: S311  test data, not secrets
    files = [path for path in copy.rglob("*") if path.is_file() and path.name != ".lock"]
    assert {path.name for path in files} >= {
        "manifest.json",
        "ledger.json",
        "report.html",
        "recipe.toml",
        "tokenizer.json",
    }
    for path in files:
        good = path.read_bytes()
        at = rng.randrange(len(good))
        path.write_bytes(good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1 :])
        assert main(["verify", str(copy)]) == 1, path
        path.write_bytes(good[:-1])
        assert main(["verify", str(copy)]) == 1, path
        path.unlink()
        if "units" not in path.parts:
            assert main(["verify", str(copy)]) == 1, path
        path.write_bytes(good)
    capsys.readouterr()
    assert main(["verify", str(copy)]) == 0


def test_verify_names_files_that_no_manifest_names(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ran / "out", copy)
    (copy / "documents" / "stray.parquet").write_bytes(b"x")
    assert main(["verify", str(copy)]) == 0
    assert "not named by any manifest: documents/stray.parquet" in " ".join(capsys.readouterr().err.split())


def test_explain_a_kept_and_a_rejected_document(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, rejected = row_of(ran, "documents"), row_of(ran, "rejected")
    assert main(["explain", str(ran / "out"), kept["id"].hex()]) == 0
    said = capsys.readouterr().out
    assert "fate     kept" in said
    assert "gopher_quality.min_words: passes" in said
    assert "row      " in said
    assert main(["explain", str(ran / "out"), rejected["locator"]]) == 0
    said = capsys.readouterr().out
    assert "rejected by step gopher_quality" in said
    assert rejected["reasons"][0] in said
    assert "FAILS" in said


def test_trace_and_explain_agree(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(ran / "out"), "--row", "0"]) == 0
    first = capsys.readouterr().out.splitlines()[0].split()
    assert main(["explain", str(ran / "out"), first[2]]) == 0
    said = capsys.readouterr().out
    assert f"locator  {first[4]}" in said
    assert "row      0," in said


def test_report_is_rewritten_and_verifies(ran: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ran / "out", copy)
    (copy / "report.html").unlink()
    assert main(["report", str(copy)]) == 0
    assert main(["verify", str(copy)]) == 0
    assert (copy / "report.html").read_bytes() == (ran / "out" / "report.html").read_bytes()


def test_tokenizer_train_and_check(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "tokenizer.json")
    assert main(["tokenizer", "train", str(corpus / "notes"), "--out", out, "--vocab-size", "500"]) == 0
    assert main(["tokenizer", "check", out, str(corpus / "notes"), "--max-bytes", "50000"]) == 0
    said = capsys.readouterr().out
    assert "500 ids" in said
    assert "0 of" in said


def test_quality_train_evaluate_and_use(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(tmp_path / "quality.bin")
    sides = ["--positive", str(corpus / "notes"), "--negative", str(corpus / "code")]
    assert main(["quality", "train", *sides, "--out", model]) == 0
    assert main(["quality", "evaluate", model, *sides]) == 0
    figures = dict(line.split() for line in capsys.readouterr().out.splitlines() if len(line.split()) == 2)
    assert float(figures["accuracy"]) > 0.9

    import corpusmill as cm

    prose = "This is a sentence about what the function returns, and why the caller should care about it. " * 3
    code = "for i in range(n):\n    x[i] += self.table.get(key, None) or []\n" * 8
    scores = cm.measure([prose, code], "quality", model=model)["quality.score"].to_pylist()
    assert scores[0] > scores[1]


def test_every_format_runs(corpus: Path, tmp_path: Path) -> None:
    """The same texts as JSONL plain and gzipped, Parquet and plain files: the same documents are kept."""
    import pyarrow as pa

    lines = (corpus / "notes" / "notes.jsonl").read_text().splitlines()[:200]
    texts = [json.loads(line)["text"] for line in lines]
    made = tmp_path / "made"
    for name in ("jsonl", "gz", "parquet", "text"):
        (made / name).mkdir(parents=True)
    (made / "jsonl" / "a.jsonl").write_text("\n".join(lines))
    (made / "gz" / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    pq.write_table(pa.table({"text": texts}), made / "parquet" / "a.parquet", row_group_size=50)
    for number, text in enumerate(texts):
        (made / "text" / f"{number:04d}.txt").write_text(text)
    recipe = tmp_path / "recipe.toml"
    sources = [
        {"name": name, "paths": [str(made / name)], "format": "jsonl" if name == "gz" else name}
        for name in ("jsonl", "gz", "parquet", "text")
    ]
    body = {
        "name": "formats",
        "sources": sources,
        "steps": [{"use": "gopher_quality", "min_words": 30}],
        "tokenizer": {"train": {"vocab_size": 600, "sample_bytes": 100_000}},
        "shards": {"sequence_length": 128},
    }
    recipe.write_text(to_toml(load(body)))
    assert main(["run", str(recipe), "--out", str(tmp_path / "out")]) == 0
    account = json.loads((tmp_path / "out" / "ledger.json").read_text())["sources"]
    assert account["text"]["documents"]["in"] == 200
    assert account["text"]["documents"] == account["jsonl"]["documents"] == account["gz"]["documents"]
    assert account["text"]["documents"] == account["parquet"]["documents"]
