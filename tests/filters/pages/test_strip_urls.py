"""URLs out of the text and runs of line feeds, against DCLM's own functions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.filters.measure import measure
from corpusmill.filters.pages.newlines import Newlines
from corpusmill.filters.pages.strip_urls import StripUrls
from corpusmill.filters.pages.top_level_domains import TOP_LEVEL_DOMAINS
from corpusmill.soundness import check_steps
from corpusmill.steps import Filter
from corpusmill.text import Texts

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "refinedweb_strip_urls.json").read_text("utf-8"))

_TAIL = r"[-a-zA-Z0-9()@:%_+.~#?&/=]*"
_DOMAIN = "|".join(sorted(map(re.escape, TOP_LEVEL_DOMAINS), key=len, reverse=True))
_URL = re.compile(rf"\s{{0,10}}(?:(?:https?|ftp)://)?[-a-zA-Z0-9@:%._+~#=]{{1,256}}\.(?:{_DOMAIN})\b{_TAIL}")
_ADDRESS = re.compile(rf"\s{{0,10}}\b(?:(?:https?|ftp)://)?(?:[0-2]?[0-9]{{1,2}}\.){{3}}[0-2]?[0-9]{{1,2}}{_TAIL}")

PIECES = st.one_of(
    st.sampled_from(["http", "https", "ftp", "://", ":", "/", ".", "..", "com", ".co", ".uk", "рф", ".भारतम्", "भारत"]),
    st.sampled_from(
        ["a", "é", "_", "@", "(", " ", "\n", "\u3000", "     ", "1", "25", "299", "300", "1.2.3.", "A", "日本"]
    ),
    st.sampled_from(["a" * 255, "b" * 100, "x.y", "\u0130", "ſ", ".de/x?y=z#(1)", "10.0.0.1"]),
)
TEXT = st.lists(PIECES, max_size=14).map("".join)


def run(strings: list[str], step: Filter) -> list[tuple[Any, ...]]:
    found = step.measure(Texts.from_strings(strings), None)
    assert list(found.signals) == list(step.signals())
    assert found.texts is not None
    return list(zip(found.texts.to_list(), *(values.tolist() for values in found.signals.values()), strict=True))


@pytest.mark.parametrize("dialect", ["dclm", "fixed"])
def test_golden(dialect: Any) -> None:
    cases = GOLDEN["cases"]
    rows = run([case[0] for case in cases], StripUrls(dialect=dialect))
    for case, row in zip(cases, rows, strict=True):
        assert list(row[:3]) == case[1:4] if dialect == "dclm" else case[4:7], case[0]
        assert row[3:] == (len(case[0]) - len(row[0]), len(row[0]))


@given(st.lists(TEXT, min_size=1, max_size=4))
def test_fixed_is_that_of_regular_expressions(strings: list[str]) -> None:
    found = run(strings, StripUrls(dialect="fixed"))
    for string, row in zip(strings, found, strict=True):
        after, urls = _URL.subn("", string)
        after, addresses = _ADDRESS.subn("", after)
        assert row[:3] == (after, urls, addresses)
    assert run(strings[::-1], StripUrls(dialect="fixed"))[::-1] == found


def test_a_page_of_which_nothing_is_left_is_dropped() -> None:
    assert measure(["a.com", "a.com b", "1.2.3.4", ""], "strip_urls")["keep"].to_pylist() == [True, True, False, False]
    assert measure(["a.com"], "strip_urls", dialect="fixed")["keep"].to_pylist() == [False]
    assert measure([""], "strip_urls", min_chars=None)["keep"].to_pylist() == [True]


def test_newlines_golden() -> None:
    cases = GOLDEN["newlines"]
    assert run([case[0] for case in cases], Newlines()) == [
        (after, before.count("\n") - after.count("\n")) for before, after in cases
    ]


@given(st.lists(st.text("\n\n\na \r", max_size=20), max_size=3), st.integers(1, 4))
def test_newlines_are_those_of_a_regular_expression(strings: list[str], most: int) -> None:
    wanted = [re.sub(rf"\n{{{most + 1},}}", "\n" * most, string) for string in strings]
    assert [row[0] for row in run(strings, Newlines(most))] == wanted


def test_hostile_texts_survive() -> None:
    texts = [
        "a." * 1_000_000,
        ".com" * 500_000,
        "." * 1_000_000,
        "1." * 1_000_000,
        "http://" * 200_000,
        " " * 1_000_000,
    ]
    texts += ["a" * 3_000_000 + ".com", "\ud800.com", "\0", "\n" * 1_000_000, "भ" * 500_000]
    for step in (StripUrls(), StripUrls(dialect="fixed"), Newlines()):
        assert len(run(texts, step)) == len(texts)


@pytest.mark.parametrize(
    ("step", "options"),
    [(StripUrls, {"dialect": "x"}), (StripUrls, {"min_chars": -1}), (Newlines, {"max_consecutive": 0})],
)
def test_options_out_of_range_are_refused(step: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"{step.use}: {next(iter(options))} = .*; wanted"):
        step(**options)


def test_the_recipe_check_passes() -> None:
    check_steps([StripUrls(), Newlines()])
