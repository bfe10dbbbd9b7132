"""Near-duplicates by MinHash and banding.

Words are maximal runs of Unicode letters, marks and decimal digits, in lower case; a shingle is `shingle_words` words
in a row. A document shorter than one shingle has one, made of all its words, so that short documents are duplicates
of their own copies and of nothing else. A document without any word has no key.

Signatures follow datasketch's scheme "affine32", and are interchangeable with it:
`datasketch.MinHash(seed=seed, hashvalues=signature, scheme=SCHEME)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import regex
from numba import njit

from corpusmill.dedup.components import check_keep
from corpusmill.errors import ConfigError
from corpusmill.scan import HASH_PRIME, HASH_SEED, finish_hash
from corpusmill.steps import DocumentBarrier, register
from corpusmill.text import Texts

if TYPE_CHECKING:
    import datasketch

SCHEME = "affine32"

FOLDED_BELOW = 0x600
"""Code points below this are lower-cased: Latin, Greek, Cyrillic, Armenian. Later blocks with case are rare."""

_CODE_POINTS = 0x110000
_BLOCK_WORDS = 1024  # words hashed before their shingles are: 8 KiB, which stays in the L1 cache
_GROUP = 8  # shingles taken in one pass over the permutations
_SHINGLE_BASE = np.uint64(0x9FB21C651E98DF25)  # any odd number with well-mixed bits
_SECOND_LANE = np.uint64(0xD6E8FEB86659FD93)  # likewise: parts the two 64-bit lanes of a band key


@register("minhash", version=1)
@dataclass(frozen=True)
class MinHash(DocumentBarrier):
    """Link documents that share a band; each cluster keeps one. Two documents of Jaccard similarity s over their
    shingles are found with probability `detection_probability(s, bands, rows)`.

    Defaults are FineWeb's: 14 bands of 8 rows, shingles of 5 words (arXiv 2406.17557, section 3.4).
    `seed` is datasketch's own default. Raises ConfigError for a value out of range.
    """

    bands: int = 14
    rows: int = 8
    shingle_words: int = 5
    seed: int = 1
    keep: str = "first"

    def __post_init__(self) -> None:
        """Check every field."""
        limits = {"bands": (1, 4096), "rows": (1, 4096), "shingle_words": (1, 1024), "seed": (0, 2**32 - 1)}
        for name, (least, most) in limits.items():
            got = getattr(self, name)
            if not isinstance(got, int) or isinstance(got, bool) or not least <= got <= most:
                raise ConfigError(f"minhash: {name} = {got!r}; allowed: a whole number from {least} to {most}")
        check_keep("minhash", self.keep)

    def signatures(self, texts: Texts) -> npt.NDArray[np.uint32]:
        """uint32[n, bands * rows]: the signatures; all 0xFFFFFFFF for a document without words."""
        a, b = permutations(self.bands * self.rows, self.seed)
        out = np.full((len(texts), len(a)), 0xFFFFFFFF, dtype=np.uint32)
        _sign(texts.data, texts.offsets, word_characters(), self.shingle_words, a, b, out)
        return out

    def keys(self, texts: Texts) -> npt.NDArray[np.uint64]:
        """uint64[n, bands, 2]: for each band a 128-bit hash of its number and its rows."""
        return band_keys(self.signatures(texts), self.bands)

    def keyless(self, texts: Texts) -> npt.NDArray[np.bool_]:
        """bool[n]: documents without any word."""
        return _wordless(texts.data, texts.offsets, word_characters())

    def sketches(self, texts: Texts) -> list[datasketch.MinHash]:
        """The signatures as datasketch's own sketches, for its indexes and for signatures stored by others.

        To compare with sketches of yours, feed them the same 32-bit shingle hashes.
        """
        import datasketch  # half a second, for scipy, that no worker should pay

        return [
            datasketch.MinHash(seed=self.seed, hashvalues=signature, scheme=SCHEME)
            for signature in self.signatures(texts)
        ]


def detection_probability(jaccard: float, bands: int, rows: int) -> float:
    """Probability that two documents of this Jaccard similarity share a band: 1 - (1 - s^rows)^bands.

    Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, section 3.4.2.
    """
    return float(1.0 - (1.0 - jaccard**rows) ** bands)


@cache
def permutations(count: int, seed: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """(a, b), each uint32[count]: permutation k sends h to a[k] * h + b[k] mod 2**32, a[k] odd.

    Drawn as datasketch 2.0 draws them for "affine32", from numpy's frozen RandomState generator.
    """
    draw = np.random.RandomState(seed)
    halves = draw.randint(0, 1 << 31, count, dtype=np.uint32)
    a, b = halves * np.uint32(2) + np.uint32(1), draw.randint(0, 1 << 32, count, dtype=np.uint32)
    a.flags.writeable = b.flags.writeable = False
    return a, b


@cache
def word_characters() -> npt.NDArray[np.uint32]:
    """uint32[0x110000]: for each code point its lower case if it belongs in words, else 0.

    Letters, marks and decimal digits as the `regex` package knows them; simple lower case below FOLDED_BELOW.
    """
    table = np.zeros(_CODE_POINTS, dtype=np.uint32)
    # Surrogates (0xD800 to 0xDFFF) never occur in UTF-8 and are in no word.
    every = "".join(map(chr, range(_CODE_POINTS)))
    for run in regex.finditer(r"[\p{L}\p{M}\p{Nd}]+", every):
        table[run.start() : run.end()] = np.arange(run.start(), run.end())
    for c in np.flatnonzero(table[:FOLDED_BELOW]):
        # [0]: U+0130 is the one code point whose full lower case is longer than the simple one.
        table[c] = ord(chr(c).lower()[0])
    table.flags.writeable = False
    return table


def band_keys(signatures: npt.NDArray[np.uint32], bands: int) -> npt.NDArray[np.uint64]:
    """uint64[n, bands, 2] from uint32[n, bands * rows]."""
    out = np.empty((len(signatures), bands, 2), dtype=np.uint64)
    _band_keys(signatures, bands, out)
    return out


@njit(cache=True, nogil=True)
def decode(data, i, end):  # type: ignore[no-untyped-def]
    """(code point, length in bytes) of the character at `i` whose first byte is 0x80 or more.

    Positions are uint64. A byte that is not UTF-8 counts as one character 0; nothing at or behind `end` is read.
    """
    c = np.uint64(data[i])
    length = np.uint64(2) + np.uint64(c >= 0xE0) + np.uint64(c >= 0xF0)
    if c < 0xC2 or c > 0xF4 or i + length > end:
        return np.uint64(0), np.uint64(1)
    point = c & (np.uint64(0x7F) >> length)
    for j in range(np.uint64(1), length):
        tail = np.uint64(data[i + j])
        if tail & np.uint64(0xC0) != np.uint64(0x80):
            return np.uint64(0), np.uint64(1)
        point = (point << np.uint64(6)) | (tail & np.uint64(0x3F))
    if point >= _CODE_POINTS:
        return np.uint64(0), np.uint64(1)
    return point, length


@njit(cache=True, nogil=True)
def _hash_words(data, i, end, table, words, filled):  # type: ignore[no-untyped-def]
    """Append hashes of the next words to `words` until it is full or the text ends: (where to go on, words now)."""
    begin = filled
    h = HASH_SEED
    inside = np.uint32(0)
    while i < end:
        point, length = np.uint64(data[i]), np.uint64(1)
        if point >= np.uint64(0x80):
            point, length = decode(data, i, end)
        folded = table[point]
        # Where words end can't be predicted, so there is no branch: every prefix is stored, the last one stays.
        words[filled] = h
        filled += (inside != 0) & (folded == 0)
        h = (h ^ np.uint64(folded)) * HASH_PRIME if folded != 0 else HASH_SEED
        inside = folded
        i += length
        if filled == len(words):
            break
    if inside != 0:
        words[filled] = h
        filled += 1
    for w in range(begin, filled):
        words[w] = finish_hash(words[w])
    return i, filled


@njit(cache=True, nogil=True)
def _hash_shingles(words, count, size, shingles):  # type: ignore[no-untyped-def]
    """32-bit hashes of the `count - size + 1` shingles, padded to whole groups by repeating the last: how many.

    They are finished as MurmurHash3 finishes 32 bits, the scheme's mixing before its permutations.
    """
    m = count - size + 1
    for s in range(m):
        h = np.uint64(size)
        for w in range(s, s + size):
            h = h * _SHINGLE_BASE + words[w]
        x = np.uint32(finish_hash(h) >> np.uint64(32))
        shingles[s] = premix(x)
    while m % _GROUP:
        shingles[m] = shingles[m - 1]
        m += 1
    return m


@njit(cache=True, nogil=True, inline="always")
def premix(x):  # type: ignore[no-untyped-def]
    """The 32-bit finaliser of MurmurHash3 (public domain, Appleby), a bijection."""
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x85EBCA6B))
    x = np.uint32(x ^ (x >> np.uint32(13)))
    x = np.uint32(x * np.uint32(0xC2B2AE35))
    return np.uint32(x ^ (x >> np.uint32(16)))


@njit(cache=True, nogil=True)
def _lower(shingles, m, a, b, signature):  # type: ignore[no-untyped-def]
    """Lower every value of a signature to the least permuted hash of `m` shingles, a multiple of 8.

    Eight shingles share one pass over the permutations, which LLVM turns into vectors of uint32: multiply, add, min.
    """
    for s in range(0, m, _GROUP):
        h0, h1, h2, h3 = shingles[s], shingles[s + 1], shingles[s + 2], shingles[s + 3]
        h4, h5, h6, h7 = shingles[s + 4], shingles[s + 5], shingles[s + 6], shingles[s + 7]
        for k in range(len(signature)):
            x, y = a[k], b[k]
            v0 = min(np.uint32(x * h0 + y), np.uint32(x * h1 + y))
            v1 = min(np.uint32(x * h2 + y), np.uint32(x * h3 + y))
            v2 = min(np.uint32(x * h4 + y), np.uint32(x * h5 + y))
            v3 = min(np.uint32(x * h6 + y), np.uint32(x * h7 + y))
            signature[k] = min(signature[k], min(min(v0, v1), min(v2, v3)))


@njit(cache=True, nogil=True)
def _sign(data, offsets, table, size, a, b, out):  # type: ignore[no-untyped-def]
    words = np.empty(_BLOCK_WORDS + size, dtype=np.uint64)
    shingles = np.empty(_BLOCK_WORDS + size + _GROUP, dtype=np.uint32)
    for d in range(len(offsets) - 1):
        i, end = np.uint64(offsets[d]), np.uint64(offsets[d + 1])
        i, filled = _hash_words(data, i, end, table, words, 0)
        if 0 < filled < size:
            _lower(shingles, _hash_shingles(words, filled, filled, shingles), a, b, out[d])
        while filled >= size:
            _lower(shingles, _hash_shingles(words, filled, size, shingles), a, b, out[d])
            for w in range(size - 1):
                words[w] = words[filled - size + 1 + w]
            i, filled = _hash_words(data, i, end, table, words, size - 1)


@njit(cache=True, nogil=True)
def _wordless(data, offsets, table):  # type: ignore[no-untyped-def]
    wordless = np.ones(len(offsets) - 1, dtype=np.bool_)
    for d in range(len(offsets) - 1):
        i, end = np.uint64(offsets[d]), np.uint64(offsets[d + 1])
        while i < end and wordless[d]:
            point, length = np.uint64(data[i]), np.uint64(1)
            if point >= np.uint64(0x80):
                point, length = decode(data, i, end)
            wordless[d] = table[point] == 0
            i += length
    return wordless


@njit(cache=True, nogil=True)
def _band_keys(signatures, bands, out):  # type: ignore[no-untyped-def]
    rows = signatures.shape[1] // bands
    for d in range(len(signatures)):
        for band in range(bands):
            x = finish_hash(HASH_SEED + np.uint64(band))
            y = finish_hash(_SECOND_LANE + np.uint64(band))
            for k in range(band * rows, (band + 1) * rows):
                value = np.uint64(signatures[d, k])
                x = finish_hash(x ^ value)
                y = finish_hash(y ^ (value * _SECOND_LANE))
            out[d, band, 0] = x
            out[d, band, 1] = y
