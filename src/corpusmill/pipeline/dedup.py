"""The barrier stage of documents: which rows of the documents files are copies. Only hashes and row numbers cross the
shuffle.

    documents files ─keys─▶ blocks by key prefix ─group─▶ edges ─components─▶ removals ─▶ removed rows, file by file
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam
import numpy as np
import pyarrow as pa

from corpusmill.dedup.components import EDGE, bucket_edges, components, contract, rank_of
from corpusmill.pipeline.directory import Record
from corpusmill.pipeline.groups import BarrierStage, Keys, Ordinals, cut_by_file, grouped_keys, write_every_file
from corpusmill.pipeline.removed import REMOVAL, WriteRemoved, name_survivors
from corpusmill.pipeline.runner import Engine
from corpusmill.pipeline.units import result_of
from corpusmill.steps import DocumentBarrier
from corpusmill.text import Texts

KEY = np.dtype([("high", "<u8"), ("low", "<u8"), ("document", "<u8"), ("rank", "<u8")])
"""What this barrier shuffles: 32 bytes per key of a document."""

Stage = BarrierStage[DocumentBarrier]


def columns_of(barrier: DocumentBarrier) -> list[str]:
    """The columns that keys and ranks are made from."""
    by = barrier.keep
    ranked_by = ["text"] if by == "longest" else ["date"] if by == "newest" else [by[5:]] if ":" in by else []
    return list(dict.fromkeys([barrier.reads, *ranked_by]))


def document_keys(stage: Stage, ordinals: Ordinals, batch: pa.RecordBatch) -> Keys:
    """KEY[k]: the keys of every document that takes part."""
    barrier = stage.barrier
    texts = Texts.from_arrow(batch.column(barrier.reads).fill_null(""))
    keys = barrier.keys(texts)
    count = keys.shape[1]
    block = np.empty(len(ordinals) * count, KEY)
    flat = keys.reshape(-1, 2)
    block["high"], block["low"] = flat[:, 0], flat[:, 1]
    block["document"] = np.repeat(ordinals, count)
    block["rank"] = np.repeat(rank_of(barrier.keep, batch), count)
    return block[np.repeat(~barrier.keyless(texts), count)]


def group_edges(group: tuple[int, Iterable[bytes]]) -> bytes:
    """Blocks of one group → the edges between documents that share a key."""
    keys = np.concatenate([np.frombuffer(block, KEY) for block in group[1]])
    both = np.stack([keys["high"], keys["low"]], axis=1)
    return bucket_edges(both, keys["document"], keys["rank"]).tobytes()


def contract_blocks(blocks: Iterable[bytes]) -> bytes:
    """Blocks of edges → the fewest edges with the same components: their order does not matter."""
    return contract(np.frombuffer(b"".join(blocks), EDGE)).tobytes()


def by_survivor(edges: bytes, stage: Stage) -> Iterator[tuple[int, bytes]]:
    """Edges of the whole corpus → (position of a file, bytes of REMOVAL records whose survivors it has).

    Every document that does not survive goes to the file that can name its survivor.
    """
    found = components(np.frombuffer(edges, EDGE))
    gone = found.document != found.survivor
    removals = np.empty(int(gone.sum()), REMOVAL)
    for name in REMOVAL.names or ():
        removals[name] = getattr(found, name)[gone]
    yield from cut_by_file(removals, removals["survivor"], stage.first_ordinals())


def dedup(engine: Engine, stage: Stage) -> tuple[list[Record], str]:
    """Run the barrier over the whole corpus; gives a record per documents file and the runner's name."""
    keys = sum(entry.rows for entry in stage.entries) * getattr(stage.barrier, "bands", 1)

    def construct(pipeline: beam.Pipeline) -> None:
        name = stage.stage
        named = (
            grouped_keys(pipeline, stage, keys, columns_of(stage.barrier), document_keys)
            | f"{name}: edges" >> beam.Map(group_edges)
            | f"{name}: contract" >> beam.CombineGlobally(contract_blocks)
            | f"{name}: components" >> beam.FlatMap(by_survivor, stage)
            | f"{name}: by survivor" >> beam.GroupByKey()
            | f"{name}: name" >> beam.FlatMap(name_survivors, stage)
        )
        write_every_file(named, stage, WriteRemoved(stage))

    runner = engine.run(construct, sum(entry.bytes for entry in stage.entries))
    return result_of(stage.directory, stage.stage), runner
