"""Shingles: runs of so many words, or of so many characters, as 32-bit hashes; what `minhash` compares texts by.

Words are maximal runs of Unicode letters, marks and decimal digits, in lower case. Scripts that put no spaces between
words (Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar, Tibetan) have each letter, with the marks behind it, as a
word of its own. Characters are those of the text in lower case, each run of white space one space, none at the ends.

A text shorter than one shingle has one, of all its words or characters; a text with none of them has no shingle.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.folding import lower_codes
from corpusmill.scan import HASH_PRIME, HASH_SEED, finish_hash, skip_space, trim_space
from corpusmill.steps import Sketches
from corpusmill.text import Texts
from corpusmill.unicode import decode, matched

Table = npt.NDArray[np.uint32]

BLOCK = 1024
"""Words or characters hashed before their shingles are: 8 KiB, which stays in the L1 cache."""

_ALONE, _MARK = np.uint32(1 << 31), np.uint32(1 << 30)  # above the 21 bits of a code point
_FOLDED = np.uint32((1 << 21) - 1)
_SPACE = np.uint32(0x20)
_UNSPACED = "".join(rf"\p{{scx={name}}}" for name in ("Hani", "Hira", "Kana", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"))
_BASE = np.uint64(0x9FB21C651E98DF25)  # any odd number with well-mixed bits


@cache
def word_characters() -> Table:
    """uint32[0x110000]: for each code point its lower case if it belongs in words, else 0.

    Letters, marks and decimal digits as the `regex` package knows them.
    """
    return _read_only(np.where(matched(r"[\p{L}\p{M}\p{Nd}]"), lower_codes(), 0).astype(np.uint32))


@cache
def folded_characters() -> Table:
    """uint32[0x110000]: for each code point its lower case; 0x20 for all white space, the set of `str.isspace`."""
    table = lower_codes().astype(np.uint32)
    table[matched(r"[\p{White_Space}\x1C-\x1F]")] = _SPACE
    return _read_only(table)


@cache
def word_table() -> Table:
    """uint32[0x110000]: `word_characters` with flags above the code point: of marks, of letters that are words."""
    table = word_characters().copy()
    table[matched(r"\p{M}")] |= _MARK
    table[matched(rf"[\p{{L}}&&[{_UNSPACED}]]")] |= _ALONE
    return _read_only(table)


def _read_only(table: Table) -> Table:
    table.flags.writeable = False
    return table


def shingle_table(chars: bool) -> Table:
    """What `next_shingles` takes as `table` for shingles of characters, or of words."""
    return folded_characters() if chars else word_table()


def without_shingles(texts: Texts, chars: bool) -> npt.NDArray[np.bool_]:
    """bool[n]: texts of nothing but white space, or, for shingles of words, without any word."""
    table = shingle_table(chars)
    return _without(texts.data, texts.offsets, table, _SPACE if chars else np.uint32(0))


def sketch(texts: Texts, chars: bool, size: int) -> Sketches:
    """The distinct hashes of each text's shingles of `size` words or characters, in order of first occurrence.

    Of two texts with a and b different shingles, about a * b / 2**32 pairs of different shingles have equal hashes:
    0.0002 for texts of 1,000 words, so that their similarity is off by 0.0000001; 1 for texts of 65,000 words.
    """
    lengths = np.diff(texts.offsets)
    most = lengths if chars else (lengths + 1) // 2
    values = np.empty(int(most.sum()), dtype=np.uint32)
    first = np.zeros(len(texts) + 1, dtype=np.int64)
    _sketch(texts.data, texts.offsets, shingle_table(chars), chars, size, values, first)
    return Sketches(values[: first[-1]], first)  # what lies behind was never touched, so takes no memory


def jaccard(sketches: Sketches, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """float64[k]: shingles in both of left[i] and right[i], over those in either; 1 where neither has any.

    Fastest when equal `left` follow each other: a hash table of it is made once for all of them.
    """
    out = np.empty(len(left), dtype=np.float64)
    _jaccard(sketches.values, sketches.first, left, right, out)
    return out


@njit(cache=True, nogil=True)
def hash_words(data, i, end, table, words, filled):  # type: ignore[no-untyped-def]
    """Append hashes of the next words to `words` until it is full or the text ends: (where to go on, words now)."""
    i, end, begin = np.int64(i), np.int64(end), filled
    h = HASH_SEED
    inside = alone = np.uint32(0)  # whether the character before is in a word, and in one that stands alone
    while i < end:
        point, length = np.int64(data[i]), np.int64(1)
        if point >= 0x80:
            point, length = decode(data, i, end)
        kind = table[point]
        mark = (kind >> np.uint32(30)) & np.uint32(1)
        starts = (kind >> np.uint32(31)) | (alone & ~mark)
        # Where words end can't be predicted, so there is no branch: every prefix is stored, the last one stays.
        words[filled] = h
        filled += np.int64(inside & (starts | np.uint32(kind == 0)))
        if filled == len(words):
            break  # before this character, which may be the first of a word
        h = HASH_SEED if starts | (inside ^ np.uint32(1)) else h
        h = (h ^ np.uint64(kind & _FOLDED)) * HASH_PRIME
        alone = (kind >> np.uint32(31)) | (alone & mark)
        inside = np.uint32(kind != 0)
        i += length
    if inside and filled < len(words):
        words[filled] = h
        filled += 1
    for w in range(begin, filled):
        words[w] = finish_hash(words[w])
    return i, filled


@njit(cache=True, nogil=True)
def _fold_characters(data, i, end, table, chars, filled):  # type: ignore[no-untyped-def]
    """Append the next characters to `chars` until it is full or the text ends: (where to go on, characters now)."""
    full = len(chars) - 1
    before = np.int64(0)
    while i < end:
        point, length = np.int64(data[i]), np.int64(1)
        if point >= 0x80:
            point, length = decode(data, i, end)
        folded = table[point]
        space = np.int64(folded == _SPACE)
        chars[filled] = folded
        filled += 1 - (space & before)
        before = space
        i += length
        if filled >= full and not space:  # not between two spaces, of which the second would seem to be the first
            break
    return i, filled


@njit(cache=True, nogil=True)
def _hash_shingles(units, count, size, shingles):  # type: ignore[no-untyped-def]
    """32-bit hashes of the `count - size + 1` shingles of units[:count], none 0: how many."""
    m = count - size + 1
    h, power = np.uint64(0), np.uint64(1)
    for w in range(size):
        h = h * _BASE + units[w]
        power *= _BASE
    length = np.uint64(size) * power
    shingles[0] = max(np.uint32(finish_hash(h + length) >> np.uint64(32)), np.uint32(1))
    for s in range(1, m):
        h = h * _BASE + (units[s + size - 1] - units[s - 1] * power)
        shingles[s] = max(np.uint32(finish_hash(h + length) >> np.uint64(32)), np.uint32(1))
    return m


@njit(cache=True, nogil=True)
def next_shingles(data, i, end, table, chars, size, units, kept, shingles):  # type: ignore[no-untyped-def]
    """Hashes of the next shingles of a text: (where to go on, units kept for the next call, how many; 0 at the end).

    The text is data[i:end], of which characters must have been trimmed; `kept` is 0 in the first call. `table` is
    `shingle_table(chars)`, `units` uint64[BLOCK + size], `shingles` uint32[BLOCK + size] or longer.
    """
    if chars:
        i, filled = _fold_characters(data, i, end, table, units, kept)
    else:
        i, filled = hash_words(data, i, end, table, units, kept)
    if filled < size:
        if kept or not filled:
            return i, size - 1, 0
        return i, size - 1, _hash_shingles(units, filled, filled, shingles)
    m = _hash_shingles(units, filled, size, shingles)
    for w in range(size - 1):
        units[w] = units[filled - size + 1 + w]
    return i, size - 1, m


@njit(cache=True, nogil=True)
def bounds(data, start, stop, chars):  # type: ignore[no-untyped-def]
    """First and last byte of a text for `next_shingles`."""
    if chars:
        start = skip_space(data, start, stop)
        stop = trim_space(data, start, stop)
    return start, stop


@njit(cache=True, nogil=True)
def _without(data, offsets, table, none):  # type: ignore[no-untyped-def]
    """bool[n]: texts of nothing but characters that the table sends to `none`."""
    without = np.ones(len(offsets) - 1, dtype=np.bool_)
    for d in range(len(offsets) - 1):
        i, end = offsets[d], offsets[d + 1]
        while i < end and without[d]:
            point, length = decode(data, i, end)
            without[d] = table[point] == none
            i += length
    return without


@njit(cache=True, nogil=True)
def _sketch(data, offsets, table, chars, size, values, first):  # type: ignore[no-untyped-def]
    units = np.empty(BLOCK + size, dtype=np.uint64)
    memory = slots = np.empty(0, dtype=np.uint32)
    n = 0
    for d in range(len(offsets) - 1):
        i, end = bounds(data, offsets[d], offsets[d + 1], chars)
        stop, kept, m = n, 0, 1
        while m:
            i, kept, m = next_shingles(data, i, end, table, chars, size, units, kept, values[stop:])
            stop += m
        memory, slots = _empty_slots(memory, stop - n)
        n = _drop_repeats(values, n, stop, slots)
        first[d + 1] = n


@njit(cache=True, nogil=True)
def _drop_repeats(values, start, stop, slots):  # type: ignore[no-untyped-def]
    """Move the first occurrence of each of values[start:stop] to the front: where they end. A slot holds a value."""
    mask = np.uint32(len(slots) - 1)
    n = start
    for k in range(start, stop):
        value = values[k]
        slot = value & mask
        while slots[slot] and slots[slot] != value:
            slot = (slot + np.uint32(1)) & mask
        values[n] = value
        n += slots[slot] == 0
        slots[slot] = value
    return n


@njit(cache=True, nogil=True)
def _jaccard(values, first, left, right, out):  # type: ignore[no-untyped-def]
    memory = slots = np.empty(0, dtype=np.uint32)
    placed = np.int64(-1)
    for k in range(len(left)):
        mine = values[first[left[k]] : first[left[k] + 1]]
        others = values[first[right[k]] : first[right[k] + 1]]
        common = p = 0
        for j in range(len(others)):
            if p < len(mine) and mine[p] == others[j]:  # near duplicates go on alike, in the same order
                common += 1
                p += 1
                continue
            if placed != left[k]:
                memory, slots = _empty_slots(memory, len(mine))
                _place(mine, slots)
                placed = left[k]
            q = _position(mine, slots, others[j])
            common += q >= 0
            p = q + 1 if q >= 0 else p
        either = len(mine) + len(others) - common
        out[k] = common / either if either else 1.0


@njit(cache=True, nogil=True)
def _empty_slots(memory, count):  # type: ignore[no-untyped-def]
    """Memory, made larger if need be, and an empty hash table for `count` values in the front of it.

    The table's length is a power of two that leaves two thirds of it empty. Only what is used is cleared, so that a
    large document makes those behind it no slower.
    """
    length = 64
    while length < 3 * count:
        length *= 2
    if len(memory) < length:
        memory = np.empty(length, dtype=np.uint32)
    memory[:length] = 0
    return memory, memory[:length]


@njit(cache=True, nogil=True)
def _place(values, slots):  # type: ignore[no-untyped-def]
    """A slot holds 1 + the position of a value."""
    mask = np.uint32(len(slots) - 1)
    for q in range(len(values)):
        slot = values[q] & mask
        while slots[slot]:
            slot = (slot + np.uint32(1)) & mask
        slots[slot] = q + 1


@njit(cache=True, nogil=True)
def _position(values, slots, value):  # type: ignore[no-untyped-def]
    """Where `value` is in the values that were placed, -1 where it is not."""
    mask = np.uint32(len(slots) - 1)
    slot = value & mask
    while slots[slot]:
        q = np.int64(slots[slot]) - 1
        if values[q] == value:
            return q
        slot = (slot + np.uint32(1)) & mask
    return np.int64(-1)
