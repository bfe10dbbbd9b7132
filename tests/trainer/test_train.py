import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from corpusmill import manifest
from corpusmill.errors import ConfigError, CorpusmillError, IntegrityError, NotCommitted
from corpusmill.options import plain
from corpusmill.storage import sha256_of
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.trainer import History, TrainConfig, checkpoint, evaluate, load, train
from corpusmill.trainer.learner import Learner, Record
from corpusmill.trainer.parallel import World
from corpusmill.trainer.schedule import Schedule

TINY = TrainConfig(
    steps=12, batch_rows=6, micro_rows=4, warmup_steps=3, dim=32, layers=2, heads=2, checkpoint_every=4
)  # fmt: skip


class Killed(Exception):
    """Stands for a crash between two steps."""


def killed_after(step: int, shards: Packed, folder: Path, config: TrainConfig) -> None:
    def on_step(record: Record) -> None:
        if record["step"] == step:
            raise Killed

    with pytest.raises(Killed):
        train(shards, folder, config, on_step)


def log_of(folder: Path) -> str:
    return (folder / "log.jsonl").read_text("utf-8")


def saved(folder: Path) -> dict:
    [path] = folder.glob("checkpoint-*.pt")
    return torch.load(path, weights_only=True)


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return (
            isinstance(other, torch.Tensor)
            and one.dtype == other.dtype
            and torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
        )
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.fixture(scope="module")
def straight(library: Packed, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, History]:
    folder = tmp_path_factory.mktemp("straight")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    history = train(library, folder, TINY)
    torch.set_num_threads(before)
    return folder, history


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


def test_the_log_adds_up(library: Packed, straight: tuple[Path, History]) -> None:
    _, history = straight
    schedule = Schedule(TINY, len(library), library.sequence_length)
    for step, record in enumerate(history.records, start=1):
        assert record["lr"] == schedule.rate(step)
        assert record["skipped"] == []
        assert record["row"] == step * TINY.batch_rows % len(library) or record["epoch"] > 0
        assert set(record["sources"]) <= set(library.sources)
    assert history.records[-1]["tokens"] == history.tokens
    first = history.records[0]
    rows = [library[row] for row in range(TINY.batch_rows)]
    per_source = {name: 0 for name in library.sources}
    for row in rows:
        for piece in row.segments:
            per_source[library.sources[piece["source"]]] += int(piece["length"]) - 1
    assert first["tokens"] == sum(per_source.values())
    mean = sum(first["sources"].get(name, 0) * count for name, count in per_source.items()) / first["tokens"]
    assert first["loss"] == pytest.approx(mean)


def test_micro_rows_change_memory_not_the_gradient(library: Packed, tmp_path: Path) -> None:
    """The loss is divided by the supervised tokens of the whole batch, not averaged over its parts."""
    config = replace(TINY, steps=2, clip_norm=None)
    whole = train(library, tmp_path / "whole", replace(config, micro_rows=6))
    parts = train(library, tmp_path / "parts", replace(config, micro_rows=1))
    for one, other in zip(whole.records, parts.records, strict=True):
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-4)
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)


def test_training_goes_through_epochs(library: Packed, tmp_path: Path) -> None:
    rows = len(library)
    history = train(library, tmp_path, replace(TINY, batch_rows=rows - 1, steps=3))
    assert [(record["epoch"], record["row"]) for record in history.records] == [(0, rows - 1), (1, 0), (1, rows - 1)]


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


def test_a_loss_that_is_no_number_stops_the_run(library: Packed, tmp_path: Path) -> None:
    with pytest.raises(CorpusmillError, match=r"step \d+: the loss is .*, the gradient's norm is (nan|inf)"):
        train(library, tmp_path, replace(TINY, steps=40, learning_rate=1e30, warmup_steps=0, clip_norm=None))


