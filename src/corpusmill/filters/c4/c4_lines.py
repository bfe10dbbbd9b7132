"""The kernels of C4 as its code and datatrove have it: line ends, citations, words, all phrases in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

import numpy as np
from numba import njit

from corpusmill.filters.automaton import build_machine, find_phrases, first_phrase
from corpusmill.filters.c4.punkt import count_sentences
from corpusmill.scan import SPACE_KINDS, eight_bytes, skip_space, space_length, trailing_zeros, trim_space
from corpusmill.unicode import DECIMAL, char_before, decode

COUNTS = (
    "lines_kept",
    "lines_long_word",
    "lines_no_terminal_mark",
    "lines_few_words",
    "lines_javascript",
    "lines_policy",
    "citations_removed",
    "sentences",
)
"""What `clean` counts in its first eight rows."""
FLAGS = ("lorem_ipsum", "curly_bracket", "javascript")
"""And in its last three, 0 or 1."""

LINES_KEPT, LINES_LONG_WORD, LINES_NO_TERMINAL_MARK, LINES_FEW_WORDS, LINES_JAVASCRIPT, LINES_POLICY = range(6)
CITATIONS_REMOVED, SENTENCES, HAS_LOREM_IPSUM, HAS_CURLY_BRACKET, HAS_JAVASCRIPT, ROWS = range(6, 12)

LOREM_IPSUM, JAVASCRIPT, CURLY_BRACKET, POLICY = 1, 2, 4, 8

PHRASES: Mapping[str, int] = {
    "lorem ipsum": LOREM_IPSUM,
    "javascript": JAVASCRIPT,
    "{": CURLY_BRACKET,
    "terms of use": POLICY,
    "privacy policy": POLICY,
    "cookie policy": POLICY,
    "uses cookies": POLICY,
    "use of cookies": POLICY,
    "use cookies": POLICY,
}
_LENGTHS = np.array([len("lorem ipsum"), len("{"), len("javascript")])  # of the phrases of FLAGS


def every_case(phrases: Mapping[str, int], letters: Mapping[str, str]) -> Mapping[bytes, int]:
    """The phrases with each of their letters replaced by each of those that stand for it in `letters`."""

    def variants(text: str) -> Iterable[str]:
        return map("".join, product(*(char + letters.get(char, "") for char in text)))

    return {variant.encode(): flag for text, flag in phrases.items() for variant in variants(text)}


MACHINE = build_machine(every_case(PHRASES, {"k": "\u212a"}), ascii_case=True)
"""Finds the phrases in text as `str.lower` gives it; beyond ASCII only the Kelvin sign becomes one of their letters."""


@njit(cache=True, nogil=True)
def clean(data, offsets, limits, switches, machine, words, tables, cleaned, new_offsets):  # type: ignore[no-untyped-def]
    """Write the kept lines of every page to `cleaned` and `new_offsets`.

    Returns int64[11, n], rows named above, and int64[3, 2, n], where the phrases of FLAGS lie in `data` or -1.
    """
    max_word_chars, min_words = limits
    datatrove, citations, terminal_mark, drops = switches
    counts = np.zeros((ROWS, len(offsets) - 1), dtype=np.int64)
    places = np.full((3, 2, len(offsets) - 1), -1, dtype=np.int64)
    w = 0  # end of what is written for good
    for d in range(len(offsets) - 1):
        page = w
        count, place = counts[:, d], places[:, :, d]
        i = offsets[d]
        while i < offsets[d + 1]:
            newline = find_line_end(data, i, offsets[d + 1])
            a = skip_space(data, i, newline)
            b = trim_space(data, a, newline)
            i = newline if newline == offsets[d + 1] else newline + space_length(data, newline, offsets[d + 1])
            if a == b:
                continue
            if b - a > max_word_chars and has_long_word(data, a, b, max_word_chars):
                count[LINES_LONG_WORD] += 1
                continue
            start = w + (w > page)
            stop, removed = copy_line(data, a, b, cleaned, start, citations, tables[0])
            count[CITATIONS_REMOVED] += removed
            if terminal_mark and not has_terminal_mark(cleaned, start, stop, datatrove, False):
                count[LINES_NO_TERMINAL_MARK] += 1
                continue
            n = count_words(data, a, b, min_words) if datatrove else count_words(cleaned, start, stop, min_words)
            if n < min_words:
                count[LINES_FEW_WORDS] += 1
                continue
            found = find_phrases(cleaned, start, stop, machine)
            if found & (LOREM_IPSUM | CURLY_BRACKET):
                note_places(data, a, b, cleaned, start, stop, machine, citations, tables[0], place)
            if passes_phrases(found, drops, count):
                count[LINES_KEPT] += 1
                if not datatrove:
                    count[SENTENCES] += count_sentences(cleaned, start, stop, words, tables)
                w = keep_line(cleaned, page, w, start, stop)
        w = trim_space(cleaned, page, w)
        new_offsets[d + 1] = w
    return counts, places


@njit(cache=True, nogil=True)
def passes_phrases(found, drops, count):  # type: ignore[no-untyped-def]
    """Whether the line stays, and what its phrases say of the line and of the page."""
    drop_lorem_ipsum, drop_javascript, drop_curly_bracket, drop_policy = drops
    if found & LOREM_IPSUM:
        count[HAS_LOREM_IPSUM] = 1
        if drop_lorem_ipsum:
            return False
    if found & JAVASCRIPT and drop_javascript:
        count[LINES_JAVASCRIPT] += 1
        return False
    if found & CURLY_BRACKET:
        count[HAS_CURLY_BRACKET] = 1
        if drop_curly_bracket:
            return False
    if found & POLICY and drop_policy:
        count[LINES_POLICY] += 1
        return False
    return True


@njit(cache=True, nogil=True)
def note_places(data, a, b, line, start, stop, machine, citations, classes, place):  # type: ignore[no-untyped-def]
    """Keep where the page's first phrases of each kind are, given the line and its copy without citations."""
    flags = (LOREM_IPSUM, CURLY_BRACKET, JAVASCRIPT)
    for k in range(3):
        if place[k, 0] >= 0:
            continue
        end = first_phrase(line, start, stop, machine, flags[k])
        if end < 0:
            continue
        begin = end
        for _ in range(_LENGTHS[k]):
            begin = char_before(line, start, begin)
        place[k, 0] = original_position(data, a, b, citations, classes, begin - start)
        place[k, 1] = original_position(data, a, b, citations, classes, end - 1 - start) + 1


