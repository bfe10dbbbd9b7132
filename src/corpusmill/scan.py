"""Small kernels that other kernels are built from: white space, eight bytes at a time, hashes of bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

HASH_SEED = np.uint64(0x9E3779B97F4A7C15)
HASH_PRIME = np.uint64(0x100000001B3)  # the FNV-1a prime for 64 bits

_LOW, _HIGH = np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0x8080808080808080)
_FROM_9, _FROM_14 = np.uint64(0x7777777777777777), np.uint64(0x7272727272727272)
_FROM_28, _FROM_33 = np.uint64(0x6464646464646464), np.uint64(0x5F5F5F5F5F5F5F5F)

Bytes = npt.NDArray[np.uint8]


def _space_kinds() -> Bytes:
    """0 inside a word, 1 ASCII white space, 2 a lead byte under which some character is white space."""
    kinds = np.zeros(256, dtype=np.uint8)
    kinds[[9, 10, 11, 12, 13, 28, 29, 30, 31, 32]] = 1
    kinds[[0xC2, 0xE1, 0xE2, 0xE3]] = 2
    return kinds


SPACE_KINDS = _space_kinds()


@njit(cache=True, nogil=True)
def space_length(data, i, end):  # type: ignore[no-untyped-def]
    """Bytes of the white-space character at `i`, 0 where there is none: the set of Python's `str.isspace`."""
    c = data[i]
    k = SPACE_KINDS[c]
    if k == 0:
        return 0
    if k == 1:
        return 1
    if c == 0xC2:
        if i + 1 < end and (data[i + 1] == 0x85 or data[i + 1] == 0xA0):
            return 2
        return 0
    if i + 2 >= end:
        return 0
    d, e = data[i + 1], data[i + 2]
    if c == 0xE2:
        if d == 0x80 and (e <= 0x8A or e == 0xA8 or e == 0xA9 or e == 0xAF):
            return 3
        if d == 0x81 and e == 0x9F:
            return 3
    elif c == 0xE1:
        if d == 0x9A and e == 0x80:
            return 3
    elif d == 0x80 and e == 0x80:
        return 3
    return 0


@njit(cache=True, nogil=True)
def finish_hash(h):  # type: ignore[no-untyped-def]
    """Spread a running hash over all 64 bits (the finaliser of MurmurHash3)."""
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xFF51AFD7ED558CCD)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xC4CEB9FE1A85EC53)
    h ^= h >> np.uint64(33)
    return h


@intrinsic
def load64(_context, data, i):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """The eight bytes of the uint8 array `data` from `i` on, little-endian, unaligned and unchecked."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.gep(array.data, [arguments[1]])
        return builder.load(builder.bitcast(pointer, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(data, types.int64), generate


@intrinsic
def _memcpy(_context, out, w, data, i, n):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """`n` bytes of the uint8 array `data` from `i` on to `out` from `w` on, unchecked."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        target, source = (
            builder.gep(context.make_array(signature.args[k])(context, builder, arguments[k]).data, [arguments[k + 1]])
            for k in (0, 2)
        )
        cgutils.raw_memcpy(builder, target, source, arguments[4], 1)
        return context.get_dummy_value()

    return types.void(out, types.int64, data, types.int64, types.int64), generate


@njit(cache=True, nogil=True)
def copy_bytes(data, i, stop, out, w):  # type: ignore[no-untyped-def]
    """Copy the bytes `i` to `stop`, none if that is before, to `out` at `w`, not overlapping: the position behind."""
    n = max(stop - i, 0)
    _memcpy(out, w, data, i, n)  # ten times as fast as a loop or as slices
    return w + n


@intrinsic
def trailing_zeros(_context, x):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """Zero bits below the lowest one of the uint64 `x`; 64 for zero."""

    def generate(_target, builder, _signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@njit(cache=True, nogil=True)
def eight_bytes(data, i, end):  # type: ignore[no-untyped-def]
    """The bytes from `i` up to `end`, at most eight of them, as a little-endian uint64 padded with zeros; i < end."""
    if i + 8 <= len(data):
        return load64(data, i) & (np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - 8 * min(end - i, 8)))
    x = np.uint64(0)
    for j in range(end - i):
        x |= np.uint64(data[i + j]) << np.uint64(8 * j)
    return x


