"""Words of every script: the segments of UAX #29 (Unicode text segmentation, word boundaries) that say something.

A word is a segment with a letter or a number (general categories L and N) in it, marks left aside; punctuation,
symbols and white space are none. So `can't`, `3.14`, `1,000`, `snake_case` and `e.g` are one word each, `well-known` is
two. Scripts that put no space between words have these words:

- Han and Hiragana: every character, as UAX #29 has it, and Yi; Katakana: every run.
- Thai and Lao: character clusters (after Theeramunkong et al. 2000, "Character cluster based Thai information
  retrieval"): a vowel written in front, a consonant, its marks, the vowels written behind. A vowel sign that only
  closed syllables have takes the consonant behind it; so do `เ◌ีย`, `เ◌ือ` and their Lao likes. A cancelled consonant,
  `ๆ` and `ฯ` belong to the cluster before them.
- Khmer: a base letter with its subscripts (coeng and letter) and signs.
- Burmese and the other languages of that script: syllables. A base letter with its signs and stacked letters, and the
  letters behind it that asat or a stack marks as closing it.
- Tibetan: syllables, because the tsheg ends a segment. Other scripts whose letters UAX #29 leaves to dictionaries (Tai
  Tham, New Tai Lue, Tai Viet, Ahom): every letter with its marks.

A word does not end inside a grapheme cluster: where UAX #29's own rules would let it (before the vowel am of Thai and
Lao), the word goes on. The only exception is a letter that goes with what is behind it (GCB=Prepend) before a mark.
`uniseg`, with which DCLM counts words, gives the same segments for scripts with spaces; DCLM then drops those whose
first character is not alphanumeric (`_name`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit
from numba.extending import intrinsic

from corpusmill.scan import Bytes, hash_span
from corpusmill.segment_classes import (
    ALETTER,
    DOUBLE_QUOTE,
    EXTENDNUMLET,
    HEBREW,
    IGNORED,
    KATAKANA,
    KIND,
    KIND_BITS,
    LEAD,
    NEWLINE,
    NUMERIC,
    OTHER,
    PICTOGRAPH,
    QUOTE,
    REGIONAL,
    SAYS,
    ZWJ,
    segment_classes,
    skip_ignored,
)
from corpusmill.segment_clusters import cluster_end
from corpusmill.unicode import decode

Int32s = npt.NDArray[np.int32]
Pieces = tuple[Int32s, Int32s, Int32s, npt.NDArray[np.uint64], npt.NDArray[np.int64]]


def _join_table() -> npt.NDArray[np.bool_]:
    """Whether no boundary lies between two kinds side by side: WB5, WB8 to WB10, WB13 to WB13b, WB15."""
    joins = np.zeros((32, 32), dtype=np.bool_)
    for a in (ALETTER, HEBREW, NUMERIC, EXTENDNUMLET):
        joins[a, [ALETTER, HEBREW, NUMERIC, EXTENDNUMLET]] = True
    joins[KATAKANA, [KATAKANA, EXTENDNUMLET]] = True
    joins[EXTENDNUMLET, KATAKANA] = True
    joins[REGIONAL, REGIONAL] = True
    return joins


def _middle_table() -> npt.NDArray[np.bool_]:
    """Whether no boundary lies around a mark between two kinds (before, mark, after): WB6, WB7, WB7b to WB12."""
    middle = np.zeros((32, 32, 32), dtype=np.bool_)
    for a in (ALETTER, HEBREW):
        for mark in ("MidLetter", "MidNumLet", "Single_Quote"):
            middle[a, KIND[mark], [ALETTER, HEBREW]] = True
    for mark in ("MidNum", "MidNumLet", "Single_Quote"):
        middle[NUMERIC, KIND[mark], NUMERIC] = True
    middle[HEBREW, DOUBLE_QUOTE, HEBREW] = True
    return middle


_JOINS = _join_table()
_MIDDLE = _middle_table()


def _ascii_kinds() -> Bytes:
    """For each byte: 0 no part of a word, 1 letter, 2 digit, 3 `_`, 4 `.` or `'`, 5 `:`, 6 `,` or `;`, 7 not ASCII."""
    kinds = np.zeros(256, dtype=np.uint8)
    groups = ("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "_", ".'", ":", ",;")
    for number, group in enumerate(groups, start=1):
        kinds[[ord(char) for char in group]] = number
    kinds[0x80:] = 7
    return kinds


_ASCII = _ascii_kinds()
_BETWEEN_LETTERS = np.array([False] * 4 + [True, True, False, False])
_BETWEEN_DIGITS = np.array([False] * 4 + [True, False, True, False])


def script_words(data: Bytes, offsets: npt.NDArray[np.int64]) -> Pieces:
    """The words of the texts: start int32[m], stop int32[m], chars int32[m], hash uint64[m], first int64[n + 1]."""
    most = int(offsets[-1] - offsets[0])
    start, stop = (np.empty(most, dtype=np.int32) for _ in range(2))
    first = np.zeros(len(offsets), dtype=np.int64)
    m = _find_words(data, offsets, segment_classes(), start, stop, first)
    chars, hashes = np.empty(m, dtype=np.int32), np.empty(m, dtype=np.uint64)
    hash_spans(data, start[:m], stop[:m], chars, hashes)
    return start[:m], stop[:m], chars, hashes, first


@intrinsic
def borrow(_context, array):  # type: ignore[no-untyped-def]
    """The same array without a count of its references, which every call of a kernel that takes it would change."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        view.meminfo = ir.Constant(view.meminfo.type, None)
        view.parent = ir.Constant(view.parent.type, None)
        return view._getvalue()

    return array(array), generate


