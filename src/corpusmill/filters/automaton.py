"""Many phrases in one pass over a text: the automaton of Aho and Corasick (1975), over bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

_FLAG_BITS = 6
_FLAGS = (1 << _FLAG_BITS) - 1


class Machine(NamedTuple):
    """An automaton whose rows are found by number, so that no row needs a multiplication.

    columns    uint8[256], column of a byte
    following  int32[states * width], the first cell of the next state's row, with the flags of that state in its low
               six bits
    ends       int32[states], number of the phrase that ends in a state, -1 for none
    shorter    int32[states], the state in which the next shorter phrase that ends here too ends, 0 for none
    shift      width is 1 << shift
    """

    columns: npt.NDArray[np.uint8]
    following: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    shorter: npt.NDArray[np.int32]
    shift: int


def build_machine(phrases: Mapping[bytes, int], *, ascii_case: bool = False) -> Machine:
    """The automaton that finds `phrases`, each with flags of 1 to 63, numbered in their order; none is empty.

    With `ascii_case`, capital letters of ASCII are read as small ones; the phrases have none.
    """
    alphabet = sorted(set(b"".join(phrases)))
    shift = max(_FLAG_BITS, len(alphabet).bit_length())
    columns = np.zeros(256, dtype=np.uint8)
    for column, byte in enumerate(alphabet, 1):
        columns[byte] = column
        if ascii_case and byte < 0x80:
            columns[ord(chr(byte).upper())] = column
    trie, ends, flags = _trie(phrases)
    following = np.zeros((len(trie), 1 << shift), dtype=np.int32)
    fallback, shorter = np.zeros(len(trie), dtype=np.int32), np.zeros(len(trie), dtype=np.int32)
    queue = deque([0])
    while queue:
        state = queue.popleft()
        back = int(fallback[state])
        flags[state] |= flags[back]
        shorter[state] = back if ends[back] >= 0 else shorter[back]
        following[state] = following[back]
        for byte, target in trie[state].items():
            fallback[target] = following[back, columns[byte]] if state else 0
            following[state, columns[byte]] = target
            queue.append(target)
    cells = following << shift | np.array(flags, dtype=np.int32)[following]
    return Machine(columns, cells.ravel(), np.array(ends, dtype=np.int32), shorter, shift)


def _trie(phrases: Mapping[bytes, int]) -> tuple[list[dict[int, int]], list[int], list[int]]:
    """For each state: where bytes lead, the phrase that is read there or -1, its flags."""
    trie: list[dict[int, int]] = [{}]
    ends, flags = [-1], [0]
    for number, (phrase, flag) in enumerate(phrases.items()):
        state = 0
        for byte in phrase:
            if byte not in trie[state]:
                trie[state][byte] = len(trie)
                trie.append({})
                ends.append(-1)
                flags.append(0)
            state = trie[state][byte]
        ends[state] = number
        flags[state] |= flag
    return trie, ends, flags


@njit(cache=True, nogil=True)
def find_phrases(data, start, stop, machine):  # type: ignore[no-untyped-def]
    """The flags of all phrases that occur in the bytes from `start` to `stop`."""
    columns, following, _, _, _ = machine
    found = np.int64(0)
    row = np.int64(0)
    for i in range(start, stop):
        cell = np.int64(following[row + columns[data[i]]])
        found |= cell
        row = cell & ~_FLAGS
    return found & _FLAGS


@njit(cache=True, nogil=True)
def first_phrase(data, start, stop, machine, flag):  # type: ignore[no-untyped-def]
    """Position behind the first phrase with that flag, -1 where there is none."""
    columns, following, _, _, _ = machine
    row = np.int64(0)
    for i in range(start, stop):
        cell = np.int64(following[row + columns[data[i]]])
        if cell & flag:
            return i + 1
        row = cell & ~_FLAGS
    return np.int64(-1)
