"""Rules decide, signals only measure.

A rule is data: a signal, a comparison, a bound, and the name under which the ledger counts what it drops. All rules of
a filter are evaluated for every document, so a rejected document carries every reason, with value and bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Bound = bool | int | float | str | tuple[str, ...]
Comparison = Literal[">=", "<=", ">", "<", "==", "in"]

_COMPARE = {
    ">=": pc.greater_equal,
    "<=": pc.less_equal,
    ">": pc.greater,
    "<": pc.less,
    "==": pc.equal,
}


@dataclass(frozen=True)
class Rule:
    """Keep a document when `signal comparison bound` holds; null never passes and NaN never passes.

    `name` is `family.rule` (`gopher.min_words`): the reason under which drops are counted.
    """

    name: str
    signal: str
    comparison: Comparison
    bound: Bound

    def passes(self, values: pa.Array) -> npt.NDArray[np.bool_]:
        """bool[n]: which documents this rule keeps."""
        if self.comparison == "in":
            kept = pc.is_in(values, value_set=pa.array(list(self.bound), values.type))  # type: ignore[arg-type]
        else:
            kept = _COMPARE[self.comparison](values, pa.scalar(self.bound))
        return np.asarray(kept.fill_null(False).to_numpy(zero_copy_only=False), dtype=np.bool_)

    def explain(self, values: pa.Array) -> pa.Array:
        """string[n]: `name: signal = value, wanted comparison bound`."""
        if pa.types.is_floating(values.type):
            values = pc.round(values, 6)
        shown = pc.cast(values, pa.string()).fill_null("null")
        bound = ", ".join(self.bound) if isinstance(self.bound, tuple) else str(self.bound)
        before, behind = f"{self.name}: {self.signal} = ", f", wanted {self.comparison} {bound}"
        return pc.binary_join_element_wise(pa.scalar(before), shown, pa.scalar(behind), "")


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


def judge(rules: Sequence[Rule], signals: Mapping[str, pa.Array], rows: int) -> Verdict:
    """Evaluate every rule on every document."""
    first = np.full(rows, -1, dtype=np.int32)
    failing_rows: list[npt.NDArray[np.int64]] = []
    texts: list[pa.Array] = []
    failures = [0] * len(rules)
    for position in range(len(rules) - 1, -1, -1):
        rule = rules[position]
        failed = np.flatnonzero(~rule.passes(signals[rule.signal]))
        failures[position] = len(failed)
        if failed.size:
            first[failed] = position
            failing_rows.append(failed)
            texts.append(rule.explain(signals[rule.signal].take(pa.array(failed))))
    failing_rows.reverse()
    texts.reverse()
    if not texts:
        empty = pa.ListArray.from_arrays(pa.array(np.zeros(rows + 1, dtype=np.int32)), pa.array([], pa.string()))
        return Verdict(first < 0, first, empty, tuple(failures))
    owner = np.concatenate(failing_rows)
    order = np.argsort(owner, kind="stable")
    offsets = np.zeros(rows + 1, dtype=np.int32)
    np.cumsum(np.bincount(owner, minlength=rows), out=offsets[1:])
    values = pa.concat_arrays([text.cast(pa.string()) for text in texts]).take(pa.array(order))
    return Verdict(first < 0, first, pa.ListArray.from_arrays(pa.array(offsets), values), tuple(failures))
