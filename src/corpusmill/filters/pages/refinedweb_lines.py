"""The kernels of RefinedWeb's line rules: a table of the lines of one page, from which one rule after the other takes.

Every rule sees what the rules before it left, with white space taken off both ends of the page, as DCLM's chain of
modifiers does it. A page is copied first, and its lines are narrowed, edited and dropped where they stand, so a place
in the copy is a place in the original until, last of all, the lines that are left move together.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.filters.automaton import find_phrases
from corpusmill.filters.c4.c4_lines import count_words
from corpusmill.filters.pages.phrases import cut_phrases, find_phrase, lower, match
from corpusmill.scan import eight_bytes, find_newline, skip_space, trim_space
from corpusmill.unicode import decode, flag_table

UPPER, DIGIT, DECIMAL, WORD = np.uint8(1), np.uint8(2), np.uint8(4), np.uint8(8)
"""What Python says of a character: `str.isupper`, `str.isdigit`, `\\d`, `str.isalnum`."""

COUNTS = (
    "words",
    "words_removed",
    "lines_uppercase",
    "lines_numeric",
    "lines_counter",
    "lines_short",
    "lines_emptied",
    "phrases_removed",
)
"""What `correct` counts, in its rows."""
WORDS, WORDS_REMOVED, UPPERCASE, NUMERIC, COUNTER, SHORT, EMPTIED, PHRASES = range(8)

START, STOP, MARKS = range(3)  # rows of the table of lines
IS_NUMERIC, IS_FLAGGED = 1, 2  # marks of a line


def _token_kinds() -> npt.NDArray[np.uint8]:
    """1 for ASCII letters and digits, 2 for bytes beyond ASCII, 4 for what parts fastText's tokens, 0 for the rest."""
    kinds = np.zeros(256, dtype=np.uint8)
    kinds[[c for c in range(128) if chr(c).isalnum()]] = 1
    kinds[128:] = 2
    kinds[[0, 9, 10, 11, 12, 13, 32]] = 4
    return kinds


TOKEN_KINDS = _token_kinds()


@cache
def python_classes() -> npt.NDArray[np.uint8]:
    """uint8[0x110000]: the flags above for each code point."""
    return flag_table(
        (
            (UPPER, r"\p{Uppercase}"),
            (DIGIT, r"[\p{Numeric_Type=Decimal}\p{Numeric_Type=Digit}]"),
            (DECIMAL, r"\p{Nd}"),
            (WORD, r"\p{L}|\P{Numeric_Type=None}"),
        )
    )


@njit(cache=True, nogil=True)
def correct(data, offsets, limits, counters, phrases, beginnings, paper, classes, out, new_offsets):  # type: ignore[no-untyped-def]
    """Write the corrected pages to `out` and `new_offsets`.

    limits    most upper case, most digits (ratios), fewest words, most words of a line in which phrases are looked
              for; negative where the rule is off
    counters  what is counted, phrases  those found anywhere, at the end, at the start: as `pack` gives them
    beginnings  `heads` of the phrases, by which pages that have none are told
    paper     words are runs between white space, and those of every line taken or edited count as removed

    Returns int64[8, n], the rows of COUNTS, and int64[2, n]: where the first line taken or edited begins and ends, -1.
    """
    n = len(offsets) - 1
    counts, spans = np.zeros((8, n), dtype=np.int64), np.full((2, n), -1, dtype=np.int64)
    table = np.empty((3, _most_lines(data, offsets)), dtype=np.int32)
    page = 0
    for d in range(n):
        count, span = counts[:, d], spans[:, d]
        end = page + offsets[d + 1] - offsets[d]
        for k in range(end - page):
            out[page + k] = data[offsets[d] + k]
        count[WORDS] = _count_tokens(out, page, end, paper, classes)
        lines = _split(out, page, end, table)
        first, last = _drop_lines(out, table, lines, limits, counters, paper, count, span, classes)
        # Where lines have a least number of words, none of white space is left that would have to be dropped.
        edits = limits[2] <= 0 or find_phrases(out, page, end, beginnings) != 0
        for place in range(3):
            sought = phrases[place]
            if limits[3] < 0 or len(sought[1]) == 1:
                continue
            if edits:
                last = _edit_lines(out, table, first, last, place, sought, limits[3], paper, count, span, classes)
            first, last = _strip(out, table, first, last)
        w = _join(out, table, first, last, page)
        if not paper and w < end:
            count[WORDS_REMOVED] = max(count[WORDS] - _count_tokens(out, page, w, paper, classes), 0)
        if span[0] >= 0:
            span += offsets[d] - page
        new_offsets[d + 1] = page = w
    return counts, spans


