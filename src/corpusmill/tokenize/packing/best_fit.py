"""The kernel of packing: best-fit-decreasing by runs of equal pieces, and what is cut when rows are scarce.

Open rows lie in blocks of consecutive rows with the same room (row, rows, next block, pieces held); `head[room]` starts
the list of its blocks, `occupied` is the bit set of rooms that have one. A run is a number of pieces of one length that
have consecutive slots and go to consecutive rows. Which of two blocks with the same room is filled first changes no
count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

CHAIN = 16
"""Rows that cut pieces run on through before the chain is left; longer ones save nothing, see `_stretch`."""
TALLIES = 24
"""Rows are tallied by their number of pieces: 1, 2, 3 to 4, 5 to 8 and so on."""


@njit(cache=True, nogil=True)
def _next_room(occupied, room):  # type: ignore[no-untyped-def]
    """The smallest room >= `room` that an open row has, -1 where there is none."""
    word = room >> 6
    bits = occupied[word] >> np.uint64(room & 63)
    if bits:
        while not bits & np.uint64(1):
            bits >>= np.uint64(1)
            room += 1
        return room
    word += 1
    while word < len(occupied) and not occupied[word]:
        word += 1
    if word == len(occupied):
        return -1
    bits = occupied[word]
    room = word << 6
    while not bits & np.uint64(1):
        bits >>= np.uint64(1)
        room += 1
    return room


@njit(cache=True, nogil=True)
def _largest_room(occupied):  # type: ignore[no-untyped-def]
    """The largest room that an open row has, 0 where no row is open."""
    word = len(occupied) - 1
    while word >= 0 and not occupied[word]:
        word -= 1
    if word < 0:
        return 0
    bits, room = occupied[word], word << 6
    while bits > np.uint64(1):
        bits >>= np.uint64(1)
        room += 1
    return room


@njit(cache=True, nogil=True)
def _tally(tally, pieces, rows):  # type: ignore[no-untyped-def]
    n = 0
    while n + 1 < len(tally) and (1 << n) < pieces:
        n += 1
    tally[n] += rows


@njit(cache=True, nogil=True)
def _open(block, head, occupied, tally, most_pieces, row, rows, room, held):  # type: ignore[no-untyped-def]
    """Put a block back into the lists, or tally it where nothing can go into it any more."""
    if rows <= 0:
        return
    if room == 0 or held >= most_pieces:
        _tally(tally, held, rows)
        return
    first, new = head[room], len(block)
    if first >= 0 and block[first][1] > rows:
        other, others, following, holding = block[first]
        block.append((row, rows, following, held))
        block[first] = (other, others, new, holding)
        return
    block.append((row, rows, first, held))
    head[room] = new
    occupied[room >> 6] |= np.uint64(1) << np.uint64(room & 63)


@njit(cache=True, nogil=True)
def _take(block, head, occupied, room):  # type: ignore[no-untyped-def]
    """Take the first block with this room out of its list: its first row, its rows, the pieces each holds."""
    row, rows, following, held = block[head[room]]
    head[room] = following
    if following < 0:
        occupied[room >> 6] &= ~(np.uint64(1) << np.uint64(room & 63))
    return row, rows, held


@njit(cache=True, nogil=True)
def _stretch(size, room, rows):  # type: ignore[no-untyped-def]
    """How many pieces of `size` can be cut side by side where the best that is left is `rows` rows with `room`.

    One after the other, a piece fills a row and begins the next one, whose rest the next piece fills. So that a chain
    finds rows for all its links, a block is cut into as many stretches as the chain has rows.
    """
    if 2 * room < size:
        return max(1, rows // ((size - 1) // room + 1))
    carry, links = 2 * room - size, 2
    while carry > 0 and carry + room >= size and links < CHAIN:
        carry += room - size
        links += 1
    return max(1, rows // links)


@njit(cache=True, nogil=True)
def _room_for(occupied, need):  # type: ignore[no-untyped-def]
    """The room that what is left of a cut piece, `need` tokens, goes into next, 0 where no row is open; is it the last?

    The smallest that holds all of it; or else the smallest that leaves no more than the largest holds, or the largest.
    """
    room = _next_room(occupied, need)
    if room >= 0:
        return room, True
    top = _largest_room(occupied)
    return (top if need > 2 * top else _next_room(occupied, need - top)), False


@njit(cache=True, nogil=True)
def _record(runs, parts, tally, used, k, slot, need, n):  # type: ignore[no-untyped-def]
    """A run of n pieces from `slot` on, cut alike into k parts, the last of `need` tokens, the others as long as the
    rooms that they fill.
    """
    runs.append((slot, len(parts)))
    offset = np.int64(0)
    for j in range(k - 1):
        parts.append((used[j, 0], np.int64(1), offset, used[j, 1]))
        offset += used[j, 1]
        _tally(tally, used[j, 2] + 1, n)
    parts.append((used[k - 1, 0], np.int64(1), offset, need))


@njit(cache=True, nogil=True)
def _cut(size, slot, left, rows, most_pieces, used, runs, parts, block, head, occupied, tally):  # type: ignore[no-untyped-def]
    """Cut `left` pieces of `size` that fit into no open row, from slot number `slot` on; gives the number of rows.

    A piece fills a room and ends in another, see `_room_for`: one cut where two rooms are enough. What the last row has
    left is where the next piece begins. `used` int64[row length + 1, 3] is for the rows, rooms and pieces held of the
    parts of one piece.
    """
    carried = chained = 0  # used[0] is a row begun by the piece before, in `carried` copies
    while left > 0:
        top = _largest_room(occupied)
        if carried and (used[0, 1] >= size or used[0, 1] + top < size or chained >= CHAIN):
            _open(block, head, occupied, tally, most_pieces, used[0, 0], carried, used[0, 1], used[0, 2])
            carried = 0
            top = _largest_room(occupied)
        need, k = size, 0
        if carried:
            n = min(left, carried)
            _open(block, head, occupied, tally, most_pieces, used[0, 0] + n, carried - n, used[0, 1], used[0, 2])
            need, k = size - used[0, 1], 1
        else:
            n, chained = left, 0
            if top:
                n = min(n, _stretch(size, top, block[head[top]][1]))
        ended = False
        while not ended:
            room, ended = _room_for(occupied, need)
            if room > 0:
                row, free, held = _take(block, head, occupied, room)
            else:  # rows that may hold no more pieces are closed with room: others must be opened
                room, row, free, held, ended = len(head) - 1, rows, n, 0, True
                rows += n
            if free < n:
                for j in range(k):
                    _open(
                        block, head, occupied, tally, most_pieces, used[j, 0] + free, n - free, used[j, 1], used[j, 2]
                    )
                n = free
            _open(block, head, occupied, tally, most_pieces, row + n, free - n, room, held)
            used[k, 0], used[k, 1], used[k, 2] = row, room, held
            k += 1
            if not ended:
                need -= room
        _record(runs, parts, tally, used, k, slot, need, n)
        used[0, 0], used[0, 1], used[0, 2] = used[k - 1, 0], used[k - 1, 1] - need, used[k - 1, 2] + 1
        carried = n
        if used[0, 1] == 0 or used[0, 2] >= most_pieces:
            _open(block, head, occupied, tally, most_pieces, used[0, 0], n, used[0, 1], used[0, 2])
            carried = 0
        slot += n
        left -= n
        chained += 1
    if carried:
        _open(block, head, occupied, tally, most_pieces, used[0, 0], carried, used[0, 1], used[0, 2])
    return rows


@njit(cache=True, nogil=True)
def best_fit(counts, base, most_rows, most_pieces, at_once):  # type: ignore[no-untyped-def]
    """Pack `counts[size]` pieces of each size, slots numbered from `base[size]` on.

    No piece is cut as long as `most_rows` are not exceeded; after that, pieces that fit nowhere are cut, `at_once` or
    behind all others. No row holds more than `most_pieces`. Gives

        runs   int64[m, 2], first slot number, first part: in no order
        parts  int64[p, 4], row, slots of the run in each row, offset in the piece, tokens
        tally  int64[TALLIES], rows by their number of pieces
        rows   rows opened
    """
    limit = len(counts) - 1
    head = np.full(limit + 1, -1, dtype=np.int64)
    occupied = np.zeros(limit // 64 + 1, dtype=np.uint64)
    tally = np.zeros(TALLIES, dtype=np.int64)
    zero: Any = np.int64(0)
    block, runs = [(zero, zero, zero, zero)], [(zero, zero)]
    parts, waiting = [(zero, zero, zero, zero)], [(zero, zero)]
    block.pop(), runs.pop(), parts.pop(), waiting.pop()  # numba knows the types now
    used = np.empty((limit + 1, 3), dtype=np.int64)
    rows = zero
    for size in range(limit, 0, -1):
        left = counts[size]
        while left > 0:
            room = _next_room(occupied, size)
            if room < 0:  # open as many new rows as the rest of this length needs
                free = min((left - 1) // min(limit // size, most_pieces) + 1, most_rows - rows)
                if free <= 0:
                    break
                room, row, held = limit, rows, zero
                rows += free
            else:
                row, free, held = _take(block, head, occupied, room)
            most = min(room // size, most_pieces - held)
            full = min(free, left // most)
            rest = left - full * most if full < free else zero
            # the block falls into full rows, one row filled in part, rows not reached
            for n, taken in ((full, most), (min(rest, 1), rest), (free - full - min(rest, 1), zero)):
                if n > 0 and taken > 0:
                    runs.append((base[size] + counts[size] - left, len(parts)))
                    parts.append((row, taken, zero, np.int64(size)))
                    left -= n * taken
                _open(block, head, occupied, tally, most_pieces, row, n, room - taken * size, held + taken)
                row += n
        if left > 0:
            slot = base[size] + counts[size] - left
            if at_once:
                rows = _cut(size, slot, left, rows, most_pieces, used, runs, parts, block, head, occupied, tally)
            else:
                waiting.append((np.int64(size), left))
    for size, left in waiting:
        slot = base[size] + counts[size] - left
        rows = _cut(size, slot, left, rows, most_pieces, used, runs, parts, block, head, occupied, tally)
    for room in range(1, limit + 1):
        while head[room] >= 0:
            _, free, held = _take(block, head, occupied, room)
            _tally(tally, held, free)
    return _columns2(runs), _columns4(parts), tally, rows


@njit(cache=True, nogil=True)
def _columns2(rows):  # type: ignore[no-untyped-def]
    table = np.empty((len(rows), 2), dtype=np.int64)
    for i, (a, b) in enumerate(rows):
        table[i, 0], table[i, 1] = a, b
    return table


@njit(cache=True, nogil=True)
def _columns4(rows):  # type: ignore[no-untyped-def]
    table = np.empty((len(rows), 4), dtype=np.int64)
    for i, (a, b, c, d) in enumerate(rows):
        table[i, 0], table[i, 1], table[i, 2], table[i, 3] = a, b, c, d
    return table
