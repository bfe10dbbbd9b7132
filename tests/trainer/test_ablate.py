"""Ablations: what is equal, what is left out, what the figures say."""

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from corpusmill.errors import ConfigError
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenize.shards.takedown import SkipList, Takedown, append_takedown, content_hash
from corpusmill.trainer.ablate import ALL, Comparison, ablate, facts_of, held_out_segments, rows_read
from corpusmill.trainer.config import TrainConfig

from .conftest import library_texts

CONFIG = TrainConfig(steps=20, batch_rows=8, micro_rows=8, dim=16, layers=1, heads=2, warmup_steps=2)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, write: Callable[..., Packed]) -> dict[str, Path]:
    """Python's library, bytes by chance, and more of the library to measure on, of which one text is in the first."""
    folder = tmp_path_factory.mktemp("ablation")
    texts = library_texts(60, 900)
    rng = random.Random(2)  # noqa: S311
    noise = [("noise", "".join(chr(rng.randrange(32, 127)) for _ in range(900))) for _ in range(12)]
    corpora = {"code": texts[:40], "noise": noise, "held-out": texts[39:55]}
    for name, documents in corpora.items():
        write(folder / name, documents, sequence_length=128)
    return {name: folder / name for name in corpora}


@pytest.fixture(scope="module")
def found(shards: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Path]:
    out = tmp_path_factory.mktemp("out")
    corpora = {name: shards[name] for name in ("code", "noise")}
    return ablate(corpora, shards["held-out"], out, CONFIG, seeds=2), out


def test_text_like_the_held_out_one_gives_a_lower_loss(found: tuple[Comparison, Path]) -> None:
    comparison, _ = found
    for source in ("code", "more", ALL):
        assert comparison.intervals["code"][source].mean < comparison.intervals["noise"][source].mean
        difference = comparison.differences["noise"][source]
        assert difference.half_width is not None
        assert abs(difference.mean) > difference.half_width
    assert list(comparison.differences) == ["noise"]


def test_intervals_and_differences_are_those_of_the_losses(found: tuple[Comparison, Path]) -> None:
    comparison, _ = found
    for source, theirs in comparison.losses["noise"].items():
        ours = comparison.losses["code"][source]
        assert len(theirs) == len(ours) == 2
        assert comparison.intervals["noise"][source].mean == fmean(theirs)
        minus = [their - our for their, our in zip(theirs, ours, strict=True)]
        assert comparison.differences["noise"][source].mean == pytest.approx(fmean(minus), abs=1e-12)


def test_all_read_the_same_number_of_tokens_and_the_small_one_reads_itself_again(
    found: tuple[Comparison, Path], shards: dict[str, Path]
) -> None:
    facts = found[0].corpora
    assert facts["noise"]["epochs"] == pytest.approx(
        facts["noise"]["trained_tokens"] / 128 / len(Packed(shards["noise"]))
    )
    assert facts["noise"]["epochs"] > 0.9
    for name in ("code", "noise"):
        assert 0 <= facts[name]["trained_tokens"] - 20 * 8 * 128 < 8 * 128
        assert found[0].curves[name][-1][0] == facts[name]["trained_tokens"]
        assert found[0].curves[name][-1][1] == pytest.approx(found[0].intervals[name][ALL].mean)


def test_held_out_text_in_a_corpus_is_counted_and_not_learnt_from(
    found: tuple[Comparison, Path], shards: dict[str, Path]
) -> None:
    assert found[0].corpora["noise"]["held_out_segments"] == 0
    assert found[0].corpora["code"]["held_out_segments"] > 0
    whole = Packed(shards["held-out"])
    hidden = Packed(shards["held-out"], skip=held_out_segments(whole))
    assert all(row.hidden.all() for row in hidden)


def test_what_was_taken_down_is_not_counted_as_held_out(tmp_path: Path, write: Callable[..., Packed]) -> None:
    packed = write(tmp_path / "shards", library_texts(4, 300), sequence_length=128)
    append_takedown(str(packed.directory), Takedown((packed[0].document_ids[0],), "asked", "2026-01-01"))
    segment = packed[len(packed) - 1].segments[0]
    tokens = packed[len(packed) - 1].tokens[int(segment["start"]) :][: int(segment["length"])]
    skip = SkipList(segments=frozenset({(len(tokens), content_hash(tokens))}))
    found = facts_of(Packed(packed.directory, skip=skip), [{"places": [[0, 0, len(packed)]]}])
    assert found["held_out_segments"] == 1


def test_a_held_out_source_with_the_name_of_all_of_them_is_refused(
    shards: dict[str, Path], tmp_path: Path, write: Callable[..., Packed]
) -> None:
    held_out = write(tmp_path / "held_out", [("all", "text " * 99)], sequence_length=128)
    corpora = {name: shards[name] for name in ("code", "noise")}
    with pytest.raises(ConfigError, match="give the source 'all' another name"):
        ablate(corpora, held_out, tmp_path / "out", CONFIG, 1)


def test_seeds_differ_in_weights_and_in_rows(found: tuple[Comparison, Path]) -> None:
    comparison, out = found
    assert len(set(comparison.losses["code"][ALL])) == 2
    logs = [(out / "code" / f"seed-{seed}" / "log.jsonl").read_text() for seed in (0, 1)]
    assert '"epoch": 0' in logs[0]
    assert '"epoch": 0' not in logs[1]


def test_again_gives_the_same_without_training(found: tuple[Comparison, Path], shards: dict[str, Path]) -> None:
    comparison, out = found
    steps: list[Any] = []
    corpora = {name: shards[name] for name in ("code", "noise")}
    again = ablate(corpora, shards["held-out"], out, CONFIG, 2, lambda *told: steps.append(told))
    assert not steps
    assert again == comparison


def test_rows_read_over_the_end_of_epochs() -> None:
    log = [{"places": [[3, 0, 8]]}, {"places": [[3, 8, 10], [4, 0, 6]]}]
    assert rows_read(log, 10) == 16


@pytest.mark.parametrize(
    ("changes", "seeds", "message"),
    [
        ({"skip_list": "x.json"}, 1, "skip_list: an ablation"),
        ({"eval_shards": "x"}, 1, "eval_shards: an ablation"),
        ({"batch_ramp": ((0, 4),)}, 1, "batch_ramp: the corpora"),
        ({}, 0, "one seed or more"),
    ],
)
def test_what_can_not_be_compared_is_refused(
    shards: dict[str, Path], tmp_path: Path, changes: dict[str, Any], seeds: int, message: str
) -> None:
    corpora = {name: shards[name] for name in ("code", "noise")}
    with pytest.raises(ConfigError, match=message):
        ablate(corpora, shards["held-out"], tmp_path, dataclasses.replace(CONFIG, **changes), seeds)


def test_rows_of_another_length_are_refused(
    shards: dict[str, Path], tmp_path: Path, write: Callable[..., Packed]
) -> None:
    other = write(tmp_path / "other", library_texts(5, 300), sequence_length=64)
    corpora = {"code": shards["code"], "other": other.directory}
    with pytest.raises(ConfigError, match=r"sequence_length of code is 128, that of other is 64"):
        ablate(corpora, shards["held-out"], tmp_path / "out", CONFIG, 1)
    with pytest.raises(ConfigError, match="two corpora or more"):
        ablate({"code": shards["code"]}, shards["held-out"], tmp_path / "out", CONFIG, 1)
