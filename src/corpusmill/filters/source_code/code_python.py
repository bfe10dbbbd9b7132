"""Comments and docstrings of Python source: a lexer in place of the `tokenize` and `ast` that the originals run.

Comments are what `tokenize` calls so. A docstring is a string, or several in a row, that is the whole first statement
of a module, of a `class` or of a `def` (of no `async def`: `ast` has another node for it, which the originals do not
look at), without `b` and `f` before it. Its length is that of `inspect.cleandoc` of its value.

A text that ends inside a string, a bracket or a joined line, or dedents to where nothing began, is `broken`:
`tokenize` stops at it with an error. One that is no Python 3 is `foreign`: `ast` stops at it, so its docstrings count
for nothing. It is known by what is Python 2 (`print` or `exec` before a value, a comma behind `except` or `raise`,
backquotes, `<>`, numbers such as `0777` and `10L`), by `?`, `$` and `!`, by a quote that its line does not close, and
by a byte order mark. Other errors of syntax are not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.filters.source_code.code_docstring import clean_length, read_string
from corpusmill.filters.source_code.code_python_words import (
    BACKSLASH,
    BLANK,
    CLASS,
    CLOSE,
    COLON,
    DEF,
    EXCEPT,
    FOREIGN_SIGNS,
    HASH,
    IN_NUMBER,
    KINDS,
    NEWLINE,
    OPEN,
    QUOTE,
    RAISE,
    RARE,
    SEMICOLON,
    SIGN,
    WORD,
    is_old_number,
    is_old_prefix,
    is_old_statement,
    is_prefix,
    is_word,
)
from corpusmill.scan import SPACE_KINDS, space_length
from corpusmill.text import Offsets, Texts

_MOST_INDENTS = 128

# The state of the lexer: at a new physical line; behind a backslash; open brackets; indentations; at a new statement;
# a docstring may come; characters of one in `scratch` that the end of its statement will confirm, or -1; behind an `r`
# that belongs to a string; between `class` or `def` and its colon; behind `except` or `raise`; no Python 3.
_AT_LINE, _JOINED, _DEPTH, _LEVEL, _FRESH, _EXPECT, _HELD, _RAW, _HEADER, _LISTLESS, _FOREIGN = range(11)
# What a docstring would belong to, 0 class, 1 function, 2 module, and where its name begins and ends; the same of the
# docstrings that come first and last by kind and name; a name is next; open brackets around a docstring.
_KIND, _NAME, _NAME_STOP, _FIRST, _LAST, _UNNAMED, _WRAPS = 11, 12, 13, 14, 17, 20, 21


@dataclass(frozen=True)
class PythonText:
    """For each of n texts; int64[n] in code points but where it says otherwise.

    docstring_chars  in docstrings that are not empty
    docstrings       how many of these
    comment_chars    in comments, `#` and what is behind it
    hash_signs       `#` among them
    leading, trailing
                     white space at the ends of all comments in a row, `#` left out
    doc_leading, doc_trailing
                     white space at the start of the first docstring by kind and name, and at the end of the last
    broken, foreign  bool[n]
    """

    docstring_chars: Offsets
    docstrings: Offsets
    comment_chars: Offsets
    hash_signs: Offsets
    leading: Offsets
    trailing: Offsets
    doc_leading: Offsets
    doc_trailing: Offsets
    broken: npt.NDArray[np.bool_]
    foreign: npt.NDArray[np.bool_]

    @property
    def bigcode(self) -> Offsets:
        """Docstrings joined by line feeds, one more, comments without any `#`; white space at the ends is taken off."""
        comments = self.comment_chars - self.hash_signs
        blank = comments == self.leading
        docstrings = self.docstring_chars + np.maximum(self.docstrings - 1, 0) - self.doc_leading
        both = docstrings + np.where(blank, -self.doc_trailing, 1 + comments - self.trailing)
        only = np.where(blank, 0, comments - self.leading - self.trailing)
        chars = np.where((self.docstrings > 0) & ~self.foreign, np.maximum(both, 0), only)
        return np.where(self.broken, 0, chars)

    @property
    def nemo(self) -> Offsets:
        """Docstrings joined by line feeds, and comments with their `#`; nothing where either can't be read."""
        docstrings = self.docstring_chars + np.maximum(self.docstrings - 1, 0)
        return np.where(self.broken | self.foreign, 0, docstrings + self.comment_chars)


