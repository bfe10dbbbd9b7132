"""`corpusmill takedown`, and `corpusmill verify` of shards, end to end."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import corpusmill as cm
from corpusmill.jobs.main import main
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenize.shards.takedown import TAKEDOWNS_FILE, load_takedowns

DOCUMENTS = [("a" if n % 3 else "b", f"note {n} " * (1 + n % 9)) for n in range(60)]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, write: Callable[..., Packed]) -> Packed:
    return write(tmp_path_factory.mktemp("takedown") / "shards", DOCUMENTS, sequence_length=40, rows_per_shard=9)


@pytest.fixture
def own(packed: Packed, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packed.directory, tmp_path / "run" / "shards"))


def hexed(document: int) -> str:
    return document.to_bytes(16, "big").hex()


def test_documents_are_hidden_and_the_list_is_printed(
    own: Path, packed: Packed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["takedown", str(own), "--id", hexed(8), hexed(9), "--reason", "asked for", "--date", "2026-03-01"]) == 0
    )
    said = capsys.readouterr().out
    gone = [piece for row in packed for piece in row.segments if piece["document"] in (8, 9)]
    assert said.startswith(f"2 documents, 2 of them new on the list: {len(gone)} segments in ")
    assert f" {sum(int(piece['length']) for piece in gone)} tokens" in said
    assert int(cm.Packed(own).gather(np.arange(len(packed))).hidden.sum()) == len(gone)
    assert main(["takedown", str(own), "--id", hexed(9), "--reason", "again"]) == 0
    assert "0 of them new" in capsys.readouterr().out
    assert main(["takedown", str(own)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"2026-03-01  {hexed(n)}  asked for" for n in (8, 9)]
    assert main(["verify", str(own)]) == 0


def test_a_run_directory_and_a_list_in_a_file(own: Path, tmp_path: Path) -> None:
    listed = tmp_path / "ids.txt"
    listed.write_text(f"# request 17\n{hexed(3)}\n\n  {hexed(4).upper()}  # the second\n")
    assert main(["takedown", str(own.parent), "--file", str(listed), "--reason", "request 17"]) == 0
    (found,) = load_takedowns(str(own))
    assert found.ids == (bytes.fromhex(hexed(3)), bytes.fromhex(hexed(4)))
    assert abs(datetime.date.fromisoformat(found.date) - datetime.datetime.now(datetime.UTC).date()).days <= 1


def test_ids_that_are_not_there(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["takedown", str(own), "--id", hexed(5), hexed(999), "--reason", "x"]
    assert main(words) == 2
    assert f"1 of 2 documents are not in {own}: {hexed(999)}; nothing" in " ".join(capsys.readouterr().err.split())
    assert not (own / TAKEDOWNS_FILE).exists()
    assert main([*words, "--allow-missing"]) == 0
    assert f"not in these shards: {hexed(999)}" in capsys.readouterr().err
    assert load_takedowns(str(own))[0].ids == (bytes.fromhex(hexed(5)),)
    assert main(["takedown", str(own), "--id", hexed(999), "--reason", "x", "--allow-missing"]) == 2


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["OWN", "--id", "12", "--reason", "x"], 2, "document id '12': wanted 32 hex digits"),
        (["OWN", "--id", hexed(1)], 2, "--reason is missing"),
        (["OWN", "--id", hexed(1), "--reason", "x", "--date", "yesterday"], 2, "wanted a day as YYYY-MM-DD"),
        (["OWN", "--file", "NOWHERE", "--reason", "x"], 2, "can't be read"),
        (["OWN", "--file", "EMPTY", "--reason", "x"], 2, "there is no id in it"),
        (["OWN", "--file", "BAD", "--reason", "x"], 2, "line 2: document id"),
        (["NOWHERE", "--id", hexed(1), "--reason", "x"], 1, "never finished"),
    ],
)
def test_what_is_wrong_is_said(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    (tmp_path / "empty").write_text("# nothing\n")
    (tmp_path / "bad").write_text(f"{hexed(1)}\nzz\n")
    names = {"OWN": own, "EMPTY": tmp_path / "empty", "BAD": tmp_path / "bad", "NOWHERE": tmp_path / "nowhere"}
    assert main(["takedown", *(str(names.get(word, word)) for word in words)]) == code
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (own / TAKEDOWNS_FILE).exists()


def test_verify_of_a_folder_of_shards(own: Path, packed: Packed, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(own)]) == 0
    assert f"every hash is right ({packed.id})" in capsys.readouterr().out
    path, offset = Packed(own).where(0)
    data = bytearray(Path(path).read_bytes())
    data[offset] ^= 4
    Path(path).write_bytes(data)
    assert main(["verify", str(own)]) == 1
    told = capsys.readouterr().err
    assert "shard-00000.arrow: bytes 0 to" in told
    assert f"hits row 0, document {packed[0].document_ids[0].hex()}, " in told
