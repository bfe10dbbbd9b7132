"""The barrier stage of documents: which rows of the documents files are copies.

    documents ─keys─▶ keys ─pairs─▶ candidates ─sketches, verify─▶ edges ─components─▶ removals ─write─▶ removed/

Only hashes and row numbers are in the files between. A barrier whose keys are proof enough has no sketches, and its
candidates are its edges.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.dedup.candidates import candidate_pairs
from corpusmill.dedup.components import EDGE, components_of_stars, contract_blocks
from corpusmill.dedup.survivors import columns_of, rank_of
from corpusmill.pipeline.directory import Entry, Record, read_documents
from corpusmill.pipeline.groups import BarrierStage, UInt64, Work, keys_phase
from corpusmill.pipeline.phases import Phase, files_record
from corpusmill.pipeline.removed import REMOVAL, SURVIVOR, write_removed
from corpusmill.pipeline.sketchbook import similarities, write_sketches
from corpusmill.pipeline.spill import Records, read_spill
from corpusmill.steps import DocumentBarrier, VerifiedBarrier
from corpusmill.text import Texts

KEY = np.dtype([("high", "<u8"), ("low", "<u8"), ("document", "<u8"), ("rank", "<u8")])
"""A key of a document: 32 bytes."""

WANTED = np.dtype([("document", "<u8")])
"""A document that is to be compared."""

HUBS = 8
"""Members of a bucket, the best ones, that each of its members is compared with."""

Stage = BarrierStage[DocumentBarrier]


def document_keys(barrier: DocumentBarrier, rows: UInt64, batch: pa.RecordBatch) -> Records:
    """KEY[k]: the keys of every document that takes part."""
    texts = Texts.from_arrow(batch.column(barrier.reads).fill_null(""))
    keys = barrier.keys(texts)
    count = keys.shape[1]
    block = np.empty(len(rows) * count, KEY)
    flat = keys.reshape(-1, 2)
    block["high"], block["low"] = flat[:, 0], flat[:, 1]
    block["document"] = np.repeat(rows, count)
    block["rank"] = np.repeat(rank_of(barrier.keep, batch), count)
    return block[np.repeat(~barrier.keyless(texts), count)]


def find_pairs(stage: Stage, group: Any) -> Record:
    """Write the candidates of one group of keys, and the documents among them."""
    keys = stage.read_group(group, KEY)
    both = np.stack([keys["high"], keys["low"]], axis=1)
    verified = stage.barrier.least_similarity() is not None
    pairs = candidate_pairs(both, keys["document"], keys["rank"], HUBS if verified else 1)
    files = [stage.write("pairs", group, pairs, "hub")]
    if verified:
        wanted = np.unique(np.concatenate([pairs["document"], pairs["hub"]])).astype("<u8").view(WANTED)
        files.append(stage.write("wanted", group, wanted, "document"))
    return files_record(*files)


def sketch_candidates(stage: BarrierStage[VerifiedBarrier], unit: Any) -> Record:
    """Write the sketches of the candidates of one file of documents; for an index, of all its documents."""
    entry = Entry.from_json(unit)
    low, high = stage.bounds(entry)
    wanted = np.unique(stage.read_all_groups("wanted", WANTED, "document", low, high)["document"]) - np.uint64(low)
    parts, done = [], [np.empty(0, np.uint64)]
    for rows, batch in read_documents(stage.directory, entry, ["text"]) if len(wanted) or stage.saves else ():
        chosen = np.ones(len(rows), np.bool_) if stage.saves else np.isin(rows, wanted, assume_unique=True)
        if chosen.any():
            texts = Texts.from_arrow(batch.column("text").filter(pa.array(chosen)))
            parts.append(stage.barrier.sketches(texts))
            done.append(rows[chosen].astype(np.uint64))
    path = stage.scratch("sketches", entry.unit)
    return files_record(write_sketches(stage.directory.root, path, np.concatenate(done), parts, np.uint32))


def verify(stage: Stage, part: Any) -> Record:
    """Write the candidates whose better one is in one part, if they are similar enough."""
    low, high = (int(first) for first in stage.first_ordinals()[part : part + 2])
    pairs = stage.read_all_groups("pairs", EDGE, "hub", low, high)
    pairs = pairs[np.lexsort((pairs["document"], pairs["hub"]))]
    fresh = np.ones(len(pairs), np.bool_)
    fresh[1:] = (np.diff(pairs["hub"]) != 0) | (np.diff(pairs["document"]) != 0)
    pairs = pairs[fresh]
    alike = similarities(stage, pairs["hub"], pairs["document"]) >= (stage.barrier.least_similarity() or 0.0)
    return files_record(stage.write("edges", part, pairs[alike], "hub"))


def join(stage: Stage, part: Any) -> Record:
    """Write the removals and the survivors of the whole corpus, as the only part."""
    blocks = (read_spill(path, EDGE, "hub") for path in stage.edge_files())
    found = components_of_stars(contract_blocks(blocks))
    gone = found.document != found.survivor
    removals = np.empty(int(gone.sum()), REMOVAL)
    for field in REMOVAL.names or ():
        removals[field] = getattr(found, field)[gone]
    survivors = np.empty(int((~gone).sum()), SURVIVOR)
    survivors["document"], survivors["cluster_size"] = found.document[~gone], found.cluster_size[~gone]
    return files_record(
        stage.write("removals", part, removals, "document"), stage.write("survivors", part, survivors, "document")
    )


def link_phases(stage: Stage) -> list[Phase]:
    """The phases that end with links between documents."""
    barrier = stage.barrier
    parts = [(f"verify@{part}", part) for part in range(len(stage.parts))]
    compare = [
        Phase("sketches", stage.entry_units("sketches"), Work(sketch_candidates, stage)),
        Phase("verify", parts, Work(verify, stage)),
    ]
    return [
        keys_phase(stage, [barrier.reads, *columns_of(barrier.keep)], document_keys),
        Phase("pairs", stage.group_units("pairs"), Work(find_pairs, stage)),
        *(compare if barrier.least_similarity() is not None else []),
    ]


def join_phase(stage: Stage) -> Phase:
    """The phase between, when the documents fit in memory; `rounds` has the other way."""
    return Phase("join", [("join@0", 0)], Work(join, stage))


def write_phase(stage: Stage) -> Phase:
    """The last phase."""
    return Phase("write", stage.entry_units(), Work(write_removed, stage))