def python_text(texts: Texts, wanted: npt.NDArray[np.bool_]) -> PythonText:
    """The texts that `wanted` bool[n] names; the others get zeros."""
    counts = np.zeros((10, len(texts)), dtype=np.int64)
    most = int(texts.bytes[wanted].max(initial=0))
    _lex(texts.data, texts.offsets, wanted, np.empty(most + 1, dtype=np.uint8), counts)
    return PythonText(*counts[:8], *(counts[8:] > 0))


@njit(cache=True, nogil=True)
def _lex(data, offsets, wanted, scratch, counts):  # type: ignore[no-untyped-def]
    """Fill int64[10, n], rows as in PythonText. `scratch` takes one docstring."""
    indents = np.zeros(_MOST_INDENTS, dtype=np.int64)
    for d in range(len(offsets) - 1):
        if wanted[d]:
            _lex_one(data, offsets[d], offsets[d + 1], scratch, indents, counts[:, d])


@njit(cache=True, nogil=True)
def _lex_one(data, begin, end, scratch, indents, count):  # type: ignore[no-untyped-def]
    s = np.zeros(22, dtype=np.int64)
    s[_KIND] = 2
    s[_AT_LINE] = s[_FRESH] = s[_EXPECT] = 1
    s[_HELD] = -1
    dead = np.zeros(2, dtype=np.int64)  # no string in these quotes ends before here
    i = begin
    if end - i >= 3 and data[i] == 0xEF and data[i + 1] == 0xBB and data[i + 2] == 0xBF:
        i += 3
        s[_FOREIGN] = 1
    while i < end:
        if s[_AT_LINE]:
            i = _begin_line(data, i, end, indents, s)
            if i == end or s[_LEVEL] < 0:
                break
        kind = KINDS[data[i]]
        if kind == BLANK:
            i += 1
        elif kind == WORD:
            i = _word_end(data, begin, i, end, s)
        elif kind == SIGN:
            s[_FRESH] = s[_EXPECT] = 0
            s[_HELD] = -1
            i += 1
        elif kind == QUOTE:
            i = _string_stop(data, i, end, dead, scratch, s)
        elif kind == HASH:
            i = _comment(data, i, end, count)
        elif kind == BACKSLASH and _line_end(data, i + 1, end) > 0:
            i += 1 + _line_end(data, i + 1, end)
            s[_AT_LINE] = s[_JOINED] = 1
        else:
            _sign(data, i, end, kind, scratch, s, count)
            i += 1
    _confirm(data, scratch, s, count)
    count[8], count[9] = s[_LEVEL] < 0 or s[_DEPTH] != 0 or s[_JOINED] != 0, s[_FOREIGN]


@njit(cache=True, nogil=True)
def _begin_line(data, i, end, indents, s):  # type: ignore[no-untyped-def]
    s[_AT_LINE] = 0
    if s[_DEPTH] == 0 and not s[_JOINED]:
        i, s[_LEVEL] = _indent(data, i, end, indents, s[_LEVEL])
        s[_FRESH] = 1
    s[_JOINED] = 0
    return i


