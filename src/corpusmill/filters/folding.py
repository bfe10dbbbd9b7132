"""Lower case for kernels: what Python's `str.lower` gives, character by character."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from corpusmill.unicode import matched

DOTTED_I = 0x130
"""`İ`, the one character whose lower case is two: `i` and this mark behind it."""
DOT_ABOVE = 0x307


@cache
def lower_codes() -> npt.NDArray[np.int32]:
    """int32[0x110000]: each code point's lower case; `İ` gives `i`, and both small sigmas are one letter.

    Python writes `Σ` as `ς` at the end of a word and as `σ` elsewhere; with one letter for both, words are found in
    either spelling.
    """
    codes = np.delete(np.arange(0x110000), np.arange(0xD800, 0xE000))  # a surrogate is no character
    lower = pc.utf8_lower(pa.scalar("".join(map(chr, codes.tolist())))).as_py()
    table = np.arange(0x110000, dtype=np.int32)
    table[codes] = np.frombuffer(lower.encode("utf-32-le"), dtype=np.int32)
    table[ord("ς")] = ord("σ")
    table.setflags(write=False)
    return table


@cache
def uppercase() -> npt.NDArray[np.bool_]:
    """bool[0x110000]: which code points `str.isupper` is true of."""
    table = matched(r"\p{Uppercase}")
    table.setflags(write=False)
    return table


def lower(text: str) -> str:
    """`text` in lower case as the kernels read it."""
    return text.lower().replace("ς", "σ")


@njit(cache=True, nogil=True)
def encode(code):  # type: ignore[no-untyped-def]
    """The UTF-8 bytes of a code point, the first one lowest, and how many there are."""
    if code < 0x80:
        return code, 1
    if code < 0x800:
        return (0xC0 | code >> 6) | (0x80 | code & 0x3F) << 8, 2
    if code < 0x10000:
        return (0xE0 | code >> 12) | (0x80 | code >> 6 & 0x3F) << 8 | (0x80 | code & 0x3F) << 16, 3
    high = (0xF0 | code >> 18) | (0x80 | code >> 12 & 0x3F) << 8
    return high | (0x80 | code >> 6 & 0x3F) << 16 | (0x80 | code & 0x3F) << 24, 4
