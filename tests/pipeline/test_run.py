"""Whole runs: the ledger balances, the rows decode to their documents, and the same bytes come out anyhow."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console

import corpusmill as cm
from corpusmill import manifest
from corpusmill.errors import ConfigError, InputError, QuarantineError
from corpusmill.ledger import Tally
from corpusmill.tokenize.tokenizers.train import train_tokenizer
from corpusmill.tokenizer_options import TokenizerTraining

Recipe = Callable[..., dict[str, Any]]
QUIET = Console(quiet=True)


def digest(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Path:
    """One finished run that the tests of this module read and leave alone."""
    out = tmp_path_factory.mktemp("run") / "out"
    cm.run(recipe(), out, console=QUIET)
    return out


def ledger_of(out: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((out / "ledger.json").read_text())
    return body


def test_the_ledger_balances_and_is_true(done: Path, corpus: Path) -> None:
    documents = ledger_of(done)["documents"]
    lines = sum(len(path.read_text().splitlines()) for path in corpus.rglob("*.jsonl"))
    assert documents["in"] == lines
    fell = sum(sum(documents[fate].values()) for fate in ("dropped", "removed", "quarantined"))
    assert documents["in"] == documents["kept"] + fell
    kept = sum(pq.read_metadata(path).num_rows for path in (done / "documents").glob("*.parquet"))
    rejected = sum(pq.read_metadata(path).num_rows for path in (done / "rejected").glob("*.parquet"))
    assert (kept, rejected) == (documents["kept"], fell)
    assert documents["removed"]["exact"] >= 10
    assert documents["removed"]["minhash"] >= 5


def test_every_rejected_document_says_why(done: Path) -> None:
    for path in (done / "rejected").glob("*.parquet"):
        for row in pq.read_table(path, columns=["step", "reasons", "locator"]).to_pylist():
            assert row["reasons"]
            assert all(reason.split(".")[0].split(":")[0] == row["step"] for reason in row["reasons"])


def test_every_document_is_somewhere_exactly_once(done: Path) -> None:
    ids: list[bytes] = []
    for folder in ("documents", "rejected"):
        for path in (done / folder).glob("*.parquet"):
            ids += pq.read_table(path, columns=["id"])["id"].to_pylist()
    assert len(ids) == len(set(ids)) == ledger_of(done)["documents"]["in"]


def test_rows_decode_to_the_documents_they_claim(done: Path) -> None:
    texts: dict[bytes, str] = {}
    for path in (done / "documents").glob("*.parquet"):
        table = pq.read_table(path, columns=["id", "text"])
        texts |= dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    packed = cm.Packed(done / "shards", verify=True)
    pieces: dict[tuple[bytes, int], list[tuple[int, Any]]] = {}
    for number in range(len(packed)):
        row = packed[number]
        end = 0
        for segment, identity in zip(row.segments, row.document_ids, strict=True):
            start, length = int(segment["start"]), int(segment["length"])
            assert start == end
            end = start + length
            pieces.setdefault((identity, int(segment["offset"])), []).append((length, row.tokens[start:end]))
        assert end <= packed.sequence_length
        assert (row.tokens[end:] == packed.tokenizer.pad_id).all()
    assert {identity for identity, _ in pieces} == set(texts)
    for identity, text in texts.items():
        tokens, offset = [], 0
        while (identity, offset) in pieces:
            copies = pieces[identity, offset]
            assert all(np.array_equal(copies[0][1], other) for _, other in copies)
            tokens.append(copies[0][1])
            offset += copies[0][0]
        joined = np.concatenate(tokens)
        assert joined[-1] == packed.tokenizer.eos_id
        assert packed.tokenizer.decode(joined[:-1]) == text


def test_no_document_that_fits_is_cut(done: Path) -> None:
    packed = cm.Packed(done / "shards")
    for number in range(len(packed)):
        for segment in packed[number].segments:
            if segment["offset"] > 0:
                assert segment["offset"] % packed.sequence_length == 0
    totals = packed.manifest["totals"]
    tokens = ledger_of(done)["tokens"]
    assert tokens["in"] + tokens["repeated"] - tokens["left_out"] == tokens["packed"] == totals["tokens"]
    assert tokens["packed"] + tokens["padding"] == len(packed) * packed.sequence_length


def test_epochs_repeat_half_of_a_source(done: Path) -> None:
    stage = manifest.load(str(done / "stages" / "7-pack.json"))["pack"]
    notes = stage["sources"]["notes"]
    assert notes["epochs"] == 1.5
    assert 0.4 < notes["repeated"] / notes["in"] < 0.6
    assert stage["sources"]["code"]["repeated"] == 0


def test_run_again_does_nothing(done: Path, recipe: Recipe, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(done, again)
    before = {name: (again / name).stat().st_mtime_ns for name in digest(again)}
    account = cm.run(recipe(), again, console=QUIET)
    assert account == ledger_of(done)
    assert {name: (again / name).stat().st_mtime_ns for name in digest(again)} == before


@pytest.mark.parametrize(
    "missing", ["stages/2-exact.json", "work/1-curate", "shards/shard-00000.arrow", "tokens", "stages"]
)
def test_what_is_missing_is_made_again(done: Path, recipe: Recipe, tmp_path: Path, missing: str) -> None:
    again = tmp_path / "again"
    shutil.copytree(done, again)
    gone = again / missing
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    cm.run(recipe(), again, console=QUIET)
    assert digest(again) == digest(done)


def test_two_workers_and_other_order_give_the_same_bytes(
    done: Path, recipe: Recipe, corpus: Path, tmp_path: Path
) -> None:
    body = recipe()
    body["sources"].reverse()
    body["sources"][1]["paths"] = [f"{corpus}/code/part-{n}.jsonl" for n in (2, 0, 1)]
    cm.run(body, tmp_path / "out", workers=2, bytes_per_worker=1, console=QUIET)
    assert digest(tmp_path / "out" / "shards") == digest(done / "shards")
    assert digest(tmp_path / "out" / "documents") == digest(done / "documents")


def test_many_groups_of_keys_find_the_same_duplicates(
    done: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corpusmill.pipeline.groups.KEYS_PER_GROUP", 100)
    cm.run(recipe(), tmp_path / "out", console=QUIET)
    assert digest(tmp_path / "out" / "removed") == digest(done / "removed")
    assert digest(tmp_path / "out" / "shards") == digest(done / "shards")


def test_removed_documents_name_a_survivor_that_was_kept_in_that_stage(done: Path) -> None:
    kept = {
        identity
        for path in (done / "work").rglob("*.parquet")
        for identity in pq.read_table(path, columns=["id"])["id"].to_pylist()
    }
    gone: set[bytes] = set()
    survivors: set[bytes] = set()
    for path in (done / "rejected").glob("3-*.parquet"):
        for row in pq.read_table(path, columns=["id", "reasons"]).to_pylist():
            gone.add(row["id"])
            survivors.add(bytes.fromhex(row["reasons"][0].split("copy of ")[1].split(",")[0]))
    assert gone
    assert survivors <= kept
    assert not survivors & gone


def test_a_corpus_that_moved_gives_the_same_bytes(done: Path, recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus, tmp_path / "moved")
    cm.run(recipe(tmp_path / "moved"), tmp_path / "out", console=QUIET)
    assert digest(tmp_path / "out" / "shards") == digest(done / "shards")


def test_a_run_directory_may_be_a_uri(done: Path, recipe: Recipe, tmp_path: Path) -> None:
    """The file systems of object stores and this one are reached by the same code."""
    cm.run(recipe(), f"file://{tmp_path}/out", console=QUIET)
    assert digest(tmp_path / "out" / "shards") == digest(done / "shards")
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_changed_step_redoes_what_depends_on_it_and_leaves_nothing_stale(
    done: Path, recipe: Recipe, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    shutil.copytree(done, again)
    changed = recipe()
    del changed["steps"][3]
    cm.run(changed, again, console=QUIET)
    cm.run(changed, tmp_path / "fresh", console=QUIET)
    assert digest(again / "shards") == digest(tmp_path / "fresh" / "shards")
    assert digest(again / "documents") == digest(tmp_path / "fresh" / "documents")


def test_a_change_before_barriers_that_remove_nothing_goes_through(recipe: Recipe, tmp_path: Path) -> None:
    """Same rows, same lengths, empty lists of duplicates: only the texts differ, and the shards must."""
    (tmp_path / "in").mkdir()
    texts = [f"number {n} is at ann{n}@mill.org, and {' '.join(f'w{n}x{k}' for k in range(40))}" for n in range(300)]
    (tmp_path / "in" / "a.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    sources = [{"name": "in", "paths": [str(tmp_path / "in")], "format": "jsonl"}]

    def body(replacement: str) -> dict[str, Any]:
        steps = [{"use": "pii", "email_replacement": replacement}, {"use": "exact"}, {"use": "minhash"}]
        return recipe(sources=sources, steps=steps)

    cm.run(body("<EMAIL>"), tmp_path / "again", console=QUIET)
    cm.run(body("<OTHER>"), tmp_path / "again", console=QUIET)
    cm.run(body("<OTHER>"), tmp_path / "fresh", console=QUIET)
    assert digest(tmp_path / "again" / "documents") == digest(tmp_path / "fresh" / "documents")
    assert digest(tmp_path / "again" / "shards") == digest(tmp_path / "fresh" / "shards")


def test_measuring_all_changes_reasons_but_not_what_is_kept(done: Path, recipe: Recipe, tmp_path: Path) -> None:
    cm.run(recipe(measure_all=True), tmp_path / "out", console=QUIET)
    assert digest(tmp_path / "out" / "shards") == digest(done / "shards")
    ours, theirs = ledger_of(tmp_path / "out")["documents"], ledger_of(done)["documents"]
    assert ours["dropped"] == theirs["dropped"]
    assert sum(ours["failed"].values()) > sum(theirs["failed"].values())


def test_too_much_quarantine_fails_and_a_higher_bound_goes_on(recipe: Recipe, corpus: Path, tmp_path: Path) -> None:
    broken = tmp_path / "in"
    shutil.copytree(corpus / "notes", broken)
    with (broken / "notes.jsonl").open("ab") as file:
        file.write(b'{"text": 3}\n{"text": "cut\n\xff\xfe\n')
    sources = [{"name": "notes", "paths": [str(broken)], "format": "jsonl"}]
    with pytest.raises(QuarantineError, match="3 of 1"):
        cm.run(recipe(sources=sources), tmp_path / "out", console=QUIET)
    assert not (tmp_path / "out" / "stages").exists()
    account = cm.run(recipe(sources=sources, max_quarantine_ratio=0.1), tmp_path / "out", console=QUIET)
    assert sum(account["documents"]["quarantined"].values()) == 3
    rows = [row for path in (tmp_path / "out" / "quarantine").glob("*") for row in pq.read_table(path).to_pylist()]
    assert len(rows) == 3
    assert all(row["locator"].startswith("notes.jsonl#") and row["detail"] for row in rows)


def test_nothing_kept_is_a_clear_error(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no text to train a tokenizer on"):
        cm.run(recipe(steps=[{"use": "gopher_quality", "min_words": 10**5 - 1}]), tmp_path / "out", console=QUIET)


@pytest.mark.parametrize(
    ("content", "policy", "message"),
    [
        ("no tokenizer at all", {}, "not a tokenizer"),
        (None, {"eos_token": "<nowhere>"}, "eos_token '<nowhere>' is not among"),
    ],
)
def test_a_tokenizer_that_can_not_be_used_is_told_before_any_work(
    tmp_path: Path, recipe: Recipe, content: str | None, policy: dict[str, str], message: str
) -> None:
    path = tmp_path / "tokenizer.json"
    if content is None:
        train_tokenizer(["some words to train with"], TokenizerTraining(vocab_size=300), path)
    else:
        path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        cm.run(recipe(tokenizer={"path": str(path), **policy}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_source_without_files_is_a_clear_error(recipe: Recipe, tmp_path: Path) -> None:
    sources = [{"name": "none", "paths": [str(tmp_path / "*.jsonl")], "format": "jsonl"}]
    with pytest.raises(InputError, match="source 'none'"):
        cm.run(recipe(sources=sources), tmp_path / "out", console=QUIET)


def test_two_runs_in_one_directory_are_refused(recipe: Recipe, tmp_path: Path) -> None:
    from corpusmill.pipeline.directory import run_directory
    from corpusmill.pipeline.lock import locked

    with locked(run_directory(tmp_path)), pytest.raises(ConfigError, match="another run"):
        cm.run(recipe(), tmp_path, console=QUIET)


def test_stage_tallies_are_in_the_ledger(done: Path) -> None:
    stages = ledger_of(done)["stages"]
    assert [stage["name"] for stage in stages] == ["1-curate", "2-exact", "3-minhash", "4-curate", "6-tokenize"]
    for stage in stages:
        Tally.from_json(stage["tally"]).check(stage["name"])


def test_carried_fields_decide_and_are_kept(tmp_path: Path) -> None:
    lines = [{"text": f"A text about number {n}. " * 9, "stars": n} for n in range(8)]
    for name, some in (("code", lines), ("other", [{"text": "No stars here at all. " * 9}])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, some)))
    body = {
        "name": "carried",
        "sources": [
            {"name": "code", "paths": [f"{tmp_path}/code.jsonl"], "format": "jsonl", "fields": {"stars": "stars:int"}},
            {"name": "other", "paths": [f"{tmp_path}/other.jsonl"], "format": "jsonl"},
        ],
        "steps": [{"use": "where", "keep": ["record.stars >= 5"]}],
        "tokenizer": {"train": {"vocab_size": 300}},
        "shards": {"sequence_length": 64},
    }
    out = tmp_path / "run"
    cm.run(body, out, console=QUIET)
    kept = [row for path in sorted((out / "documents").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert sorted(row["record.stars"] for row in kept) == [5, 6, 7]
    assert ledger_of(out)["documents"]["dropped"] == {"where.record.stars": 6}
