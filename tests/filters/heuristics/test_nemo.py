"""NeMo Curator's heuristics against vectors of its own code and against regular expressions."""

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
from corpusmill.filters.heuristics.nemo import Nemo
from corpusmill.filters.measure import measure
from corpusmill.text import Texts

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "nemo.json").read_text("utf-8"))
URL = regex.compile(r"https?://(?:[A-Za-z0-9$\-_@.&+/:=?#~!*(),]|%[0-9A-Fa-f]{2})+")
PHRASES = (
    *("terms of use", "privacy policy", "cookie policy", "uses cookies", "privacy overview", "use of cookies"),
    *("use cookies", "privacy & cookies policy", "privacy and cookies policy"),
)
PIECES = st.one_of(
    st.sampled_from(
        ["word", " ", "\n", "\n\n", "\n\n\n", "\t", "\r", "\b", "1", "٣", "(", "⟨", "⟩", "}", ".", '"', "'\n"]
    ),
    st.sampled_from(["http://", "https://x", "s://", "://", "http", "porn", "%2", "%aF", "%zz", "é", "\u27aa", "\0"]),
    st.sampled_from(
        ["Terms of Use", "uses coo\u212aies", "USE COOKIES", "cookie", " policy", "lorem ", "Ipsum", "any cookies that"]
    ),
    st.characters(exclude_categories=["Cs"]),
)
TEXT = st.lists(PIECES, max_size=40).map("".join)


def found(strings: list[str]) -> list[dict[str, Any]]:
    signals = Nemo().measure(Texts.from_strings(strings), None).signals  # type: ignore[arg-type]
    assert set(signals) == set(Nemo().signals())
    names = [name.removeprefix("nemo.") for name in signals]
    return [
        dict(zip(names, row, strict=True))
        for row in zip(*(np.asarray(v).tolist() for v in signals.values()), strict=True)
    ]


def test_golden_vectors() -> None:
    for row, (_, wanted) in zip(found([text for text, _ in GOLDEN["cases"]]), GOLDEN["cases"], strict=True):
        wanted = {name: 0 if value is None else value for name, value in wanted.items()}
        assert bool(row.pop("porn_urls")) == bool(wanted.pop("porn"))
        assert row == wanted


def oracle(text: str) -> dict[str, Any]:
    chars = max(len(text), 1)
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    urls = URL.findall(text)
    paragraphs = text.lower().split("\n\n")
    having = sum(any(phrase in paragraph for phrase in PHRASES) for paragraph in paragraphs)
    lorem = any("lorem ipsum" in paragraph for paragraph in paragraphs)
    fractions = {
        "other_char_fraction": len(text) - len(regex.findall(r"[a-zA-Z0-9\n?!,.]", text)),
        "digit_fraction": len(regex.findall("[0-9]", text)),
        "url_char_fraction": sum(map(len, urls)),
        "white_space_fraction": sum(c in "\t\n\r\b " for c in text),
        "bracket_fraction": sum(c in "(){}[]⟨⟩" for c in text),
    }
    return {
        **{name: part / chars if text else 1.0 for name, part in fractions.items()},
        "boilerplate_paragraph_fraction": 1.0 if lorem else having / len(paragraphs),
        "open_line_fraction": sum(not line.endswith((".", "?", "!", '"', "'")) for line in lines) / max(len(lines), 1),
        "longest_word_chars": max(map(len, text.split()), default=0),
        "porn_urls": sum("porn" in url for url in urls),
    }


@given(st.lists(TEXT, max_size=4))
@example(
    [
        "",
        "\n\n\n",
        "lorem ipsumlorem ipsum",
        "httphttps://a%4g",
        "hhttp://porn(porn)|http://",
        "⟨" * 40_000 + "1" * 70_000,
    ]
)
@example(["http://a", "://a", "https://", "s://x"])
def test_signals_are_those_of_regular_expressions(strings: list[str]) -> None:
    assert found(strings) == [oracle(string) for string in strings]


@given(st.lists(TEXT, min_size=2, max_size=4))
def test_neighbours_change_nothing(strings: list[str]) -> None:
    assert found(strings[::-1])[::-1] == [found([string])[0] for string in strings]


def failed(text: str, **options: Any) -> list[str]:
    return [
        reason.removeprefix("nemo.").split(":")[0]
        for reason in measure([text], "nemo", **options)["reasons"][0].as_py()
    ]


@pytest.mark.parametrize(
    ("rule", "kept", "dropped"),
    [
        ("max_other_char_fraction", "a" * 75 + "-" * 25, "a" * 74 + "-" * 26),
        ("max_digit_fraction", "9" * 15 + "a" * 85, "9" * 16 + "a" * 84),
        ("max_url_char_fraction", "http://a.b " + "x" * 39, "http://a.b " + "x" * 38),
        ("max_white_space_fraction", " " * 25 + "a" * 75, " " * 26 + "a" * 74),
        ("max_bracket_fraction", "[]" + "a" * 18, "[]" + "a" * 17),
        ("max_boilerplate_paragraph_fraction", "a\n\nb\n\nc\n\nuses cookies\n\nprivacy policy", "a\n\nuse cookies"),
        ("max_open_line_fraction", "a.\n" * 3 + "a\n" * 17, "a.\n" * 2 + "a\n" * 12),
        ("max_word_chars", "é" * 1000, "é" * 1001),
    ],
)
def test_a_value_at_its_bound_is_kept(rule: str, kept: str, dropped: str) -> None:
    assert rule not in failed(kept)
    assert rule in failed(dropped)
    assert rule not in failed(dropped, **{rule: None})


def test_the_rule_on_porn_is_off_until_set() -> None:
    assert "max_porn_urls" not in failed("see http://porn.example")
    assert "max_porn_urls" in failed("see http://porn.example", max_porn_urls=0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("été\n\nThe Privacy Policy", ', at 9-23: "Privacy Policy"'),
        ("uses cookies\n\nand Lorem Ipsum", ', at 18-29: "Lorem Ipsum"'),
        ("é " + "x" * 1001 + " y", f', at 2-1003: "{"x" * 80}"'),
        ("é https://a/porn?b c", ', at 2-18: "https://a/porn?b"'),
    ],
)
def test_reasons_show_the_place(text: str, reason: str) -> None:
    reasons = measure([text], "nemo", max_porn_urls=0)["reasons"][0].as_py()
    assert any(given.endswith(reason) for given in reasons)


def test_a_bound_out_of_range() -> None:
    with pytest.raises(ConfigError, match="0 to 1"):
        Nemo(max_digit_fraction=1.1)


def test_hostile_texts_survive() -> None:
    strings = [
        "",
        "\0",
        "\ud800",
        "x" * (16 << 20),
        "://" * 300_000,
        "http://" * 200_000,
        "\n" * 1_000_000,
        "e" + "\u0301" * 9,
    ]
    table = measure(strings, "nemo")
    for name in Nemo().signals():
        assert np.isfinite(np.asarray(table[name])).all()
    assert table["keep"].to_pylist() == [False] * len(strings)
