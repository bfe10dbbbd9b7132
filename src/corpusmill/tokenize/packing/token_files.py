"""Token files: what the tokenize stage writes and packing reads, one Arrow file of one record batch.

id      fixed_size_binary[16], the document's id
tokens  large_list<uint16 | uint32>, its tokens, special ones included
NAME    double, null where it was not measured: each signal that packing divides documents by
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpusmill.document import id_words
from corpusmill.storage import FileEntry, atomic_writer, open_input
from corpusmill.text import Offsets
from corpusmill.tokenize.tokenizers.encode import Tokens


@dataclass(frozen=True)
class TokenFile:
    """An open token file of n documents: views of the file, so that many may stay open.

    stored_ids  fixed_size_binary[16][n]
    offsets     int64[n + 1]: document d has tokens[offsets[d]:offsets[d + 1]]
    tokens      uint16 or uint32[t]
    signals     float64[n] by name, NaN where it was not measured (a copy where that is so)
    """

    stored_ids: pa.Array
    offsets: Offsets
    tokens: Tokens
    signals: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    @property
    def ids(self) -> npt.NDArray[np.uint64]:
        """uint64[n, 2], a copy made when it is asked for."""
        return id_words(self.stored_ids)


def write_token_file(
    path: str,
    name: str,
    ids: pa.Array,
    tokens: Tokens,
    lengths: npt.NDArray[np.int64],
    signals: Mapping[str, pa.Array] | None = None,
) -> FileEntry:
    """Write `path` atomically; gives its entry under `name`. `signals` are numbers, cast to double."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(tokens))
    measured = {key: values.cast(pa.float64()) for key, values in (signals or {}).items()}
    batch = pa.RecordBatch.from_arrays([ids, lists, *measured.values()], names=["id", "tokens", *measured])
    with atomic_writer(path) as sink, pa.ipc.new_file(pa.PythonFile(sink, "w"), batch.schema) as writer:
        writer.write_batch(batch)
    return FileEntry(name, sink.bytes, sink.sha256, len(ids))


def open_token_file(path: str) -> TokenFile:
    """Map a token file; no token is read."""
    with open_input(path) as file, pa.ipc.open_file(file) as reader:
        batch = reader.get_batch(0)
    lists = batch.column("tokens")
    names = batch.schema.names[2:]
    signals = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in names}
    return TokenFile(batch.column("id"), lists.offsets.to_numpy(), lists.values.to_numpy(), signals)


def gather(tokens: Tokens, begin: npt.NDArray[np.int64], length: npt.NDArray[np.uint32], out: Tokens, at: int) -> int:
    """Copy tokens[begin:begin + length] of each piece behind one another to out[at:]; gives where the last ends."""
    return int(_gather(tokens, begin, length, out, at))


@njit(cache=True, nogil=True)
def _gather(tokens: Any, begin: Any, length: Any, out: Any, at: Any) -> Any:
    for k in range(len(begin)):
        size = np.int64(length[k])
        given, place = tokens[begin[k] : begin[k] + size], out[at : at + size]
        for i in range(size):
            place[i] = given[i]
        at += size
    return at
