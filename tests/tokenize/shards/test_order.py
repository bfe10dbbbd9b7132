"""The order of rows: every row once for any world and any batch, and nothing in it that a statistic would see."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.tokenize.shards.order import Reading, State, as_state, epoch_order

SIZES = [1_000_003, 1 << 20, 10_000_000]
"""A prime, a power of two, and the size at which a network of few rounds was seen to leak parity."""
WINDOW = 100_000
RAMPS = [1, 4, 7, [(0, 1), (10, 3), (11, 8)], [(0, 2), (230, 5)]]


def order(n: int, epoch: int = 1, seed: int = 5) -> np.ndarray:
    return epoch_order(np.arange(min(n, 4 * WINDOW)), n, epoch, seed)


@pytest.mark.parametrize("n", SIZES)
def test_parity_does_not_leak(n: int) -> None:
    """levanter's network gave 1000 of the first 1024 the same parity. Four standard deviations are allowed."""
    for first in range(0, WINDOW, WINDOW // 8):
        part = order(n)[first : first + 1024]
        for bit in range(4):
            assert abs(int((part >> bit & 1).sum()) - 512) < 4 * 16
        assert abs(int((part >= n // 2).sum()) - 512) < 4 * 16


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("lag", [1, 2, 3, 7, 8, 64, 1024, 4096])
def test_no_correlation_of_places_or_at_a_lag(n: int, lag: int) -> None:
    values = order(n).astype(np.float64)
    limit = 5 / math.sqrt(len(values))
    assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) < limit
    assert abs(np.corrcoef(values, np.arange(len(values)))[0, 1]) < limit
    steps = (order(n)[lag:] - order(n)[:-lag]) % n
    low = int((steps < n // 16).sum())
    assert abs(low - len(steps) / 16) < 5 * math.sqrt(len(steps) * 15 / 256)


@pytest.mark.parametrize("n", SIZES)
def test_sources_come_in_runs_no_longer_than_by_chance(n: int) -> None:
    """Sources that lie one behind the other in the shards, a tenth and nine tenths of the rows (marin#1803)."""
    first = order(n) < n // 10
    runs = 1 + int((first[1:] != first[:-1]).sum())
    share = first.mean()
    expected = 1 + 2 * share * (1 - share) * (len(first) - 1)
    assert abs(share - 0.1) < 5 * math.sqrt(0.09 / len(first))
    assert abs(runs - expected) < 5 * 2 * math.sqrt(len(first)) * share
    changes = np.flatnonzero(first[1:] != first[:-1]) + 1
    lengths = np.diff([0, *changes, len(first)])
    rare = lengths[0 if first[0] else 1 :: 2]
    assert rare.max() <= 2 + math.log(len(first)) / math.log(10) + 4


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("window", [2_000, 20_000, 4 * WINDOW])
def test_every_window_covers_the_rows_evenly(n: int, window: int) -> None:
    """streaming#796: shuffles that are good at the start of an epoch only. Chi square of 100 parts."""
    places = (0, n // 3, n - window)
    for first in places:
        counts = np.bincount(epoch_order(np.arange(first, first + window), n, 2, 9) * 100 // n, minlength=100)
        expected = window / 100
        left = 1 - window / n  # a sample without replacement varies less
        chi_squared = ((counts - expected) ** 2 / expected).sum() / left
        assert 99 - 5 * math.sqrt(198) < chi_squared < 99 + 6 * math.sqrt(198)


@pytest.mark.parametrize("n", [*SIZES[:2], 1, 2, 3, 1000])
def test_every_row_once(n: int) -> None:
    seen = np.zeros(n, dtype=bool)
    seen[epoch_order(np.arange(n), n, 3, 1)] = True
    assert seen.all()


def test_epochs_do_not_repeat_each_other() -> None:
    """nanotron#237. Two epochs share a place for a row once on average."""
    n = 100_000
    orders = [epoch_order(np.arange(n), n, epoch, 0) for epoch in range(5)]
    assert orders[0].tolist() == list(range(n))
    for one, other in [*pairwise(orders), (orders[1], orders[3])]:
        assert (one == other).sum() < 10
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / math.sqrt(n)


def sequence(rows: int, batch_rows: object, world_size: int, state: State, seed: int = 3) -> list[int]:
    """The rows in the order in which all ranks together read them."""
    ranks = [Reading(rows, batch_rows, state, rank, world_size, seed) for rank in range(world_size)]
    found: list[int] = []
    steps = [list(rank.steps()) for rank in ranks]
    assert all(each == steps[0] for each in steps)
    for begin, end, _ in steps[0]:
        parts = [rank.mine(begin, end).tolist() for rank in ranks]
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        found += [part[turn] for turn in range(max(map(len, parts))) for part in parts if turn < len(part)]
    return found


@pytest.mark.parametrize("world_size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("batch_rows", RAMPS, ids=str)
@pytest.mark.parametrize("epoch", [0, 1])
def test_any_world_and_any_ramp_read_the_same(world_size: int, batch_rows: object, epoch: int) -> None:
    wanted = epoch_order(np.arange(227), 227, epoch, 3).tolist()
    assert sequence(227, batch_rows, world_size, State(epoch)) == wanted
    assert sorted(wanted) == list(range(227))


@given(
    rows=st.integers(1, 60),
    worlds=st.lists(st.integers(1, 8), min_size=1, max_size=5),
    batch=st.integers(1, 9),
    stops=st.lists(st.integers(1, 4), min_size=5, max_size=5),
)
def test_stopping_and_going_on_in_another_world(rows: int, worlds: list[int], batch: int, stops: list[int]) -> None:
    """llm-foundry#1277, litdata#316: a state is a position, whoever goes on from it."""
    state, seen = State(), []
    for world_size, stop in zip(worlds, stops, strict=False):
        for begin, end, after in list(Reading(rows, batch, state, 0, world_size, 0, epochs=5).steps())[:stop]:
            seen += epoch_order(np.arange(begin.row, end), rows, begin.epoch, 0).tolist()
            state = after
    whole = [row for epoch in range(30) for row in epoch_order(np.arange(rows), rows, epoch, 0).tolist()]
    assert seen == whole[: len(seen)]
    assert len(seen) == state.epoch * rows + state.row


def test_a_ramp_goes_by_rows_read_across_epochs() -> None:
    reading = Reading(10, [(0, 2), (14, 5)], State(), world_size=1, epochs=2)
    assert [(begin.epoch, begin.row, end) for begin, end, _ in reading.steps()] == [
        *((0, at, at + 2) for at in range(0, 10, 2)),
        *((1, 0, 2), (1, 2, 4), (1, 4, 9), (1, 9, 10)),
    ]
    resumed = Reading(10, [(0, 2), (14, 5)], State(1, 4), epochs=1)
    assert [(begin.row, end) for begin, end, _ in resumed.steps()] == [(4, 9), (9, 10)]


def test_epochs() -> None:
    assert list(Reading(5, 2, State(), epochs=0).steps()) == []
    assert [after for *_, after in Reading(5, 5, State(4, 5), epochs=2).steps()] == [State(6, 0)]
    endless = Reading(3, 3, State(), epochs=None).steps()
    assert [next(endless)[2] for _ in range(4)] == [State(n) for n in range(1, 5)]
    assert list(Reading(0, 1, State(), epochs=None).steps()) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"batch_rows": 0}, "batch_rows"),
        ({"batch_rows": []}, "batch_rows"),
        ({"batch_rows": [(1, 4)]}, "batch_rows"),
        ({"batch_rows": [(0, 4), (8, 2), (8, 1)]}, "batch_rows"),
        ({"batch_rows": [(0, 4), (8, 0)]}, "batch_rows = 0"),
        ({"world_size": 0}, "world_size"),
        ({"rank": 2, "world_size": 2}, "rank = 2, wanted 0 to 1"),
        ({"rank": -1}, "rank"),
        ({"epochs": -1}, "epochs"),
        ({"state": State(-1, 0)}, r"state\.epoch"),
        ({"state": State(0, 11)}, r"state\.row = 11, wanted 0 to 10"),
    ],
)
def test_arguments_out_of_range(changes: dict[str, object], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        Reading(**{"rows": 10, "batch_rows": 2, "state": State(), **changes})


def test_a_state_is_two_numbers() -> None:
    assert as_state(None) == State(0, 0)
    assert as_state({"epoch": 2, "row": 7}) == as_state(State(2, 7)) == State(2, 7)
