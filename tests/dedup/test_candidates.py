"""Candidate pairs of buckets against plain Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.dedup.candidates import candidate_pairs
from corpusmill.dedup.components import EDGE, components
from corpusmill.errors import ConfigError

U64 = np.uint64
rows = st.lists(
    st.tuples(st.sampled_from([0, 1, 2**63, 2**64 - 1]), st.integers(0, 2), st.integers(0, 12)), max_size=60
)


def oracle(keys, documents, rank, hubs):
    """The slow way."""
    buckets = {}
    for key, document in zip(map(tuple, keys), documents, strict=True):
        buckets.setdefault(key, set()).add(document)
    ranks = dict(zip(documents, rank, strict=True))
    pairs = set()
    for bucket in buckets.values():
        best_first = sorted(bucket, key=lambda d: (ranks[d], d))
        pairs |= {(h, d) for k, d in enumerate(best_first) for h in best_first[: min(k, hubs)]}
    return [(d, ranks[d], h, ranks[h]) for h, d in sorted(pairs)]


def pairs_of(keys, documents, rank, hubs=8):
    keys = np.array(keys, dtype=U64).reshape(-1, 2)
    return candidate_pairs(keys, np.array(documents, dtype=U64), np.array(rank, dtype=U64), hubs)


@given(rows=rows, hubs=st.integers(1, 9), seed=st.integers(0, 5))
def test_pairs_are_those_of_plain_python_in_any_order_of_keys(rows, hubs, seed):
    ranks = [(0, 1, 2**64 - 1)[r] for r in np.random.default_rng(seed).integers(0, 3, 13)]
    ordinals = [0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1, *range(10, 17)]
    keys = [row[:2] for row in rows]
    documents = [ordinals[row[2]] for row in rows]
    rank = [ranks[row[2]] for row in rows]
    found = pairs_of(keys, documents, rank, hubs)
    assert found.dtype == EDGE
    assert found.tolist() == oracle(keys, documents, rank, hubs)
    order = np.random.default_rng(seed).permutation(len(rows))
    again = pairs_of([keys[i] for i in order], [documents[i] for i in order], [rank[i] for i in order], hubs)
    assert np.array_equal(again, found)


def test_no_keys():
    assert pairs_of([], [], []).dtype == EDGE
    assert len(pairs_of([], [], [])) == 0


def test_no_duplicates():
    assert len(pairs_of([(n, 7) for n in range(100)], range(100), [0] * 100)) == 0


def test_a_document_that_meets_only_itself():
    assert len(pairs_of([(1, 1)] * 5, [9] * 5, [3] * 5)) == 0


def test_ids_that_collide_are_one_document():
    found = pairs_of([(1, 1)] * 4, [9, 9, 4, 4], [0] * 4)
    assert found[["hub", "document"]].tolist() == [(4, 9)]


@pytest.mark.parametrize("size", range(2, 12))
def test_a_bucket_of_up_to_nine_gives_all_its_pairs(size):
    found = pairs_of([(3, 4)] * size, range(size), [0] * size)
    assert len(found) == sum(min(k, 8) for k in range(size))


def test_a_giant_bucket_costs_eight_pairs_for_each_member():
    n = 200_000
    found = pairs_of(np.ones((n, 2)), range(n), [0] * n)
    assert len(found) == 8 * n - 36
    assert np.unique(found["hub"]).tolist() == list(range(8))
    linked = components(found)
    assert len(linked.document) == n
    assert np.all(linked.survivor == 0)


def test_keys_alike_in_one_half_are_different_buckets():
    assert len(pairs_of([(1, 1), (1, 2), (2, 1), (2, 2)], range(4), [0] * 4)) == 0
    found = pairs_of([(1, 1), (1, 2), (1, 1), (1, 2)], range(4), [0] * 4)
    assert found[["hub", "document"]].tolist() == [(0, 2), (1, 3)]


def test_the_better_rank_is_the_hub():
    found = pairs_of([(1, 1)] * 3, [1, 2, 3], [5, 4, 4])
    assert found[["document", "rank", "hub", "hub_rank"]].tolist() == [(1, 5, 2, 4), (3, 4, 2, 4), (1, 5, 3, 4)]


@pytest.mark.parametrize("hubs", [0, -1])
def test_hubs_out_of_range(hubs):
    with pytest.raises(ConfigError, match=f"hubs = {hubs}"):
        pairs_of([], [], [], hubs)
