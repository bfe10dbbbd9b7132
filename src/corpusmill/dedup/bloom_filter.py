"""A blocked Bloom filter of 64-bit hashes: all bits of a hash lie in one cache line, so asking costs one miss.

Putze, Sanders, Singler 2007, "Cache-, hash- and space-efficient Bloom filters", section 3.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from corpusmill.errors import IntegrityError

BLOCK_BITS = 512
"""A cache line of 64 bytes."""

_BLOCK_WORDS = np.uint64(BLOCK_BITS // 64)
_MULTIPLY, _ADD = np.uint64(6364136223846793005), np.uint64(1442695040888963407)
"""Knuth's linear congruential generator MMIX, of which the 9 highest bits are places in a block."""
_MAGIC = b"cmbloom\n"
_VERSION = 1
_HEADER = struct.Struct("<8sIIIIQQQ")  # magic, version, hashes, kind, width, seed, blocks, items

AHEAD = 16  # hashes between asking memory for a block and reading it


@dataclass
class BloomFilter:
    """A set of 64-bit hashes that never forgets one, and takes some for known that are not.

    words   uint64[8 * blocks]
    hashes  bits set for each item
    kind, width, seed  what the items are, for the user of the filter: 32, 32 and 64 bits
    items   how many were put in that were not known
    """

    words: npt.NDArray[np.uint64]
    hashes: int
    kind: int
    width: int
    seed: int
    items: int = 0

    @property
    def blocks(self) -> int:
        """How many blocks of 512 bits it has."""
        return len(self.words) // int(_BLOCK_WORDS)

    def to_bytes(self) -> bytes:
        """A header of 48 bytes and the words, little-endian."""
        facts = (self.hashes, self.kind, self.width, self.seed, self.blocks, self.items)
        return b"".join((_HEADER.pack(_MAGIC, _VERSION, *facts), self.words.astype("<u8", copy=False).data))


def empty_filter(items: int, rate: float, *, kind: int, width: int, seed: int) -> BloomFilter:
    """A filter that takes a strange hash for known at this rate at most, once `items` are in it."""
    blocks, hashes = filter_size(items, rate)
    return BloomFilter(np.zeros(blocks * int(_BLOCK_WORDS), dtype=np.uint64), hashes, kind, width, seed)


def filter_from_bytes(stored: bytes, like: BloomFilter) -> BloomFilter:
    """What `to_bytes` stored. Raises IntegrityError when it is none or cut, or was not made as `like` was."""
    if len(stored) < _HEADER.size or stored[: len(_MAGIC)] != _MAGIC:
        raise IntegrityError("bloom: this is no stored filter: its first 8 bytes are not those of one")
    _, version, hashes, kind, width, seed, blocks, items = _HEADER.unpack_from(stored)
    if version != _VERSION:
        raise IntegrityError(f"bloom: the stored filter has format {version}; wanted {_VERSION}: make it anew")
    found = {"kind": kind, "ngram_words": width, "seed": seed, "hashes": hashes, "blocks": blocks}
    wanted = (like.kind, like.width, like.seed, like.hashes, like.blocks)
    for (name, got), want in zip(found.items(), wanted, strict=True):
        if got != want:
            raise IntegrityError(
                f"bloom: the stored filter has {name} = {got}, this step {want}; give the step the options with which "
                "the filter was made"
            )
    size = _HEADER.size + blocks * BLOCK_BITS // 8
    if len(stored) != size:
        raise IntegrityError(f"bloom: the stored filter has {len(stored)} bytes; wanted {size}: it is cut or damaged")
    words = np.frombuffer(stored, dtype="<u8", offset=_HEADER.size).astype(np.uint64)
    return BloomFilter(words, hashes, kind, width, seed, items)


def false_positive_rate(blocks: int, hashes: int, items: int) -> float:
    """Chance that a strange hash is taken for known: equation 3 of the paper, a Poisson mixture of small filters.

    In a small filter the share of bits set varies, and its power of `hashes` is larger on average than that of its
    average (Bose et al. 2008, "On the false-positive rate of Bloom filters"): taken to the second order here.
    """
    load = items / blocks
    n = np.arange(1, int(load + 12 * math.sqrt(load) + 40))
    chance = np.exp(n * math.log(load) - load - np.cumsum(np.log(n))) if items else np.zeros(len(n))
    unset = (1.0 - 1.0 / BLOCK_BITS) ** (hashes * n)
    both_unset = (1.0 - 2.0 / BLOCK_BITS) ** (hashes * n)
    variance = (unset + (BLOCK_BITS - 1) * both_unset) / BLOCK_BITS - unset**2  # of the share set: an occupancy problem
    spread = hashes * (hashes - 1) / 2 * variance / (1.0 - unset) ** 2
    return float((chance * (1.0 - unset) ** hashes * np.exp(spread)).sum())


def filter_size(items: int, rate: float) -> tuple[int, int]:
    """(blocks, hashes): the smallest filter with this rate at `items`.

    `hashes` is the plain filter's optimum, log2(1 / rate) (Bloom 1970, with equal shares of bits set and not).
    """
    hashes = max(1, round(-math.log2(rate)))
    low = int(items * -math.log(rate) / math.log(2) ** 2 / BLOCK_BITS)  # the plain filter's blocks are too few
    high = low + 1
    while false_positive_rate(high, hashes, items) > rate:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if false_positive_rate(middle, hashes, items) > rate:
            low = middle
        else:
            high = middle
    return high, hashes


@intrinsic
def _scale(_context, x, n):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """x * n / 2**64 of two uint64: a hash to a number below n, each as likely as can be."""

    def generate(_target, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@intrinsic
def _prefetch(_context, words, i):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Ask memory for the cache line of words[i], to be written."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        number, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), (pointer, number, number, number))
        fetch = builder.module.declare_intrinsic("llvm.prefetch", (pointer,), kind)
        place = builder.bitcast(builder.gep(array.data, [arguments[1]]), pointer)
        builder.call(fetch, [place, *(ir.Constant(number, value) for value in (1, 3, 1))])
        return context.get_dummy_value()

    return types.void(words, types.uint64), generate


@njit(cache=True, nogil=True)
def prefetch(words, item):  # type: ignore[no-untyped-def]
    """Ask memory for the block of an item."""
    _prefetch(words, _scale(item, np.uint64(len(words)) // _BLOCK_WORDS) * _BLOCK_WORDS)


@njit(cache=True, nogil=True)
def contains(words, hashes, item):  # type: ignore[no-untyped-def]
    """Whether the item, a uint64 hash, may be in the filter: 1 or 0."""
    base = _scale(item, np.uint64(len(words)) // _BLOCK_WORDS) * _BLOCK_WORDS
    known = np.uint64(1)
    for _ in range(hashes):
        item = item * _MULTIPLY + _ADD
        place = item >> np.uint64(55)
        known &= words[base + (place >> np.uint64(6))] >> (place & np.uint64(63))
    return np.int64(known)


@njit(cache=True, nogil=True)
def insert(words, hashes, item):  # type: ignore[no-untyped-def]
    """Put the item into the filter: 1 where it was not known, else 0."""
    base = _scale(item, np.uint64(len(words)) // _BLOCK_WORDS) * _BLOCK_WORDS
    known = np.uint64(1)
    for _ in range(hashes):
        item = item * _MULTIPLY + _ADD
        place = item >> np.uint64(55)
        at, bit = base + (place >> np.uint64(6)), place & np.uint64(63)
        known &= words[at] >> bit
        words[at] |= np.uint64(1) << bit
    return np.int64(known ^ np.uint64(1))
