"""How long `inspect.cleandoc` of a string literal's value is, without making the value."""

from __future__ import annotations

import numpy as np
from numba import njit

from corpusmill.scan import Bytes, space_length
from corpusmill.unicode import decode

_OTHER, _LINE_FEED, _TAB, _RETURN, _SPACE = range(5)
_TAB_SIZE = 8
_NOT_SIMPLE = 255


def _simple_escapes() -> Bytes:
    """What stands behind a backslash → kind of what the two are."""
    kinds = np.full(256, _NOT_SIMPLE, dtype=np.uint8)
    kinds[list(b"ab\\'\"")] = _OTHER
    kinds[list(b"ntrfv")] = (_LINE_FEED, _TAB, _RETURN, _SPACE, _SPACE)
    return kinds


def _hex_digits() -> Bytes:
    """What stands behind a backslash → how many digits may follow."""
    digits = np.zeros(256, dtype=np.uint8)
    digits[list(b"xuU")] = (2, 4, 8)
    return digits


_SIMPLE, _DIGITS = _simple_escapes(), _hex_digits()


@njit(cache=True, nogil=True)
def read_string(data, i, stop, raw, scratch, m):  # type: ignore[no-untyped-def]
    """Append the kinds of the characters that the literal between its quotes stands for to `scratch[:m]`; the new m."""
    while i < stop:
        c = data[i]
        if 0x20 < c < 0x80 and c != 0x5C:
            scratch[m] = _OTHER
            m += 1
            i += 1
            continue
        if c == 0x0D:
            i += 2 if i + 1 < stop and data[i + 1] == 0x0A else 1
            kind = np.int64(_LINE_FEED)
        elif c == 0x5C and not raw and i + 1 < stop:
            i, kind = _escape(data, i + 1, stop)
        else:
            k = space_length(data, i, stop)
            kind = np.int64(_OTHER if k == 0 else _LINE_FEED if c == 0x0A else _TAB if c == 0x09 else _SPACE)
            i += k if k else decode(data, i, stop)[1]
        if kind >= 0:
            scratch[m] = kind
            m += 1
    return m


@njit(cache=True, nogil=True)
def _escape(data, i, stop):  # type: ignore[no-untyped-def]
    """Behind the escape whose second character is at `i`, and its kind; -1 where it stands for nothing."""
    c = data[i]
    if _SIMPLE[c] != _NOT_SIMPLE:
        return i + 1, np.int64(_SIMPLE[c])
    if c == 0x0A or c == 0x0D:
        pair = c == 0x0D and i + 1 < stop and data[i + 1] == 0x0A
        return i + 1 + pair, np.int64(-1)
    if 0x30 <= c < 0x38:
        return _number(data, i, min(i + 3, stop), 8)
    if _DIGITS[c]:
        return _number(data, i + 1, min(i + 1 + _DIGITS[c], stop), 16)
    if c == 0x4E and i + 1 < stop and data[i + 1] == 0x7B:
        while i < stop and data[i] != 0x7D:
            i += 1
        return min(i + 1, stop), np.int64(_OTHER)
    return i, np.int64(_OTHER)  # the backslash is itself


@njit(cache=True, nogil=True)
def _number(data, i, stop, base):  # type: ignore[no-untyped-def]
    value = np.int64(0)
    while i < stop:
        c = np.int64(data[i])
        digit = c - 0x30 if c < 0x3A else (c | 0x20) - 0x57
        if digit < 0 or digit >= base:
            break
        value = value * base + digit
        i += 1
    if value == 0x09 or value == 0x0A or value == 0x0D:
        return i, np.int64(_TAB if value == 0x09 else _LINE_FEED if value == 0x0A else _RETURN)
    space = value == 0x20 or value == 0x0B or value == 0x0C or 0x1C <= value <= 0x1F or value == 0x85 or value == 0xA0
    return i, np.int64(_SPACE if space else _OTHER)


@njit(cache=True, nogil=True)
def clean_length(scratch, m):  # type: ignore[no-untyped-def]
    """Length of `inspect.cleandoc` of the m characters in `scratch`, and white space at its start and end.

    It makes tabs spaces; strips the first line's start; takes the least indentation of the others from all of them,
    where any is not blank; and drops empty lines at both ends.
    """
    margin = -1
    i = _next_line(scratch, 0, m)[0]
    while i <= m:
        i, chars, indent, _ = _next_line(scratch, i, m)
        if indent < chars and (margin < 0 or indent < margin):
            margin = indent
    total = pending = leading = trailing = i = 0
    first = blank = True  # at the first line; nothing but white space so far
    while i <= m:
        i, chars, indent, spaces = _next_line(scratch, i, m)
        cut = min(indent if first else max(margin, 0), chars)
        first = False
        chars -= cut
        if chars:
            total += chars + (pending if total else 0)
            trailing = spaces if indent < chars + cut else trailing + chars + (pending if total > chars else 0)
            if blank:
                blank = indent == chars + cut
                leading = total - (0 if blank else chars - (indent - cut))
            pending = 0
        pending += 1
    return total, leading, trailing


@njit(cache=True, nogil=True)
def _next_line(scratch, i, m):  # type: ignore[no-untyped-def]
    """Where the next line begins, m + 1 at the end; characters of the line at `i`, white space at its start and end."""
    chars = column = indent = spaces = 0
    blank = True
    while i < m and scratch[i] != _LINE_FEED:
        kind = scratch[i]
        width = _TAB_SIZE - column % _TAB_SIZE if kind == _TAB else 1
        column = 0 if kind == _RETURN else column + width
        chars += width
        blank = blank and kind != _OTHER
        indent += width if blank else 0
        spaces = spaces + width if kind != _OTHER else 0
        i += 1
    return np.int64(i + 1), chars, indent, spaces
