"""The normal forms in which lines and paragraphs are compared, as keys."""

from __future__ import annotations

from functools import cache
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.dedup.exact import begin_digest, digest_span, end_digest, lower_bytes, take
from corpusmill.folding import DOT_ABOVE, DOTTED_I, FINAL_SIGMA, SIGMA, case_classes, is_final_sigma, lower_case
from corpusmill.scan import eight_bytes, load64, skip_space, trim_space
from corpusmill.segment import borrow
from corpusmill.text import Texts
from corpusmill.unicode import decode, matched, put

Normalize = Literal["none", "lower", "ccnet"]
"""The bytes; what `str.lower` gives; as CCNet compares lines, see `lines.py`."""

CCNET_PUNCTUATION = "，。、„”“«»」「《》´∶：？！（）；–—．～’…━〈〉【】％►"
"""What CCNet takes out before it compares; its list has U+FF11 too, which is a digit and has become 0 by then."""

NONE, LOWER, CCNET = range(3)  # as in Normalize
_GONE = np.int32(-1)
_HIGH, _LOW = np.uint64(0x8080808080808080), np.uint64(0x7F7F7F7F7F7F7F7F)
_SPACES = np.uint64(0x2020202020202020)
# Added to bytes below 0x80, these set the highest bit of those from space, DEL, A, [, 0 and : on.
_FROM_SPACE, _FROM_DEL = np.uint64(0x6060606060606060), np.uint64(0x0101010101010101)
_FROM_A, _BEHIND_Z = np.uint64(0x3F3F3F3F3F3F3F3F), np.uint64(0x2525252525252525)
_FROM_0, _BEHIND_9 = np.uint64(0x5050505050505050), np.uint64(0x4646464646464646)


def line_keys(
    texts: Texts, start: npt.NDArray[np.int32], stop: npt.NDArray[np.int32], normalize: Normalize
) -> npt.NDArray[np.uint64]:
    """uint64[m, 2]: the `exact.digest` of the normal form of each of the bytes `start` to `stop`, both int32[m].

    Those are a line, or lines that are compared stripped.
    """
    form = get_args(Normalize).index(normalize)
    out = np.empty((len(start), 2), dtype=np.uint64)
    longest = lower_bytes(int((stop - start).max(initial=0)))
    _keys(texts.data, start, stop, form, codes_of(form), case_classes(), np.empty(longest, dtype=np.uint8), out)
    return out


@cache
def codes_of(form: int) -> npt.NDArray[np.int32]:
    """int32[0x110000]: what each code point becomes, as far as that does not depend on others; -1 where it goes."""
    table = np.arange(0x110000, dtype=np.int32) if form == NONE else lower_case().copy()
    if form == CCNET:
        table[matched(r"\p{Nd}")] = ord("0")
        table[[*range(32), *range(127, 160), *map(ord, CCNET_PUNCTUATION)]] = _GONE
    table.setflags(write=False)
    return table


@njit(cache=True, nogil=True)
def _keys(data, start, stop, form, codes, classes, scratch, out):  # type: ignore[no-untyped-def]
    data, codes, classes, scratch = borrow(data), borrow(codes), borrow(classes), borrow(scratch)
    for j in range(len(start)):
        i, end = np.int64(start[j]), np.int64(stop[j])
        out[j, 0], out[j, 1] = line_digest(data, i, end, form, codes, classes, scratch)


@njit(cache=True, nogil=True)
def line_digest(data, i, end, form, codes, classes, scratch):  # type: ignore[no-untyped-def]
    """The two halves of the hash of a normal form, which has room in `scratch`."""
    plain, a, b = _plain_digest(data, i, end, form)
    if plain:
        return a, b
    return digest_span(scratch, 0, _normalize(data, i, end, form, codes, classes, scratch))


@njit(cache=True, nogil=True)
def _plain_digest(data, i, end, form):  # type: ignore[no-untyped-def]
    """Whether the text has nothing but ASCII (or need not) and no control characters; if so the hash of its form."""
    a, b = begin_digest(end - i)
    while i < end:
        whole = i + 8 <= end
        x = load64(data, i) if whole else eight_bytes(data, i, end)
        y = x if whole else x | (_SPACES << np.uint64(8 * (end - i)))
        low = y & _LOW
        controls = ~(low + _FROM_SPACE) | (low + _FROM_DEL)
        if (controls & ~y if form == NONE else controls | y) & _HIGH:
            return False, a, b
        if form != NONE:
            x |= ((low + _FROM_A) & ~(low + _BEHIND_Z) & _HIGH) >> np.uint64(2)
        if form == CCNET:
            digits = (low + _FROM_0) & ~(low + _BEHIND_9) & _HIGH
            x &= ~((digits >> np.uint64(7)) * np.uint64(0x0F))
        a, b = take(a, b, x)
        i += 8
    a, b = end_digest(a, b)
    return True, a, b


@njit(cache=True, nogil=True)
def _normalize(data, i, end, form, codes, classes, out):  # type: ignore[no-untyped-def]
    """Write the normal form to `out`: where it ends."""
    begin, w = i, 0
    while i < end:
        c = data[i]
        if c == 0x0A:  # inside a paragraph: its lines are compared stripped, like itself
            w = trim_space(out, 0, w)
            out[w] = 0x0A
            w += 1
            i = skip_space(data, i, end)
            continue
        if c < 0x80:
            out[w] = codes[c] & 0xFF
            w += codes[c] != _GONE
            i += 1
            continue
        code, k = decode(data, i, end)
        lower = np.int64(codes[code])
        if form != NONE and code == SIGMA and is_final_sigma(data, begin, i, i + k, end, classes):
            lower = np.int64(FINAL_SIGMA)
        i += k
        if lower != _GONE:
            w = put(out, w, lower)
        if form != NONE and code == DOTTED_I:
            w = put(out, w, DOT_ABOVE)
    return w
