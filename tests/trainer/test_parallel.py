"""Several processes of torchrun on this machine, over gloo."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from corpusmill import manifest
from corpusmill.options import plain
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.trainer import TrainConfig, checkpoint, evaluate, load, train

CONFIG = TrainConfig(
    steps=8, batch_rows=5, batch_ramp=((1280, 1), (1664, 7)), micro_rows=2, warmup_steps=2, dim=32, layers=2, heads=2,
    checkpoint_every=4, keep_checkpoints=2, skip_sigma=6.0, skip_window=4,
)  # fmt: skip
"""2 steps of 5 rows, 3 of one row, which leaves the other processes with none, then 7."""


def together(processes: int, shards: Packed, folder: Path, jobs: list[dict[str, Any]]) -> None:
    (folder / "jobs.json").write_text(json.dumps(jobs), "utf-8")
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    script = [str(Path(__file__).with_name("run_parallel.py")), str(shards.directory), str(folder / "jobs.json")]
    done = subprocess.run([sys.executable, *command, *script], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "manifest.json"}


def configs(held_out: Packed) -> dict[str, TrainConfig]:
    base = replace(CONFIG, eval_shards=str(held_out.directory), eval_every=4)
    return {
        "ddp": base,
        "fsdp": replace(base, parallel="fsdp", recompute=True, qk_norm=True, tied=False, z_loss=1e-4),
    }


@pytest.fixture(scope="module")
def held_out(write, tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """3 rows: not the same number for each of two processes."""
    folder = tmp_path_factory.mktemp("held_out") / "shards"
    return write(folder, [("new", "some text that nobody has trained on " * 10)], sequence_length=128)


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)])
def trained(
    request: pytest.FixtureRequest, library: Packed, held_out: Packed, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, Path]:
    """`NAME` trained straight, `NAME-again` put back to step 4 and gone on with, by so many processes."""
    folder = tmp_path_factory.mktemp("parallel")
    jobs = [{"folder": str(folder / name), "config": plain(config)} for name, config in configs(held_out).items()]
    again = [{**job, "folder": f"{job['folder']}-again", "copy_of": job["folder"], "step": 4} for job in jobs]
    together(request.param, library, folder, [*jobs, *again])
    return request.param, folder


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_gone_on_with_is_the_same_to_the_bit(trained: tuple[int, Path], name: str) -> None:
    _, folder = trained
    straight, again = folder_bytes(folder / name), folder_bytes(folder / f"{name}-again")
    assert straight.keys() == again.keys() == {"checkpoint-00000004.pt", "checkpoint-00000008.pt", "log.jsonl"}
    assert straight == again
    facts = manifest.load(str(folder / name / "manifest.json"))
    assert facts["processes"] == trained[0]


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_one_process_takes_the_same_rows_to_the_same_losses(
    library: Packed, held_out: Packed, tmp_path: Path, trained: tuple[int, Path], name: str
) -> None:
    _, folder = trained
    config = configs(held_out)[name]
    alone = train(library, tmp_path / "alone", config).records
    many = [json.loads(line) for line in (folder / name / "log.jsonl").read_text("utf-8").splitlines()]
    assert [record["places"] for record in many] == [record["places"] for record in alone]
    assert [record["tokens"] for record in many] == [record["tokens"] for record in alone]
    for one, other in zip(alone, many, strict=True):
        for key in ("loss", "grad_norm", "lr"):
            assert one[key] == pytest.approx(other[key], rel=1e-5), (one["step"], key)
        assert one["sources"] == pytest.approx(other["sources"], rel=1e-5)
    assert many[-1]["held_out"]["tokens"] == alone[-1]["held_out"]["tokens"]
    assert many[-1]["held_out"]["loss"] == pytest.approx(alone[-1]["held_out"]["loss"], rel=1e-5)
    found = evaluate(load(folder / name), held_out)
    assert found.loss == pytest.approx(many[-1]["held_out"]["loss"], rel=1e-5), "the checkpoint is not the model"


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_one_process_goes_on_with_what_many_began(
    library: Packed, held_out: Packed, tmp_path: Path, trained: tuple[int, Path], name: str
) -> None:
    _, folder = trained
    shutil.copytree(folder / name, tmp_path / "copy")
    checkpoint.go_back(tmp_path / "copy", 4)
    history = train(library, tmp_path / "copy", configs(held_out)[name])
    assert history.resumed_from == 4
    many = [json.loads(line) for line in (folder / name / "log.jsonl").read_text("utf-8").splitlines()]
    assert history.records[:4] == many[:4]
    assert [record["places"] for record in history.records] == [record["places"] for record in many]
    assert [record["loss"] for record in history.records] == pytest.approx(
        [record["loss"] for record in many], rel=1e-5
    )
