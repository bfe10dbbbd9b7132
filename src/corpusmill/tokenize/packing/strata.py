"""Strata: documents divided by source, length or signals, so that no row holds documents of two of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

VERSION = 1

Int64s = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Strata:
    """The strata of a mix, numbered.

    by       what documents are divided by and the rising bounds between: see `packing_options.Shards.strata`
    sources  names of the sources, as they are numbered
    """

    by: Mapping[str, tuple[float, ...]]
    sources: Sequence[str]

    @property
    def names(self) -> list[str]:
        """Name of each stratum, by number."""
        return [", ".join(parts) or "all" for parts in itertools.product(*map(self._names_of, self.by))]

    def _names_of(self, key: str) -> list[str]:
        """A value at a bound is above it. The last bucket of a signal has the documents that it was not measured on."""
        if key == "source":
            return list(self.sources)
        bounds = self.by[key]
        middle = [f"{low:g} ≤ {key} < {high:g}" for low, high in itertools.pairwise(bounds)]
        named = [f"{key} < {bounds[0]:g}", *middle, f"{key} ≥ {bounds[-1]:g}"]
        return named if key == "length" else [*named, f"no {key}"]

    def numbers(self, source: int, lengths: Int64s, signals: Mapping[str, Values]) -> Int64s:
        """int64[n]: the stratum of each document of source number `source`.

        `lengths` int64[n] in tokens; `signals` float64[n] by name, NaN where there is none.
        """
        found = np.zeros(len(lengths), dtype=np.int64)
        for key, bounds in self.by.items():
            if key == "source":
                bucket: Int64s | int = source
            else:
                values = lengths.astype(np.float64) if key == "length" else signals[key]
                bucket = np.searchsorted(bounds, values, side="right")
                bucket[np.isnan(values)] = len(bounds) + 1
            found = found * len(self._names_of(key)) + bucket
        return found
