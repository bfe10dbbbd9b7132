"""Rules decide, signals only measure.

A rule is data: a signal, a comparison, a bound, and the name under which the ledger counts what it drops. All rules of
a filter are evaluated for every document, so a rejected document carries every reason, with value and bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.text import Texts

Bound = bool | int | float | str | tuple[str, ...]
Comparison = Literal[">=", "<=", ">", "<", "==", "in"]

_COMPARE = {
    ">=": pc.greater_equal,
    "<=": pc.less_equal,
    ">": pc.greater,
    "<": pc.less,
    "==": pc.equal,
}


Spans = Mapping[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]
"""For the name of a rule: start and stop int64[n], bytes into `Texts.data`, of what failed it; start -1 where none."""

EXCERPT_BYTES = 80
"""How much of a span a reason shows."""


@dataclass(frozen=True)
class Rule:
    """Keep a document when `signal comparison bound` holds; null never passes and NaN never passes.

    `name` is `family.rule` (`gopher.min_words`): the reason under which drops are counted. Where the bound depends on
    another signal, such as the language, `by` names that signal and `bounds` has a bound for each of its values;
    `bound` is then for all other values, and None lets them pass.
    """

    name: str
    signal: str
    comparison: Comparison
    bound: Bound | None
    by: str | None = None
    bounds: Mapping[str, Bound] = field(default_factory=dict)

    def passes(self, signals: Mapping[str, pa.Array]) -> npt.NDArray[np.bool_]:
        """bool[n]: which documents this rule keeps."""
        values = signals[self.signal]
        kept = np.ones(len(values), dtype=np.bool_) if self.bound is None else self._holds(values, self.bound)
        if self.by is not None:
            for value in pc.unique(signals[self.by]).to_pylist():
                if value in self.bounds:
                    rows = _filled(pc.equal(signals[self.by], pa.scalar(value)))
                    kept[rows] = self._holds(values.filter(pa.array(rows)), self.bounds[value])
        return kept

    def explain(self, signals: Mapping[str, pa.Array]) -> pa.Array:
        """string[n]: `name: signal = value, wanted comparison bound`, and `for` what picked the bound."""
        return pc.binary_join_element_wise(pa.scalar(f"{self.name}: "), self._said(signals), "")

    def judge_one(self, row: Mapping[str, object]) -> tuple[bool, str]:
        """Whether the rule keeps a document with the signals `row`, and its reason without the rule's name."""
        signals = {self.signal: pa.array([row[self.signal]])}
        if self.by is not None:
            signals[self.by] = pa.array([row.get(self.by)], pa.string())
        return bool(self.passes(signals)[0]), str(self._said(signals)[0].as_py())

    def _said(self, signals: Mapping[str, pa.Array]) -> pa.Array:
        values = signals[self.signal]
        if pa.types.is_floating(values.type):
            values = pc.round(values, 6)
        shown = pc.cast(values, pa.string()).fill_null("null")
        before = pa.scalar(f"{self.signal} = ")
        if self.by is None:
            return pc.binary_join_element_wise(before, shown, pa.scalar(self._wanted(self.bound)), "")
        wanted = pa.array([*map(self._wanted, self.bounds.values()), self._wanted(self.bound)], pa.string())
        which = pc.index_in(signals[self.by], value_set=pa.array(self.bounds, pa.string())).fill_null(len(self.bounds))
        picked = pc.cast(signals[self.by], pa.string()).fill_null("null")
        return pc.binary_join_element_wise(before, shown, wanted.take(which), pa.scalar(" for "), picked, "")

    def _holds(self, values: pa.Array, bound: Bound) -> npt.NDArray[np.bool_]:
        if self.comparison == "in":
            return _filled(pc.is_in(values, value_set=pa.array(list(bound), values.type)))  # type: ignore[arg-type]
        return _filled(_COMPARE[self.comparison](values, pa.scalar(bound)))

    def _wanted(self, bound: Bound | None) -> str:
        return f", wanted {self.comparison} {shown(bound)}"


