"""Unicode properties as one table for kernels, taken from the `regex` package, so not from the running Python."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import numpy.typing as npt
import regex
from numba import njit

ALPHABETIC = np.uint8(1)
"""Alphabetic: letters, letter numbers, and the vowel signs of scripts that write them as marks."""
SENTENCE_TERMINAL = np.uint8(2)
"""Sentence_Terminal (`.` `!` `?` `。` `！` `？` `؟` `।` …) and the horizontal ellipsis U+2026."""
DECIMAL = np.uint8(4)
"""General category Nd: what Python's `\\d` matches."""
LOWERCASE = np.uint8(8)
"""Lowercase."""
LETTER = np.uint8(16)
"""General category L: what Python's `str.isalpha` is true of."""
NUMERIC = np.uint8(32)
"""Digits, numbers and fractions of any kind: with the letters, what Python's `str.isalnum` is true of."""

_PROPERTIES = (
    (ALPHABETIC, r"\p{Alphabetic}"),
    (SENTENCE_TERMINAL, r"[\p{Sentence_Terminal}\u2026]"),
    (DECIMAL, r"\p{Nd}"),
    (LOWERCASE, r"\p{Lowercase}"),
    (LETTER, r"\p{L}"),
    (NUMERIC, r"\P{Numeric_Type=None}"),
)


def matched(pattern: str) -> npt.NDArray[np.bool_]:
    """bool[0x110000]: the characters that `pattern` matches, a `regex` (V1) of one character; surrogates are none."""
    every = np.arange(0x110000, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")
    table = np.zeros(0x110000, dtype=np.bool_)
    for found in regex.finditer(f"(?V1)(?:{pattern})+", every):
        table[found.start() : found.end()] = True
    table[0xD800:0xE000] = False
    return table


def flag_table(patterns: Iterable[tuple[np.uint8, str]]) -> npt.NDArray[np.uint8]:
    """uint8[0x110000], read-only: for each code point the flags of all patterns that match it."""
    table = np.zeros(0x110000, dtype=np.uint8)
    for flag, pattern in patterns:
        table[matched(pattern)] |= flag
    table.setflags(write=False)
    return table


@cache
def char_classes() -> npt.NDArray[np.uint8]:
    """uint8[0x110000]: the flags above for each code point."""
    return flag_table(_PROPERTIES)


@njit(cache=True, nogil=True)
def decode(data, i, end):  # type: ignore[no-untyped-def]
    """Code point and length in bytes of the UTF-8 character at `i`; a byte that can't start one counts as U+FFFD."""
    c = np.int64(data[i])
    if c < 0x80:
        return c, 1
    if 0xC0 <= c < 0xE0 and i + 2 <= end:
        return (c & 0x1F) << 6 | np.int64(data[i + 1] & 0x3F), 2
    if 0xE0 <= c < 0xF0 and i + 3 <= end:
        return (c & 0x0F) << 12 | np.int64(data[i + 1] & 0x3F) << 6 | np.int64(data[i + 2] & 0x3F), 3
    if 0xF0 <= c < 0xF5 and i + 4 <= end:
        code = (c & 0x07) << 18 | np.int64(data[i + 1] & 0x3F) << 12 | np.int64(data[i + 2] & 0x3F) << 6
        return min(code | np.int64(data[i + 3] & 0x3F), 0x10FFFF), 4
    return 0xFFFD, 1


@njit(cache=True, nogil=True)
def char_before(data, start, i):  # type: ignore[no-untyped-def]
    """Where the UTF-8 character that ends at `i` begins; start < i."""
    j = i - 1
    while j > start and (data[j] & 0xC0) == 0x80:
        j -= 1
    return j


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


@njit(cache=True, nogil=True)
def put(out, w, code):  # type: ignore[no-untyped-def]
    """Write the code point int64 `code` to `out` at `w` as UTF-8: the position behind it."""
    packed, n = encode(code)
    for k in range(n):
        out[w + k] = packed & 0xFF
        packed >>= 8
    return w + n
