import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.tokenize.packing.place import Permutation, keyed, order_key
from corpusmill.tokenize.packing.place import place as place_parts
from corpusmill.tokenize.packing.plan import Plan, histogram, plan


def place(made: Plan, lengths: np.ndarray, first_ordinal: np.ndarray, seed: int) -> np.ndarray:
    """The rows of pieces none of which is cut, permuted as in a mix that is this plan alone."""
    piece, _, _, row = place_parts(made, lengths, first_ordinal, keyed(seed, "slot", 0))
    assert (piece == np.arange(len(lengths))).all()
    return Permutation(made.rows, keyed(seed, "row")).forward(row)


KEYS = (0, 1, (1 << 64) - 1, keyed(17, "row"))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 1000, 4096, 4097, 100_003])
def test_every_number_is_hit_once(n: int) -> None:
    for key in KEYS:
        assert sorted(Permutation(n, key).forward(np.arange(n)).tolist()) == list(range(n))


@given(st.integers(1, 3000), st.integers(0, (1 << 64) - 1))
def test_bijection(n: int, key: int) -> None:
    assert len(set(Permutation(n, key).forward(np.arange(n)).tolist())) == n


def test_small_domains_reach_every_permutation() -> None:
    for n, permutations in ((2, 2), (3, 6), (4, 24)):
        seen = {tuple(Permutation(n, keyed(i)).forward(np.arange(n)).tolist()) for i in range(2000)}
        assert len(seen) == permutations


@pytest.mark.parametrize("n", [1_000_003, 1 << 24, 50_000_000, (1 << 63) - 1])
def test_parity_of_consecutive_numbers_does_not_leak(n: int) -> None:
    """A weak round function shows here: 1000 of the first 1024 outputs even, or all."""
    for key in KEYS:
        out = Permutation(n, key).forward(np.arange(1024))
        assert 400 < (out & np.uint64(1)).sum() < 624
        top = out >= n // 2
        assert 400 < top.sum() < 624


@pytest.mark.parametrize("lag", [1, 2, 3, 7, 64, 1000])
def test_no_correlation_with_the_input_or_at_a_lag(lag: int) -> None:
    n = 1_000_003
    out = Permutation(n, keyed(3, "lag")).forward(np.arange(200_000)).astype(np.float64)
    assert abs(np.corrcoef(out[:-lag], out[lag:])[0, 1]) < 0.01
    assert abs(np.corrcoef(out, np.arange(len(out)))[0, 1]) < 0.01


