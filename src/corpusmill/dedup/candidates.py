"""From equal keys to pairs of documents that may be duplicates, with work bounded by the number of keys."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.dedup.components import EDGE, Edges
from corpusmill.dedup.survivors import UInt64
from corpusmill.errors import ConfigError

_HALF = np.uint64(32)
_LOW_HALF = np.uint64(0xFFFFFFFF)


def candidate_pairs(keys: UInt64, documents: UInt64, rank: UInt64, hubs: int = 8) -> Edges:
    """EDGE[p], sorted by (hub, document): each document of a bucket (equal 128-bit key) with the best ones there.

    keys uint64[m, 2], documents uint64[m], rank uint64[m], in any order. A document may appear under many keys, and
    several times under one, with the same rank. The members of a bucket are ordered by (rank, ordinal), and each is
    paired with those before it, but with the first `hubs` at most: a bucket of up to hubs + 1 members gives all its
    pairs, a bucket of b members never more than hubs * b. `hub` is the better of the two. Pairs are unique, none is a
    loop. With hubs = 1, a star: as many edges as link the bucket, when the key alone is proof enough.

    Raises ConfigError when hubs is less than 1.
    """
    if hubs < 1:
        raise ConfigError(f"candidate_pairs: hubs = {hubs}; allowed: a whole number from 1 on")
    members, bucket = _shared_buckets(keys)
    ordinals, number = np.unique(documents[members], return_inverse=True)
    ranks = np.empty(len(ordinals), dtype=np.uint64)
    ranks[number] = rank[members]
    best_first = np.lexsort((number, ranks[number], bucket))
    number, bucket = number[best_first], bucket[best_first]
    fresh = np.ones(len(number), dtype=np.bool_)
    fresh[1:] = (np.diff(number) != 0) | (np.diff(bucket) != 0)
    pairs = np.sort(_pair_up(number[fresh].astype(np.uint64), bucket[fresh], hubs))
    pairs = pairs[np.diff(pairs, prepend=~pairs[:1]) != 0]
    hub, document = (pairs >> _HALF).astype(np.int64), (pairs & _LOW_HALF).astype(np.int64)
    edges = np.empty(len(pairs), dtype=EDGE)
    edges["document"], edges["rank"] = ordinals[document], ranks[document]
    edges["hub"], edges["hub_rank"] = ordinals[hub], ranks[hub]
    return edges


def _shared_buckets(keys: UInt64) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """int64[k], int64[k]: positions of the keys that occur more than once, bucket by bucket, and their bucket."""
    high, low = np.ascontiguousarray(keys[:, 0]), np.ascontiguousarray(keys[:, 1])
    order = np.argsort(high)
    same_high = np.flatnonzero(np.diff(high[order]) == 0)
    # Two keys that share 64 of their 128 bits: to be expected from 2**32 keys on, or made by an adversary.
    if np.any(low[order[same_high]] != low[order[same_high + 1]]):
        order = np.lexsort((low, high))
        same_high = np.flatnonzero(np.diff(high[order]) == 0)
    same = same_high[low[order[same_high]] == low[order[same_high + 1]]]
    shared = np.zeros(len(order), dtype=np.bool_)
    shared[same] = shared[same + 1] = True
    opens = np.ones(len(order), dtype=np.bool_)
    opens[same + 1] = False
    return order[shared], np.cumsum(opens[shared])


@njit(cache=True, nogil=True)
def _pair_up(number, bucket, hubs):  # type: ignore[no-untyped-def]
    """uint64[p]: hub << 32 | document, for each member of each bucket with up to `hubs` of those before it there."""
    count = start = 0
    for k in range(len(number)):
        start = k if bucket[k] != bucket[start] else start
        count += min(k - start, hubs)
    pairs = np.empty(count, dtype=np.uint64)
    count = start = 0
    for k in range(len(number)):
        start = k if bucket[k] != bucket[start] else start
        for hub in range(start, min(k, start + hubs)):
            pairs[count] = number[hub] << _HALF | number[k]
            count += 1
    return pairs
