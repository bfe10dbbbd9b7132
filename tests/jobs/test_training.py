"""`train`, `trace --step` and `bisect` from the command line, on the shards of a small run."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from corpusmill.jobs.main import main
from corpusmill.recipe import load, to_toml
from corpusmill.tokenize.shards.takedown import write_skip_list
from corpusmill.trainer.learner import Learner
from corpusmill.trainer.schedule import Place

SETTINGS = [
    "--set", "steps=6", "--set", "dim=16", "--set", "layers=1", "--set", "heads=2", "--set", "batch_rows=3",
    "--set", "checkpoint_every=2", "--set", "keep_checkpoints=3", "--set", "warmup_steps=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    """A finished run with a training beside its shards."""
    folder = tmp_path_factory.mktemp("training")
    body: dict[str, Any] = {
        "name": "training",
        "sources": [{"name": "notes", "paths": [str(corpus / "notes")], "format": "jsonl"}],
        "steps": [{"use": "gopher_quality", "min_words": 30}],
        "tokenizer": {"train": {"vocab_size": 500, "sample_bytes": 100_000}},
        "shards": {"sequence_length": 64, "rows_per_shard": 512},
    }
    (folder / "recipe.toml").write_text(to_toml(load(body)))
    assert main(["run", str(folder / "recipe.toml"), "--out", str(folder / "out")]) == 0
    assert main(["train", str(folder / "out" / "shards"), "--out", str(folder / "training"), *SETTINGS]) == 0
    return folder


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]


def test_train_says_what_it_did_and_keeps_time_out_of_the_log(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = str(ran / "out" / "shards")
    assert main(["train", shards, "--out", str(tmp_path / "again"), *SETTINGS]) == 0
    said = capsys.readouterr().out
    assert "tokens/s" in said
    assert "GFLOP/s of the model" in said
    assert "loss" in said.splitlines()[0]
    assert "  notes: loss" in said
    assert (tmp_path / "again" / "log.jsonl").read_bytes() == (ran / "training" / "log.jsonl").read_bytes()
    assert main(["train", shards, "--out", str(tmp_path / "again"), *SETTINGS]) == 0
    assert "done before" in capsys.readouterr().out


def test_trace_a_step(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, training = str(ran / "out"), str(ran / "training")
    assert main(["trace", out, "--training", training, "--step", "2"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("step 2: places 3 to 5 of epoch 0\n")
    assert records(ran / "training")[1]["places"] == [[0, 3, 6]]
    alone = []
    for row in (3, 4, 5):
        assert main(["trace", out, "--row", str(row)]) == 0
        alone += [f"row {row}  {line}" for line in capsys.readouterr().out.splitlines()]
    assert said.splitlines()[1:] == alone
    line = said.splitlines()[1].split()
    assert (len(line[4]), line[5]) == (32, "notes")
    assert "#" in line[6], "no locator"


def test_bisect_ranks_writes_a_skip_list_and_training_goes_back(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards, skip = str(ran / "out" / "shards"), str(tmp_path / "skip.json")
    command = ["bisect", str(ran / "training"), shards, "--step", "6", "--top", "3", "--skip-list", skip]
    assert main([*command, "--worst", "2"]) == 0
    said = capsys.readouterr().out
    logged = records(ran / "training")[5]
    assert f"the log says {logged['loss']:.6f} and {logged['grad_norm']:.6f}" in said
    assert "replayed from step 4" in said
    assert said.count("\nrow ") == 3 + 3
    body = json.loads(Path(skip).read_text())
    assert [each["step"] for each in body["segments"]] == [6, 6]
    assert main([*command, "--worst", "3"]) == 0
    assert len(json.loads(Path(skip).read_text())["segments"]) == 3, "those listed before count once"

    before = records(ran / "training")
    copy = tmp_path / "training"
    subprocess.run(["cp", "-r", str(ran / "training"), str(copy)], check=True)
    capsys.readouterr()
    words = ["train", shards, "--out", str(copy), *SETTINGS, "--set", f"skip_list={skip}", "--from-step", "4"]
    assert main(words) == 0
    after = records(copy)
    assert after[:5] == before[:5]
    assert after[5]["places"] == before[5]["places"]
    assert after[5]["tokens"] < before[5]["tokens"], "the listed segments were learnt from all the same"


def test_bisect_looks_into_a_step_whose_loss_was_no_number(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Learner.gradients

    def gradients(self: Learner, place: Place) -> tuple[Any, Any]:
        sums, count = real(self, place)
        return (sums * math.nan, count) if place.step == 3 else (sums, count)

    monkeypatch.setattr(Learner, "gradients", gradients)
    shards, training, skip = str(ran / "out" / "shards"), str(tmp_path / "training"), tmp_path / "skip.json"
    assert main(["train", shards, "--out", training, *SETTINGS, "--set", "skip_sigma=6"]) == 0
    assert records(Path(training))[2]["loss"] is None
    capsys.readouterr()
    write_skip_list(str(skip), documents=[b"0123456789abcdef"])
    body = json.loads(skip.read_text())
    del body["segments"]  # as people write it
    skip.write_text(json.dumps(body))
    assert main(["bisect", training, shards, "--step", "3", "--skip-list", str(skip)]) == 0
    assert "; the log says nan and " in capsys.readouterr().out
    body = json.loads(skip.read_text())
    assert (len(body["documents"]), len(body["segments"])) == (1, 1)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["trace", "OUT", "--step", "2"], 2, "--step and --training belong together"),
        (["trace", "OUT", "--row", "2", "--training", "TRAINING"], 2, "belong together"),
        (["trace", "OUT", "--training", "TRAINING", "--step", "7"], 2, "has the steps 1 to 6"),
        (["trace", "OUT", "--training", "OUT", "--step", "1"], 2, "not written by a training run"),
        (["trace", "OUT", "--training", "NOWHERE", "--step", "1"], 1, "no checkpoint"),
        (["bisect", "TRAINING", "OUT/shards", "--step", "0"], 2, "has the steps 1 to 6"),
        (["bisect", "TRAINING", "OUT/shards", "--step", "1", "--top", "0"], 2, "--top 0"),
        (["bisect", "TRAINING", "OUT/shards", "--step", "1", "--skip-list", "OUT/manifest.json"], 2, "not a skip list"),
        (["train", "OUT/shards", "--out", "TRAINING", *SETTINGS, "--from-step", "1"], 2, "no checkpoint of step 1"),
        (["train", "OUT/shards", "--out", "TRAINING", "--from-step", "2"], 2, "begun differently, at step 6"),
        (["train", "OUT/shards", "--out", "TRAINING", "--set", "device=cuda"], 2, "no CUDA device"),
        (["train", "OUT/shards", "--out", "NOWHERE", "--set", "skip_list=NOWHERE"], 2, "not a skip list"),
        (["train", "OUT/shards", "--out", "NOWHERE", "--set", "eval_shards=NOWHERE"], 1, "no file"),
    ],
)
def test_errors_are_clear_and_exit_codes_right(
    ran: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    places = {"OUT": ran / "out", "TRAINING": ran / "training", "NOWHERE": ran / "nowhere"}
    for name, place in places.items():
        words = [word.replace(name, str(place)) for word in words]
    assert main(words) == code
    assert message in " ".join(capsys.readouterr().err.split())


def test_two_processes_of_torchrun_train_from_the_command_line(ran: Path, tmp_path: Path) -> None:
    """The same rows and, nearly, the losses of one process; one of the two speaks."""
    out = tmp_path / "two"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    words = ["corpusmill", "train", str(ran / "out" / "shards"), "--out", str(out), *SETTINGS]
    done = subprocess.run(
        [*launch, *words, "--set", "parallel=fsdp"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("tokens learnt") == 1
    one, two = records(ran / "training"), records(out)
    assert [record["places"] for record in two] == [record["places"] for record in one]
    assert [record["loss"] for record in two] == pytest.approx([record["loss"] for record in one], rel=1e-5)
