"""Writing shards: pieces get their place, tokens are copied straight to it, both files are hashed while written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpusmill.document import ID_BYTES
from corpusmill.errors import LedgerError
from corpusmill.packing_options import MAX_SHARD_TOKENS
from corpusmill.storage import FileEntry, atomic_writer, join, read_bytes
from corpusmill.tokenize.shards.blocks import BlockSink, address, block_digests
from corpusmill.tokenize.shards.layout import INDEX_FILE, SEGMENTS, Indexed, index_batch, token_schema
from corpusmill.tokenize.shards.layout import shard_names as names_of
from corpusmill.tokenize.tokenizers.encode import Tokens


@dataclass(frozen=True)
class Pieces:
    """m pieces of one shard in any order.

    row       int64[m], row in the shard
    order     uint64[m], pieces lie in their row by rising `order`, see `packing.place.order_key`
    document  int64[m], ordinal of the document in the corpus
    ids       uint64[m, 2], the document's id, see `document.id_words`
    source    uint16[m], position of the source in the manifest
    offset    uint32[m], first token in the document
    length    uint32[m], tokens, 1 or more
    """

    row: npt.NDArray[np.int64]
    order: npt.NDArray[np.uint64]
    document: npt.NDArray[np.int64]
    ids: npt.NDArray[np.uint64]
    source: npt.NDArray[np.uint16]
    offset: npt.NDArray[np.uint32]
    length: npt.NDArray[np.uint32]


class Draft:
    """A shard in the making: `put` the tokens of every piece, then `write`."""

    def __init__(self, pieces: Pieces, *, rows: int, sequence_length: int, dtype: npt.DTypeLike, pad_id: int) -> None:
        """Give every piece its place; that does not depend on the order in which they come.

        Raises LedgerError when the pieces are not those of `rows` rows with 1 to `sequence_length` tokens each.
        """
        kind, found = np.dtype(dtype), pieces.row
        if not 0 <= pad_id <= np.iinfo(kind).max:
            raise LedgerError(f"pad id {pad_id} does not fit tokens of type {kind}")
        if rows * sequence_length >= MAX_SHARD_TOKENS:
            raise LedgerError(f"a shard of {rows} rows of {sequence_length} tokens: more than 2**32 - 1 tokens")
        if len(found) and not 0 <= found.min() <= found.max() < rows:
            raise LedgerError(f"a shard of {rows} rows got pieces of the rows {found.min()} to {found.max()}")
        order = np.lexsort((pieces.offset, pieces.document, pieces.order, pieces.row))
        self._start = np.empty(len(order), dtype=np.int64)
        end = np.empty(len(order), dtype=np.uint32)
        self._tokens: Tokens = np.empty((rows, sequence_length), dtype=kind)
        flat = self._tokens.reshape(-1)
        bad = _place(order, pieces.row, pieces.length, rows, sequence_length, pad_id, flat, self._start, end)
        if bad >= 0:
            raise LedgerError(f"row {bad} of a shard is empty or has over {sequence_length} tokens: not as planned")
        self._pieces, self._order, self._end, self._put = pieces, order, end, 0

    def put(self, tokens: Tokens, begin: npt.NDArray[np.int64]) -> int:
        """Copy tokens[begin:begin + length] of the next len(begin) pieces to their place; gives how many tokens.

        Pieces come in the order in which they were given. Raises LedgerError when they are not within `tokens`.
        """
        which = slice(self._put, self._put + len(begin))
        length = self._pieces.length[which]
        if len(length) != len(begin):
            raise LedgerError(f"tokens for {which.stop} pieces of the {len(self._start)} of a shard")
        if len(begin) and (begin.min() < 0 or (begin + length).max() > len(tokens)):
            raise LedgerError(f"pieces up to token {(begin + length).max()} of a file of {len(tokens)} tokens")
        self._put = which.stop
        return int(_copy(tokens, begin, length, self._start[which], self._tokens.reshape(-1)))

    def write(self, directory: str, number: int) -> tuple[list[FileEntry], list[Indexed]]:
        """Write both files of shard `number` to the folder of shards; gives their entries, paths relative to it.

        Their content is on the disk then, their names are when the manifest beside them is.
        Raises LedgerError when tokens of some piece were not put.
        """
        if self._put < len(self._start):
            raise LedgerError(f"shard {number}: tokens of {self._put} of its {len(self._start)} pieces came")
        pieces, order = self._pieces, self._order
        ids = pieces.ids[order].astype(">u8")
        segments = [
            pa.array(self._end),
            pa.array(pieces.source[order]),
            pa.array(pieces.offset[order]),
            pa.array(pieces.document[order]),
            pa.Array.from_buffers(pa.binary(ID_BYTES), len(order), [None, pa.py_buffer(ids)]),
        ]
        schema = token_schema(self._tokens.shape[1], self._tokens.dtype)
        rows = pa.FixedSizeListArray.from_arrays(pa.array(self._tokens.reshape(-1)), type=schema.field(0).type)
        tables = [([rows], [rows.values], schema), (segments, segments, SEGMENTS)]
        done = [
            _write(directory, name, pa.RecordBatch.from_arrays(columns, schema=kind), flat)
            for name, (columns, flat, kind) in zip(names_of(number), tables, strict=True)
        ]
        return [entry for entry, _ in done], [indexed for _, indexed in done]


def _write(directory: str, name: str, batch: pa.RecordBatch, flat: Sequence[pa.Array]) -> tuple[FileEntry, Indexed]:
    """Write a table; `flat` are the arrays without nesting of which its columns are made."""
    with atomic_writer(join(directory, name), durable="content") as sink:
        hashed = BlockSink(sink)
        with pa.ipc.new_file(pa.PythonFile(hashed, "w"), batch.schema) as writer:
            writer.write_batch(batch)
    addresses = [address(array.buffers()[1]) if len(array) else 0 for array in flat]
    if missing := [at for at in addresses if at and at not in hashed.positions]:
        raise LedgerError(f"{name}: {len(missing)} columns were not written in one piece; another pyarrow may do it")
    columns = tuple(hashed.positions.get(at, 0) for at in addresses)
    indexed = Indexed(name, hashed.bytes, len(batch), columns, tuple(hashed.digests()))
    return FileEntry(name, sink.bytes, sink.sha256, len(batch)), indexed


def hashed_file(directory: str, name: str) -> Indexed:
    """The row of the index for a file that is there already and is no table."""
    data = read_bytes(join(directory, name))
    return Indexed(name, len(data), blocks=tuple(block_digests(data)))


def write_index(directory: str, files: Sequence[Indexed]) -> tuple[FileEntry, bytes]:
    """Write index.arrow of these files, in this order; gives its entry and the dataset's id."""
    batch, root = index_batch(files)
    with (
        atomic_writer(join(directory, INDEX_FILE)) as sink,
        pa.ipc.new_file(pa.PythonFile(sink, "w"), batch.schema) as writer,
    ):
        writer.write_batch(batch)
    return FileEntry(INDEX_FILE, sink.bytes, sink.sha256, len(batch)), root


@njit(cache=True, nogil=True)
def _place(order, row, length, rows, limit, pad_id, tokens, start, end):  # type: ignore[no-untyped-def]
    """Place the pieces in `order` (by row) and pad; the first row left empty or overfull, -1 where all are right."""
    k = 0
    for r in range(rows):
        at = r * limit
        stop = at + limit
        while k < len(order) and row[order[k]] == r:
            size = np.int64(length[order[k]])
            if size == 0 or at + size > stop:
                return r
            start[order[k]] = at
            at += size
            end[k] = at
            k += 1
        if at == r * limit:
            return r
        tokens[at:stop] = pad_id
    return -1


@njit(cache=True, nogil=True)
def _copy(tokens, begin, length, start, out):  # type: ignore[no-untyped-def]
    copied = 0
    for k in range(len(begin)):
        size = np.int64(length[k])
        given, place = tokens[begin[k] : begin[k] + size], out[start[k] : start[k] + size]
        for i in range(size):
            place[i] = given[i]
        copied += int(length[k])
    return copied
