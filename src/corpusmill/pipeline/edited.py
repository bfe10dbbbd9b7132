"""The end of a barrier that cuts bytes out of texts: cuts and removed documents of one file are written and tallied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.cuts import CUT
from corpusmill.ledger import Tally
from corpusmill.pipeline.directory import Entry, Record, read_documents
from corpusmill.pipeline.groups import BarrierStage
from corpusmill.pipeline.removed import reject, rejected_writer, tally_removal, unit_record, write_arrow
from corpusmill.text import Texts

GONE_ROW = pa.schema([pa.field("row", pa.int64())])

Numbers = npt.NDArray[np.int64]

FindCuts = Callable[[Numbers, Texts], tuple[Numbers, npt.NDArray[np.bool_]]]
"""Rows int64[n] and their texts → int64[3, k], the columns of CUT with rows in the file, rising; bool[n], texts that go
as a whole. A text of which cuts leave nothing goes too."""


def write_cuts(stage: BarrierStage[Any], entry: Entry, find: FindCuts, reason: str) -> Record:
    """Write one file's cuts, and the documents that go as rejected ones for `reason`; tally both."""
    directory, kind = stage.directory, stage.barrier.use
    tally = Tally()
    parts = [np.empty((len(CUT), 0), dtype=np.int64)]
    gone_rows = [np.empty(0, dtype=np.int64)]
    with rejected_writer(directory, stage.stage, entry) as rejected:
        for rows, batch in read_documents(directory, entry):
            texts = Texts.from_arrow(batch.column("text"))
            cuts, whole = find(rows, texts)
            at = np.searchsorted(rows, cuts[0])
            cut = np.bincount(at, weights=cuts[2] - cuts[1], minlength=len(rows)).astype(np.int64)
            gone = whole | ((cut > 0) & (cut == texts.bytes))
            parts.append(cuts[:, ~gone[at]])
            gone_rows.append(rows[gone])
            tally_removal(tally, entry.source, kind, batch, gone, texts.bytes, texts.bytes - cut)
            reject(rejected, batch.filter(pa.array(gone)), kind, [f"{kind}: {reason}"] * int(gone.sum()))
    files = rejected.entry()
    for name, schema, columns in (("cuts", CUT, np.hstack(parts)), ("rows", GONE_ROW, [np.concatenate(gone_rows)])):
        if len(columns[0]):
            path = f"removed/{stage.stage}-{entry.unit}-{name}.arrow"
            files.append(write_arrow(directory, path, schema, [pa.array(column) for column in columns]))
    return unit_record(entry, files, tally)
