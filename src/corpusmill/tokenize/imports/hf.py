"""Parquet with a column of token lists, `input_ids` or `tokens`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.errors import InputError
from corpusmill.tokenize.imports.reading import (
    Read,
    Reader,
    Span,
    Wanted,
    cut_spans,
    ids_of,
    listed,
    source_runs,
)

COLUMNS = ("input_ids", "tokens")


class HuggingFace(Reader):
    """`*.parquet`, in `data/` or beside."""

    name: ClassVar[str] = "hf"

    def files(self, path: Path) -> list[Path]:
        """See Reader."""
        return listed(path / "data" if (path / "data").is_dir() else path, "*.parquet", "Parquet file")

    def spans(self, path: Path, wanted: Wanted) -> Iterator[Span]:
        """The lengths are read from the lists, a row group at a time."""
        with _opened(path) as file:
            column, lengths, names = _column(file, path), [np.zeros(1, np.int64)], []
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=[column, *(["source"] if wanted.kept else [])])
                lengths.append(_flat(table[column], path)[1])
                names += [table["source"].combine_chunks()] if wanted.kept else []
        runs = source_runs(pa.concat_arrays(names)) if names and sum(map(len, names)) else None
        yield from cut_spans(path, np.cumsum(np.concatenate(lengths)), runs)

    def read(self, span: Span, wanted: Wanted) -> Read:
        """See Reader."""
        path = Path(span.path)
        with _opened(path) as file:
            column = _column(file, path)
            rows = np.cumsum([0, *(file.metadata.row_group(n).num_rows for n in range(file.num_row_groups))])
            first = int(np.searchsorted(rows, span.first, side="right")) - 1
            stop = int(np.searchsorted(rows, span.first + span.documents, side="left"))
            columns = [column, *(["id"] if wanted.kept else [])]
            table = file.read_row_groups(range(first, stop), columns=columns).slice(
                span.first - int(rows[first]), span.documents
            )
        tokens, lengths = _flat(table[column], path)
        if not wanted.kept:
            return Read(tokens, lengths)
        return Read(tokens, lengths, ids_of(table["id"], str(path)))


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({error})") from error


def _column(file: pq.ParquetFile, path: Path) -> str:
    schema = file.schema_arrow
    for name in COLUMNS:
        if name in schema.names:
            kind: Any = schema.field(name).type
            if (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and pa.types.is_integer(kind.value_type):
                return name
            raise InputError(f"{path}: column {name} has type {kind}; wanted lists of integers")
    raise InputError(f"{path}: columns {', '.join(schema.names)}; wanted {' or '.join(COLUMNS)} with lists of tokens")


def _flat(column: pa.ChunkedArray, path: Path) -> tuple[Any, Any]:
    """The tokens of all lists, and their lengths."""
    array = column.combine_chunks()
    flat = array.flatten()
    if array.null_count or flat.null_count:
        raise InputError(f"{path}: a document or a token is null; wanted lists of integers without gaps")
    offsets = array.offsets.to_numpy().astype(np.int64)
    return flat.to_numpy(), np.diff(offsets)
