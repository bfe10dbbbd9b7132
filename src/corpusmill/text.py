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
from corpusmill.scan import (
    SPACE_KINDS,
    Bytes,
    find_newline,
    hash_span,
    mix,
    skip_space,
    space_bits,
    space_length,
    trailing_zeros,
    trim_space,
)
from corpusmill.segment import hash_spans, script_words
from corpusmill.segment_spacy import spacy_tokens

Offsets = npt.NDArray[np.int64]

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

    def where(self, keep: npt.NDArray[np.bool_], before: Offsets, after: Offsets) -> Spans:
        """The pieces of the documents that `keep` bool[n] names, for texts moved from offsets `before` to `after`."""
        first = np.zeros(int(keep.sum()) + 1, dtype=np.int64)
        np.cumsum(self.counts[keep], out=first[1:])
        start, stop, chars = (np.empty(first[-1], dtype=np.int32) for _ in range(3))
        hashes = np.empty(first[-1], dtype=np.uint64)
        moved = (start, stop, chars, hashes)
        _move_spans(keep, before, after, self.first, self.start, self.stop, self.chars, self.hash, *moved)
        return Spans(start, stop, chars, hashes, first)


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

    def where(self, keep: npt.NDArray[np.bool_], kept: pa.LargeStringArray) -> Texts:
        """The texts that `keep` bool[n] names, which are `kept`, with the words and lines found already."""
        texts = Texts.from_arrow(kept)
        for name in ("words", "lines", "script_words", "spacy_words"):
            if name in self.__dict__:
                texts.__dict__[name] = self.__dict__[name].where(keep, self.offsets, texts.offsets)
        return texts

    @property
    def bytes(self) -> Offsets:
        """int64[n], length of each text in bytes."""
        return np.diff(self.offsets)

    @cached_property
    def chars(self) -> Offsets:
        """int64[n], length of each text in code points."""
        return self.count_chars(self.offsets[:-1], self.offsets[1:])

    def count_chars(self, start: Offsets, stop: Offsets) -> Offsets:
        """int64[m], code points in each of the bytes `start` to `stop` of `data`."""
        return _count_chars(self.data, start, stop)

    def cut(self, start: Offsets, stop: Offsets) -> pa.LargeStringArray:
        """Copies of the bytes `start` to `stop` of `data`, m of them; a character cut at its end is left out."""
        offsets = np.zeros(len(start) + 1, dtype=np.int64)
        np.cumsum(stop - start, out=offsets[1:])
        out = np.empty(offsets[-1], dtype=np.uint8)
        _cut(self.data, start, stop, out, offsets)
        return Texts(out, offsets).to_arrow()

    @cached_property
    def words(self) -> Spans:
        """Runs of characters that are not white space."""
        most = int(self.offsets[-1] - self.offsets[0]) // 2 + len(self) + 1
        start, stop = (np.empty(most, dtype=np.int32) for _ in range(2))
        first = np.zeros(len(self) + 1, dtype=np.int64)
        m = _find_words(self.data, self.offsets, start, stop, first)
        chars, hashes = np.empty(m, dtype=np.int32), np.empty(m, dtype=np.uint64)
        hash_spans(self.data, start[:m], stop[:m], chars, hashes)
        return Spans(start[:m], stop[:m], chars, hashes, first)

    @cached_property
    def script_words(self) -> Spans:
        """Words in every script, without punctuation; `segment.py` says what a word is."""
        return Spans(*script_words(self.data, self.offsets))

    @cached_property
    def spacy_words(self) -> Spans:
        """Tokens of spaCy's blank English tokenizer, punctuation too, which are datatrove's English words."""
        return Spans(*spacy_tokens(self.data, self.offsets))

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


@njit(cache=True, nogil=True)
def _count_chars(data, start, stop):  # type: ignore[no-untyped-def]
    chars = np.empty(len(start), dtype=np.int64)
    for k in range(len(start)):
        n = 0
        for i in range(start[k], stop[k]):
            n += (data[i] & 0xC0) != 0x80
        chars[k] = n
    return chars


@njit(cache=True, nogil=True)
def _cut(data, start, stop, out, offsets):  # type: ignore[no-untyped-def]
    w = 0
    for k in range(len(start)):
        end = stop[k]
        while end > start[k] and end < len(data) and (data[end] & 0xC0) == 0x80:
            end -= 1
        for i in range(start[k], end):
            out[w] = data[i]
            w += 1
        offsets[k + 1] = w


@njit(cache=True, nogil=True)
def _find_words(data, offsets, start, stop, first):  # type: ignore[no-untyped-def]
    """64 bytes at a time, from the bits where white space begins and ends; byte by byte where some may not be ASCII."""
    m = n = np.int64(0)  # words begun, words ended
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        inside = np.int64(0)
        while i < end:
            spaces, simple = space_bits(data, i) if i + 64 <= end else (np.uint64(0), False)
            if not simple:
                i, inside, m, n = _step_words(data, i, min(i + 64, end), end, inside, start, stop, m, n)
                continue
            before = (spaces << np.uint64(1)) | np.uint64(1 - inside)
            begins, ends = before & ~spaces, spaces & ~before
            while begins:
                start[m] = i + trailing_zeros(begins)
                m += 1
                begins &= begins - np.uint64(1)
            while ends:
                stop[n] = i + trailing_zeros(ends)
                n += 1
                ends &= ends - np.uint64(1)
            inside = np.int64(1) - np.int64(spaces >> np.uint64(63))
            i += 64
        stop[n] = end
        n += inside
        first[d + 1] = m
    return m


@njit(cache=True, nogil=True)
def _step_words(data, i, until, end, inside, start, stop, m, n):  # type: ignore[no-untyped-def]
    # Where words begin can't be predicted, and a wrong guess costs as much as ten bytes, so ASCII takes no branch.
    while i < until:
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
    return i, inside, m, n


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


@njit(cache=True, nogil=True)
def _move_spans(keep, before, after, first, start, stop, chars, hashes, start_, stop_, chars_, hashes_):  # type: ignore[no-untyped-def]
    """Copy the spans of the kept documents, shifted to where their texts are now."""
    m = k = 0
    for d in range(len(keep)):
        if not keep[d]:
            continue
        shift = np.int32(after[k] - before[d])
        k += 1
        for i in range(first[d], first[d + 1]):
            start_[m] = start[i] + shift
            stop_[m] = stop[i] + shift
            chars_[m] = chars[i]
            hashes_[m] = hashes[i]
            m += 1
