"""What each character is to the word boundaries of UAX #29, and to the clusters of scripts without spaces."""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit

from corpusmill.scan import Bytes
from corpusmill.unicode import decode, flag_table, matched

KINDS = (
    *("Other", "ALetter", "Hebrew_Letter", "Numeric", "Katakana", "ExtendNumLet", "Ignored", "MidLetter", "MidNumLet"),
    *("Single_Quote", "MidNum", "Double_Quote", "Regional_Indicator", "Newline"),
    *("Lead", "Consonant", "Follow", "Khmer", "Myanmar"),
)
KIND = {name: np.uint8(number) for number, name in enumerate(KINDS)}
OTHER, ALETTER, HEBREW, NUMERIC = (KIND[name] for name in ("Other", "ALetter", "Hebrew_Letter", "Numeric"))
KATAKANA, EXTENDNUMLET, IGNORED = (KIND[name] for name in ("Katakana", "ExtendNumLet", "Ignored"))
QUOTE, DOUBLE_QUOTE, REGIONAL = (KIND[name] for name in ("Single_Quote", "Double_Quote", "Regional_Indicator"))
NEWLINE = KIND["Newline"]
LEAD, CONSONANT, FOLLOW = (KIND[name] for name in ("Lead", "Consonant", "Follow"))
KHMER, MYANMAR = KIND["Khmer"], KIND["Myanmar"]
KIND_BITS = np.uint8(0x1F)
PICTOGRAPH = np.uint8(0x40)
SAYS = np.uint8(0x80)
"""A letter or a number, and not a mark."""

_WORD_BREAKS = (
    *((KIND[name], f"\\p{{Word_Break={name}}}") for name in KINDS[1:6] + KINDS[7:13]),
    (NEWLINE, r"\p{Word_Break=CR}|\p{Word_Break=LF}|\p{Word_Break=Newline}"),
    (IGNORED, r"\p{Word_Break=Extend}|\p{Word_Break=Format}|\p{Word_Break=ZWJ}"),
    (PICTOGRAPH, r"\p{Extended_Pictographic}"),
)
_CLUSTERS = (
    (r"[\ua000-\ua48c]", OTHER),  # a run of Yi is a word to UAX #29, but Yi is written without spaces
    (r"[\u0e40-\u0e44\u0ec0-\u0ec4]", LEAD),
    (r"[\u0e01-\u0e2e\u0e81-\u0eae\u0edc-\u0edf]", CONSONANT),
    (r"[\u0e2f\u0e30\u0e32\u0e45\u0e46\u0eaf\u0eb0\u0eb2\u0ebd\u0ec6]", FOLLOW),
    (r"[\u1780-\u17b3]", KHMER),
    (r"[\p{Script=Myanmar}&&\p{L}]", MYANMAR),
    (r"[\u0e33\u0eb3]", IGNORED),  # the two vowels am are letters to UAX #29, but marks to grapheme clusters
)

ZWJ = 0x200D


@cache
def word_breaks() -> Bytes:
    """uint8[0x110000]: kind of each code point as UAX #29 has it, and whether it is a pictograph."""
    return flag_table(_WORD_BREAKS)


@cache
def segment_classes() -> Bytes:
    """uint8[0x110000]: kind and flags of each code point, with the kinds of scripts without spaces."""
    classes = word_breaks().copy()
    for pattern, kind in _CLUSTERS:
        of = matched(pattern)
        classes[of] = classes[of] & ~KIND_BITS | kind
    classes[matched(r"[\p{L}\p{N}]") & (classes & KIND_BITS != IGNORED)] |= SAYS
    classes.setflags(write=False)
    return classes


@njit(cache=True, nogil=True)
def skip_ignored(data, i, end, classes):  # type: ignore[no-untyped-def]
    """Position behind marks and format characters, and the last of them, 0 for none."""
    last = np.int64(0)
    while i < end:
        if data[i] < 0x80:
            break
        code, k = decode(data, i, end)
        if classes[code] & KIND_BITS != IGNORED:
            break
        last = code
        i += k
    return i, last
