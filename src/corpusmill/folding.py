"""Lower case for kernels: what Python's `str.lower` gives, but of Arrow's Unicode, whichever Python runs."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from corpusmill.unicode import char_before, decode, flag_table, matched

DOTTED_I = 0x130
"""`İ`, the one character whose lower case is two: `i` and this mark behind it."""
DOT_ABOVE = 0x307
SIGMA, FINAL_SIGMA = 0x3A3, 0x3C2
"""`Σ`, the one character whose lower case depends on what is beside it, and what that is at the end of a word."""

CASED, CASE_IGNORABLE = np.uint8(4), np.uint8(8)
"""Flags of Unicode's properties of those names; the lower bits are for tables with more."""


@cache
def lower_case() -> npt.NDArray[np.int32]:
    """int32[0x110000]: the lower case of each code point alone; of `İ` the first of its two, of `Σ` the `σ`."""
    codes = np.delete(np.arange(0x110000, dtype="<u4"), np.arange(0xD800, 0xE000))  # a surrogate is no character
    lower = pc.utf8_lower(pa.scalar(codes.tobytes().decode("utf-32-le"))).as_py()
    table = np.arange(0x110000, dtype=np.int32)
    table[codes] = np.frombuffer(lower.encode("utf-32-le"), dtype=np.int32)
    table.setflags(write=False)
    return table


@cache
def lower_codes() -> npt.NDArray[np.int32]:
    """int32[0x110000]: the same with `ς` and `σ` as one letter, so that words are found in either spelling.

    Python writes `Σ` as `ς` at the end of a word and as `σ` elsewhere.
    """
    table = lower_case().copy()
    table[FINAL_SIGMA] = table[SIGMA]
    table.setflags(write=False)
    return table


@cache
def case_classes() -> npt.NDArray[np.uint8]:
    """uint8[0x110000]: the flags of each code point, by which `is_final_sigma` goes."""
    return flag_table(((CASED, r"\p{Cased}"), (CASE_IGNORABLE, r"\p{Case_Ignorable}")))


@cache
def uppercase() -> npt.NDArray[np.bool_]:
    """bool[0x110000]: which code points `str.isupper` is true of."""
    table = matched(r"\p{Uppercase}")
    table.setflags(write=False)
    return table


def lower(text: str) -> str:
    """`text` in lower case as kernels with `lower_codes` read it."""
    return text.lower().replace("ς", "σ")


@njit(cache=True, nogil=True)
def is_final_sigma(data, begin, i, after, end, classes):  # type: ignore[no-untyped-def]
    """Whether the `Σ` from `i` to `after` becomes `ς`: a cased letter is before it and none is behind (Final_Sigma).

    Looks at the bytes from `begin` to `end`, past characters that are case-ignorable; `classes` has
    the flags of `case_classes`.
    """
    code = 0
    while i > begin:
        i = char_before(data, begin, i)
        code, _ = decode(data, i, end)
        if classes[code] & CASE_IGNORABLE == 0:
            break
        code = 0
    if classes[code] & CASED == 0:
        return False
    while after < end:
        code, k = decode(data, after, end)
        if classes[code] & CASE_IGNORABLE == 0:
            return classes[code] & CASED == 0
        after += k
    return True
