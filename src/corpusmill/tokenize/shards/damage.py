"""Which documents a damaged block of a shard hits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from corpusmill.errors import IntegrityError
from corpusmill.tokenize.shards.blocks import BLOCK_BYTES, wrong_blocks
from corpusmill.tokenize.shards.layout import COLUMNS, INDEX_FILE

if TYPE_CHECKING:
    from corpusmill.tokenize.shards.packed import Packed

MOST_SHOWN = 20


@dataclass(frozen=True)
class Hit:
    """A segment in damaged bytes: `row` of the dataset, its document's id, and its source's name."""

    row: int
    id: bytes
    source: str


@dataclass(frozen=True)
class Damage:
    """What is wrong with a file. `hits` are all segments that have a byte in the blocks that are wrong."""

    path: str
    what: str
    hits: tuple[Hit, ...] = ()

    def __str__(self) -> str:
        """One line for the file and one for each segment, up to 20."""
        return self.text({})

    def text(self, locators: Mapping[bytes, str]) -> str:
        """The same with the locator of each document that is known by its id."""
        lines = [f"{self.path}: {self.what}"]
        for hit in self.hits[:MOST_SHOWN]:
            words = (f"row {hit.row}", f"document {hit.id.hex()}", hit.source, locators.get(hit.id, ""))
            lines.append(f"  hits {', '.join(word for word in words if word)}")
        if len(self.hits) > MOST_SHOWN:
            lines.append(f"  and {len(self.hits) - MOST_SHOWN} segments more, up to row {self.hits[-1].row}")
        return "\n".join(lines)


def refuse(found: Iterable[Damage], directory: str) -> None:
    """Raise IntegrityError if there is any damage."""
    told = [str(each) for each in found]
    if told:
        head = f"{len(told)} faults in the shards of {directory}:"
        raise IntegrityError("\n".join([head, *told, "Restore these files, or pack again"]))


def of_all(packed: Packed) -> Iterator[Damage]:
    """Everything that is wrong in a folder of shards."""
    try:
        if packed.index.root().hex() != packed.id:
            yield Damage(INDEX_FILE, f"its files are not the dataset {packed.id[:16]}… that the manifest names")
    except IntegrityError as error:
        yield Damage(INDEX_FILE, str(error))
    for number in range(packed.shards):
        yield from of_shard(packed, number)
    yield from _of_file(packed, len(packed.index) - 1, None)


def of_shard(packed: Packed, number: int) -> Iterator[Damage]:
    """What is wrong with the two files of a shard."""
    for file in (number, packed.shards + number):
        yield from _of_file(packed, file, number)


def _of_file(packed: Packed, file: int, number: int | None) -> Iterator[Damage]:
    path = packed.index.path(file)
    try:
        data = packed.mapped(file)
    except IntegrityError as error:
        first = 0 if number is None else number * packed.rows_per_shard
        rows = "" if number is None else f"; it has to do with rows {first} to {first + packed.rows_of(number) - 1}"
        yield Damage(path, f"{error}{rows}")
        return
    wrong = wrong_blocks(data, packed.index.blocks(file))
    if not wrong:
        return
    spans = [f"{n * BLOCK_BYTES} to {min((n + 1) * BLOCK_BYTES, data.size) - 1}" for n in wrong]
    what = f"bytes {', '.join(spans[:MOST_SHOWN])}{' …' if len(spans) > MOST_SHOWN else ''} were changed"
    hits: tuple[Hit, ...] = ()
    if number is not None:
        try:
            hits = tuple(_hits(packed, number, file, wrong))
        except IntegrityError as error:
            what += f" ({error})"
    yield Damage(path, what, hits)


def _hits(packed: Packed, number: int, file: int, wrong: list[int]) -> Iterator[Hit]:
    """The segments that have a byte in blocks of one of the two files of a shard.

    A segments file that is damaged is read all the same: the ids and ends that its damaged block has may be wrong.
    """
    shard = packed.mapped_shard(number)
    if file == number:
        sizes = [shard.tokens.dtype.itemsize]
        items = [shard.tokens.size]
    else:
        sizes = [np.dtype(kind).itemsize for kind in COLUMNS.values()]
        items = [len(shard.end)] * len(sizes)
    chosen = np.zeros(len(shard.end), dtype=np.bool_)
    for block in wrong:
        for at, size, count in zip(packed.index.columns(file), sizes, items, strict=True):
            first = max(0, (block * BLOCK_BYTES - at) // size)
            stop = min(count, -(-((block + 1) * BLOCK_BYTES - at) // size))
            if first < stop:
                _choose(chosen, shard.end, first, stop, tokens=file == number)
    last = shard.tokens.shape[0] - 1
    for segment in np.flatnonzero(chosen).tolist():
        row = min(last, max(0, int(shard.end[segment]) - 1) // packed.sequence_length)
        source = int(shard.source[segment])
        name = packed.sources[source] if source < len(packed.sources) else f"source {source}"
        yield Hit(number * packed.rows_per_shard + row, shard.ids[segment].tobytes(), name)


def _choose(chosen: npt.NDArray[np.bool_], end: npt.NDArray[np.uint32], first: int, stop: int, *, tokens: bool) -> None:
    """Mark the segments from `first` to `stop`, or those that have a token there."""
    if tokens:
        first, stop = (int(np.searchsorted(end, np.uint32(at), "right")) for at in (first, stop - 1))
        stop = min(stop + 1, len(end))
    chosen[first:stop] = True
