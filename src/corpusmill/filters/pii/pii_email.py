"""E-mail addresses: the practical part of RFC 5322, with Latin, Greek and Cyrillic letters in names (RFC 6531)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.filters.pii.pii_bytes import CLASS, DIGIT, LOCAL, word_at, word_before

MAX_LOCAL_BYTES, MAX_LABEL_BYTES, MAX_DOMAIN_BYTES = 64, 63, 253  # RFC 5321 §4.5.3.1, RFC 1035 §2.3.4


def _letters(*words: str) -> npt.NDArray[np.int64]:
    """The numbers that `_letter_code` gives to words."""
    codes = []
    for word in words:
        code = 0
        for letter in word:
            code = code * 32 + ord(letter) - 96
        codes.append(code)
    return np.array(sorted(codes), dtype=np.int64)


_RESERVED_TOP = _letters("example", "test", "invalid", "localhost")  # RFC 2606 §2
_RESERVED_UNDER = _letters("com", "net", "org")  # RFC 2606 §3, below "example"
_EXAMPLE = int(_letters("example")[0])
# Endings of file and unit names after an `@` (logo@2x.png, getty@tty1.service); none is in IANA's root zone.
_IMAGES = ("png", "jpg", "jpeg", "gif", "svg", "webp", "bmp", "ico")
_PAGES = ("css", "js", "json", "html", "htm", "xml")
_UNITS = ("service", "socket", "target", "timer", "mount", "slice")
_NO_TOP = _letters(*_IMAGES, *_PAGES, *_UNITS)


@njit(cache=True, nogil=True)
def email(data, at, low, end):  # type: ignore[no-untyped-def]
    """(start, stop, public, start of the characters that could be in the name) of the address around `at`, an `@`.

    stop is 0 where there is none; `public` is false for the names of RFC 2606.
    """
    s = at
    while s > low:
        if data[s - 1] == 46 and (s == at or data[s] == 46):
            break  # no two dots, and none before the @
        if CLASS[data[s - 1]] & LOCAL:
            s -= 1
        elif word_before(data, s, low):
            s -= 2
        else:
            break
    run = s
    while s < at and not word_at(data, s, at):
        s += 1
    # What follows "::" may be the rest of an IPv6 address.
    if s == at or at - s > MAX_LOCAL_BYTES or (run - 2 >= low and data[run - 1] == 58 and data[run - 2] == 58):
        return at, 0, False, run
    stop, public = _domain(data, at + 1, end)
    return s, stop, public, run


@njit(cache=True, nogil=True)
def _domain(data, begin, end):  # type: ignore[no-untyped-def]
    """(stop, public) of the longest domain at `begin`: labels, then a top level of at least two letters."""
    # Lengths are checked at the end: a limit met on the way would depend on what stands behind the address.
    stop, public, longest, fits = 0, False, 0, True
    before_a, before_b = begin, begin
    a = begin
    while True:
        b = letters = a
        while b < end and data[b] != 95:
            k = 1 if data[b] == 45 else word_at(data, b, end)
            if k == 0:
                break
            if letters == b and data[b] != 45 and not CLASS[data[b]] & DIGIT:
                letters = b + k
            b += k
        if b == a or data[a] == 45:
            return stop if fits else 0, public
        if a > begin:
            top = _top(data, a, letters, b)
            if top:
                stop = top
                fits = max(longest, top - a) <= MAX_LABEL_BYTES and stop - begin <= MAX_DOMAIN_BYTES
                public = not _reserved(data, before_a, before_b, a, top)
        if b >= end or data[b] != 46 or data[b - 1] == 45:
            return stop if fits else 0, public
        longest = max(longest, b - a)
        before_a, before_b = a, b
        a = b + 1


@njit(cache=True, nogil=True)
def _top(data, a, letters, b):  # type: ignore[no-untyped-def]
    """End of the top-level name with which the label a:b, letters up to `letters`, begins; 0 where there is none."""
    if b - a > 4 and data[a] | 32 == 120 and data[a + 1] | 32 == 110 and data[a + 2] == 45 and data[a + 3] == 45:
        return b if data[b - 1] != 45 and b - a <= MAX_LABEL_BYTES else 0  # xn--…: punycode, RFC 3490
    short = letters - a < 2 or (letters - a == 2 and data[a] >= 0x80)
    if short or (letters < b and data[letters] != 45) or _contains(_NO_TOP, _letter_code(data, a, letters)):
        return 0
    return letters


@njit(cache=True, nogil=True)
def _reserved(data, before_a, before_b, a, b):  # type: ignore[no-untyped-def]
    top = _letter_code(data, a, b)
    if _contains(_RESERVED_TOP, top):
        return True
    return _contains(_RESERVED_UNDER, top) and _letter_code(data, before_a, before_b) == _EXAMPLE


@njit(cache=True, nogil=True)
def _letter_code(data, a, b):  # type: ignore[no-untyped-def]
    """Up to 12 ASCII letters in any case as a number, anything else as -1."""
    if b - a > 12:
        return -1
    code = 0
    for i in range(a, b):
        letter = data[i] | 32
        if letter < 97 or letter > 122:
            return -1
        code = code * 32 + letter - 96
    return code


@njit(cache=True, nogil=True)
def _contains(codes, code):  # type: ignore[no-untyped-def]
    for k in range(len(codes)):  # noqa: SIM110 - numba has no any() over generators
        if codes[k] == code:
            return True
    return False
