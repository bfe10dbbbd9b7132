"""Barriers of pieces in whole runs: the ledger balances, every reader sees the cuts, nothing depends on workers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

import corpusmill as cm
from corpusmill.jobs.main import main

QUIET = Console(quiet=True)
MENU, FOOTER = "Home | About", "All rights reserved."


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for part in range(3):
        texts = [f"{MENU}\nOnly page {part}.{n} says so, and no other.\n\n{FOOTER.upper()}\n" for n in range(20)]
        texts += [f"{MENU}\n{FOOTER}", f"Alone {part}\nalone {part}\nand more of it"]
        lines = [json.dumps({"text": text, "url": f"http://x.org/{part}/{n}"}) for n, text in enumerate(texts)]
        (folder / f"{part}.jsonl").write_text("\n".join(lines))
    return folder


def recipe(corpus: Path, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": "pieces",
        "sources": [{"name": "s", "paths": [f"{corpus}/*.jsonl"], "format": "jsonl"}],
        "steps": list(steps),
        "tokenizer": {"train": {"vocab_size": 300}},
        "shards": {"sequence_length": 32},
        **more,
    }


def texts_of(out: Path) -> list[str]:
    return [row["text"] for path in sorted((out / "documents").glob("*")) for row in pq.read_table(path).to_pylist()]


def shards_of(out: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((out / "shards").iterdir())}


def test_first_copies_stay(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cm.run(recipe(corpus, {"use": "lines"}), out, console=QUIET)
    texts = texts_of(out)
    assert texts[0] == f"{MENU}\nOnly page 0.0 says so, and no other.\n\n{FOOTER.upper()}\n"
    assert texts[1] == "Only page 0.1 says so, and no other."
    assert "Alone 2\nand more of it" not in texts  # "and more of it" is a copy of the first file's
    assert "Alone 0\nand more of it" in texts
    assert "Alone 2" in texts
    ledger = json.loads((out / "ledger.json").read_text())
    assert ledger["documents"]["removed"] == {"lines": 3}
    size = ledger["bytes"]
    assert size["in"] == size["kept"] + size["edited"]["lines"] + size["removed"]["lines"]
    assert size["kept"] == sum(len(text.encode()) for text in texts)
    assert main(["verify", str(out)]) == 0


def test_no_copy_stays(corpus: Path, tmp_path: Path) -> None:
    with (corpus / "2.jsonl").open("a") as file:
        file.write("\n" + json.dumps({"text": f"{MENU}\nNo number on this page.\n{FOOTER}"}))
    out = tmp_path / "out"
    cm.run(recipe(corpus, {"use": "lines", "normalize": "ccnet", "keep": "none"}), out, console=QUIET)
    # Digits are zeros to CCNet, so only a line without any is a page's own.
    assert texts_of(out) == ["No number on this page."]
    assert json.loads((out / "ledger.json").read_text())["documents"]["removed"] == {"lines": 66}


def test_filters_see_what_is_left_and_a_second_barrier_cuts_that(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    steps = ({"use": "lines", "keep": "none"}, {"use": "exact"}, {"use": "paragraphs"}, {"use": "pii"})
    cm.run(recipe(corpus, *steps), out, console=QUIET)
    texts = texts_of(out)
    assert len(texts) == 66 - 3
    assert "Only page 1.7 says so, and no other." in texts
    assert not any(MENU in text or FOOTER in text.title() for text in texts)


@pytest.mark.parametrize("change", [pytest.param("workers", marks=pytest.mark.slow), "groups", "units"])
def test_nothing_depends_on_how_the_work_is_cut(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    body = recipe(corpus, {"use": "lines"}, {"use": "where", "keep": ["source == s"]})
    cm.run(body, tmp_path / "a", console=QUIET)
    if change == "workers":
        cm.run(body, tmp_path / "b", workers=2, bytes_per_worker=1, console=QUIET)
    elif change == "groups":
        monkeypatch.setattr("corpusmill.pipeline.groups.KEYS_PER_GROUP", 8)
        cm.run(body, tmp_path / "b", console=QUIET)
    else:
        monkeypatch.setattr("corpusmill.pipeline.curate.UNIT_BYTES", 700)
        cm.run(body, tmp_path / "b", console=QUIET)
    assert sorted(texts_of(tmp_path / "a")) == sorted(texts_of(tmp_path / "b"))
    assert shards_of(tmp_path / "a") == shards_of(tmp_path / "b")


def test_sentences(corpus: Path, tmp_path: Path) -> None:
    boilerplate = "We use cookies. You know that. Go away.\nOr stay."
    rows = [{"text": f"{boilerplate} This is page {n}. It has more.\n", "url": f"http://x.org/s{n}"} for n in range(9)]
    for part in range(3):
        (corpus / f"{part}.jsonl").write_text("\n".join(map(json.dumps, rows[3 * part : 3 * part + 3])))
    out = tmp_path / "out"
    cm.run(recipe(corpus, {"use": "sentences"}), out, console=QUIET)
    wanted = [rows[0]["text"], *(f"This is page {n}. It has more.\n" for n in range(1, 9))]
    assert texts_of(out) == wanted
    size = json.loads((out / "ledger.json").read_text())["bytes"]
    assert size["in"] - size["edited"]["sentences"] == size["kept"] == sum(map(len, wanted))
    assert main(["verify", str(out)]) == 0


def test_nothing_is_a_copy(corpus: Path, tmp_path: Path) -> None:
    (corpus / "1.jsonl").unlink()
    (corpus / "2.jsonl").unlink()
    lines = [json.dumps({"text": f"Line {n} of its own.\n\nAnd {n} again."}) for n in range(30)]
    (corpus / "0.jsonl").write_text("\n".join(lines))
    out = tmp_path / "out"
    cm.run(recipe(corpus, {"use": "lines"}), out, console=QUIET)
    assert texts_of(out) == [f"Line {n} of its own.\n\nAnd {n} again." for n in range(30)]
