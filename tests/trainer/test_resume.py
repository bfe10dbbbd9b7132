"""Runs that end before their end, and what they go on with or refuse to."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from corpusmill import manifest
from corpusmill.errors import ConfigError, IntegrityError, NotCommitted
from corpusmill.options import plain
from corpusmill.storage import sha256_of
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.trainer import History, checkpoint, train

from .runs import TINY, killed_after, log_of, same, saved


@pytest.mark.parametrize("kills", [[6], [4], [5, 9], [1], [3, 3, 11]])
def test_straight_equals_killed_and_gone_on(
    library: Packed, straight: tuple[Path, History], tmp_path: Path, kills: list[int]
) -> None:
    """N steps straight == some, resume, the rest: weights, optimiser, log, all to the bit (nanoGPT#467)."""
    whole, history = straight
    for step in kills:
        killed_after(step, library, tmp_path, TINY)
    again = train(library, tmp_path, TINY)
    assert again.resumed_from == (kills[-1] - 1) // 4 * 4
    assert same(saved(tmp_path), saved(whole))
    assert log_of(tmp_path) == log_of(whole)
    assert again.records == history.records
    assert again.tokens == history.tokens
    assert [record["step"] for record in again.records] == list(range(1, TINY.steps + 1))


def test_records_of_several_steps_survive_a_kill(library: Packed, tmp_path: Path) -> None:
    """A record every 5 steps, and at each checkpoint: no record spans one."""
    config = replace(TINY, log_every=5)
    whole = train(library, tmp_path / "whole", config)
    assert [record["step"] for record in whole.records] == [4, 5, 8, 10, 12]
    assert [record["places"] for record in whole.records][:3] == [[[0, 0, 24]], [[0, 24, 30]], [[0, 30, 48]]]
    killed_after(10, library, tmp_path / "killed", config)
    assert train(library, tmp_path / "killed", config).records == whole.records
    assert same(saved(tmp_path / "killed"), saved(tmp_path / "whole"))


def test_a_process_killed_without_warning_is_gone_on_with(
    library: Packed, straight: tuple[Path, History], tmp_path: Path
) -> None:
    script = textwrap.dedent(
        """
        import json, os, signal, sys, torch
        from corpusmill.trainer import TrainConfig, train
        torch.set_num_threads(1)
        def on_step(record):
            if record["step"] == 7:
                os.kill(os.getpid(), signal.SIGKILL)
        train(sys.argv[1], sys.argv[2], TrainConfig(**json.loads(sys.argv[3])), on_step)
        """
    )
    arguments = [str(library.directory), str(tmp_path), json.dumps(plain(TINY))]
    done = subprocess.run([sys.executable, "-c", script, *arguments], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert len(log_of(tmp_path).splitlines()) == 7
    (tmp_path / "checkpoint-00000008.pt").write_bytes(b"half")
    (tmp_path / ".checkpoint-00000008.pt.0.tmp").write_bytes(b"half")
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 8, "lo')
    assert train(library, tmp_path, TINY).resumed_from == 4
    assert log_of(tmp_path) == log_of(straight[0])
    assert same(saved(tmp_path), saved(straight[0]))
    assert sorted(os.listdir(tmp_path)) == ["checkpoint-00000012.pt", "log.jsonl", "manifest.json"]


def test_a_finished_run_is_left_alone(library: Packed, straight: tuple[Path, History]) -> None:
    folder, history = straight
    before = {path.name: (path.stat().st_mtime_ns, sha256_of(str(path))) for path in folder.iterdir()}
    again = train(library, folder, TINY, on_step=lambda record: pytest.fail(f"step {record['step']} done again"))
    assert {path.name: (path.stat().st_mtime_ns, sha256_of(str(path))) for path in folder.iterdir()} == before
    assert again.records == history.records
    assert again.resumed_from == TINY.steps


def test_the_manifest_names_every_file_with_its_hash(library: Packed, straight: tuple[Path, History]) -> None:
    folder, history = straight
    body = manifest.load(str(folder / "manifest.json"))
    assert {entry["path"] for entry in body["files"]} == set(os.listdir(folder)) - {"manifest.json"}
    for entry in body["files"]:
        assert entry["bytes"] == (folder / entry["path"]).stat().st_size
        assert entry["sha256"] == sha256_of(str(folder / entry["path"]))
    assert body["threads"] == 1
    assert body["parameters"] == history.parameters
    assert body["config"] == plain(TINY)
    assert body["shards"] == body["content"] == library.id


@pytest.mark.parametrize(
    ("change", "told"),
    [({"seed": 1}, "seed was 0, now 1"), ({"steps": 13}, "steps was 12, now 13"), ({"tied": False}, "tied was True")],
)
def test_another_config_is_refused(
    library: Packed, straight: tuple[Path, History], change: dict[str, int], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        train(library, straight[0], replace(TINY, **change))


def test_other_shards_are_refused(library: Packed, straight: tuple[Path, History], tmp_path: Path, write) -> None:
    other = write(tmp_path / "other", [("code", "x = 1\n" * 99)], sequence_length=library.sequence_length)
    with pytest.raises(ConfigError, match="shards were"):
        train(other, straight[0], TINY)


def test_a_folder_of_something_else_is_refused_and_untouched(library: Packed) -> None:
    before = sorted(os.listdir(library.directory))
    with pytest.raises(ConfigError, match="not written by a training run"):
        train(library, library.directory, TINY)
    assert sorted(os.listdir(library.directory)) == before


@pytest.mark.parametrize("name", ["checkpoint-00000004.pt", "log.jsonl", "manifest.json"])
@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_damaged_files_are_refused(library: Packed, tmp_path: Path, name: str, damage: str) -> None:
    killed_after(5, library, tmp_path, TINY)
    path = tmp_path / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:100] if damage == "cut" else content[:99] + b"\x00" + content[100:])
    if (name, damage) == ("manifest.json", "gone"):
        assert train(library, tmp_path, TINY).resumed_from == 0  # what no manifest names does not exist
    else:
        with pytest.raises(IntegrityError):
            train(library, tmp_path, TINY)


def test_several_checkpoints_are_kept_and_one_can_be_gone_back_to(library: Packed, tmp_path: Path) -> None:
    config = replace(TINY, keep_checkpoints=2)
    train(library, tmp_path, config)
    whole = log_of(tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["checkpoint-00000008.pt", "checkpoint-00000012.pt"]
    with pytest.raises(ConfigError, match="no checkpoint of step 4, only of 12, 8"):
        checkpoint.go_back(tmp_path, 4)
    with pytest.raises(ConfigError, match="seed was 0"):
        train(library, tmp_path, replace(config, seed=1), from_step=8)
    assert log_of(tmp_path) == whole, "a refused command took checkpoints away"
    checkpoint.go_back(tmp_path, 8)
    assert [json.loads(line)["step"] for line in log_of(tmp_path).splitlines()] == list(range(1, 9))
    assert [path.name for path in tmp_path.glob("*.pt")] == ["checkpoint-00000008.pt"]
    assert train(library, tmp_path, config).resumed_from == 8
    assert log_of(tmp_path) == whole
    assert train(library, tmp_path, config, from_step=8).resumed_from == 8
    assert log_of(tmp_path) == whole
    with pytest.raises(NotCommitted, match="no checkpoint"):
        train(library, tmp_path / "nothing", config, from_step=8)


def test_options_that_change_no_row_may_change(library: Packed, tmp_path: Path) -> None:
    """Rows per forward pass and kept checkpoints: the losses stay near, the rows the same."""
    whole = train(library, tmp_path / "whole", TINY)
    killed_after(6, library, tmp_path / "killed", TINY)
    again = train(library, tmp_path / "killed", replace(TINY, micro_rows=1, keep_checkpoints=3))
    assert [record["places"] for record in again.records] == [record["places"] for record in whole.records]
    assert [record["loss"] for record in again.records] == pytest.approx(
        [record["loss"] for record in whole.records], rel=1e-5
    )


@pytest.mark.parametrize(
    "change",
    [{"qk_norm": True}, {"recompute": True}, {"precision": "bf16"}, {"z_loss": 1e-4}, {"schedule": "wsd"},
     {"skip_sigma": 6.0, "skip_window": 8}],
    ids=str,
)  # fmt: skip
def test_every_option_resumes_to_the_bit(library: Packed, tmp_path: Path, change: dict) -> None:
    config = replace(TINY, **change)
    whole = train(library, tmp_path / "whole", config)
    killed_after(6, library, tmp_path / "killed", config)
    assert train(library, tmp_path / "killed", config).records == whole.records
    assert same(saved(tmp_path / "killed"), saved(tmp_path / "whole"))
    assert whole.records[-1]["loss"] < whole.records[0]["loss"]