def shown(bound: Bound | None) -> str:
    """A bound in words."""
    if isinstance(bound, tuple):
        return ", ".join(bound)
    return "anything" if bound is None else str(bound).lower() if isinstance(bound, bool) else str(bound)


def _filled(kept: pa.Array) -> npt.NDArray[np.bool_]:
    return np.array(kept.fill_null(False).to_numpy(zero_copy_only=False), dtype=np.bool_)


@dataclass(frozen=True)
class Verdict:
    """What the rules of one filter said of n documents.

    keep    bool[n]
    first   int32[n], position of the first rule that failed, -1 where none did: the ledger's one reason
    reasons list<string>[n], every rule that failed, with value and bound; empty where none did
    failed  for each rule, how many documents failed it
    """

    keep: npt.NDArray[np.bool_]
    first: npt.NDArray[np.int32]
    reasons: pa.ListArray
    failed: tuple[int, ...]


def judge(
    rules: Sequence[Rule],
    signals: Mapping[str, pa.Array],
    rows: int,
    texts: Texts | None = None,
    spans: Spans | None = None,
) -> Verdict:
    """Evaluate every rule on every document. `spans` are places in `texts` that the reasons of text rules name."""
    first = np.full(rows, -1, dtype=np.int32)
    failing_rows: list[npt.NDArray[np.int64]] = []
    reasons: list[pa.Array] = []
    failures = [0] * len(rules)
    for position in range(len(rules) - 1, -1, -1):
        rule = rules[position]
        failed = np.flatnonzero(~rule.passes(signals))
        failures[position] = len(failed)
        if failed.size:
            first[failed] = position
            failing_rows.append(failed)
            wanted = {name: signals[name].take(pa.array(failed)) for name in (rule.signal, rule.by) if name}
            reason = rule.explain(wanted).cast(pa.string())
            if texts is not None and spans is not None and rule.name in spans:
                reason = _with_place(reason, texts, failed, *(side[failed] for side in spans[rule.name]))
            reasons.append(reason)
    failing_rows.reverse()
    reasons.reverse()
    if not reasons:
        empty = pa.ListArray.from_arrays(pa.array(np.zeros(rows + 1, dtype=np.int32)), pa.array([], pa.string()))
        return Verdict(first < 0, first, empty, tuple(failures))
    owner = np.concatenate(failing_rows)
    order = np.argsort(owner, kind="stable")
    offsets = np.zeros(rows + 1, dtype=np.int32)
    np.cumsum(np.bincount(owner, minlength=rows), out=offsets[1:])
    values = pa.concat_arrays(reasons).take(pa.array(order))
    return Verdict(first < 0, first, pa.ListArray.from_arrays(pa.array(offsets), values), tuple(failures))


def _with_place(
    reasons: pa.Array,
    texts: Texts,
    rows: npt.NDArray[np.int64],
    start: npt.NDArray[np.int64],
    stop: npt.NDArray[np.int64],
) -> pa.Array:
    """The reasons with `, at start-stop: "excerpt"` behind them, in code points of the text the rule read."""
    begin = texts.offsets[rows]
    known = start >= 0
    start, stop = np.where(known, start, begin), np.where(known, stop, begin)
    before, inside = texts.count_chars(begin, start), texts.count_chars(start, stop)
    excerpt = texts.cut(start, np.minimum(stop, start + EXCERPT_BYTES))
    first, last = (pc.cast(pa.array(side), pa.string()) for side in (before, before + inside))
    marks = [pa.scalar(mark) for mark in (", at ", "-", ': "', '"')]
    placed = pc.binary_join_element_wise(
        reasons, marks[0], first, marks[1], last, marks[2], excerpt.cast(pa.string()), marks[3], ""
    )
    return pc.if_else(pa.array(known), placed, reasons)