@njit(cache=True, nogil=True)
def _most_lines(data, offsets):  # type: ignore[no-untyped-def]
    most = 0
    for d in range(len(offsets) - 1):
        lines = 1
        for i in range(offsets[d], offsets[d + 1]):
            lines += data[i] == 0x0A
        most = max(most, lines)
    return most


@njit(cache=True, nogil=True)
def _split(out, i, end, table):  # type: ignore[no-untyped-def]
    """Fill the table with what lies between line feeds, empty lines too; how many lines."""
    lines = 0
    while True:
        newline = find_newline(out, i, end)
        table[START, lines], table[STOP, lines], table[MARKS, lines] = i, newline, 0
        lines += 1
        if newline == end:
            return lines
        i = newline + 1


@njit(cache=True, nogil=True)
def _strip(out, table, first, last):  # type: ignore[no-untyped-def]
    """Take white space and blank lines off both ends of the page: first and last line from here on."""
    while first < last:
        table[START, first] = skip_space(out, np.int64(table[START, first]), np.int64(table[STOP, first]))
        if table[START, first] < table[STOP, first]:
            break
        first += 1
    while first < last:
        table[STOP, last - 1] = trim_space(out, np.int64(table[START, last - 1]), np.int64(table[STOP, last - 1]))
        if table[START, last - 1] < table[STOP, last - 1]:
            break
        last -= 1
    return first, last


@njit(cache=True, nogil=True)
def _drop_lines(out, table, lines, limits, counters, paper, count, span, classes):  # type: ignore[no-untyped-def]
    """The four rules that drop whole lines; first and last line of the rest."""
    max_upper, max_digit, min_words, _ = limits
    first, last = 0, lines
    strips = max_upper >= 0, max_digit >= 0, len(counters[1]) > 1, False
    for kind in (UPPERCASE, NUMERIC, COUNTER, SHORT):
        kept = first
        edges = first, last - 1  # these were stripped since they were measured
        for j in range(first, last):
            a, b = np.int64(table[START, j]), np.int64(table[STOP, j])
            drop = False
            if a == b:
                pass
            elif kind == UPPERCASE or (kind == NUMERIC and j in edges):
                upper, numeric = _measure(out, a, b, max_upper, max_digit, classes)
                table[MARKS, j] = IS_NUMERIC if numeric else 0
                drop = upper if kind == UPPERCASE else numeric
            elif kind == NUMERIC:
                drop = table[MARKS, j] == IS_NUMERIC
            elif kind == COUNTER:
                letter = 0x61 <= out[a] | 0x20 <= 0x7A  # most lines begin with one, and no counter does
                drop = not letter and _is_counter(out, a, b, counters, classes)
            else:
                drop = count_words(out, a, b, min_words) < min_words
            if drop:
                count[kind] += 1
                _flag(out, a, b, paper, count, span, classes)
            else:
                _keep(table, kept, j)
                kept += 1
        last = kept
        if strips[kind - UPPERCASE]:
            first, last = _strip(out, table, first, last)
    table[MARKS, first:last] = 0
    return first, last


@njit(cache=True, nogil=True)
def _keep(table, kept, j):  # type: ignore[no-untyped-def]
    if kept < j:
        for row in range(3):
            table[row, kept] = table[row, j]


@njit(cache=True, nogil=True)
def _flag(out, a, b, paper, count, span, classes):  # type: ignore[no-untyped-def]
    """Account for a line that is taken or edited."""
    if span[0] < 0 or a < span[0]:
        span[0], span[1] = a, b
    if paper:
        count[WORDS_REMOVED] += _count_tokens(out, a, b, paper, classes)


@njit(cache=True, nogil=True)
def _measure(out, a, b, max_upper, max_digit, classes):  # type: ignore[no-untyped-def]
    """Whether upper case and whether digits have too large a share of the characters of a line."""
    upper = digits = np.int64(0)
    every = np.uint64(0)
    i = a
    while i < b:
        x = eight_bytes(out, i, b)
        every |= x
        x &= np.uint64(0x7F7F7F7F7F7F7F7F)
        upper += _count_from(x, np.uint64(0x41)) - _count_from(x, np.uint64(0x5B))
        digits += _count_from(x, np.uint64(0x30)) - _count_from(x, np.uint64(0x3A))
        i += 8
    chars = b - a
    if every & np.uint64(0x8080808080808080):
        upper = digits = chars = np.int64(0)
        i = a
        while i < b:
            code, k = decode(out, i, b)
            upper += classes[code] & UPPER != 0
            digits += classes[code] & DIGIT != 0
            chars += 1
            i += k
    return max_upper >= 0 and upper / chars > max_upper, max_digit >= 0 and digits / chars > max_digit


