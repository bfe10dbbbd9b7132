"""Recipes whose rules can decide nothing are refused before any work."""

from pathlib import Path
from typing import Any

import pytest

import corpusmill.dedup
import corpusmill.filters  # noqa: F401  both packages register their steps
from corpusmill.errors import ConfigError
from corpusmill.options import build
from corpusmill.recipe import parse
from corpusmill.soundness import check_steps
from corpusmill.steps import find


def check(*steps: dict[str, Any], sources: tuple[str, ...] | None = None) -> None:
    built = [build(find(step["use"]), {k: v for k, v in step.items() if k != "use"}) for step in steps]
    check_steps(built, sources=sources)


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


BIG_CLUSTERS = {"use": "where", "keep": ["minhash.cluster_size < 1000"]}


@pytest.mark.parametrize("condition", ["minhash.cluster_size <= 1", "minhash.cluster_size > 1"])
def test_a_rule_over_the_size_of_clusters_stands_behind_the_barrier(condition: str) -> None:
    check({"use": "minhash"}, BIG_CLUSTERS, {"use": "where", "keep": [condition]})


def test_before_the_barrier_clusters_have_no_size() -> None:
    with pytest.raises(ConfigError, match=r"reads the signal minhash\.cluster_size, but no step before it makes that"):
        check(BIG_CLUSTERS, {"use": "minhash"})
    with pytest.raises(ConfigError, match=r"made so far: exact\.cluster_size"):
        check({"use": "exact"}, BIG_CLUSTERS, {"use": "minhash"})
    with pytest.raises(ConfigError, match="no step before it makes that signal"):
        check({"use": "minhash", "keep": "best:minhash.cluster_size"})


def test_a_cluster_has_at_least_one_document() -> None:
    with pytest.raises(ConfigError, match="can drop nothing: the signal lies between 1 and inf"):
        check({"use": "minhash"}, {"use": "where", "keep": ["minhash.cluster_size >= 1"]})


SOURCES = ("wiki", "books", "cc")


@pytest.mark.parametrize("keep", ["source:wiki", "source:cc, wiki", "source:books,cc,wiki", "first"])
def test_survivors_by_sources_that_are_there(keep: str) -> None:
    check({"use": "minhash", "keep": keep}, sources=SOURCES)


@pytest.mark.parametrize("keep", ["source:wikipedia", "source:wiki,Books", "source:wiki, cc2, books"])
@pytest.mark.parametrize("use", ["minhash", "exact", "same_url", "simhash"])
def test_survivors_by_a_source_that_is_not_there(use: str, keep: str) -> None:
    with pytest.raises(ConfigError, match=r"the recipe has no source .*; its sources: books, cc, wiki$"):
        check({"use": use, "keep": keep}, sources=SOURCES)
    check({"use": use, "keep": keep})  # nothing is known of sources


def test_runs_that_share_an_index_may_name_each_others_sources(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    both = {"use": "minhash", "keep": "source:wiki,cc-2023"}
    check({**both, "save": str(tmp_path / "new")}, sources=("wiki",))
    check({**both, "against": str(tmp_path)}, sources=("cc-2023",))


def test_a_recipe_knows_its_sources(tmp_path: Path) -> None:
    body = {
        "name": "r",
        "sources": [{"name": name, "paths": [str(tmp_path)], "format": "text"} for name in SOURCES],
        "steps": [{"use": "exact", "keep": "source:cc,wiki"}],
    }
    assert parse(body).steps
    with pytest.raises(ConfigError, match="has no source 'crawl'; its sources: books, cc, wiki"):
        parse({**body, "steps": [{"use": "exact", "keep": "source:crawl,wiki"}]})
