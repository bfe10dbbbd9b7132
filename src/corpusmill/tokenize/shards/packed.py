"""Reading packed shards, see `layout` for what is in the folder. Nothing is written and nothing shared: works on
read-only disks, and in as many processes as one likes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill import manifest, storage
from corpusmill.errors import IntegrityError
from corpusmill.tokenize.shards import damage
from corpusmill.tokenize.shards.gather import Int64s, Rows, address_of, bounds, gather, segment_ids
from corpusmill.tokenize.shards.layout import COLUMNS, FORMAT, INDEX_FILE, Index
from corpusmill.tokenize.shards.layout import TOKENIZER_FILE as TOKENIZER_FILE
from corpusmill.tokenize.shards.layout import VERSION as VERSION
from corpusmill.tokenize.shards.takedown import Hidden, SkipList, Takedown, id_table, listed, load_takedowns
from corpusmill.tokenize.tokenizers.encode import Encoder, Tokens, open_encoder

MOST_OPEN = 2048
"""Shards mapped at a time, two files each: Linux allows a process 65,530 maps. No file stays open."""

SEGMENT = np.dtype(
    [("document", np.int64), ("source", np.uint16), ("start", np.uint32), ("length", np.uint32), ("offset", np.uint32)]
)
"""One segment of a row: document (ordinal in the corpus), source (position in `Packed.sources`), start (in the row),
length, offset (in the document), the last three in tokens."""


class Shard:
    """One mapped shard: arrays over both files, all read-only.

    tokens                         uint16 or uint32[rows, sequence_length]
    end, source, offset, document  [segments], see `layout`
    ids                            uint8[segments, 16]
    address                        where these are, see `gather.address_of`
    """

    def __init__(self, packed: Packed, number: int) -> None:
        """Raises IntegrityError when a file is not there or not what the index says."""
        length, rows = packed.sequence_length, packed.rows_of(number)
        files = (number, packed.shards + number)
        data = [packed.mapped(file) for file in files]
        columns = packed.index.columns(files[1])
        segments = int(packed.index.rows[files[1]])
        try:
            (at,) = packed.index.columns(files[0])
            flat = np.frombuffer(data[0], packed.dtype, rows * length, at)
            tables = {
                name: np.frombuffer(data[1], np.dtype(kind), segments, at)
                for (name, kind), at in zip(COLUMNS.items(), columns, strict=True)
            }
        except ValueError as error:
            raise IntegrityError(f"shard {number}: its files are not what {INDEX_FILE} says ({error})") from error
        self.tokens: Tokens = flat.reshape(rows, length)
        self.end: npt.NDArray[np.uint32] = tables["end"]
        self.source: npt.NDArray[np.uint16] = tables["source"]
        self.offset: npt.NDArray[np.uint32] = tables["offset"]
        self.document: Int64s = tables["document"]
        self.ids: npt.NDArray[np.uint8] = tables["id"]
        self.address = address_of(self)

    def bounds(self, row: int) -> tuple[int, int]:
        """The first segment of a row, and the first behind it."""
        found: tuple[int, int] = bounds(self.end, row, self.tokens.shape[1])
        return found

    def segments(self, row: int) -> npt.NDArray[Any]:
        """SEGMENT[k], the segments of a row, in order."""
        first, stop = self.bounds(row)
        found = np.empty(stop - first, dtype=SEGMENT)
        end = self.end[first:stop] - np.uint32(row * self.tokens.shape[1])
        found["start"] = np.concatenate([np.zeros(min(1, len(end)), np.uint32), end[:-1]])
        found["length"] = end - found["start"]
        for name in ("document", "source", "offset"):
            found[name] = getattr(self, name)[first:stop]
        return found


class Row:
    """One packed sequence."""

    __slots__ = ("_index", "_packed", "_shard")

    def __init__(self, packed: Packed, shard: Shard, index: int) -> None:
        """Row `index` of `shard`."""
        self._packed = packed
        self._shard = shard
        self._index = index

    @property
    def tokens(self) -> Tokens:
        """uint16 or uint32[sequence_length], a read-only view of the file; a copy where a segment is hidden."""
        tokens: Tokens = self._shard.tokens[self._index]
        return self._packed.without_hidden(self, tokens) if self._packed.hidden else tokens

    @property
    def ends(self) -> npt.NDArray[np.uint32]:
        """uint32[k], a read-only view of the file: where each segment ends, counted from the shard's first token."""
        first, stop = self._shard.bounds(self._index)
        return self._shard.end[first:stop]

    @property
    def segments(self) -> npt.NDArray[Any]:
        """SEGMENT[k], the pieces of documents in this row, in order, those that are hidden too."""
        return self._shard.segments(self._index)

    @property
    def ids(self) -> npt.NDArray[np.uint8]:
        """uint8[k, 16], a read-only view: the id of each segment's document."""
        first, stop = self._shard.bounds(self._index)
        return self._shard.ids[first:stop]

    @property
    def document_ids(self) -> list[bytes]:
        """The 16-byte id of each segment's document."""
        return [row.tobytes() for row in self.ids]

    @property
    def hidden(self) -> npt.NDArray[np.bool_]:
        """bool[k]: which segments were taken down or are skipped."""
        pieces = self.segments
        tokens = self._shard.tokens[self._index]
        return self._packed.hidden.of(tokens, self.ids, pieces["start"], pieces["length"])


