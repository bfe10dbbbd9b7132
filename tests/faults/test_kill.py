"""SIGKILL a real run at any moment and start it again: the shards come out the same, and nothing half-made counts."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import corpusmill as cm
from corpusmill import storage
from corpusmill.jobs.main import main
from corpusmill.recipe import load, to_toml

Recipe = Callable[..., dict[str, Any]]


def digest(folder: Path) -> list[tuple[str, str]]:
    return [
        (path.name, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]


def start(recipe: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "corpusmill", "run", str(recipe), "--out", str(out), "--workers", str(workers)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def kill_until_done(recipe: Path, out: Path, rng: random.Random, most: int, workers: int) -> int:
    """Kill the run `most` times at random moments, then let it finish; gives how often it was killed at work."""
    killed = 0
    for _ in range(most):
        process = start(recipe, out, workers)
        time.sleep(rng.uniform(0.5, 8.0))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    assert start(recipe, out, workers).wait() == 0
    return killed


def check_kills(recipe: Recipe, folder: Path, seed: int, kills: int, workers: int) -> None:
    path = folder / "recipe.toml"
    path.write_text(to_toml(load(recipe())))
    assert main(["run", str(path), "--out", str(folder / "golden")]) == 0
    killed = kill_until_done(path, folder / "out", random.Random(seed), kills, workers)  # noqa: S311
    assert killed > 0
    assert digest(folder / "out" / "shards") == digest(folder / "golden" / "shards")
    assert main(["verify", str(folder / "out")]) == 0


def test_killed_runs_give_the_same_shards(recipe: Recipe, tmp_path: Path) -> None:
    check_kills(recipe, tmp_path, seed=1, kills=3, workers=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_many_kills(recipe: Recipe, tmp_path: Path, seed: int) -> None:
    check_kills(recipe, tmp_path, seed, kills=8, workers=1 + seed % 2)


@pytest.mark.slow
def test_every_rename_fails_once(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nth file of a run can't get its name, for every n: each time the next try finishes with the same bytes."""
    body = recipe()
    quiet = Console(quiet=True)
    cm.run(body, tmp_path / "golden", console=quiet)
    calls, fail_at = 0, 0
    real = Path.replace

    def replace(self: Path, target: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == fail_at:
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(storage.Path, "replace", replace)
    hit = 0
    while True:
        fail_at, calls = fail_at + 1, 0
        out = tmp_path / f"out-{fail_at}"
        try:
            cm.run(body, out, console=quiet)
        except (OSError, RuntimeError) as error:
            assert "No space left" in str(error)  # noqa: PT017
            hit += 1
        else:
            break
        cm.run(body, out, console=quiet)
        assert digest(out / "shards") == digest(tmp_path / "golden" / "shards")
    assert hit >= 20
