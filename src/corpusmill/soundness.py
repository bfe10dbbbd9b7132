"""What can be said of a sequence of steps before any work: signals that exist, rules that can decide something.

Two widely used pipelines shipped rules that never fired, because a signal's name was spelt wrong or a bound was read
as a string. Here both are errors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from corpusmill.document import DOCUMENT
from corpusmill.errors import ConfigError
from corpusmill.rules import Bound, Rule, shown
from corpusmill.steps import ANY, Barrier, Filter, Range, Step

_IDLE = "can drop nothing"


@dataclasses.dataclass(frozen=True)
class Signal:
    """A column that rules can be over: its type, the least and greatest value of a number, the step that makes it."""

    kind: pa.DataType
    range: Range
    step: str


def check_steps(steps: Sequence[Step], documents: pa.Schema = DOCUMENT, sources: Collection[str] | None = None) -> None:
    """Check every step against what the readers yield and the steps before it make. Raises ConfigError for

    - a model or list that is missing;
    - a signal made twice;
    - a step that reads, a rule that is over, or a survivor policy by a signal that no step before it makes;
    - a survivor policy that names a source that is not among `sources`, where those are given;
    - a rule whose bound has not the type of its signal, or that can never or must always drop, alone or with another.
    """
    made = {field.name: Signal(field.type, ANY, "the reader") for field in documents}
    for step in steps:
        step.files()
        if isinstance(step, Filter):
            _check_filter(step, made)
        elif isinstance(step, Barrier):
            _check_survivors(step, made, sources)
            for name, kind in step.signals().items():  # a barrier of the same kind before it is written over
                made[name] = Signal(kind, (1.0, np.inf), step.use)


def _check_survivors(step: Barrier, made: Mapping[str, Signal], sources: Collection[str] | None) -> None:
    """The signal or the sources that a survivor policy is by are there."""
    policy, _, what = step.keep.partition(":")
    if policy == "best" and what not in made:
        raise ConfigError(f"step {step.use!r}: keep = {step.keep!r}, but {_unmade(what, made)}")
    # Runs that share an index have the same policy, which so names sources of earlier and of later runs.
    if policy == "source" and sources is not None and step.against is None and step.save is None:
        unknown = [name for name in map(str.strip, what.split(",")) if name not in sources]
        if unknown:
            raise ConfigError(
                f"step {step.use!r}: keep = {step.keep!r}, but the recipe has no source {unknown[0]!r}; "
                f"its sources: {', '.join(sorted(sources))}"
            )


def _check_filter(step: Filter, made: dict[str, Signal]) -> None:
    for name in step.needs():
        if name not in made:
            raise ConfigError(f"step {step.use!r} reads the signal {name}, but {_unmade(name, made)}")
    ranges = step.ranges()
    for name, kind in step.signals().items():
        if name in made:
            raise ConfigError(f"steps {made[name].step!r} and {step.use!r} both make the signal {name}")
        made[name] = Signal(kind, ranges.get(name, ANY), step.use)
    rules = step.rules()
    for rule in rules:
        for name in filter(None, (rule.signal, rule.by)):
            if name not in made:
                raise ConfigError(f"step {step.use!r}: rule {rule.name} is over {name}, but {_unmade(name, made)}")
        _check_rule(step.use, rule, made[rule.signal])
    _check_pairs(step.use, rules)


def _unmade(name: str, made: Mapping[str, Signal]) -> str:
    family = name.partition(".")[0]
    near = [other for other in made if "." in other and other.partition(".")[0] == family]
    known = near or [other for other in made if "." in other]
    return f"no step before it makes that signal; made so far: {', '.join(sorted(known)) or 'none'}"


def _check_rule(use: str, rule: Rule, signal: Signal) -> None:
    """Each bound has the signal's type and lies where some values pass and some do not."""
    for bound in _bounds(rule):
        place = f"step {use!r}: rule {rule.name}: {rule.signal} {rule.comparison} {shown(bound)}"
        if not _fits(bound, rule.comparison, signal.kind):
            raise ConfigError(f"{place}: the signal is {signal.kind}, which that bound can't be compared with")
        if isinstance(bound, (bool, str, tuple)):
            continue
        low, high = signal.range
        if not np.isfinite(bound):
            raise ConfigError(f'{place}: wanted a finite bound, or "off"')
        outcome = _outcome(rule.comparison, bound, low, high)
        # A table of bounds may hold ones that are off for some value, as published tables do.
        if outcome and not (rule.by and outcome == _IDLE):
            raise ConfigError(f'{place} {outcome}: the signal lies between {low:g} and {high:g}; use "off" or mend it')


def _bounds(rule: Rule) -> Iterable[Bound]:
    return (bound for bound in (rule.bound, *rule.bounds.values()) if bound is not None)


def _fits(bound: Bound, comparison: str, kind: pa.DataType) -> bool:
    if comparison == "in":
        return isinstance(bound, tuple) and pa.types.is_string(kind)
    if isinstance(bound, bool):
        return comparison == "==" and pa.types.is_boolean(kind)
    if isinstance(bound, str):
        return comparison == "==" and (pa.types.is_string(kind) or pa.types.is_large_string(kind))
    return isinstance(bound, (int, float)) and (pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _outcome(comparison: str, bound: float, low: float, high: float) -> str:
    """What is wrong with a rule over a signal from `low` to `high`; nothing where it may keep some and drop some."""
    always = {">=": bound > high, ">": bound >= high, "<=": bound < low, "<": bound <= low}
    never = {">=": bound <= low, ">": bound < low, "<=": bound >= high, "<": bound > high}
    if always.get(comparison, not low <= bound <= high):
        return "drops every document"
    return _IDLE if never.get(comparison, low == high) else ""


def _check_pairs(use: str, rules: Sequence[Rule]) -> None:
    """No two rules over one signal that together drop everything, such as a minimum above the maximum."""
    floors = [rule for rule in rules if rule.comparison in (">=", ">") and rule.by is None]
    roofs = [rule for rule in rules if rule.comparison in ("<=", "<") and rule.by is None]
    for floor in floors:
        for roof in roofs:
            if floor.signal != roof.signal or floor.bound is None or roof.bound is None:
                continue
            strict = floor.comparison == ">" or roof.comparison == "<"
            low, high = float(floor.bound), float(roof.bound)  # type: ignore[arg-type]
            if low > high or (low == high and strict):
                raise ConfigError(
                    f"step {use!r}: rules {floor.name} and {roof.name} drop every document: "
                    f"{floor.signal} can't be {floor.comparison} {low:g} and {roof.comparison} {high:g}"
                )
