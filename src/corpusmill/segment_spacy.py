"""Tokens as spaCy's blank English tokenizer gives them, which is how datatrove splits English into words.

A run between white space is a chunk. From a chunk, and what is left of it, marks come off the front and the end
until nothing does or the rest is a special case (`don't`, `Mr.`, `:-)`); a rest that is a URL stays whole, any other
is split at infixes (`and/or`, `a-b`). At last, special cases that lie across tokens of one chunk are put together
again, the longest first. White space is never a token (datatrove strips it).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.scan import SPACE_KINDS, Bytes, hash_span, mix, space_length
from corpusmill.segment import Pieces, borrow, hash_spans
from corpusmill.segment_spacy_marks import (
    CLOSING,
    HINT_INFIX,
    HINTS,
    LETTER,
    has_dot,
    prefix_length,
    split_infixes,
    suffix_length,
)
from corpusmill.segment_spacy_rules import spacy_classes, special_cases
from corpusmill.segment_spacy_url import is_url

Table = npt.NDArray[np.uint64]

_LONGEST = np.uint64(63)  # bytes of a special case, so that a length is one bit of a mask
_SLOTS = 1 << 12
_PAIR_BITS = 14


def _hash(text: str) -> np.uint64:
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    return np.uint64(hash_span(data, 0, len(data))[0])


def _put(table: Table, key: np.uint64, value: int) -> None:
    slot = int(key) & (_SLOTS - 1)
    while table[slot, 0] not in (0, key):
        slot = (slot + 1) & (_SLOTS - 1)
    table[slot] = key, max(value, int(table[slot, 1]))


def _packed(pieces: Iterable[str]) -> int:
    """Bytes of each piece of a special case, eight bits each, the first lowest."""
    return int.from_bytes(bytes(len(piece.encode()) for piece in pieces), "little")


@cache
def _cases() -> Table:
    """uint64[slots, 2], the packed pieces of each special case by its hash.

    256 rows more: bit n of column 0, for byte c, is whether a case of n bytes begins with c, of column 1, ends with c.
    """
    table = np.zeros((_SLOTS + 256, 2), dtype=np.uint64)
    for text, pieces in special_cases().items():
        raw = text.encode()
        _put(table, _hash(text), _packed(pieces))
        table[_SLOTS + raw[0], 0] |= np.uint64(1 << len(raw))
        table[_SLOTS + raw[-1], 1] |= np.uint64(1 << len(raw))
    return table


@cache
def _patterns() -> tuple[npt.NDArray[np.bool_], Table]:
    """The special cases by the tokens that their text would be without them.

    bool[16384], whether some begin with two tokens of these upper bits of the running hash; then by the running hash
    the packed pieces of the case that the tokens make, 0 where more must follow.
    """
    pairs = np.zeros(1 << _PAIR_BITS, dtype=np.bool_)
    table = np.zeros((_SLOTS, 2), dtype=np.uint64)
    no_cases = np.zeros((_SLOTS + 256, 2), dtype=np.uint64)
    for text, pieces in special_cases().items():
        data = np.frombuffer(text.encode(), dtype=np.uint8)
        start, stop = (np.empty(len(data), dtype=np.int32) for _ in range(2))
        m = _split(data, np.array([0, len(data)]), spacy_classes(), no_cases, start, stop, np.zeros(2, dtype=np.int64))
        running = np.uint64(0)
        for k in range(m if m > 1 else 0):
            running = np.uint64(mix(running, np.uint64(hash_span(data, int(start[k]), int(stop[k]))[0])))
            _put(table, running, _packed(pieces) if k == m - 1 else 0)
            if k == 1:
                pairs[int(running) >> (64 - _PAIR_BITS)] = True
    return pairs, table


def spacy_tokens(data: Bytes, offsets: npt.NDArray[np.int64]) -> Pieces:
    """The tokens of the texts: start int32[m], stop int32[m], chars int32[m], hash uint64[m], first int64[n + 1]."""
    most = int(offsets[-1] - offsets[0])
    start, stop = (np.empty(most, dtype=np.int32) for _ in range(2))
    first = np.zeros(len(offsets), dtype=np.int64)
    m = _split(data, offsets, spacy_classes(), _cases(), start, stop, first)
    start, stop = start[:m].copy(), stop[:m].copy()  # much of the rest has been written to
    chars, hashes = np.empty(m, dtype=np.int32), np.empty(m, dtype=np.uint64)
    hash_spans(data, start, stop, chars, hashes)
    at, length, case = _find_patterns(data, start, stop, hashes, first, *_patterns())
    if len(at):
        chosen = _choose(at, length, case, m)
        return _join(data, (start, stop, chars, hashes), first, at[chosen], length[chosen], case[chosen])
    return start, stop, chars, hashes, first


@njit(cache=True, nogil=True)
def _split(data, offsets, classes, cases, start, stop, first):  # type: ignore[no-untyped-def]
    """Tokens of all chunks, before cases across tokens are joined; how many."""
    data, classes, cases, start, stop = borrow(data), borrow(classes), borrow(cases), borrow(start), borrow(stop)
    m = np.int64(0)
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        while i < end:
            space = SPACE_KINDS[data[i]]
            if space:
                k = 1 if space == 1 else space_length(data, i, end)
                if k:
                    i += k
                    continue
            a = i
            while i < end and LETTER[data[i]]:
                i += 1
            closed = i > a and i + 1 < end and CLOSING[data[i]] and SPACE_KINDS[data[i + 1]] == 1
            if i == end or closed or SPACE_KINDS[data[i]] == 1:
                m = _put_case(_find_case(data, a, i, cases), a, i, start, stop, m)
                if closed:
                    start[m], stop[m] = i, i + 1
                    i += 1
                    m += 1
                continue
            hints = np.uint8(0)
            while i < end and SPACE_KINDS[data[i]] != 1 and (data[i] < 0x80 or space_length(data, i, end) == 0):
                hints |= HINTS[data[i]]
                i += 1
            m = _split_chunk(data, a, i, classes, cases, start, stop, m, i - offsets[0], hints)
        first[d + 1] = m
    return m


@njit(cache=True, nogil=True, forceinline=True)
def _find_case(data, a, b, cases):  # type: ignore[no-untyped-def]
    """Packed pieces of the special case that the bytes from `a` to `b` are, 0 for none; a < b."""
    n = np.uint64(b - a)
    masks = cases[_SLOTS + np.int64(data[a]), 0] & cases[_SLOTS + np.int64(data[b - 1]), 1]
    if n > _LONGEST or not (masks >> n) & np.uint64(1):
        return np.uint64(0)
    return _get(hash_span(data, a, b)[0], cases)[1]


@njit(cache=True, nogil=True, forceinline=True)
def _get(key, table):  # type: ignore[no-untyped-def]
    """Whether the key is in the table, and its value."""
    slot = np.int64(key & np.uint64(_SLOTS - 1))
    while table[slot, 0] != 0:
        if table[slot, 0] == key:
            return True, table[slot, 1]
        slot = (slot + 1) & (_SLOTS - 1)
    return False, np.uint64(0)


@njit(cache=True, nogil=True, forceinline=True)
def _put_case(case, a, b, start, stop, m):  # type: ignore[no-untyped-def]
    """The tokens of the special case from `a` to `b`, one token if it is none."""
    while case:
        c = a + np.int64(case & np.uint64(0xFF))
        start[m], stop[m] = a, c
        case >>= np.uint64(8)
        a = c
        m += 1
    if a < b:
        start[m], stop[m] = a, b
        m += 1
    return m


@njit(cache=True, nogil=True, forceinline=True)
def _split_chunk(data, a, b, classes, cases, start, stop, m, top, hints):  # type: ignore[no-untyped-def]
    """Tokens of one chunk; those from its end wait below the place `top`, which no earlier token can have reached."""
    behind = top
    case = np.uint64(0)
    while a < b and not case:
        case = _find_case(data, a, b, cases)
        if case:
            break
        prefix, suffix, case = _marks(data, a, b, classes, cases, hints)
        if prefix == 0 and suffix == 0:
            break
        if prefix:
            start[m], stop[m] = a, a + prefix
            a += prefix
            m += 1
        if suffix:
            behind -= 1
            start[behind], stop[behind] = b - suffix, b
            b -= suffix
    if a < b:
        if case or not hints & HINT_INFIX or (has_dot(data, a, b, hints) and is_url(data, a, b, classes)):
            m = _put_case(case, a, b, start, stop, m)
        else:
            m = split_infixes(data, a, b, classes, start, stop, m)
    for k in range(behind, top):
        start[m], stop[m] = start[k], stop[k]
        m += 1
    return m


@njit(cache=True, nogil=True, forceinline=True)
def _marks(data, a, b, classes, cases, hints):  # type: ignore[no-untyped-def]
    """Bytes that come off the front and off the end, and the special case that is left once one of them has."""
    case = np.uint64(0)
    prefix = prefix_length(data, a, b, classes)
    if a + prefix == b:
        return prefix, np.int64(0), case
    if prefix:
        case = _find_case(data, a + prefix, b, cases)
        if case:
            return prefix, np.int64(0), case
    suffix = suffix_length(data, a + prefix, b, classes, hints)
    if suffix and a < b - suffix:
        case = _find_case(data, a, b - suffix, cases)
        if case:
            return np.int64(0), suffix, case
    return prefix, suffix, case


@njit(cache=True, nogil=True)
def _find_patterns(data, start, stop, hashes, first, pairs, table):  # type: ignore[no-untyped-def]
    """Where tokens next to each other are those of a special case: first token, how many, the case's packed pieces.

    A single space may lie between, because spaCy has no token for it. Such a case can't be put together, and its pieces
    are 0 here, but it stands in the way of shorter ones.
    """
    start, stop, hashes, pairs, table = borrow(start), borrow(stop), borrow(hashes), borrow(pairs), borrow(table)
    at, length, found = np.empty(64, np.int64), np.empty(64, np.int64), np.empty(64, np.uint64)
    n = 0
    for d in range(len(first) - 1):
        for k in range(first[d], first[d + 1] - 1):
            running = mix(np.uint64(0), hashes[k])
            if not pairs[np.int64(mix(running, hashes[k + 1]) >> np.uint64(64 - _PAIR_BITS))]:
                continue
            known = True
            apart = False
            j = k + 1
            while known and j < first[d + 1]:
                gap = start[j] - stop[j - 1]
                if gap > 1 or (gap == 1 and data[stop[j - 1]] != 0x20):
                    break
                apart = apart or gap == 1
                running = mix(running, hashes[j])
                known, case = _get(running, table)
                j += 1
                if case:
                    if n == len(at):
                        at, length = np.concatenate((at, at)), np.concatenate((length, length))
                        found = np.concatenate((found, found))
                    at[n], length[n], found[n] = k, j - k, np.uint64(0) if apart else case
                    n += 1
    return at[:n], length[:n], found[:n]


@njit(cache=True, nogil=True)
def _choose(at, length, case, m):  # type: ignore[no-untyped-def]
    """Which of the cases found among m tokens are put together: the longest first, then the leftmost; none overlap."""
    chosen, seen = np.zeros(len(at), dtype=np.bool_), np.zeros(m, dtype=np.bool_)
    for n in range(length.max(), 1, -1):
        for k in range(len(at)):
            if length[k] != n:
                continue
            a, b = at[k], at[k] + n
            chosen[k] = case[k] != 0 and not seen[a] and not seen[b - 1]
            seen[a:b] = True
    return chosen


@njit(cache=True, nogil=True)
def _join(data, tokens, first, at, length, case):  # type: ignore[no-untyped-def]
    """The tokens with those of the cases chosen in the place of what they were found in."""
    start, stop, chars, hashes = tokens
    most = len(start) + 3 * len(at)
    starts, stops, chars_ = np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.int32)
    hashes_, moved = np.empty(most, dtype=np.uint64), np.zeros_like(first)
    k = m = d = np.int64(0)
    for j in range(len(at) + 1):
        until = at[j] if j < len(at) else len(start)
        while d + 1 < len(first) and first[d + 1] <= until:
            moved[d + 1] = m + first[d + 1] - k
            d += 1
        n = m + until - k
        starts[m:n], stops[m:n] = start[k:until], stop[k:until]
        chars_[m:n], hashes_[m:n] = chars[k:until], hashes[k:until]
        m = n
        if j == len(at):
            break
        k = until + length[j]
        m = _put_case(case[j], np.int64(start[until]), np.int64(stop[k - 1]), starts, stops, n)
        hash_spans(data, starts[n:m], stops[n:m], chars_[n:m], hashes_[n:m])
    return starts[:m], stops[:m], chars_[:m], hashes_[:m], moved
