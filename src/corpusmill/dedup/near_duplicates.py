"""Near-duplicates among texts in memory: the pieces of the `minhash` barrier without a pipeline around them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from corpusmill.dedup.components import bucket_edges, components
from corpusmill.dedup.minhash import MinHash
from corpusmill.document import BATCH_BYTES
from corpusmill.errors import ConfigError
from corpusmill.text import Texts


def near_duplicates(texts: Sequence[str], **params: int | str) -> list[list[int]]:
    """Clusters of near-duplicates: sorted lists of positions in `texts`, sorted by their first; singletons left out.

    `params` are the fields of the `minhash` step (`bands`, `rows`, `shingle_words`, `seed`, `keep`); the clusters do
    not depend on `keep`. Texts without any word are in no cluster. Memory: 16 * bands bytes per text besides one batch.
    Raises ConfigError for an unknown or wrong parameter.
    """
    known = [field.name for field in dataclasses.fields(MinHash)]
    unknown = sorted(set(params) - set(known))
    if unknown:
        raise ConfigError(f"near_duplicates: unknown parameter {unknown[0]!r}; allowed: {', '.join(known)}")
    step = MinHash(**params)  # type: ignore[arg-type]
    keys = np.empty((len(texts), step.bands, 2), dtype=np.uint64)
    keyed = np.zeros(len(texts), dtype=np.bool_)
    for start, stop in _slices(texts):
        piece = Texts.from_strings(texts[start:stop])
        keys[start:stop] = step.keys(piece)
        keyed[start:stop] = ~step.keyless(piece)
    documents = np.repeat(np.flatnonzero(keyed).astype(np.uint64), step.bands)
    found = components(bucket_edges(keys[keyed].reshape(-1, 2), documents, np.zeros_like(documents)))
    order = np.argsort(found.survivor, kind="stable")
    cuts = np.flatnonzero(np.diff(found.survivor[order])) + 1
    clusters = np.split(found.document[order].astype(np.int64), cuts)
    return [cluster.tolist() for cluster in clusters if len(cluster)]


def _slices(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Cut points of batches of about BATCH_BYTES characters, at least one text each."""
    before = np.cumsum(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)))
    cuts = np.flatnonzero(np.diff(before // BATCH_BYTES)) + 1
    return list(zip([0, *cuts.tolist()], [*cuts.tolist(), len(texts)], strict=True))
