import bisect
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.packing_options import MAX_SEQUENCE_LENGTH
from corpusmill.tokenize.packing.plan import Plan, histogram, pieces, plan, rows_without_cuts


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
    piece, offset, tokens, row = made.parts_of(length, slot)
    assert (piece == np.arange(len(length))).all(), "no piece is cut"
    assert not offset.any()
    assert (tokens == length).all()
    return length, row


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
    nothing = np.array([], dtype=np.int64)
    assert [part.tolist() for part in made.parts_of(nothing, nothing)] == [[], [], [], []]


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
    assert 0 <= made.parts_of(np.array([500]), np.array([last]))[3][0] < made.rows


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


def all_parts(made: Plan) -> list[list[tuple[int, int, int]]]:
    """(offset, tokens, row) of the parts of every piece."""
    length = np.repeat(np.arange(len(made.counts)), made.counts)
    slot = np.arange(len(length)) - np.repeat(np.cumsum(made.counts) - made.counts, made.counts)
    parts: list[list[tuple[int, int, int]]] = [[] for _ in length]
    for piece, *part in zip(*(column.tolist() for column in made.parts_of(length, slot)), strict=True):
        parts[piece].append((part[0], part[1], part[2]))
    for size, found in zip(length.tolist(), parts, strict=True):
        at = 0
        for offset, tokens, _ in found:
            assert offset == at
            assert tokens > 0
            at += tokens
        assert at == size, "the parts are the whole piece, in order"
        assert len({row for *_, row in found}) == len(found), "no two parts of a piece in one row"
    return parts


def fewest_cuts(lengths: list[int], sequence_length: int, rows: int) -> int:
    """Cuts that no packing in so many rows can do without.

    Rows that share a cut piece hang together; b rows that do have b - 1 cuts at least, and b - 1 are enough for any
    pieces that fit into b rows. So: the best division of the pieces into groups.
    """
    sums = [0] * (1 << len(lengths))
    for mask in range(1, len(sums)):
        low = mask & -mask
        sums[mask] = sums[mask ^ low] + lengths[low.bit_length() - 1]

    @cache
    def best(mask: int) -> dict[int, int]:
        """Rows used → fewest cuts."""
        if not mask:
            return {0: 0}
        low = mask & -mask
        rest = others = mask ^ low
        found: dict[int, int] = {}
        while True:
            need = -(-sums[others | low] // sequence_length)
            for used, cuts in best(mask ^ low ^ others).items():
                if used + need <= rows:
                    found[used + need] = min(found.get(used + need, 99), cuts + need - 1)
            if not others:
                return found
            others = (others - 1) & rest

    return min(best(len(sums) - 1).values())


@st.composite
def budgets(draw: st.DrawFn) -> tuple[int, list[int], float]:
    sequence_length = draw(st.integers(16, 40))
    shortest = draw(st.sampled_from([1, sequence_length // 3, sequence_length // 2]))
    lengths = draw(st.lists(st.integers(shortest, sequence_length), min_size=1, max_size=9))
    return sequence_length, lengths, draw(st.sampled_from([0.001, 0.05, 0.1, 0.2, 0.3]))


@settings(max_examples=200)
@given(budgets())
def test_a_budget_of_padding_is_kept_with_hardly_more_cuts_than_must_be(case: tuple[int, list[int], float]) -> None:
    sequence_length, lengths, budget = case
    made = plan(histogram(np.array(lengths), sequence_length), budget)
    fewest = fewest_cuts(lengths, sequence_length, made.rows)
    assert made.least_cuts <= fewest <= made.cuts <= fewest + 1
    assert made.pad_tokens <= max(budget * made.rows * sequence_length, sequence_length - 1)
    parts = all_parts(made)
    assert sum(len(found) - 1 for found in parts) == made.cuts
    assert made.segments == len(lengths) + made.cuts
    filled = np.zeros(made.rows, dtype=np.int64)
    held = np.zeros(made.rows, dtype=np.int64)
    for found in parts:
        for _, tokens, row in found:
            filled[row] += tokens
            held[row] += 1
    assert 0 < filled.min() <= filled.max() <= sequence_length
    assert filled.sum() == sum(lengths)
    assert made.tally.tolist()[:10] == np.bincount(np.ceil(np.log2(held)).astype(int), minlength=10).tolist()


@settings(max_examples=200)
@given(corpora(), st.sampled_from([0.002, 0.01, 0.05]))
def test_larger_plans_with_a_budget_put_every_token_somewhere(corpus: tuple[int, list[int]], budget: float) -> None:
    sequence_length, lengths = corpus
    made = plan(histogram(np.array(lengths, dtype=np.int64), sequence_length), budget)
    filled = np.zeros(made.rows, dtype=np.int64)
    for found in all_parts(made):
        for _, tokens, row in found:
            filled[row] += tokens
    assert filled.sum() == sum(lengths)
    assert (filled <= sequence_length).all()
    assert made.pad_tokens <= max(budget * made.rows * sequence_length, sequence_length - 1)


def test_documents_of_1200_tokens() -> None:
    """Whole, they fill 59 % of rows of 2048. One cut saves one row, which no plan can better."""
    counts = histogram(np.full(1000, 1200), 2048) * 1_000_000
    whole, cut = plan(counts), plan(counts, 0.05)
    assert (whole.rows, whole.cuts) == (10**9, 0)
    assert cut.rows == math.floor(1200 * 10**9 / (2048 * 0.95))
    assert cut.cuts == cut.least_cuts == 10**9 - cut.rows
    assert cut.pad_tokens <= 0.05 * cut.rows * 2048


def test_a_budget_that_whole_documents_keep_changes_nothing() -> None:
    lengths = np.random.default_rng(0).integers(1, 300, 5000)
    whole, within = plan(histogram(lengths, 512)), plan(histogram(lengths, 512), 0.05)
    assert within.cuts == 0
    assert rows_of(whole)[1].tolist() == rows_of(within)[1].tolist()


@given(corpora(), st.integers(1, 9))
def test_no_row_holds_more_pieces_than_allowed(corpus: tuple[int, list[int]], most: int) -> None:
    sequence_length, lengths = corpus
    for budget in (None, 0.05):
        made = plan(histogram(np.array(lengths, dtype=np.int64), sequence_length), budget, most)
        rows = [row for found in all_parts(made) for *_, row in found]
        held = np.bincount(rows, minlength=made.rows) if rows else np.zeros(0, dtype=np.int64)
        assert len(held) == made.rows
        assert (held <= most).all()
        assert (held > 0).all()
        assert made.tally.sum() == made.rows


@given(st.integers(16, 30).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.integers(1, n), max_size=6))))
def test_the_bound_on_rows_without_cuts_holds(case: tuple[int, list[int]]) -> None:
    sequence_length, lengths = case
    counts = histogram(np.array(lengths, dtype=np.int64), sequence_length)
    fewest = next(
        rows for rows in range(len(lengths) + 1) if not lengths or fits(tuple(lengths), (sequence_length,) * rows)
    )
    assert plan(counts).lower_bound_rows <= rows_without_cuts(counts) <= fewest <= plan(counts).rows


def fits(lengths: tuple[int, ...], rooms: tuple[int, ...]) -> bool:
    if not lengths:
        return True
    return any(
        fits(lengths[1:], (*rooms[:n], room - lengths[0], *rooms[n + 1 :]))
        for n, room in enumerate(rooms)
        if room >= lengths[0]
    )