class Packed:
    """The rows of a folder of shards, `len(p)` of them; `p[i]` is a `Row`, `p.gather(rows)` many at once.

    root                     the folder as it was given, a path or a URI
    id                       the dataset's id, 64 hex digits: the Merkle root over all files, see `blocks`
    sequence_length, dtype   of every row's tokens
    sources                  names, in the order that `segments["source"]` counts
    manifest                 the whole manifest, totals and tokenizer included
    takedowns                what was taken down since, see `takedown`
    shards, rows_per_shard   how many shards there are, and rows in each but the last
    """

    def __init__(
        self,
        directory: str | Path,
        verify: bool | Literal["touch"] = False,
        skip: str | Path | SkipList | None = None,
    ) -> None:
        """Read the manifest and check the index; no shard is touched.

        With `verify` = True the content of all files is checked now, with "touch" that of a shard when it is mapped.
        `skip` is a skip list. Raises NotCommitted without a manifest, IntegrityError for anything not as it says,
        ConfigError for a bad skip list.
        """
        self._touch: Literal[False, "touch"] = "touch" if verify == "touch" else False
        self._arguments = (directory, self._touch, skip)
        self.directory = Path(directory)
        self.root = str(directory)
        path = storage.join(self.root, manifest.RUN_MANIFEST)
        self.manifest = manifest.load(path)
        if (self.manifest.get("format"), self.manifest.get("version")) != (FORMAT, VERSION):
            raise IntegrityError(
                f"{path}: not the manifest of {FORMAT} version {VERSION}; pack again with this version of corpusmill"
            )
        entry = next(entry for entry in manifest.entries(self.manifest) if entry.path == INDEX_FILE)
        storage.check(entry, self.root, content=True)
        with storage.open_input(storage.join(self.root, INDEX_FILE)) as file:
            self.index = Index(file, INDEX_FILE)
        self.id: str = self.manifest["id"]
        self.sequence_length: int = self.manifest["sequence_length"]
        self.dtype: np.dtype[Any] = np.dtype(self.manifest["dtype"])
        self.sources: list[str] = self.manifest["sources"]
        self.rows_per_shard: int = self.manifest["rows_per_shard"]
        self._rows: int = self.manifest["rows"]
        self.shards = self.index.shards()
        if self.shards != -(-self._rows // self.rows_per_shard):
            raise IntegrityError(f"{path}: {self._rows} rows in {self.shards} shards of {self.rows_per_shard}")
        self.takedowns: tuple[Takedown, ...] = load_takedowns(self.root)
        skips = SkipList.load(str(skip)) if isinstance(skip, str | Path) else skip or SkipList()
        self.hidden = Hidden(self.takedowns, skips)
        self._open: dict[int, Shard] = {}
        self._tokenizer: Encoder | None = None
        if verify is True:
            self.verify()

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the folder itself; content that was verified here is not verified there again."""
        return Packed, self._arguments

    def __len__(self) -> int:
        """Rows."""
        return self._rows

    def __getitem__(self, index: int) -> Row:
        """Row `index`; negative ones count from the end. Raises IndexError."""
        if index < 0:
            index += self._rows
        if not 0 <= index < self._rows:
            raise IndexError(f"row {index} of {self._rows}")
        number, row = divmod(index, self.rows_per_shard)
        return Row(self, self._open.get(number) or self.shard(number), row)

    def __iter__(self) -> Iterator[Row]:
        """All rows in order."""
        return (self[index] for index in range(self._rows))

    def rows_of(self, number: int) -> int:
        """Rows in a shard."""
        return min(self.rows_per_shard, self._rows - number * self.rows_per_shard)

    def shard(self, number: int) -> Shard:
        """Shard `number`, which has the rows from number * rows_per_shard on, mapped when it is first asked for.

        When too many are mapped the one that was mapped first is given up; arrays from it stay valid.
        """
        shard = self._open.get(number)
        if shard is None:
            if self._touch:
                damage.refuse(damage.of_shard(self, number), self.root)
            shard = self.mapped_shard(number)
            while len(self._open) >= MOST_OPEN:
                self._open.pop(next(iter(self._open)), None)
            self._open[number] = shard
        return shard

    def mapped_shard(self, number: int) -> Shard:
        """A shard as it is on the disk, mapped anew and not kept."""
        return Shard(self, number)

    def mapped(self, file: int) -> pa.Buffer:
        """The content of a file of the index, mapped. Raises IntegrityError when it is not there or of another size."""
        name, wanted = self.index.path(file), int(self.index.size[file])
        storage.check_size(name, wanted, self.root)
        with storage.open_input(storage.join(self.root, name)) as opened:
            return opened.read_buffer()

    def where(self, number: int) -> tuple[str, int]:
        """The file of a shard's tokens and the byte at which they begin: all that `numpy.memmap` needs.

        path, offset = p.where(0)
        rows = np.memmap(path, p.dtype, "r", offset, (p.rows_of(0), p.sequence_length))

        Such an array knows of no takedown.
        """
        return storage.join(self.root, self.index.path(number)), self.index.columns(number)[0]

    def gather(self, rows: Sequence[int] | npt.NDArray[np.integer]) -> Rows:
        """These rows as flat arrays. Raises IndexError, and IntegrityError for a row that contradicts its manifest."""
        wanted = np.ascontiguousarray(rows, dtype=np.int64)
        listed, per, mapped = wanted.tolist(), self.rows_per_shard, self._open
        if listed and not 0 <= min(listed) <= max(listed) < self._rows:
            raise IndexError(f"row {next(row for row in listed if not 0 <= row < self._rows)} of {self._rows}")
        # the list keeps them mapped while the kernel reads, whatever other threads have mapped since
        shards = [mapped.get(row // per) or self.shard(row // per) for row in listed]
        addresses = [shard.address for shard in shards]
        found = gather(addresses, wanted, per, self.sequence_length, self.dtype)
        if self.hidden:
            self._hide(found, segment_ids(addresses, found, per))
        return found

    def _hide(self, found: Rows, ids: npt.NDArray[np.uint8]) -> None:
        """Mark hidden segments, and put the pad id in the place of their tokens."""
        place = np.repeat(np.arange(len(found.rows)), np.diff(found.first))
        start = place * self.sequence_length + found.start
        flat = found.tokens.reshape(-1)
        found.hidden[:] = self.hidden.of(flat, ids, start, found.length)
        for k in np.flatnonzero(found.hidden):
            flat[start[k] : start[k] + found.length[k]] = self.pad_id

    def without_hidden(self, row: Row, tokens: Tokens) -> Tokens:
        """The tokens of a row with the pad id in the place of what is hidden; as they are where nothing is."""
        pieces = row.segments[row.hidden]
        if len(pieces):
            tokens = tokens.copy()
            for piece in pieces:
                tokens[piece["start"] : piece["start"] + piece["length"]] = self.pad_id
            tokens.flags.writeable = False
        return tokens

    def find(self, ids: Sequence[bytes]) -> Iterator[tuple[int, bytes, Any]]:
        """Every segment of these documents: (row, id, SEGMENT), in the order of the rows. Reads every id there is."""
        table = id_table(ids)
        for number in range(self.shards):
            shard = self.shard(number)
            for at in np.flatnonzero(listed(shard.ids, table)).tolist():
                row = (int(shard.end[at]) - 1) // self.sequence_length
                piece = shard.segments(row)[at - shard.bounds(row)[0]]
                yield number * self.rows_per_shard + row, shard.ids[at].tobytes(), piece

    @property
    def pad_id(self) -> int:
        """The token of padding."""
        pad: int = self.manifest["tokenizer"]["pad_id"]
        return pad

    @property
    def content_id(self) -> str:
        """What this reader delivers: the dataset's id, or a hash of it and of what is hidden where anything is."""
        return manifest.fingerprint([self.id, *self.hidden.facts()]) if self.hidden else self.id

    def verify(self) -> int:
        """Check every byte of every file against the index, and the index against the id; gives the bytes.

        Raises IntegrityError that names what is damaged and the documents hit.
        """
        damage.refuse(damage.of_all(self), self.root)
        return int(self.index.size.sum())

    @property
    def tokenizer(self) -> Encoder:
        """The tokenizer that made the tokens, from its copy beside the shards. Raises IntegrityError if it changed."""
        if self._tokenizer is None:
            told = self.manifest["tokenizer"]
            self._tokenizer = open_encoder(storage.join(self.root, told["path"]), told)
        return self._tokenizer
