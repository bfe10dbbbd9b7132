"""OLMo's raw `.npy` with `.csv.gz`; without the table documents are found by their end token."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from corpusmill.errors import InputError
from corpusmill.tokenize.imports.reading import (
    Read,
    Reader,
    Span,
    Wanted,
    cut_spans,
    ids_of,
    listed,
    mapped,
    source_runs,
    usual_dtype,
)
from corpusmill.tokenize.imports.scanning import read_scanned, scanned_spans

COLUMNS = {"start": pa.int64(), "end": pa.int64(), "id": pa.string(), "src": pa.string(), "loc": pa.string()}
MOST_BYTES = 1 << 32
"""Most that the table of one file may unpack to: eight bytes for each token that dolma puts into a file."""


class Olmo(Reader):
    """`*.npy`, without header."""

    name: ClassVar[str] = "olmo"

    def files(self, path: Path) -> list[Path]:
        """Those that are no masks."""
        found = [each for each in listed(path, "*.npy", "OLMo file") if not each.name.startswith("mask-")]
        if not found:
            raise InputError(f"{path}: only masks, no tokens; give the part-*.npy beside them")
        return found

    def beside(self, path: Path) -> list[Path]:
        """The table of documents, if it is there."""
        return [table] if (table := _table_path(path)).is_file() else []

    def spans(self, path: Path, wanted: Wanted) -> Iterator[Span]:
        """See Reader."""
        dtype = usual_dtype(wanted)
        if not self.beside(path):
            yield from scanned_spans(path, 0, dtype, wanted)
            return
        table, held = _table(path), len(mapped(path, dtype))
        offsets = np.concatenate([np.zeros(1, np.int64), table["end"].to_numpy()])
        if not np.array_equal(offsets[:-1], table["start"].to_numpy()) or (np.diff(offsets) < 0).any():
            raise InputError(f"{_table_path(path)}: documents that overlap or leave a gap; wanted one behind the other")
        if offsets[-1] != held:
            raise InputError(
                f"{path}: {held} tokens of {dtype[1:]}, its table ends at {offsets[-1]}; one of the two is cut short, "
                "or --dtype is wrong"
            )
        runs = source_runs(table["src"].combine_chunks()) if wanted.kept and len(table) else None
        yield from cut_spans(path, offsets, runs)

    def read(self, span: Span, wanted: Wanted) -> Read:
        """See Reader."""
        path, dtype = Path(span.path), usual_dtype(wanted)
        if span.scanned:
            return read_scanned(span, 0, dtype, wanted)
        table = _table(path).slice(span.first, span.documents)
        tokens = mapped(path, dtype, span.begin * np.dtype(dtype).itemsize, span.tokens)
        lengths = table["end"].to_numpy() - table["start"].to_numpy()
        if not wanted.kept:
            return Read(tokens, lengths)
        return Read(tokens, lengths, ids_of(table["id"], str(_table_path(path))))


def _table_path(path: Path) -> Path:
    return path.with_suffix(".csv.gz")


@lru_cache(maxsize=1)
def _table(path: Path) -> pa.Table:
    """The documents of a file: start, end and, where there are five columns, id, src, loc."""
    where = _table_path(path)
    try:
        with pa.OSFile(str(where)) as raw, pa.CompressedInputStream(raw, "gzip") as stream:
            data = stream.read(MOST_BYTES + 1)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{where}: not gzip, or cut short ({error})") from error
    if len(data) > MOST_BYTES:
        raise InputError(f"{where}: unpacks to more than {MOST_BYTES} bytes; that is no table of this file's documents")
    if not data:
        return pa.table({name: pa.array([], kind) for name, kind in COLUMNS.items()})
    wide = data[: data.find(b"\n")].count(b",") > 1
    names = list(COLUMNS) if wide else ["start", "end"]
    try:
        return pacsv.read_csv(
            pa.BufferReader(data),
            read_options=pacsv.ReadOptions(column_names=names, use_threads=False),
            convert_options=pacsv.ConvertOptions(column_types={name: COLUMNS[name] for name in names}),
        )
    except pa.ArrowInvalid as error:
        raise InputError(f"{where}: not a table of start, end, id, src, loc ({error})") from error
