"""From edges between documents to survivors: connected components, and the one that stays of each.

A document is a uint64 ordinal with a rank, uint64, smaller is better. Everywhere in this file "best" is the smallest
(rank, ordinal), so no result depends on the order or the repetition of keys and edges.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.dedup.survivors import UInt64
from corpusmill.scan import finish_hash

EDGE = np.dtype([("document", "<u8"), ("rank", "<u8"), ("hub", "<u8"), ("hub_rank", "<u8")])
"""A link from a document to one that is better (`hub`), with the ranks of both: 32 bytes."""

Edges = npt.NDArray[np.void]

_CHUNK = 1 << 18  # edges joined between two looks at whether there is room
_MOST_DOCUMENTS = 0xFFFFFFFF


@dataclass(frozen=True)
class Components:
    """Every document of every component of two or more, sorted by document.

    document      uint64[m], ordinals
    survivor      uint64[m], the best document of its component (itself, for the survivor)
    cluster_size  int64[m], documents in its component
    """

    document: UInt64
    survivor: UInt64
    cluster_size: npt.NDArray[np.int64]

    def size_counts(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(sizes, clusters), int64[k] each: how many clusters have each size that occurs, by rising size."""
        sizes, clusters = np.unique(self.cluster_size[self.document == self.survivor], return_counts=True)
        return sizes, clusters


def contract(edges: Edges) -> Edges:
    """EDGE[c], sorted by document: the same components with one edge for each document but the survivors.

    The hub of each edge is the survivor. Edges may be contracted piece by piece, in any order:
    `contract(a + b) == contract(contract(a) + contract(b))`. Loops are ignored.
    """
    return contract_blocks([edges])


def contract_blocks(blocks: Iterable[Edges]) -> Edges:
    """`contract` of all the blocks together, one block in memory at a time.

    Memory goes with the d different documents, not with the edges: at most 90 bytes for each besides the block
    (measured: 56 to 74). Raises MemoryError for 2**32 documents or more.
    """
    forest = _Forest()
    for block in blocks:
        forest.add(block)
    return forest.stars()


class _Forest:
    """Union-find over documents, numbered as they come, so that memory goes with them alone.

    _nodes  uint64[room, 3]: ordinal, rank and the number of the parent, together in memory as they are read together
    _table  hash table of numbers + 1, 0 where it is empty
    """

    def __init__(self) -> None:
        self._count = 0
        self._nodes = np.empty((64, 3), dtype=np.uint64)
        self._table = np.zeros(128, dtype=np.uint32)

    def add(self, edges: Edges) -> None:
        """Join the two ends of every edge."""
        words = np.ascontiguousarray(edges).view(np.uint64).reshape(-1, 4)
        for begin in range(0, len(words), _CHUNK):
            chunk = words[begin : begin + _CHUNK]
            self._make_room(self._count + 2 * len(chunk))
            self._count = _join(chunk, self._table, self._nodes, self._count)

    def _make_room(self, most: int) -> None:
        """Make room for `most` documents, and keep the table half empty at least."""
        if most > _MOST_DOCUMENTS:
            raise MemoryError(f"{most:,} documents to join in memory; at most {_MOST_DOCUMENTS:,}: contract by rounds")
        if most > len(self._nodes):
            nodes = np.empty((max(most, 2 * len(self._nodes)), 3), dtype=np.uint64)
            nodes[: self._count] = self._nodes[: self._count]
            self._nodes = nodes
        if 2 * most > len(self._table):
            self._table = np.zeros(1 << (2 * most - 1).bit_length(), dtype=np.uint32)
            _refill(self._table, self._nodes, self._count)

    def stars(self) -> Edges:
        """An edge from every document that is not the best of its tree to the one that is. Ends the work."""
        del self._table
        nodes = self._nodes[: self._count]
        best = _best(nodes)
        losers = np.flatnonzero(best != np.arange(len(best), dtype=np.uint32))
        losers = losers[np.argsort(nodes[losers, 0])]
        edges = np.empty(len(losers), dtype=EDGE)
        _write(nodes, losers, best, edges.view(np.uint64).reshape(-1, 4))
        return edges