@njit(cache=True, nogil=True)
def mix(h, x):  # type: ignore[no-untyped-def]
    """Take up to eight more bytes into a running hash."""
    h = (h ^ x) * np.uint64(0x9FB21C651E98DF25)
    return h ^ (h >> np.uint64(32))


@njit(cache=True, nogil=True)
def space_bits(data, i):  # type: ignore[no-untyped-def]
    """Which of the 64 bytes from `i` on are ASCII white space, one bit each, and whether that is all there is."""
    spaces = wide = np.uint64(0)
    for k in range(8):
        x = load64(data, i + 8 * k)
        low = x & _LOW
        # adding 0x80 - c to a byte below 0x80 sets its highest bit when it is at least c: 9 to 13, 28 to 32
        found = ((low + _FROM_9) & ~(low + _FROM_14)) | ((low + _FROM_28) & ~(low + _FROM_33))
        found &= ~x & _HIGH
        spaces |= ((found >> np.uint64(7)) * np.uint64(0x0102040810204080)) >> np.uint64(56) << np.uint64(8 * k)
        if x & _HIGH:  # C2 or E0 to E3 may begin white space
            c2 = x ^ np.uint64(0xC2C2C2C2C2C2C2C2)
            e0 = (x & np.uint64(0xFCFCFCFCFCFCFCFC)) ^ np.uint64(0xE0E0E0E0E0E0E0E0)
            wide |= ~((((c2 & _LOW) + _LOW) | c2) & (((e0 & _LOW) + _LOW) | e0)) & _HIGH
    return spaces, wide == 0


@njit(cache=True, nogil=True)
def find_newline(data, i, end):  # type: ignore[no-untyped-def]
    """Position of the first line feed from `i` on, `end` where there is none."""
    while i < end:
        x = load64(data, i) if i + 8 <= end else eight_bytes(data, i, end)
        x ^= np.uint64(0x0A0A0A0A0A0A0A0A)
        found = (x - np.uint64(0x0101010101010101)) & ~x & np.uint64(0x8080808080808080)
        if found:
            return min(i + (trailing_zeros(found) >> 3), end)
        i += 8
    return end


@njit(cache=True, nogil=True)
def skip_space(data, i, end):  # type: ignore[no-untyped-def]
    """Position of the first character from `i` on that is not white space, `end` where there is none."""
    while i < end:
        if i + 8 <= end:  # most white space is line feeds and spaces; how many can't be predicted
            x = load64(data, i)
            feeds, spaces = x ^ np.uint64(0x0A0A0A0A0A0A0A0A), x ^ np.uint64(0x2020202020202020)
            low = np.uint64(0x7F7F7F7F7F7F7F7F)
            others = (((feeds & low) + low) | x) & (((spaces & low) + low) | x) & np.uint64(0x8080808080808080)
            i += trailing_zeros(others) >> 3
            if not others:
                continue
        k = space_length(data, i, end)
        if k == 0:
            break
        i += k
    return i


@njit(cache=True, nogil=True)
def trim_space(data, start, i):  # type: ignore[no-untyped-def]
    """Position behind the last character before `i` that is not white space, `start` where there is none."""
    while i > start:
        if data[i - 1] < 0x80 and SPACE_KINDS[data[i - 1]] == 0:
            break
        j = i - 1
        while j > start and (data[j] & 0xC0) == 0x80:
            j -= 1
        k = space_length(data, j, i)
        if k == 0 or j + k != i:
            break
        i = j
    return i


@njit(cache=True, nogil=True)
def hash_span(data, start, stop):  # type: ignore[no-untyped-def]
    """Hash and length in code points of the bytes from `start` to `stop`."""
    h = HASH_SEED
    later = np.uint64(0)  # bytes that continue a character
    i = start
    while i < stop:  # three times as fast as range(start, stop, 8)
        x = eight_bytes(data, i, stop)
        h = mix(h, x)
        y = (x >> np.uint64(7)) & ~(x >> np.uint64(6)) & np.uint64(0x0101010101010101)
        later += (y * np.uint64(0x0101010101010101)) >> np.uint64(56)
        i += 8
    return finish_hash(h ^ np.uint64(stop - start)), stop - start - np.int64(later)
