"""Contraction by rounds, against contraction in memory and plain Python."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.dedup.components import EDGE, components_of_stars, contract
from corpusmill.dedup.contraction import (
    POST,
    Turn,
    cluster_sizes,
    count_losers,
    first_post,
    partition_of,
    sizes_of,
    turn,
)

END = 2**64
NOTHING = np.empty(0, dtype=EDGE)


def contract_rounds(store, parts, most=256):
    """Turns of every part until a round changes nothing, as `pipeline/rounds.py` does: how many rounds."""
    for number in range(1, most + 1):
        said = [turn(store.own(part), store.post(part), part, parts) for part in range(parts)]
        for part, each in enumerate(said):
            store.put(part, each)
        store.end_round()
        if not any(each.changed for each in said):
            return number
    raise AssertionError(f"no end after {most} rounds")


class Slots:
    """A store in memory; `most` is the largest number of edges that a part was given in any round but the first."""

    def __init__(self, found, parts):
        self.parts, self.most = parts, 0
        self.last_own, self.last_post = {}, [first_post(block, parts) for block in found]
        self.begin_round()

    def begin_round(self):
        self.next_own, self.next_post = {}, []

    def own(self, part):
        return self.last_own.get(part, NOTHING)

    def post(self, part):
        blocks = []
        for post in self.last_post:
            first, last = np.searchsorted(post["to"], np.array([2 * part, 2 * part + 2], dtype=np.uint64))
            blocks.append(post[first:last])
        if self.last_own:
            self.most = max(self.most, len(self.own(part)) + sum(map(len, blocks)))
        return blocks

    def put(self, part, said):
        assert np.all(np.diff(said.own["document"].astype(object)) > 0)
        assert np.all(partition_of(said.own["document"], self.parts) == part)
        self.next_own[part] = said.own
        self.next_post.append(said.post)

    def end_round(self):
        self.last_own, self.last_post = self.next_own, self.next_post
        self.begin_round()

    def result(self):
        return np.sort(np.concatenate([self.own(part) for part in range(self.parts)]), order="document")


class Maps(Slots):
    """The same in files of raw records that are read by memory map, a slice at a time."""

    def __init__(self, found, parts, folder):
        super().__init__(found, parts)
        self.folder, self.files = folder, 0

    def mapped(self, records):
        self.files += 1
        path = self.folder / str(self.files)
        path.write_bytes(records.tobytes())
        return np.memmap(path, records.dtype, mode="r") if len(records) else records

    def put(self, part, said):
        super().put(part, Turn(self.mapped(said.own), self.mapped(said.post), said.changed))


def linked(left, right, rank):
    edges = np.empty(len(left), dtype=EDGE)
    edges["document"], edges["hub"] = left, right
    edges["rank"], edges["hub_rank"] = rank[left], rank[right]
    return edges


def check(edges, parts, blocks=3):
    """Contract by rounds, compare with `contract` byte for byte; gives the rounds and the store."""
    store = Slots([edges[n::blocks] for n in range(blocks)], parts)
    rounds = contract_rounds(store, parts)
    assert store.result().tobytes() == contract(edges).tobytes()
    return rounds, store


ordinals = st.one_of(st.integers(0, 20), st.integers(END - 4, END - 1))
ranks = st.fixed_dictionaries(dict.fromkeys([*range(21), *range(END - 4, END)], st.sampled_from([0, 1, END - 1])))
graphs = st.lists(st.tuples(ordinals, ordinals), max_size=60)


def edges_of(pairs, rank):
    return np.array([(a, rank[a], b, rank[b]) for a, b in pairs], dtype=EDGE)


@given(pairs=graphs, rank=ranks, parts=st.integers(1, 9))
def test_any_parts_give_what_contract_gives(pairs, rank, parts):
    check(edges_of(pairs, rank), parts)


@given(
    pairs=graphs, rank=ranks, order=st.randoms(use_true_random=False), parts=st.integers(1, 9), blocks=st.integers(1, 9)
)
def test_order_direction_repetition_and_blocks_of_edges_do_not_matter(pairs, rank, order, parts, blocks):
    other = [pair if order.random() < 0.5 else pair[::-1] for pair in pairs * 2]
    order.shuffle(other)
    _, store = check(edges_of(other, rank), parts, blocks)
    assert store.result().tobytes() == contract(edges_of(pairs, rank)).tobytes()


@given(pairs=graphs, rank=ranks, parts=st.integers(1, 5), ranges=st.lists(st.integers(1, END - 1), max_size=3))
def test_cluster_sizes_range_by_range(pairs, rank, parts, ranges):
    edges = edges_of(pairs, rank)
    _, store = check(edges, parts)
    counts = [count_losers(store.own(part)) for part in range(parts)]
    sizes = []
    for low, high in pairwise([0, *sorted(ranges), END]):
        of_range = [count[[low <= d < high for d in count["document"].tolist()]] for count in counts]
        sizes.append(cluster_sizes(of_range))
    found = components_of_stars(contract(edges))
    wanted = dict(zip(found.document.tolist(), found.cluster_size.tolist(), strict=True))
    for part in range(parts):
        own = store.own(part)
        assert sizes_of(own, sizes).tolist() == [wanted[d] for d in own["document"].tolist()]
    survivors = [row for block in sizes for row in block.tolist()]
    assert sorted(survivors) == sorted({(s, wanted[s]) for s in found.survivor.tolist()})


@pytest.mark.parametrize("parts", [1, 2, 3, 64, 1000])
def test_neighbours_are_spread_evenly(parts):
    of = partition_of(np.arange(100_000, dtype=np.uint64), parts)
    counts = np.bincount(of.astype(np.int64), minlength=parts)
    assert len(counts) == parts
    assert np.all(np.abs(counts - 100_000 / parts) <= 6 * np.sqrt(100_000 / parts))  # six standard deviations


def test_no_edges_at_all():
    rounds, store = check(NOTHING, 4)
    assert (rounds, len(store.result())) == (1, 0)
    assert len(cluster_sizes([])) == 0
    assert contract_rounds(Slots([], 3), 3) == 1


def test_loops_are_ignored():
    rank = np.zeros(8, dtype=np.uint64)
    _, store = check(linked(np.array([3, 5, 5]), np.array([3, 5, 2]), rank), 3)
    assert store.result().tolist() == [(5, 0, 2, 0)]


def test_more_parts_than_documents():
    rank = np.array([3, 2, 1, 0], dtype=np.uint64)
    check(linked(np.array([0, 1, 2]), np.array([1, 2, 3]), rank), 50)


@pytest.mark.parametrize("parts", [1, 2, 7, 16])
def test_one_giant_star_is_spread_over_the_parts(parts):
    n = 60_000
    rank = np.ones(n, dtype=np.uint64)
    rank[31_000] = 0
    others = np.delete(np.arange(n), 31_000)
    rounds, store = check(linked(others, np.full(n - 1, 31_000), rank), parts)
    assert rounds <= 4
    assert store.most <= 1.05 * n / parts + 2 * parts  # its own documents, and a word with each other part


@pytest.mark.parametrize("order", ["rising", "shuffled"])
def test_one_long_path(order):
    n = 30_000
    nodes = np.arange(n) if order == "rising" else np.random.default_rng(3).permutation(n)
    rounds, store = check(linked(nodes[1:], nodes[:-1], np.zeros(n, dtype=np.uint64)), 8)
    assert rounds <= 2 * n.bit_length() + 4
    assert np.all(store.result()["hub"] == 0)


def test_random_graphs_and_ranks():
    rng = np.random.default_rng(5)
    for links in (5_000, 20_000, 60_000):
        n = 20_000
        rank = rng.integers(0, 50, n).astype(np.uint64)
        check(linked(rng.integers(0, n, links), rng.integers(0, n, links), rank), 8)


def test_parts_in_files_read_by_memory_map(tmp_path):
    rng = np.random.default_rng(6)
    n = 5_000
    edges = linked(rng.integers(0, n, n), rng.integers(0, n, n), rng.integers(0, 9, n).astype(np.uint64))
    store = Maps([edges], 5, tmp_path)
    contract_rounds(store, 5)
    assert isinstance(store.own(0), np.memmap)
    assert store.result().tobytes() == contract(edges).tobytes()


def test_what_a_part_says():
    rank = np.zeros(1000, dtype=np.uint64)
    owner = partition_of(np.arange(1000, dtype=np.uint64), 2)
    (a, b, c), (x, y) = np.flatnonzero(owner == 0)[1:4], np.flatnonzero(owner == 1)[[0, -1]]
    # Part 0 owns a < b < c: b and c lead to a, a leads to the other part's x, whose y asks about a.
    mail, ask = np.zeros(1, dtype=POST), np.zeros(1, dtype=POST)
    mail["document"], mail["hub"], mail["to"] = a, x, 0
    ask["document"], ask["hub"], ask["to"] = y, a, 1
    said = turn(linked([b, c], [a, a], rank), [ask, mail], 0, 2)
    assert said.changed
    assert said.own.tolist() == [(a, 0, x, 0), (b, 0, x, 0), (c, 0, x, 0)]
    assert said.post.tolist() == [(y, 0, x, 0, 2), (a, 0, x, 0, 3)]
    # Nothing new: the ask is repeated, and the one that the other part repeats is not answered.
    ask["hub"] = a
    settled = turn(linked([b, c], [a, a], rank), [ask], 0, 2)
    assert not settled.changed
    assert len(settled.post) == 0