def components(edges: Edges) -> Components:
    """The components that `edges` join, with their survivors."""
    return components_of_stars(contract(edges))


def components_of_stars(stars: Edges) -> Components:
    """The components behind edges as `contract` gives them."""
    survivors, number, losers = np.unique(stars["hub"], return_inverse=True, return_counts=True)
    document = np.concatenate([stars["document"], survivors])
    size = np.concatenate([losers[number], losers]) + 1
    del number
    survivor = np.concatenate([stars["hub"], survivors])
    order = np.argsort(document)
    return Components(document[order], survivor[order], size[order])


@njit(cache=True, nogil=True)
def _slot(document, table):  # type: ignore[no-untyped-def]
    """Where the search for a document begins. The table's length is a power of two."""
    return finish_hash(document) & np.uint64(len(table) - 1)


@njit(cache=True, nogil=True)
def _number(document, rank, table, nodes, count):  # type: ignore[no-untyped-def]
    """(number of a document, how many documents there are now): it is taken in when it is new."""
    slot = _slot(document, table)
    while table[slot] != 0:
        known = np.int64(table[slot]) - 1
        if nodes[known, 0] == document:
            nodes[known, 1] = min(nodes[known, 1], rank)
            return known, count
        slot = (slot + np.uint64(1)) & np.uint64(len(table) - 1)
    table[slot] = count + 1
    nodes[count, 0], nodes[count, 1], nodes[count, 2] = document, rank, count
    return count, count + 1


@njit(cache=True, nogil=True)
def _root(x, nodes):  # type: ignore[no-untyped-def]
    """The root of a tree, with path halving."""
    parent = np.int64(nodes[x, 2])
    while parent != x:
        nodes[x, 2] = nodes[parent, 2]
        x = np.int64(nodes[x, 2])
        parent = np.int64(nodes[x, 2])
    return x


@njit(cache=True, nogil=True)
def _join(edges, table, nodes, count):  # type: ignore[no-untyped-def]
    """How many documents there are after the edges; no parent's number is larger than its child's."""
    for e in range(len(edges)):
        if edges[e, 0] == edges[e, 2]:
            continue
        x, count = _number(edges[e, 0], edges[e, 1], table, nodes, count)
        y, count = _number(edges[e, 2], edges[e, 3], table, nodes, count)
        x, y = _root(x, nodes), _root(y, nodes)
        nodes[max(x, y), 2] = min(x, y)
    return count


@njit(cache=True, nogil=True)
def _refill(table, nodes, count):  # type: ignore[no-untyped-def]
    for n in range(count):
        slot = _slot(nodes[n, 0], table)
        while table[slot] != 0:
            slot = (slot + np.uint64(1)) & np.uint64(len(table) - 1)
        table[slot] = n + 1


@njit(cache=True, nogil=True)
def _best(nodes):  # type: ignore[no-untyped-def]
    """uint32[n]: the number of the document with the smallest (rank, ordinal) in each one's tree."""
    best = np.arange(len(nodes)).astype(np.uint32)
    for x in range(len(nodes)):
        root = np.int64(nodes[np.int64(nodes[x, 2]), 2])  # no parent comes behind its child: it has its root already
        nodes[x, 2] = root
        b = np.int64(best[root])
        if nodes[x, 1] < nodes[b, 1] or (nodes[x, 1] == nodes[b, 1] and nodes[x, 0] < nodes[b, 0]):
            best[root] = x
    for x in range(len(nodes)):
        best[x] = best[np.int64(nodes[x, 2])]
    return best


@njit(cache=True, nogil=True)
def _write(nodes, losers, best, edges):  # type: ignore[no-untyped-def]
    for e in range(len(losers)):
        loser = losers[e]
        survivor = np.int64(best[loser])
        edges[e, 0], edges[e, 1] = nodes[loser, 0], nodes[loser, 1]
        edges[e, 2], edges[e, 3] = nodes[survivor, 0], nodes[survivor, 1]
