"""Comments of Java and JavaScript: `//` to the end of a line, and `/* */`, outside strings.

The lexers read what the lexers of Pygments read as comments, so also where those differ from the languages: strings
in `"` go on over line ends, in JavaScript those in `'` too; a `/*` or (in JavaScript) a quote that is never closed is
an operator; a JavaScript regular expression may stand behind an operator, an opening bracket, `,`, `;`, a keyword and
at the start of a line, and where one may stand but none does, the line's rest is no comment.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.scan import eight_bytes
from corpusmill.text import Offsets, Texts

NONE, JAVA, JAVASCRIPT = 0, 1, 2

_WORD, _BLANK, _QUOTE, _SLASH, _OPERATOR, _CLOSE, _NEWLINE, _TEMPLATE, _EQUALS = range(1, 10)

# The state of the JavaScript lexer: characters in comments; a regular expression may be next; depth of templates, odd
# inside one and even in code; whether a `*/`, a `"` and a `'` may be ahead.
_TOTAL, _REGEX, _DEPTH, _CLOSES, _QUOTES, _APOSTROPHES = range(6)

_BEFORE_REGEX = str.split(
    "typeof instanceof in void delete new for while do break return continue switch case default if else throw try "
    "catch finally yield await async this of static export import debugger extends super var let const with function "
    "class"
)


def _kinds() -> npt.NDArray[np.uint8]:
    kinds = np.zeros(256, dtype=np.uint8)
    kinds[[c for c in range(256) if c >= 128 or chr(c).isalnum() or chr(c) in "_$"]] = _WORD
    signs = ("\t\x0b\x0c ", "\"'", "/", "+-~?:!<>*%&|^{([;,", "})].", "\n\r", "`", "=")
    for kind, every in zip(range(_BLANK, _EQUALS + 1), signs, strict=True):
        kinds[list(every.encode())] = kind
    return kinds


_KINDS = _kinds()
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def _keyword_table() -> npt.NDArray[np.uint64]:
    """uint64[256]: the first eight bytes of each keyword where their hash says, or behind."""
    table = np.zeros(256, dtype=np.uint64)
    for word in _BEFORE_REGEX:
        key = int.from_bytes(word.encode()[:8], "little")
        slot = (key * int(_MULTIPLIER) & 0xFFFFFFFFFFFFFFFF) >> 56
        while table[slot]:
            slot = (slot + 1) % 256
        table[slot] = key
    return table


_KEYWORDS = _keyword_table()


def comment_chars(texts: Texts, lexers: npt.NDArray[np.uint8]) -> Offsets:
    """int64[n]: code points in comments with their marks, a CR LF for one; `lexers` uint8[n] says which to use."""
    return _comment_chars(texts.data, texts.offsets, lexers)


@njit(cache=True, nogil=True)
def _comment_chars(data, offsets, lexers):  # type: ignore[no-untyped-def]
    chars = np.zeros(len(lexers), dtype=np.int64)
    for d in range(len(lexers)):
        if lexers[d] == JAVA:
            chars[d] = _java(data, offsets[d], offsets[d + 1])
        elif lexers[d] == JAVASCRIPT:
            chars[d] = _javascript(data, offsets[d], offsets[d + 1])
    return chars


@njit(cache=True, nogil=True)
def _java(data, i, end):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    closes = True  # a `*/` may be ahead
    while i < end:
        c = data[i]
        if c == 0x2F:
            stop, closes = _comment_end(data, i, end, closes)
            total += _count(data, i, stop)
            i = max(stop, i + 1)
        elif c == 0x22:
            i = _java_string(data, i, end)
        elif c == 0x27:
            i = _java_char(data, i, end)
        else:
            i += 1
    return total


@njit(cache=True, nogil=True)
def _javascript(data, i, end):  # type: ignore[no-untyped-def]
    s = np.ones(6, dtype=np.int64)
    s[_TOTAL] = s[_DEPTH] = 0
    if i + 1 < end and data[i] == 0x23 and data[i + 1] == 0x21:
        i = _line_stop(data, i, end)
    while i < end:
        if s[_DEPTH] & 1:
            i = _template(data, i, end, s)
            continue
        kind = _KINDS[data[i]]
        if kind == _WORD:
            a = i
            while i < end and _KINDS[data[i]] == _WORD:
                i += 1
            s[_REGEX] = _is_keyword(data, a, i)
        elif kind == _BLANK:
            i += 1
        elif kind == _NEWLINE:
            i += 1
            s[_REGEX] |= i < end and data[i] == 0x2F
        elif kind == _SLASH:
            i = _slash(data, i, end, s)
        elif kind == _QUOTE:
            i = _string(data, i, end, s)
        else:
            i = _sign(data, i, end, kind, s)
    return s[_TOTAL]


@njit(cache=True, nogil=True)
def _slash(data, i, end, s):  # type: ignore[no-untyped-def]
    """Behind the comment, the regular expression or the operator at `i`."""
    stop, closes = _comment_end(data, i, end, s[_CLOSES] > 0)
    s[_CLOSES] = closes
    if stop > i:
        s[_TOTAL] += _count(data, i, stop)
        return stop
    s[_REGEX] = not s[_REGEX]
    return i + 1 if s[_REGEX] else _regex_end(data, i, end)


@njit(cache=True, nogil=True)
def _sign(data, i, end, kind, s):  # type: ignore[no-untyped-def]
    """Behind the sign at `i`; an arrow is one of two characters."""
    if kind == _TEMPLATE:
        s[_DEPTH] += 1
    if kind == _CLOSE and data[i] == 0x7D and s[_DEPTH]:
        s[_DEPTH] -= 1
    arrow = kind == _EQUALS and i + 1 < end and data[i + 1] == 0x3E
    s[_REGEX] = kind == _OPERATOR or (kind == _EQUALS and not arrow)
    return i + 2 if arrow else i + 1


@njit(cache=True, nogil=True)
def _line_stop(data, i, end):  # type: ignore[no-untyped-def]
    while i < end and data[i] != 0x0A and data[i] != 0x0D:
        i += 1
    return i


@njit(cache=True, nogil=True)
def _comment_end(data, i, end, closes):  # type: ignore[no-untyped-def]
    """Where the comment that begins with the `/` at `i` ends, `i` for none; whether a `*/` may still be ahead."""
    if i + 1 < end and data[i + 1] == 0x2F:
        return _line_stop(data, i, end), closes
    if i + 1 < end and data[i + 1] == 0x2A and closes:
        j = i + 2
        while j + 1 < end:
            if data[j] == 0x2A and data[j + 1] == 0x2F:
                return j + 2, True
            j += 1
        return i, False
    return i, closes


@njit(cache=True, nogil=True)
def _count(data, i, stop):  # type: ignore[no-untyped-def]
    chars = np.int64(0)
    for j in range(i, stop):
        pair = data[j] == 0x0D and j + 1 < stop and data[j + 1] == 0x0A
        chars += ((data[j] & 0xC0) != 0x80) & (not pair)
    return chars


@njit(cache=True, nogil=True)
def _java_string(data, i, end):  # type: ignore[no-untyped-def]
    """Behind the string or text block at `i`; a text block has a line end behind its three quotes."""
    block = i + 3 < end and data[i + 1] == 0x22 and data[i + 2] == 0x22 and (data[i + 3] == 0x0A or data[i + 3] == 0x0D)
    i += 4 if block else 1
    while i < end:
        c = data[i]
        if c == 0x5C:
            i += 2 if i + 1 < end and (data[i + 1] == 0x5C or data[i + 1] == 0x22) else 1
        elif c == 0x22 and not block:
            return i + 1
        elif c == 0x22 and i + 2 < end and data[i + 1] == 0x22 and data[i + 2] == 0x22:
            return i + 3
        else:
            i += 1
    return i


@njit(cache=True, nogil=True)
def _java_char(data, i, end):  # type: ignore[no-untyped-def]
    """Behind the character literal at `i`, behind the quote where it is none."""
    if i + 3 < end and data[i + 1] == 0x5C and data[i + 3] == 0x27:
        return i + 4
    if i + 7 < end and data[i + 1] == 0x5C and data[i + 2] == 0x75 and data[i + 7] == 0x27:
        return i + 8
    j = i + 2
    while j < end and (data[j] & 0xC0) == 0x80:
        j += 1
    if j < end and data[j] == 0x27 and data[i + 1] != 0x5C:
        return j + 1
    return i + 1


@njit(cache=True, nogil=True)
def _string(data, i, end, s):  # type: ignore[no-untyped-def]
    """Behind the JavaScript string at `i`, behind the quote alone where it never comes again."""
    quote = data[i]
    ahead = _APOSTROPHES if quote == 0x27 else _QUOTES
    s[_REGEX] = 0
    j = i + 1
    while j < end and s[ahead]:
        if data[j] == quote:
            return j + 1
        j += 2 if data[j] == 0x5C else 1
    s[ahead] = 0
    return i + 1


@njit(cache=True, nogil=True)
def _template(data, i, end, s):  # type: ignore[no-untyped-def]
    """From `i` inside a template: behind its end or the `${` of code in it."""
    s[_REGEX] = 0
    while i < end:
        c = data[i]
        if c == 0x60:
            s[_DEPTH] -= 1
            return i + 1
        if c == 0x24 and i + 1 < end and data[i + 1] == 0x7B:
            s[_DEPTH] += 1
            return i + 2
        i += 2 if c == 0x5C else 1
    return end


@njit(cache=True, nogil=True)
def _regex_end(data, i, end):  # type: ignore[no-untyped-def]
    """Behind the regular expression at `i`; the end of the line where there is none."""
    a = i
    i += 1
    inside = False  # a character class
    while i < end:
        c = data[i]
        if c == 0x5C:
            i += 2
            continue
        if c == 0x0A or c == 0x0D:
            break
        if inside:
            inside = c != 0x5D
        elif c == 0x5B:
            inside = True
        elif c == 0x2F:
            b = i + 1
            i = b
            while i < end and data[i] in (0x67, 0x69, 0x6D, 0x75, 0x79, 0x73, 0x64):
                i += 1
            if b > a + 2 and (i == end or data[i] == 0x24 or _KINDS[data[i]] != _WORD):
                return i
            break
        i += 1
    return _line_stop(data, a, end)


@njit(cache=True, nogil=True)
def _is_keyword(data, a, b):  # type: ignore[no-untyped-def]
    if b - a < 2 or b - a > 10 or b - a == 9:
        return False
    if b - a == 10 and (data[a + 8] != 0x6F or data[a + 9] != 0x66):
        return False
    key = eight_bytes(data, a, b)
    slot = np.int64((key * _MULTIPLIER) >> np.uint64(56))
    while _KEYWORDS[slot]:
        if _KEYWORDS[slot] == key:
            return b - a <= 8 or data[a] == 0x69
        slot = (slot + 1) & 255
    return False