@njit(cache=True, nogil=True)
def _count_from(x, c):  # type: ignore[no-untyped-def]
    """How many of eight bytes below 128 are at least `c`."""
    ones = np.uint64(0x0101010101010101)
    flags = (x + ones * (np.uint64(0x80) - c)) >> np.uint64(7) & ones
    return np.int64((flags * ones) >> np.uint64(56))


@njit(cache=True, nogil=True)
def _is_counter(out, i, b, counters, classes):  # type: ignore[no-untyped-def]
    """Whether the line is a number, perhaps with `K`, `M` or `B`, then one of `counters`, and has no more words."""
    codes, offsets, _ = counters
    i = _skip_marks(out, i, b, classes)
    if i == b or not classes[decode(out, i, b)[0]] & DECIMAL:
        return False
    while i < b:
        code, k = decode(out, i, b)
        if not (code == 0x2C or code == 0x2E or classes[code] & DECIMAL):
            break
        i += k
    if i < b:
        code, k = decode(out, i, b)
        if lower(code, False) in (0x6B, 0x6D, 0x62):
            i += k
    word = skip_space(out, i, b)
    if word == i:
        return False
    for p in range(len(offsets) - 1):
        behind = match(out, word, b, codes, offsets[p], offsets[p + 1], False)
        if behind >= 0 and _skip_marks(out, behind, b, classes) == b:
            return True
    return False


@njit(cache=True, nogil=True)
def _skip_marks(out, i, b, classes):  # type: ignore[no-untyped-def]
    """Position of the first character from `i` on that is part of a word (Python's `\\w`), `b` where there is none."""
    while i < b:
        code, k = decode(out, i, b)
        if classes[code] & WORD or code == 0x5F:
            break
        i += k
    return i


@njit(cache=True, nogil=True)
def _count_tokens(out, i, b, paper, classes):  # type: ignore[no-untyped-def]
    """Words as `str.split` gives them, or DCLM's: fastText's tokens that begin with a letter or number."""
    if paper:
        return count_words(out, i, b, b - i)
    n = np.int64(0)
    outside = np.uint8(3)
    while i < b:
        kind = TOKEN_KINDS[out[i]]
        begins = outside & kind
        if begins == 2:
            n += classes[decode(out, i, b)[0]] & WORD != 0
        n += begins & 1
        outside = np.uint8(3) if kind == 4 else np.uint8(0)
        i += 1
    return n


@njit(cache=True, nogil=True)
def _edit_lines(out, table, first, last, place, phrases, most, paper, count, span, classes):  # type: ignore[no-untyped-def]
    """Cut phrases out of lines of at most `most` words, and drop the lines of which nothing is left; the new last."""
    kept = first
    for j in range(first, last):
        a, b = np.int64(table[START, j]), np.int64(table[STOP, j])
        at, stop = find_phrase(out, a, b, place, phrases)
        if at >= 0 and count_words(out, a, b, most + 1) <= most:
            if not table[MARKS, j] & IS_FLAGGED:
                _flag(out, a, b, paper, count, span, classes)
                table[MARKS, j] = IS_FLAGGED
            b, cuts = cut_phrases(out, a, b, at, stop, place, phrases)
            count[PHRASES] += cuts
            table[STOP, j] = b
        if (a < b or at >= 0) and skip_space(out, a, b) == b:  # it was not empty and is white space now
            count[EMPTIED] += 1
            continue
        _keep(table, kept, j)
        kept += 1
    return kept


@njit(cache=True, nogil=True)
def _join(out, table, first, last, page):  # type: ignore[no-untyped-def]
    """Move the lines together from `page` on, line feeds between them; where they end."""
    w = page
    for j in range(first, last):
        if j > first:
            out[w] = 0x0A
            w += 1
        if w == table[START, j]:
            w = np.int64(table[STOP, j])
            continue
        for i in range(table[START, j], table[STOP, j]):
            out[w] = out[i]
            w += 1
    return w
