"""`corpusmill verify` of a run whose shards were damaged: which documents were hit, and where they came from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import corpusmill as cm
from corpusmill import manifest
from corpusmill.jobs.main import main
from corpusmill.recipe import load, to_toml


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    body: dict[str, Any] = {
        "name": "verify",
        "sources": [{"name": "notes", "paths": [str(corpus / "notes")], "format": "jsonl"}],
        "steps": [{"use": "gopher_quality", "min_words": 60}],
        "tokenizer": {"train": {"vocab_size": 600, "sample_bytes": 100_000}},
        "shards": {"sequence_length": 128, "rows_per_shard": 200},
    }
    (folder / "recipe.toml").write_text(to_toml(load(body)))
    assert main(["run", str(folder / "recipe.toml"), "--out", str(folder / "out")]) == 0
    return folder / "out"


@pytest.fixture
def own(done: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "out"))


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def locators(run: Path) -> dict[bytes, str]:
    rows = [row for path in (run / "documents").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    return {row["id"]: row["locator"] for row in rows}


def test_the_run_names_its_dataset(done: Path) -> None:
    packed = cm.Packed(done / "shards", verify=True)
    assert packed.shards > 1
    assert manifest.load(str(done / "manifest.json"))["dataset"] == packed.id
    stage = next(path for path in (done / "stages").glob("*-pack.json"))
    assert manifest.load(str(stage))["pack"]["id"] == packed.id
    assert {entry["path"] for entry in manifest.load(str(stage))["files"]} == {
        f"shards/{path.name}" for path in (done / "shards").iterdir()
    }


def test_damaged_tokens_name_documents_with_their_locators(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = cm.Packed(own / "shards")
    path, offset = packed.where(1)
    flip(Path(path), offset + 2 * 128)
    assert main(["verify", str(own)]) == 1
    told = " ".join(capsys.readouterr().err.split())
    row = packed[200]
    identity = row.document_ids[0]
    assert "1 faults" in told
    assert "shard-00001.arrow: bytes 0 to" in told
    assert f"hits row 200, document {identity.hex()}, notes, {locators(own)[identity]}" in told


def test_a_damaged_manifest_of_a_stage_hides_no_other_fault(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "stages" / "1-curate.json").write_bytes(b"{}")
    flip(own / "ledger.json", 3)
    assert main(["verify", str(own)]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "2 faults" in told
    assert "ledger.json: sha256" in told
    assert "1-curate.json: not a manifest" in told
    assert "run the recipe or give the import again" in told


def test_damaged_segments_name_documents_too(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = cm.Packed(own / "shards")
    file = packed.shards
    flip(own / "shards" / packed.index.path(file), packed.index.columns(file)[1])
    assert main(["verify", str(own)]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "segments-00000.arrow: bytes 0 to" in told
    assert f"hits row 0, document {packed[0].document_ids[0].hex()}" in told


def test_without_the_documents_the_ids_are_named(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = cm.Packed(own / "shards")
    path, offset = packed.where(0)
    flip(Path(path), offset)
    for file in (own / "documents").iterdir():
        file.write_bytes(b"no parquet")
    assert main(["verify", str(own)]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert packed[0].document_ids[0].hex() in told
    assert "the run's documents can't be read" in told


def test_takedowns_belong_to_the_run(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    identity = cm.Packed(own / "shards")[3].document_ids[0]
    assert main(["takedown", str(own), "--id", identity.hex(), "--reason", "asked for", "--date", "2026-03-01"]) == 0
    assert main(["verify", str(own)]) == 0
    said = capsys.readouterr()
    assert "not named" not in said.err
    assert main(["explain", str(own), identity.hex()]) == 0
    assert "takedown on 2026-03-01: asked for" in capsys.readouterr().out
    flip(own / "shards" / "takedowns.json", 40)
    assert main(["verify", str(own)]) == 1
    assert "takedowns.json" in capsys.readouterr().err


def test_every_row_of_explain_is_a_row_of_the_shards(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = cm.Packed(done / "shards")
    segments = np.concatenate([row.segments for row in packed])
    ids = [identity for row in packed for identity in row.document_ids]
    identity = ids[int(np.argmax(segments["offset"] > 0))]
    assert main(["explain", str(done), identity.hex()]) == 0
    rows = [line.split()[1].rstrip(",") for line in capsys.readouterr().out.splitlines() if line.startswith("row ")]
    assert rows == [str(n) for n, row in enumerate(packed) for each in row.document_ids if each == identity]
    assert len(rows) > 1