def test_outputs_are_spread_evenly() -> None:
    counts = np.bincount((Permutation(1_000_000, 5).forward(np.arange(100_000)) // np.uint64(10_000)).astype(np.int64))
    chi_squared = ((counts - 1000) ** 2 / 1000).sum()
    assert 50 < chi_squared < 160  # 99 degrees of freedom, of a sample without replacement


def test_one_bit_of_input_or_key_flips_half_of_the_output() -> None:
    n, numbers, key = 1 << 32, np.arange(0, 1 << 32, 1 << 20, dtype=np.uint64), keyed(1)
    out = Permutation(n, key).forward(numbers)
    for bit in range(32):
        flipped = Permutation(n, key).forward(numbers ^ np.uint64(1 << bit))
        assert 15.5 < np.bitwise_count(out ^ flipped).mean() < 16.5
    for bit in range(64):
        flipped = Permutation(n, key ^ (1 << bit)).forward(numbers)
        assert 15.5 < np.bitwise_count(out ^ flipped).mean() < 16.5


def test_golden_values() -> None:
    """Shards made before stay reproducible: a change here is a new version."""
    assert keyed(17, "row") == 1177526639567726782
    assert Permutation(1000, 7).forward(np.arange(6)).tolist() == [532, 671, 37, 830, 127, 186]
    assert order_key(np.array([[1, 2], [1, 3]], dtype=np.uint64), np.array([0, 0]), 17).tolist() == [
        6658771755475169864,
        4965899703496078988,
    ]
    made = plan(histogram(np.array([9, 9, 9, 5, 5, 5, 4, 4, 4, 3]), 16))
    rows = place(made, np.array([9, 5, 4, 9, 5, 4, 9, 5, 4, 3]), np.zeros(17, dtype=np.int64), 17)
    assert rows.tolist() == [2, 0, 3, 1, 2, 3, 0, 1, 3, 3]


def test_lengths_as_frequent_as_each_other_are_permuted_apart() -> None:
    lengths = np.tile([9, 5], 500)
    rows = place(plan(histogram(lengths, 16)), lengths, np.zeros(17, dtype=np.int64), 1)
    assert (rows[::2] == rows[1::2]).sum() < 20


def test_shape_and_type_are_kept() -> None:
    permutation = Permutation(100, 1)
    assert permutation.forward(np.zeros((2, 3), dtype=np.int32)).shape == (2, 3)
    assert permutation.forward(np.array([], dtype=np.int64)).dtype == np.uint64


def test_bad_permutations() -> None:
    for n, key in ((-1, 0), (1 << 63, 0), (5, -1), (5, 1 << 64)):
        with pytest.raises(ConfigError, match="a permutation needs"):
            Permutation(n, key)
    for number in (5, -1):
        with pytest.raises(ConfigError, match="permutation of 5 numbers"):
            Permutation(5, 0).forward(np.array([0, number]))


@settings(max_examples=100, deadline=None)
@given(st.integers(16, 100), st.data())
def test_every_piece_has_a_place_and_no_row_is_too_full(sequence_length: int, data: st.DataObject) -> None:
    lengths = np.array(data.draw(st.lists(st.integers(1, sequence_length), min_size=1, max_size=300)))
    made = plan(histogram(lengths, sequence_length))
    nothing = np.zeros(sequence_length + 1, dtype=np.int64)
    rows = place(made, lengths, nothing, seed=data.draw(st.integers(0, 99)))
    filled = np.bincount(rows.astype(np.int64), weights=lengths, minlength=made.rows)
    assert len(filled) == made.rows
    assert 0 < filled.min() <= filled.max() <= sequence_length
    assert not nothing.any()


@given(st.integers(0, 200))
def test_whoever_cuts_the_corpus_gets_the_same_rows(cut: int) -> None:
    lengths = np.random.default_rng(0).integers(1, 33, 200)
    made = plan(histogram(lengths, 32))
    whole = place(made, lengths, np.zeros(33, dtype=np.int64), 5)
    before = histogram(lengths[:cut], 32)
    assert place(made, lengths[:cut], np.zeros(33, dtype=np.int64), 5).tolist() == whole[:cut].tolist()
    assert place(made, lengths[cut:], before, 5).tolist() == whole[cut:].tolist()


def test_rows_are_mixed() -> None:
    """Plan order is long pieces first; in the output every part of the rows holds the same mix of lengths."""
    lengths = np.random.default_rng(0).integers(1, 65, 40_000)
    made = plan(histogram(lengths, 64))
    rows = place(made, lengths, np.zeros(65, dtype=np.int64), 1).astype(np.float64)
    assert abs(np.corrcoef(rows, lengths)[0, 1]) < 0.02
    assert abs(np.corrcoef(rows, np.arange(len(rows)))[0, 1]) < 0.02
    others = place(made, lengths, np.zeros(65, dtype=np.int64), 2)
    assert (others == rows).mean() < 0.01


def test_pieces_that_were_not_planned() -> None:
    made = plan(histogram(np.array([5, 5, 9]), 16))
    nothing = np.zeros(17, dtype=np.int64)
    with pytest.raises(ConfigError, match="more pieces of 5 tokens than the 2 planned"):
        place(made, np.array([5, 9, 5, 5]), nothing, 1)
    for lengths in ([0], [17]):
        with pytest.raises(ConfigError, match="pieces of 1 to 16 tokens"):
            place(made, np.array(lengths), nothing, 1)
    with pytest.raises(ConfigError, match="as many first ordinals"):
        place(made, np.array([5]), np.zeros(16, dtype=np.int64), 1)


def test_order_keys_depend_on_all_they_are_given() -> None:
    ids = np.array([[1, 2], [1, 2], [2, 1], [1, 3]], dtype=np.uint64)
    offsets = np.array([0, 16, 0, 0], dtype=np.uint32)
    keys = order_key(ids, offsets, 1)
    assert len(set(keys.tolist())) == 4
    assert order_key(ids[::-1], offsets[::-1], 1).tolist() == keys[::-1].tolist()
    assert not set(order_key(ids, offsets, 2).tolist()) & set(keys.tolist())


def test_labels_are_kept_apart() -> None:
    assert len({keyed(1, "a", "b"), keyed(1, "ab"), keyed(1, "a"), keyed(2, "a"), keyed(1, "b", "a"), keyed(1)}) == 6
