"""Gopher's quality signals against plain Python, and its rules at their bounds."""

from __future__ import annotations

import pyarrow as pa
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.filters.gopher_quality import STOP_WORDS, GopherQuality
from corpusmill.rules import judge
from corpusmill.text import Texts

STEP = GopherQuality()
PIECES = st.one_of(
    st.sampled_from([*STOP_WORDS, "The", "OF", "haves", "the\0", "THAT", "b", "beta", "wi\u0301th", "withwithwith"]),
    st.sampled_from(
        ["#", "..", "...", "....", "…", "123", "-", "*", "•", "- a", "* b\n", "\n", "\n•", "etc...\n", "…\n"]
    ),
    st.sampled_from(["é", "日本", "12345678a", "123456789", "ⅷ", "१२", "\u0301", "👍", "¶", "@[`{", "\u2003", "\x85"]),
    st.characters(exclude_categories=["Cs"]),
)
TEXT = st.lists(st.tuples(PIECES, st.sampled_from(["", " ", " ", "\n"])).map("".join), max_size=40).map("".join)


def measure(strings: list[str], step: GopherQuality = STEP) -> list[dict[str, float]]:
    found = step.measure(Texts.from_strings(strings), None)  # type: ignore[arg-type]
    assert set(found.signals) == set(step.signals())
    names = [name.removeprefix("gopher_quality.") for name in found.signals]
    return [
        dict(zip(names, row, strict=True)) for row in zip(*(v.tolist() for v in found.signals.values()), strict=True)
    ]


def failed(text: str, step: GopherQuality = STEP) -> set[str]:
    signals = {name: pa.array(v) for name, v in step.measure(Texts.from_strings([text]), None).signals.items()}  # type: ignore[arg-type]
    verdict = judge(step.rules(), signals, 1)
    return {reason.split(":")[0].removeprefix("gopher_quality.") for reason in verdict.reasons.to_pylist()[0]}


def oracle(text: str) -> dict[str, float]:
    words = text.split()
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    lower = {"".join(c.lower() if c.isascii() else c for c in word) for word in words}
    w, n = max(len(words), 1), max(len(lines), 1)
    return {
        "word_count": len(words),
        "mean_word_length": sum(map(len, words)) / w,
        "hash_ratio": text.count("#") / w,
        "ellipsis_ratio": (text.count("...") + text.count("…")) / w,
        "bullet_line_fraction": sum(line.startswith(("•", "-", "*")) for line in lines) / n,
        "ellipsis_line_fraction": sum(line.endswith(("...", "…")) for line in lines) / n,
        "alphabetic_word_fraction": sum(bool(regex.search(r"\p{Alphabetic}", word)) for word in words) / w,
        "stop_words": len(lower & set(STOP_WORDS)),
    }


@settings(deadline=None)
@given(st.lists(TEXT, max_size=4))
@example(["", " \n ", "\0", "......", ".. ....", "the\0 The", "12345678é 1234567é", "...\n…"])
def test_signals_are_those_of_plain_python(strings: list[str]) -> None:
    assert measure(strings) == [oracle(string) for string in strings]


@settings(deadline=None)
@given(st.lists(TEXT, min_size=2, max_size=4))
def test_neighbours_change_nothing(strings: list[str]) -> None:
    assert measure(strings[::-1])[::-1] == [measure([string])[0] for string in strings]


def test_lone_surrogates_survive() -> None:
    assert measure(["the \ud800 of"])[0]["word_count"] == 3


GOOD = " ".join(["the", "of", *(["prose"] * 98)])


def test_good_text_passes() -> None:
    assert failed(GOOD) == set()


@pytest.mark.parametrize("text", ["", " \n\t", "\0"])
def test_nothing_fails_every_minimum(text: str) -> None:
    assert failed(text) >= {"min_words", "min_mean_word_length", "min_alphabetic_word_fraction", "min_stop_words"}


@pytest.mark.parametrize(
    ("rule", "kept", "dropped"),
    [
        ("min_words", "the of " + "prose " * 48, "the of " + "prose " * 47),
        ("max_words", "the of " + "prose " * 99_998, "the of " + "prose " * 99_999),
        ("min_mean_word_length", "the " + "and " * 99, "the " + "and " * 98 + "an "),
        (
            "max_mean_word_length",
            "the and " + "q" * 17 + " " + "q" * 17 + " " + "tenletters " * 96,
            "longerthan10 " * 100,
        ),
        ("max_hash_ratio", "the of " + "prose " * 88 + "#word " * 10, "the of " + "prose " * 88 + "#word " * 9 + "## "),
        ("max_ellipsis_ratio", "the of " + "prose " * 88 + "wo...rd " * 10, "the of " + "prose " * 87 + "wo…rd " * 11),
        (
            "max_bullet_line_fraction",
            "- the of prose\n" * 90 + "a line\n" * 10,
            "• the of prose\n" * 91 + "a line\n" * 9,
        ),
        (
            "max_ellipsis_line_fraction",
            "the of prose with\n" * 70 + "x...\n" * 30,
            "the of prose with\n" * 69 + "x…\n" * 31,
        ),
        (
            "min_alphabetic_word_fraction",
            "the of " + "prose " * 78 + "12345 " * 20,
            "the of " + "prose " * 77 + "12345 " * 21,
        ),
        ("min_stop_words", "The oF " + "prose " * 98, "the the " + "prose " * 98),
    ],
)
def test_a_value_at_the_bound_is_kept_and_one_beyond_is_not(rule: str, kept: str, dropped: str) -> None:
    assert rule not in failed(kept)
    assert rule in failed(dropped)
    assert rule not in failed(dropped, GopherQuality(**{rule: None}))


def test_all_reasons_are_given() -> None:
    assert failed("# # ...") == {
        "min_words",
        "min_mean_word_length",
        "max_hash_ratio",
        "max_ellipsis_ratio",
        "max_ellipsis_line_fraction",
        "min_alphabetic_word_fraction",
        "min_stop_words",
    }


@pytest.mark.parametrize(
    "options", [{"max_bullet_line_fraction": 1.5}, {"min_words": -1}, {"max_hash_ratio": float("nan")}]
)
def test_bounds_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"gopher_quality: {next(iter(options))} = .*; wanted"):
        GopherQuality(**options)  # type: ignore[arg-type]
