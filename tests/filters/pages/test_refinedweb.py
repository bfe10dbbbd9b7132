"""RefinedWeb's line rules against DCLM's own functions and plain Python, and both dialects at their bounds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.filters.measure import measure
from corpusmill.filters.pages.refinedweb import COUNTERS, RefinedWeb
from corpusmill.filters.pages.refinedweb_lines import DECIMAL, DIGIT, UPPER, WORD, python_classes
from corpusmill.rules import judge
from corpusmill.soundness import check_steps
from corpusmill.text import Texts

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "refinedweb.json").read_text("utf-8"))["cases"]
STEP = RefinedWeb()
PIECES = st.one_of(
    st.sampled_from(
        ["\n", "\n\n", " ", "\u3000", "\t", "\x1c", "\0", "A", "É", "ǅ", "Ⅷ", "a", "word", "7", "²", "१", "½", "..."]
    ),
    st.sampled_from(
        ["3 likes", "1.5K Views", "\n4,5m followers!\n", "items in cart", " ITEMS in Cart", "ıtems in cart", "_"]
    ),
    st.sampled_from(
        ["read more...", "Read more ok", "\nsign-in ", "Sign-in\u00a0", "ſign-in", "one two three four five "]
    ),
    st.characters(exclude_categories=["Cs"]),
)
TEXT = st.lists(PIECES, max_size=25).map("".join)


def counted(strings: list[str], step: RefinedWeb = STEP) -> list[dict[str, Any]]:
    found = step.measure(Texts.from_strings(strings), None)
    assert list(found.signals) == list(step.signals())
    assert found.texts is not None
    columns = {name.removeprefix("refinedweb."): values.tolist() for name, values in found.signals.items()}
    columns["text"] = found.texts.to_list()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def kept(strings: list[str], step: RefinedWeb = STEP) -> list[bool]:
    found = step.measure(Texts.from_strings(strings), None)
    signals = {name: pa.array(values) for name, values in found.signals.items()}
    result: list[bool] = judge(step.rules(), signals, len(strings)).keep.tolist()
    return result


def fasttext_words(text: str) -> int:
    return sum(word[:1].isalnum() for word in re.split("[ \n\r\t\v\f\0]+", text))


def oracle(text: str) -> str:
    """The line rules as one regular expression or `str` method each, on the joined text each time."""

    def lines(text: str, keep: Any) -> str:
        return "\n".join(line for line in text.split("\n") if not line or keep(line))

    def cut(text: str, pattern: str) -> str:
        rows = []
        for line in text.split("\n"):
            short = line if len(line.split()) > 10 else re.sub(pattern, "", line, flags=re.IGNORECASE)
            if not line or short.strip() or len(line.split()) > 10:
                rows.append(short)
        return "\n".join(rows).strip()

    number = rf"\W*\d[,.\d]*[kmb]?\s+(?:{'|'.join(COUNTERS)})\W*"
    text = lines(text, lambda line: sum(map(str.isupper, line)) / len(line) <= 0.5).strip()
    text = lines(text, lambda line: sum(map(str.isdigit, line)) / len(line) <= 0.999999).strip()
    text = lines(text, lambda line: not re.fullmatch(number, line.lower())).strip()
    text = lines(text, lambda line: len(line.split()) > 1)
    return cut(cut(cut(text, r"\s?items in cart"), r"\s?read more...$"), r"^sign-in\s?")


def test_golden() -> None:
    texts = [case[0] for case in GOLDEN]
    for found, keep, (text, wanted, after, words) in zip(counted(texts), kept(texts), GOLDEN, strict=True):
        assert (keep, found["words"]) == (wanted, words), text
        assert found["text"] == (after or ""), text
    assert 0.2 < sum(case[1] for case in GOLDEN) / len(GOLDEN) < 0.8


@given(st.lists(TEXT, min_size=1, max_size=4))
@example(["\n1\n \n12 \n", " \u3000\n\nA\n b c \n", "a b\n\n\n", "items in cart\n\nread more...\n\nsign-in"])
def test_texts_are_those_of_plain_python(strings: list[str]) -> None:
    for string, found in zip(strings, counted(strings), strict=True):
        assert found["text"] == oracle(string)
        before, after = fasttext_words(string), fasttext_words(found["text"])
        assert (found["words"], found["words_removed"]) == (before, max(before - after, 0))
        assert found["chars_removed"] == len(string) - len(found["text"])
        assert found["removed_word_fraction"] == max(before - after, 0) / max(before, 1)


@given(st.lists(TEXT, min_size=2, max_size=4), st.sampled_from(["dclm", "paper"]))
def test_neighbours_change_nothing(strings: list[str], dialect: Any) -> None:
    step = RefinedWeb(dialect=dialect)
    found = counted(strings, step)
    assert counted(strings[::-1], step)[::-1] == found == [counted([string], step)[0] for string in strings]


def test_classes_are_those_of_python() -> None:
    flags = python_classes()
    for code in (*range(0x3000), 0x1D400, 0x1F130, 0x1F150, 0x10A40, 0x1D7CE, *range(0x4E00, 0x4E20)):
        c = chr(code)
        if c.isprintable():  # other code points may be newer than the running Python's Unicode
            assert bool(flags[code] & UPPER) == c.isupper(), hex(code)
            assert bool(flags[code] & DIGIT) == c.isdigit(), hex(code)
            assert bool(flags[code] & DECIMAL) == c.isdecimal(), hex(code)
            assert bool(flags[code] & WORD) == c.isalnum(), hex(code)


PROSE = "\n".join(["it ran on so far"] * 20)


@pytest.mark.parametrize(
    ("signal", "line", "other"),
    [
        ("lines_uppercase", "AB cDE", "AB cdE"),
        ("lines_numeric", "12345", "1234 5"),
        ("lines_counter", "* 1,234 Comments!", "1,234 comments today"),
        ("lines_short", "word", "two words"),
        ("phrases_removed", "two items in cart", "two items in carts, which are more than ten words here now"),
        ("phrases_removed", "go on, read more >>", "go on, read more >> "),
        ("phrases_removed", "sign-in to see", "please sign-in to see"),
        ("lines_emptied", "Sign-in items in cart", "Sign-in items in cart ."),
    ],
)
def test_each_kind_is_counted(signal: str, line: str, other: str) -> None:
    for removed, text in ((True, line), (False, other)):
        found = counted([f"{PROSE}\n{text}\n{PROSE}"])[0]
        assert (found[signal] > 0) == removed
        kinds = [name for name in found if name.startswith(("lines_", "phrases_")) and found[name]]
        assert signal != "lines_uppercase" or kinds == ([signal] if removed else [])


@pytest.mark.parametrize(("words", "keep"), [(95, True), (94, False)])
def test_a_page_may_lose_a_twentieth_of_its_words(words: int, keep: bool) -> None:
    text = " ".join(["word"] * words) + "\n" + " ".join(["WORD"] * 5)
    assert kept([text]) == kept([text], RefinedWeb(dialect="paper")) == [keep]
    assert kept([text], RefinedWeb(max_removed_word_fraction=None)) == [True]


def test_the_paper_counts_every_word_of_a_flagged_line_and_takes_dots_for_dots() -> None:
    text = " ".join(["word"] * 100) + "\nnow go on and read more...\nread more ok"
    dclm, paper = counted([text])[0], counted([text], RefinedWeb(dialect="paper"))[0]
    assert (dclm["words"], dclm["words_removed"], dclm["phrases_removed"], dclm["lines_emptied"]) == (109, 5, 2, 1)
    assert (paper["words"], paper["words_removed"], paper["phrases_removed"], paper["lines_emptied"]) == (109, 6, 1, 0)
    twice = counted(["items in cart and sign-in\nsign-in items in cart now"], RefinedWeb(dialect="paper"))[0]
    assert (twice["words_removed"], twice["phrases_removed"], twice["text"]) == (10, 3, "and sign-in\nnow")


def test_a_rule_that_is_off_takes_nothing() -> None:
    off = RefinedWeb(
        max_uppercase_fraction=None,
        max_numeric_fraction=None,
        counters=(),
        min_line_words=None,
        max_short_line_words=None,
        min_words=None,
        max_removed_word_fraction=None,
    )
    text = " \nHELLO\n12\n3 likes\nword\n \nSign-in items in cart read more...\n\n"
    found = counted([text], off)[0]
    assert found["text"] == text
    assert found["chars_removed"] == found["words_removed"] == 0
    assert off.rules() == ()
    only = RefinedWeb(
        counters=("apples",), anywhere=(), at_end=("buy now", "日本"), at_start=("x",), min_line_words=None
    )
    assert (
        counted(["7 apples\n\nso then BUY NOW\nthe 日本\nxX y\n3 likes"], only)[0]["text"]
        == "so then\nthe\nX y\n3 likes"
    )


@pytest.mark.parametrize("phrase", ["日本 more", ".. more", "ßé", "kiss it"])
def test_any_phrase_can_be_given(phrase: str) -> None:
    for dialect in ("dclm", "paper"):
        step = RefinedWeb(dialect=dialect, anywhere=(phrase,), at_end=(), at_start=())  # type: ignore[arg-type]
        after = [
            found["text"] for found in counted(["so it is", f"so {phrase} it is", f"so {phrase.upper()} it"], step)
        ]
        assert after[:2] == ["so it is", "so it is"]
        assert after[2] == "so it" or not phrase.isascii()  # only letters of ASCII are found in any case
        assert counted(["a ſo \u212aıſS it"], step)[0]["phrases_removed"] == (phrase == "kiss it")


def test_the_reason_shows_the_first_line_that_went() -> None:
    table = measure(["é line of prose\n3 likes\nMENU"], "refinedweb")
    assert table["reasons"].to_pylist() == [
        [
            "refinedweb.max_removed_word_fraction: refinedweb.removed_word_fraction = 0.428571, wanted <= 0.05, "
            'at 16-23: "3 likes"'
        ]
    ]
    edited = measure(["some prose\ngo to items in cart now"], "refinedweb")["reasons"].to_pylist()[0][0]
    assert edited.endswith('at 11-34: "go to items in cart now"')


@pytest.mark.parametrize("dialect", ["dclm", "paper"])
def test_hostile_texts_survive(dialect: Any) -> None:
    texts = [
        "",
        " " * 100_000,
        "\n" * 200_000,
        "\0",
        "\ud800 x",
        "A" * 4_000_000,
        "7" * 1_000_000,
        "items in cart" * 50_000,
    ]
    texts += ["- " * 300_000, "a\u0301" * 1000, "\u202eשלום עולם", "👍🏽 " * 1000, "3 likes\n" * 50_000, ".," * 200_000]
    found = counted(texts, RefinedWeb(dialect=dialect))
    assert all(0 <= row["removed_word_fraction"] <= 1 for row in found)
    assert kept(["", " ", "\n"], RefinedWeb(dialect=dialect)) == [False] * 3


@pytest.mark.parametrize(
    "options", [{"dialect": "falcon"}, {"max_uppercase_fraction": 1.5}, {"min_words": -1}, {"at_end": ("",)}]
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"refinedweb: {next(iter(options))} = .*; wanted"):
        RefinedWeb(**options)


def test_the_recipe_check_passes() -> None:
    check_steps([RefinedWeb()])
