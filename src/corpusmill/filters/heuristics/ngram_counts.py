"""Counting equal keys of one document: how often its character n-grams and word n-grams occur.

An n-gram goes by 32 bits of its hash and a place in a table that the others give: in a document of m of them, two
different ones are taken for equal with odds of about m / 2³³, which is 1 in a million for ten thousand of them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_PART_BITS = 13
"""Keys are counted in parts of about 2**13, whose table stays in the processor's cache."""

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_BASE = np.uint64(0xD1342543DE82EF95)
_HALF, _COUNT = np.uint64(32), np.uint64(0xFFFFFFFF)
_INVERSE = np.uint64(pow(int(_BASE), -1, 1 << 64))


@njit(cache=True, nogil=True)
def char_repetition(data, offsets, chars, n):  # type: ignore[no-untyped-def]
    """float64[d]: the share of the k commonest n-grams of code points in all of a text's, overlapping ones too.

    k is the square root, rounded down, of how many different ones there are, and at most how many occur twice or more.
    """
    ratios = np.zeros(len(offsets) - 1)
    most = np.int64(0)
    for d in range(len(ratios)):
        most = max(most, chars[d] - n + 1)
    keys, parts, counts, table = _room(most)
    for d in range(len(ratios)):
        m = chars[d] - n + 1
        if m <= 0:
            continue
        _char_keys(data, offsets[d], offsets[d + 1], n, keys)
        different, repeated = _count(keys[:m], parts, counts, table)
        k = np.int64(np.sqrt(different))
        ratios[d] = (counts[:repeated].sum() if repeated <= k else _sum_of_largest(counts[:repeated], k)) / m
    return ratios


@njit(cache=True, nogil=True)
def word_repetition(hashes, first, n):  # type: ignore[no-untyped-def]
    """float64[d]: of all n-grams of words, overlapping ones too, the share that occurs twice or more."""
    ratios = np.zeros(len(first) - 1)
    most = np.int64(0)
    for d in range(len(ratios)):
        most = max(most, first[d + 1] - first[d] - n + 1)
    keys, parts, counts, table = _room(most)
    for d in range(len(ratios)):
        m = first[d + 1] - first[d] - n + 1
        if m <= 0:
            continue
        _word_keys(hashes[first[d] : first[d + 1]], n, keys)
        _, repeated = _count(keys[:m], parts, counts, table)
        ratios[d] = counts[:repeated].sum() / m
    return ratios


@njit(cache=True, nogil=True)
def _room(most):  # type: ignore[no-untyped-def]
    """For at most so many keys: the keys, the same in parts, the counts of those that occur twice or more, a table."""
    parts = np.empty(most if most >> _PART_BITS else 0, dtype=np.uint64)
    size = 2
    while size < 2 * most and size < 2 << _PART_BITS:
        size *= 2
    table = np.empty(size, dtype=np.uint64)
    return np.empty(most, dtype=np.uint64), parts, np.empty(most // 2, dtype=np.int32), table


@njit(cache=True, nogil=True)
def _char_keys(data, i, end, n, keys):  # type: ignore[no-untyped-def]
    """A key for each n code points: their bytes as the digits of a number, modulo 2**64."""
    out = i
    key = np.uint64(0)
    weight = np.uint64(1)  # one place above the first byte's
    inside = filled = 0
    while i < end:
        key = key * _BASE + np.uint64(data[i]) + np.uint64(1)
        weight *= _BASE
        i += 1
        if i < end and data[i] & 0xC0 == 0x80:
            continue
        inside += 1
        if inside < n:
            continue
        mixed = key * _MULTIPLIER
        keys[filled] = mixed ^ (mixed >> _HALF)
        filled += 1
        while True:
            weight *= _INVERSE
            key -= (np.uint64(data[out]) + np.uint64(1)) * weight
            out += 1
            if out == i or data[out] & 0xC0 != 0x80:
                break


@njit(cache=True, nogil=True)
def _word_keys(hashes, n, keys):  # type: ignore[no-untyped-def]
    key = np.uint64(0)
    weight = np.uint64(1)  # of the word that leaves
    for _ in range(n):
        weight *= _BASE
    for j in range(len(hashes)):
        key = key * _BASE + hashes[j]
        if j >= n:
            key -= hashes[j - n] * weight
        if j >= n - 1:
            mixed = key * _MULTIPLIER
            keys[j - n + 1] = mixed ^ (mixed >> _HALF)


@njit(cache=True, nogil=True)
def _count(keys, parts, counts, table):  # type: ignore[no-untyped-def]
    """How many keys there are, and how many of them more than once, whose counts go to `counts`."""
    bits = 0
    while len(keys) >> (_PART_BITS + bits):
        bits += 1
    if bits == 0:
        return _count_part(keys, np.uint64(0), counts, 0, table)
    stops = np.zeros((1 << bits) + 1, dtype=np.int64)
    shift = np.uint64(64 - bits)
    for key in keys:
        stops[np.int64(key >> shift) + 1] += 1
    for part in range(1 << bits):
        stops[part + 1] += stops[part]
    filled = stops.copy()
    for key in keys:
        mine = np.int64(key >> shift)
        parts[filled[mine]] = key
        filled[mine] += 1
    different = repeated = 0
    for part in range(1 << bits):
        more, repeated = _count_part(parts[stops[part] : stops[part + 1]], np.uint64(bits), counts, repeated, table)
        different += more
    return different, repeated


@njit(cache=True, nogil=True)
def _count_part(keys, bits, counts, repeated, table):  # type: ignore[no-untyped-def]
    """The same for keys whose first `bits` bits are equal, with `repeated` counts there already.

    A slot holds the low half of a key above how often it came, or 0; so only collisions need a branch.
    """
    size, shift = np.int64(2), np.uint64(63)
    while size < len(table) and size < 2 * len(keys):
        size *= 2
        shift -= np.uint64(1)
    slots = table[:size]
    slots[:] = 0
    different = 0
    left = 8 * len(keys)  # by chance it takes less than one
    for key in keys:
        slot = np.int64((key << bits) >> shift)
        name = key << _HALF
        found = slots[slot]
        while (found != 0) & ((found ^ name) >> _HALF != 0):
            slot = (slot + 1) & (size - 1)
            found = slots[slot]
            left -= 1
        if left < 0 or different == size - 1:
            return _count_sorted(keys, counts, repeated)
        different += found == 0
        slots[slot] = (name | (found & _COUNT)) + np.uint64(1)
    for entry in slots:
        if entry & _COUNT > np.uint64(1):
            counts[repeated] = entry & _COUNT
            repeated += 1
    return different, repeated


@njit(cache=True, nogil=True)
def _count_sorted(keys, counts, repeated):  # type: ignore[no-untyped-def]
    """The same for keys that were made to collide."""
    ordered = np.sort(keys)
    different = 0
    i = 0
    while i < len(ordered):
        j = i + 1
        while j < len(ordered) and ordered[j] == ordered[i]:
            j += 1
        different += 1
        if j > i + 1:
            counts[repeated] = j - i
            repeated += 1
        i = j
    return different, repeated


@njit(cache=True, nogil=True)
def _sum_of_largest(counts, k):  # type: ignore[no-untyped-def]
    """Of the k largest; k is less than their number."""
    have = np.zeros(counts.max() + 1, dtype=np.int32)
    for count in counts:
        have[count] += 1
    total, left = np.int64(0), np.int64(k)
    for count in range(len(have) - 1, 0, -1):
        taken = min(left, np.int64(have[count]))
        total += taken * count
        left -= taken
        if left == 0:
            break
    return total
