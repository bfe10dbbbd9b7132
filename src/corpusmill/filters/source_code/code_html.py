"""How much text an HTML file shows: what BeautifulSoup's `get_text` gives without `<script>` and `<style>`.

A text node is what lies between two tags, comments or declarations. One of nothing but ASCII white space counts as
one character, unless it is inside `<pre>` or `<textarea>`. A reference such as `&nbsp;` or `&#160;` is one character,
whatever its name (an unknown one is kept as text there); one without `;` is taken as it stands. Text inside
`<template>`, `<rt>` and `<rp>` is not counted.

The parser reads tags as Python's `html.parser` does: a `<` that begins none is text, a comment ends at `-->`, the
content of `<script>` and `<style>` at their end tags, and what is not closed at the end of the file is text.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.scan import eight_bytes
from corpusmill.text import Offsets, Texts

_LETTER, _DIGIT, _SPACE, _TAG, _REFERENCE = (np.uint8(1 << k) for k in range(5))


def _kinds() -> npt.NDArray[np.uint8]:
    kinds = np.zeros(256, dtype=np.uint8)
    kinds[[c for c in range(128) if chr(c).isalpha()]] = _LETTER
    kinds[48:58] = _DIGIT
    kinds[[9, 10, 12, 13, 32]] = _SPACE
    kinds[0x3C], kinds[0x26] = _TAG, _REFERENCE
    return kinds


_KINDS = _kinds()


def _name(tag: str) -> int:
    return int.from_bytes(tag.encode(), "little")


_SCRIPT, _STYLE, _PRE, _TEXTAREA, _TEMPLATE, _RT, _RP, _CDATA = (
    np.uint64(_name(tag)) for tag in ("script", "style", "pre", "textarea", "template", "rt", "rp", "cdata")
)
_LOWER = np.uint64(0x2020202020202020)


def visible_chars(texts: Texts, wanted: npt.NDArray[np.bool_]) -> Offsets:
    """int64[n]: code points shown, 0 for the texts that `wanted` bool[n] does not name."""
    return _visible(texts.data, texts.offsets, wanted)


@njit(cache=True, nogil=True)
def _visible(data, offsets, wanted):  # type: ignore[no-untyped-def]
    chars = np.zeros(len(wanted), dtype=np.int64)
    for d in range(len(wanted)):
        if wanted[d]:
            chars[d] = _shown(data, offsets[d], offsets[d + 1])
    return chars


@njit(cache=True, nogil=True)
def _shown(data, i, end):  # type: ignore[no-untyped-def]
    shown = node = np.int64(0)  # characters in all nodes, in this one
    blank = True
    kept = hidden = 0  # open tags that keep white space, that hide text
    gone = np.zeros(4, dtype=np.bool_)  # no `-->`, `>`, `]]>` ahead; quotes hold nothing
    while i < end:
        kind = _KINDS[data[i]]
        if kind == _TAG:
            stop, key, closing = _tag(data, i, end, gone)
            if stop > i:
                shown += _node(node, blank, kept, hidden)
                if key == _CDATA:
                    shown += _text(data, i + len("<![CDATA["), stop - len("]]>"), kept)
                node, blank = np.int64(0), True
                step = -1 if closing else 0 if data[stop - 2] == 0x2F else 1
                if key in (_PRE, _TEXTAREA):
                    kept = max(kept + step, 0)
                elif key in (_TEMPLATE, _RT, _RP):
                    hidden = max(hidden + step, 0)
                i = stop
                if key in (_SCRIPT, _STYLE) and step > 0:
                    i = _skip_content(data, i, end, key)
                continue
        if kind == _REFERENCE:
            stop = _reference(data, i, end)
            if stop > i:
                node += 1
                blank = False
                i = stop
                continue
        i, chars, spaces = _run(data, i, end)
        node += chars
        blank &= spaces
    return shown + _node(node, blank, kept, hidden)


@njit(cache=True, nogil=True)
def _run(data, i, end):  # type: ignore[no-untyped-def]
    """From `i` to the next tag or reference: its place, the characters up to there, whether all are white space."""
    chars = np.int64(0)
    blank = True
    while True:
        chars += (data[i] & 0xC0) != 0x80
        blank &= _KINDS[data[i]] == _SPACE
        i += 1
        if i == end or _KINDS[data[i]] >= _TAG:
            return i, chars, blank


@njit(cache=True, nogil=True)
def _text(data, i, stop, kept):  # type: ignore[no-untyped-def]
    """Characters of a CDATA section, which is a node of its own, hidden nowhere."""
    chars = np.int64(0)
    blank = True
    for j in range(i, stop):
        chars += (data[j] & 0xC0) != 0x80
        blank &= _KINDS[data[j]] == _SPACE
    return _node(chars, blank, kept, 0)


@njit(cache=True, nogil=True)
def _node(node, blank, kept, hidden):  # type: ignore[no-untyped-def]
    return 0 if hidden else min(node, 1) if blank and not kept else node


@njit(cache=True, nogil=True)
def _tag(data, i, end, gone):  # type: ignore[no-untyped-def]
    """Where the markup at `i` stops, `i` where it is text; its name's first eight bytes, 0 for none; an end tag?"""
    none = np.uint64(0)
    if i + 1 >= end:
        return i, none, False
    c = data[i + 1]
    if _KINDS[c] == _LETTER:
        stop = _tag_end(data, i + 1, end, gone)
        return (stop, _tag_name(data, i + 1, end), False) if stop > 0 else (i, none, False)
    if c == 0x2F:
        stop = _find(data, i + 2, end, 0x3E, 0, gone, 1)
        return (stop, _tag_name(data, i + 2, end), True) if stop > 0 else (i, none, False)
    if c != 0x21 and c != 0x3F:
        return i, none, False
    if c == 0x21 and i + 3 < end and data[i + 2] == 0x2D and data[i + 3] == 0x2D:
        stop = _find(data, i + 4, end, 0x2D, 2, gone, 0)
    elif c == 0x21 and i + 2 < end and data[i + 2] == 0x5B:
        cdata = i + 8 < end and data[i + 8] == 0x5B and _tag_name(data, i + 3, end) == _CDATA
        stop = _find(data, i + 3, end, 0x5D, 1 + cdata, gone, 2)
        if cdata:
            return (stop, _CDATA, False) if stop > 0 else (i, none, False)
    else:
        stop = _find(data, i + 2, end, 0x3E, 0, gone, 1)
    return (stop, none, False) if stop > 0 else (i, none, False)


