"""Rules: bounds, nulls, and every reason of a rejected document."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.rules import Rule, judge
from corpusmill.text import Texts


@pytest.mark.parametrize(
    ("comparison", "kept"),
    [(">=", [0, 1, 1]), ("<=", [1, 1, 0]), (">", [0, 0, 1]), ("<", [1, 0, 0]), ("==", [0, 1, 0])],
)
def test_bounds(comparison: str, kept: list[int]) -> None:
    rule = Rule("f.r", "f.s", comparison, 5)  # type: ignore[arg-type]
    assert rule.passes({"f.s": pa.array([4, 5, 6])}).tolist() == [bool(k) for k in kept]


def test_null_and_nan_never_pass() -> None:
    values = pa.array([None, math.nan], pa.float64())
    for comparison in (">=", "<=", ">", "<", "=="):
        assert not Rule("f.r", "f.s", comparison, 0.0).passes({"f.s": values}).any()  # type: ignore[arg-type]
    assert not Rule("f.r", "f.s", "in", ("a",)).passes({"f.s": pa.array([None, "b"])}).any()


def test_a_bound_may_depend_on_another_signal() -> None:
    rule = Rule("f.score", "s", ">=", 0.5, by="lang", bounds={"fr": 0.8, "th": 0.2})
    signals = {"s": pa.array([0.6, 0.6, 0.3, 0.3, 0.6]), "lang": pa.array(["en", "fr", "th", "en", None])}
    verdict = judge((rule,), signals, 5)
    assert verdict.keep.tolist() == [True, False, True, False, True]
    assert [reason for row in verdict.reasons.to_pylist() for reason in row] == [
        "f.score: s = 0.6, wanted >= 0.8 for fr",
        "f.score: s = 0.3, wanted >= 0.5 for en",
    ]
    assert rule.judge_one({"s": 0.3, "lang": None}) == (False, "s = 0.3, wanted >= 0.5 for null")
    assert rule.judge_one({"s": 0.3, "lang": "th"}) == (True, "s = 0.3, wanted >= 0.2 for th")
    others_pass = Rule("f.score", "s", ">=", None, by="lang", bounds={"fr": 0.8})
    assert others_pass.passes(signals).tolist() == [True, False, True, True, True]


def test_a_text_rule_says_where() -> None:
    texts = Texts.from_strings(["où {x} ü", "nothing", "日本語{" + "é" * 60])
    start = np.array([texts.offsets[0] + 4, -1, texts.offsets[2] + 9])
    stop = np.array([texts.offsets[0] + 7, -1, texts.offsets[3]])
    rule = Rule("f.bracket", "b", "==", False)
    verdict = judge((rule,), {"b": pa.array([True, True, True])}, 3, texts, {"f.bracket": (start, stop)})
    assert verdict.reasons.to_pylist() == [
        ['f.bracket: b = true, wanted == false, at 3-6: "{x}"'],
        ["f.bracket: b = true, wanted == false"],
        ['f.bracket: b = true, wanted == false, at 3-64: "{' + "é" * 39 + '"'],
    ]


def test_every_reason_is_given_and_the_first_counts() -> None:
    rules = (Rule("f.a", "x", ">=", 2), Rule("f.b", "y", "in", ("p", "q")), Rule("f.c", "x", "<=", 3))
    verdict = judge(rules, {"x": pa.array([1, 2, 4]), "y": pa.array(["r", "p", "r"])}, 3)
    assert verdict.keep.tolist() == [False, True, False]
    assert verdict.first.tolist() == [0, -1, 1]
    assert verdict.failed == (1, 2, 1)
    assert verdict.reasons.to_pylist() == [
        ["f.a: x = 1, wanted >= 2", "f.b: y = r, wanted in p, q"],
        [],
        ["f.b: y = r, wanted in p, q", "f.c: x = 4, wanted <= 3"],
    ]


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), max_size=40))
def test_against_an_oracle(rows: list[tuple[int, int]]) -> None:
    rules = (Rule("f.a", "x", ">=", 0), Rule("f.b", "y", "<", 2), Rule("f.c", "x", "<=", 3))
    signals = {"x": pa.array([x for x, _ in rows], pa.int64()), "y": pa.array([y for _, y in rows], pa.int64())}
    verdict = judge(rules, signals, len(rows))
    for n, (x, y) in enumerate(rows):
        failed = [p for p, bad in enumerate((x < 0, y >= 2, x > 3)) if bad]
        assert verdict.keep[n] == (not failed)
        assert verdict.first[n] == (failed[0] if failed else -1)
        assert [reason.split(":")[0] for reason in verdict.reasons[n].as_py()] == [rules[p].name for p in failed]
