"""The barrier stage of pieces: which lines, paragraphs or sentences are copies.

    documents ─keys─▶ keys ─copies─▶ pieces to cut ─write─▶ removed/

Only hashes and positions are in the files between. A piece is its document's ordinal and its number there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.cuts import covered, cuts_of_pieces
from corpusmill.dedup.copies import copies
from corpusmill.pipeline.directory import Entry, Record
from corpusmill.pipeline.edited import Numbers, write_cuts
from corpusmill.pipeline.groups import BarrierStage, UInt64, Work, keys_phase
from corpusmill.pipeline.phases import Phase, files_record
from corpusmill.pipeline.spill import Records, rows_at, sort_order
from corpusmill.steps import PieceBarrier
from corpusmill.text import Texts

KEY = np.dtype([("high", "<u8"), ("low", "<u8"), ("document", "<u8"), ("piece", "<u4")])
"""The key of a piece, or of it and the next ones: 28 bytes."""

PIECE = np.dtype([("document", "<u8"), ("piece", "<u4")])
"""A key that is a copy."""

BYTES_PER_PIECE = 64
"""A guess, from which the number of groups is made; no result depends on it."""

Stage = BarrierStage[PieceBarrier]


def piece_keys(barrier: PieceBarrier, rows: UInt64, batch: pa.RecordBatch) -> Records:
    """KEY[k]: the key of every piece that has one."""
    texts = Texts.from_arrow(batch.column("text"))
    pieces = barrier.pieces(texts)
    keys = barrier.keys(texts, pieces)
    counts = np.diff(pieces.first)
    block = np.empty(len(pieces.start), KEY)
    block["high"], block["low"] = keys[:, 0], keys[:, 1]
    block["document"] = np.repeat(rows, counts)
    block["piece"] = np.arange(len(block)) - np.repeat(pieces.first[:-1], counts)
    keyed = pieces.covers > 0
    return block if keyed.all() else block[keyed]


def find_copies(stage: Stage, group: Any) -> Record:
    """Write the pieces of one group of keys that are copies."""
    keys = stage.read_group(group, KEY)
    gone = rows_at(keys, copies(keys["high"], keys["low"], keys["document"], keys["piece"], stage.barrier.keep))
    found = np.empty(len(gone), PIECE)
    found["document"], found["piece"] = gone["document"], gone["piece"]
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

    def find(rows: Numbers, texts: Texts) -> Any:
        pieces = stage.barrier.pieces(texts)
        first, last = np.searchsorted(found_rows, [rows[0], rows[-1] + 1])
        numbers = pieces.first[np.searchsorted(rows, found_rows[first:last])] + pieces_found[first:last]
        cuts, _ = cuts_of_pieces(texts, pieces.start, pieces.first, covered(pieces, numbers))
        cuts[0] = rows[cuts[0]]
        return cuts, np.zeros(len(texts), np.bool_)

    return write_cuts(stage, entry, find, "every piece of it is a copy")


def phases(stage: Stage) -> list[Phase]:
    """The phases of the barrier."""
    return [
        keys_phase(stage, ["text"], piece_keys),
        Phase("copies", stage.group_units("copies"), Work(find_copies, stage)),
        Phase("write", stage.entry_units(), Work(cut_copies, stage)),
    ]
