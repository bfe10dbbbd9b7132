"""Cuts: rising and apart whatever pieces go, and what they say is cut is what is missing afterwards."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.cuts import cut_out, cuts_of_pieces
from corpusmill.text import Texts


@given(st.lists(st.lists(st.tuples(st.sampled_from(["", " ", "a", "b c "]), st.booleans()), max_size=9), max_size=4))
def test_cuts_are_apart_and_counted(documents: list[list[tuple[str, bool]]]) -> None:
    """Pieces are physical lines, some of them blank, as `bloom` has them."""
    strings = ["\n".join(line for line, _ in lines) for lines in documents]
    texts = Texts.from_strings(strings)
    places = [
        [sum(len(line) + 1 for line, _ in lines[:n]) + int(texts.offsets[d]) for n in range(len(lines))]
        for d, lines in enumerate(documents)
    ]
    start = np.array([place for pieces in places for place in pieces], np.int32)
    first = np.cumsum([0, *map(len, places)], dtype=np.int64)
    gone = np.array([going and bool(line.strip()) for lines in documents for line, going in lines], np.bool_)
    (row, begin, end), cut = cuts_of_pieces(texts, start, first, gone)
    for d in range(len(strings)):
        ends = np.stack([begin[row == d], end[row == d]], axis=1).ravel()
        assert np.all(np.diff(ends) >= 0)
        assert cut[d] == (end - begin)[row == d].sum()
    left = cut_out(texts, np.arange(len(strings)), row, begin, end)
    assert (texts.bytes - left.bytes).tolist() == cut.tolist()
    kept = [[line.strip() for line, going in lines if line.strip() and not going] for lines in documents]
    found = [[line.strip() for line in text.split("\n") if line.strip()] for text in left.to_arrow().to_pylist()]
    assert found == kept
