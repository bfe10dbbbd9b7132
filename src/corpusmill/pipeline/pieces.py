"""The barrier stage of pieces: which lines or paragraphs are copies. Only hashes and positions cross the shuffle.

    documents files ─keys─▶ blocks by key prefix ─group─▶ pieces to cut, file by file ─cut─▶ removed/

A piece is its document's ordinal and its number there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.cuts import CUT, cuts_of_pieces
from corpusmill.dedup.copies import copies
from corpusmill.ledger import Tally
from corpusmill.pipeline.directory import Record, read_documents
from corpusmill.pipeline.groups import BarrierStage, Keys, Ordinals, cut_by_file, grouped_keys, write_every_file
from corpusmill.pipeline.removed import reject, rejected_writer, tally_removal, unit_record, write_arrow
from corpusmill.pipeline.runner import Engine
from corpusmill.pipeline.units import result_of
from corpusmill.steps import PieceBarrier
from corpusmill.text import Texts

KEY = np.dtype([("high", "<u8"), ("low", "<u8"), ("document", "<u8"), ("piece", "<u4")])
"""What this barrier shuffles: 28 bytes per piece."""

PIECE = np.dtype([("document", "<u8"), ("piece", "<u4")])
"""A piece to cut out."""

BYTES_PER_PIECE = 64
"""A guess, from which the number of groups is made; no result depends on it."""

GONE_ROW = pa.schema([pa.field("row", pa.int64())])

Stage = BarrierStage[PieceBarrier]
Numbers = npt.NDArray[np.int64]


def piece_keys(stage: Stage, ordinals: Ordinals, batch: pa.RecordBatch) -> Keys:
    """KEY[k]: the key of every piece."""
    pieces = stage.barrier.pieces(Texts.from_arrow(batch.column("text")))
    counts = np.diff(pieces.first)
    block = np.empty(len(pieces.start), KEY)
    block["high"], block["low"] = pieces.keys[:, 0], pieces.keys[:, 1]
    block["document"] = np.repeat(ordinals, counts)
    block["piece"] = np.arange(len(block)) - np.repeat(pieces.first[:-1], counts)
    return block


def group_copies(group: tuple[int, Iterable[bytes]], stage: Stage) -> Iterator[tuple[int, bytes]]:
    """Blocks of one group → (position of a file, bytes of PIECE records to cut out of it)."""
    keys = np.concatenate([np.frombuffer(block, KEY) for block in group[1]])
    gone = keys[copies(keys["high"], keys["low"], keys["document"], keys["piece"], stage.barrier.keep)]
    found = np.empty(len(gone), PIECE)
    found["document"], found["piece"] = gone["document"], gone["piece"]
    yield from cut_by_file(found, found["document"], stage.first_ordinals())


@dataclass(frozen=True)
class WriteCuts:
    """Write one file's cuts; documents of which nothing is left are removed. Tally both."""

    stage: Stage

    def __call__(self, element: tuple[int, Iterable[bytes]]) -> Record:
        """Gives the unit's record, with the entry that the next stage reads."""
        position, blocks = element
        stage, kind = self.stage, self.stage.barrier.use
        entry, directory = stage.entries[position], stage.directory
        found = np.frombuffer(b"".join(blocks), PIECE)
        found = found[np.lexsort((found["piece"], found["document"]))]
        found_rows = (found["document"] - stage.first_ordinals()[position]).astype(np.int64)
        tally = Tally()
        parts = [np.empty((len(CUT), 0), dtype=np.int64)]
        gone_rows = [np.empty(0, dtype=np.int64)]
        with rejected_writer(directory, stage.stage, entry) as rejected:
            for rows, batch in read_documents(directory, entry):
                texts = Texts.from_arrow(batch.column("text"))
                low, high = np.searchsorted(found_rows, [rows[0], rows[-1] + 1])
                cuts, cut = self._cuts(texts, rows, found_rows[low:high], found["piece"][low:high])
                gone = (cut > 0) & (cut == texts.bytes)
                parts.append(cuts[:, ~np.isin(cuts[0], rows[gone])])
                gone_rows.append(rows[gone])
                tally_removal(tally, entry.source, kind, batch, gone, texts.bytes, texts.bytes - cut)
                reasons = [f"{kind}: every piece of it is a copy"] * int(gone.sum())
                reject(rejected, batch.filter(pa.array(gone)), kind, reasons)
        files = rejected.entry()
        for name, schema, columns in (("cuts", CUT, np.hstack(parts)), ("rows", GONE_ROW, [np.concatenate(gone_rows)])):
            if len(columns[0]):
                path = f"removed/{stage.stage}-{entry.unit}-{name}.arrow"
                files.append(write_arrow(directory, path, schema, [pa.array(column) for column in columns]))
        return unit_record(entry, files, tally)

    def _cuts(
        self, texts: Texts, rows: Numbers, found_rows: Numbers, found: npt.NDArray[np.uint32]
    ) -> tuple[Numbers, Numbers]:
        """int64[3, k], the columns of CUT for one batch; int64[n], the bytes cut from each of its documents."""
        pieces = self.stage.barrier.pieces(texts)
        gone = np.zeros(len(pieces.start), dtype=np.bool_)
        gone[pieces.first[np.searchsorted(rows, found_rows)] + found] = True
        cuts = np.empty((len(CUT), len(gone)), dtype=np.int64)
        cut = np.zeros(len(texts), dtype=np.int64)
        k = cuts_of_pieces(texts.data, texts.offsets, pieces.start, pieces.first, gone, *cuts, cut)
        cuts[0, :k] = rows[cuts[0, :k]]
        return cuts[:, :k], cut


def dedup_pieces(engine: Engine, stage: Stage) -> tuple[list[Record], str]:
    """Run the barrier over the whole corpus; gives a record per documents file and the runner's name."""
    size = sum(entry.bytes for entry in stage.entries)

    def construct(pipeline: beam.Pipeline) -> None:
        keys = grouped_keys(pipeline, stage, size // BYTES_PER_PIECE, ["text"], piece_keys)
        found = keys | f"{stage.stage}: copies" >> beam.FlatMap(group_copies, stage)
        write_every_file(found, stage, WriteCuts(stage))

    runner = engine.run(construct, size)
    return result_of(stage.directory, stage.stage), runner
