"""Edges, components, survivors and ranks, against plain Python."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup.components import EDGE, bucket_edges, check_keep, components, contract, rank_of
from corpusmill.errors import ConfigError

LARGEST = 2**64 - 1


def edges_of(keys, documents, ranks):
    return bucket_edges(
        np.array(keys, dtype=np.uint64).reshape(-1, 2),
        np.array(documents, dtype=np.uint64),
        np.array(ranks, dtype=np.uint64),
    )


def linked(pairs, rank):
    """EDGE array of (document, hub) pairs."""
    return np.array([(a, rank[a], b, rank[b]) for a, b in pairs], dtype=EDGE)


def search(pairs, rank):
    """{document: (survivor, cluster size)} by breadth-first search."""
    near = {}
    for a, b in pairs:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    found = {}
    for begin in near:
        if begin in found:
            continue
        cluster, queue = {begin}, [begin]
        while queue:
            fresh = near[queue.pop()] - cluster
            cluster |= fresh
            queue.extend(fresh)
        best = min(cluster, key=lambda d: (rank[d], d))
        found.update({d: (best, len(cluster)) for d in cluster})
    return {d: v for d, v in found.items() if v[1] > 1}


def as_dict(found):
    rows = zip(found.survivor.tolist(), found.cluster_size.tolist(), strict=True)
    return dict(zip(found.document.tolist(), rows, strict=True))


ordinals = st.one_of(st.integers(0, 12), st.integers(LARGEST - 3, LARGEST))
graphs = st.lists(st.tuples(ordinals, ordinals), max_size=40)
rank_maps = st.fixed_dictionaries(
    dict.fromkeys([*range(13), *range(LARGEST - 3, LARGEST + 1)], st.sampled_from([0, 1, 2, 2**63, LARGEST]))
)


@settings(deadline=None)
@given(pairs=graphs, rank=rank_maps)
def test_components_are_those_of_a_search(pairs, rank):
    found = components(linked(pairs, rank))
    assert as_dict(found) == search(pairs, rank)
    assert np.all(np.diff(found.document.astype(object)) > 0)


@settings(deadline=None)
@given(pairs=graphs, rank=rank_maps, order=st.randoms(use_true_random=False))
def test_order_direction_and_repetition_of_edges_do_not_matter(pairs, rank, order):
    other = [pair if order.random() < 0.5 else pair[::-1] for pair in pairs * 2]
    order.shuffle(other)
    one, two = components(linked(pairs, rank)), components(linked(other, rank))
    for field in ("document", "survivor", "cluster_size"):
        assert np.array_equal(getattr(one, field), getattr(two, field))


@settings(deadline=None)
@given(pairs=graphs, rank=rank_maps, cut=st.integers(0, 40))
def test_edges_may_be_contracted_piece_by_piece(pairs, rank, cut):
    edges = linked(pairs, rank)
    pieces = np.concatenate([contract(edges[cut:]), contract(edges[:cut])])
    assert np.array_equal(contract(pieces), contract(edges))
    assert len(contract(edges)) == sum(survivor != d for d, (survivor, _) in search(pairs, rank).items())


keyed = st.lists(st.tuples(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.integers(0, 8), st.just(0)), max_size=40)


@settings(deadline=None)
@given(rows=keyed, rank=rank_maps)
def test_bucket_edges_join_documents_of_equal_keys_and_no_others(rows, rank):
    rows = [(key, document, rank[document]) for key, document, _ in rows]
    edges = edges_of([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])
    best = {}
    for key, document, r in rows:
        best[key] = min(best.get(key, (r, document)), (r, document))
    wanted = {(d, r, best[key][1], best[key][0]) for key, d, r in rows if d != best[key][1]}
    assert sorted(edges.tolist()) == sorted(wanted)


def test_keys_that_share_one_half_are_different_keys():
    assert len(edges_of([(7, 1), (7, 2), (7, 3), (8, 1)], [0, 1, 2, 3], [0] * 4)) == 0
    assert edges_of([(7, 1), (7, 2), (7, 1)], [0, 1, 2], [0] * 3).tolist() == [(2, 0, 0, 0)]


def test_half_equal_keys_in_a_crowd():
    keys = np.zeros((100_000, 2), dtype=np.uint64)
    keys[:, 1] = np.arange(100_000) // 2
    documents = np.random.default_rng(1).permutation(100_000).astype(np.uint64)
    edges = bucket_edges(keys, documents, np.zeros(100_000, dtype=np.uint64))
    pairs = documents.reshape(-1, 2)
    wanted = sorted(zip(pairs.max(1).tolist(), pairs.min(1).tolist(), strict=True))
    assert list(zip(edges["document"].tolist(), edges["hub"].tolist(), strict=True)) == wanted


def test_no_duplicates_at_all():
    edges = edges_of([(n, n) for n in range(5)], range(5), [0] * 5)
    found = components(edges)
    assert len(edges) == len(found.document) == len(found.survivor) == len(found.cluster_size) == 0
    assert (found.document.dtype, found.cluster_size.dtype) == (np.uint64, np.int64)


def test_no_keys_at_all():
    assert len(edges_of([], [], [])) == 0


def test_one_giant_bucket_costs_one_edge_a_document():
    n = 100_000
    documents = np.random.default_rng(0).permutation(n).astype(np.uint64)
    rank = (documents != 777).astype(np.uint64)
    edges = bucket_edges(np.full((n, 2), 5, dtype=np.uint64), documents, rank)
    assert len(edges) == n - 1
    found = components(edges)
    assert np.array_equal(found.document, np.arange(n))
    assert np.all(found.survivor == 777)
    assert np.all(found.cluster_size == n)


def test_one_long_chain_in_the_worst_order():
    n = 100_000
    edges = np.zeros(n - 1, dtype=EDGE)
    edges["document"], edges["hub"] = np.arange(n - 1, 0, -1), np.arange(n - 2, -1, -1)
    found = components(edges)
    assert np.all(found.survivor == 0)
    assert np.all(found.cluster_size == n)


def test_the_best_rank_of_the_whole_component_survives():
    # 0 and 1 share a key, 1 and 2 another; 2 is best though it never met 0.
    edges = edges_of([(1, 1), (1, 1), (2, 2), (2, 2)], [0, 1, 1, 2], [5, 5, 5, 4])
    assert as_dict(components(edges)) == {0: (2, 3), 1: (2, 3), 2: (2, 3)}


def batch(**columns):
    return pa.RecordBatch.from_pydict(columns)


def order_by(policy, table):
    """Rows from best to worst."""
    return np.argsort(rank_of(policy, table), kind="stable").tolist()


def test_first_leaves_it_to_the_ordinal():
    assert rank_of("first", batch(text=["a", "bb"])).tolist() == [0, 0]


def test_longest_counts_bytes():
    table = batch(text=pa.array(["aaa", "éé", "", "aaaa"], pa.large_string()))
    assert rank_of("longest", table).tolist() == [2**63 - 3, 2**63 - 4, 2**63, 2**63 - 4]


def test_newest_with_dates_before_1970_and_null_last():
    day = datetime.datetime
    dates = [day(1969, 1, 1), None, day(2024, 1, 1), day(1970, 1, 1), day(2023, 12, 31)]
    table = batch(text=["a"] * 5, date=pa.array(dates, pa.timestamp("s")))
    assert order_by("newest", table) == [2, 4, 3, 0, 1]
    assert rank_of("newest", table).tolist()[1] == LARGEST


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(width=64)), max_size=30))
def test_best_ranks_by_value_with_null_and_nan_worst(values):
    table = batch(text=["a"] * len(values), **{"x.score": pa.array(values, pa.float64())})
    ranks = rank_of("best:x.score", table).tolist()
    for v, r in zip(values, ranks, strict=True):
        if v is None or v != v:
            assert r == LARGEST
        for w, s in zip(values, ranks, strict=True):
            if None not in (v, w) and v == v and w == w:
                assert (v > w) == (r < s)
                assert (v == w) == (r == s)
                assert r < LARGEST


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.float32(), pa.uint8()])
def test_best_of_whole_numbers(kind):
    table = batch(text=["a"] * 4, n=pa.array([3, None, 0, 7], kind))
    assert order_by("best:n", table) == [3, 0, 2, 1]


def test_best_of_booleans():
    assert order_by("best:b", batch(text=["a"] * 3, b=[False, None, True])) == [2, 0, 1]


def test_best_of_a_slice_of_a_batch():
    table = batch(text=["a"] * 4, n=[9, 3, 1, 5], date=pa.array([9, 3, 1, 5], pa.timestamp("s")))
    for policy in ("best:n", "newest", "longest", "first"):
        assert np.array_equal(rank_of(policy, table.slice(1, 2)), rank_of(policy, table)[1:3])


def test_unknown_signal_names_the_columns():
    with pytest.raises(ConfigError, match=r"no signal 'x\.y'.*columns: text, n"):
        rank_of("best:x.y", batch(text=["a"], n=[1]))


def test_a_signal_that_is_no_number():
    with pytest.raises(ConfigError, match="must be a number, its type is"):
        rank_of("best:label", batch(text=["a"], label=["en"]))


@pytest.mark.parametrize("keep", ["first", "longest", "newest", "best:a.b"])
def test_survivor_policies(keep):
    check_keep("minhash", keep)


@pytest.mark.parametrize("keep", ["", "First", "last", "best", "best:", "best: ", None, 1, ["first"]])
def test_no_survivor_policies(keep):
    with pytest.raises(ConfigError, match="no survivor policy"):
        check_keep("minhash", keep)
