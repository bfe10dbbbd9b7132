"""The barrier stage of runs of bytes: what occurs elsewhere, wherever it begins.

    documents ─keys─▶ anchors ─live─▶ anchors that meet ─bytes─▶ their windows ─spans─▶ copies ─write─▶ removed/

Of texts there is only what surrounds an anchor that occurs twice in the files between.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit

from corpusmill.dedup.anchors import ANCHOR, live
from corpusmill.dedup.spans import SpanBarrier
from corpusmill.dedup.windows import SPAN
from corpusmill.pipeline.directory import Entry, Record, read_documents
from corpusmill.pipeline.edited import Numbers, write_cuts
from corpusmill.pipeline.groups import BarrierStage, UInt64, Work, keys_phase
from corpusmill.pipeline.phases import Phase, files_record
from corpusmill.pipeline.spill import Records, read_spill, rows_at
from corpusmill.scan import copy_bytes
from corpusmill.storage import FileEntry, atomic_writer, open_input
from corpusmill.text import Texts

PLACED = np.dtype([*((name, ANCHOR[name]) for name in ANCHOR.names or ()), ("at", "<u8")])
"""An anchor, and where in the bytes of its file those of its windows begin: 36 bytes."""

BYTES_PER_ANCHOR = 12
"""A guess, from which the number of groups is made: small, for a group holds the windows of its anchors too."""

Stage = BarrierStage[SpanBarrier]


def anchor_keys(barrier: SpanBarrier, rows: UInt64, batch: pa.RecordBatch) -> Records:
    """ANCHOR[k]: the anchors of every document."""
    found = barrier.anchors(Texts.from_arrow(batch.column("text"))).records
    found["document"] = rows[found["document"].astype(np.int64)]
    return found


def find_live(stage: Stage, group: Any) -> Record:
    """Write the anchors of one group that may have a window in common."""
    records = stage.read_group(group, ANCHOR)
    return files_record(stage.write("live", group, rows_at(records, np.flatnonzero(live(records))), "document"))


def write_windows(stage: Stage, unit: Any) -> Record:
    """Write the bytes around the live anchors of one file."""
    entry = Entry.from_json(unit)
    low, high = stage.bounds(entry)
    records = stage.read_all_groups("live", ANCHOR, "document", low, high)
    placed = np.empty(len(records), PLACED)
    for name in ANCHOR.names or ():
        placed[name] = records[name]
    placed["document"] -= np.uint64(low)
    placed = rows_at(placed, np.lexsort((placed["start"], placed["document"])))
    path = stage.scratch("bytes", entry.unit)
    with atomic_writer(stage.directory.path(path), durable=False) as sink:
        for rows, batch in read_documents(stage.directory, entry, ["text"]) if len(placed) else ():
            first, last = np.searchsorted(placed["document"], [rows[0], rows[-1] + 1])
            mine = np.empty(last - first, ANCHOR)
            for name in ANCHOR.names or ():
                mine[name] = placed[first:last][name]
            mine["document"] = np.searchsorted(rows, mine["document"].astype(np.int64))
            data, at = stage.barrier.extract(Texts.from_arrow(batch.column("text")), mine)
            placed["at"][first:last] = at + sink.bytes
            sink.write(data)
    anchors = stage.write("placed", entry.unit, placed, "high")
    return files_record(anchors, FileEntry(path, sink.bytes, sink.sha256))


def find_spans(stage: Stage, group: Any) -> Record:
    """Write what the anchors of one group find to be copies."""
    shift = 64 - stage.groups.bit_length() + 1
    size = stage.barrier.min_bytes
    records, pieces, places, filled = [np.empty(0, PLACED)], [np.empty(0, np.uint8)], [np.empty(0, np.int64)], 0
    for entry, first in zip(stage.entries, stage.first_ordinals(), strict=False):
        path = stage.directory.path(stage.scratch("placed", entry.unit))
        found = read_spill(path, PLACED, "high", group << shift, (group + 1) << shift)
        if len(found):
            with open_input(stage.directory.path(stage.scratch("bytes", entry.unit))) as file:
                data = np.frombuffer(file.read_buffer(), np.uint8)
            lengths = found["windows"].astype(np.int64) + (size - 1)
            to = np.cumsum(lengths) - lengths
            out = np.empty(int(lengths.sum()), np.uint8)
            _gather(data, found["at"].astype(np.int64), lengths, to, out)
            found = found.copy()
            found["document"] += first
            records.append(found)
            pieces.append(out)
            places.append(to + filled)
            filled += len(out)
    every = np.concatenate(records)
    spans = stage.barrier.spans(every, np.concatenate(pieces), np.concatenate(places))
    return files_record(stage.write("spans", group, spans, "document"))


@njit(cache=True, nogil=True)
def _gather(data, at, lengths, to, out):  # type: ignore[no-untyped-def]
    for j in range(len(at)):
        copy_bytes(data, at[j], at[j] + lengths[j], out, to[j])


def cut_spans(stage: Stage, unit: Any) -> Record:
    """Cut the copies out of one file."""
    entry = Entry.from_json(unit)
    low, high = stage.bounds(entry)
    spans = stage.read_all_groups("spans", SPAN, "document", low, high)
    spans["document"] -= np.uint64(low)
    spans = spans[np.argsort(spans["document"], kind="stable")]

    def find(rows: Numbers, texts: Texts) -> Any:
        first, last = np.searchsorted(spans["document"], [rows[0], rows[-1] + 1])
        mine = spans[first:last].copy()
        mine["document"] = np.searchsorted(rows, mine["document"].astype(np.int64))
        cuts = stage.barrier.cuts(texts, mine)
        return np.stack([rows[cuts.row], cuts.start, cuts.stop]), cuts.blank

    return write_cuts(stage, entry, find, "all of it occurs elsewhere")


def phases(stage: Stage) -> list[Phase]:
    """The phases of the barrier."""
    return [
        keys_phase(stage, ["text"], anchor_keys),
        Phase("live", stage.group_units("live"), Work(find_live, stage)),
        Phase("bytes", stage.entry_units("bytes"), Work(write_windows, stage)),
        Phase("spans", stage.group_units("spans"), Work(find_spans, stage)),
        Phase("write", stage.entry_units(), Work(cut_spans, stage)),
    ]
