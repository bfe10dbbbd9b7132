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
from numba import njit

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
        start, stop, chars = (np.empty(most, dtype=np.int32) for _ in range(3))
        hashes = np.empty(most, dtype=np.uint64)
        first = np.zeros(len(self) + 1, dtype=np.int64)
        m = _scan_words(self.data, self.offsets, start, stop, chars, hashes, first)
        return Spans(start[:m], stop[:m], chars[:m], hashes[:m], first)

    @cached_property
    def lines(self) -> Spans:
        """Lines that are not blank, stripped."""
        most = int(self.offsets[-1] - self.offsets[0]) // 2 + len(self) + 1
        start, stop, chars = (np.empty(most, dtype=np.int32) for _ in range(3))
        hashes = np.empty(most, dtype=np.uint64)
        first = np.zeros(len(self) + 1, dtype=np.int64)
        m = _scan_lines(self.data, self.offsets, start, stop, chars, hashes, first)
        return Spans(start[:m], stop[:m], chars[:m], hashes[:m], first)


def _byte_classes() -> Bytes:
    """0 inside a word, 1 ASCII white space, 2 a lead byte under which some character is white space."""
    classes = np.zeros(256, dtype=np.uint8)
    classes[[9, 10, 11, 12, 13, 28, 29, 30, 31, 32]] = 1
    classes[[0xC2, 0xE1, 0xE2, 0xE3]] = 2
    return classes


_CLASSES = _byte_classes()


@njit(cache=True, nogil=True, inline="always")
def space_length(data, i, end):  # type: ignore[no-untyped-def]
    """Bytes of the white-space character at `i`, 0 where there is none: the set of Python's `str.isspace`."""
    c = data[i]
    k = _CLASSES[c]
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


@njit(cache=True, nogil=True, inline="always")
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


@njit(cache=True, nogil=True)
def _scan_words(data, offsets, start, stop, chars, hashes, first):  # type: ignore[no-untyped-def]
    m = 0
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        while i < end:
            k = space_length(data, i, end)
            if k:
                i += k
                continue
            start[m] = i
            h = HASH_SEED
            n = 0
            while i < end:
                c = data[i]
                if _CLASSES[c] and space_length(data, i, end):
                    break
                h = (h ^ np.uint64(c)) * HASH_PRIME
                n += (c & 0xC0) != 0x80
                i += 1
            stop[m] = i
            chars[m] = n
            hashes[m] = finish_hash(h)
            m += 1
        first[d + 1] = m
    return m


@njit(cache=True, nogil=True)
def _scan_lines(data, offsets, start, stop, chars, hashes, first):  # type: ignore[no-untyped-def]
    m = 0
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        while i < end:
            if data[i] == 10:
                i += 1
                continue
            k = space_length(data, i, end)
            if k:
                i += k
                continue
            start[m] = i
            h = kept_h = HASH_SEED
            n = kept_n = 0
            kept = i
            while i < end and data[i] != 10:
                k = space_length(data, i, end)
                if k == 0:
                    c = data[i]
                    h = (h ^ np.uint64(c)) * HASH_PRIME
                    n += (c & 0xC0) != 0x80
                    i += 1
                    kept, kept_h, kept_n = i, h, n
                else:
                    for _ in range(k):
                        h = (h ^ np.uint64(data[i])) * HASH_PRIME
                        i += 1
                    n += 1
            stop[m] = kept
            chars[m] = kept_n
            hashes[m] = finish_hash(kept_h)
            m += 1
        first[d + 1] = m
    return m
