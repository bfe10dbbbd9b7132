"""MinHash signatures of shingles and the keys of their bands, as kernels.

Signatures follow datasketch's scheme "affine32", and are interchangeable with it:
`datasketch.MinHash(seed=seed, hashvalues=signature, scheme=SCHEME)`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.dedup.shingles import BLOCK, bounds, next_shingles, shingle_table
from corpusmill.scan import HASH_SEED, finish_hash
from corpusmill.text import Texts

SCHEME = "affine32"

_GROUP = 8  # shingles taken in one pass over the permutations
_SECOND_LANE = np.uint64(0xD6E8FEB86659FD93)  # odd, well-mixed bits: parts the two 64-bit lanes of a band key


@cache
def draw_permutations(count: int, seed: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """(a, b), each uint32[count]: permutation k sends h to a[k] * h + b[k] mod 2**32, a[k] odd.

    Drawn as datasketch 2.0 draws them for "affine32", from numpy's frozen RandomState generator.
    """
    draw = np.random.RandomState(seed)
    halves = draw.randint(0, 1 << 31, count, dtype=np.uint32)
    a, b = halves * np.uint32(2) + np.uint32(1), draw.randint(0, 1 << 32, count, dtype=np.uint32)
    a.flags.writeable = b.flags.writeable = False
    return a, b


def sign(texts: Texts, chars: bool, size: int, count: int, seed: int) -> npt.NDArray[np.uint32]:
    """uint32[n, count]: signatures of the shingles of `size` words or characters; all 0xFFFFFFFF where there are none.

    Value k is the least that permutation k makes of the hashes of `shingles.sketch`, after the scheme's mixing.
    """
    a, b = draw_permutations(count, seed)
    out = np.full((len(texts), count), 0xFFFFFFFF, dtype=np.uint32)
    _sign(texts.data, texts.offsets, shingle_table(chars), chars, size, a, b, out)
    return out


def band_keys(signatures: npt.NDArray[np.uint32], bands: int) -> npt.NDArray[np.uint64]:
    """uint64[n, bands, 2] from uint32[n, bands * rows]: for each band a 128-bit hash of its number and its rows."""
    out = np.empty((len(signatures), bands, 2), dtype=np.uint64)
    _band_keys(signatures, bands, out)
    return out


@njit(cache=True, nogil=True, inline="always")
def premix(x):  # type: ignore[no-untyped-def]
    """The 32-bit finaliser of MurmurHash3 (public domain, Appleby), a bijection: the scheme's mixing."""
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x85EBCA6B))
    x = np.uint32(x ^ (x >> np.uint32(13)))
    x = np.uint32(x * np.uint32(0xC2B2AE35))
    return np.uint32(x ^ (x >> np.uint32(16)))


@njit(cache=True, nogil=True)
def _mix_all(shingles, m):  # type: ignore[no-untyped-def]
    """Mix `m` hashes in place, padded to whole groups by repeating the last: how many."""
    for s in range(m):
        shingles[s] = premix(shingles[s])
    while m % _GROUP:
        shingles[m] = shingles[m - 1]
        m += 1
    return m


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
def _sign(data, offsets, table, chars, size, a, b, out):  # type: ignore[no-untyped-def]
    units = np.empty(BLOCK + size, dtype=np.uint64)
    shingles = np.empty(BLOCK + size + _GROUP, dtype=np.uint32)
    for d in range(len(offsets) - 1):
        i, end = bounds(data, offsets[d], offsets[d + 1], chars)
        kept, m = 0, 1
        while m:
            i, kept, m = next_shingles(data, i, end, table, chars, size, units, kept, shingles)
            _lower(shingles, _mix_all(shingles, m), a, b, out[d])


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
