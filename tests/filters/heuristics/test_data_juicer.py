"""data-juicer's statistics against vectors of its own operators, its bounds from the recipe, a file or the user."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.filters.heuristics.data_juicer import DataJuicer
from corpusmill.filters.heuristics.special_characters import JUICER, special_characters
from corpusmill.filters.measure import measure
from corpusmill.recipe import load, to_dict
from corpusmill.text import Texts

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "data_juicer.json").read_text("utf-8"))
SPECIAL = {chr(code) for code in np.flatnonzero(special_characters() & JUICER)}
PIECES = st.one_of(
    st.sampled_from(
        ["word", "Damn", " ", "\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x1e", "\x85", "\u2028", "\u2029"]
    ),
    st.sampled_from(["é", "½", "²", "٣", "Ⅷ", "一", "\u0301", "Г", "İ", "🙂", "\U0001fae8", "_", "!", "\0", "\u200b"]),
    st.characters(exclude_categories=["Cs", "Cn"]),
)
TEXT = st.lists(PIECES, max_size=40).map("".join)


@pytest.fixture(scope="module")
def flagged(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("lists") / "flagged.json"
    path.write_text(json.dumps({"en": GOLDEN["flagged_words"], "de": ["mist"]}))
    return str(path)


def found(strings: list[str], flagged: str) -> list[dict[str, Any]]:
    step = DataJuicer(flagged_words=flagged)
    signals = step.measure(Texts.from_strings(strings), None).signals  # type: ignore[arg-type]
    assert set(signals) == set(step.signals())
    names = [name.removeprefix("data_juicer.") for name in signals]
    rows = zip(*(np.asarray(values).tolist() for values in signals.values()), strict=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_golden_vectors(flagged: str) -> None:
    assert found([text for text, _ in GOLDEN["cases"]], flagged) == [wanted for _, wanted in GOLDEN["cases"]]


def oracle(text: str) -> dict[str, Any]:
    chars, lines = max(len(text), 1), text.splitlines()
    return {
        "alnum_fraction": len(regex.findall(r"[\p{L}\p{Nd}\p{nt=Di}\p{nt=Nu}]", text)) / chars,
        "mean_line_chars": len(text) / max(len(lines), 1),
        "max_line_chars": max(map(len, lines), default=0),
        "special_char_fraction": sum(c in SPECIAL for c in text) / chars,
        "chars": len(text),
        "words": sum(any(c not in SPECIAL for c in word) for word in regex.split("[ \n\t]", text)),
    }


@given(st.lists(TEXT, max_size=4))
@example(["", "\r\n", "\r\r\n\n", "a\r", "a\r\nb", "½²٣Ⅷ一", "\x85\u2028x"])
def test_statistics_are_those_of_plain_python(flagged: str, strings: list[str]) -> None:
    for row, wanted in zip(found(strings, flagged), map(oracle, strings), strict=True):
        assert {name: row[name] for name in wanted} == wanted


@given(st.lists(TEXT, min_size=2, max_size=4))
def test_neighbours_change_nothing(flagged: str, strings: list[str]) -> None:
    assert found(strings[::-1], flagged)[::-1] == [found([string], flagged)[0] for string in strings]


def failed(text: str, **options: Any) -> list[str]:
    table = measure([text], "data_juicer", **options)
    return [reason.removeprefix("data_juicer.").split(":")[0] for reason in table["reasons"][0].as_py()]


@pytest.mark.parametrize(
    ("rule", "kept", "dropped"),
    [
        ("max_mean_line_chars", "x" * 1500, "x" * 1501),
        ("min_mean_line_chars", "x" * 10, "x" * 9),
        ("max_max_line_chars", "x" * 5000, "x" * 5001),
        ("min_max_line_chars", "x" * 10, "x" * 9),
        ("min_special_char_fraction", "." * 15 + "x" * 85, "." * 14 + "x" * 86),
        ("max_special_char_fraction", "." * 35 + "x" * 65, "." * 36 + "x" * 64),
        ("min_chars", "é" * 10, "é" * 9),
        ("max_chars", "x" * 58187, "x" * 58188),
        ("min_words", "x " * 20, "x " * 19 + ". !"),
        ("max_words", "x " * 11529, "x " * 11530),
    ],
)
def test_a_value_at_its_bound_is_kept(rule: str, kept: str, dropped: str) -> None:
    assert rule not in failed(kept)
    assert rule in failed(dropped)
    assert rule not in failed(dropped, **{rule: None})


def test_flagged_words(flagged: str) -> None:
    assert "max_flagged_word_fraction" not in failed("damn " * 3 + "fine " * 1997, flagged_words=flagged)
    assert "max_flagged_word_fraction" in failed("damn " * 3 + "fine " * 1996, flagged_words=flagged)
    assert "max_flagged_word_fraction" in failed("so ein Mist", flagged_words=flagged, language="de")


def test_reasons_show_the_place(flagged: str) -> None:
    text = "é\u2028" + "x" * 5001 + "\r\n(Damn!) word"
    reasons = measure([text], "data_juicer", flagged_words=flagged)["reasons"][0].as_py()
    assert any(reason.endswith(f', at 2-5003: "{"x" * 80}"') for reason in reasons)
    assert any(reason.endswith(', at 5006-5010: "Damn"') for reason in reasons)


def write(path: Path, **changes: Any) -> str:
    names = (*oracle(""), "char_repetition_fraction", "word_repetition_fraction")
    body = {name: {"mean": 0.5, "sigma": 0.1, "min": 0.25, "max": 0.75} for name in names}
    body |= {name: value for name, value in changes.items() if value}
    path.write_text(
        json.dumps({"statistics": {name: row for name, row in body.items() if name not in changes or changes[name]}})
    )
    return str(path)


def test_bounds_from_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "bounds.json", chars={"min": None, "max": 12.5})
    step = DataJuicer(bounds=path, max_words=9.0)
    assert step.files() == (path,)
    bounds = {rule.name: rule.bound for rule in step.rules()}
    assert "data_juicer.min_chars" not in bounds
    assert bounds["data_juicer.max_chars"] == 12.5
    assert bounds["data_juicer.min_alnum_fraction"] == 0.25
    assert (bounds["data_juicer.min_words"], bounds["data_juicer.max_words"]) == (0.25, 9.0)


def test_a_resolved_recipe_is_the_same_again(tmp_path: Path) -> None:
    path = write(tmp_path / "bounds.json")
    source = {"name": "s", "paths": [str(tmp_path)], "format": "jsonl"}
    recipe = load({"name": "r", "sources": [source], "steps": [{"use": "data_juicer", "bounds": path}]})
    assert load(to_dict(recipe)) == recipe


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"words": None}, "no bounds for words"),
        ({"words": {"min": 3, "max": 2}}, "minimum 3 above the maximum 2"),
        ({"words": {"min": "a", "max": 2}}, "wanted numbers"),
        ({"words": {"min": 1}}, "not a file that"),
    ],
)
def test_wrong_bounds_files(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DataJuicer(bounds=write(tmp_path / "bounds.json", **changes))


def test_bounds_files_that_are_none(tmp_path: Path, flagged: str) -> None:
    with pytest.raises(ConfigError, match="corpusmill bounds"):
        DataJuicer(bounds=str(tmp_path / "nowhere.json"))
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ConfigError, match="not a file that"):
        DataJuicer(bounds=str(tmp_path / "list.json"))
    with pytest.raises(ConfigError, match="no bounds for flagged_word_fraction"):
        DataJuicer(bounds=write(tmp_path / "bounds.json"), flagged_words=flagged)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_alnum_fraction": 2.0}, "0 to 1"),
        ({"repeated_words": 0}, "at least 1"),
        ({"flagged_words": "/nowhere/list"}, "LDNOOBW"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DataJuicer(**options).files()


def test_hostile_texts_survive(flagged: str) -> None:
    strings = ["", "\0", "\ud800", "x" * (16 << 20), "\r" * 500_000, " " * 100_000, "e" + "\u0301" * 50_000]
    table = measure(strings, "data_juicer", flagged_words=flagged)
    for name in DataJuicer(flagged_words=flagged).signals():
        assert np.isfinite(np.asarray(table[name])).all()
    assert table["keep"].to_pylist() == [False] * len(strings)
