"""Every command on folders that are something else than it wants: a message, and never a traceback."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import corpusmill as cm
from corpusmill.document import document_id
from corpusmill.jobs.main import main
from corpusmill.recipe import load, to_toml

SMALL = ["--set", "steps=2", "--set", "dim=16", "--set", "layers=1", "--set", "heads=2"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """A run with a barrier (out), two exports of it, imports of those (in, scanned), a training, a file, nothing."""
    folder = tmp_path_factory.mktemp("plätze und mehr")
    body: dict[str, Any] = {
        "name": "places",
        "sources": [{"name": "notes", "paths": [str(corpus / "notes")], "format": "jsonl"}],
        "steps": [{"use": "exact"}],
        "tokenizer": {"train": {"vocab_size": 600, "sample_bytes": 100_000}},
        "shards": {"sequence_length": 128, "rows_per_shard": 1000},
    }
    (folder / "recipe.toml").write_text(to_toml(load(body)))
    (folder / "empty").mkdir()
    (folder / "file").write_text("text")
    out = str(folder / "out")
    tokenizer = ["--tokenizer", f"{out}/tokenizer.json", "--set", "shards.sequence_length=128"]
    assert main(["run", str(folder / "recipe.toml"), "--out", out]) == 0
    assert main(["export", out, "--to", "mds", "--what", "documents", "--out", str(folder / "mds")]) == 0
    assert main(["export", out, "--to", "nanogpt", "--out", str(folder / "nanogpt")]) == 0
    assert main(["import", str(folder / "mds"), "--from", "mds", *tokenizer, "--out", str(folder / "in")]) == 0
    scanned = ["import", str(folder / "nanogpt"), "--from", "nanogpt", *tokenizer, "--out", str(folder / "scanned")]
    assert main(scanned) == 0
    assert main(["train", out, "--out", str(folder / "training"), *SMALL]) == 0
    return folder


def said_of(capsys: pytest.CaptureFixture[str]) -> str:
    said = capsys.readouterr()
    return " ".join((said.out + said.err).split())


RUN_ONLY = (["report"], ["explain", "abc"], ["plan", "--params", "1B"])
EXPORT = ["export", "--to", "hf", "--out", "NEW"]
SHARDS_TOO = (["trace", "--row", "0"], ["takedown"], EXPORT, ["train", "--out", "NEW"])
NEVER = (
    ("nowhere", 1, "there is no such folder"),
    ("empty", 1, "there is no manifest.json in it"),
    ("file", 2, "is a file; wanted a finished run"),
)
OTHERS = (
    ("mds", 2, "is an export; wanted a finished run"),
    ("training", 2, "is a corpusmill training; wanted a finished run"),
)
SHARDS = ("out/shards", 2, "is a folder of shards; wanted a finished run, the folder that `run --out` names")
CASES = [
    *((words, *case) for words in RUN_ONLY for case in (*NEVER, *OTHERS, SHARDS)),
    *((words, *case) for words in SHARDS_TOO for case in (*NEVER, *OTHERS)),
    *((["verify"], *case) for case in NEVER),
]


@pytest.mark.parametrize(("words", "place", "code", "message"), CASES)
def test_what_a_folder_is_is_said(
    house: Path, capsys: pytest.CaptureFixture[str], words: list[str], place: str, code: int, message: str
) -> None:
    rest = [str(house / "new") if word == "NEW" else word for word in words[1:]]
    assert main([words[0], str(house / place), *rest]) == code
    assert message in said_of(capsys)
    assert not (house / "new").exists()


def test_the_shards_alone_can_be_traced(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = cm.Packed(house / "out" / "shards")
    assert main(["trace", str(house / "out" / "shards"), "--row", "2"]) == 0
    said = said_of(capsys)
    assert packed[2].document_ids[0].hex() in said
    assert "a folder of shards has no documents" in said


@pytest.mark.parametrize("name", ["in", "scanned"])
def test_every_command_on_an_import(house: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = house / name
    for words in (["verify"], ["report"], ["plan", "--params", "1M"], ["trace", "--row", "0"]):
        assert main([words[0], str(run), *words[1:]]) == 0, words
    said = said_of(capsys)
    assert "an import has no documents: where they came from is not known" in said
    row = cm.Packed(run / "shards")[0]
    assert main(["explain", str(run), row.document_ids[0].hex()]) == 0
    said = said_of(capsys)
    assert "fate imported, " in said
    assert "row 0, tokens 0–" in said
    assert main(["explain", str(run), "f" * 32]) == 2
    assert "It is an import" in said_of(capsys)


def test_a_locator_of_an_import_names_its_document(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(house / "scanned"), "train.bin#3"]) == 0
    said = said_of(capsys)
    assert f"id {document_id('notes', 'train.bin#3').hex()} source notes" in said
    assert " row " in said
    assert main(["explain", str(house / "scanned"), "train.bin#999999"]) == 2


def test_a_damaged_import_says_what_to_give_again(
    house: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(house / "in", tmp_path / "in"))
    path, offset = cm.Packed(copy / "shards").where(0)
    flip(Path(path), offset)
    assert main(["verify", str(copy)]) == 1
    said = said_of(capsys)
    assert "hits row 0, document" in said
    assert "give the same import again" in said


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_verify_of_an_export(house: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = Path(shutil.copytree(house / "mds", tmp_path / "mds"))
    assert main(["verify", str(copy)]) == 0
    assert "every hash is right" in said_of(capsys)
    (copy / "more.txt").write_text("x")
    assert main(["verify", str(copy)]) == 0
    assert "not named by any manifest: more.txt" in said_of(capsys)
    flip(copy / "shard.00000.mds", 100)
    assert main(["verify", str(copy)]) == 1
    said = said_of(capsys)
    assert "shard.00000.mds" in said
    assert "export again" in said
    (copy / "index.json").unlink()
    assert main(["verify", str(copy)]) == 1
    assert "2 faults" in said_of(capsys)
    flip(copy / "manifest.json", 30)
    assert main(["verify", str(copy)]) == 1


@pytest.mark.parametrize("below", ["mds", "exports/mds"])
def test_exports_in_a_run_are_verified_with_it(
    house: Path, tmp_path: Path, below: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(house / "out", tmp_path / "out"))
    assert main(["export", str(copy), "--to", "mds", "--out", str(copy / below)]) == 0
    assert main(["verify", str(copy)]) == 0
    assert "not named" not in said_of(capsys)
    flip(copy / below / "shard.00000.mds", 100)
    assert main(["verify", str(copy)]) == 1
    assert f"{below}: shard.00000.mds" in said_of(capsys)
    flip(copy / below / "shard.00000.mds", 100)
    flip(copy / below / "manifest.json", 30)
    assert (main(["verify", str(copy)]) == 1) == (below == "mds")  # deeper, what is no export is not looked for


def test_trace_says_why_a_segment_is_hidden(house: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = Path(shutil.copytree(house / "out", tmp_path / "out"))
    identity = cm.Packed(copy / "shards")[0].document_ids[0].hex()
    words = ["takedown", str(copy), "--id", identity, "--reason", "a request", "--date", "2026-03-03"]
    assert main(words) == 0
    capsys.readouterr()
    assert main(["trace", str(copy), "--row", "0"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if identity in line)
    assert line.endswith("taken down on 2026-03-03: a request")


def test_trace_says_what_a_training_skipped(house: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skip, training = str(tmp_path / "skip.json"), str(tmp_path / "training")
    out = str(house / "out")
    assert main(["bisect", str(house / "training"), out, "--step", "1", "--skip-list", skip]) == 0
    assert main(["train", out, "--out", training, *SMALL, "--set", f"skip_list={skip}"]) == 0
    capsys.readouterr()
    assert main(["trace", out, "--training", training, "--step", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.endswith("on the skip list, not learnt from") for line in lines) == 1
    assert main(["trace", out, "--training", str(house / "training"), "--step", "1"]) == 0
    assert "skip list" not in capsys.readouterr().out


@pytest.mark.parametrize("place", ["in", "mds", "training", "out/shards"])
def test_a_tokenizer_is_not_checked_on_what_has_no_texts(
    house: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tokenizer", "check", str(house / place)]) == 2
    assert "no texts" in said_of(capsys)


def test_tokenizers_and_recipes_with_barriers(house: Path, tmp_path: Path, corpus: Path) -> None:
    recipe, made = str(house / "recipe.toml"), str(tmp_path / "t.json")
    small = ["--max-bytes", "70000"]
    assert main(["tokenizer", "train", recipe, "--out", made, "--vocab-size", "400", *small]) == 0
    assert main(["tokenizer", "check", made, recipe, *small]) == 0
    assert main(["tokenizer", "check", str(house / "out"), *small]) == 0
    assert main(["tokenizer", "check", str(house / "in"), str(corpus / "notes"), *small]) == 0


def test_a_file_where_a_folder_should_be_written(
    house: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, file = str(house / "out"), tmp_path / "file"
    file.write_text("x")
    tokenizer = ["--tokenizer", f"{out}/tokenizer.json"]
    for place in (file, file / "below"):
        for words in (
            ["run", str(house / "recipe.toml")],
            ["export", out, "--to", "hf"],
            ["import", str(house / "mds"), "--from", "mds", *tokenizer],
            ["train", out, *SMALL],
            ["ablate", out, str(house / "in"), "--held-out", out],
        ):
            assert main([*words, "--out", str(place)]) == 2, words
            assert f"--out {place}: {file} is a file; name a folder" in said_of(capsys)
    assert file.read_text() == "x"


def test_a_folder_where_a_file_should_be_written(house: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = str(house / "empty")
    assert main(["tokenizer", "train", str(house / "recipe.toml"), "--out", empty]) == 2
    assert main(["bisect", str(house / "training"), str(house / "out"), "--step", "1", "--skip-list", empty]) == 2
    assert said_of(capsys).count("is a folder; wanted") == 2


def test_what_the_system_refuses_is_no_traceback(
    house: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    words = ["tokenizer", "train", str(house / "recipe.toml"), "--max-bytes", "70000", "--vocab-size", "400"]
    assert main([*words, "--out", str(tmp_path / "file" / "t.json")]) == 1
    assert "check the path, who may use it" in said_of(capsys)


def test_an_import_of_splits_names_their_folders(
    house: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported, tokenizer = tmp_path / "olmo", str(house / "out" / "tokenizer.json")
    assert main(["export", str(house / "out"), "--to", "olmo", "--validation", "0.3", "--out", str(exported)]) == 0
    words = ["--from", "olmo", "--tokenizer", tokenizer, "--out", str(tmp_path / "in")]
    assert main(["import", str(exported), *words]) == 1
    assert f"there are some in {exported}/train, {exported}/val: give those" in said_of(capsys)
    assert main(["import", str(exported / "train"), *words]) == 0


def test_a_vocabulary_too_large_is_refused_before_a_bar_is_shown(
    house: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corpusmill.tokenize.export.nanogpt.NanoGpt.types", ((10, "<u2"),))
    assert main(["export", str(house / "out"), "--to", "nanogpt", "--out", str(tmp_path / "o")]) == 2
    assert said_of(capsys).startswith("ConfigError: --to nanogpt: the tokenizer has 600 ids")
