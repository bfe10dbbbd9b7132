"""Every export read back by its owner's own reader, token by token and boundary by boundary.

`make readers` installs them; without, these tests are skipped.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpusmill.jobs.main import main
from corpusmill.manifest import load
from corpusmill.recipe import load as load_recipe
from corpusmill.recipe import to_toml
from corpusmill.tokenize.packing.token_files import open_token_file
from corpusmill.tokenize.shards.packed import Packed

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-readers" / "bin" / "python"
IGNORE = -100
LENGTH = 128

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="the owners' readers are not installed: make readers"),
]


@dataclass(frozen=True)
class Run:
    folder: Path
    packed: Packed
    tokens: np.ndarray[Any, Any]
    ends: np.ndarray[Any, Any]
    ids: list[str]
    sources: list[str]

    def row_pieces(self) -> list[list[int]]:
        """Lengths of the pieces of each row, padding included."""
        made = []
        for row in self.packed:
            lengths = row.segments["length"].astype(int).tolist()
            rest = LENGTH - sum(lengths)
            made.append([*lengths, rest] if rest else lengths)
        return made

    @property
    def rows(self) -> np.ndarray[Any, Any]:
        return np.concatenate([row.tokens.astype(np.int64) for row in self.packed])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Run:
    folder = tmp_path_factory.mktemp("readers")
    body = {
        "name": "readers",
        "sources": [
            {"name": "notes", "paths": [str(corpus / "notes")], "format": "jsonl"},
            {"name": "code", "paths": [str(corpus / "code" / "part-0.jsonl")], "format": "jsonl"},
        ],
        "tokenizer": {"train": {"vocab_size": 600, "sample_bytes": 100_000}},
        "shards": {"sequence_length": LENGTH, "rows_per_shard": 2000},
    }
    (folder / "recipe.toml").write_text(to_toml(load_recipe(body)))
    assert main(["run", str(folder / "recipe.toml"), "--out", str(folder / "out")]) == 0
    stage = next(path for path in (folder / "out" / "stages").iterdir() if path.stem.endswith("-tokenize"))
    pieces = sorted(load(str(stage))["tokens"], key=lambda piece: (piece["source"], piece["unit"]))
    files = [open_token_file(str(folder / "out" / piece["path"])) for piece in pieces]
    lengths = np.concatenate([np.diff(file.offsets) for file in files])
    ids = [row.astype(">u8").tobytes().hex() for file in files for row in file.ids]
    sources = [piece["source"] for piece, file in zip(pieces, files, strict=True) for _ in file.ids]
    tokens = np.concatenate([file.tokens for file in files]).astype(np.int64)
    return Run(folder, Packed(folder / "out" / "shards"), tokens, np.cumsum(lengths), ids, sources)


Back = Callable[..., Any]


@pytest.fixture
def back(run: Run, tmp_path: Path) -> Back:
    """A function: export, and what the owner's reader finds."""

    def read(name: str, what: str, *more: str) -> Any:
        out, found = tmp_path / f"{name}-{what}", tmp_path / f"{name}-{what}.npz"
        words = ["export", str(run.folder / "out"), "--to", name, "--what", what, "--out", str(out), *more]
        assert main(words) == 0
        end = run.packed.manifest["tokenizer"]["eos_id"]
        script = Path(__file__).with_name("read_back.py")
        done = subprocess.run(
            [str(PYTHON), "-W", "ignore", str(script), name, what, str(out), str(found), str(LENGTH), str(end)],
            capture_output=True,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return np.load(found, allow_pickle=False)

    return read


def positions(pieces: list[list[int]]) -> list[int]:
    return [at for row in pieces for length in row for at in range(length)]


def targets(run: Run) -> list[int]:
    """At each place the token that may be predicted there from the one before, else IGNORE; by the shards alone."""
    made: list[int] = []
    for row in run.packed:
        own = [IGNORE] * LENGTH
        for segment in row.segments:
            first, stop = int(segment["start"]), int(segment["start"]) + int(segment["length"])
            own[first + 1 : stop] = row.tokens[first + 1 : stop].tolist()
        made += own
    return made


SEVERAL = ("--max-tokens", "150000")


def test_megatron(run: Run, back: Back) -> None:
    found = back("megatron", "documents", *SEVERAL)
    assert np.array_equal(found["tokens"], run.tokens)
    assert np.array_equal(found["ends"], run.ends)
    assert found["documents"] == len(run.ends)
    rows = back("megatron", "rows", *SEVERAL)
    assert np.array_equal(rows["tokens"], run.rows)
    assert np.array_equal(rows["ends"], np.arange(1, len(run.packed) + 1) * LENGTH)


def test_mds(run: Run, back: Back) -> None:
    found = back("mds", "documents", "--max-tokens", "100000")
    assert np.array_equal(found["tokens"], run.tokens)
    assert np.array_equal(found["ends"], run.ends)
    assert (found["id"].tolist(), found["source"].tolist()) == (run.ids, run.sources)
    rows = back("mds", "rows", "--max-tokens", "100000")
    assert np.array_equal(rows["tokens"], run.rows)
    assert rows["pieces"].tolist() == np.cumsum([length for row in run.row_pieces() for length in row]).tolist()


def test_datatrove(run: Run, back: Back) -> None:
    found = back("datatrove", "documents")
    assert np.array_equal(found["tokens"], run.tokens[: len(run.tokens) // LENGTH * LENGTH])  # it drops the rest
    assert np.array_equal(found["ends"], run.ends)
    rows = back("datatrove", "rows", *SEVERAL)
    assert np.array_equal(rows["tokens"], run.rows)
    assert rows["positions"].tolist() == positions(run.row_pieces())


def test_olmo(run: Run, back: Back) -> None:
    found = back("olmo", "documents", *SEVERAL)
    assert np.array_equal(found["tokens"], run.tokens)
    assert np.array_equal(found["ends"], run.ends)
    assert np.array_equal(found["scanned"], run.ends)
    rows = back("olmo", "rows", "--max-tokens", str(1000 * LENGTH))
    assert np.array_equal(rows["tokens"], run.rows)
    wanted = np.array(targets(run)).reshape(-1, LENGTH)
    shifted = np.concatenate([wanted[:, 1:], np.full((len(wanted), 1), IGNORE)], axis=1)
    assert np.array_equal(rows["targets"], shifted.reshape(-1))


def test_hugging_face(run: Run, back: Back) -> None:
    found = back("hf", "documents", *SEVERAL)
    assert np.array_equal(found["tokens"], run.tokens)
    assert np.array_equal(found["ends"], run.ends)
    assert (found["id"].tolist(), found["source"].tolist()) == (run.ids, run.sources)
    rows = back("hf", "rows", *SEVERAL)
    assert np.array_equal(rows["tokens"], run.rows)
    assert rows["labels"].tolist() == targets(run)
    assert rows["positions"].tolist() == positions(run.row_pieces())
    assert rows["pieces"].tolist() == np.cumsum([length for row in run.row_pieces() for length in row]).tolist()


def test_litdata(run: Run, back: Back) -> None:
    rows = back("litdata", "rows", "--max-tokens", str(1000 * LENGTH))
    assert np.array_equal(rows["tokens"], run.rows)
    found = back("litdata", "documents")
    assert np.array_equal(found["tokens"], run.tokens[: len(run.tokens) // LENGTH * LENGTH])  # it drops the rest
