"""Words and kinds of characters for the lexer of Python."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.scan import eight_bytes

SIGN, BLANK, WORD, NEWLINE, HASH, QUOTE, OPEN, CLOSE, BACKSLASH, COLON, SEMICOLON, RARE = range(12)


def _kinds() -> npt.NDArray[np.uint8]:
    kinds = np.zeros(256, dtype=np.uint8)
    kinds[[9, 12, 32]] = BLANK
    kinds[[c for c in range(256) if c >= 128 or chr(c).isalnum() or c == ord("_")]] = WORD
    every = ("\n\r", "#", "\"'", "([{", ")]}", "\\", ":", ";", "`<,?$!")
    for kind, signs in zip(range(NEWLINE, RARE + 1), every, strict=True):
        kinds[list(signs.encode())] = kind
    return kinds


KINDS = _kinds()


def _word(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(text.encode(), "little"))


DEF, CLASS, EXCEPT, RAISE, _PRINT, _EXEC = map(_word, ("def", "class", "except", "raise", "print", "exec"))
IN_NUMBER = (0x2E, 0x2B, 0x2D)  # a number's word behind these may be a part of it
FOREIGN_SIGNS = (0x60, 0x3F, 0x24)
_OPERATORS = np.array([_word(text) for text in ("and", "or", "in", "is", "if", "not")], dtype=np.uint64)


@njit(cache=True, nogil=True)
def is_prefix(data, a, b):  # type: ignore[no-untyped-def]
    """Whether a word of one or two letters in front of a quote belongs to the string."""
    x = data[a] | 0x20
    if b - a == 1:
        return x == 0x72 or x == 0x75 or x == 0x62 or x == 0x66
    y = data[a + 1] | 0x20
    return (x == 0x72) != (y == 0x72) and (x == 0x62 or x == 0x66 or y == 0x62 or y == 0x66)


@njit(cache=True, nogil=True)
def is_old_prefix(data, a, b):  # type: ignore[no-untyped-def]
    """Whether a word in front of a quote is the `ur` of Python 2."""
    return b - a == 2 and data[a] | 0x20 == 0x75 and data[a + 1] | 0x20 == 0x72


@njit(cache=True, nogil=True)
def is_word(data, a, b, word):  # type: ignore[no-untyped-def]
    """Whether the bytes from `a` to `b` are a word of eight bytes at most, which is given as a number."""
    return b - a <= 8 and eight_bytes(data, a, b) == word


@njit(cache=True, nogil=True)
def is_old_statement(data, a, b, end):  # type: ignore[no-untyped-def]
    """Whether a statement's first word is `print` or `exec` and a value comes behind it."""
    if not (is_word(data, a, b, _PRINT) or is_word(data, a, b, _EXEC)):
        return False
    i = b
    while i < end and KINDS[data[i]] == BLANK:
        i += 1
    if i in (b, end):
        return False
    j = i
    while j < end and KINDS[data[j]] == WORD:
        j += 1
    operator = False
    for k in range(len(_OPERATORS)):
        operator |= j > i and is_word(data, i, j, _OPERATORS[k])
    return KINDS[data[i]] == QUOTE if j == i else not operator


@njit(cache=True, nogil=True)
def is_old_number(data, a, b):  # type: ignore[no-untyped-def]
    """Whether a word that begins with a digit is a number of Python 2: `0777`, `10L`."""
    if data[b - 1] | 0x20 == 0x6C:
        return True
    nonzero = False
    for j in range(a, b):
        if data[j] != 0x5F and (data[j] < 0x30 or data[j] > 0x39):
            return False
        nonzero |= data[j] > 0x30 and data[j] < 0x3A
    return data[a] == 0x30 and nonzero and (b == len(data) or data[b] != 0x2E)
