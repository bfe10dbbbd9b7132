"""Near-duplicates among texts in memory: the pieces of the `minhash` barrier without a pipeline around them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.candidates import candidate_pairs
from corpusmill.dedup.components import Edges, components
from corpusmill.dedup.minhash import MinHash
from corpusmill.document import BATCH_BYTES
from corpusmill.errors import ConfigError
from corpusmill.steps import Barrier, Sketches
from corpusmill.text import Texts


def near_duplicates(texts: Sequence[str], **params: float | str | None) -> list[list[int]]:
    """Clusters of near-duplicates: sorted lists of positions in `texts`, sorted by their first; singletons left out.

    `params` are the fields of the `minhash` step, such as `min_jaccard`, `verify` and `shingle_chars`, but not those of
    indexes; the clusters do not depend on `keep`. Texts without shingles are in no cluster. Memory, besides one batch:
    16 bytes for each band of each text, and 4 for each shingle of those that share a band.
    Raises ConfigError for an unknown or wrong parameter.
    """
    of_indexes = {field.name for field in dataclasses.fields(Barrier)}
    known = [field.name for field in dataclasses.fields(MinHash) if field.name not in of_indexes]
    unknown = sorted(set(params) - set(known))
    if unknown:
        raise ConfigError(f"near_duplicates: unknown parameter {unknown[0]!r}; allowed: {', '.join(known)}")
    found = components(_links(texts, MinHash(**params)))  # type: ignore[arg-type]
    order = np.argsort(found.survivor, kind="stable")
    cuts = np.flatnonzero(np.diff(found.survivor[order])) + 1
    clusters = np.split(found.document[order].astype(np.int64), cuts)
    return [cluster.tolist() for cluster in clusters if len(cluster)]


def _links(texts: Sequence[str], step: MinHash) -> Edges:
    """The pairs that share a band and are alike enough; a star for each band when the band is enough."""
    bands = step.keys_per_document()
    keys = np.empty((len(texts), bands, 2), dtype=np.uint64)
    keyed = np.zeros(len(texts), dtype=np.bool_)
    for start, stop in _slices(texts):
        piece = Texts.from_strings(texts[start:stop])
        keys[start:stop] = step.keys(piece)
        keyed[start:stop] = ~step.keyless(piece)
    documents = np.repeat(np.flatnonzero(keyed).astype(np.uint64), bands)
    least = step.least_similarity()
    hubs = {"hubs": 1} if least is None else {}
    pairs = candidate_pairs(keys[keyed].reshape(-1, 2), documents, np.zeros_like(documents), **hubs)
    if least is None:
        return pairs
    wanted = np.union1d(pairs["hub"], pairs["document"])
    sketches = _sketches([texts[int(d)] for d in wanted], step)
    left, right = (np.searchsorted(wanted, pairs[end]) for end in ("hub", "document"))
    return pairs[step.similarity(sketches, left, right) >= least]


def _sketches(texts: Sequence[str], step: MinHash) -> Sketches:
    made = [step.sketches(Texts.from_strings(texts[start:stop])) for start, stop in _slices(texts)]
    first = np.concatenate([[0], *(np.diff(piece.first) for piece in made)]).cumsum()
    values: list[npt.NDArray[np.uint32]] = [np.empty(0, dtype=np.uint32), *(piece.values for piece in made)]
    return Sketches(np.concatenate(values), first)


def _slices(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Cut points of batches of about BATCH_BYTES characters, at least one text each."""
    before = np.cumsum(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)))
    cuts = np.flatnonzero(np.diff(before // BATCH_BYTES)) + 1
    return zip([0, *cuts.tolist()], [*cuts.tolist(), len(texts)], strict=True)
