"""The pack stage: token files on the left, packed shards on the right.

    token files ─count─▶ histograms ─▶ plan ─place─▶ pieces by shard ─write─▶ shards/

What crosses the shuffle is 60 bytes per piece; a shard's writer fetches the tokens from the mapped token files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill import manifest
from corpusmill.document import id_sum
from corpusmill.errors import InputError, LedgerError
from corpusmill.pipeline.directory import Record, RunDirectory
from corpusmill.pipeline.job import Run, Stage, commit_stage
from corpusmill.pipeline.progress import watch
from corpusmill.pipeline.tokens import TOKENIZER, encoder_of
from corpusmill.pipeline.units import Finish, current_or_done, result_of, spread, unit_mark
from corpusmill.storage import FileEntry, atomic_writer, read_bytes, sha256_of, size, write_bytes
from corpusmill.tokenize import mixture, place, plan, shards
from corpusmill.tokenize.encode import Encoder, Tokens
from corpusmill.tokenize.token_files import gather, open_token_file

PIECE = np.dtype(
    [
        ("row", "<i8"),
        ("order", "<u8"),
        ("document", "<i8"),
        ("id", "<u8", (2,)),
        ("source", "<u2"),
        ("file", "<u4"),
        ("begin", "<i8"),
        ("offset", "<u4"),
        ("length", "<u4"),
    ]
)
"""A piece of a document on its way to its row: `row` in the shard, `begin` in the token file `file`."""

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Input:
    """One token file: its source's position and epochs, and the ordinal of its first document in the corpus."""

    path: str
    source: int
    epochs: float
    first_document: int


@dataclass(frozen=True)
class Packing:
    """What the workers of the pack stage need to know."""

    stage: str
    fingerprint: str
    directory: RunDirectory
    inputs: tuple[Input, ...]
    seed: int
    sequence_length: int
    rows_per_shard: int
    pad_id: int
    dtype: str

    def pieces(self, position: int) -> npt.NDArray[Any]:
        """PIECE[m]: the pieces of one token file, copies included, with neither row nor order yet."""
        given = self.inputs[position]
        file = open_token_file(self.directory.path(given.path))
        times = mixture.copies(file.ids, given.epochs, self.seed)
        drawn = np.repeat(np.arange(len(file.ids)), times)
        document, offset, length = plan.pieces(np.diff(file.offsets)[drawn], self.sequence_length)
        document = drawn[document]
        out = np.zeros(len(document), PIECE)
        out["document"], out["id"] = given.first_document + document, file.ids[document]
        out["source"], out["file"] = given.source, position
        out["begin"], out["offset"], out["length"] = file.offsets[document] + offset, offset, length
        return out


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


def histogram_of(record: Record) -> Int64s:
    """The histogram in a record of `Count`."""
    return np.frombuffer(bytes.fromhex(record["histogram"]), np.int64)


def total_of(records: list[Record]) -> Int64s:
    """The histogram of all token files."""
    return np.sum([histogram_of(record) for record in records], axis=0, dtype=np.int64)


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


class WriteShard(beam.DoFn):
    """(shard, blocks of PIECE records) → the record of the shard written, or of the one that is there already."""

    def __init__(self, packing: Packing) -> None:
        self._packing = packing

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[Record]:
        """Fetch the tokens file by file, lay out the rows, write."""
        packing, (number, blocks) = self._packing, element
        name = f"shard-{number:05d}"
        mark = unit_mark(packing.fingerprint, name, None)
        yield current_or_done(packing.directory, packing.stage, name, mark, lambda: self._write(name, blocks))

    def _write(self, name: str, blocks: Iterable[bytes]) -> Record:
        packing = self._packing
        pieces = np.concatenate([np.frombuffer(block, PIECE) for block in blocks])
        pieces = pieces[np.lexsort((pieces["begin"], pieces["file"]))]
        starts = np.flatnonzero(np.diff(pieces["file"].astype(np.int64), prepend=-1))
        size = int(pieces["length"].sum(dtype=np.int64))
        tokens: Tokens = np.empty(size, self._packing.dtype)
        at = 0
        for start, stop in zip(starts, [*starts[1:], len(pieces)], strict=True):
            file = open_token_file(packing.directory.path(packing.inputs[pieces["file"][start]].path))
            part = pieces[start:stop]
            at = gather(
                file.tokens, np.ascontiguousarray(part["begin"]), np.ascontiguousarray(part["length"]), tokens, at
            )
        rows = int(pieces["row"].max()) + 1
        columns = {key: np.ascontiguousarray(pieces[key]) for key in ("row", "order", "document", "source", "offset")}
        laid = shards.Pieces(
            **columns,
            ids=np.ascontiguousarray(pieces["id"]),
            length=np.ascontiguousarray(pieces["length"]),
            tokens=tokens,
        )
        path = f"shards/{name}.arrow"
        with atomic_writer(packing.directory.path(path)) as sink:
            shards.write_shard(
                pa.PythonFile(sink, "w"),
                laid,
                rows=rows,
                sequence_length=packing.sequence_length,
                pad_id=packing.pad_id,
            )
        return {
            "files": [FileEntry(path, sink.bytes, sink.sha256, rows).to_json()],
            "segments": len(pieces),
            "tokens_packed": at,
            "id_sum": f"{id_sum(laid.ids):032x}",
        }


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


