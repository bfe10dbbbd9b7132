"""Parts, splits, takedowns, separators, the account, and folders that appear whole."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.errors import ConfigError, InputError, IntegrityError, LedgerError
from corpusmill.tokenize.export import export as module
from corpusmill.tokenize.export.blocks import PIECE, Block, checked_cast, hex_ids, offsets_of
from corpusmill.tokenize.export.corpus import Split
from corpusmill.tokenize.export.export import Options, export
from corpusmill.tokenize.export.formats import Facts
from corpusmill.tokenize.export.mds import assemble
from corpusmill.tokenize.export.parts import plan_parts
from corpusmill.tokenize.export.registry import FORMATS
from corpusmill.tokenize.shards.takedown import id_table

U16 = np.dtype("<u2")
FACTS = Facts("documents", 600, 0, None, "ab" * 32)
TEXTS = [[n + 1] * (n % 7) + [0] for n in range(40)]


def tokens_of(path: Path) -> list[int]:
    return np.fromfile(path, "<u2").tolist()


def run(corpus: Any, out: Path, name: str = "nanogpt", **options: Any) -> dict[str, Any]:
    return export(corpus, FORMATS[name], FACTS, str(out), Options(**options), {}, lambda _: None)


@settings(max_examples=60)
@given(
    texts=st.lists(st.lists(st.integers(0, 9), max_size=12), min_size=1, max_size=4),
    limit=st.integers(9, 40),
    block=st.integers(1, 20),
)
def test_parts_hold_every_sequence_once_and_in_order(texts: list[list[int]], limit: int, block: int) -> None:
    """Against plain Python: greedy, in order, never above the limit."""

    class Fixed:
        sources, files, id_sum = ("a",), len(texts), None

        def lengths(self, file: int, split: Split) -> Any:  # noqa: ARG002
            return np.array(texts[file], dtype=np.int64).reshape(-1)

        def pieces(self, file: int) -> Any:
            return np.ones(len(texts[file]), np.int64)

        def block(self, file: int, first: int, stop: int, split: Split) -> Block:
            lengths = self.lengths(file, split)[first:stop]
            tokens = np.repeat(np.arange(first, stop), lengths).astype(np.uint16)
            return Block(tokens, lengths, np.zeros(len(lengths), PIECE), np.ones(len(lengths), np.int64))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("corpusmill.tokenize.export.parts.BLOCK_TOKENS", block)
        parts = plan_parts(Fixed(), Split("train"), U16, limit, 1 << 40, (1, 0, 0))  # type: ignore[arg-type]
        found = [[n for lengths in part.lengths() for n in lengths.tolist()] for part in parts]
        blocks = [[n for made in part.blocks() for n in made.lengths.tolist()] for part in parts]
    wanted: list[list[int]] = []
    for length in (length for file in texts for length in file):
        if not wanted or (sum(wanted[-1]) + length > limit):
            wanted.append([])
        wanted[-1].append(length)
    assert found == blocks == wanted
    assert [(part.sequences, part.tokens) for part in parts] == [(len(part), sum(part)) for part in wanted]
    assert [part.number for part in parts] == list(range(len(wanted)))


def test_several_files_and_one_that_is_longer_than_all(documents: Any, tmp_path: Path) -> None:
    corpus = documents([("web", [[1, 0], [2] * 50 + [0], [3, 0]])])
    body = run(corpus, tmp_path / "out", "llmc", max_tokens=10)
    assert [file["bytes"] - 1024 for file in body["files"]] == [4, 102, 4]
    with pytest.raises(ConfigError, match="51 tokens is more than one file"):
        plan_parts(corpus, Split("train"), U16, 10, 50, (1, 0, 0))


def test_splits_are_disjoint_complete_and_stable(documents: Any, tmp_path: Path) -> None:
    corpus = documents([("web", TEXTS[:25]), ("code", TEXTS[25:])])
    run(corpus, tmp_path / "out", validation=0.3)
    train, val = (tokens_of(tmp_path / "out" / f"{name}.bin") for name in ("train", "val"))
    assert len(train) + len(val) == corpus.tokens
    assert 0 < len(val) < len(train)
    whole = documents([("web", TEXTS)])
    run(whole, tmp_path / "more", validation=0.6)
    assert len(tokens_of(tmp_path / "more" / "val.bin")) > len(val)
    with pytest.raises(ConfigError, match="--validation 1"):
        Options(validation=1)


@pytest.mark.parametrize("name", ["mds", "megatron", "olmo", "datatrove", "litdata"])
def test_splits_have_folders_where_readers_take_all_of_one(documents: Any, tmp_path: Path, name: str) -> None:
    body = run(documents([("web", TEXTS)]), tmp_path / "out", name, validation=0.3)
    assert {file["path"].split("/")[0] for file in body["files"]} == {"train", "val"}


def test_takedowns_are_left_out_and_accounted_for(documents: Any, tmp_path: Path) -> None:
    plain = documents([("web", [[1, 0], [2, 2, 0], [3, 0]])])
    block = plain.block(0, 0, 3, Split("train"))
    table = id_table([block.pieces["id"][1].tobytes()])
    corpus = documents([("web", [[1, 0], [2, 2, 0], [3, 0]])], takedowns=table)
    body = run(corpus, tmp_path / "out")
    assert tokens_of(tmp_path / "out" / "train.bin") == [1, 0, 3, 0]
    assert body["account"] == {"in": 7, "taken_down": 3, "separators_added": 0, "out": 4, "padding": 0}
    everything = id_table([row.tobytes() for row in block.pieces["id"]])
    with pytest.raises(InputError, match="nothing to write"):
        run(documents([("web", [[1, 0], [2, 2, 0], [3, 0]])], takedowns=everything), tmp_path / "none")


def test_separators_are_put_behind_every_document_and_accounted_for(documents: Any, tmp_path: Path) -> None:
    body = run(documents([("web", [[1], [], [2, 3]])], separator=0), tmp_path / "out")
    assert tokens_of(tmp_path / "out" / "train.bin") == [1, 0, 0, 2, 3, 0]
    assert body["account"] == {"in": 3, "taken_down": 0, "separators_added": 3, "out": 6, "padding": 0}


@pytest.mark.parametrize(("key", "value", "message"), [("tokens", 6, "do not add up"), ("id_sum", 5, "ids")])
def test_an_account_that_does_not_close_leaves_nothing(
    documents: Any, tmp_path: Path, key: str, value: int, message: str
) -> None:
    from dataclasses import replace

    corpus = replace(documents([("web", [[1, 0], [2, 0]])]), **{key: value})
    with pytest.raises(LedgerError, match=message):
        run(corpus, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"], "something was left"


def test_a_folder_is_never_written_over(documents: Any, tmp_path: Path) -> None:
    corpus, out = documents([("web", TEXTS)]), tmp_path / "out"
    body = run(corpus, out)
    stamp = (out / "train.bin").stat().st_mtime_ns
    assert run(corpus, out) == body
    assert (out / "train.bin").stat().st_mtime_ns == stamp
    with pytest.raises(ConfigError, match="something else"):
        run(corpus, out, max_tokens=100)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(ConfigError, match="something else"):
        run(corpus, tmp_path / "mine")
    with pytest.raises(ConfigError, match="local folders"):
        export(corpus, FORMATS["hf"], FACTS, "gs://bucket/x", Options(), {}, lambda _: None)


def test_a_failure_leaves_no_folder(documents: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(module, "commit", fail)
    with pytest.raises(OSError, match="no space"):
        run(documents([("web", TEXTS)]), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"], "something was left"


def test_a_token_that_does_not_fit_is_refused_not_wrapped(documents: Any, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="token 65536 does not fit uint16"):
        run(documents([("web", [[1, 65_536]])], dtype="uint32"), tmp_path / "out")
    assert checked_cast(np.array([1, 2], np.uint32), U16, "x").dtype == U16


def test_the_manifest_tells_what_was_exported(documents: Any, tmp_path: Path) -> None:
    run(documents([("web", TEXTS)]), tmp_path / "out", "megatron", max_tokens=60)
    body = json.loads((tmp_path / "out" / "manifest.json").read_text())
    told = body["splits"]["train"]
    assert (body["format"], body["to"], told["sequences"]) == ("corpusmill.export", "megatron", 40)
    assert told["files"] == len([file for file in body["files"] if file["path"].endswith(".bin")]) > 1


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=5))
def test_hex_ids(ids: list[bytes]) -> None:
    found = hex_ids(np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16))
    assert [row.tobytes().decode() for row in found] == [each.hex() for each in ids]


@given(st.lists(st.tuples(st.binary(max_size=4), st.binary(min_size=2, max_size=2), st.binary(max_size=3)), min_size=1))
def test_samples_are_sizes_then_columns(samples: list[tuple[bytes, bytes, bytes]]) -> None:
    columns = []
    for at in range(3):
        data = np.frombuffer(b"".join(sample[at] for sample in samples), np.uint8)
        columns.append((data, np.array([len(sample[at]) for sample in samples], np.int64)))
    data, sizes = assemble(columns, [True, False, True])
    wanted = [len(a).to_bytes(4, "little") + len(c).to_bytes(4, "little") + a + b + c for a, b, c in samples]
    assert data.tobytes() == b"".join(wanted)
    assert offsets_of(sizes)[1:].tolist() == np.cumsum([len(each) for each in wanted]).tolist()


def test_what_a_killed_export_left_is_swept_away_and_a_living_one_is_left_alone(documents: Any, tmp_path: Path) -> None:
    corpus = documents([("web", TEXTS)])
    dead, alien = tmp_path / f".out.{'0' * 32}.tmp", tmp_path / f".out2.{'0' * 32}.tmp"
    living = tmp_path / f".out.{'1' * 32}.tmp"
    for folder in (dead, alien, living):
        folder.mkdir()
        (folder / "train.bin").write_bytes(b"half")
    handle = os.open(living, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        run(corpus, tmp_path / "out")
    finally:
        os.close(handle)
    assert {path.name for path in tmp_path.iterdir()} - {"tokens"} == {"out", alien.name, living.name}