@njit(cache=True, nogil=True)
def original_position(data, i, end, citations, classes, n):  # type: ignore[no-untyped-def]
    """Position of the byte before which `n` bytes are left when citations are cut out."""
    while i < end:
        k = citation_length(data, i, end, classes) if citations and data[i] == 0x5B else 0
        if k == 0:
            if n == 0:
                break
            n -= 1
            k = 1
        i += k
    return i


@njit(cache=True, nogil=True)
def keep_line(cleaned, page, w, start, stop):  # type: ignore[no-untyped-def]
    """Put a line feed before the line written at `start`, or take the page's leading white space away; the new end."""
    if w > page:
        cleaned[w] = 0x0A
        return stop
    skipped = skip_space(cleaned, start, stop)
    for k in range(skipped, stop):
        cleaned[start + k - skipped] = cleaned[k]
    return start + stop - skipped


@njit(cache=True, nogil=True)
def find_line_end(data, i, end):  # type: ignore[no-untyped-def]
    """Position of the first character from `i` on at which `str.splitlines` splits, `end` where there is none."""
    while i < end:
        x = eight_bytes(data, i, end)
        # the lowest flag marks the first byte that is a control character or not ASCII
        flags = (x | ((x - np.uint64(0x2020202020202020)) & ~x)) & np.uint64(0x8080808080808080)
        i += trailing_zeros(flags) >> 3
        if not flags:
            continue
        if i >= end:
            break
        c = data[i]
        if 0x0A <= c <= 0x0D or 0x1C <= c <= 0x1E:
            return i
        if c == 0xC2 and i + 1 < end and data[i + 1] == 0x85:
            return i
        if c == 0xE2 and i + 2 < end and data[i + 1] == 0x80 and (data[i + 2] == 0xA8 or data[i + 2] == 0xA9):
            return i
        i += 1 + (c >= 0xC0) + (c >= 0xE0) + (c >= 0xF0)
    return end


@njit(cache=True, nogil=True)
def has_long_word(data, i, end, most):  # type: ignore[no-untyped-def]
    """Whether a word has more than `most` code points."""
    n = 0
    while i < end:
        k = space_length(data, i, end)
        if k:
            n = 0
            i += k
            continue
        n += (data[i] & 0xC0) != 0x80
        if n > most:
            return True
        i += 1
    return False


@njit(cache=True, nogil=True)
def copy_line(data, i, end, out, w, citations, classes):  # type: ignore[no-untyped-def]
    """Copy bytes i to end to `out` at `w`, leaving citations out; the new end and how many were left out."""
    removed = 0
    brackets = 0
    for j in range(i, end):
        brackets += data[j] == 0x5B
    if not (citations and brackets):
        for j in range(end - i):
            out[w + j] = data[i + j]
        return w + end - i, 0
    while i < end:
        if data[i] == 0x5B:
            k = citation_length(data, i, end, classes)
            if k:
                removed += 1
                i += k
                continue
        out[w] = data[i]
        w += 1
        i += 1
    return w, removed


@njit(cache=True, nogil=True)
def citation_length(data, i, end, classes):  # type: ignore[no-untyped-def]
    """Bytes of the `[12]`, `[]`, `[edit]` or `[citation needed]` that starts at `i`, 0 where none does."""
    j = i + 1
    for word in (b"edit]", b"citation needed]"):
        if j + len(word) <= end:
            same = True
            for k in range(len(word)):
                same = same and data[j + k] == word[k]
            if same:
                return 1 + len(word)
    while j < end:
        code, k = decode(data, j, end)
        if code == 0x5D:
            return j + 1 - i
        if not classes[code] & DECIMAL:
            break
        j += k
    return 0


@njit(cache=True, nogil=True)
def has_terminal_mark(data, start, stop, apostrophe, dots):  # type: ignore[no-untyped-def]
    """Whether the line ends with `.`, `?`, `!`, `"` (or `'`), and not with three full stops unless `dots`."""
    if start == stop:
        return False
    c = data[stop - 1]
    if c == 0x2E:
        return dots or not (stop - start >= 3 and data[stop - 2] == 0x2E and data[stop - 3] == 0x2E)
    return c == 0x3F or c == 0x21 or c == 0x22 or (apostrophe and c == 0x27)


@njit(cache=True, nogil=True)
def count_words(data, i, end, most):  # type: ignore[no-untyped-def]
    """Words as `str.split` gives them; reads no further than `most` of them."""
    n = inside = np.int64(0)
    while i < end and n < most:
        space = np.int64(SPACE_KINDS[data[i]])
        step = 1
        if space == 2:
            k = space_length(data, i, end)
            space = np.int64(k > 0)
            step = max(k, 1)
        n += (1 - space) & (1 - inside)
        inside = 1 - space
        i += step
    return n
