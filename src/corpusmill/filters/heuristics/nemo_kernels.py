"""The kernels of `nemo`: classes of characters, addresses, notices, ends of lines."""

from __future__ import annotations

import string

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.filters.automaton import build_machine
from corpusmill.scan import HASH_SEED, mix

_POLICY, _LOREM, _NOTICE = 1, 2, 4
_POLICIES = (
    *("terms of use", "privacy policy", "cookie policy", "uses cookies", "privacy overview", "use of cookies"),
    *("use cookies", "privacy & cookies policy", "privacy and cookies policy"),
)
_NOTICES = ("necessary cookies are", "any cookies that", "if you continue to browse")
"""How the three longer notices begin that have none of the phrases above in them."""
_NOTICE_BYTES = np.array([242, 302, 113])
_NOTICE_HASHES = np.array([0x64C396AD01F37528, 0x5B424C3ACDCF4B47, 0xA285E5720F59473D], dtype=np.uint64)
"""And how long they are, with a hash of their bytes in lower case, so that they need not stand here."""


def _phrases() -> dict[bytes, int]:
    """In any case; the Kelvin sign K, whose lower case is k, is the only character beyond ASCII that matters."""
    flags = {"lorem ipsum": _LOREM} | dict.fromkeys(_POLICIES, _POLICY) | dict.fromkeys(_NOTICES, _NOTICE)
    kelvin = {text.replace("k", "\u212a"): flag for text, flag in flags.items() if flag == _POLICY and "k" in text}
    return {text.encode(): flag for text, flag in {**flags, **kelvin}.items()}


MACHINE = build_machine(_phrases(), ascii_case=True)
LENGTHS = np.array([len(phrase) for phrase in _phrases()])
_FIRST_NOTICE = 1 + len(_POLICIES)
_FLAGS = 63

_LANES = 16
_KEPT, _DIGIT, _WHITE, _BRACKET = (1 << lane * _LANES for lane in range(4))
_FLUSH = 1 << 15
_URL_PUNCTUATION = "$-_@.&+/:=?#~!*(),"


def _weights() -> npt.NDArray[np.uint64]:
    """uint64[256]: 1 in a lane for each class a byte is in."""
    weights = np.zeros(256, dtype=np.uint64)
    classes = {
        _KEPT: string.ascii_letters + string.digits + "\n?!,.",
        _DIGIT: string.digits,
        _WHITE: "\t\n\r\b ",
        _BRACKET: "(){}[]",
    }
    for weight, characters in classes.items():
        weights[[ord(character) for character in characters]] += np.uint64(weight)
    return weights


def _url_bytes() -> npt.NDArray[np.uint8]:
    """uint8[256]: 1 for what stands in an address, 2 for what may follow `%`."""
    kinds = np.zeros(256, dtype=np.uint8)
    kinds[[ord(character) for character in string.ascii_letters + string.digits + _URL_PUNCTUATION]] = 1
    kinds[[ord(character) for character in string.hexdigits]] |= 2
    return kinds


_WEIGHTS, _URL_BYTES = _weights(), _url_bytes()
_COLON, _PERCENT, _SLASH = ord(":"), ord("%"), ord("/")
_END_MARKS = np.zeros(256, dtype=np.int64)
_END_MARKS[[ord(mark) for mark in ".?!\"'"]] = 1


@njit(cache=True, nogil=True)
def count_chars(data, offsets):  # type: ignore[no-untyped-def]
    """int64[6, n]: plain characters, digits, white space, brackets, bytes of addresses, addresses with "porn" in them.

    And the place of the first such address.
    """
    n = len(offsets) - 1
    counts = np.zeros((6, n), dtype=np.int64)
    start, stop = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    for d in range(n):
        begin, end = offsets[d], offsets[d + 1]
        for block in range(begin, end, _FLUSH):
            lanes = np.uint64(0)
            for i in range(block, min(block + _FLUSH, end)):
                lanes += _WEIGHTS[data[i]]
            for lane in range(4):
                counts[lane, d] += np.int64(lanes >> np.uint64(_LANES * lane) & np.uint64(0xFFFF))
        reach = begin  # behind the last address
        for i in range(begin, end):
            if data[i] == _COLON:
                a, b = _url(data, reach, i, end)
                if b > 0:
                    reach = b
                    counts[4, d] += b - a
                    if _has_porn(data, a, b):
                        counts[5, d] += 1
                        if start[d] < 0:
                            start[d], stop[d] = a, b
            elif (
                data[i] == 0xE2 and i + 2 < end and data[i + 1] == 0x9F and (data[i + 2] == 0xA8 or data[i + 2] == 0xA9)
            ):
                counts[3, d] += 1
    return counts, (start, stop)


