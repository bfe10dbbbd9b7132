"""The first of a few phrases in each text, ASCII case ignored."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.filters.automaton import Machine, build_machine

Phrases = tuple[Machine, npt.NDArray[np.int64]]
"""The automaton, and the length in bytes of each phrase."""


@cache
def phrase_machine(phrases: Sequence[str]) -> Phrases:
    """What finds the phrases, numbered in their order."""
    found = [phrase.lower().encode() for phrase in phrases]
    machine = build_machine(dict.fromkeys(found, 1), ascii_case=True)
    return machine, np.array([len(phrase) for phrase in dict.fromkeys(found)], dtype=np.int64)


@njit(cache=True, nogil=True)
def first_phrases(data, starts, stops, phrases):  # type: ignore[no-untyped-def]
    """int64[2, n]: where the first phrase between `starts` and `stops` begins and ends, -1 where there is none."""
    machine, lengths = phrases
    found = np.full((2, len(starts)), -1, dtype=np.int64)
    for d in range(len(starts)):
        row = np.int64(0)
        for i in range(starts[d], stops[d]):
            row, number = step(row, data[i], machine)
            if number >= 0:
                found[0, d], found[1, d] = i + 1 - lengths[number], i + 1
                break
    return found


@njit(cache=True, nogil=True)
def step(row, byte, machine):  # type: ignore[no-untyped-def]
    """The row behind `byte`, and the number of the longest phrase that ends there, -1 for none."""
    columns, following, ends, shorter, shift = machine
    cell = np.int64(following[row + columns[byte]])
    row = cell & ~np.int64(63)
    if cell == row:
        return row, np.int64(-1)
    state = row >> shift
    return row, np.int64(ends[state] if ends[state] >= 0 else ends[shorter[state]])
