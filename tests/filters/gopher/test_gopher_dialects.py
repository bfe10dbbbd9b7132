"""Gopher's rules and FineWeb's in the dialects of other tools: what those tools themselves said of the same texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpusmill.errors import ConfigError
from corpusmill.filters.gopher.fineweb import FineWeb
from corpusmill.filters.gopher.gopher_quality import GopherQuality
from corpusmill.filters.gopher.gopher_repetition import GopherRepetition
from corpusmill.rules import judge
from corpusmill.steps import Filter
from corpusmill.text import Texts

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gopher.json").read_text("utf-8"))
TEXTS = ["".join(string * times for string, times in text) for text in GOLDEN["texts"]]
TOP = {"max_top_2gram_char_fraction": 0.2, "max_top_3gram_char_fraction": 0.18, "max_top_4gram_char_fraction": 0.16}
STEPS: dict[str, Any] = {"gopher_quality": GopherQuality, "gopher_repetition": GopherRepetition, "fineweb": FineWeb}
CASES = [(use, dialect) for use in STEPS for dialect in GOLDEN[use]]
AS_ONE = {  # a filter of NeMo has two bounds
    **dict.fromkeys(("min_words", "max_words"), "min_max_words"),
    **dict.fromkeys(("min_mean_word_length", "max_mean_word_length"), "mean_word_length"),
}


def step_of(use: str, dialect: str) -> Filter:
    more = TOP if use == "gopher_repetition" and dialect.startswith("dolma") else {}
    return STEPS[use](dialect=dialect, **more)


def failed(step: Filter, texts: list[str]) -> list[set[str]]:
    given = Texts.from_strings(texts)
    found = step.measure(given, None)  # type: ignore[arg-type]
    assert list(found.signals) == list(step.signals())
    signals = {name: pa.array(values) for name, values in found.signals.items()}
    reasons = judge(step.rules(), signals, len(texts), given, found.spans).reasons.to_pylist()
    return [{reason.split(":")[0].split(".")[1] for reason in those} for those in reasons]


def wanted(use: str, dialect: str) -> list[set[str] | None]:
    return [None if those is None else {GOLDEN["rules"][k] for k in those} for those in GOLDEN[use][dialect]]


@pytest.mark.parametrize(("use", "dialect"), CASES)
def test_verdicts_are_those_of_the_tool(use: str, dialect: str) -> None:
    for text, ours, theirs in zip(TEXTS, failed(step_of(use, dialect), TEXTS), wanted(use, dialect), strict=True):
        if theirs is None:
            assert not text.strip()  # NeMo divides by zero
            continue
        assert bool(ours) == bool(theirs), text[:200]
        if dialect == "datatrove":  # says only what failed first, "empty" of a text for no rule of ours
            assert theirs <= ours | {"empty"}, text[:200]
        elif text.strip():  # DCLM stops at different places where there are no words
            ours = {AS_ONE.get(rule, rule) for rule in ours} if dialect == "nemo" else ours
            assert ours == theirs, text[:200]


@pytest.mark.parametrize(("use", "dialect"), CASES)
def test_the_texts_lie_on_both_sides_of_every_rule(use: str, dialect: str) -> None:
    theirs = [those for those in wanted(use, dialect) if those is not None]
    names = {rule.name.split(".")[1] for rule in step_of(use, dialect).rules()}
    names = {AS_ONE.get(name, name) for name in names} if dialect == "nemo" else names
    for name in names:
        assert 0 < sum(name in those for those in theirs) < len(theirs), name


@pytest.mark.parametrize("dialect", ["dolma", "dolma_v2"])
def test_values_are_those_of_dolmas_taggers(dialect: str) -> None:
    texts = Texts.from_strings(TEXTS)
    signals: dict[str, Any] = {}
    for step in (GopherQuality(dialect=dialect), GopherRepetition(dialect=dialect)):  # type: ignore[arg-type]
        signals |= step.measure(texts, None).signals  # type: ignore[arg-type]
    found = {name.split(".")[1]: values for name, values in signals.items()}
    rows = zip(*(found[name].tolist() for name in GOLDEN["dolma_values"]["names"]), strict=True)
    for text, ours, theirs in zip(TEXTS, rows, GOLDEN["dolma_values"][dialect], strict=True):
        at_most_one = [min(value, 1.0) if k >= 7 else value for k, value in enumerate(theirs)]
        assert ours == pytest.approx(at_most_one, abs=1e-8), text[:200]


@pytest.mark.parametrize(("use", "dialect"), CASES)
def test_neighbours_change_nothing(use: str, dialect: str) -> None:
    step, some = step_of(use, dialect), TEXTS[::7]
    together = failed(step, some)
    assert failed(step, some[::-1])[::-1] == together
    assert [failed(step, [text])[0] for text in some[:12]] == together[:12]


HOSTILE = [
    "",
    " ",
    "\n",
    "\0",
    "\ud800 x",
    "\u0301" * 9,
    "שלום " * 9,
    "👍🏽" * 99,
    "x" * (1 << 24),
    "a\n" * 99,
    "...",
    "#",
]


@pytest.mark.parametrize(("use", "dialect"), CASES)
def test_hostile_texts_survive_and_nothing_is_nan(use: str, dialect: str) -> None:
    for name, values in step_of(use, dialect).measure(Texts.from_strings(HOSTILE), None).signals.items():  # type: ignore[arg-type]
        assert len(values) == len(HOSTILE)
        assert all(value == value and value >= 0 for value in values.tolist()), name
        assert not name.endswith("_fraction") or max(values.tolist()) <= 1


@pytest.mark.parametrize("dialect", ["datatrove", "nemo", "dclm"])
def test_many_equal_words_are_no_quadratic_work(dialect: str) -> None:
    step = GopherRepetition(dialect=dialect)  # type: ignore[arg-type]
    assert failed(step, [("a" * 1000 + " ") * 4000, "ab " * 1_000_000])[0] >= {"max_top_2gram_char_fraction"}


@pytest.mark.parametrize(
    ("use", "options", "said"),
    [
        ("gopher_quality", {"dialect": "dolma", "max_mean_word_length": 9}, "max_mean_word_length is set"),
        ("gopher_quality", {"dialect": "dclm", "max_hash_ratio": 0.2}, "max_hash_ratio is set"),
        ("gopher_quality", {"max_symbol_ratio": 0.2}, "max_symbol_ratio is set"),
        ("gopher_quality", {"dialect": "nemo", "words": "script"}, "words = 'script'; wanted 'space'"),
        ("gopher_quality", {"dialect": "olmo"}, "dialect = 'olmo'; wanted one of paper, datatrove"),
        ("gopher_quality", {"stop_words": ("the", "of the")}, "stop_words has 'of the'"),
        ("gopher_quality", {"stop_words": ("",)}, "stop_words has ''"),
        ("gopher_repetition", {"dialect": "dolma", "max_duplicate_paragraph_fraction": 0.2}, "measures no paragraphs"),
        ("gopher_repetition", {"dialect": "dclm", "words": "script"}, "words = 'script'; wanted 'space'"),
        ("gopher_repetition", {"dialect": "olmo"}, "dialect = 'olmo'; wanted one of paper, datatrove"),
    ],
)
def test_options_that_a_dialect_has_not_are_refused(use: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"{use}: .*{said}"):
        STEPS[use](**options)


def test_bounds_of_a_dialect_can_be_set_and_switched_off() -> None:
    assert GopherQuality(dialect="dolma").max_hash_ratio is None
    assert GopherQuality(dialect="dolma", max_symbol_ratio=0.5).max_symbol_ratio == 0.5
    assert GopherQuality(max_hash_ratio=None).max_hash_ratio is None
    assert GopherRepetition(dialect="dolma").max_duplicate_line_char_fraction == 0.3
    assert GopherRepetition(dialect="dolma").max_top_2gram_char_fraction is None
    assert GopherRepetition(dialect="dolma", max_top_2gram_char_fraction=0.2).max_top_2gram_char_fraction == 0.2