@njit(cache=True, nogil=True)
def _url(data, begin, colon, end):  # type: ignore[no-untyped-def]
    """Where the address with its first colon at `colon` starts and stops, all of it behind `begin`; 0 where none is."""
    i = colon + 3
    if i >= end or data[colon + 1] != _SLASH or data[colon + 2] != _SLASH:
        return 0, 0
    a = colon - 4
    if a > begin and data[colon - 1] == 0x73:
        a -= 1
    if a < begin or data[a] != 0x68 or data[a + 1] != 0x74 or data[a + 2] != 0x74 or data[a + 3] != 0x70:
        return 0, 0
    while i < end:
        if _URL_BYTES[data[i]] & 1:
            i += 1
        elif data[i] == _PERCENT and i + 2 < end and _URL_BYTES[data[i + 1]] & _URL_BYTES[data[i + 2]] & 2:
            i += 3
        else:
            break
    return (a, i) if i > colon + 3 else (0, 0)


@njit(cache=True, nogil=True)
def _has_porn(data, a, b):  # type: ignore[no-untyped-def]
    for i in range(a, b - 3):
        if data[i] == 0x70 and data[i + 1] == 0x6F and data[i + 2] == 0x72 and data[i + 3] == 0x6E:
            return True
    return False


@njit(cache=True, nogil=True)
def count_notices(data, offsets, machine, lengths):  # type: ignore[no-untyped-def]
    """float64[n]: the share of paragraphs with a notice in them, 1 with "lorem ipsum"; where the first notice is."""
    columns, following, ends, _, shift = machine
    n = len(offsets) - 1
    shares = np.zeros(n)
    start, stop = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    for d in range(n):
        i, end = offsets[d], offsets[d + 1]
        paragraphs, having, counted = 1, 0, False
        row = np.int64(0)
        while i < end:
            cell = np.int64(following[row + columns[data[i]]])
            row = cell & ~_FLAGS
            i += 1
            if cell & _FLAGS:
                phrase = ends[row >> shift]
                a = i - lengths[phrase]
                if phrase >= _FIRST_NOTICE and phrase < _FIRST_NOTICE + 3:
                    b = _notice_end(data, a, end, phrase - _FIRST_NOTICE)
                    if b < 0:
                        continue
                else:
                    b = i
                if start[d] < 0 or cell & _LOREM:
                    start[d], stop[d] = a, b
                having += not counted
                counted = True
                if cell & _LOREM:
                    having = -1
                    break
            elif data[i - 1] == 0x0A and i < end and data[i] == 0x0A:
                paragraphs += 1
                counted = False
                i += 1
        shares[d] = 1.0 if having < 0 else having / paragraphs
    return shares, (start, stop)


@njit(cache=True, nogil=True)
def _notice_end(data, a, end, k):  # type: ignore[no-untyped-def]
    """Behind the long notice number `k` at `a`, -1 where there is another text."""
    b = a + _NOTICE_BYTES[k]
    if b > end:
        return np.int64(-1)
    h = HASH_SEED
    for i in range(a, b):
        capital = 0x41 <= data[i] <= 0x5A
        h = mix(h, np.uint64(data[i]) + np.uint64(0x20 if capital else 0))
    return b if h == _NOTICE_HASHES[k] else np.int64(-1)


@njit(cache=True, nogil=True)
def longest_word(start, stop, chars, first):  # type: ignore[no-untyped-def]
    """int64[n], code points of the longest word, and the place of the first one so long."""
    n = len(first) - 1
    longest, a, b = np.zeros(n, dtype=np.int64), np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    for d in range(n):
        best = -1
        for j in range(first[d], first[d + 1]):
            if best < 0 or chars[j] > chars[best]:
                best = j
        if best >= 0:
            longest[d], a[d], b[d] = chars[best], start[best], stop[best]
    return longest, (a, b)


@njit(cache=True, nogil=True)
def count_open_lines(data, stop, first):  # type: ignore[no-untyped-def]
    """int64[n], lines without an end mark."""
    counts = np.zeros(len(first) - 1, dtype=np.int64)
    for d in range(len(counts)):
        for j in range(first[d], first[d + 1]):
            counts[d] += 1 - _END_MARKS[data[stop[j] - 1]]
    return counts
