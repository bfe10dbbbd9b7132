"""Exact duplicates: one 128-bit hash of each text, as it is or in a normal form.

No document is left out. An empty text is a text like any other, so all empty texts are duplicates of each other; with
`normalize = "whitespace"` or `"words"`, all texts of nothing but white space are too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.dedup.survivors import check_keep
from corpusmill.errors import ConfigError
from corpusmill.folding import DOT_ABOVE, DOTTED_I, lower_codes
from corpusmill.scan import SPACE_KINDS, eight_bytes, finish_hash, load64, space_length
from corpusmill.steps import DocumentBarrier, register
from corpusmill.text import Texts
from corpusmill.unicode import decode, matched, put

Normalize = Literal["none", "whitespace", "words"]

# Odd numbers with well-mixed bits, two for each lane of the hash; any others would do, but keys would change.
_A1, _A2 = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F)
_B1, _B2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0x94D049BB133111EB)


@register("exact", version=2)
@dataclass(frozen=True)
class Exact(DocumentBarrier):
    """Link documents whose texts are equal; each cluster keeps one.

    `normalize` says what is compared: `none`, the bytes; `whitespace`, the text with every run of white space made one
    space, and none at the ends; `words`, its words (letters, marks and decimal digits) in lower case, `ς` as `σ`, or
    where it has none, the same as `whitespace`. Raises ConfigError for any other value.
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
        data = np.empty(lower_bytes(size), dtype=np.uint8)
        _words_all(texts.data, texts.offsets, folded_words(), data, offsets)
    return Texts(data[: offsets[-1]], offsets)


def lower_bytes(size: int) -> int:
    """The most bytes that the lower case of `size` bytes can have: `Ⱥ`, `Ⱦ` and `İ` have two, in lower case three."""
    return size + size // 2


@cache
def folded_words() -> npt.NDArray[np.int32]:
    """int32[0x110000]: for each code point its lower case if it belongs in words, else 0; `ς` and `σ` one letter."""
    table = np.where(matched(r"[\p{L}\p{M}\p{Nd}]"), lower_codes(), np.int32(0))
    table.setflags(write=False)
    return table


@njit(cache=True, nogil=True, inline="always")
def take(a, b, word):  # type: ignore[no-untyped-def]
    """The lanes of a hash with eight more bytes in them."""
    return _step(a, word, _A1, _A2, np.uint64(29)), _step(b, word, _B1, _B2, np.uint64(37))


@njit(cache=True, nogil=True, inline="always")
def _step(lane, word, inner, outer, turn):  # type: ignore[no-untyped-def]
    """Take a word into a lane: for each word a bijection of the lane, for each lane one of the word."""
    lane ^= word * inner
    return ((lane << turn) | (lane >> (np.uint64(64) - turn))) * outer


@njit(cache=True, nogil=True, inline="always")
def begin_digest(size):  # type: ignore[no-untyped-def]
    """The lanes before the first of `size` bytes: it tells apart what padding the last word with zeros makes alike."""
    return _A2 ^ np.uint64(size), _B2 ^ np.uint64(size)


@njit(cache=True, nogil=True, inline="always")
def end_digest(a, b):  # type: ignore[no-untyped-def]
    """The hash, from its lanes."""
    a = finish_hash(a + b)
    return a, finish_hash(b + a)


@njit(cache=True, nogil=True)
def digest_span(data, i, end):  # type: ignore[no-untyped-def]
    """The two halves of the hash of the bytes from `i` to `end`."""
    a, b = begin_digest(end - i)
    while i + 8 <= end:
        a, b = take(a, b, load64(data, i))
        i += 8
    if i < end:
        a, b = take(a, b, eight_bytes(data, i, end))
    return end_digest(a, b)


@njit(cache=True, nogil=True)
def _digest(data, offsets, out):  # type: ignore[no-untyped-def]
    for d in range(len(offsets) - 1):
        out[d, 0], out[d, 1] = digest_span(data, offsets[d], offsets[d + 1])


@njit(cache=True, nogil=True)
def collapse(data, i, end, out, n):  # type: ignore[no-untyped-def]
    """Write a text to `out` at `n` with each run of white space made one space, none at the ends: where it ends."""
    begin = n
    before = np.int64(1)  # whether the last character was white space, as one before the text is taken to be
    while i < end:
        c = data[i]
        space, k = np.int64(SPACE_KINDS[c]), 1
        if space == 2:
            k = space_length(data, i, end)
            space = np.int64(k > 0)
            k = max(k, 1)
        out[n] = 0x20 if space else c  # where words end can't be predicted, so there is no branch
        n += 1 - (space & before)
        before = space
        i += k
    return n - (before & (n > begin))


@njit(cache=True, nogil=True)
def _collapse_all(data, offsets, out, stops):  # type: ignore[no-untyped-def]
    for d in range(len(offsets) - 1):
        stops[d + 1] = collapse(data, offsets[d], offsets[d + 1], out, stops[d])


@njit(cache=True, nogil=True)
def join_words(data, i, end, table, out, n):  # type: ignore[no-untyped-def]
    """Write the words of a text, `table` being `folded_words()`, to `out` at `n`, a space between them: where they end.

    A text without words is written as `collapse` does.
    """
    begin, start = n, i
    inside = np.int64(0)  # whether the last character was in a word
    while i < end:
        c = data[i]
        if c < 0x80:
            folded = np.int64(table[c])
            word = np.int64(folded != 0)
            out[n] = folded if word else 0x20
            n += word | inside
            inside = word
            i += 1
            continue
        code, k = decode(data, i, end)
        i += k
        folded = np.int64(table[code])
        if folded:
            n = put(out, n, folded)
            if code == DOTTED_I:
                n = put(out, n, DOT_ABOVE)
        elif inside:
            out[n] = 0x20
            n += 1
        inside = np.int64(folded != 0)
    n -= (1 - inside) & (n > begin)
    return n if n > begin else collapse(data, start, end, out, begin)


@njit(cache=True, nogil=True)
def _words_all(data, offsets, table, out, stops):  # type: ignore[no-untyped-def]
    for d in range(len(offsets) - 1):
        stops[d + 1] = join_words(data, offsets[d], offsets[d + 1], table, out, stops[d])
