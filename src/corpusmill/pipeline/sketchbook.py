"""What candidates are compared by, on disk: written file by file, read for any set of documents of the whole corpus.

A file is the number of documents, their rows uint64[n] (rising), the first value of each uint64[n + 1], the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.errors import IntegrityError
from corpusmill.pipeline.groups import BarrierStage
from corpusmill.steps import Sketches
from corpusmill.storage import FileEntry, atomic_writer, open_input

VERIFY_VALUES = 1 << 24
"""Values of sketches that are compared at a time: 64 MiB of them."""

UInt64 = npt.NDArray[np.uint64]


def write_sketches(root: str, path: str, rows: UInt64, parts: Sequence[Sketches], dtype: Any) -> FileEntry:
    """Write the sketches of the documents in these rows of one file, the parts end to end."""
    lengths = np.concatenate([np.diff(part.first) for part in parts] or [np.empty(0, np.int64)])
    first = np.cumsum(np.append(0, lengths), dtype="<u8")
    with atomic_writer(f"{root}/{path}", durable=False) as sink:
        sink.write(np.array([len(rows)], dtype="<u8").view(np.uint8))
        sink.write(rows.astype("<u8").view(np.uint8))
        sink.write(first.view(np.uint8))
        for part in parts:
            sink.write(np.ascontiguousarray(part.values[part.first[0] : part.first[-1]], dtype).view(np.uint8))
    return FileEntry(path, sink.bytes, sink.sha256, len(rows))


class Sketchbook:
    """The sketches of all files, by absolute `paths`; `firsts` uint64[files + 1] has each one's first ordinal."""

    def __init__(self, paths: Sequence[str], firsts: UInt64, dtype: Any) -> None:
        self._paths, self._firsts, self._dtype = paths, firsts, np.dtype(dtype)
        self._open: dict[int, tuple[UInt64, UInt64, npt.NDArray[Any]]] = {}

    def documents(self, file: int) -> UInt64:
        """uint64[n], rising: the ordinals of the documents that one file has sketches of."""
        return self._file(file)[0] + self._firsts[file]

    def sizes(self, documents: UInt64) -> npt.NDArray[np.int64]:
        """int64[n]: how many values each document has; `documents` are ordinals, rising."""
        return np.concatenate(
            [(first[at + 1] - first[at]).astype(np.int64) for _, first, _, at in self._places(documents)]
            or [np.empty(0, np.int64)]
        )

    def gather(self, documents: UInt64) -> Sketches:
        """The sketches of `documents`: ordinals, rising, each once. Raises IntegrityError when one is not there."""
        places = list(self._places(documents))
        lengths = [(first[at + 1] - first[at]).astype(np.int64) for _, first, _, at in places]
        starts = np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths]))
        out = np.empty(int(starts[-1]), self._dtype)
        done = 0
        for _, first, values, at in places:
            _copy_ranges(values, first[at].astype(np.int64), starts[done : done + len(at) + 1], out)
            done += len(at)
        return Sketches(out, starts)

    def _places(self, documents: UInt64) -> Any:
        cuts = np.searchsorted(documents, self._firsts)
        for file in np.flatnonzero(np.diff(cuts)):
            rows, first, values = self._file(int(file))
            wanted = documents[cuts[file] : cuts[file + 1]] - self._firsts[file]
            at = np.searchsorted(rows, wanted)
            if np.any(at == len(rows)) or np.any(rows[at] != wanted):
                raise IntegrityError(f"{self._paths[int(file)]}: no sketch of a document that is to be compared")
            yield rows, first, values, at

    def _file(self, file: int) -> tuple[UInt64, UInt64, npt.NDArray[Any]]:
        if file not in self._open:
            with open_input(self._paths[file]) as raw:
                body = raw.read_buffer()
            count = int(np.frombuffer(body, "<u8", 1)[0])
            rows = np.frombuffer(body, "<u8", count, 8)
            first = np.frombuffer(body, "<u8", count + 1, 8 + 8 * count)
            self._open[file] = (rows, first, np.frombuffer(body, self._dtype, int(first[-1]), 16 + 16 * count))
        return self._open[file]


def similarities(stage: BarrierStage[Any], left: UInt64, right: UInt64) -> npt.NDArray[np.float64]:
    """float64[p]: how similar each two documents are, compared block by block; fastest with equal `left` together.

    The stage's barrier is a VerifiedBarrier.
    """
    out = np.empty(len(left))
    book = Sketchbook([part.sketches for part in stage.parts], stage.first_ordinals(), np.uint32)
    every, at = np.unique(np.concatenate([left, right]), return_inverse=True)
    sizes = book.sizes(every)[at]
    blocks = np.cumsum(sizes[: len(left)] + sizes[len(left) :]) // VERIFY_VALUES
    cuts = [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), len(left)]
    for start, stop in pairwise(cuts):
        a, b = left[start:stop], right[start:stop]
        documents = np.unique(np.concatenate([a, b]))
        sketches = book.gather(documents)
        out[start:stop] = stage.barrier.similarity(
            sketches, np.searchsorted(documents, a), np.searchsorted(documents, b)
        )
    return out


@njit(cache=True, nogil=True)
def _copy_ranges(values, begin, starts, out):  # type: ignore[no-untyped-def]
    for d in range(len(begin)):
        length = starts[d + 1] - starts[d]
        out[starts[d] : starts[d + 1]] = values[begin[d] : begin[d] + length]
