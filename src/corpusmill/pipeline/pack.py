"""The pack stage: token files on the left, packed shards on the right.

    token files ─count─▶ counts ─▶ arrangement ─place─▶ pieces by shard ─write─▶ shards/

What crosses the shuffle is 62 bytes per piece; a shard's writer fetches the tokens from the mapped token files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from corpusmill.document import id_sum
from corpusmill.errors import InputError
from corpusmill.options import plain
from corpusmill.packing_options import Shards
from corpusmill.pipeline.directory import Record
from corpusmill.pipeline.job import Run, Stage
from corpusmill.pipeline.mix_table import mix_table, parts_of
from corpusmill.pipeline.packing import Drawn, Input, Int64s, Packing, counts_of, counts_record
from corpusmill.pipeline.progress import watch
from corpusmill.pipeline.tokens import encoder_of
from corpusmill.pipeline.units import Units, do_units, leave, one_key, result_of, unit_mark
from corpusmill.pipeline.write_shards import WriteShard, commit_pack
from corpusmill.tokenize.packing import arrange, mixture, place, plan, strata
from corpusmill.tokenize.packing.arrange import Arrangement
from corpusmill.tokenize.shards import layout

_POWERS = np.int64(1) << np.arange(33, dtype=np.int64)
"""Documents are counted by their length: 1, 2, 3 to 4, 5 to 8 … tokens."""
PLACED = "placed"
MUCH_PADDING = 0.05


class Count(beam.DoFn):
    """Units of (name, position) → a record each of what one token file brings: its counts and its tokens."""

    def __init__(self, packing: Packing, units: Units = ()) -> None:
        """`units` are done for any element; without them, those that come."""
        self._packing, self._units = packing, units

    def process(self, element: Any) -> Iterator[Record]:
        """Count the documents that are in the mix; `element` is (key, units), or anything."""
        for name, position in self._units or element[1]:
            drawn = self._packing.drawn(position)
            sizes = np.diff(drawn.file.offsets)
            used = np.zeros(len(sizes), np.bool_)
            used[drawn.document] = True
            used &= sizes > 0
            held, packed, once = (int(lengths.sum()) for lengths in (sizes, drawn.lengths, sizes[used]))
            yield {
                "unit": f"count-{name}",
                "files": [],
                "position": position,
                **counts_record(self._packing.count(drawn)),
                "tokens": {"in": held, "packed": packed, "repeated": packed - once, "left_out": held - once},
                "documents": int(used.sum()),
                "lengths": np.bincount(np.searchsorted(_POWERS, sizes[used]), minlength=len(_POWERS)).tolist(),
            }


def prefixes(records: Iterable[Record], order: list[int]) -> Iterator[tuple[int, Record]]:
    """Records of all token files → for each (position, its cells, what the files before it have there, all counts)."""
    by_position = {record["position"]: record for record in records}
    total: Int64s = np.sum([counts_of(record) for record in by_position.values()], axis=0, dtype=np.int64)
    every, before = counts_record(total), np.zeros_like(total)
    for position in order:
        record = by_position[position]
        cells = np.frombuffer(bytes.fromhex(record["cells"]), np.int64)
        yield position, {**every, "own": cells.tobytes(), "before": before.reshape(-1)[cells].tobytes()}
        before += counts_of(record)


class Place(beam.DoFn):
    """A token file with its prefix and all counts → (shard, bytes of PIECE records), and a record of what it placed."""

    def __init__(self, packing: Packing) -> None:
        self._packing = packing
        self._made: Arrangement | None = None

    def process(self, element: tuple[int, Iterable[Record]]) -> Iterator[Any]:
        """Every piece gets its row by arithmetic."""
        packing = self._packing
        position, found = element
        for prefix in found:
            before = np.zeros(prefix["shape"], np.int64)
            before.reshape(-1)[np.frombuffer(prefix["own"], np.int64)] = np.frombuffer(prefix["before"], np.int64)
            drawn = packing.drawn(position)
            pieces = packing.pieces(position, drawn, self._arrangement(prefix), before)
            yield beam.pvalue.TaggedOutput(PLACED, self._record(position, drawn, pieces))
            shard = pieces["row"] // packing.rows_per_shard
            pieces["row"] -= shard * packing.rows_per_shard
            order = np.argsort(shard, kind="stable")
            shard, pieces = shard[order], pieces[order]
            starts = np.flatnonzero(np.diff(shard, prepend=-1))
            for start, stop in pairwise([*starts, len(shard)]):
                yield int(shard[start]), pieces[start:stop].tobytes()

    def _arrangement(self, prefix: Record) -> Arrangement:
        """All counts are the same for every file: plan once."""
        if self._made is None:
            self._made = self._packing.arrange(counts_of(prefix))
        return self._made

    def _record(self, position: int, drawn: Drawn, pieces: npt.NDArray[Any]) -> Record:
        length = self._packing.sequence_length
        document = pieces["document"] - self._packing.inputs[position].first_document
        sizes = np.diff(drawn.file.offsets)[document]
        cut = pieces["length"] < sizes
        needed = int((-(-drawn.lengths // length)).sum())
        return {
            "unit": f"place-{position:06d}",
            "files": [],
            "placed": int(pieces["length"].sum(dtype=np.int64)),
            "segments": len(pieces),
            "avoidable_cuts": len(pieces) - needed,
            "cut_documents": len(np.unique(document[cut])),
            "avoidably_cut_documents": len(np.unique(document[cut & (sizes <= length)])),
            "id_sum": f"{id_sum(pieces['id']):032x}",
        }


def pack_stage(job: Run, stage: Stage, left: Record | None) -> Record:
    """Solve the mixture, plan, place, write; check that every token is where the plan put it; commit."""
    if left is None or not left["tokens"]:
        raise InputError(
            f"{stage.name}: there are no tokens to pack, every document was dropped or removed before; rejected/ has "
            "them with the reasons. Change the steps, or the sources"
        )
    recipe, directory = job.recipe, job.directory
    token_files = sorted(left["tokens"], key=lambda piece: (piece["source"], piece["unit"]))
    held = Counter[str]()
    for piece in token_files:
        held[piece["source"]] += piece["tokens"]
    mix = parts_of(recipe, held)
    codes = [plan.VERSION, place.VERSION, arrange.VERSION, strata.VERSION, mixture.VERSION, layout.VERSION]
    inputs = {
        "epochs": {part.name: part.epochs for part in mix},
        "seed": recipe.seed,
        "shards": plain(recipe.shards),
        "code": codes,
    }
    mark = job.stage_fingerprint(stage, left, inputs)
    done = job.done_before(stage, mark, lambda name: unit_mark(mark, name, None))
    if done is not None:
        return done
    job.console.print(mix_table(mix))
    for remark in mixture.remarks(mix):
        job.console.print(f"{stage.name}: {remark}", markup=False, soft_wrap=True)
    encoder = encoder_of(directory, left["encoder"])
    names = [part.name for part in mix]
    firsts = np.cumsum([0, *(piece["documents"] for piece in token_files)])
    packing = Packing(
        stage.name,
        mark,
        directory,
        tuple(
            Input(piece["path"], (n := names.index(piece["source"])), mix[n].epochs, int(first))
            for piece, first in zip(token_files, firsts, strict=False)
        ),
        tuple(names),
        recipe.seed,
        recipe.shards,
        encoder.pad_id,
        encoder.dtype.name,
    )
    units = [(str(piece["unit"]), n) for n, piece in enumerate(token_files)]
    records, runner = run_packing(job, packing, units, 2 * sum(held.values()))
    body = commit_pack(stage, packing, encoder, records, runner, mix)
    if remark := padding_remark(recipe.shards, body["pack"]):
        job.console.print(f"{stage.name}: {remark}", markup=False, soft_wrap=True)
    return body


def padding_remark(shards: Shards, pack: Record) -> str:
    """A word where whole documents leave much room empty, else nothing."""
    share = pack["pad_tokens"] / (pack["rows"] * pack["sequence_length"] or 1)
    if share <= MUCH_PADDING or shards.max_padding is not None or shards.max_documents_per_row is not None:
        return ""
    return (
        f"{share:.1%} of the rows is padding, because whole documents fill them badly; shards.max_padding = "
        f'{MUCH_PADDING:g} cuts few of them, packing = "concat" cuts wherever a row ends'
    )


def run_packing(job: Run, packing: Packing, units: Units, size: int) -> tuple[list[Record], str]:
    """The Beam job for token files (name, position) of `size` bytes in all.

    Gives the records of files counted and placed and of shards written, and the runner's name.
    """
    name, shared = packing.stage, job.engine.shares(size)
    # nobody knows the number of shards before the plan: the bar counts on one per rows_per_shard rows of tokens
    row_bytes = packing.rows_per_shard * packing.sequence_length * 2
    sizes = {f"shard-{n:05d}": min(row_bytes, size - n * row_bytes) for n in range(-(-size // row_bytes))}

    def construct(pipeline: beam.Pipeline) -> None:
        start = pipeline | f"{name}: start" >> beam.Impulse()
        counted = do_units(start, f"{name}: count", units, partial(Count, packing), shared=shared)
        counted |= f"{name}: counts" >> beam.Map(one_key)
        before = (
            counted
            | f"{name}: all counted" >> beam.GroupByKey()
            | f"{name}: all counts" >> beam.Values()
            | f"{name}: prefixes" >> beam.FlatMap(prefixes, packing.order())
            | f"{name}: by file" >> (beam.GroupByKey() if shared else beam.MapTuple(alone))
        )
        placed = before | f"{name}: place" >> beam.ParDo(Place(packing)).with_outputs(PLACED, main="blocks")
        by_shard = placed.blocks | f"{name}: by shard" >> beam.GroupByKey()
        written = by_shard | f"{name}: write" >> beam.ParDo(WriteShard(packing))
        told = (placed[PLACED], written) | f"{name}: told" >> beam.Flatten() | f"{name}: records" >> beam.Map(one_key)
        leave((counted, told) | f"{name}: all" >> beam.Flatten(), packing.directory, name)

    with watch(job.console, packing.directory, name, sizes):
        runner = job.engine.run(construct, size)
    return result_of(packing.directory, name), runner


def alone(position: int, prefix: Record) -> tuple[int, list[Record]]:
    """As if it were grouped by its position."""
    return position, [prefix]