def test_weight_decay_spares_embeddings_and_norms(library: Packed) -> None:
    run = Learner(library, replace(TINY, tied=False, qk_norm=True), World(torch.device("cpu")))
    names = {id(weight): name for name, weight in run.model.named_parameters()}
    decayed, spared = ({names[id(weight)] for weight in group["params"]} for group in run.optimizer.param_groups)
    assert [group["weight_decay"] for group in run.optimizer.param_groups] == [0.1, 0.0]
    assert spared == {name for name in names.values() if "norm" in name} | {"embedding.weight"}
    assert decayed | spared == set(names.values())


def test_the_callers_random_state_and_settings_come_back(library: Packed, tmp_path: Path) -> None:
    torch.manual_seed(99)
    before = torch.get_rng_state()
    train(library, tmp_path, replace(TINY, steps=1))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_loss_falls_on_real_text_and_held_out_text_agrees(library: Packed, tmp_path: Path, write) -> None:
    config = TrainConfig(steps=40, batch_rows=8, warmup_steps=5, dim=64, layers=2, heads=2, checkpoint_every=None)
    history = train(library, tmp_path / "run", config)
    assert history.records[0]["loss"] == pytest.approx(5.55, abs=0.1)  # ln 257: guessing
    assert history.records[-1]["loss"] < 3.4
    held_out = write(tmp_path / "held_out", [("new", Path(json.__file__).read_text("utf-8"))], sequence_length=128)
    model = load(tmp_path / "run")
    found = evaluate(model, held_out)
    assert found.loss < 3.6
    assert found.sources == {"new": found.loss}
    totals = held_out.manifest["totals"]
    assert found.tokens == totals["tokens"] - totals["segments"]
    assert evaluate(model, held_out, batch_rows=1).loss == pytest.approx(found.loss, rel=1e-5)


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


def test_a_length_in_tokens_with_a_ramp(library: Packed, tmp_path: Path) -> None:
    length = library.sequence_length
    config = replace(TINY, steps=100, tokens=40 * length, batch_rows=2, batch_ramp=((8 * length, 5), (20 * length, 9)))
    history = train(library, tmp_path, config)
    assert [record["places"] for record in history.records] == [
        [[0, 0, 2]], [[0, 2, 4]], [[0, 4, 6]], [[0, 6, 8]],
        [[0, 8, 13]], [[0, 13, 18]], [[0, 18, 23]], [[0, 23, 32]], [[0, 32, 41]],
    ]  # fmt: skip
    assert history.tokens_read == 41 * length
    assert history.flops == 41 * length * load(tmp_path).flops_per_token(length)


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


def test_recomputing_and_the_z_loss_do_what_they_say(library: Packed, tmp_path: Path, straight) -> None:
    assert train(library, tmp_path / "recompute", replace(TINY, recompute=True)).records == straight[1].records
    strong = train(library, tmp_path / "z", replace(TINY, z_loss=1.0)).records
    assert strong[0]["loss"] == straight[1].records[0]["loss"], "the penalty is no part of the logged loss"
    assert strong[0]["grad_norm"] > straight[1].records[0]["grad_norm"]


