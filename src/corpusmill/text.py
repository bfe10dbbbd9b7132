"""A batch of texts as Arrow's own buffers, and the passes over them that several rooms share.

Words are what Python's `str.split()` gives: runs of characters that are not Unicode white space. Lines are what lies
between `\\n`, stripped of white space on both sides; blank lines are left out. Positions are bytes into `Texts.data`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import regex
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from corpusmill.errors import InputError

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]

HASH_SEED = np.uint64(0x9E3779B97F4A7C15)
HASH_PRIME = np.uint64(0x100000001B3)  # the FNV-1a prime for 64 bits

_BATCH_LIMIT = (1 << 31) - 1


@dataclass(frozen=True)
class Spans:
    """Pieces of the texts of a batch, in order. Document d has the pieces first[d] to first[d + 1].

    start, stop  int32[m], bytes into Texts.data
    chars        int32[m], length in code points
    hash         uint64[m], of the bytes (equal bytes, equal hash)
    first        int64[n + 1]
    """

    start: npt.NDArray[np.int32]
    stop: npt.NDArray[np.int32]
    chars: npt.NDArray[np.int32]
    hash: npt.NDArray[np.uint64]
    first: Offsets

    @property
    def counts(self) -> Offsets:
        """int64[n], pieces of each document."""
        return np.diff(self.first)


@dataclass(frozen=True)
class Texts:
    """n texts: text d is the UTF-8 `data[offsets[d]:offsets[d + 1]]`.

    data     uint8, may hold bytes before the first and behind the last text
    offsets  int64[n + 1], rising
    """

    data: Bytes
    offsets: Offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @staticmethod
    def from_arrow(array: pa.Array | pa.ChunkedArray) -> Texts:
        """A view, without copying, of a large_string array without nulls. Raises InputError beyond 2 GiB."""
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        if not pa.types.is_large_string(array.type):
            array = array.cast(pa.large_string())
        if array.null_count:
            raise InputError("texts must not be null")
        _, offsets, data = array.buffers()
        span = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
        if len(span) == 0:
            span = np.zeros(1, dtype=np.int64)
        if span[-1] > _BATCH_LIMIT:
            raise InputError(f"a batch of texts may have 2 GiB at most, got {span[-1]} bytes: cut it smaller")
        bytes_ = np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, dtype=np.uint8)
        return Texts(bytes_, span)

    @staticmethod
    def from_strings(strings: Sequence[str]) -> Texts:
        """Copy Python strings; lone surrogates, which UTF-8 has no bytes for, become U+FFFD."""
        try:
            return Texts.from_arrow(pa.array(strings, pa.large_string()))
        except UnicodeEncodeError:
            clean = [regex.sub(r"\p{Cs}", "\ufffd", s) for s in strings]
            return Texts.from_arrow(pa.array(clean, pa.large_string()))

    def to_arrow(self) -> pa.LargeStringArray:
        """The same texts as an Arrow array, without copying."""
        return pa.LargeStringArray.from_buffers(len(self), pa.py_buffer(self.offsets), pa.py_buffer(self.data))

    def to_list(self) -> list[str]:
        """Python strings."""
        strings: list[str] = self.to_arrow().to_pylist()
        return strings

    @property
    def bytes(self) -> Offsets:
        """int64[n], length of each text in bytes."""
        return np.diff(self.offsets)

    @cached_property
    def chars(self) -> Offsets:
        """int64[n], length of each text in code points."""
        return _count_chars(self.data, self.offsets)

    @cached_property
    def words(self) -> Spans:
        """Runs of characters that are not white space."""
        most = int(self.offsets[-1] - self.offsets[0]) // 2 + len(self) + 1
        start, stop = (np.empty(most, dtype=np.int32) for _ in range(2))
        first = np.zeros(len(self) + 1, dtype=np.int64)
        m = _find_words(self.data, self.offsets, start, stop, first)
        chars, hashes = np.empty(m, dtype=np.int32), np.empty(m, dtype=np.uint64)
        _hash_spans(self.data, start[:m], stop[:m], chars, hashes)
        return Spans(start[:m], stop[:m], chars, hashes, first)

    @cached_property
    def lines(self) -> Spans:
        """Lines that are not blank, stripped."""
        most = int(self.offsets[-1] - self.offsets[0]) // 2 + len(self) + 1
        start, stop, chars = (np.empty(most, dtype=np.int32) for _ in range(3))
        hashes = np.empty(most, dtype=np.uint64)
        first = np.zeros(len(self) + 1, dtype=np.int64)
        m = _scan_lines(self.data, self.offsets, start, stop, chars, hashes, first)
        return Spans(start[:m], stop[:m], chars[:m], hashes[:m], first)

    @cached_property
    def paragraphs(self) -> Spans:
        """Runs of lines with no blank line between them; `chars` and `hash` are of the stripped lines joined by `\\n`.

        So paragraphs that differ only in white space at the ends of their lines have the same hash.
        """
        lines = self.lines
        start, stop, chars = (np.empty(len(lines.start), dtype=np.int32) for _ in range(3))
        hashes = np.empty(len(lines.start), dtype=np.uint64)
        first = np.zeros(len(self) + 1, dtype=np.int64)
        fields = (lines.start, lines.stop, lines.chars, lines.hash)
        m = _join_lines(self.data, fields, lines.first, start, stop, chars, hashes, first)
        return Spans(start[:m], stop[:m], chars[:m], hashes[:m], first)


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


@njit(cache=True, nogil=True)
def _count_chars(data, offsets):  # type: ignore[no-untyped-def]
    chars = np.empty(len(offsets) - 1, dtype=np.int64)
    for d in range(len(offsets) - 1):
        n = 0
        for i in range(offsets[d], offsets[d + 1]):
            n += (data[i] & 0xC0) != 0x80
        chars[d] = n
    return chars


@intrinsic
def load64(_context, data, i):  # type: ignore[no-untyped-def]  # noqa: ARG001
    """The eight bytes of the uint8 array `data` from `i` on, little-endian, unaligned and unchecked."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.gep(array.data, [arguments[1]])
        return builder.load(builder.bitcast(pointer, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(data, types.int64), generate


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
def find_newline(data, i, end):  # type: ignore[no-untyped-def]
    """Position of the first line feed from `i` on, `end` where there is none."""
    while i < end:
        x = eight_bytes(data, i, end) ^ np.uint64(0x0A0A0A0A0A0A0A0A)
        found = (x - np.uint64(0x0101010101010101)) & ~x & np.uint64(0x8080808080808080)
        if found:
            return min(i + (trailing_zeros(found) >> 3), end)
        i += 8
    return end


@njit(cache=True, nogil=True)
def skip_space(data, i, end):  # type: ignore[no-untyped-def]
    """Position of the first character from `i` on that is not white space, `end` where there is none."""
    while i < end:
        k = space_length(data, i, end)
        if k == 0:
            break
        i += k
    return i


@njit(cache=True, nogil=True)
def trim_space(data, start, i):  # type: ignore[no-untyped-def]
    """Position behind the last character before `i` that is not white space, `start` where there is none."""
    while i > start:
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


@njit(cache=True, nogil=True)
def _find_words(data, offsets, start, stop, first):  # type: ignore[no-untyped-def]
    # Where words begin can't be predicted, and a wrong guess costs as much as ten bytes, so ASCII takes no branch.
    m = n = np.int64(0)  # words begun, words ended
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        inside = np.int64(0)
        while i < end:
            space = np.int64(SPACE_KINDS[data[i]])
            step = 1
            if space == 2:
                k = space_length(data, i, end)
                space = np.int64(k > 0)
                step = max(k, 1)
            start[m] = i
            m += (1 - space) & (1 - inside)
            stop[n] = i
            n += space & inside
            inside = 1 - space
            i += step
        stop[n] = end
        n += inside
        first[d + 1] = m
    return m


@njit(cache=True, nogil=True)
def _hash_spans(data, start, stop, chars, hashes):  # type: ignore[no-untyped-def]
    for j in range(len(start)):
        hashes[j], chars[j] = hash_span(data, np.int64(start[j]), np.int64(stop[j]))


@njit(cache=True, nogil=True)
def _scan_lines(data, offsets, start, stop, chars, hashes, first):  # type: ignore[no-untyped-def]
    m = 0
    for d in range(len(offsets) - 1):
        end = offsets[d + 1]
        i = skip_space(data, offsets[d], end)
        while i < end:
            newline = find_newline(data, i, end)
            last = trim_space(data, i, newline)
            start[m] = i
            stop[m] = last
            hashes[m], chars[m] = hash_span(data, i, last)
            m += 1
            i = skip_space(data, newline, end)
        first[d + 1] = m
    return m


@njit(cache=True, nogil=True)
def _join_lines(data, lines, counts, start, stop, chars, hashes, first):  # type: ignore[no-untyped-def]
    line_start, line_stop, line_chars, line_hashes = lines
    m = -1
    for d in range(len(counts) - 1):
        previous = -1
        for j in range(counts[d], counts[d + 1]):
            joined = False
            if previous >= 0:
                newline = find_newline(data, previous, line_start[j])
                joined = find_newline(data, newline + 1, line_start[j]) == line_start[j]
            if joined:
                chars[m] += 1 + line_chars[j]
                hashes[m] = mix(hashes[m], line_hashes[j])
            else:
                m += 1
                start[m] = line_start[j]
                chars[m] = line_chars[j]
                hashes[m] = line_hashes[j]
            stop[m] = previous = line_stop[j]
        first[d + 1] = m + 1
    return m + 1
