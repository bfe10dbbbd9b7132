"""Connected components of more edges than memory holds, by rounds over parts of the documents.

Every part owns the documents that `partition_of` gives it. In a round a part contracts all the edges it knows to stars,
each with its best document in the middle, and then

    keeps    the edges of its own documents, one for each
    mails    the edges of other parts' documents to their owners
    asks     the owner of each middle whether it has a better one, by sending it one edge to that middle: contracted
             with what the owner knows, its answer is mail for the document the edge came from

This is the large-star and small-star of Kiveris, Lattanzi, Mirrokni, Rastogi and Vassilvitskii, "Connected Components
in MapReduce and Beyond" (SoCC 2014), in one step, with whole parts in the place of single nodes: mail connects the
neighbours of a document as small-star does, asks take the children of a middle further as large-star does, but one
for all the children in a part. So no part ever holds the edges of a giant star; see `turn` for the bound.

Why the end is right. A round never loses a connection: edges are replaced by stars over the same documents, and what
is not sent on is held by its sender. When no part sends mail and all keep what they had, every middle was asked about
and had no better one, so nothing but stars is left, one for each component; each has its best document in the middle,
for every edge leads from a worse document to a better one. It comes to an end, because each round that changes
something puts better ends in the place of some. A chain of links halves every two rounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.dedup.components import EDGE, Edges, contract, contract_blocks
from corpusmill.dedup.survivors import UInt64
from corpusmill.scan import finish_hash

POST = np.dtype([*EDGE.descr, ("to", "<u8")])
"""An edge on its way: `to` is twice the number of the part it goes to, and 1 more when it asks. 40 bytes."""

SIZE = np.dtype([("document", "<u8"), ("cluster_size", "<i8")])
"""A survivor and a number of documents of its cluster."""

Posts = npt.NDArray[np.void]


@dataclass(frozen=True)
class Turn:
    """What a part has to say after a round.

    own      EDGE, sorted by document: edges of its own documents, one for each, for itself
    post     POST, sorted by `to`: mail and asks for the other parts
    changed  whether there is mail or `own` is not what it was
    """

    own: Edges
    post: Posts
    changed: bool


def partition_of(documents: UInt64, parts: int) -> UInt64:
    """uint64[n]: the part, below `parts`, that owns each document, by a hash of its ordinal. parts < 2**32."""
    return _owners(np.ascontiguousarray(documents), np.uint64(parts))


@njit(cache=True, nogil=True)
def _owners(documents, parts):  # type: ignore[no-untyped-def]
    owners = np.empty(len(documents), dtype=np.uint64)
    for d in range(len(documents)):
        owners[d] = ((finish_hash(documents[d]) >> np.uint64(32)) * parts) >> np.uint64(32)
    return owners


def first_post(edges: Edges, parts: int) -> Posts:
    """POST, sorted by `to`: a block of edges as it goes into the first round. Any blocks may hold the edges."""
    mail = contract(edges)
    return _addressed(mail, partition_of(mail["document"], parts), np.zeros(0, dtype=EDGE), parts)


def turn(own: Edges, post: Iterable[Posts], part: int, parts: int) -> Turn:
    """One part's turn, from what it kept in the turn before and blocks of what it was sent then, in any order.

    Of the d documents that a part owns it keeps d edges at most; in one round each other part sends it one edge of mail
    and one ask for each of them at most, whatever the size of the clusters. Time is linear in the edges.
    """
    mail, asked = [np.empty(0, dtype=EDGE)], [np.empty(0, dtype=EDGE)]
    for block in post:
        edges, asking = _edges_of(block), (block["to"] & np.uint64(1)).astype(np.bool_)
        mail.append(edges[~asking])
        asked.append(edges[asking])
    asks = np.concatenate(asked)
    stars = contract_blocks([own, asks, *mail])
    owner = partition_of(stars["document"], parts)
    mine = owner == part
    kept = stars[mine]
    # The owner of a document that was asked about has that edge itself; only another one is news.
    news = ~mine
    news[news] = ~_same(stars[news], asks)
    changed = bool(news.any()) or not np.array_equal(_words(kept), _words(own))
    outwards = kept[np.unique(kept["hub"], return_index=True)[1]]
    outwards = outwards[partition_of(outwards["hub"], parts) != part]
    return Turn(kept, _addressed(stars[news], owner[news], outwards, parts), changed)


def _addressed(mail: Edges, owner: UInt64, asks: Edges, parts: int) -> Posts:
    """POST, sorted by `to`: mail to its owners, asks to those of their hubs."""
    post = np.empty(len(mail) + len(asks), dtype=POST)
    for name in EDGE.names or ():
        post[name][: len(mail)], post[name][len(mail) :] = mail[name], asks[name]
    post["to"][: len(mail)] = owner * np.uint64(2)
    post["to"][len(mail) :] = partition_of(asks["hub"], parts) * np.uint64(2) + np.uint64(1)
    return post[np.argsort(post["to"], kind="stable")]


def _edges_of(post: Posts) -> Edges:
    edges = np.empty(len(post), dtype=EDGE)
    for name in EDGE.names or ():
        edges[name] = post[name]
    return edges


def _words(edges: Edges) -> UInt64:
    return np.ascontiguousarray(edges).view(np.uint64)


def _same(mail: Edges, asked: Edges) -> npt.NDArray[np.bool_]:
    """bool[n]: which edges of `mail` are in `asked` too; no document is twice in either."""
    asked = asked[np.argsort(asked["document"])]
    at = np.searchsorted(asked["document"], mail["document"])
    same = at < len(asked)
    found = asked[at[same]]
    same[same] = (found["document"] == mail["document"][same]) & (found["hub"] == mail["hub"][same])
    return same


def count_losers(own: Edges) -> npt.NDArray[np.void]:
    """SIZE, sorted by document: how many edges lead to each hub. For the last `own` of a part."""
    hubs, counts = np.unique(own["hub"], return_counts=True)
    return _sizes(hubs, counts)


def cluster_sizes(counts: Iterable[npt.NDArray[np.void]]) -> npt.NDArray[np.void]:
    """SIZE, sorted by document: survivors with the size of their cluster, from what every part counted for them."""
    together = np.concatenate([np.empty(0, dtype=SIZE), *counts])
    survivors, number = np.unique(together["document"], return_inverse=True)
    sizes = np.ones(len(survivors), dtype=np.int64)
    np.add.at(sizes, number, together["cluster_size"])
    return _sizes(survivors, sizes)


def sizes_of(own: Edges, sizes: Iterable[npt.NDArray[np.void]]) -> npt.NDArray[np.int64]:
    """int64[len(own)]: the size of each document's cluster; blocks of `sizes`, sorted, that name its hub together."""
    found = np.zeros(len(own), dtype=np.int64)
    for block in sizes:
        at = np.searchsorted(block["document"], own["hub"])
        here = at < len(block)
        here[here] = block["document"][at[here]] == own["hub"][here]
        found[here] = block["cluster_size"][at[here]]
    return found


def _sizes(documents: UInt64, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.void]:
    found = np.empty(len(documents), dtype=SIZE)
    found["document"], found["cluster_size"] = documents, sizes
    return found
