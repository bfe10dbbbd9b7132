"""Many phrases at once, against Python's `in`."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from corpusmill.filters.automaton import build_machine, find_phrases, first_phrase

PHRASES = st.dictionaries(st.text("ab{é ", min_size=1, max_size=5).map(str.encode), st.integers(1, 63), min_size=1)


@given(phrases=PHRASES, text=st.text("abAB{é x", max_size=40))
@example(phrases={b"ab": 1, b"bab": 2, b"a": 4, b"abab": 8}, text="xbabab")
@example(phrases={bytes([c]): 1 for c in range(1, 128)}, text="é\x05")
def test_every_phrase_is_found(phrases: dict[bytes, int], text: str) -> None:
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    for ascii_case in (False, True):
        machine = build_machine(phrases, ascii_case=ascii_case)
        read = text.encode().lower() if ascii_case else text.encode()
        flags = 0
        for phrase, flag in phrases.items():
            flags |= flag if phrase in read else 0
        assert find_phrases(data, 0, len(data), machine) == flags
        for flag in (1, 2):
            ends = [read.find(phrase) + len(phrase) for phrase, f in phrases.items() if f & flag and phrase in read]
            assert first_phrase(data, 0, len(data), machine, flag) == min(ends, default=-1)
