"""What a run learns, logs and measures."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from corpusmill.errors import ConfigError, InputError, NotCommitted
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenize.shards.takedown import Takedown, append_takedown
from corpusmill.trainer import History, TrainConfig, evaluate, load, train
from corpusmill.trainer.learner import Learner
from corpusmill.trainer.model import Model
from corpusmill.trainer.parallel import World
from corpusmill.trainer.schedule import Schedule

from .runs import TINY


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


def test_held_out_text_without_a_target_is_no_perfect_score(tmp_path: Path, write) -> None:
    hidden = write(tmp_path / "held_out", [("new", "some text")], sequence_length=32)
    append_takedown(str(hidden.root), Takedown((hidden[0].document_ids[0],), "test", "2026-03-01"))
    with pytest.raises(InputError, match="no token to predict"):
        evaluate(Model(TINY.model(257)), Packed(hidden.root))


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


def test_recomputing_and_the_z_loss_do_what_they_say(library: Packed, tmp_path: Path, straight) -> None:
    assert train(library, tmp_path / "recompute", replace(TINY, recompute=True)).records == straight[1].records
    strong = train(library, tmp_path / "z", replace(TINY, z_loss=1.0)).records
    assert strong[0]["loss"] == straight[1].records[0]["loss"], "the penalty is no part of the logged loss"
    assert strong[0]["grad_norm"] > straight[1].records[0]["grad_norm"]


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
