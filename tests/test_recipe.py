"""Recipes: resolved, written back, and refused with file and line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import corpusmill.dedup
import corpusmill.filters  # noqa: F401
from corpusmill.errors import ConfigError
from corpusmill.recipe import Source, load, to_dict, to_toml

TOML = """\
name = "t"
seed = 1

[[sources]]
name = "web"
paths = ["x/*.jsonl"]
format = "jsonl"

[[steps]]
use = "gopher_quality"
min_words = 20

[[steps]]
use = "minhash"
min_jaccard = 0.8

[shards]
sequence_length = 128
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def test_the_resolved_recipe_loads_to_the_same(tmp_path: Path) -> None:
    first = load(written(tmp_path, TOML))
    assert load(to_dict(first)) == first
    assert load(written(tmp_path, to_toml(first))) == first


def test_off_survives_the_resolved_recipe(tmp_path: Path) -> None:
    first = load(written(tmp_path, TOML.replace("min_words = 20", 'min_words = "off"')))
    assert first.steps[0].min_words is None  # type: ignore[attr-defined]
    assert load(written(tmp_path, to_toml(first))) == first


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("seed = 1", "sead = 1", 2, "unknown key 'sead'"),
        ("min_jaccard = 0.8", "min_jacard = 0.8", 15, "unknown key 'min_jacard'"),
        ("min_jaccard = 0.8", 'min_jaccard = "ten"', 15, "wanted a number"),
        ('use = "minhash"', 'use = "minihash"', 14, "unknown step 'minihash'"),
        ("sequence_length = 128", "sequence_length = 1", 17, "wanted 16"),
        ("sequence_length = 128", "sequence_lenght = 128", 18, "unknown key"),
        ('format = "jsonl"', 'format = "csv"', 7, "one of"),
        ('paths = ["x/*.jsonl"]', "paths = []", 4, "has no paths"),
        ('name = "web"', 'name = "../web"', 4, "source name"),
    ],
)
def test_an_error_names_file_and_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    assert old in TOML
    path = written(tmp_path, TOML.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert f"{path}, line {line}" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["seed"], "wanted key=value"),
        (["steps.nothing.min_words=3"], "0 steps are called 'nothing'; there are: gopher_quality, minhash"),
        (["steps.minhash=3"], "wanted steps.USE.option=value"),
        (["steps.minhash.bandz=3"], "unknown key 'bandz'"),
    ],
)
def test_bad_settings_are_refused(tmp_path: Path, settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, TOML), settings)
    assert message in str(caught.value)


def test_settings_lie_over_the_recipe(tmp_path: Path) -> None:
    made = load(written(tmp_path, TOML), ["seed=9", "steps.minhash.seed=3", "shards.rows_per_shard=7", "name=other"])
    assert (made.seed, made.shards.rows_per_shard, made.name) == (9, 7, "other")
    assert made.steps[1].seed == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sources": []}, "no [[sources]]"),
        ({"steps": [{"use": "pii"}, {"use": "pii"}]}, "both make the signal"),
        ({"steps": [{"use": "minhash", "keep": "best:quality.score"}]}, "no step before it makes that signal"),
        ({"steps": [{"use": "quality", "model": "/nowhere.bin"}]}, "corpusmill quality train"),
        ({"steps": [{"use": "minhash", "keep": "any"}]}, "keep"),
        ({"tokenizer": {"path": "/nowhere.json"}}, "no such file"),
        ({"tokenizer": {"path": "x", "train": {}}}, "path and train"),
        ({"max_quarantine_ratio": 2}, "wanted 0 to 1"),
        ({"steps": {"use": "pii"}}, "lists of tables"),
    ],
)
def test_recipes_that_cannot_work_are_refused(recipe: Callable[..., dict[str, Any]], change: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(recipe(**change))
    assert message in str(caught.value)


def test_a_missing_or_broken_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't read the recipe"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="not TOML"):
        load(written(tmp_path, "name = "))


@pytest.mark.parametrize(("said", "meant"), [("10B", 10**10), ("250M", 250_000_000), ("1.5K", 1500), (12, 12)])
def test_token_budgets(said: str | int, meant: int) -> None:
    assert Source("s", ("p",), "jsonl", tokens=said).token_budget == meant


@pytest.mark.parametrize(
    "wishes", [{"tokens": "many"}, {"weight": 1.0, "epochs": 2.0}, {"weight": 0.0}, {"epochs": -1.0}]
)
def test_bad_shares_of_the_mix(wishes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Source("s", ("p",), "jsonl", **wishes)
