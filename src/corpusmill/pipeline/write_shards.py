"""The last part of packing: pieces by shard on the left, committed shards on the right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import apache_beam as beam
import numpy as np
import pyarrow as pa

from corpusmill import manifest
from corpusmill.document import id_sum
from corpusmill.errors import LedgerError
from corpusmill.pipeline.directory import Record
from corpusmill.pipeline.job import Stage, commit_stage
from corpusmill.pipeline.packing import PIECE, Packing, total_of
from corpusmill.pipeline.tokens import TOKENIZER
from corpusmill.pipeline.units import current_or_done, unit_mark
from corpusmill.storage import FileEntry, atomic_writer, read_bytes, sha256_of, size, write_bytes
from corpusmill.tokenize import plan, shards
from corpusmill.tokenize.encode import Encoder, Tokens
from corpusmill.tokenize.token_files import gather, open_token_file


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
