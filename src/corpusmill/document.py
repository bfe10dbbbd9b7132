"""The document: one row of an Arrow batch. Batches are the only thing that flows between steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

BATCH_BYTES = 8 << 20
"""A batch is cut when its texts reach this many bytes."""

ID_BYTES = 16

DOCUMENT = pa.schema(
    [
        pa.field("id", pa.binary(ID_BYTES), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("locator", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("date", pa.timestamp("s")),
    ]
)
"""What every reader yields. Steps add their signals behind these columns, named `family.signal`."""

QUARANTINE = pa.schema(
    [
        pa.field("id", pa.binary(ID_BYTES), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("locator", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("head_xxh128", pa.string(), nullable=False),
    ]
)
"""A record that could not become a document: where it is, why, how long it is (bytes of the raw record as far as it
was read) and the hash of its first 4 KiB. The bytes themselves stay in the source, where `locator` finds them."""


def document_id(source: str, locator: str) -> bytes:
    """The 16-byte id of a document: XXH3-128 of `source`, NUL, `locator`, big-endian."""
    return xxhash.xxh3_128_digest(f"{source}\0{locator}".encode())


def document_ids(source: str, locators: Iterable[str]) -> list[bytes]:
    """`document_id` for many locators of one source."""
    return [document_id(source, locator) for locator in locators]


def id_words(ids: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """Ids as uint64[n, 2] (high, low), native byte order."""
    array = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    if len(array) == 0:
        return np.empty((0, 2), dtype=np.uint64)
    raw = np.frombuffer(array.buffers()[1], dtype=">u8")
    words = raw[2 * array.offset : 2 * (array.offset + len(array))].reshape(-1, 2)
    return words.astype(np.uint64)


def id_sum(ids: pa.Array | pa.ChunkedArray | npt.NDArray[np.uint64]) -> int:
    """Sum of ids mod 2**128: together with the count it sees one document lost and another doubled."""
    words = ids if isinstance(ids, np.ndarray) else id_words(ids)
    mask = np.uint64(0xFFFFFFFF)
    limbs = [words[:, 0] >> np.uint64(32), words[:, 0] & mask, words[:, 1] >> np.uint64(32), words[:, 1] & mask]
    total = 0
    for limb in limbs:
        total = (total << 32) + int(limb.sum(dtype=np.uint64))
    return total % (1 << 128)


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """`batch` with exactly the columns of `schema`: missing ones null, others left out."""
    names = set(batch.schema.names)
    columns: Sequence[pa.Array] = [
        batch.column(field.name).cast(field.type) if field.name in names else pa.nulls(len(batch), field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