def spike_at(step: int, monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    """Multiply the gradient of one step."""
    real = Learner.gradients

    def gradients(self: Learner, place):
        found = real(self, place)
        if place.step == step:
            for weight in self.model.parameters():
                weight.grad *= factor
            if math.isnan(factor):
                found[0].fill_(factor)
        return found

    monkeypatch.setattr(Learner, "gradients", gradients)


@pytest.mark.parametrize("factor", [1e4, float("nan")])
def test_a_spike_is_left_out_and_logged_with_its_rows(
    library: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    config = replace(TINY, steps=30, batch_rows=2, skip_sigma=6.0, skip_window=20, checkpoint_every=1)
    spike_at(25, monkeypatch, factor)
    before: dict[int, dict] = {}

    def on_step(record: Record) -> None:
        if 24 < record["step"] < 27:
            before[record["step"]] = saved(tmp_path)  # the checkpoint of the step before

    history = train(library, tmp_path, config, on_step)
    assert same(before[25]["model"], before[26]["model"]), "the weights of the spike's step moved"
    assert same(before[25]["optimizer"], before[26]["optimizer"]), "the moments or the count of steps moved"
    assert not same(before[26]["model"], saved(tmp_path)["model"])
    [skipped] = [skipped for record in history.records for skipped in record["skipped"]]
    assert skipped["step"] == 25
    assert [[skipped["epoch"], skipped["row"], skipped["row"] + skipped["rows"]]] == history.records[24]["places"]
    assert skipped["grad_norm"] == ("nan" if math.isnan(factor) else pytest.approx(1e4, rel=10))
    assert (history.records[24]["loss"] is None) == math.isnan(factor), "what is no number got into a mean"
    assert history.records[-1]["loss"] < history.records[0]["loss"]


def test_a_spike_goes_through_where_nobody_asked(
    library: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spike_at(25, monkeypatch, 1e4)
    history = train(library, tmp_path, replace(TINY, steps=26, batch_rows=2))
    assert history.records[24]["grad_norm"] > 100
    assert all(record["skipped"] == [] for record in history.records)


def test_what_is_no_number_never_reaches_a_checkpoint(
    library: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a log every 100 steps the run ends at the next checkpoint at the latest, whose weights nobody keeps."""
    spike_at(6, monkeypatch, float("nan"))
    with pytest.raises(
        CorpusmillError, match=r"step 6: the loss is nan, the gradient's norm is nan; places 30 to 35 of epoch 0"
    ):
        train(library, tmp_path, replace(TINY, log_every=100))
    assert [path.name for path in tmp_path.glob("*.pt")] == ["checkpoint-00000004.pt"]


def test_a_run_that_only_spikes_ends(library: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpusmill.trainer.spikes.Spikes.judge", lambda *_: torch.ones(()))
    with pytest.raises(CorpusmillError, match="the last 4 steps were all left out"):
        train(library, tmp_path, replace(TINY, skip_sigma=6.0, skip_window=4))


def test_held_out_shards_are_measured_by_source(library: Packed, tmp_path: Path, write) -> None:
    text = Path(json.__file__).read_text("utf-8")
    held_out = write(tmp_path / "held_out", [("a", text[:700]), ("b", text[700:1500])], sequence_length=128)
    config = replace(TINY, eval_shards=str(held_out.directory), eval_every=5)
    history = train(library, tmp_path / "run", config)
    found = {record["step"]: record["held_out"] for record in history.records if "held_out" in record}
    assert list(found) == [5, 10, 12]
    last = evaluate(load(tmp_path / "run"), held_out)
    assert found[12]["loss"] == pytest.approx(last.loss, rel=1e-5)
    assert found[12]["sources"] == pytest.approx(last.sources, rel=1e-5)
    assert found[12]["loss"] < found[5]["loss"]
    without = train(library, tmp_path / "without", TINY)
    assert [record["loss"] for record in without.records] == [record["loss"] for record in history.records]
    given = train(library, tmp_path / "given", TINY, measure=held_out)
    assert given.records[-1]["held_out"] == history.records[-1]["held_out"]
    with pytest.raises(ConfigError, match="held-out shards were None"):
        train(library, tmp_path / "without", TINY, measure=held_out)


def test_held_out_shards_of_another_tokenizer_are_refused(library: Packed, tmp_path: Path, write) -> None:
    held_out = write(tmp_path / "held_out", [("a", "text " * 99)], sequence_length=128)
    held_out.manifest["tokenizer"]["sha256"] = "0" * 64
    with pytest.raises(ConfigError, match="pack both with one tokenizer"):
        train(library, tmp_path / "run", TINY, measure=held_out)
    assert not (tmp_path / "run" / "log.jsonl").exists()


def test_load_without_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(NotCommitted, match="no checkpoint"):
        load(tmp_path)
