"""`corpusmill plan`, and the mix that `check` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpusmill.jobs.main import main
from corpusmill.recipe import load, to_toml


@pytest.fixture
def recipe_path(corpus: Path, tmp_path: Path) -> Path:
    sources = [
        {"name": name, "paths": [str(corpus / name)], "format": "jsonl", "weight": weight}
        for name, weight in (("code", 1.0), ("notes", 3.0))
    ]
    path = tmp_path / "recipe.toml"
    path.write_text(to_toml(load({"name": "plan", "sources": sources})))
    return path


def table_of(said: str, first: str) -> list[str]:
    return next(line for line in said.splitlines() if line.strip().startswith(first)).split()


def test_fits_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--params", "1B", "--tokens", "40B"]) == 0
    said = capsys.readouterr().out
    assert table_of(said, "Chinchilla 1")[2:] == ["20.2B", "20.2", "1.21e+20"]
    assert table_of(said, "yours")[1:] == ["40.0B", "40.0", "2.40e+20"]
    for paper in ("2203.15556", "2404.10102", "2001.08361"):
        assert paper in said


def test_a_recipe_is_estimated(recipe_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(recipe_path), "--params", "1M"]) == 0
    said = capsys.readouterr()
    assert "an estimate" in said.err
    tokens = {
        name: round(sum(path.stat().st_size for path in (corpus / name).iterdir()) / 4.2) for name in ("code", "notes")
    }
    assert table_of(said.out, "code")[1:3] == [f"{tokens['code']:,}", "25.0%"]
    assert table_of(said.out, "notes")[1:3] == [f"{tokens['notes']:,}", "75.0%"]
    assert "source notes is capped at 4 epochs" in " ".join(said.err.split())
    assert "!" in table_of(said.out, "Chinchilla 1")
    assert "2305.16264" in said.out


def test_a_finished_run_is_counted(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = {
        "name": "plan",
        "sources": [{"name": "notes", "paths": [str(corpus / "notes")], "format": "jsonl", "epochs": 2}],
        "tokenizer": {"train": {"vocab_size": 600, "sample_bytes": 100_000}},
        "shards": {"sequence_length": 128, "rows_per_shard": 512},
    }
    (tmp_path / "recipe.toml").write_text(to_toml(load(body)))
    assert main(["run", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert main(["plan", str(tmp_path / "out"), "--params", "10K", "--tokens", "1000"]) == 0
    said = capsys.readouterr().out
    found = table_of(said, "notes")
    held, mixed = int(found[1].replace(",", "")), int(found[4].replace(",", ""))
    assert mixed == 2 * held > 0
    assert found[3] == "2"
    assert table_of(said, "yours")[-2:] == ["1.00K", "100%"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--params", "many"], "--params = 'many'"),
        (["--params", "0"], "--params 0: wanted 1 or more"),
        (["--params", "1B", "--tokens", "-1"], "--tokens = '-1'"),
        (["nowhere.toml", "--params", "1B"], "can't read the recipe"),
    ],
)
def test_wrong_arguments(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_run_that_never_finished(tmp_path: Path) -> None:
    assert main(["plan", str(tmp_path), "--params", "1B"]) == 1


def test_check_prints_the_wishes(recipe_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(recipe_path), "--set", "shards.max_epochs=6"]) == 0
    said = capsys.readouterr().out
    assert "# mix: notes: 75.0% of the tokens, at most 6 epochs" in said
    assert "# mix: notes: beyond four epochs" in said
    assert "# mix: as many tokens in all as this comes to" in said


def test_a_cap_that_a_source_never_reaches_is_no_warning(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = {"paths": [str(corpus / "notes")], "format": "jsonl"}
    sources = [{**source, "name": "often", "epochs": 5}, {**source, "name": "twice", "epochs": 2}]
    path = corpus.parent / "epochs.toml"
    path.write_text(to_toml(load({"name": "plan", "sources": sources, "shards": {"max_epochs": 8.0}})))
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr().out
    assert "# mix: twice: 2 epochs" in said
    assert "# mix: often: beyond four epochs" in said
    assert "twice: beyond" not in said
