"""The Bloom filter alone: nothing is forgotten, strangers are taken for known as often as the formula says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numba import njit

from corpusmill.dedup.bloom_filter import (
    BLOCK_BITS,
    BloomFilter,
    contains,
    empty_filter,
    false_positive_rate,
    filter_from_bytes,
    filter_size,
    insert,
    prefetch,
)
from corpusmill.errors import IntegrityError


@njit
def put_all(words, hashes, items):
    new = 0
    for item in items:
        prefetch(words, item)
        new += insert(words, hashes, item)
    return new


@njit
def ask_all(words, hashes, items):
    known = 0
    for item in items:
        known += contains(words, hashes, item)
    return known


def draw(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def filled(items: np.ndarray, rate: float, expected: int | None = None) -> BloomFilter:
    made = empty_filter(expected or len(items), rate, kind=0, width=13, seed=7)
    made.items = put_all(made.words, made.hashes, items)
    return made


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.01, 0.001])
def test_strangers_are_taken_for_known_as_often_as_the_formula_says(rate: float) -> None:
    n, asked, filters = 30_000, 400_000, 10
    wrong = 0
    for seed in range(filters):
        made = filled(draw(seed, n), rate)
        assert ask_all(made.words, made.hashes, draw(seed, n)) == n
        wrong += ask_all(made.words, made.hashes, draw(seed + 1000, asked))
    wanted = false_positive_rate(made.blocks, made.hashes, n)
    assert 0.99 * rate < wanted <= rate
    # strangers, and how full the blocks happen to be, which varies from filter to filter
    sigma = math.sqrt(wanted * (1 - wanted) / (filters * asked)) + wanted * 0.005
    assert abs(wrong / (filters * asked) - wanted) < 4 * sigma


def test_below_its_load_a_filter_is_better_and_above_it_worse() -> None:
    blocks, hashes = filter_size(10_000, 0.01)
    assert false_positive_rate(blocks, hashes, 5_000) < 0.001
    assert false_positive_rate(blocks, hashes, 20_000) > 0.1
    assert false_positive_rate(blocks, hashes, 0) == 0


@pytest.mark.parametrize(("rate", "bits"), [(0.1, 4.84), (0.01, 9.93), (0.001, 15.55), (1e-6, 39.6)])
def test_bits_per_item(rate: float, bits: float) -> None:
    blocks, hashes = filter_size(10**9, rate)
    assert blocks * BLOCK_BITS / 10**9 == pytest.approx(bits, rel=0.005)
    assert false_positive_rate(blocks, hashes, 10**9) <= rate < false_positive_rate(blocks - 1, hashes, 10**9)
    plain = math.log(1 / rate) / math.log(2) ** 2
    assert plain < bits


@pytest.mark.parametrize("items", [1, 2, 3, 100])
def test_the_smallest_filters(items: int) -> None:
    made = filled(draw(1, items), 0.01)
    assert made.blocks >= 1
    assert made.items == items
    assert ask_all(made.words, made.hashes, draw(1, items)) == items


def test_all_bits_are_in_use() -> None:
    """datatrove's filter masks with its size in place of a division: two places of a million are reachable."""
    for expected in (1000, 1024, 4097):
        made = filled(draw(3, 60 * expected), 0.1, expected)
        assert (made.words == np.uint64(0xFFFFFFFFFFFFFFFF)).all()


def test_blocks_are_equally_likely() -> None:
    made = filled(draw(5, 20_000), 0.5, 10**6)  # one bit for each item, of which few meet
    bits = np.bitwise_count(made.words.reshape(-1, 8)).sum(axis=1)
    load = 20_000 / made.blocks
    assert 0.98 * load < bits.mean() <= load
    assert 0.89 * load < bits.var() < 1.11 * load  # Poisson's


def test_the_highest_and_lowest_hash() -> None:
    made = filled(np.array([0, 2**64 - 1], dtype=np.uint64), 0.01, 10_000)
    assert made.words[:8].any()
    assert made.words[-8:].any()
    assert not made.words[8:-8].any()


def test_stored_and_read_again() -> None:
    made = filled(draw(2, 5000), 0.01)
    again = filter_from_bytes(made.to_bytes(), empty_filter(5000, 0.01, kind=0, width=13, seed=7))
    assert np.array_equal(again.words, made.words)
    assert (again.hashes, again.kind, again.width, again.seed) == (made.hashes, made.kind, made.width, made.seed)
    assert again.items == made.items
    assert again.words.flags.writeable
    assert len(made.to_bytes()) == 48 + 64 * made.blocks
    assert again.to_bytes() == made.to_bytes()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"seed": 8}, "seed = 7, this step 8"),
        ({"width": 5}, "ngram_words = 13, this step 5"),
        ({"kind": 1}, "kind = 0, this step 1"),
        ({"rate": 0.001}, "hashes = 7, this step 10"),
        ({"items": 6000}, "blocks = "),
    ],
)
def test_a_filter_of_another_kind_is_refused(wanted: dict[str, float], message: str) -> None:
    stored = filled(draw(2, 5000), 0.01).to_bytes()
    facts = {"items": 5000, "rate": 0.01, "kind": 0, "width": 13, "seed": 7} | wanted
    with pytest.raises(IntegrityError, match=message):
        filter_from_bytes(stored, empty_filter(**facts))


def test_a_damaged_filter_is_refused() -> None:
    like = empty_filter(100, 0.01, kind=0, width=13, seed=7)
    stored = like.to_bytes()
    for broken in (b"", b"cmbloom", stored[:40], b"x" + stored[1:]):
        with pytest.raises(IntegrityError, match="no stored filter"):
            filter_from_bytes(broken, like)
    for broken in (stored[:-1], stored + b"\0", stored[:48]):
        with pytest.raises(IntegrityError, match="cut or damaged"):
            filter_from_bytes(broken, like)
    with pytest.raises(IntegrityError, match="format 9"):
        filter_from_bytes(stored[:8] + b"\x09" + stored[9:], like)
