"""What the report reads of barriers: sizes of clusters, how similar copies are, what was cut, what an index changed.

Files are read one by one, and only counts are kept of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from corpusmill.pipeline.directory import Entry, RunDirectory, read_arrow
from corpusmill.pipeline.history import barrier_files, row_of
from corpusmill.pipeline.report.facts import Json
from corpusmill.pipeline.report.samples import Histogram
from corpusmill.storage import size

LARGEST_SHOWN = 5
BINS = 40
"""Of similarities from 0 to 1."""

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cluster:
    """The document that stayed for `size` documents, itself among them; nothing of it is known where its file is gone.

    `id` in hex.
    """

    size: int
    id: str
    source: str
    locator: str


@dataclass(frozen=True)
class Sizes:
    """Clusters whose document stayed in the run.

    bins     (least size, largest size, clusters, documents in them but those that stayed), rising
    largest  the largest clusters, LARGEST_SHOWN at most
    """

    bins: tuple[tuple[int, int, int, int], ...]
    largest: tuple[Cluster, ...]


def cluster_sizes(directory: RunDirectory, body: Json) -> Sizes:
    """Count the clusters of a barrier stage in bins that end with powers of two."""
    powers = np.int64(1) << np.arange(62, dtype=np.int64)
    clusters, copies = np.zeros(len(powers), np.int64), np.zeros(len(powers), np.int64)
    top: list[tuple[int, str, int]] = []
    for path in barrier_files(body, "sizes"):
        table = read_arrow(directory.path(path))
        rows, sizes = (table[name].to_numpy() for name in ("row", "size"))
        at = np.searchsorted(powers, sizes)
        np.add.at(clusters, at, 1)
        np.add.at(copies, at, sizes - 1)
        chosen = np.lexsort((rows, -sizes))[:LARGEST_SHOWN]
        top = sorted([*top, *((-int(sizes[n]), path, int(rows[n])) for n in chosen)])[:LARGEST_SHOWN]
    bins = [
        (int(powers[n] // 2 + 1), int(powers[n]), int(clusters[n]), int(copies[n])) for n in np.flatnonzero(clusters)
    ]
    return Sizes(tuple(bins), tuple(_cluster(directory, body, -minus, path, row) for minus, path, row in top))


def _cluster(directory: RunDirectory, body: Json, documents: int, path: str, row: int) -> Cluster:
    entries = (Entry.from_json(entry) for entry in body["documents"])
    file = next((entry.path for entry in entries if path in (sizes for _, sizes in entry.sizes)), "")
    if not file or size(directory.path(file)) is None:
        return Cluster(documents, "", "", "")
    found = row_of(directory, file, row, ["id", "source", "locator"])
    return Cluster(documents, found["id"].hex(), found["source"], found["locator"])


@dataclass(frozen=True)
class Similarities:
    """How similar removed documents are to those that stayed for them.

    histogram  of all of them
    removed    how many there are
    equal      those with a similarity of 1
    chained    those below the least similarity of a link: others link the two
    """

    histogram: Histogram
    removed: int
    equal: int
    chained: int


def similarities(directory: RunDirectory, body: Json, least: float | None) -> Similarities | None:
    """Of a barrier stage that links documents from a similarity of `least` on; None where none was measured."""
    edges = np.arange(BINS + 1) / BINS
    counts = np.zeros(BINS, np.int64)
    equal = chained = 0
    for path in barrier_files(body, "removed"):
        values = read_arrow(directory.path(path))["similarity"].drop_null().to_numpy()
        counts += np.bincount(np.minimum(np.searchsorted(edges, values, side="right") - 1, BINS - 1), minlength=BINS)
        equal += int(np.sum(values == 1.0))
        chained += int(np.sum(values < least)) if least is not None else 0
    if not counts.any():
        return None
    first = int(np.flatnonzero(counts)[0])
    bounds: tuple[tuple[float, str], ...] = ()
    if least is not None:
        first, bounds = min(first, int(least * BINS)), ((least, f"≥ {least:g}"),)
    first = min(first, BINS - 5)
    shown = tuple(map(float, counts[first:]))
    drawn = Histogram(tuple(edges[first:].tolist()), (0.0,) * len(shown), shown, bounds, False, False)
    return Similarities(drawn, int(counts.sum()), equal, chained)


def count_cuts(directory: RunDirectory, body: Json) -> tuple[int, int, int]:
    """Documents that a barrier cut something out of and kept, places, bytes."""
    documents = places = taken = 0
    for path in barrier_files(body, "cuts"):
        row, start, stop = (read_arrow(directory.path(path))[name].to_numpy() for name in ("row", "start", "stop"))
        documents += len(np.unique(row))
        places += len(row)
        taken += int((stop - start).sum())
    return documents, places, taken


def superseded(directory: RunDirectory, body: Json) -> dict[str, int]:
    """Documents of an index whose runs would now have decided otherwise, by their fate now."""
    found = {"removed": 0, "kept": 0}
    for path in barrier_files(body, "superseded"):
        for count in pc.value_counts(read_arrow(directory.path(path))["fate"]).to_pylist():
            found[count["values"]] += count["counts"]
    return found
