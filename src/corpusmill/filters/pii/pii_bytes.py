"""Bytes of UTF-8 as addresses are made of them: what is a letter, and what an address can contain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

ALNUM, LOCAL, HEX, DIGIT, ANCHOR = 1, 2, 4, 8, 16


def _classes() -> npt.NDArray[np.uint8]:
    classes = np.zeros(256, dtype=np.uint8)
    for members, flag in (
        ("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", ALNUM),
        # RFC 5322's atoms without the characters that set addresses apart in prose, URLs and markup.
        ("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._%+-'~", LOCAL),
        ("0123456789abcdefABCDEF", HEX),
        ("0123456789", DIGIT),
        ("@.:", ANCHOR),
    ):
        classes[np.frombuffer(members.encode(), dtype=np.uint8)] |= flag
    return classes


CLASS = _classes()
"""uint8[256], the flags of each ASCII byte."""


@njit(cache=True, nogil=True, inline="always")
def two_byte_letter(lead, trail):  # type: ignore[no-untyped-def]
    """U+00C0 to U+04FF without × and ÷: Latin, Greek and Cyrillic letters and their marks.

    Scripts written without spaces are not in it, because there an address has no other boundary than its alphabet.
    """
    return 0xC3 <= lead <= 0xD3 and 0x80 <= trail <= 0xBF and not (lead == 0xC3 and (trail == 0x97 or trail == 0xB7))


@njit(cache=True, nogil=True)
def word_at(data, i, end):  # type: ignore[no-untyped-def]
    """Bytes of the letter, digit or underscore at `i`, 0 where there is none."""
    if i >= end:
        return 0
    if data[i] < 0x80:
        return int(data[i] == 95 or CLASS[data[i]] & ALNUM)
    return 2 if i + 1 < end and two_byte_letter(data[i], data[i + 1]) else 0


@njit(cache=True, nogil=True)
def word_before(data, i, low):  # type: ignore[no-untyped-def]
    """Bytes of the letter, digit or underscore that ends at `i`, 0 where there is none."""
    if i <= low:
        return 0
    if data[i - 1] < 0x80:
        return int(data[i - 1] == 95 or CLASS[data[i - 1]] & ALNUM)
    return 2 if i - 2 >= low and two_byte_letter(data[i - 2], data[i - 1]) else 0
