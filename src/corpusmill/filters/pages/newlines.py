"""`newlines`: at most so many line feeds in a row, as DCLM has it before its filters (newline_removal_modifier)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numba import njit

from corpusmill.errors import ConfigError
from corpusmill.rules import Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts


@register("newlines", version=1)
@dataclass(frozen=True)
class Newlines(Filter):
    """Cut every run of more than `max_consecutive` line feeds to that many; drops nothing.

    A line of white space ends a run, as it does in DCLM. Signal: `removed`, the line feeds that went.
    """

    max_consecutive: int = 2

    def __post_init__(self) -> None:
        """Raise ConfigError for a number below 1."""
        if self.max_consecutive < 1:
            raise ConfigError(f"newlines: max_consecutive = {self.max_consecutive}; wanted 1 or more")

    def signals(self) -> Mapping[str, pa.DataType]:
        """One count."""
        return {"newlines.removed": pa.int64()}

    def rules(self) -> tuple[Rule, ...]:
        """None."""
        return ()

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """One pass over the bytes."""
        out = np.empty(int(texts.offsets[-1] - texts.offsets[0]), dtype=np.uint8)
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        _limit_runs(texts.data, texts.offsets, self.max_consecutive, out, offsets)
        after = Texts(out[: offsets[-1]], offsets)
        return Measured({"newlines.removed": texts.bytes - after.bytes}, after)


@njit(cache=True, nogil=True)
def _limit_runs(data, offsets, most, out, new_offsets):  # type: ignore[no-untyped-def]
    w = 0
    for d in range(len(offsets) - 1):
        run = 0
        for i in range(offsets[d], offsets[d + 1]):
            run = run + 1 if data[i] == 0x0A else 0
            if run <= most:
                out[w] = data[i]
                w += 1
        new_offsets[d + 1] = w
