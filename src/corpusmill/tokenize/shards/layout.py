"""What is in a folder of shards. Version 2.

    shard-00000.arrow     one record batch, one column, a row for each training sequence:
                          tokens    fixed_size_list<uint16 | uint32>[sequence_length]
    segments-00000.arrow  one record batch, a row for each segment in the order of the tokens:
                          end       uint32, behind its last token, counted from the first token of the shard
                          source    uint16, position in the manifest's `sources`
                          offset    uint32, its first token counted in its document
                          document  int64, ordinal of the document in the corpus
                          id        fixed_size_binary[16], the document's id
    tokenizer.json        the tokenizer that made the tokens
    index.arrow           one record batch, a row for each of the files above: INDEX
    manifest.json         totals, tokenizer, sources, the dataset's id, and the hash of index.arrow
    takedowns.json        documents not to be delivered any more, where there are any; see `takedown`

A segment is one document's piece of a row. Segments lie without a gap from the start of the row, and what is behind
the last one is padding: it carries the pad id and belongs to no segment. So the ends alone, four bytes a segment,
tell where everything lies: the segments of row r are those that end above r * sequence_length and not above
(r + 1) * sequence_length. Rows were permuted as a whole by who packed them.

The index tells where in its file each column begins, so that a reader needs no parser and trusts no header.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.document import ID_BYTES
from corpusmill.errors import ConfigError, IntegrityError, LedgerError
from corpusmill.storage import FileEntry
from corpusmill.tokenize.shards.blocks import DIGEST_BYTES, file_digest, merkle_root
from corpusmill.tokenize.tokenizers.encode import Encoder

VERSION = 2
FORMAT = "corpusmill.shards"
TOKENIZER_FILE = "tokenizer.json"
INDEX_FILE = "index.arrow"
MAX_SOURCES = 1 << 16

COLUMNS: dict[str, npt.DTypeLike] = {
    "end": np.uint32,
    "source": np.uint16,
    "offset": np.uint32,
    "document": np.int64,
    "id": np.dtype((np.uint8, ID_BYTES)),
}
"""The columns of a segments file, little-endian, in order."""


def _table(**kinds: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds.items()])


SEGMENTS = _table(end=pa.uint32(), source=pa.uint16(), offset=pa.uint32(), document=pa.int64(), id=pa.binary(ID_BYTES))

INDEX = _table(
    path=pa.string(),
    bytes=pa.int64(),
    rows=pa.int64(),
    columns=pa.list_(pa.field("item", pa.int64(), nullable=False)),
    blocks=pa.list_(pa.field("item", pa.binary(DIGEST_BYTES), nullable=False)),
    digest=pa.binary(DIGEST_BYTES),
)
"""path (relative to the folder), bytes, rows of the record batch (0 for what is no table), byte at which each of its
columns begins, digest of each MiB, and the file's digest; see `blocks`. First all shards by number, then all segments
files, then the tokenizer."""


@dataclass(frozen=True)
class Indexed:
    """A row of the index, but for the digest that follows from it."""

    path: str
    size: int
    rows: int = 0
    columns: tuple[int, ...] = ()
    blocks: tuple[bytes, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data, for the record of a unit of work."""
        hexed = b"".join(self.blocks).hex()
        return {
            "path": self.path, "bytes": self.size, "rows": self.rows, "columns": list(self.columns), "blocks": hexed
        }  # fmt: skip

    @staticmethod
    def from_json(body: dict[str, Any]) -> Indexed:
        """The inverse of `to_json`."""
        raw = bytes.fromhex(body["blocks"])
        blocks = tuple(raw[at : at + DIGEST_BYTES] for at in range(0, len(raw), DIGEST_BYTES))
        return Indexed(body["path"], body["bytes"], body["rows"], tuple(body["columns"]), blocks)


def shard_names(number: int) -> tuple[str, str]:
    """The file of tokens and the file of segments of a shard."""
    return f"shard-{number:05d}.arrow", f"segments-{number:05d}.arrow"


def token_schema(sequence_length: int, dtype: npt.DTypeLike) -> pa.Schema:
    """The Arrow schema of a shard whose tokens have `dtype`, uint16 or uint32."""
    token = pa.field("item", pa.from_numpy_dtype(np.dtype(dtype)), nullable=False)
    return _table(tokens=pa.list_(token, sequence_length))


def index_batch(files: Sequence[Indexed]) -> tuple[pa.RecordBatch, bytes]:
    """The index of these files, and the id of the dataset that they are."""
    digests = [file_digest(file.path, file.size, file.blocks) for file in files]
    rows = [
        (file.path, file.size, file.rows, file.columns, file.blocks, digest)
        for file, digest in zip(files, digests, strict=True)
    ]
    arrays = [pa.array([row[n] for row in rows], field.type) for n, field in enumerate(INDEX)]
    return pa.RecordBatch.from_arrays(arrays, schema=INDEX), merkle_root(digests)


