"""The barrier stage of pieces: which lines, paragraphs or sentences are copies.

    documents ─keys─▶ keys ─copies─▶ pieces to cut ─write─▶ removed/

Only hashes and positions are in the files between: keys, where the pieces begin, and which are copies. A piece is its
document's ordinal and its number there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit

from corpusmill.cuts import covered, cuts_of_pieces
from corpusmill.dedup.copies import copies
from corpusmill.pipeline.directory import Entry, Record
from corpusmill.pipeline.edited import Numbers, write_cuts
from corpusmill.pipeline.groups import BarrierStage, UInt64, Work, write_keys
from corpusmill.pipeline.phases import Phase, files_record
from corpusmill.pipeline.spill import Records, read_array, rows_at, sort_order
from corpusmill.steps import PieceBarrier, Pieces
from corpusmill.storage import FileEntry, atomic_writer, size
from corpusmill.text import Texts

KEY = np.dtype([("high", "<u8"), ("low", "<u8"), ("document", "<u8"), ("piece", "<u4")])
"""The key of a piece, or of it and the next ones: 28 bytes."""

PIECE = np.dtype([("document", "<u8"), ("piece", "<u4")])
"""A key that is a copy."""

BYTES_PER_PIECE = 64
"""A guess, from which the number of groups is made; no result depends on it."""

Stage = BarrierStage[PieceBarrier]


def write_piece_keys(stage: Stage, unit: Any) -> Record:
    """Write the keys of one file's pieces, and where they are, which takes as long to find as to hash them."""
    entry = Entry.from_json(unit)
    path = stage.scratch("pieces", entry.unit)
    with atomic_writer(stage.directory.path(path), durable=False) as sink:

        def make(barrier: PieceBarrier, rows: UInt64, batch: pa.RecordBatch) -> Records:
            texts = Texts.from_arrow(batch.column("text"))
            pieces = barrier.pieces(texts)
            sink.write(np.array([len(texts), len(pieces.start)], np.int64).view(np.uint8))
            for values in (pieces.first, pieces.start, pieces.stop, pieces.covers):
                sink.write(np.ascontiguousarray(values).view(np.uint8))
            return piece_keys(barrier, rows, texts, pieces)

        files = write_keys(stage, entry, ["text"], make)
    return files_record(*files, FileEntry(path, sink.bytes, sink.sha256))


def piece_keys(barrier: PieceBarrier, rows: UInt64, texts: Texts, pieces: Pieces) -> Records:
    """KEY[k]: the key of every piece that has one."""
    block = np.empty(int(np.count_nonzero(pieces.covers)), KEY)
    _fill(barrier.keys(texts, pieces), rows, pieces.first, pieces.covers, block.view("<u4").reshape(len(block), -1))
    return block


@njit(cache=True, nogil=True)
def _fill(keys, rows, first, covers, out):  # type: ignore[no-untyped-def]
    """Write KEY records as uint32[k, 7]."""
    half = np.uint64(32)
    k = 0
    for d in range(len(rows)):
        for j in range(first[d], first[d + 1]):
            if covers[j] > 0:
                out[k, 0], out[k, 1] = np.uint32(keys[j, 0]), np.uint32(keys[j, 0] >> half)
                out[k, 2], out[k, 3] = np.uint32(keys[j, 1]), np.uint32(keys[j, 1] >> half)
                out[k, 4], out[k, 5] = np.uint32(rows[d]), np.uint32(rows[d] >> half)
                out[k, 6] = j - first[d]
                k += 1


def read_pieces(path: str) -> Iterator[Pieces]:
    """The pieces that `write_piece_keys` left of a file, batch by batch."""
    body, at = read_array(path, np.dtype(np.uint8), size(path) or 0), 0
    while at < len(body):
        texts, count = np.frombuffer(body, np.int64, 2, at).tolist()
        first = np.frombuffer(body, np.int64, texts + 1, at + 16)
        at += 16 + first.nbytes
        start, stop, covers = np.frombuffer(body, np.int32, 3 * count, at).reshape(3, count)
        yield Pieces(start, stop, first.copy(), covers)  # a copy: it may begin at any multiple of four
        at += 12 * count


def find_copies(stage: Stage, group: Any) -> Record:
    """Write the pieces of one group of keys that are copies."""
    keys = stage.read_group(group, KEY)
    gone = copies(keys["high"], keys["low"], keys["document"], keys["piece"], stage.barrier.keep)
    found = np.empty(len(gone), PIECE)
    found["document"], found["piece"] = keys["document"][gone], keys["piece"][gone]
    return files_record(stage.write("copies", group, found, "document"))


def cut_copies(stage: Stage, unit: Any) -> Record:
    """Cut the copies out of one file."""
    entry = Entry.from_json(unit)
    low, high = stage.bounds(entry)
    found = stage.read_all_groups("copies", PIECE, "document", low, high)
    if stage.groups > 1:
        found = rows_at(found, sort_order(np.ascontiguousarray(found["document"])))
    found_rows = (found["document"] - np.uint64(low)).astype(np.int64)
    pieces_found = found["piece"].astype(np.int64)
    every = read_pieces(stage.directory.path(stage.scratch("pieces", entry.unit)))

    def find(rows: Numbers, texts: Texts) -> Any:
        pieces = next(every)  # the batches are those of the first phase
        first, last = np.searchsorted(found_rows, [rows[0], rows[-1] + 1])
        numbers = pieces.first[np.searchsorted(rows, found_rows[first:last])] + pieces_found[first:last]
        cuts, _ = cuts_of_pieces(texts, pieces.start, pieces.first, covered(pieces, numbers))
        cuts[0] = rows[cuts[0]]
        return cuts, np.zeros(len(texts), np.bool_)

    return write_cuts(stage, entry, find, "every piece of it is a copy")


def phases(stage: Stage) -> list[Phase]:
    """The phases of the barrier."""
    return [
        Phase("keys", stage.entry_units("keys"), Work(write_piece_keys, stage)),
        Phase("copies", stage.group_units("copies"), Work(find_copies, stage)),
        Phase("write", stage.entry_units(), Work(cut_copies, stage)),
    ]
