"""`export` and `import` end to end: a run, out and in again, verified and trained on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpusmill.document import document_id
from corpusmill.jobs.import_tokens import named
from corpusmill.jobs.main import main
from corpusmill.manifest import load as load_manifest
from corpusmill.recipe import load, to_toml
from corpusmill.tokenize.packing.token_files import open_token_file
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenize.shards.takedown import Takedown, append_takedown

KEPT = ("mds", "olmo", "hf")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """A run of two sources, the second by name first in the recipe."""
    folder = tmp_path_factory.mktemp("export")
    body: dict[str, Any] = {
        "name": "export",
        "seed": 5,
        "sources": [
            {"name": "notes", "paths": [str(corpus / "notes")], "format": "jsonl"},
            {"name": "code", "paths": [str(corpus / "code" / "part-0.jsonl")], "format": "jsonl"},
        ],
        "tokenizer": {"train": {"vocab_size": 600, "sample_bytes": 100_000}},
        "shards": {"sequence_length": 128, "rows_per_shard": 1000},
    }
    (folder / "recipe.toml").write_text(to_toml(load(body)))
    assert main(["run", str(folder / "recipe.toml"), "--out", str(folder / "out")]) == 0
    return folder / "out"


def export(ran: Path, out: Path, name: str, *more: str) -> int:
    return main(["export", str(ran), "--to", name, "--out", str(out), *more])


def bring_in(ran: Path, folder: str, name: str, out: Path, *more: str) -> int:
    options = ["--set", "seed=5", "--set", "shards.sequence_length=128", "--set", "shards.rows_per_shard=1000"]
    tokenizer = ["--tokenizer", str(ran / "tokenizer.json")]
    return main(["import", folder, "--from", name, *tokenizer, "--out", str(out), *options, *more])


def documents(run: Path) -> list[tuple[str, bytes, list[int]]]:
    """(source, id, tokens) of all token files, in the order in which packing counts them."""
    bodies = [load_manifest(str(path)) for path in (run / "stages").iterdir()]
    pieces = next(body["tokens"] for body in bodies if body["kind"] == "tokenize")
    found = []
    for piece in sorted(pieces, key=lambda piece: (piece["source"], piece["unit"])):
        file = open_token_file(str(run / piece["path"]))
        for n, row in enumerate(file.ids):
            tokens = file.tokens[file.offsets[n] : file.offsets[n + 1]]
            found.append((piece["source"], row.astype(">u8").tobytes(), tokens.tolist()))
    return found


def packed_documents(run: Path) -> dict[bytes, list[int]]:
    """id → its tokens, put together from the rows."""
    parts: dict[bytes, list[tuple[int, list[int]]]] = {}
    for row in Packed(run / "shards"):
        for segment, identity in zip(row.segments, row.document_ids, strict=True):
            start = int(segment["start"])
            tokens = row.tokens[start : start + int(segment["length"])].tolist()
            parts.setdefault(identity, []).append((int(segment["offset"]), tokens))
    return {identity: [t for _, part in sorted(found) for t in part] for identity, found in parts.items()}


@pytest.mark.parametrize(
    ("name", "max_tokens"), [("megatron", 400_000), ("mds", 400_000), *((name, 4_000_000) for name in KEPT)]
)
def test_out_and_in_again(
    ran: Path, tmp_path: Path, name: str, max_tokens: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(ran, tmp_path / "out", name, "--what", "documents", "--max-tokens", str(max_tokens)) == 0
    assert "0 taken down, 0 separators added" in " ".join(capsys.readouterr().out.split())
    assert bring_in(ran, str(tmp_path / "out"), name, tmp_path / "in") == 0
    assert main(["verify", str(tmp_path / "in")]) == 0
    before, after = documents(ran), documents(tmp_path / "in")
    assert [tokens for *_, tokens in after] == [tokens for *_, tokens in before]
    if name in KEPT:
        assert after == before
        assert Packed(tmp_path / "in" / "shards").sources == Packed(ran / "shards").sources
    if name in KEPT and max_tokens > 400_000:
        # no token file of the run was cut by the export, so even the place of every token is the same
        assert Packed(tmp_path / "in" / "shards").id == Packed(ran / "shards").id
    assert packed_documents(tmp_path / "in") == {identity: tokens for _, identity, tokens in after}
    account = json.loads((tmp_path / "in" / "ledger.json").read_text())
    assert account["documents"]["in"] == account["documents"]["kept"] == len(before)
    assert account["tokens"]["in"] == account["tokens"]["packed"] == sum(len(tokens) for *_, tokens in before)


def test_named_sources_scanned_documents_and_training(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(ran, tmp_path / "out", "llmc", "--max-tokens", "300000") == 0
    shutil.copy(tmp_path / "out" / "tokens_train_000000.bin", tmp_path / "alone.bin")
    assert bring_in(ran, f"old={tmp_path / 'alone.bin'}", "llmc", tmp_path / "in") == 0
    assert "documents, found by the token 0 that ends each" in " ".join(capsys.readouterr().err.split())
    found = documents(tmp_path / "in")
    whole = [tokens for *_, tokens in documents(ran)]
    assert [tokens for *_, tokens in found] == whole[: len(found)]
    assert {(source, identity) for source, identity, _ in found} == {
        ("old", document_id("old", f"alone.bin#{n}")) for n in range(len(found))
    }
    words = ["train", str(tmp_path / "in" / "shards"), "--out", str(tmp_path / "t"), "--set", "steps=1"]
    assert main([*words, "--set", "dim=16", "--set", "layers=1", "--set", "heads=2"]) == 0
    # the same command again does nothing anew
    assert bring_in(ran, f"old={tmp_path / 'alone.bin'}", "llmc", tmp_path / "in") == 0
    assert "1-import" in (said := capsys.readouterr().err)
    assert said.count("done before") == 2


def test_takedowns_do_not_leave_the_house(ran: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(ran, run)
    everything = documents(run)
    gone = everything[3]
    append_takedown(str(run / "shards"), Takedown((gone[1],), "asked for", "2026-01-01"))
    assert export(run, tmp_path / "out", "megatron") == 0
    tokens = np.fromfile(tmp_path / "out" / "part-00000.bin", "<u2").tolist()
    assert tokens == [token for document in everything if document is not gone for token in document[2]]
    account = json.loads((tmp_path / "out" / "manifest.json").read_text())["account"]
    assert account["taken_down"] == len(gone[2])
    assert export(run, tmp_path / "rows", "hf") == 0
    body = json.loads((tmp_path / "rows" / "manifest.json").read_text())
    assert body["account"]["padding"] == Packed(ran / "shards").manifest["totals"]["pad_tokens"] + len(gone[2])


def test_rows_of_a_folder_of_shards(ran: Path, tmp_path: Path) -> None:
    assert export(ran / "shards", tmp_path / "out", "nanogpt") == 0
    rows = [row.tokens for row in Packed(ran / "shards")]
    assert np.array_equal(np.fromfile(tmp_path / "out" / "train.bin", "<u2"), np.concatenate(rows))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["export", "RAN/shards", "--to", "megatron", "--what", "documents", "--out", "OUT"], 2, "has shards only"),
        (["export", "RAN/tokens", "--to", "megatron", "--out", "OUT"], 1, "manifest.json"),
        (["export", "RAN", "--to", "hf", "--out", "RAN"], 2, "something else in it"),
        (["export", "RAN", "--to", "hf", "--out", "OUT", "--max-tokens", "0"], 2, "wanted 1 or more"),
        (["import", "RAN/nowhere", "--from", "hf", "--tokenizer", "TOKENIZER", "--out", "OUT"], 2, "no such file"),
        (["import", "RAN", "--from", "megatron", "--tokenizer", "TOKENIZER", "--out", "OUT"], 1, "no Megatron index"),
        (["import", "EXPORT", "--from", "mds", "--tokenizer", "TOKENIZER", "--out", "OUT"], 2, "--from megatron"),
        (["import", "EXPORT", "--from", "megatron", "--tokenizer", "TOKENIZER", "--out", "OUT"], 2, "packed rows"),
        (["import", "EXPORT", "--from", "megatron", "--tokenizer", "RAN/x", "--out", "OUT"], 2, "no such file"),
    ],
)
def test_errors_are_clear_and_nothing_is_written(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    if "EXPORT" in words:
        assert export(ran, tmp_path / "export", "megatron", "--what", "rows") == 0
    places = {"EXPORT": str(tmp_path / "export"), "OUT": str(tmp_path / "o"), "TOKENIZER": str(ran / "tokenizer.json")}
    assert main([places.get(word, word.replace("RAN", str(ran))) for word in words]) == code
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "o").exists()


def test_a_changed_export_and_a_wrong_token_write_nothing(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(ran, tmp_path / "out", "nanogpt") == 0
    path = tmp_path / "out" / "train.bin"
    path.write_bytes(b"\xff\xff" + path.read_bytes()[2:])
    assert bring_in(ran, str(tmp_path / "out"), "nanogpt", tmp_path / "in") == 1
    assert "not what" in capsys.readouterr().err
    (tmp_path / "out" / "manifest.json").unlink()
    assert bring_in(ran, str(tmp_path / "out"), "nanogpt", tmp_path / "in") == 1
    assert "document 0: token 65535" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "in").exists()


def test_names_of_sources() -> None:
    assert (named("web=/data/x").source, str(named("web=/data/x").path)) == ("web", "/data/x")
    assert (named("/data/a=b").source, str(named("/data/a=b").path)) == (None, "/data/a=b")
