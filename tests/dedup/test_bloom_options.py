"""`bloom`: its options, and which stored filter fits which."""

from __future__ import annotations

from typing import Any

import pytest

from corpusmill.dedup.bloom import Bloom
from corpusmill.errors import ConfigError, IntegrityError
from corpusmill.text import Texts


def make(**options: Any) -> Bloom:
    return Bloom(**{"expected_ngrams": 1000, **options})


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"ngram_words": 5}, {"false_positive_rate": 0.1}, {"expected_ngrams": 9}]
)
def test_a_filter_made_with_other_options_is_refused(other: dict[str, Any]) -> None:
    step = make()
    stored = step.state_bytes(step.start())
    with pytest.raises(IntegrityError, match="give the step the options with which the filter was made"):
        make(**other).restore(stored)
    make(unit="paragraph", threshold=0.3).restore(stored)
    make(dialect="dolma").restore(stored)
    with pytest.raises(IntegrityError, match="kind = 0, this step 1"):
        make(dialect="dolma", unit="document").restore(stored)


def test_the_filter_is_all_the_memory() -> None:
    for expected in (1, 1000, 10**6):
        step = Bloom(expected_ngrams=expected)
        assert step.filter_bytes() == step.start().words.nbytes
    assert Bloom(expected_ngrams=10**12).filter_bytes() == pytest.approx(1.241e12, rel=0.01)


def test_defaults_are_the_dialects() -> None:
    for dialect, unit, threshold in (("dclm", "both", 0.8), ("dolma", "paragraph", 0.5)):
        step = make(dialect=dialect)
        assert (step.unit, step.threshold, step.ngram_words) == (unit, threshold, 13)


@pytest.mark.parametrize(
    "options",
    [
        {"dialect": "ccnet"},
        {"unit": "line"},
        {"unit": "both", "dialect": "dolma"},
        {"expected_ngrams": 0},
        {"ngram_words": 0},
        {"ngram_words": True},
        {"threshold": 1.0},
        {"threshold": 0.0, "dialect": "dolma"},
        {"threshold": -0.1},
        {"threshold": "0.8"},
        {"threshold": float("nan")},
        {"false_positive_rate": 0.0},
        {"false_positive_rate": 0.6},
        {"seed": -1},
        {"keep": "last"},
    ],
)
def test_wrong_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"bloom: {next(iter(options))} = "):
        Bloom(**{"expected_ngrams": 100, **options})


def test_keys_are_pinned() -> None:
    """Changing this means other output: raise the version of `bloom`."""
    assert Bloom.version == 1
    step = Bloom(expected_ngrams=20, ngram_words=2)
    state = step.start()
    step.feed(state, Texts.from_strings(["The quick brown fox, jumps over", "Über 7 Brücken"]))
    assert state.words.tolist() == PINNED


PINNED = [
    2251799813685376,
    9262778533594398784,
    20267899130217216,
    2323875002594230272,
    24769798084788560,
    139586700296,
    846623991728128,
    9511607362999812096,
]