class Index:
    """The index of an opened folder: nothing is read of it but what is asked for.

    size     int64[files], bytes of each file
    rows     int64[files]
    """

    def __init__(self, file: pa.NativeFile, path: str) -> None:
        """`file` is index.arrow at `path`, opened, its content hashed already. Raises IntegrityError."""
        try:
            with pa.ipc.open_file(file) as reader:
                batch = reader.get_batch(0) if reader.num_record_batches == 1 else None
            if batch is not None:
                batch.validate(full=True)
        except pa.ArrowInvalid as error:
            raise IntegrityError(f"{path}: not a readable index of shards ({error})") from error
        if batch is None or not batch.schema.equals(INDEX):
            raise IntegrityError(f"{path}: not the index of shards of version {VERSION}")
        column = {name: batch.column(name) for name in INDEX.names}
        self._paths, self._columns, self._blocks = column["path"], column["columns"], column["blocks"]
        self.size: npt.NDArray[np.int64] = column["bytes"].to_numpy()
        self.rows: npt.NDArray[np.int64] = column["rows"].to_numpy()
        self._digest = column["digest"]

    def __len__(self) -> int:
        return len(self.size)

    def path(self, file: int) -> str:
        """Path of a file, relative to the folder."""
        name: str = self._paths[file].as_py()
        return name

    def columns(self, file: int) -> list[int]:
        """Byte at which each column of a file begins."""
        found: list[int] = self._columns[file].as_py()
        return found

    def blocks(self, file: int) -> npt.NDArray[np.uint8]:
        """uint8[n, 32]: the digest of each MiB of a file."""
        raw = b"".join(self._blocks[file].as_py())
        return np.frombuffer(raw, np.uint8).reshape(-1, DIGEST_BYTES)

    def root(self) -> bytes:
        """The dataset's id, worked out anew from the blocks. Raises IntegrityError where a file's digest is wrong."""
        digests = []
        for file in range(len(self)):
            digests.append(file_digest(self.path(file), int(self.size[file]), self._blocks[file].as_py()))
            if digests[-1] != self._digest[file].as_py():
                raise IntegrityError(f"{INDEX_FILE}: the digest of {self.path(file)} is not that of its blocks")
        return merkle_root(digests)

    def shards(self) -> int:
        """How many shards there are. Raises IntegrityError for files that are not those of shards."""
        number, rest = divmod(len(self) - 1, 2)
        if rest or number < 0:
            raise IntegrityError(f"{INDEX_FILE}: {len(self)} files, wanted two for each shard and a tokenizer")
        return number


def shards_manifest(
    *,
    sequence_length: int,
    rows: int,
    rows_per_shard: int,
    encoder: Encoder,
    sources: Sequence[str],
    totals: Mapping[str, Any],
    files: Sequence[Indexed],
    index: FileEntry,
    tokenizer: FileEntry,
    root: bytes,
) -> dict[str, Any]:
    """What `manifest.commit` writes as manifest.json of a folder of shards.

    `totals` has documents, cut_documents, segments, tokens, pad_tokens and lower_bound_rows, and whatever else the
    packing tells. `files` as in the index; `index` and `tokenizer` have paths relative to the folder; `root` is the
    dataset's id, see `index_batch`. Raises LedgerError when the shards do not have the rows, segments and tokens of the
    totals, ConfigError for more than 65,536 sources.
    """
    if len(sources) > MAX_SOURCES:
        raise ConfigError(f"sources: got {len(sources)}; allowed: {MAX_SOURCES} at most")
    wanted = [min(rows_per_shard, rows - first) for first in range(0, rows, rows_per_shard)]
    found, segments = [file.rows for file in files[: len(wanted)]], [file.rows for file in files[len(wanted) : -1]]
    if found != wanted or len(segments) != len(wanted) or sum(segments) != totals["segments"]:
        raise LedgerError(
            f"{len(files)} files with {sum(found)} rows and {sum(segments)} segments; the plan has {rows} rows "
            f"with {totals['segments']} segments in {len(wanted)} shards of {rows_per_shard}"
        )
    if totals["tokens"] + totals["pad_tokens"] != rows * sequence_length:
        raise LedgerError(f"{rows} rows of {sequence_length} tokens are not {dict(totals)}")
    if tokenizer.sha256 != encoder.fingerprint():
        raise LedgerError("the tokenizer.json beside the shards is not the one that encoded them")
    return {
        "format": FORMAT,
        "version": VERSION,
        "id": root.hex(),
        "sequence_length": sequence_length,
        "rows": rows,
        "rows_per_shard": rows_per_shard,
        "dtype": encoder.dtype.name,
        "tokenizer": {"path": tokenizer.path, "sha256": tokenizer.sha256, **encoder.describe()},
        "sources": list(sources),
        "totals": dict(totals),
        "files": [entry.to_json() for entry in (index, tokenizer)],
    }


def in_order(files: Sequence[Indexed]) -> Iterator[Indexed]:
    """Files of shards as the index has them: by kind, then by number, which has five digits or more."""
    for kind in ("shard-", "segments-"):
        yield from sorted((f for f in files if f.path.startswith(kind)), key=lambda f: (len(f.path), f.path))