@njit(cache=True, nogil=True)
def _find(data, i, end, sign, times, gone, which):  # type: ignore[no-untyped-def]
    """Behind the first `>` with `times` signs before it, -1 for none; `gone` remembers that there is none."""
    if gone[which]:
        return np.int64(-1)
    run = 0
    while i < end:
        if data[i] == 0x3E and run >= times:
            return np.int64(i + 1)
        run = run + 1 if data[i] == sign else 0
        i += 1
    gone[which] = True
    return np.int64(-1)


@njit(cache=True, nogil=True)
def _tag_name(data, i, end):  # type: ignore[no-untyped-def]
    """The first eight bytes of a name in lower case."""
    j = i
    while j < end and j < i + 9 and (_KINDS[data[j]] == _LETTER or _KINDS[data[j]] == _DIGIT):
        j += 1
    if j == i or j == i + 9:
        return np.uint64(0)
    shift = np.uint64(64 - 8 * min(j - i, 8))
    return eight_bytes(data, i, j) | (_LOWER << shift >> shift)


@njit(cache=True, nogil=True)
def _tag_end(data, i, end, gone):  # type: ignore[no-untyped-def]
    """Behind the `>` that ends a start tag, whose quoted values may hold others; -1 for none.

    Where quotes leave no `>` up to the end of the text, they hold nothing, here and from here on.
    """
    j = i
    while j < end and not gone[3]:
        c = data[j]
        j += 1
        if c == 0x3E:
            return np.int64(j)
        if c == 0x3D:
            while j < end and _KINDS[data[j]] == _SPACE:
                j += 1
            if j < end and (data[j] == 0x22 or data[j] == 0x27):
                quote = data[j]
                j += 1
                while j < end and data[j] != quote:
                    j += 1
                j += 1
    gone[3] = True
    return _find(data, i, end, 0x3E, 0, gone, 1)


@njit(cache=True, nogil=True)
def _skip_content(data, i, end, key):  # type: ignore[no-untyped-def]
    """Where the end tag of a `<script>` or `<style>` begins; the end of the text without one."""
    while i < end:
        if data[i] == 0x3C and i + 1 < end and data[i + 1] == 0x2F and _tag_name(data, i + 2, end) == key:
            return i
        i += 1
    return end


@njit(cache=True, nogil=True)
def _reference(data, i, end):  # type: ignore[no-untyped-def]
    """Behind the `;` of the character reference at `i`; `i` where there is none."""
    j = i + 1
    if j < end and data[j] == 0x23:
        j += 1
        if j < end and data[j] | 0x20 == 0x78:
            j += 1
    first = j
    while j < end and j < i + 40 and (_KINDS[data[j]] == _LETTER or _KINDS[data[j]] == _DIGIT):
        j += 1
    return j + 1 if j > first and j < end and data[j] == 0x3B else i
