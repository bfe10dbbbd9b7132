"""The packed shard: its layout, its writer and its reader.

A shard is one Arrow IPC file with one record batch, a row of it one training sequence:

    tokens    fixed_size_list<uint16 | uint32>[sequence_length]
    segments  list<struct<id fixed_size_binary[16], document int64, source uint16,
                          start uint32, length uint32, offset uint32>>

A segment is one document's piece of the row: `length` tokens from `start` on, which are the tokens from `offset` on of
the document. Segments lie without a gap from the start of the row; what is behind the last is padding, carries the pad
id and belongs to no segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpusmill import manifest, storage
from corpusmill.document import ID_BYTES
from corpusmill.errors import ConfigError, IntegrityError, LedgerError
from corpusmill.storage import FileEntry
from corpusmill.tokenize.encode import Encoder, Policy, Tokens
from corpusmill.tokenize.plan import Plan

VERSION = 1
FORMAT = "corpusmill.shards"
TOKENIZER_FILE = "tokenizer.json"
MAX_SOURCES = 1 << 16

SEGMENT = np.dtype(
    [("document", np.int64), ("source", np.uint16), ("start", np.uint32), ("length", np.uint32), ("offset", np.uint32)]
)
"""One segment of a row: document (ordinal in the corpus), source (position in `Packed.sources`), start (in the row),
length, offset (in the document), the last three in tokens."""

_ARROW_SEGMENT = pa.struct(
    [pa.field("id", pa.binary(ID_BYTES), nullable=False)]
    + [pa.field(name, pa.from_numpy_dtype(SEGMENT[name]), nullable=False) for name in SEGMENT.names or ()]
)


@dataclass(frozen=True)
class Pieces:
    """m pieces of one shard in any order.

    row       int64[m], row in the shard
    order     uint64[m], pieces lie in their row by rising `order`, see `place.order_key`
    document  int64[m], ordinal of the document in the corpus
    ids       uint64[m, 2], the document's id, see `document.id_words`
    source    uint16[m], position of the source in the manifest
    offset    uint32[m], first token in the document
    length    uint32[m], tokens, 1 or more
    tokens    uint16 or uint32[sum of length], piece by piece
    """

    row: npt.NDArray[np.int64]
    order: npt.NDArray[np.uint64]
    document: npt.NDArray[np.int64]
    ids: npt.NDArray[np.uint64]
    source: npt.NDArray[np.uint16]
    offset: npt.NDArray[np.uint32]
    length: npt.NDArray[np.uint32]
    tokens: Tokens

    @staticmethod
    def concatenate(parts: Sequence[Pieces]) -> Pieces:
        """All pieces of `parts`, one behind the other."""
        return Pieces(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Pieces)})


def schema(sequence_length: int, dtype: npt.DTypeLike) -> pa.Schema:
    """The Arrow schema of a shard whose tokens have `dtype`, uint16 or uint32."""
    token = pa.field("item", pa.from_numpy_dtype(np.dtype(dtype)), nullable=False)
    segments = pa.list_(pa.field("item", _ARROW_SEGMENT, nullable=False))
    columns = {"tokens": pa.list_(token, sequence_length), "segments": segments}
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns.items()])


def write_shard(sink: Any, pieces: Pieces, *, rows: int, sequence_length: int, pad_id: int) -> None:
    """Lay out `pieces` in `rows` rows and write the shard to the binary file `sink` (see `storage.atomic_writer`).

    The bytes do not depend on the order of the pieces. Raises LedgerError when the pieces are not those of `rows`
    rows with 1 to `sequence_length` tokens each.
    """
    batch = shard_batch(pieces, rows=rows, sequence_length=sequence_length, pad_id=pad_id)
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)


def shard_batch(pieces: Pieces, *, rows: int, sequence_length: int, pad_id: int) -> pa.RecordBatch:
    """The record batch of a shard, see `write_shard`."""
    lengths = pieces.length.astype(np.int64)
    dtype = pieces.tokens.dtype
    if len(pieces.tokens) != lengths.sum():
        raise LedgerError(f"{len(lengths)} pieces of {lengths.sum()} tokens in all came with {len(pieces.tokens)}")
    if not 0 <= pad_id <= np.iinfo(dtype).max:
        raise LedgerError(f"pad id {pad_id} does not fit tokens of type {dtype}")
    if len(lengths) and not 0 <= pieces.row.min() <= pieces.row.max() < rows:
        raise LedgerError(f"a shard of {rows} rows got pieces of the rows {pieces.row.min()} to {pieces.row.max()}")
    order = np.lexsort((pieces.offset, pieces.document, pieces.order, pieces.row))
    packed = np.empty((rows, sequence_length), dtype=dtype)
    start = np.empty(len(lengths), dtype=np.uint32)
    first = np.zeros(rows + 1, dtype=np.int32)
    begin = np.cumsum(lengths) - lengths
    bad = _lay_out(order, pieces.row.astype(np.int64), begin, lengths, pieces.tokens, pad_id, packed, start, first)
    if bad >= 0:
        raise LedgerError(f"row {bad} of a shard is empty or has more than {sequence_length} tokens: not as planned")
    wanted = schema(sequence_length, dtype)
    kind = wanted.field("segments").type
    segments = pa.ListArray.from_arrays(pa.array(first), _segment_array(pieces, order, start), type=kind)
    tokens = pa.FixedSizeListArray.from_arrays(pa.array(packed.reshape(-1)), type=wanted.field("tokens").type)
    return pa.RecordBatch.from_arrays([tokens, segments], schema=wanted)


def _segment_array(pieces: Pieces, order: npt.NDArray[np.int64], start: npt.NDArray[np.uint32]) -> pa.StructArray:
    """The segments of a shard, taken from the pieces in `order`; `start` is in that order already."""
    ids = pieces.ids[order].astype(">u8")
    columns = [pa.Array.from_buffers(pa.binary(ID_BYTES), len(order), [None, pa.py_buffer(ids)])]
    for name in SEGMENT.names or ():
        values = start if name == "start" else getattr(pieces, name)[order]
        columns.append(pa.array(values.astype(SEGMENT[name])))
    return pa.StructArray.from_arrays(columns, fields=list(_ARROW_SEGMENT))


@njit(cache=True, nogil=True)
def _lay_out(order, row, begin, length, tokens, pad_id, packed, start, first):  # type: ignore[no-untyped-def]
    """Copy the pieces in `order` (by row) and pad; the first row left empty or overfull, -1 where all are right."""
    k = 0
    rows, limit = packed.shape
    for r in range(rows):
        at = 0
        while k < len(order) and row[order[k]] == r:
            piece = order[k]
            size = length[piece]
            if size == 0 or at + size > limit:
                return r
            packed[r, at : at + size] = tokens[begin[piece] : begin[piece] + size]
            start[k] = at
            at += size
            k += 1
        if at == 0:
            return r
        packed[r, at:] = pad_id
        first[r + 1] = k
    return -1


def shards_manifest(
    *,
    plan: Plan,
    rows_per_shard: int,
    encoder: Encoder,
    sources: Sequence[str],
    documents: int,
    cut_documents: int,
    shards: Sequence[FileEntry],
    tokenizer: FileEntry,
) -> dict[str, Any]:
    """What `manifest.commit` writes as manifest.json of a shards directory.

    `documents` are those with at least one token, `cut_documents` those of them longer than a row. `shards` in row
    order, paths relative to the directory, with their rows; `tokenizer` the copy of the tokenizer.json there.
    Raises LedgerError when the shards do not have the rows of the plan, ConfigError for more than 65,536 sources.
    """
    if len(sources) > MAX_SOURCES:
        raise ConfigError(f"sources: got {len(sources)}; allowed: {MAX_SOURCES} at most")
    wanted = [min(rows_per_shard, plan.rows - first) for first in range(0, plan.rows, rows_per_shard)]
    if [entry.rows for entry in shards] != wanted:
        raise LedgerError(
            f"{len(shards)} shards with {sum(entry.rows or 0 for entry in shards)} rows; "
            f"the plan has {plan.rows} rows in {len(wanted)} shards of {rows_per_shard}"
        )
    if tokenizer.sha256 != encoder.fingerprint():
        raise LedgerError("the tokenizer.json beside the shards is not the one that encoded them")
    return {
        "format": FORMAT,
        "version": VERSION,
        "sequence_length": plan.sequence_length,
        "rows": plan.rows,
        "rows_per_shard": rows_per_shard,
        "dtype": encoder.dtype.name,
        "tokenizer": {"path": tokenizer.path, "sha256": tokenizer.sha256, **encoder.describe()},
        "sources": list(sources),
        "totals": {
            "documents": documents,
            "cut_documents": cut_documents,
            "segments": plan.segments,
            "tokens": plan.tokens,
            "pad_tokens": plan.pad_tokens,
            "lower_bound_rows": plan.lower_bound_rows,
        },
        "files": [entry.to_json() for entry in [*shards, tokenizer]],
    }


class Shard:
    """One mapped shard: arrays over the whole file.

    tokens        uint16 or uint32[rows, sequence_length]
    first         int32[rows + 1]: row r has the segments first[r] to first[r + 1]
    columns       the segments' columns by name, see SEGMENT
    ids           uint8[segments, 16]
    """

    def __init__(self, path: Path, entry: FileEntry, schema: pa.Schema) -> None:
        """Raises IntegrityError when the file is not such a shard with the rows of its entry."""
        try:
            with pa.memory_map(str(path)) as file:
                reader = pa.ipc.open_file(file)
                batch = reader.get_batch(0) if reader.num_record_batches == 1 else None
        except (OSError, pa.ArrowInvalid) as error:
            raise IntegrityError(f"{path}: not a readable shard ({error})") from error
        if batch is None or batch.num_rows != entry.rows or not batch.schema.equals(schema):
            raise IntegrityError(f"{path}: not one batch of {entry.rows} rows with the schema of its manifest")
        tokens, segments = batch.columns
        values = segments.values
        self.tokens: Tokens = tokens.values.to_numpy().reshape(batch.num_rows, -1)
        self.first: npt.NDArray[np.int32] = segments.offsets.to_numpy()
        self.columns = {name: values.field(name).to_numpy() for name in SEGMENT.names or ()}
        self.ids = np.frombuffer(values.field("id").buffers()[1], np.uint8)[: len(values) * ID_BYTES].reshape(
            -1, ID_BYTES
        )


class Row:
    """One packed sequence."""

    __slots__ = ("_index", "_shard")

    def __init__(self, shard: Shard, index: int) -> None:
        """Row `index` of `shard`."""
        self._shard = shard
        self._index = index

    @property
    def tokens(self) -> Tokens:
        """uint16 or uint32[sequence_length], a read-only view of the file."""
        return self._shard.tokens[self._index]

    @property
    def segments(self) -> npt.NDArray[Any]:
        """SEGMENT[k], the pieces of documents in this row, in order."""
        first, stop = self._shard.first[self._index : self._index + 2]
        segments = np.empty(stop - first, dtype=SEGMENT)
        for name, values in self._shard.columns.items():
            segments[name] = values[first:stop]
        return segments

    @property
    def document_ids(self) -> list[bytes]:
        """The 16-byte id of each segment's document."""
        first, stop = self._shard.first[self._index : self._index + 2]
        return [row.tobytes() for row in self._shard.ids[first:stop]]


