"""The last part of packing: pieces by shard on the left, committed shards on the right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import apache_beam as beam
import numpy as np

from corpusmill import manifest
from corpusmill.document import id_sum
from corpusmill.pipeline.directory import Record
from corpusmill.pipeline.job import Stage, commit_stage
from corpusmill.pipeline.packing import PIECE, Packing
from corpusmill.pipeline.packing_account import account_of
from corpusmill.pipeline.tokens import TOKENIZER
from corpusmill.pipeline.units import current_or_done, unit_mark
from corpusmill.storage import FileEntry, join, read_bytes, size, write_bytes
from corpusmill.tokenize.packing.mixture import Part
from corpusmill.tokenize.shards.layout import TOKENIZER_FILE, Indexed, in_order, shards_manifest
from corpusmill.tokenize.shards.writer import Draft, Pieces, hashed_file, write_index
from corpusmill.tokenize.tokenizers.encode import Encoder

FOLDER = "shards"


class WriteShard(beam.DoFn):
    """(shard, blocks of PIECE records) → the record of the shard written, or of the one that is there already."""

    def __init__(self, packing: Packing) -> None:
        self._packing = packing

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[Record]:
        """Fetch the tokens file by file, lay out the rows, write."""
        packing, (number, blocks) = self._packing, element
        name = f"shard-{number:05d}"
        mark = unit_mark(packing.fingerprint, name, None)
        yield current_or_done(packing.directory, packing.stage, name, mark, lambda: self._write(number, blocks))

    def _write(self, number: int, blocks: Iterable[bytes]) -> Record:
        packing = self._packing
        found = np.concatenate([np.frombuffer(block, PIECE) for block in blocks])
        found = found[np.lexsort((found["begin"], found["file"]))]
        pieces = Pieces(
            **{key: np.ascontiguousarray(found[key]) for key in ("row", "order", "document", "source", "offset")},
            ids=np.ascontiguousarray(found["id"]),
            length=np.ascontiguousarray(found["length"]),
        )
        draft = Draft(
            pieces,
            rows=int(pieces.row.max()) + 1,
            sequence_length=packing.sequence_length,
            dtype=packing.dtype,
            pad_id=packing.pad_id,
        )
        starts = np.flatnonzero(np.diff(found["file"].astype(np.int64), prepend=-1)).tolist()
        put = 0
        for start, stop in pairwise([*starts, len(found)]):
            tokens = packing.opened(int(found["file"][start])).tokens
            put += draft.put(tokens, np.ascontiguousarray(found["begin"][start:stop]))
        entries, indexed = draft.write(packing.directory.path(FOLDER), number)
        return {
            "files": [replace(entry, path=f"{FOLDER}/{entry.path}").to_json() for entry in entries],
            "index": [file.to_json() for file in indexed],
            "segments": len(found),
            "tokens_packed": put,
            "id_sum": f"{id_sum(pieces.ids):032x}",
        }


def commit_pack(
    stage: Stage,
    packing: Packing,
    encoder: Encoder,
    records: list[Record],
    runner: str,
    mix: Sequence[Part],
) -> Record:
    """Check the account of tokens, write shards/manifest.json, commit the stage."""
    account = account_of(packing, records, mix)
    directory, folder = packing.directory, packing.directory.path(FOLDER)
    model = read_bytes(directory.path(TOKENIZER))
    tokenizer = FileEntry(TOKENIZER_FILE, len(model), write_bytes(join(folder, TOKENIZER_FILE), model))
    indexed = [Indexed.from_json(file) for record in account.written for file in record["index"]]
    files = [*in_order(indexed), hashed_file(folder, TOKENIZER_FILE)]
    index, root = write_index(folder, files)
    body = shards_manifest(
        sequence_length=packing.sequence_length,
        rows=account.rows,
        rows_per_shard=packing.rows_per_shard,
        encoder=encoder,
        sources=packing.sources,
        totals=account.totals,
        files=files,
        index=index,
        tokenizer=tokenizer,
        root=root,
    )
    path = join(folder, manifest.RUN_MANIFEST)
    digest = manifest.commit(path, body)
    extra = [index, tokenizer, FileEntry(manifest.RUN_MANIFEST, size(path) or 0, digest)]
    pack = {**account.pack, "id": body["id"]}
    done = [*account.written, {"files": [replace(entry, path=f"{FOLDER}/{entry.path}").to_json() for entry in extra]}]
    return commit_stage(directory, stage, packing.fingerprint, done, runner=runner, documents=[], pack=pack)
