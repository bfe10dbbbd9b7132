"""Edges, components and their survivors, against plain Python."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup import components as module
from corpusmill.dedup.candidates import candidate_pairs
from corpusmill.dedup.components import EDGE, components, contract, contract_blocks

LARGEST = 2**64 - 1


def edges_of(keys, documents, ranks):
    return candidate_pairs(
        np.array(keys, dtype=np.uint64).reshape(-1, 2),
        np.array(documents, dtype=np.uint64),
        np.array(ranks, dtype=np.uint64),
        hubs=1,
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
def test_stars_of_buckets_join_documents_of_equal_keys_and_no_others(rows, rank):
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
    edges = candidate_pairs(keys, documents, np.zeros(100_000, dtype=np.uint64), hubs=1)
    pairs = documents.reshape(-1, 2)
    wanted = sorted(zip(pairs.max(1).tolist(), pairs.min(1).tolist(), strict=True))
    assert sorted(zip(edges["document"].tolist(), edges["hub"].tolist(), strict=True)) == wanted


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
    edges = candidate_pairs(np.full((n, 2), 5, dtype=np.uint64), documents, rank, hubs=1)
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


class UnionFind:
    """The textbook's, in plain Python."""

    def __init__(self):
        self.parent = {}

    def root(self, x):
        self.parent.setdefault(x, x)
        while self.parent[x] != x:
            x = self.parent[x]
        return x


@settings(deadline=None)
@given(pairs=graphs, rank=rank_maps, cuts=st.lists(st.integers(0, 40), max_size=5))
def test_blocks_of_edges_against_union_find(pairs, rank, cuts):
    plain = UnionFind()
    for a, b in pairs:
        if a != b:
            plain.parent[plain.root(a)] = plain.root(b)
    best = {}
    for d in plain.parent:
        root = plain.root(d)
        best[root] = min(best.get(root, (rank[d], d)), (rank[d], d))
    stars = [(d, rank[d], *reversed(best[plain.root(d)])) for d in sorted(plain.parent)]
    bounds = [0, *sorted(cuts), len(pairs)]
    edges = linked(pairs, rank)
    blocks = (edges[a:b] for a, b in pairwise(bounds))
    assert contract_blocks(blocks).tolist() == [star for star in stars if star[0] != star[2]]


def test_loops_are_ignored():
    assert len(contract(linked([(4, 4), (4, 4)], {4: 0}))) == 0
    assert contract(linked([(4, 4), (5, 4), (6, 6)], {4: 0, 5: 0, 6: 0})).tolist() == [(5, 0, 4, 0)]


def test_no_blocks_at_all():
    assert len(contract_blocks([])) == 0
    assert contract_blocks([]).dtype == EDGE


def test_many_documents_make_the_tables_grow():
    n = 300_000
    rng = np.random.default_rng(2)
    edges = np.zeros(n, dtype=EDGE)
    edges["document"] = rng.integers(0, 2**64, n, dtype=np.uint64)
    edges["hub"] = edges["document"] ^ np.uint64(1)
    edges["hub_rank"] = 1
    stars = contract_blocks(edges[k : k + 1000] for k in range(0, n, 1000))
    assert stars.tobytes() == np.sort(contract(edges), order="document").tobytes()
    wanted = np.unique(edges["hub"])
    assert np.array_equal(stars["document"], wanted)
    assert np.array_equal(stars["hub"], wanted ^ np.uint64(1))


def test_more_documents_than_numbers(monkeypatch):
    monkeypatch.setattr(module, "_MOST_DOCUMENTS", 5)
    with pytest.raises(MemoryError, match="contract by rounds"):
        contract(linked([(1, 2), (3, 4), (5, 6)], dict.fromkeys(range(7), 0)))


@settings(deadline=None)
@given(pairs=graphs, rank=rank_maps)
def test_counts_of_cluster_sizes(pairs, rank):
    clusters = dict(search(pairs, rank).values())
    sizes, counts = components(linked(pairs, rank)).size_counts()
    plain = list(clusters.values())
    wanted = [(size, plain.count(size)) for size in sorted(set(plain))]
    assert list(zip(sizes.tolist(), counts.tolist(), strict=True)) == wanted
    assert (sizes.dtype, counts.dtype) == (np.int64, np.int64)
