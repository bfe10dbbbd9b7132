"""What an export writes: sequences of tokens with the pieces of documents in them, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from corpusmill.errors import IntegrityError
from corpusmill.text import Offsets

Int64s = npt.NDArray[np.int64]
Flat = npt.NDArray[Any]

PIECE = np.dtype([("length", "<i8"), ("source", "<i4"), ("document", "<i8"), ("offset", "<i8"), ("id", "u1", (16,))])
"""One document's piece of a sequence: length and offset in tokens, source (position in the corpus's sources), document
(ordinal in the corpus), id. Padding is a piece too, of source -1."""
PADDING = -1


@dataclass(frozen=True)
class Block:
    """n sequences, one behind the other: whole documents (each its own only piece) or packed rows.

    tokens   [t], of the type that the format stores
    lengths  int64[n], tokens of each sequence
    pieces   PIECE[m], in order; all tokens belong to one
    counts   int64[n], pieces of each sequence
    """

    tokens: Flat
    lengths: Int64s
    pieces: npt.NDArray[Any]
    counts: Int64s

    def trained(self) -> npt.NDArray[np.bool_]:
        """bool[t]: whether the token may be predicted from the one before: not a piece's first, not padding."""
        lengths = np.ascontiguousarray(self.pieces["length"])
        return _trained(lengths, np.ascontiguousarray(self.pieces["source"]), len(self.tokens))

    def positions(self) -> npt.NDArray[np.int32]:
        """int32[t]: from 0 in every piece."""
        return _positions(np.ascontiguousarray(self.pieces["length"]), len(self.tokens))


def offsets_of(lengths: Int64s) -> Offsets:
    """int64[n + 1]: where each of n things of these lengths begins, and the end of the last."""
    out = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=out[1:])
    return out


def checked_cast(tokens: Flat, dtype: np.dtype[Any], where: str) -> Flat:
    """The tokens as `dtype`, none changed by it. Raises IntegrityError for one that does not fit."""
    if tokens.dtype == dtype:
        return tokens
    limit = np.iinfo(dtype).max
    if tokens.size and int(tokens.max()) > limit:
        raise IntegrityError(f"{where}: token {tokens.max()} does not fit {dtype}, which ends at {limit}")
    return tokens.astype(dtype)


def hex_ids(ids: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """uint8[n, 32]: the hex digits of ids uint8[n, 16], as ASCII."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    out = np.empty((len(ids), 32), dtype=np.uint8)
    out[:, 0::2], out[:, 1::2] = digits[ids >> 4], digits[ids & 15]
    return out


def hex_strings(ids: npt.NDArray[np.uint8]) -> pa.StringArray:
    """The ids uint8[n, 16] as strings of 32 hex digits."""
    offsets = np.arange(0, 32 * (len(ids) + 1), 32, dtype=np.int32)
    return pa.StringArray.from_buffers(len(ids), pa.py_buffer(offsets), pa.py_buffer(hex_ids(ids)))


@njit(cache=True, nogil=True)
def copy_pieces(data, begin, sizes, out, at):  # type: ignore[no-untyped-def]
    """Piece k of `data`, `sizes[k]` values from begin[k] on, to out[at[k]:]."""
    for k in range(len(begin)):
        size = sizes[k]
        given, place = data[begin[k] : begin[k] + size], out[at[k] : at[k] + size]  # so that the loop vectorises
        for i in range(size):
            place[i] = given[i]


@njit(cache=True, nogil=True)
def _trained(lengths, sources, total):  # type: ignore[no-untyped-def]
    out = np.zeros(total, dtype=np.bool_)
    at = 0
    for k in range(len(lengths)):
        if sources[k] >= 0:
            out[at + 1 : at + lengths[k]] = True
        at += lengths[k]
    return out


@njit(cache=True, nogil=True)
def _positions(lengths, total):  # type: ignore[no-untyped-def]
    out = np.empty(total, dtype=np.int32)
    at = 0
    for k in range(len(lengths)):
        for i in range(lengths[k]):
            out[at + i] = i
        at += lengths[k]
    return out
