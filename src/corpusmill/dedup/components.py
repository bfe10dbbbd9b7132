"""From equal keys to survivors: edges between documents, connected components, one survivor for each.

A document is a uint64 ordinal with a rank, uint64, smaller is better. Everywhere in this file "best" is the smallest
(rank, ordinal), so no result depends on the order or the repetition of keys and edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from corpusmill.errors import ConfigError

EDGE = np.dtype([("document", "<u8"), ("rank", "<u8"), ("hub", "<u8"), ("hub_rank", "<u8")])
"""A link from a document to one that is better (`hub`), with the ranks of both: 32 bytes."""

UInt64 = npt.NDArray[np.uint64]
Edges = npt.NDArray[np.void]

_WORST = np.uint64(0xFFFFFFFFFFFFFFFF)
_SIGN = np.uint64(1 << 63)


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


def check_keep(use: str, keep: object) -> None:
    """Raise ConfigError unless `keep` is a survivor policy."""
    signal = keep.removeprefix("best:") if isinstance(keep, str) else ""
    if keep not in ("first", "longest", "newest") and (signal == keep or not signal.strip()):
        raise ConfigError(
            f'{use}: keep = {keep!r} is no survivor policy; choose "first", "longest", "newest" or "best:<signal>", '
            'for instance "best:language.score"'
        )


def rank_of(policy: str, batch: pa.RecordBatch) -> UInt64:
    """uint64[n]: the rank of each document under a survivor policy, smaller is better.

    `first`          0 for all, so that the ordinal decides
    `longest`        most bytes of `text`
    `newest`         latest `date`; null is worst
    `best:<signal>`  largest value of that column, compared as float64; null and NaN are worst

    Raises ConfigError for an unknown policy, and when the signal is not a column or not a number.
    """
    check_keep("rank_of", policy)
    if policy == "first":
        return np.zeros(len(batch), dtype=np.uint64)
    if policy == "longest":
        lengths = pc.binary_length(batch.column("text")).to_numpy(zero_copy_only=False)
        return _SIGN - lengths.astype(np.uint64)
    if policy == "newest":
        return _rank_of_dates(batch.column("date"))
    return _rank_of_signal(policy.removeprefix("best:"), batch)


def _rank_of_dates(dates: pa.Array) -> UInt64:
    seconds = dates.cast(pa.timestamp("s")).cast(pa.int64())
    known = np.asarray(seconds.is_valid())
    rising = seconds.fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64) ^ _SIGN
    return np.where(known, ~rising, _WORST)


def _rank_of_signal(signal: str, batch: pa.RecordBatch) -> UInt64:
    if signal not in batch.schema.names:
        raise ConfigError(
            f'keep = "best:{signal}": there is no signal {signal!r} before this step; '
            f"columns: {', '.join(batch.schema.names)}. Measure it in an earlier step"
        )
    column = batch.column(signal)
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise ConfigError(f'keep = "best:{signal}": the signal must be a number, its type is {kind}')
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    values = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
    bits = (values + 0.0).view(np.uint64)  # -0.0 + 0.0 is 0.0: the two zeros rank alike
    # IEEE 754 bits rise with the value once the sign bit of positives is set and negatives are inverted.
    rising = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return np.where(np.isnan(values), _WORST, ~rising)


def bucket_edges(keys: UInt64, documents: UInt64, rank: UInt64) -> Edges:
    """EDGE[e]: link every document of a bucket (equal 128-bit key) to the best one there.

    keys uint64[m, 2], documents uint64[m], rank uint64[m]. A document may appear under many keys, with one rank. A star
    rather than all pairs, so a bucket of a million costs a million edges. Edges are unique, none is a loop.
    """
    high, low = np.ascontiguousarray(keys[:, 0]), keys[:, 1]
    order = np.argsort(high)
    same_high = np.flatnonzero(np.diff(high[order]) == 0)
    # Two keys that share 64 of their 128 bits: to be expected from 2**32 keys on, or made by an adversary.
    if np.any(low[order[same_high]] != low[order[same_high + 1]]):
        order = np.lexsort((low, high))
        same_high = np.flatnonzero(np.diff(high[order]) == 0)
    same = same_high[low[order[same_high]] == low[order[same_high + 1]]]
    if len(same) == 0:
        return np.empty(0, dtype=EDGE)
    shared = np.zeros(len(order), dtype=np.bool_)
    shared[same] = shared[same + 1] = True
    opens = np.ones(len(order), dtype=np.bool_)
    opens[same + 1] = False
    members, starts = order[shared], np.flatnonzero(opens[shared])
    sizes = np.diff(np.append(starts, len(members)))
    document, own_rank = documents[members], rank[members]
    hub_rank = np.repeat(np.minimum.reduceat(own_rank, starts), sizes)
    hub = np.repeat(np.minimum.reduceat(np.where(own_rank == hub_rank, document, _WORST), starts), sizes)
    loses = np.flatnonzero(document != hub)
    loses = loses[_first_of_pairs(document[loses], hub[loses])]
    return _edges(document[loses], own_rank[loses], hub[loses], hub_rank[loses])


def _edges(document: UInt64, rank: UInt64, hub: UInt64, hub_rank: UInt64) -> Edges:
    edges = np.empty(len(document), dtype=EDGE)
    for name, values in zip(EDGE.names or (), (document, rank, hub, hub_rank), strict=True):
        edges[name] = values
    return edges


def _first_of_pairs(left: UInt64, right: UInt64) -> npt.NDArray[np.int64]:
    """int64[p]: positions of the first of each different pair, in the order of the pairs."""
    order = np.lexsort((right, left))
    fresh = np.ones(len(order), dtype=np.bool_)
    fresh[1:] = (np.diff(left[order]) != 0) | (np.diff(right[order]) != 0)
    return order[fresh]


def contract(edges: Edges) -> Edges:
    """EDGE[c], sorted by document: the same components with one edge for each document but the survivors.

    The hub of each edge is the survivor. Edges may be contracted piece by piece, in any order:
    `contract(a + b) == contract(contract(a) + contract(b))`.
    """
    documents = np.concatenate([edges["document"], edges["hub"]])
    ranks = np.concatenate([edges["rank"], edges["hub_rank"]])
    order = np.lexsort((ranks, documents))
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = documents[order[1:]] != documents[order[:-1]]
    document, rank = documents[order[first]], ranks[order[first]]
    # Nodes are numbered best first, so the root that union-find leaves, the smallest number, is the survivor.
    best_first = np.lexsort((document, rank))
    number = np.empty(len(best_first), dtype=np.int64)
    number[best_first] = np.arange(len(best_first))
    of_end = np.empty(len(order), dtype=np.int64)
    of_end[order] = number[np.cumsum(first) - 1]
    roots = _roots(of_end[: len(edges)], of_end[len(edges) :], len(document))
    survivor = best_first[roots[number]]
    gone = np.flatnonzero(survivor != np.arange(len(document)))
    to = survivor[gone]
    return _edges(document[gone], rank[gone], document[to], rank[to])


def components(edges: Edges) -> Components:
    """The components that `edges` join, with their survivors."""
    tree = contract(edges)
    survivors, inverse, losers = np.unique(tree["hub"], return_inverse=True, return_counts=True)
    document = np.concatenate([tree["document"], survivors])
    survivor = np.concatenate([tree["hub"], survivors])
    size = np.concatenate([losers[inverse], losers]) + 1
    order = np.argsort(document)
    return Components(document[order], survivor[order], size[order])


@njit(cache=True, nogil=True)
def _roots(left, right, nodes):  # type: ignore[no-untyped-def]
    """int64[nodes]: the smallest node of the component of each, by union-find with path halving."""
    parent = np.arange(nodes)
    for e in range(len(left)):
        x, y = left[e], right[e]
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        while parent[y] != y:
            parent[y] = parent[parent[y]]
            y = parent[y]
        if x < y:
            parent[y] = x
        else:
            parent[x] = y
    for x in range(nodes):  # a parent is never larger than its child, so it is final when the child is reached
        parent[x] = parent[parent[x]]
    return parent
