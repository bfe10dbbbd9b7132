"""The pack stage: token files on the left, packed shards on the right.

    token files ─count─▶ histograms ─▶ plan ─place─▶ pieces by shard ─write─▶ shards/

What crosses the shuffle is 60 bytes per piece; a shard's writer fetches the tokens from the mapped token files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from corpusmill.document import id_sum
from corpusmill.errors import InputError
from corpusmill.pipeline.directory import Record
from corpusmill.pipeline.job import Run, Stage
from corpusmill.pipeline.packing import Input, Int64s, Packing, histogram_of, total_of
from corpusmill.pipeline.progress import watch
from corpusmill.pipeline.tokens import TOKENIZER, encoder_of
from corpusmill.pipeline.units import Finish, result_of, spread, unit_mark
from corpusmill.pipeline.write_shards import WriteShard, commit_pack
from corpusmill.tokenize import mixture, place, plan, shards
from corpusmill.tokenize.token_files import open_token_file


class Count(beam.DoFn):
    """(position, [(name, position)]) → a record of what one token file brings: its histogram and its tokens."""

    def __init__(self, packing: Packing) -> None:
        self._packing = packing

    def process(self, element: tuple[int, Iterable[tuple[str, int]]]) -> Iterator[Record]:
        """The histogram travels as bytes of int64[sequence_length + 1]."""
        packing = self._packing
        for name, position in element[1]:
            pieces = packing.pieces(position)
            held = int(open_token_file(packing.directory.path(packing.inputs[position].path)).offsets[-1])
            heads = pieces[pieces["offset"] == 0]
            used = np.unique(heads["document"])
            longer = np.unique(pieces["document"][pieces["offset"] > 0])
            packed = int(pieces["length"].sum(dtype=np.int64))
            once = int(_last_ends(pieces).sum())
            counts = plan.histogram(pieces["length"], packing.sequence_length)
            yield {
                "unit": f"count-{name}",
                "files": [],
                "position": position,
                "histogram": counts.tobytes().hex(),
                "tokens": {"in": held, "packed": packed, "repeated": packed - once, "left_out": held - once},
                "documents": len(used),
                "cut_documents": len(longer),
                "id_sum": f"{id_sum(pieces['id']):032x}",
            }


def _last_ends(pieces: npt.NDArray[Any]) -> Int64s:
    """Tokens of each document used, once."""
    ends = (pieces["offset"].astype(np.int64) + pieces["length"]) if len(pieces) else np.empty(0, np.int64)
    order = np.lexsort((ends, pieces["document"]))
    documents = pieces["document"][order]
    last = np.ones(len(order), dtype=np.bool_)
    last[:-1] = documents[1:] != documents[:-1]
    return ends[order][last]


def prefixes(records: list[Record]) -> Iterator[tuple[int, tuple[bytes, bytes]]]:
    """Records of all token files → for each (position, (pieces before it by length, pieces of all by length))."""
    ordered = sorted(records, key=lambda record: int(record["position"]))
    total = total_of(ordered)
    before = np.zeros_like(total)
    for record in ordered:
        yield record["position"], (before.tobytes(), total.tobytes())
        before = before + histogram_of(record)


class Place(beam.DoFn):
    """A token file with its prefix and the total → (shard, bytes of PIECE records)."""

    def __init__(self, packing: Packing) -> None:
        self._packing = packing

    def process(self, element: tuple[int, Iterable[tuple[bytes, bytes]]]) -> Iterator[tuple[int, bytes]]:
        """Every piece gets its row by arithmetic."""
        packing = self._packing
        position, found = element
        for before, total in found:
            planned = plan.plan(np.frombuffer(total, np.int64))
            pieces = packing.pieces(position)
            rows = place.place(planned, pieces["length"], np.frombuffer(before, np.int64), packing.seed).astype(
                np.int64
            )
            pieces["order"] = place.order_key(pieces["id"], pieces["offset"], packing.seed)
            shard = rows // packing.rows_per_shard
            pieces["row"] = rows % packing.rows_per_shard
            order = np.argsort(shard, kind="stable")
            shard, pieces = shard[order], pieces[order]
            starts = np.flatnonzero(np.diff(shard, prepend=-1))
            for start, stop in zip(starts, [*starts[1:], len(shard)], strict=True):
                yield int(shard[start]), pieces[start:stop].tobytes()


def pack_stage(job: Run, stage: Stage, left: Record | None) -> Record:
    """Solve the mixture, plan, place, write; check that every token is where the plan put it; commit."""
    if left is None:
        raise InputError("there are no tokens to pack")
    recipe, directory = job.recipe, job.directory
    token_files = sorted(left["tokens"], key=lambda piece: (piece["source"], piece["unit"]))
    names = sorted(source.name for source in recipe.sources)
    held = Counter[str]()
    for piece in token_files:
        held[piece["source"]] += piece["tokens"]
    wishes = sorted(recipe.sources, key=lambda source: source.name)
    epochs = mixture.solve(
        [(wish.name, held[wish.name], wish.weight, wish.epochs, wish.token_budget) for wish in wishes],
        recipe.shards.max_epochs,
    )
    for wish in wishes:
        if wish.epochs is None and epochs[wish.name] >= recipe.shards.max_epochs:
            job.console.print(
                f"{stage.name}: source {wish.name} would be repeated more than max_epochs = {recipe.shards.max_epochs} "
                "times and is capped there; the mix has less of it than wished",
                markup=False,
            )
    mark = job.stage_fingerprint(
        stage,
        left,
        {
            "epochs": epochs,
            "seed": recipe.seed,
            "rows": [recipe.shards.sequence_length, recipe.shards.rows_per_shard],
            "code": [plan.VERSION, place.VERSION, shards.VERSION, mixture.VERSION],
        },
    )
    done = job.done_before(stage, mark, lambda name: unit_mark(mark, name, None))
    if done is not None:
        return done
    encoder = encoder_of(directory.path(TOKENIZER), left["sha256"], left["backend"], left["reason"])
    firsts = np.cumsum([0, *(piece["documents"] for piece in token_files)])
    packing = Packing(
        stage.name,
        mark,
        directory,
        tuple(
            Input(piece["path"], names.index(piece["source"]), epochs[piece["source"]], int(first))
            for piece, first in zip(token_files, firsts, strict=False)
        ),
        recipe.seed,
        recipe.shards.sequence_length,
        recipe.shards.rows_per_shard,
        encoder.pad_id,
        encoder.dtype.name,
    )
    records, runner = run_packing(job, packing, [str(piece["unit"]) for piece in token_files], 2 * sum(held.values()))
    return commit_pack(stage, packing, encoder, records, runner, names, epochs)


def run_packing(job: Run, packing: Packing, units: list[str], size: int) -> tuple[list[Record], str]:
    """The Beam job; gives the records of files counted and shards written, and the runner's name."""
    name = packing.stage
    # nobody knows the number of shards before the plan: the bar counts on one per rows_per_shard rows of tokens
    row_bytes = packing.rows_per_shard * packing.sequence_length * 2
    sizes = {f"shard-{n:05d}": min(row_bytes, size - n * row_bytes) for n in range(-(-size // row_bytes))}

    def construct(pipeline: beam.Pipeline) -> None:
        counted = (
            pipeline
            | f"{name}: spread" >> spread([(unit, n) for n, unit in enumerate(units)])
            | f"{name}: count" >> beam.ParDo(Count(packing))
        )
        written = (
            counted
            | f"{name}: histograms" >> beam.combiners.ToList()
            | f"{name}: prefixes" >> beam.FlatMap(prefixes)
            | f"{name}: by file" >> beam.GroupByKey()
            | f"{name}: place" >> beam.ParDo(Place(packing))
            | f"{name}: by shard" >> beam.GroupByKey()
            | f"{name}: write" >> beam.ParDo(WriteShard(packing))
        )
        (counted, written) | f"{name}: all" >> beam.Flatten() | f"{name}: finish" >> Finish(packing.directory, name)

    with watch(job.console, packing.directory, name, sizes):
        runner = job.engine.run(construct, size)
    return result_of(packing.directory, name), runner
