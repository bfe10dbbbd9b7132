"""The kernel of C4 as Dolma and DCLM have it: lines stay as they are, with their white space and blank lines."""

from __future__ import annotations

import numpy as np
from numba import njit

from corpusmill.filters.automaton import build_machine, find_phrases
from corpusmill.filters.c4.c4_lines import (
    CITATIONS_REMOVED,
    CURLY_BRACKET,
    HAS_CURLY_BRACKET,
    HAS_JAVASCRIPT,
    HAS_LOREM_IPSUM,
    JAVASCRIPT,
    LINES_FEW_WORDS,
    LINES_KEPT,
    LINES_LONG_WORD,
    LINES_NO_TERMINAL_MARK,
    LOREM_IPSUM,
    PHRASES,
    POLICY,
    ROWS,
    SENTENCES,
    copy_line,
    count_words,
    every_case,
    has_long_word,
    has_terminal_mark,
    note_places,
    passes_phrases,
)
from corpusmill.filters.c4.punkt import count_sentences
from corpusmill.scan import find_newline, skip_space, trim_space

_PAGE_PHRASES = {phrase: flag for phrase, flag in PHRASES.items() if flag & (LOREM_IPSUM | CURLY_BRACKET)}
_LINE_PHRASES = {phrase: flag for phrase, flag in PHRASES.items() if flag & (JAVASCRIPT | POLICY)}

MACHINE = build_machine(
    {**every_case(_PAGE_PHRASES, {}), **every_case(_LINE_PHRASES, {"k": "\u212a", "s": "ſ", "i": "ıİ"})},
    ascii_case=True,
)
"""DCLM looks for the phrases of line rules with `re.IGNORECASE`, to which these are the same letters."""


@njit(cache=True, nogil=True)
def clean(data, offsets, limits, switches, machine, words, tables, cleaned, new_offsets):  # type: ignore[no-untyped-def]
    """As `c4_lines.clean`; `cleaned` has a byte more for each page than the pages have."""
    max_word_chars, min_words = limits
    dolma, citations, terminal_mark, drops = switches
    counts = np.zeros((ROWS, len(offsets) - 1), dtype=np.int64)
    places = np.full((3, 2, len(offsets) - 1), -1, dtype=np.int64)
    w = np.int64(0)  # end of what is written for good
    for d in range(len(offsets) - 1):
        page = w
        count, place = counts[:, d], places[:, :, d]
        i, end = offsets[d], offsets[d + 1]
        while i < end:
            a, b = i, find_newline(data, i, end)
            i = b + 1
            found = np.int64(0)
            if dolma:
                found = find_phrases(data, a, b, machine)
                if found & (LOREM_IPSUM | CURLY_BRACKET | JAVASCRIPT):
                    note_places(data, a, b, data, a, b, machine, False, tables[0], place)
                    flag_page(found, count)
            if b - a > max_word_chars and has_long_word(data, a, b, max_word_chars):
                count[LINES_LONG_WORD] += 1
                continue
            stop, removed = copy_line(data, a, b, cleaned, w, citations, tables[0])
            count[CITATIONS_REMOVED] += removed
            first = skip_space(cleaned, w, stop)
            last = trim_space(cleaned, first, stop)
            shape = (first, last, terminal_mark, min_words, dolma)
            if (dolma or stop > w) and not has_shape(cleaned, shape, count):
                continue
            if dolma:
                found &= POLICY
            else:
                found = find_phrases(cleaned, w, stop, machine)
                if found & (LOREM_IPSUM | CURLY_BRACKET):
                    note_places(data, a, b, cleaned, w, stop, machine, citations, tables[0], place)
            if passes_phrases(found, drops, count):
                count[LINES_KEPT] += first < last
                w = keep_line(cleaned, page, w, first, stop, dolma, b < end)
        if not dolma:
            w = trim_space(cleaned, page, w)
        count[SENTENCES] = count_sentences(cleaned, page, w, words, tables)
        new_offsets[d + 1] = w
    return counts, places


@njit(cache=True, nogil=True)
def has_shape(line, shape, count):  # type: ignore[no-untyped-def]
    """Whether the line has an end mark and the words it needs; blank ones that have not are not counted."""
    first, last, terminal_mark, min_words, dolma = shape
    if terminal_mark and not has_terminal_mark(line, first, last, False, dolma):
        count[LINES_NO_TERMINAL_MARK] += first < last
        return False
    if count_words(line, first, last, min_words) < min_words:
        count[LINES_FEW_WORDS] += first < last
        return False
    return True


@njit(cache=True, nogil=True)
def flag_page(found, count):  # type: ignore[no-untyped-def]
    """Say of the page what a line's phrases say, whatever becomes of the line."""
    count[HAS_LOREM_IPSUM] |= found & LOREM_IPSUM != 0
    count[HAS_CURLY_BRACKET] |= found & CURLY_BRACKET != 0
    count[HAS_JAVASCRIPT] |= found & JAVASCRIPT != 0


@njit(cache=True, nogil=True)
def keep_line(cleaned, page, w, first, stop, dolma, ended):  # type: ignore[no-untyped-def]
    """Put a line feed behind the line at `w`, which Dolma does where there was one; the new end.

    DCLM strips the page, so there its leading white space, from `w` to `first`, is taken away.
    """
    if not dolma and w == page:
        if first == stop:
            return w
        for k in range(first, stop):
            cleaned[w + k - first] = cleaned[k]
        stop -= first - w
    if ended or not dolma:
        cleaned[stop] = 0x0A
        stop += 1
    return stop
