import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from corpusmill.errors import ConfigError, NotCommitted
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenize.shards.takedown import SkipList, content_hash, write_skip_list
from corpusmill.trainer import TrainConfig, train
from corpusmill.trainer.data import build, epoch_order
from corpusmill.trainer.replay import Replay, replay, step_rows
from corpusmill.trainer.spikes import Spikes

CONFIG = TrainConfig(
    steps=10, batch_rows=4, micro_rows=2, warmup_steps=2, dim=32, layers=2, heads=2, checkpoint_every=3,
    keep_checkpoints=3, seed=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(library: Packed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of the steps 6, 9 and 10 are left."""
    folder = tmp_path_factory.mktemp("trained")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    train(library, folder, CONFIG)
    torch.set_num_threads(before)
    return folder


def logged(folder: Path, step: int) -> dict:
    return json.loads((folder / "log.jsonl").read_text("utf-8").splitlines()[step - 1])


@pytest.mark.parametrize(("step", "begun_at"), [(1, 0), (6, 0), (7, 6), (9, 6), (10, 9)])
def test_the_step_is_repeated_to_the_bit(library: Packed, trained: Path, step: int, begun_at: int) -> None:
    told: list[tuple[int, int]] = []
    found = replay(library, trained, step, lambda *each: told.append(each))
    record = logged(trained, step)
    assert found.begun_at == begun_at
    assert told == [(before, step) for before in range(begun_at + 1, step)]
    assert found.logged == (record["loss"], record["grad_norm"])
    assert (found.loss, found.grad_norm) == pytest.approx(found.logged, rel=1e-6)
    assert sorted(share.row for share in found.rows) == sorted(step_rows(library, trained, step)[2])


def test_parts_add_up(library: Packed, trained: Path) -> None:
    found = replay(library, trained, 8)
    batch = build(library, [share.row for share in found.rows])
    count = (batch.targets >= 0).sum(dim=1).tolist()
    assert sum(share.loss * n for share, n in zip(found.rows, count, strict=True)) == pytest.approx(
        found.loss * sum(count), rel=1e-5
    )
    for share in found.rows:
        parts = [each for each in found.segments if each.row == share.row]
        assert sorted(each.number for each in parts) == list(range(len(library[share.row].segments)))
        targets = {each.number: int(library[share.row].segments[each.number]["length"]) - 1 for each in parts}
        whole = sum((each.loss or 0.0) * targets[each.number] for each in parts)
        assert whole / sum(targets.values()) == pytest.approx(share.loss, rel=1e-5)
        assert share.grad_norm <= sum(each.grad_norm for each in parts) * 1.0001, "a sum of vectors is not longer"
        if len(parts) == 1:
            assert share.grad_norm == pytest.approx(parts[0].grad_norm, rel=1e-5)
    for shares in (found.rows, found.segments):
        assert [share.grad_norm for share in shares] == sorted((s.grad_norm for s in shares), reverse=True)


def poisoned(write, folder: Path) -> Packed:
    """One document among quiet ones that is nothing but noise."""
    rng = random.Random(3)  # noqa: S311  test data, not secrets
    noise = "".join(chr(rng.randrange(33, 127)) for _ in range(90))
    return write(folder, [("calm", "the same few words again and " * 4)] * 40 + [("noise", noise)], sequence_length=128)


def worst_of(packed: Packed, found: Replay) -> str:
    share = found.segments[0]
    return packed.sources[int(packed[share.row].segments[share.number]["source"])]


def test_noise_among_quiet_documents_is_found_and_skipped(write, tmp_path: Path) -> None:
    """The whole way: a document that moves the weights is found, listed, and not learnt from after going back."""
    packed = poisoned(write, tmp_path / "shards")
    config = replace(CONFIG, steps=30, seed=0, keep_checkpoints=10)
    train(packed, tmp_path / "run", config)
    [row] = [row for row in range(len(packed)) if 1 in packed[row].segments["source"]]

    def holds(step: int) -> bool:
        return row in step_rows(packed, tmp_path / "run", step)[2]

    step = next(step for step in range(20, 31) if holds(step))
    found = replay(packed, tmp_path / "run", step)
    assert worst_of(packed, found) == "noise"
    assert found.rows[0].row == row
    segment = packed[row].segments[found.segments[0].number]
    tokens = packed[row].tokens[int(segment["start"]) :][: int(segment["length"])]
    path = str(tmp_path / "skip.json")
    write_skip_list(path, segments=[{"tokens": len(tokens), "xxh3_128": content_hash(tokens).hex()}])
    assert SkipList.load(path).segments

    back = (step - 1) // 3 * 3
    history = train(packed, tmp_path / "run", replace(config, skip_list=path), from_step=back)
    assert history.resumed_from == back
    assert any("noise" in record["sources"] for record in history.records[:back])
    assert all("noise" not in record["sources"] for record in history.records[back:])
    again = replay(packed, tmp_path / "run", step)
    assert worst_of(packed, again) == "calm"
    assert [share.loss for share in again.segments if share.row == row and share.grad_norm == 0.0] == [None]


def test_rows_of_a_step_in_a_later_epoch(library: Packed, tmp_path: Path) -> None:
    config = replace(CONFIG, batch_rows=len(library) - 3, steps=3, seed=5, dim=8, layers=1, micro_rows=99)
    train(library, tmp_path, config)
    packed, place, rows = step_rows(library, tmp_path, 3)
    assert packed is library
    assert (place.epoch, place.row, place.rows) == (1, 0, len(library) - 3)
    assert rows == epoch_order(np.arange(len(library) - 3), len(library), 1, 5).tolist()
    assert rows != list(range(len(library) - 3))


def test_what_cannot_be_replayed_is_said(
    library: Packed, trained: Path, tmp_path: Path, write, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (0, 11, -1):
        with pytest.raises(ConfigError, match="has the steps 1 to 10"):
            replay(library, trained, step)
    other = write(tmp_path / "other", [("code", "x = 1\n" * 99)], sequence_length=128)
    with pytest.raises(ConfigError, match="was trained on the shards"):
        replay(other, trained, 1)
    with pytest.raises(NotCommitted, match="no checkpoint"):
        replay(library, tmp_path / "nowhere", 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="without torchrun"):
        replay(library, trained, 1)


def test_a_replay_writes_nothing(library: Packed, trained: Path) -> None:
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in trained.iterdir()}
    replay(library, trained, 8)
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in trained.iterdir()} == before


def test_a_step_that_was_left_out_is_told_as_logged(
    library: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Spikes.judge
    monkeypatch.setattr(Spikes, "judge", lambda self, loss, norm: judge(self, loss * torch.nan, norm))
    train(library, tmp_path, replace(CONFIG, steps=5, log_every=5, skip_sigma=6.0, checkpoint_every=None))
    [record] = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    for step in (2, 5):
        told = record["skipped"][step - 1]
        assert replay(library, tmp_path, step).logged == (told["loss"], told["grad_norm"])


def test_records_of_several_steps_tell_no_single_one(library: Packed, tmp_path: Path) -> None:
    train(library, tmp_path, replace(CONFIG, log_every=5))
    assert replay(library, tmp_path, 3).logged is None, "step 3's record spans three steps"
    assert replay(library, tmp_path, 10).logged is not None, "step 10 comes right after a checkpoint's record"
