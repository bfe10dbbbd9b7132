import bisect
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.tokenize.plan import MAX_SEQUENCE_LENGTH, Plan, histogram, pieces, plan


def sequential_fills(lengths: list[int], sequence_length: int) -> list[int]:
    """Best-fit-decreasing one piece at a time: how full each row gets, sorted. `rooms` are those of the open rows."""
    rooms: list[int] = []
    rows = 0
    for length in sorted(lengths, reverse=True):
        i = bisect.bisect_left(rooms, length)
        if i < len(rooms):
            room = rooms.pop(i)
        else:
            room = sequence_length
            rows += 1
        if room > length:
            bisect.insort(rooms, room - length)
    return sorted([sequence_length] * (rows - len(rooms)) + [sequence_length - room for room in rooms])


def rows_of(made: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Length and row of every slot."""
    length = np.repeat(np.arange(len(made.counts)), made.counts)
    slot = np.arange(len(length)) - np.repeat(np.cumsum(made.counts) - made.counts, made.counts)
    return length, made.row_of(length, slot)


@st.composite
def corpora(draw: st.DrawFn) -> tuple[int, list[int]]:
    sequence_length = draw(st.integers(16, 300))
    longest = draw(st.integers(1, sequence_length))
    return sequence_length, draw(st.lists(st.integers(1, longest), max_size=400))


@settings(max_examples=300, deadline=None)
@given(corpora())
def test_rows_are_as_full_as_those_of_sequential_best_fit(corpus: tuple[int, list[int]]) -> None:
    sequence_length, lengths = corpus
    made = plan(histogram(np.array(lengths, dtype=np.int64), sequence_length))
    length, row = rows_of(made)
    assert sorted(length.tolist()) == sorted(lengths)
    filled = np.bincount(row, weights=length, minlength=made.rows)
    assert len(filled) == made.rows
    assert sorted(filled.tolist()) == sequential_fills(lengths, sequence_length)
    assert made.segments == len(lengths)
    assert made.tokens == sum(lengths)
    assert made.pad_tokens == made.rows * sequence_length - sum(lengths)
    assert made.lower_bound_rows == math.ceil(sum(lengths) / sequence_length) <= made.rows


def test_golden_plan() -> None:
    made = plan(histogram(np.array([16, 10, 10, 6, 5, 5, 3, 1, 1]), 16))
    # 16 | 10 6 | 10 5 1 | 5 3 1
    assert made.rows == 4
    length, row = rows_of(made)
    assert [sorted(length[row == r].tolist()) for r in range(4)] == [[16], [6, 10], [1, 5, 10], [1, 3, 5]]
    assert (made.tokens, made.pad_tokens, made.lower_bound_rows) == (57, 7, 4)


def test_no_pieces() -> None:
    made = plan(np.zeros(17, dtype=np.int64))
    assert (made.rows, made.tokens, made.pad_tokens, made.lower_bound_rows) == (0, 0, 0, 0)
    assert made.row_of(np.array([], dtype=np.int64), np.array([], dtype=np.int64)).tolist() == []


@pytest.mark.parametrize("length", [1, 7, 8, 9, 16])
def test_one_length(length: int) -> None:
    made = plan(histogram(np.full(1000, length), 16))
    assert made.rows == math.ceil(1000 / (16 // length))


def test_a_billion_documents() -> None:
    lengths = np.minimum(np.random.default_rng(0).lognormal(6.7, 1.2, 1_000_000).astype(np.int64) + 1, 8192)
    made = plan(histogram(lengths, 8192) * 1000)
    assert made.segments == 10**9
    assert made.pad_tokens < 2e-4 * made.tokens
    last = made.counts[500] - 1
    assert 0 <= made.row_of(np.array([500]), np.array([last]))[0] < made.rows


@pytest.mark.parametrize("sequence_length", [16, MAX_SEQUENCE_LENGTH])
def test_shortest_and_longest_rows(sequence_length: int) -> None:
    counts = np.full(sequence_length + 1, 3)
    counts[0] = 0
    made = plan(counts)
    assert made.rows >= made.lower_bound_rows
    assert made.rows < 1.001 * made.lower_bound_rows + 2


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.zeros(16, dtype=np.int64), "sequence_length: got 15"),
        (np.zeros(MAX_SEQUENCE_LENGTH + 2, dtype=np.int64), f"sequence_length: got {MAX_SEQUENCE_LENGTH + 1}"),
        (np.array([1] + [0] * 16), "histogram: got 1 pieces of length 0"),
        (np.array([0, -1] + [0] * 15), "histogram: got 0 pieces of length 0, least -1"),
        (np.array([0, 1 << 60] + [0] * 15), "too many"),
    ],
)
def test_bad_histograms(counts: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(counts)


def plain_pieces(lengths: list[int], sequence_length: int) -> list[tuple[int, int, int]]:
    cut = []
    for document, length in enumerate(lengths):
        for offset in range(0, length, sequence_length):
            cut.append((document, offset, min(sequence_length, length - offset)))
    return cut


@given(st.lists(st.integers(0, 200), max_size=50), st.integers(16, 70))
def test_pieces(lengths: list[int], sequence_length: int) -> None:
    document, offset, length = pieces(np.array(lengths, dtype=np.int64), sequence_length)
    assert list(zip(document.tolist(), offset.tolist(), length.tolist(), strict=True)) == plain_pieces(
        lengths, sequence_length
    )
    assert (document.dtype, offset.dtype, length.dtype) == (np.int64, np.uint32, np.uint32)


def test_pieces_at_the_bounds() -> None:
    assert [a.tolist() for a in pieces(np.array([0, 1, 15, 16, 17, 32, 33]), 16)] == [
        [1, 2, 3, 4, 4, 5, 5, 6, 6, 6],
        [0, 0, 0, 0, 16, 0, 16, 0, 16, 32],
        [1, 15, 16, 16, 1, 16, 16, 16, 16, 1],
    ]


@pytest.mark.parametrize("length", [-1, 1 << 32])
def test_pieces_of_impossible_documents(length: int) -> None:
    with pytest.raises(ConfigError, match="tokens"):
        pieces(np.array([1, length]), 16)