def commit_pack(
    stage: Stage,
    packing: Packing,
    encoder: Encoder,
    records: list[Record],
    runner: str,
    names: list[str],
    epochs: Mapping[str, float],
) -> Record:
    """Check the account of tokens, write shards/manifest.json, commit the stage."""
    counts = [record for record in records if "histogram" in record]
    written = [record for record in records if "histogram" not in record]
    planned = plan.plan(total_of(counts))
    check_tokens(planned, counts, written)
    directory = packing.directory
    copy = f"shards/{shards.TOKENIZER_FILE}"
    digest = write_bytes(directory.path(copy), read_bytes(directory.path(TOKENIZER)))
    tokenizer = FileEntry(shards.TOKENIZER_FILE, size(directory.path(copy)) or 0, digest)
    files = [FileEntry(**file) for record in written for file in record["files"]]
    inside = [FileEntry(f.path.removeprefix("shards/"), f.bytes, f.sha256, f.rows) for f in files]
    body = shards.shards_manifest(
        plan=planned,
        rows_per_shard=packing.rows_per_shard,
        encoder=encoder,
        sources=names,
        documents=sum(record["documents"] for record in counts),
        cut_documents=sum(record["cut_documents"] for record in counts),
        shards=sorted(inside, key=lambda entry: entry.path),
        tokenizer=tokenizer,
    )
    index = f"shards/{manifest.RUN_MANIFEST}"
    manifest.commit(directory.path(index), body)
    extra = [
        FileEntry(copy, tokenizer.bytes, digest),
        FileEntry(index, size(directory.path(index)) or 0, sha256_of(directory.path(index))),
    ]
    pack = {
        **body["totals"],
        "sequence_length": planned.sequence_length,
        "rows": planned.rows,
        "sources": {
            name: {"epochs": epochs[name], **_sum_tokens(counts, packing, number)} for number, name in enumerate(names)
        },
        "ledger": {**_sum_tokens(counts, packing, None), "padding": planned.pad_tokens},
    }
    done = [*written, {"files": [entry.to_json() for entry in extra]}]
    return commit_stage(directory, stage, packing.fingerprint, done, runner=runner, documents=[], pack=pack)


def _sum_tokens(counts: list[Record], packing: Packing, source: int | None) -> dict[str, int]:
    chosen = [record for record in counts if source in (None, packing.inputs[record["position"]].source)]
    keys = ("in", "packed", "repeated", "left_out")
    return {key: sum(record["tokens"][key] for record in chosen) for key in keys}


def check_tokens(planned: plan.Plan, counts: list[Record], written: list[Record]) -> None:
    """Raise LedgerError unless the shards hold every token, segment and id that was planned, and nothing else."""

    def ids(records: list[Record]) -> int:
        return sum(int(record["id_sum"], 16) for record in records) % (1 << 128)

    segments, tokens = (sum(record[key] for record in written) for key in ("segments", "tokens_packed"))
    if (segments, tokens, ids(written)) != (planned.segments, planned.tokens, ids(counts)):
        raise LedgerError(
            f"the shards hold {segments} segments, {tokens} tokens, ids {ids(written):032x}; planned were "
            f"{planned.segments}, {planned.tokens}, {ids(counts):032x}. Please report this with the recipe"
        )
    for record in counts:
        held = record["tokens"]
        if held["in"] + held["repeated"] - held["left_out"] != held["packed"]:
            raise LedgerError(f"tokens of {record['unit']} do not add up: {held}")