@njit(cache=True, nogil=True)
def _word_end(data, begin, a, end, s):  # type: ignore[no-untyped-def]
    """Behind the word at `a`."""
    i = a
    while i < end and KINDS[data[i]] == WORD:
        i += 1
    if i < end and KINDS[data[i]] == QUOTE and i - a <= 2 and is_prefix(data, a, i):
        s[_RAW] = data[a] | 0x20 == 0x72
        if i - a == 2 or not (s[_RAW] or data[a] | 0x20 == 0x75):
            s[_EXPECT], s[_HELD] = 0, -1
    else:
        if s[_UNNAMED]:
            s[_NAME], s[_NAME_STOP], s[_UNNAMED] = a, i, 0
        if s[_FRESH] and s[_DEPTH] == 0:
            function = is_word(data, a, i, DEF)
            s[_HEADER] = s[_UNNAMED] = function or is_word(data, a, i, CLASS)
            s[_KIND] = function if s[_HEADER] else s[_KIND]
            s[_LISTLESS] = is_word(data, a, i, EXCEPT) or is_word(data, a, i, RAISE)
            s[_FOREIGN] |= is_old_statement(data, a, i, end)
        if data[a] < 0x3A and (a == begin or data[a - 1] not in IN_NUMBER):
            s[_FOREIGN] |= is_old_number(data, a, i)
        s[_FOREIGN] |= i < end and KINDS[data[i]] == QUOTE and is_old_prefix(data, a, i)
        s[_EXPECT], s[_HELD] = 0, -1
    s[_FRESH] = 0
    return i


@njit(cache=True, nogil=True)
def _string_stop(data, i, end, dead, scratch, s):  # type: ignore[no-untyped-def]
    """Behind the string at `i`, which may belong to a docstring; the text's end, and broken, where it does not stop."""
    stop, quotes, found = _string(data, i, end, dead)
    if found and (s[_EXPECT] or s[_HELD] >= 0):
        s[_HELD] = read_string(data, i + quotes, stop - quotes, s[_RAW], scratch, max(s[_HELD], 0))
    else:
        s[_HELD] = -1
    s[_EXPECT] = s[_RAW] = s[_FRESH] = 0
    if stop < 0:
        s[_LEVEL] = -1
        return end
    s[_FOREIGN] |= not found
    s[_AT_LINE] = not found and stop > i + 1
    return stop


@njit(cache=True, nogil=True)
def _sign(data, i, end, kind, scratch, s, count):  # type: ignore[no-untyped-def]
    """A line end, or any other character that may change what comes behind it."""
    if kind == NEWLINE:
        if s[_DEPTH] == 0:
            _confirm(data, scratch, s, count)
            s[_HEADER] = s[_LISTLESS] = 0
        s[_AT_LINE] = 1
        return
    if kind == SEMICOLON:
        _confirm(data, scratch, s, count)
    if kind == RARE:
        c, d = data[i], data[i + 1] if i + 1 < end else np.uint8(0)
        listed = c == 0x2C and s[_LISTLESS] and not s[_DEPTH]
        s[_FOREIGN] |= listed or c in FOREIGN_SIGNS or (c == 0x3C and d == 0x3E) or (c == 0x21 and d != 0x3D)
    wraps = kind == OPEN and s[_EXPECT] and data[i] == 0x28
    unwraps = kind == CLOSE and s[_WRAPS] and s[_HELD] >= 0
    s[_WRAPS] = s[_WRAPS] + wraps - unwraps if wraps or unwraps else 0
    s[_DEPTH] += np.int64(kind == OPEN) - np.int64(kind == CLOSE)
    opens = s[_HEADER] and s[_DEPTH] == 0 and kind == COLON
    s[_EXPECT] = opens or wraps
    s[_HEADER] = s[_HEADER] and not opens
    s[_HELD] = s[_HELD] if unwraps else -1
    s[_FRESH] = 0


