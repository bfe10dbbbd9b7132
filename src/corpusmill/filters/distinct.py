"""Functions of a column with few different values: each value is looked at once, not once for each document."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc


def each_distinct(values: pa.Array, function: Callable[[str], object], kind: pa.DataType) -> pa.Array:
    """kind[n]: what the function gives for each of the strings `values`; null where they are null."""
    coded = pc.dictionary_encode(values)
    return pa.array(map(function, coded.dictionary.to_pylist()), kind).take(coded.indices)