class Packed:
    """The rows of a shards directory, `len(p)` of them; `p[i]` is a `Row`.

    sequence_length, dtype   of every row's tokens
    sources                  names, in the order that `segments["source"]` counts
    manifest                 the whole manifest, totals and tokenizer included
    """

    def __init__(self, directory: str | Path, verify: bool = False) -> None:
        """Read the manifest and compare each file's size; with `verify` the content of all files, about 1 GB/s.

        Raises NotCommitted without a manifest and IntegrityError for anything not as the manifest says.
        """
        self.directory = Path(directory)
        path = self.directory / manifest.RUN_MANIFEST
        self.manifest = manifest.load(str(path))
        if (self.manifest.get("format"), self.manifest.get("version")) != (FORMAT, VERSION):
            raise IntegrityError(f"{path}: not the manifest of {FORMAT} version {VERSION}")
        entries = manifest.entries(self.manifest)
        for entry in entries:
            storage.check(entry, str(self.directory), content=verify)
        self.sequence_length: int = self.manifest["sequence_length"]
        self.dtype = np.dtype(self.manifest["dtype"])
        self.sources: list[str] = self.manifest["sources"]
        self._rows: int = self.manifest["rows"]
        self._rows_per_shard: int = self.manifest["rows_per_shard"]
        self._entries = [entry for entry in entries if entry.rows is not None]
        self._schema = schema(self.sequence_length, self.dtype)
        self._shards: dict[int, Shard] = {}
        self._tokenizer: Encoder | None = None

    def __len__(self) -> int:
        """Rows."""
        return self._rows

    def __getitem__(self, index: int) -> Row:
        """Row `index`; negative ones count from the end. Raises IndexError."""
        if index < 0:
            index += self._rows
        if not 0 <= index < self._rows:
            raise IndexError(f"row {index} of {self._rows}")
        number, row = divmod(index, self._rows_per_shard)
        shard = self._shards.get(number)
        return Row(self.shard(number) if shard is None else shard, row)

    def __iter__(self) -> Iterator[Row]:
        """All rows in order."""
        return (self[index] for index in range(self._rows))

    def shard(self, number: int) -> Shard:
        """Shard `number`, which has the rows from number * rows_per_shard on, mapped at the first call."""
        if number not in self._shards:
            entry = self._entries[number]
            self._shards[number] = Shard(self.directory / entry.path, entry, self._schema)
        return self._shards[number]

    @property
    def tokenizer(self) -> Encoder:
        """The tokenizer that made the tokens, from its copy beside the shards. Raises IntegrityError if it changed."""
        if self._tokenizer is None:
            told = self.manifest["tokenizer"]
            encoder = Encoder(
                self.directory / told["path"], Policy(**told["policy"]), told["backend"], told["backend_reason"]
            )
            if encoder.fingerprint() != told["sha256"]:
                raise IntegrityError(f"{encoder.path}: not the tokenizer that made the shards; put that one back")
            self._tokenizer = encoder
        return self._tokenizer
