"""Which chunks are URLs to spaCy, so that no infix splits them."""

from __future__ import annotations

import numpy as np
from numba import njit

from corpusmill.segment_spacy_marks import ALNUM, digit
from corpusmill.segment_spacy_rules import LOWER, WORD
from corpusmill.unicode import decode


@njit(cache=True, nogil=True)
def is_url(data, a, b, classes):  # type: ignore[no-untyped-def]
    """Whether it is a host name with a dot or an IP address, with scheme, user, port and path or without."""
    if _is_host(data, a, b, classes):
        return True
    i = a
    n = 0
    while i < b:
        code, k = decode(data, i, b)
        if not (classes[code] & WORD or code == 0x2B or code == 0x2D or code == 0x2E):
            break
        n += 1
        i += k
    found = False
    scheme = n > 1 and i + 3 < b and data[i] == 0x3A and data[i + 1] == 0x2F and data[i + 2] == 0x2F
    if scheme and _is_host(data, i + 3, b, classes):
        return True
    for at in range(a + 1, b - 1):
        found = data[at] == 0x40 and _is_host(data, at + 1, b, classes)
        if found:
            break
    return found


@njit(cache=True, nogil=True)
def _is_host(data, i, b, classes):  # type: ignore[no-untyped-def]
    """Whether labels and a lower-case top level, or an IP address, perhaps port and path fill the bytes `i` to `b`."""
    if digit(data[i]) and _is_ip(data, i, b):
        return True
    labels = 0
    while i < b:
        j = i
        n = 0
        inner = 0
        code = np.int64(0)
        while j < b:
            code, k = decode(data, j, b)
            hyphen = code == 0x2D or code == 0x5F
            if not (hyphen or (ALNUM[code] if code < 0x80 else 0xA1 <= code <= 0xFFFF)):
                break
            inner = 1 if hyphen else 0  # of the last character
            if n == 0 and hyphen:
                return False
            n += 1
            j += k
        if j == b or data[j] != 0x2E:
            break
        if n == 0 or n > 64 or inner:
            return False
        labels += 1
        i = j + 1
    n = 0
    while i < b and n < 64 and classes[decode(data, i, b)[0]] & LOWER:
        i += decode(data, i, b)[1]
        n += 1
    return labels > 0 and 2 <= n <= 63 and _is_tail(data, i, b)


@njit(cache=True, nogil=True)
def _is_ip(data, i, b):  # type: ignore[no-untyped-def]
    """Whether a public IPv4 address, perhaps with port and path, fills the bytes from `i` to `b`."""
    first = second = np.int64(0)
    for octet in range(4):
        a = i
        value = np.int64(0)
        while i < b and i < a + 4 and digit(data[i]):
            value = 10 * value + np.int64(data[i]) - 0x30
            i += 1
        n = i - a
        outer = octet == 0 or octet == 3
        if n == 0 or n > 3 or (outer and data[a] == 0x30) or (n == 3 and data[a] == 0x30):
            return False
        if value > (223 if octet == 0 else 254 if octet == 3 else 255):
            return False
        if octet == 0:
            first = value
        if octet == 1:
            second = value
        if octet < 3:
            if i == b or data[i] != 0x2E:
                return False
            i += 1
    private = first == 10 or first == 127 or (first == 169 and second == 254) or (first == 192 and second == 168)
    return not (private or (first == 172 and 16 <= second <= 31)) and _is_tail(data, i, b)


@njit(cache=True, nogil=True)
def _is_tail(data, i, b):  # type: ignore[no-untyped-def]
    if i < b and data[i] == 0x3A:
        a = i + 1
        i = a
        while i < b and i < a + 6 and digit(data[i]):
            i += 1
        if not 2 <= i - a <= 5:
            return False
    return i == b or data[i] == 0x2F or data[i] == 0x3F or data[i] == 0x23
