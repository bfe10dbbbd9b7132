"""Exact duplicates: one 128-bit hash of each text, as it is or in a normal form.

No document is left out. An empty text is a text like any other, so all empty texts are duplicates of each other; with
`normalize = "whitespace"` or `"words"`, all texts of nothing but white space are too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.dedup.components import check_keep
from corpusmill.dedup.minhash import decode, word_characters
from corpusmill.errors import ConfigError
from corpusmill.scan import eight_bytes, finish_hash, space_length
from corpusmill.steps import DocumentBarrier, register
from corpusmill.text import Texts

Normalize = Literal["none", "whitespace", "words"]

# Odd numbers with well-mixed bits, two for each lane of the hash; any others would do, but keys would change.
_A1, _A2 = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F)
_B1, _B2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0x94D049BB133111EB)


@register("exact", version=1)
@dataclass(frozen=True)
class Exact(DocumentBarrier):
    """Link documents whose texts are equal; each cluster keeps one.

    `normalize` says what is compared: `none`, the bytes; `whitespace`, the text with every run of white space made one
    space, and none at the ends; `words`, its words (letters, marks and decimal digits) in lower case, or where it has
    none, the same as `whitespace`. Raises ConfigError for any other value.
    """

    normalize: Normalize = "none"
    keep: str = "first"

    def __post_init__(self) -> None:
        """Check every field."""
        if self.normalize not in get_args(Normalize):
            raise ConfigError(
                f"exact: normalize = {self.normalize!r}; allowed: {', '.join(map(repr, get_args(Normalize)))}"
            )
        check_keep("exact", self.keep)

    def keys(self, texts: Texts) -> npt.NDArray[np.uint64]:
        """uint64[n, 1, 2]: the hash of each text."""
        return digest(normal_form(texts, self.normalize)).reshape(len(texts), 1, 2)


def digest(texts: Texts) -> npt.NDArray[np.uint64]:
    """uint64[n, 2]: a 128-bit hash of the bytes of each text, wherever they lie. Not cryptographic."""
    out = np.empty((len(texts), 2), dtype=np.uint64)
    _digest(texts.data, texts.offsets, out)
    return out


def normal_form(texts: Texts, normalize: Normalize) -> Texts:
    """The texts as `Exact` compares them under `normalize`."""
    if normalize == "none":
        return texts
    size = int(texts.offsets[-1] - texts.offsets[0])
    offsets = np.zeros(len(texts) + 1, dtype=np.int64)
    if normalize == "whitespace":
        data = np.empty(size, dtype=np.uint8)
        _collapse_all(texts.data, texts.offsets, data, offsets)
    else:
        # Lower case may be longer: U+023A and U+023E have two bytes, what they fold to has three.
        data = np.empty(size + size // 2 + 1, dtype=np.uint8)
        _words_all(texts.data, texts.offsets, word_characters(), data, offsets)
    return Texts(data[: offsets[-1]], offsets)


@njit(cache=True, nogil=True, inline="always")
def _step(lane, word, inner, outer, turn):  # type: ignore[no-untyped-def]
    """Take a word into a lane: for each word a bijection of the lane, for each lane one of the word."""
    lane ^= word * inner
    return ((lane << turn) | (lane >> (np.uint64(64) - turn))) * outer


@njit(cache=True, nogil=True)
def _digest(data, offsets, out):  # type: ignore[no-untyped-def]
    for d in range(len(offsets) - 1):
        begin, end = offsets[d], offsets[d + 1]
        # The length tells apart what padding the last word with zeros makes alike.
        a, b = _A2 ^ np.uint64(end - begin), _B2 ^ np.uint64(end - begin)
        for i in range(begin, end, 8):
            word = eight_bytes(data, i, end)
            a = _step(a, word, _A1, _A2, np.uint64(29))
            b = _step(b, word, _B1, _B2, np.uint64(37))
        a = finish_hash(a + b)
        out[d, 0] = a
        out[d, 1] = finish_hash(b + a)


@njit(cache=True, nogil=True)
def _collapse(data, i, end, out, n):  # type: ignore[no-untyped-def]
    """Write a text to `out` at `n` with its white space collapsed: the position behind it."""
    begin = n
    gap = False
    while i < end:
        c = data[i]
        # Only a byte up to 32 or one of these leads can begin white space: most never reach the longer test.
        if c <= 32 or c == 0xC2 or (c >= 0xE1 and c <= 0xE3):
            k = space_length(data, i, end)
            if k:
                gap = n > begin
                i += k
                continue
        if gap:
            out[n] = 32
            n += 1
            gap = False
        out[n] = c
        n += 1
        i += 1
    return n


@njit(cache=True, nogil=True)
def _collapse_all(data, offsets, out, stops):  # type: ignore[no-untyped-def]
    for d in range(len(offsets) - 1):
        stops[d + 1] = _collapse(data, offsets[d], offsets[d + 1], out, stops[d])


@njit(cache=True, nogil=True)
def _words_all(data, offsets, table, out, stops):  # type: ignore[no-untyped-def]
    for d in range(len(offsets) - 1):
        i, end = np.uint64(offsets[d]), np.uint64(offsets[d + 1])
        begin = n = stops[d]
        gap = False
        while i < end:
            point, length = np.uint64(data[i]), np.uint64(1)
            if point >= np.uint64(0x80):
                point, length = decode(data, i, end)
            folded = table[point]
            i += length
            if folded == 0:
                gap = n > begin
                continue
            if gap:
                out[n] = 32
                n += 1
                gap = False
            if folded < 0x80:
                out[n] = folded
                n += 1
            else:
                n = put(out, n, folded)
        if n == begin:
            n = _collapse(data, offsets[d], offsets[d + 1], out, n)
        stops[d + 1] = n


@njit(cache=True, nogil=True)
def put(out, n, point):  # type: ignore[no-untyped-def]
    """Write a code point of 0x80 or more as UTF-8: the position behind it."""
    if point < 0x800:
        out[n] = 0xC0 | (point >> 6)
    else:
        if point < 0x10000:
            out[n] = 0xE0 | (point >> 12)
        else:
            out[n] = 0xF0 | (point >> 18)
            n += 1
            out[n] = 0x80 | ((point >> 12) & 0x3F)
        n += 1
        out[n] = 0x80 | ((point >> 6) & 0x3F)
    out[n + 1] = 0x80 | (point & 0x3F)
    return n + 2