@njit(cache=True, nogil=True)
def hash_spans(data, start, stop, chars, hashes):  # type: ignore[no-untyped-def]
    """Fill in the length in code points and the hash of the bytes from each `start` to its `stop`."""
    for j in range(len(start)):
        hashes[j], chars[j] = hash_span(data, np.int64(start[j]), np.int64(stop[j]))


@njit(cache=True, nogil=True)
def _find_words(data, offsets, classes, start, stop, first):  # type: ignore[no-untyped-def]
    data, classes, start, stop = borrow(data), borrow(classes), borrow(start), borrow(stop)
    m = np.int64(0)
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        while i < end:
            a = i
            i, word = segment_end(data, a, end, classes)
            if word:
                start[m], stop[m] = a, i
                m += 1
        first[d + 1] = m
    return m


@njit(cache=True, nogil=True, forceinline=True)
def segment_end(data, a, end, classes):  # type: ignore[no-untyped-def]
    """Where the segment that begins at `a` ends, and whether it is a word."""
    kind = _ASCII[data[a]]
    if kind == 0 or 4 <= kind <= 6:
        if a + 1 == end or data[a + 1] < 0x80:
            return a + 1, False
        kind = np.uint8(7)  # a mark may follow
    i = a
    word = kind <= 2
    while kind != 7:
        while i < end and 1 <= _ASCII[data[i]] <= 3:
            word = word or data[i] != 0x5F
            i += 1
        kind, i = _ascii_mark(data, i, end)
        if kind == 0:
            return i, word
    return _segment(data, a, end, classes)


@njit(cache=True, nogil=True)
def _ascii_mark(data, i, end):  # type: ignore[no-untyped-def]
    """What is at `i` behind a word so far: 0 its end, 7 not ASCII, else a mark it goes on behind; and where then."""
    mark = _ASCII[data[i]] if i < end else np.uint8(0)
    if mark == 0 or mark == 7:
        return mark, i
    after = _ASCII[data[i + 1]] if i + 1 < end else np.uint8(0)
    if after == 7:
        return after, i
    before = _ASCII[data[i - 1]]
    if before == after and ((before == 1 and _BETWEEN_LETTERS[mark]) or (before == 2 and _BETWEEN_DIGITS[mark])):
        return mark, i + 1
    return np.uint8(0), i


@njit(cache=True, nogil=True)
def _segment(data, i, end, classes):  # type: ignore[no-untyped-def]
    """`segment_end` for a segment that is not ASCII alone."""
    code, k = decode(data, i, end)
    flags = classes[code]
    before = flags & KIND_BITS
    i += k
    if before == NEWLINE:
        return i, False
    word = flags & SAYS != 0
    if before >= LEAD:
        return cluster_end(data, i, end, before, code, classes), True
    i, last = skip_ignored(data, i, end, classes)
    if last == 0 and before == IGNORED:
        last = code
    while i < end:
        code, k = decode(data, i, end)
        flags = classes[code]
        kind = flags & KIND_BITS
        if not (_JOINS[before, kind] or (last == ZWJ and flags & PICTOGRAPH)):
            j, _ = skip_ignored(data, i + k, end, classes)
            code, length = decode(data, j, end) if j < end else (np.int64(0), 0)
            if _MIDDLE[before, kind, classes[code] & KIND_BITS]:
                i, k, flags = j, length, classes[code]
                kind = flags & KIND_BITS
            elif not (before == HEBREW and kind == QUOTE):
                break
        word = word or flags & SAYS != 0
        before = OTHER if kind == REGIONAL else kind  # two of them are a flag
        i, last = skip_ignored(data, i + k, end, classes)
    return i, word