@njit(cache=True, nogil=True)
def _indent(data, i, end, indents, level):  # type: ignore[no-untyped-def]
    """Behind the white space at a line's start, and the new level; -1 where the column fits none."""
    column = 0
    while i < end and KINDS[data[i]] == BLANK:
        c = data[i]
        column = column + 1 if c == 0x20 else (column // 8 + 1) * 8 if c == 0x09 else 0
        i += 1
    if i < end and KINDS[data[i]] != NEWLINE and KINDS[data[i]] != HASH:
        if column > indents[level]:
            level += 1
            if level == len(indents):
                return i, -1
            indents[level] = column
        while column < indents[level]:
            level -= 1
        if column > indents[level]:
            return i, -1
    return i, level


@njit(cache=True, nogil=True)
def _line_end(data, i, end):  # type: ignore[no-untyped-def]
    """Bytes of the line end at `i`, 0 where there is none."""
    if i < end and data[i] == 0x0D:
        return 2 if i + 1 < end and data[i + 1] == 0x0A else 1
    return 1 if i < end and data[i] == 0x0A else 0


@njit(cache=True, nogil=True)
def _comment(data, i, end, count):  # type: ignore[no-untyped-def]
    """Count the comment at `i`; the end of its line."""
    chars = signs = np.int64(0)
    blank = count[2] == count[3] + count[4]  # nothing but white space so far
    leading, trailing = np.int64(0), count[5]
    while i < end and data[i] != 0x0A and data[i] != 0x0D:
        c = data[i]
        k = space_length(data, i, end) if SPACE_KINDS[c] else 0
        if k:
            leading += blank
            trailing += 1
        elif c == 0x23:
            signs += 1
        else:
            blank = False
            trailing = np.int64(0)
        chars += (c & 0xC0) != 0x80
        i += max(k, 1)
    count[2] += chars
    count[3] += signs
    count[4] += leading
    count[5] = trailing
    return i


@njit(cache=True, nogil=True)
def _confirm(data, scratch, s, count):  # type: ignore[no-untyped-def]
    """Count the docstring held, if any."""
    if s[_HELD] >= 0:
        chars, leading, trailing = clean_length(scratch, s[_HELD])
        if chars:
            if count[1] == 0 or _comes_before(data, s[_KIND:], s[_FIRST:]):
                s[_FIRST : _FIRST + 3] = s[_KIND : _KIND + 3]
                count[6] = leading
            if count[1] == 0 or not _comes_before(data, s[_KIND:], s[_LAST:]):
                s[_LAST : _LAST + 3] = s[_KIND : _KIND + 3]
                count[7] = trailing
            count[0] += chars
            count[1] += 1
    s[_HELD] = -1


@njit(cache=True, nogil=True)
def _comes_before(data, one, other):  # type: ignore[no-untyped-def]
    """Whether the kind and name of one docstring sort before those of another."""
    if one[0] != other[0]:
        return one[0] < other[0]
    for k in range(min(one[2] - one[1], other[2] - other[1])):
        if data[one[1] + k] != data[other[1] + k]:
            return data[one[1] + k] < data[other[1] + k]
    return one[2] - one[1] < other[2] - other[1]


@njit(cache=True, nogil=True)
def _string(data, i, end, dead):  # type: ignore[no-untyped-def]
    """Where the string at `i` stops, how long its quotes are, and whether it is one.

    The stop is -1 where the text ends first. A quote that its line does not close is a character by itself; a string
    that goes on behind a backslash and is not closed then takes that line with it.
    """
    quote = data[i]
    if i + 2 < end and data[i + 1] == quote and data[i + 2] == quote:
        j = i + 3
        while j < end:
            if data[j] == 0x5C:
                j += 1
            elif data[j] == quote and j + 2 < end and data[j + 1] == quote and data[j + 2] == quote:
                return j + 3, 3, True
            j += 1
        return np.int64(-1), 3, False
    which = np.int64(quote == 0x27)
    if i < dead[which]:
        return i + 1, 1, False
    j = i + 1
    crossed = False
    while j < end:
        c = data[j]
        if c == quote:
            return j + 1, 1, True
        if c == 0x0A:
            if crossed:
                return j + 1, 1, False
            dead[which] = j
            return i + 1, 1, False
        if c == 0x5C:
            k = _line_end(data, j + 1, end)
            crossed |= k > 0
            j += max(k, 1)
        j += 1
    if crossed:
        return np.int64(-1), 1, False
    dead[which] = end
    return i + 1, 1, False
