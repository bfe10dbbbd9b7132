"""What the heuristic filters share: thresholds as fields, checked when built, turned into rules, set by dialect."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from corpusmill.errors import ConfigError
from corpusmill.rules import Comparison, Rule
from corpusmill.steps import Step

BY_DIALECT: Any = type("ByDialect", (), {"__repr__": lambda _: "by dialect"})()
"""Default of a field that published implementations set differently; `None` stays what it always is, off."""


def set_by_dialect(step: Step, dialects: Mapping[str, Mapping[str, object]]) -> None:
    """Give each field left at BY_DIALECT the value of `step.dialect`. Raises ConfigError for an unknown dialect."""
    dialect = getattr(step, "dialect")  # noqa: B009 - Step has no such field, its callers do
    if dialect not in dialects:
        raise ConfigError(f"{step.use}: dialect = {dialect!r}; wanted one of {', '.join(dialects)}")
    fill_in(step, dialects[dialect])


def fill_in(step: Step, values: Mapping[str, object]) -> None:
    """Give each field left at BY_DIALECT its value."""
    for name, value in values.items():
        if getattr(step, name) is BY_DIALECT:
            object.__setattr__(step, name, value)


def check_numbers(step: Any) -> None:
    """Raise ConfigError unless every number among the fields is finite, not negative, and a `_fraction` at most 1."""
    for field in dataclasses.fields(step):
        value = getattr(step, field.name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        most = 1.0 if field.name.endswith("_fraction") else math.inf
        if not (math.isfinite(value) and 0 <= value <= most):
            wanted = "0 to 1" if most == 1 else "a finite number that is not negative"
            raise ConfigError(f"{step.use}: {field.name} = {value!r}; wanted {wanted}")


def rules_of(step: Step, table: Iterable[tuple[str, str, Comparison]]) -> tuple[Rule, ...]:
    """The rule `family.field` for each (field, signal, comparison) of `table` whose field is not off."""
    return tuple(
        Rule(f"{step.use}.{name}", f"{step.use}.{signal}", comparison, getattr(step, name))
        for name, signal, comparison in table
        if getattr(step, name) is not None
    )
