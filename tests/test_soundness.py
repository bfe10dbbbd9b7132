"""Recipes whose rules can decide nothing are refused before any work."""

from typing import Any

import pytest

import corpusmill.dedup
import corpusmill.filters  # noqa: F401  both packages register their steps
from corpusmill.errors import ConfigError
from corpusmill.options import build
from corpusmill.soundness import check_steps
from corpusmill.steps import find


def check(*steps: dict[str, Any]) -> None:
    check_steps([build(find(step["use"]), {k: v for k, v in step.items() if k != "use"}) for step in steps])


GOPHER = {"use": "gopher_quality"}


@pytest.mark.parametrize(
    "condition",
    [
        "gopher_quality.word_count >= 200",
        "gopher_quality.word_count < 1e6",
        "gopher_quality.bullet_line_fraction <= 0.5",
        "source == wiki",
        "source in wiki, books",
    ],
)
def test_conditions_that_make_sense(condition: str) -> None:
    check(GOPHER, {"use": "where", "keep": [condition]})


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("gopher_quality.wordcount >= 200", "made so far: gopher_quality.alphabetic_word_fraction"),
        ("c4.sentences >= 3", "no step before it makes that signal"),
        ("gopher_quality.bullet_line_fraction <= 1.5", "can drop nothing"),
        ("gopher_quality.bullet_line_fraction >= 1.5", "drops every document"),
        ("gopher_quality.word_count < 0", "drops every document"),
        ("gopher_quality.word_count >= 0", "can drop nothing"),
        ("gopher_quality.word_count == many", "can't be compared"),
        ("gopher_quality.word_count in 1, 2", "can't be compared"),
        ("gopher_quality.word_count <= 262,144", "can't be compared"),
        ("source >= 4", "can't be compared"),
        ("gopher_quality.word_count", "wanted `signal comparison bound`"),
        ("gopher_quality.word_count != 3", "wanted `signal comparison bound`"),
    ],
)
def test_conditions_that_can_not_work(condition: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        check(GOPHER, {"use": "where", "keep": [condition]})


def test_a_signal_of_a_later_step_is_not_there_yet() -> None:
    with pytest.raises(ConfigError, match="reads the signal gopher_quality"):
        check({"use": "where", "keep": ["gopher_quality.word_count >= 1"]}, GOPHER)


@pytest.mark.parametrize(
    "options",
    [
        {"min_words": 100, "max_words": 99},
        {"min_mean_word_length": 5.0, "max_mean_word_length": 4.5},
    ],
)
def test_bounds_that_exclude_each_other(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="drop every document"):
        check({**GOPHER, **options})


def test_bounds_that_meet_are_allowed() -> None:
    check({**GOPHER, "min_words": 100, "max_words": 100})
