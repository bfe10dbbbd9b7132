"""`where`: rules of your own over the signals of earlier steps, and over the columns every document has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import pyarrow as pa
import regex

from corpusmill.errors import ConfigError
from corpusmill.rules import Bound, Comparison, Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts

_CONDITION = regex.compile(r"\s*(?P<signal>[\w.]+)\s*(?P<comparison>>=|<=|==|>|<|\bin\b)\s*(?P<bound>\S.*?)\s*")
_NUMBER = regex.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


@register("where", version=1)
@dataclass(frozen=True)
class Where(Filter):
    """Keep documents for which every condition of `keep` holds.

    A condition is `signal comparison bound`: `"gopher_quality.word_count >= 200"`, `"language.label in en, fr"`,
    `"c4.lorem_ipsum == false"`, `"source == wiki"`. Comparisons are `>= <= > < ==` and `in` (a list with commas);
    bounds are numbers, true, false or words. A null never passes. The signal has to be made by a step before this
    one; a condition that can never or must always drop is an error before the run. `name` keeps two steps apart:
    drops are counted as `where.name.signal`.
    """

    keep: tuple[str, ...]
    name: str = ""

    def __post_init__(self) -> None:
        """Raises ConfigError for a condition that can't be read."""
        if not self.keep:
            raise ConfigError("where: keep is empty; wanted conditions such as 'gopher_quality.word_count >= 200'")
        self.rules()

    def needs(self) -> tuple[str, ...]:
        """The signals of the conditions."""
        return tuple(rule.signal for rule in self.rules())

    def signals(self) -> Mapping[str, pa.DataType]:
        """None: it only decides."""
        return {}

    def rules(self) -> tuple[Rule, ...]:
        """One for each condition, in their order."""
        return tuple(self._rule(condition) for condition in self.keep)

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """Nothing to measure."""
        return Measured({})

    def _rule(self, condition: str) -> Rule:
        found = _CONDITION.fullmatch(condition)
        if found is None:
            raise ConfigError(
                f"where: condition {condition!r}; wanted `signal comparison bound`, for example "
                f"'gopher_quality.word_count >= 200'; comparisons: {', '.join(get_args(Comparison))}"
            )
        bound: Bound = _bound(found["bound"])
        if found["comparison"] == "in":
            bound = tuple(part.strip() for part in found["bound"].split(","))
        label = ".".join(filter(None, (self.use, self.name, found["signal"])))
        return Rule(label, found["signal"], found["comparison"], bound)


def _bound(text: str) -> Bound:
    if text in ("true", "false"):
        return text == "true"
    if _NUMBER.fullmatch(text):
        return int(text) if regex.fullmatch(r"[+-]?\d+", text) else float(text)
    return text
