"""The barrier stage of a Bloom filter: one worker reads the corpus in order, and decides by what it has read.

documents ─read─▶ pieces to cut ─write─▶ removed/
"""

from __future__ import annotations

from typing import Any

import numpy as np

from corpusmill.cuts import cuts_of_pieces
from corpusmill.dedup.ordered import OrderedBarrier
from corpusmill.pipeline.directory import Entry, Record, read_documents
from corpusmill.pipeline.edited import Numbers, write_cuts
from corpusmill.pipeline.groups import BarrierStage, Work
from corpusmill.pipeline.phases import Phase, files_record
from corpusmill.pipeline.spill import read_spill
from corpusmill.storage import FileEntry, atomic_writer, read_bytes
from corpusmill.text import Texts

CUTS = np.dtype([("row", "<u8"), ("start", "<i8"), ("stop", "<i8")])
"""Bytes to cut out of the text of a row; a document that goes as a whole has -1 to -1."""

Stage = BarrierStage[OrderedBarrier[Any]]


def read_in_order(stage: Stage, _: Any) -> Record:
    """Read every file, write what is to be cut out of each, and leave the filter where it is to be saved."""
    barrier = stage.barrier
    state = barrier.restore(read_bytes(stage.state)) if stage.state else barrier.start()
    files = []
    for entry in stage.entries:
        found = [np.empty(0, CUTS)]
        for rows, batch in read_documents(stage.directory, entry, ["text"]):
            texts = Texts.from_arrow(batch.column("text"))
            seen = barrier.feed(state, texts)
            cuts, _count = cuts_of_pieces(texts, seen.start, seen.first, seen.gone)
            records = np.full(len(cuts[0]) + int(seen.documents.sum()), -1, CUTS)
            records["row"] = np.concatenate([rows[cuts[0]], rows[seen.documents]])
            records["start"][: len(cuts[0])], records["stop"][: len(cuts[0])] = cuts[1], cuts[2]
            found.append(records)
        files.append(stage.write("cuts", entry.unit, np.concatenate(found), "row"))
    if stage.saves:
        path = stage.scratch("state", "all")
        with atomic_writer(stage.directory.path(path), durable=False) as sink:
            sink.write(barrier.state_bytes(state))
        files.append(FileEntry(path, sink.bytes, sink.sha256))
    return files_record(*files)


def cut_found(stage: Stage, unit: Any) -> Record:
    """Cut what was found out of one file."""
    entry = Entry.from_json(unit)
    found = read_spill(stage.directory.path(stage.scratch("cuts", entry.unit)), CUTS, "row")

    def find(rows: Numbers, _: Texts) -> Any:
        first, last = np.searchsorted(found["row"], [rows[0], rows[-1] + 1])
        mine = found[first:last]
        cuts = mine[mine["start"] >= 0]
        columns = np.stack([cuts["row"].astype(np.int64), cuts["start"], cuts["stop"]])
        return columns, np.isin(rows, mine["row"][mine["start"] < 0].astype(np.int64))

    return write_cuts(stage, entry, find, "too much of it was there before")


def phases(stage: Stage) -> list[Phase]:
    """The phases of the barrier."""
    return [
        Phase("read", [("read@all", None)], Work(read_in_order, stage)),
        Phase("write", stage.entry_units(), Work(cut_found, stage)),
    ]
