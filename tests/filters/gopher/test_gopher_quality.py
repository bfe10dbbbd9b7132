"""Gopher's quality signals against plain Python in every dialect, and its rules at their bounds."""

from __future__ import annotations

import re
from statistics import median
from typing import Any

import pyarrow as pa
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.filters.characters import PUNCTUATION, characters
from corpusmill.filters.gopher.gopher_quality import STOP_WORDS, GopherQuality
from corpusmill.rules import judge
from corpusmill.text import Texts

STEP = GopherQuality()
PIECES = st.one_of(
    st.sampled_from([*STOP_WORDS, "The", "OF", "haves", "the\0", "THAT", "b", "beta", "wi\u0301th", "withwithwith"]),
    st.sampled_from(
        ["#", "..", "...", "....", "…", "123", "-", "*", "•", "- a", "* b\n", "\n", "\n•", "etc...\n", "…\n", ". . ."]
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


BULLETS = {"paper": "•-*", "datatrove": "•-", "dolma": "*-", "dolma_v2": "*-", "dclm": "●•*-", "nemo": "•‣⁃⁌⁍∙○●◘◦⦾⦿"}
DOTS = ("...", "…")
MARKS = (*DOTS, "[...]", "(...)", "[…]", "-»")
TAILS = {**dict.fromkeys(("paper", "datatrove"), DOTS), "dolma": "…", "dolma_v2": "…", "dclm": (*DOTS, ". . .")}
TAILS["nemo"] = (*MARKS, "read more", "read more..")


def lines_of(text: str, dialect: str) -> list[str]:
    match dialect:
        case "datatrove":
            return [line.strip() for line in text.splitlines()]
        case "dolma":
            return text.split("\n")
        case "dolma_v2":
            return re.split(r"\n+", text)
    return [line.strip() for line in text.split("\n") if line.strip()]


def words_of(text: str, kind: str) -> list[str]:
    texts = Texts.from_strings([text])
    words = getattr(texts, kind)
    return [texts.data[a:b].tobytes().decode() for a, b in zip(words.start, words.stop, strict=True)]


def symbols(text: str, words: list[str], dialect: str) -> dict[str, int]:
    if dialect.startswith("dolma"):
        return {"symbol_ratio": sum("#" in word or "…" in word for word in words)}
    if dialect == "nemo":
        return {"symbol_ratio": sum(len(re.findall("#+", w)) / len(w) > 0.5 or w in MARKS for w in words)}
    if dialect == "dclm":
        return {"symbol_ratio": sum(text.count(mark) for mark in ("#", "...", ". . .", "…"))}
    return {"hash_ratio": text.count("#"), "ellipsis_ratio": text.count("...") + text.count("…")}


def oracle(text: str, dialect: str = "paper") -> dict[str, float]:
    words, lines = words_of(text, "spacy_words" if dialect == "datatrove" else "words"), lines_of(text, dialect)
    counted = words
    if dialect == "datatrove":
        flags = characters()
        counted = [word for word in words if any(not flags[ord(c)] & PUNCTUATION for c in word)]
    chars = sum(map(len, counted)) / max(len(counted), 1)
    if dialect == "dclm":
        counted = [word for word in words_of(text, "script_words") if word[0].isalnum()]
    lower = [word.lower() if dialect in ("paper", "dclm") else word for word in words]
    listed = [word for word in lower if word in STOP_WORDS]
    letter = r"\p{Alphabetic}" if dialect in ("paper", "nemo") else r"\p{L}"
    w, n = max(len(words), 1), max(len(lines), 1)
    tails = [line.lower() if dialect == "nemo" else line for line in lines]
    length = {"mean_word_length": chars}
    if dialect.startswith("dolma"):
        length = {"median_word_length": float(median(map(len, words))) if words else 0.0}
    return {
        "word_count": len(counted),
        **length,
        **{name: count / w for name, count in symbols(text, words, dialect).items()},
        "bullet_line_fraction": sum(line.startswith(tuple(BULLETS[dialect])) for line in lines) / n,
        "ellipsis_line_fraction": sum(line.endswith(TAILS[dialect]) for line in tails) / n,
        "alphabetic_word_fraction": sum(bool(regex.search(letter, word)) for word in words) / w,
        "stop_words": len(set(listed) if dialect in ("paper", "datatrove") else listed),
    }


@pytest.mark.parametrize("dialect", GopherQuality.DIALECTS)
@settings(deadline=None)
@given(strings=st.lists(TEXT, max_size=4))
@example(strings=["", " \n ", "\0", "......", ".. ....", "the\0 The", "12345678é 1234567é", "...\n…", ". . . . . ."])
@example(
    strings=["Read MORE\n- x\n● y\r‣ z", "a…\n \n\n* b", "#a# ## -» [...]", "_a . , 1 ½ ª", "." * 7 + "#" * 9 + "…" * 9]
)
def test_signals_are_those_of_plain_python(dialect: Any, strings: list[str]) -> None:
    assert measure(strings, GopherQuality(dialect=dialect)) == [oracle(string, dialect) for string in strings]


@pytest.mark.parametrize("dialect", GopherQuality.DIALECTS)
@settings(deadline=None)
@given(strings=st.lists(TEXT, min_size=2, max_size=4))
def test_neighbours_change_nothing(dialect: Any, strings: list[str]) -> None:
    step = GopherQuality(dialect=dialect)
    assert measure(strings[::-1], step)[::-1] == [measure([string], step)[0] for string in strings]


def test_stop_words_of_any_script_and_length() -> None:
    words = ("и", "что", "auseinandersetzung", "der", "das", "the")
    text = "И ЧТО Auseinandersetzung auseinandersetzungen der Das the The из чтобы"
    assert measure([text], GopherQuality(stop_words=words))[0]["stop_words"] == 6
    assert measure([text], GopherQuality(stop_words=words, dialect="nemo"))[0]["stop_words"] == 2
    assert measure([text], GopherQuality(stop_words=words, dialect="dclm"))[0]["stop_words"] == 7
    assert measure([text], GopherQuality(stop_words=()))[0]["stop_words"] == 0


def test_a_hundred_stop_words() -> None:
    words = tuple(f"word{chr(97 + k // 26)}{chr(97 + k % 26)}" for k in range(100))
    assert measure([" ".join(words * 2)], GopherQuality(stop_words=words))[0]["stop_words"] == 100


def test_script_words_make_sense_of_text_without_spaces() -> None:
    text = "今日は良い天気です。" * 12
    found, spaces = measure([text], GopherQuality(words="script"))[0], measure([text])[0]
    assert (found["word_count"], found["mean_word_length"], spaces["word_count"]) == (108, 1.0, 1)
    assert measure(["の は 今日は"], GopherQuality(words="script", stop_words=("の", "は")))[0]["stop_words"] == 2
    english = "It's a well-known fact, #1: 'quoted' words (and so on) ..."
    assert measure([english], GopherQuality(words="script")) == measure([english])


def test_dots_across_the_bytes_looked_at_together() -> None:
    texts = ["x" * k + "." * n + "y" + "…" * (n % 3) + "#" for k in range(9) for n in range(20)]
    assert measure(texts) == [oracle(text) for text in texts]
    joined = "".join(texts)
    assert measure([joined, joined]) == [oracle(joined)] * 2


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
