"""`corpusmill bounds`: mean ± sigma of a sample, the same whatever the order, and the recipe that reads the file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from corpusmill.errors import ConfigError, InputError
from corpusmill.filters.heuristics.data_juicer import DataJuicer
from corpusmill.filters.measure import measure
from corpusmill.jobs import bounds
from corpusmill.pipeline import readers
from corpusmill.recipe import load, to_toml

TEXTS = [f"Document number {i}.\n" + "A line of it with some words, and more. " * (i % 7 + 1) for i in range(60)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Documents in three files, and a recipe whose step names a file of bounds that does not exist yet."""
    for part in range(3):
        lines = [json.dumps({"text": text}) for text in TEXTS[part::3]]
        (tmp_path / f"part-{part}.jsonl").write_text("\n".join(lines) + "\n")
    write_recipe(tmp_path, [{"use": "data_juicer", "bounds": str(tmp_path / "bounds.json")}])
    return tmp_path


def write_recipe(folder: Path, steps: list[dict[str, Any]]) -> None:
    body = ['name = "r"', "[[sources]]", 'name = "s"', f'paths = ["{folder / "*.jsonl"}"]', 'format = "jsonl"']
    for step in steps:
        body += ["[[steps]]", *(f"{key} = {json.dumps(value)}" for key, value in step.items())]
    (folder / "recipe.toml").write_text("\n".join(body) + "\n")


def run(folder: Path, *words: str) -> dict[str, Any]:
    command = argparse.ArgumentParser()
    bounds.arguments(command)
    given = command.parse_args([str(folder / "recipe.toml"), "--out", str(folder / "bounds.json"), *words])
    bounds.do(given, Console(stderr=True))
    body: dict[str, Any] = json.loads((folder / "bounds.json").read_text())
    return body


def statistic(texts: list[str], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.asarray(measure(texts, "data_juicer")[f"data_juicer.{name}"], dtype=np.float64)


def test_mean_and_standard_deviation_of_all_documents(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = run(folder, "--sigma", "2")
    assert (body["step"], body["documents"], body["sigmas"]) == ("data_juicer", 60, 2.0)
    assert set(body["statistics"]) == set(DataJuicer.STATISTICS) - {"flagged_word_fraction"}
    for name, row in body["statistics"].items():
        values = statistic(TEXTS, name)
        mean, sigma = values.mean(), values.std(ddof=1)
        assert row["mean"] == pytest.approx(mean)
        assert row["sigma"] == pytest.approx(sigma)
        low, high = mean - 2 * sigma, mean + 2 * sigma
        assert row["min"] == (pytest.approx(low) if low > 0 else None)
        assert row["max"] == (pytest.approx(high) if high < 1 or not name.endswith("_fraction") else None)
    assert "60 documents, mean ± 2 sigma" in capsys.readouterr().out


def test_the_recipe_reads_what_was_written(folder: Path) -> None:
    with pytest.raises(ConfigError, match="corpusmill bounds"):
        load(folder / "recipe.toml")
    written = run(folder)["statistics"]
    step = load(folder / "recipe.toml").steps[0]
    assert isinstance(step, DataJuicer)
    assert (step.min_alnum_fraction, step.max_words) == (written["alnum_fraction"]["min"], written["words"]["max"])
    (folder / "again.toml").write_text(to_toml(load(folder / "recipe.toml")))
    assert load(folder / "again.toml").steps == (step,)


def test_the_sample_is_that_of_the_smallest_ids(folder: Path) -> None:
    body = run(folder, "--documents", "10")
    unit = next(iter(readers.cut(readers.find_files([str(folder / "*.jsonl")]), "jsonl", "s")))
    documents = [row for read in readers.read(unit, readers.ReaderOptions()) for row in read.documents.to_pylist()]
    assert len(documents) == len(TEXTS)
    chosen = [row["text"] for row in sorted(documents, key=lambda row: row["id"])[:10]]
    assert body["documents"] == 10
    assert body["statistics"]["chars"]["mean"] == pytest.approx(statistic(chosen, "chars").mean())


def test_twice_the_same_bytes(folder: Path) -> None:
    run(folder, "--documents", "25")
    first = (folder / "bounds.json").read_bytes()
    run(folder, "--documents", "25")
    assert (folder / "bounds.json").read_bytes() == first


def test_the_steps_before_it_are_applied(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = [
        {"use": "gopher_quality", "min_words": 40, "min_stop_words": "off"},
        {"use": "exact"},
        {"use": "data_juicer"},
    ]
    write_recipe(folder, steps)
    kept = [text for text in TEXTS if len(text.split()) >= 40]
    body = run(folder)
    assert body["documents"] == len(kept)
    assert body["statistics"]["words"]["mean"] == pytest.approx(statistic(kept, "words").mean())
    assert "exact before data_juicer not applied" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--step", "nemo"], "takes no bounds from a file; steps that do: data_juicer"),
        (["--sigma", "0"], "above 0"),
        (["--sigma", "nan"], "above 0"),
        (["--documents", "1"], "at least 2"),
    ],
)
def test_wrong_arguments(folder: Path, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(folder, *words)


def test_a_recipe_without_the_step(folder: Path) -> None:
    write_recipe(folder, [{"use": "gopher_quality"}])
    with pytest.raises(ConfigError, match="has no such step; put"):
        run(folder)


def test_too_few_documents(folder: Path) -> None:
    write_recipe(folder, [{"use": "gopher_quality", "min_words": 1000}, {"use": "data_juicer"}])
    with pytest.raises(InputError, match="0 documents of the sample get as far as data_juicer"):
        run(folder)
