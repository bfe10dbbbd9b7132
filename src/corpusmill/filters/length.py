"""`length`: bounds on how long a document is, in any of the usual units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import regex

from corpusmill.errors import ConfigError
from corpusmill.filters.thresholds import check_numbers
from corpusmill.rules import Comparison, Rule
from corpusmill.segment_sentences import sentences
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts

_UNITS = ("bytes", "chars", "words", "lines", "sentences")
_SIDES: tuple[tuple[str, Comparison], ...] = (("min", ">="), ("max", "<="))


@register("length", version=1)
@dataclass(frozen=True)
class Length(Filter):
    """Keep documents that are long enough and not too long.

    bytes      of UTF-8
    chars      code points
    words      in every script, see `segment.py`; no punctuation
    lines      that are not blank
    sentences  as `segment_sentences.py` counts them

    Only units that have a bound are measured. With a `name`, signals and rules are `length.NAME.…`, so the step may
    occur more than once. CCNet wants `min_chars = 300` (cc_net/mine.py), SlimPajama 200; C4 asks for 3 sentences once
    more after lines were taken out.
    """

    name: str = ""
    min_bytes: int | None = None
    max_bytes: int | None = None
    min_chars: int | None = None
    max_chars: int | None = None
    min_words: int | None = None
    max_words: int | None = None
    min_lines: int | None = None
    max_lines: int | None = None
    min_sentences: int | None = None
    max_sentences: int | None = None

    def __post_init__(self) -> None:
        """Raises ConfigError for a bound out of range, for none at all, and for a name that is none."""
        check_numbers(self)
        if self.name and not regex.fullmatch(r"[A-Za-z0-9_]+", self.name):
            raise ConfigError(f"length: name = {self.name!r}; wanted A-Z a-z 0-9 _")
        if not self._units():
            raise ConfigError(f"length: no bound is set; wanted min_ or max_ of {', '.join(_UNITS)}")

    def signals(self) -> Mapping[str, pa.DataType]:
        """The units that have a bound."""
        return {f"{self._family}.{unit}": pa.int64() for unit in self._units()}

    def rules(self) -> tuple[Rule, ...]:
        """The bounds."""
        return tuple(
            Rule(f"{self._family}.{side}_{unit}", f"{self._family}.{unit}", comparison, bound)
            for unit in self._units()
            for side, comparison in _SIDES
            if (bound := getattr(self, f"{side}_{unit}")) is not None
        )

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """Count."""
        return Measured({f"{self._family}.{unit}": _COUNT[unit](texts) for unit in self._units()})

    @property
    def _family(self) -> str:
        return f"{self.use}.{self.name}" if self.name else self.use

    def _units(self) -> list[str]:
        bounds = {unit: (getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")) for unit in _UNITS}
        return [unit for unit, (low, high) in bounds.items() if low is not None or high is not None]


_COUNT: dict[str, Callable[[Texts], npt.NDArray[np.int64]]] = {
    "bytes": lambda texts: texts.bytes,
    "chars": lambda texts: texts.chars,
    "words": lambda texts: texts.script_words.counts,
    "lines": lambda texts: texts.lines.counts,
    "sentences": sentences,
}
