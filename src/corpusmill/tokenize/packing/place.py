"""The place of every piece by arithmetic: its ordinal among the pieces of its length, permuted, is its slot in the
plan; the slot gives the row; the rows are permuted by the caller. No step holds a permutation in memory.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xxhash
from numba import njit

from corpusmill.errors import ConfigError
from corpusmill.scan import finish_hash
from corpusmill.tokenize.packing.plan import Plan

VERSION = 2
ROUNDS = 8
"""A four-round Feistel network is a strong pseudorandom permutation in theory (Luby and Rackoff, 1988), but small
domains need more rounds than the theory for large ones says; twice as many cost 20 ns a number."""

Uint64s = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: the step of SplitMix64


def keyed(seed: int, *labels: str | int) -> int:
    """A 64-bit key for one use of the recipe's seed: XXH3-64 of the seed and the labels, NUL between them."""
    return xxhash.xxh3_64_intdigest("\0".join([str(seed), *map(str, labels)]).encode())


class Permutation:
    """A keyed pseudorandom permutation of 0 … n - 1, computed for each number alone.

    An alternating Feistel network over the smallest power of two that holds n, walked along its cycle until the
    result is below n (Black and Rogaway, 2002, "Ciphers with Arbitrary Finite Domains"): two walks at most on average.
    """

    def __init__(self, n: int, key: int) -> None:
        """`n` 0 to 2**63 - 1; `key` 64 bits, see `keyed`. Raises ConfigError."""
        if not 0 <= n < 1 << 63 or not 0 <= key < 1 << 64:
            raise ConfigError(f"a permutation needs n in [0, 2**63) and a key in [0, 2**64), got {n} and {key}")
        self.n = n
        self.key = key

    def forward(self, numbers: npt.NDArray[np.integer]) -> Uint64s:
        """uint64[k]: where each of `numbers` (int[k], below n) goes. Raises ConfigError for a number not below n."""
        flat = np.ascontiguousarray(numbers).reshape(-1)
        result, bad = _forward(flat, np.uint64(self.n), np.uint64(self.key))
        if bad >= 0:
            raise ConfigError(f"permutation of {self.n} numbers: got {flat[bad]}; wanted 0 to {self.n - 1}")
        return result.reshape(np.shape(numbers))


def place(
    plan: Plan, lengths: npt.NDArray[np.integer], first_ordinal: npt.NDArray[np.int64], key: int
) -> tuple[Int64s, Int64s, Int64s, Int64s]:
    """The parts of pieces with their rows in the plan, int64[k] each: piece, offset in it, tokens, row.

    `lengths` int[m] in the order of the corpus; `first_ordinal` int64[sequence_length + 1], how many pieces of each
    length the corpus has before these; `key` 64 bits. Whoever cuts the corpus elsewhere gets the same rows. Raises
    ConfigError when there are more pieces of a length than the plan counts.
    """
    sizes = np.ascontiguousarray(lengths, dtype=np.int64)
    limit = plan.sequence_length
    if len(first_ordinal) != limit + 1 or (sizes.size and not 1 <= sizes.min() <= sizes.max() <= limit):
        raise ConfigError(f"pieces of 1 to {limit} tokens and as many first ordinals are wanted by this plan")
    slots = _slots(sizes, first_ordinal.astype(np.int64), plan.counts, np.uint64(key))
    if sizes.size and slots.max() >= np.uint64(1 << 63):
        length = int(sizes[np.argmax(slots)])
        raise ConfigError(f"more pieces of {length} tokens than the {plan.counts[length]} planned: plan again")
    return plan.parts_of(sizes, slots.astype(np.int64))


def order_key(ids: Uint64s, offsets: npt.NDArray[np.integer], seed: int) -> Uint64s:
    """uint64[m]: pieces lie in their row by rising key. `ids` uint64[m, 2], see `id_words`; `offsets` int[m]."""
    return _order_key(
        np.ascontiguousarray(ids), np.ascontiguousarray(offsets).astype(np.uint64), np.uint64(keyed(seed, "order"))
    )


@njit(cache=True, nogil=True, inline="always")
def _bits(n):  # type: ignore[no-untyped-def]
    """Bits of the smallest power of two >= n, at least 2."""
    bits = np.uint64(2)
    while bits < np.uint64(63) and (np.uint64(1) << bits) < n:
        bits += np.uint64(1)
    return bits


@njit(cache=True, nogil=True)
def permuted(number, n, key):  # type: ignore[no-untyped-def]
    """Where `number` goes in the permutation of n numbers under `key`; all uint64, for use inside kernels."""
    bits = _bits(n)
    low_bits = bits >> np.uint64(1)
    low_mask = (np.uint64(1) << low_bits) - np.uint64(1)
    high_mask = (np.uint64(1) << (bits - low_bits)) - np.uint64(1)
    while True:
        high, low = number >> low_bits, number & low_mask
        round_key = key
        for _ in range(ROUNDS // 2):
            round_key += _GOLDEN
            high = (high ^ finish_hash(finish_hash(round_key) ^ low)) & high_mask
            round_key += _GOLDEN
            low = (low ^ finish_hash(finish_hash(round_key) ^ high)) & low_mask
        number = (high << low_bits) | low
        if number < n:
            return number


@njit(cache=True, nogil=True)
def _forward(numbers, n, key):  # type: ignore[no-untyped-def]
    """Where the numbers go, and the place of the first that is not below n, -1 where all are."""
    result = np.empty(len(numbers), dtype=np.uint64)
    for i in range(len(numbers)):
        number = np.uint64(numbers[i])
        if number >= n:
            return result, i
        result[i] = permuted(number, n, key)
    return result, -1


@njit(cache=True, nogil=True)
def _slots(lengths, first_ordinal, counts, key):  # type: ignore[no-untyped-def]
    """Slot of each piece among those of its length; all ones where the plan has none left. Spoils `first_ordinal`."""
    slots = np.empty(len(lengths), dtype=np.uint64)
    for i in range(len(lengths)):
        length = lengths[i]
        ordinal = first_ordinal[length]
        first_ordinal[length] += 1
        if ordinal < 0 or ordinal >= counts[length]:
            slots[i] = ~np.uint64(0)
            continue
        length_key = finish_hash(key ^ np.uint64(length))
        slots[i] = permuted(np.uint64(ordinal), np.uint64(counts[length]), length_key)
    return slots


@njit(cache=True, nogil=True)
def _order_key(ids, offsets, key):  # type: ignore[no-untyped-def]
    result = np.empty(len(ids), dtype=np.uint64)
    for i in range(len(ids)):
        h = finish_hash(key ^ ids[i, 0]) + _GOLDEN
        h = finish_hash(h ^ ids[i, 1]) + _GOLDEN
        result[i] = finish_hash(h ^ offsets[i])
    return result
