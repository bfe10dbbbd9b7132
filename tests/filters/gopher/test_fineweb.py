"""FineWeb's signals against plain Python, and its rules at their bounds in both dialects."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.filters.characters import END_MARK, characters
from corpusmill.filters.gopher.fineweb import FineWeb
from corpusmill.rules import judge
from corpusmill.text import Texts

STEP = FineWeb()
PIECES = st.one_of(
    st.sampled_from(["a", "word.", "x" * 29, "é" * 30, "日本。", "\n", "\n\n", " \n", "\n ", " ", "\u3000", "\r\n"]),
    st.sampled_from(
        ["?", "!", "…", "！", '."', ".)", "\0", "؟", "।", "same line.\n", " same line.\n", "same line. \n"]
    ),
    st.characters(exclude_categories=["Cs"]),
)
TEXT = st.lists(PIECES, max_size=40).map("".join)


def measure(strings: list[str], step: FineWeb = STEP) -> list[dict[str, float]]:
    found = step.measure(Texts.from_strings(strings), None)  # type: ignore[arg-type]
    assert set(found.signals) == set(step.signals())
    names = [name.removeprefix("fineweb.") for name in found.signals]
    return [
        dict(zip(names, row, strict=True)) for row in zip(*(v.tolist() for v in found.signals.values()), strict=True)
    ]


def failed(text: str, step: FineWeb = STEP) -> set[str]:
    found = step.measure(Texts.from_strings([text]), None)  # type: ignore[arg-type]
    verdict = judge(step.rules(), {name: pa.array(values) for name, values in found.signals.items()}, 1)
    return {reason.split(":")[0].removeprefix("fineweb.") for reason in verdict.reasons.to_pylist()[0]}


def oracle(text: str) -> dict[str, float]:
    lines = [line for line in text.split("\n") if line.strip()]
    copied = sum(len(line) for i, line in enumerate(lines) if line in lines[:i])
    n = max(len(lines), 1)
    return {
        "line_punctuation_fraction": sum(bool(characters()[ord(line[-1])] & END_MARK) for line in lines) / n,
        "short_line_fraction": sum(len(line) <= 30 for line in lines) / n,
        "duplicate_line_char_fraction": copied / max(len(text.replace("\n", "")), 1),
        "newline_ratio": text.count("\n") / max(len(text.split()), 1),
    }


@settings(deadline=None)
@given(st.lists(TEXT, max_size=4))
@example(["", "\n\n", " ", "a.\n a.\na. \na.\n a.", "x" * 30 + "\n" + "x" * 31 + "\n" + " " + "x" * 30, "…", "\u2029."])
def test_signals_are_those_of_plain_python(strings: list[str]) -> None:
    assert measure(strings) == [oracle(string) for string in strings]


@settings(deadline=None)
@given(st.lists(TEXT, min_size=2, max_size=4))
def test_neighbours_change_nothing(strings: list[str]) -> None:
    assert measure(strings[::-1])[::-1] == [measure([string])[0] for string in strings]


@pytest.mark.parametrize("text", ["", "\n \n", "\u2003"])
def test_a_text_without_lines_is_dropped(text: str) -> None:
    assert "min_line_punctuation_fraction" in failed(text)


def test_hostile_texts_survive() -> None:
    assert len(measure(["\0", "\ud800.", "x" * 3_000_000, "\n" * 100_000, " " * 100_000 + "."])) == 5


LONG = "a line that has more than thirty code points {}"


def rows(count: int, total: int, one: str, other: str = LONG) -> str:
    return "\n".join((one if k < count else other).format(k) for k in range(total))


@pytest.mark.parametrize(
    ("rule", "kept", "dropped"),
    [
        ("min_line_punctuation_fraction", rows(12, 100, LONG + "."), rows(11, 100, LONG + "。")),
        ("max_short_line_fraction", rows(67, 100, "short {}."), rows(68, 100, "short {}.")),
        ("max_newline_ratio", "a b c d e f g h i j\n\n\n", "a b c d e f g h i j\n\n\n\n"),
        ("max_duplicate_line_char_fraction", "x\nx\n" + "y" * 98, "x\nx\n" + "y" * 97),
    ],
)
def test_a_value_at_the_bound_is_kept_and_one_beyond_is_not(rule: str, kept: str, dropped: str) -> None:
    assert rule not in failed(kept)
    assert rule in failed(dropped)
    assert rule not in failed(dropped, FineWeb(**{rule: None}))


def test_the_paper_allows_ten_times_as_many_copies() -> None:
    paper, rule = FineWeb(dialect="paper"), "max_duplicate_line_char_fraction"
    assert rule in failed("x\nx\n" + "y" * 8)
    assert rule not in failed("x\nx\n" + "y" * 8, paper)
    assert rule in failed("x\nx\n" + "y" * 7, paper)
    assert FineWeb(dialect="paper", max_duplicate_line_char_fraction=0.5).max_duplicate_line_char_fraction == 0.5
    assert FineWeb(dialect="paper", max_duplicate_line_char_fraction=None).max_duplicate_line_char_fraction is None


def test_datatrove_counts_tokens() -> None:
    text = "it's (a) b/c\n\n."
    assert measure([text])[0]["newline_ratio"] == 2 / 4
    assert measure([text], FineWeb(dialect="datatrove"))[0]["newline_ratio"] == 2 / 9
    assert FineWeb(dialect="datatrove").max_duplicate_line_char_fraction == 0.01


def test_end_marks_are_those_of_the_code() -> None:
    ends = {
        ".": 1,
        "?": 1,
        "!": 1,
        "。": 1,
        "؟": 1,
        "।": 1,
        "៖": 1,
        "…": 0,
        '."': 0,
        ":": 0,
        "\u2024": 0,
        ".)": 0,
        ". ": 0,
    }
    found = measure([f"a line{end}" for end in ends])
    assert [row["line_punctuation_fraction"] for row in found] == list(ends.values())


def test_the_reason_shows_the_first_copy() -> None:
    texts = Texts.from_strings(["no copy.", "é.\nfirst. \n second.\nfirst. \nfirst. \n second.\n"])
    found = STEP.measure(texts, None)  # type: ignore[arg-type]
    signals = {name: pa.array(values) for name, values in found.signals.items()}
    reasons = judge(STEP.rules(), signals, 2, texts, found.spans).reasons.to_pylist()
    assert any(reason.endswith(', at 20-27: "first. "') for reason in reasons[1])
    assert not any("at " in reason for reason in reasons[0])


def test_the_length_of_a_short_line_can_be_set() -> None:
    assert measure(["12345\n123456"], FineWeb(short_line_chars=5))[0]["short_line_fraction"] == 0.5


@pytest.mark.parametrize("options", [{"dialect": "dclm"}, {"short_line_chars": -1}, {"max_short_line_fraction": 2}])
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=rf"fineweb: {next(iter(options))} = .*; wanted"):
        FineWeb(**options)  # type: ignore[arg-type]
