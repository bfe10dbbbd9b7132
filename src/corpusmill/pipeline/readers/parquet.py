"""Parquet: a row is a document, whole columns at a time. Locator: `name#row`, counted from the file's first row.

Texts come dictionary-encoded, so a page that repeats one huge string costs its bytes once and is measured before it
is unpacked. A row group that can't be read is one quarantine row (`name#group3`), the others are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.document import BATCH_BYTES
from corpusmill.pipeline.readers.records import BATCH_ROWS, HEAD_BYTES, Collector, ReaderOptions, parse_date
from corpusmill.pipeline.readers.slices import PARQUET_LIMITS, Slice, open_file

_DAMAGE = (OSError, pa.ArrowException, MemoryError)
_STRINGS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)


def read_parquet(piece: Slice, options: ReaderOptions, collector: Collector) -> Iterator[None]:
    """The row groups [start, stop) of a file."""
    with open_file(piece.path) as stream:
        try:
            text = options.text_field
            parquet = pq.ParquetFile(stream, **PARQUET_LIMITS)
            columns = _columns(parquet.schema_arrow, options)
            if columns:
                known = parquet.metadata
                parquet = pq.ParquetFile(stream, metadata=known, read_dictionary=[text], **PARQUET_LIMITS)
        except _DAMAGE as error:
            collector.reject(piece.name, "parquet.invalid", f"the footer can't be read: {error}", stream.size(), b"")
            yield
            return
        if columns is None:
            if piece.start == 0:
                has = ", ".join(f"{field.name} ({field.type})" for field in parquet.schema_arrow)
                detail = f"no column {text!r} of strings; the file has: {has}"
                collector.reject(piece.name, "parquet.missing_text", detail, stream.size(), b"")
                yield
            return
        first = sum(parquet.metadata.row_group(i).num_rows for i in range(piece.start))
        for group in range(piece.start, piece.stop):
            yield from _read_group(parquet, group, first, piece, options, columns, collector)
            first += parquet.metadata.row_group(group).num_rows


def _columns(schema: pa.Schema, options: ReaderOptions) -> list[str] | None:
    """The columns to read, None where there is no text."""
    at = schema.get_field_index(options.text_field)
    if at < 0 or not _holds_strings(schema.field(at).type):
        return None
    carried = [field.key_among(schema.names) for field in options.fields]
    others = [*([options.url_field] if options.url_field else []), *options.date_fields, *carried]
    return list(dict.fromkeys([options.text_field, *(name for name in others if name in schema.names)]))


def _holds_strings(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(test(kind) for test in _STRINGS)


def _read_group(
    parquet: pq.ParquetFile,
    group: int,
    first: int,
    piece: Slice,
    options: ReaderOptions,
    columns: list[str],
    collector: Collector,
) -> Iterator[None]:
    """One row group, whose first row is row `first` of the file."""
    metadata = parquet.metadata.row_group(group)
    declared, row = metadata.num_rows, 0
    bytes_per_row = max(metadata.total_byte_size, 0) // max(declared, 1) + 1
    batch_rows = min(max(BATCH_BYTES // bytes_per_row, 1), BATCH_ROWS)
    problem = None
    try:
        for batch in parquet.iter_batches(batch_rows, row_groups=[group], columns=columns, use_threads=False):
            batch = batch.slice(0, max(declared - row, 0))
            for _ in _Rows(batch, piece.name, first + row, options, collector).read():
                yield
            row += len(batch)
    except _DAMAGE as error:
        problem = str(error)
    if row != declared or problem:
        detail = f"{row} of {declared} rows were read: {problem or 'no more came'}"
        collector.reject(f"{piece.name}#group{group}", "parquet.invalid", detail, max(metadata.total_byte_size, 0), b"")
        yield


class _Rows:
    """The rows of one Arrow batch."""

    def __init__(
        self, batch: pa.RecordBatch, name: str, first: int, options: ReaderOptions, collector: Collector
    ) -> None:
        self._batch, self._name, self._first = batch, name, first
        self._options, self._collector = options, collector
        column = batch.column(options.text_field)
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        self._indices: pa.Array = column.indices
        self._values: pa.Array = column.dictionary.cast(_large(column.dictionary.type)).view(pa.large_binary())

    def read(self) -> Iterator[None]:
        """Put good rows into the collector, a few MiB at a time, and the others into quarantine."""
        values, bad_values = self._checked()
        nulls = self._indices.is_null().to_numpy(zero_copy_only=False)
        indices = self._indices.fill_null(0).to_numpy().astype(np.int64)
        lengths = pc.binary_length(values).to_numpy(zero_copy_only=False).astype(np.int64)
        limit = self._options.limits.max_document_bytes
        size = np.where(nulls, 0, lengths[indices]) if len(values) else np.zeros(len(indices), dtype=np.int64)
        bad = nulls | (size > limit) | np.isin(indices, np.fromiter(bad_values, np.int64, len(bad_values)))
        for row in np.flatnonzero(bad):
            self._reject(int(row), bool(nulls[row]), int(size[row]), bad_values.get(int(indices[row])), values, indices)
        yield
        good = np.flatnonzero(~bad)
        pieces = np.cumsum(size[good]) // (BATCH_BYTES // 4)
        for rows in np.split(good, np.flatnonzero(np.diff(pieces)) + 1):
            if len(rows):
                self._add(rows, values.take(pa.array(indices[rows])))
                yield

    def _checked(self) -> tuple[pa.Array, dict[int, str]]:
        """The distinct texts as large_binary, all valid UTF-8 but those whose index and defect is returned."""
        try:
            self._values.view(pa.large_string()).validate(full=True)
            return self._values, {}
        except pa.ArrowInvalid:
            pass
        defects: dict[int, str] = {}
        texts: list[bytes | None] = self._values.to_pylist()
        for index, raw in enumerate(texts):
            try:
                (raw or b"").decode()
            except UnicodeDecodeError as error:
                defects[index] = f"{error.reason} at byte {error.start}"
                if self._options.invalid_utf8 == "replace":
                    texts[index] = (raw or b"").decode("utf-8", "replace").encode()
        if self._options.invalid_utf8 == "reject":
            return self._values, defects
        changed = pc.is_in(self._indices, pa.array(list(defects), self._indices.type))
        self._collector.repair("utf8.replaced", pc.sum(changed).as_py() or 0)
        return pa.array(texts, pa.large_binary()), {}

    def _reject(
        self, row: int, null: bool, size: int, defect: str | None, values: pa.Array, indices: npt.NDArray[np.int64]
    ) -> None:
        locator = f"{self._name}#{self._first + row}"
        if null:
            self._collector.reject(locator, "parquet.missing_text", f"{self._options.text_field!r} is null", 0, b"")
            return
        head = values[int(indices[row])].as_buffer()[:HEAD_BYTES].to_pybytes()
        if defect:
            self._collector.reject(locator, "utf8.invalid", defect, size, head)
        else:
            detail = f"a text of {size} bytes, max_document_bytes is {self._options.limits.max_document_bytes}"
            self._collector.reject(locator, "record.too_large", detail, size, head)

    def _add(self, rows: npt.NDArray[np.int64], texts: pa.Array) -> None:
        count, where = len(rows), pa.array(rows)
        names = self._batch.schema.names
        url = self._options.url_field
        urls = _urls(self._batch.column(url).take(where)) if url in names else pa.nulls(count, pa.string())
        given = [self._batch.column(name).take(where) for name in self._options.date_fields if name in names]
        dates, unreadable = _dates(given, count)
        if unreadable:
            self._collector.repair("date.unreadable", unreadable)
        locators = [f"{self._name}#{row}" for row in (rows + self._first).tolist()]
        keys = {field.key_among(names) for field in self._options.fields}
        records = self._batch.select(sorted(keys & {*names})).take(where).to_pylist() if keys else []
        self._collector.add_block(locators, texts.view(pa.large_string()), urls, dates, records)


def _large(kind: pa.DataType) -> pa.DataType:
    """The type with 64-bit offsets."""
    return pa.large_string() if pa.types.is_string(kind) or pa.types.is_large_string(kind) else pa.large_binary()


def _urls(column: pa.Array) -> pa.Array:
    """As strings; null where a value is none, or no valid UTF-8."""
    if not _holds_strings(column.type):
        return pa.nulls(len(column), pa.string())
    try:
        strings = column.cast(pa.string())
        strings.validate(full=True)
        return strings
    except pa.ArrowInvalid:
        raw: list[bytes | None] = column.cast(pa.binary()).to_pylist()
        return pa.array([None if value is None else value.decode("utf-8", "replace") for value in raw], pa.string())


def _dates(columns: list[pa.Array], rows: int) -> tuple[pa.Array, int]:
    """The first date of each row that is given, as timestamp[s] in UTC, and how many could not be read."""
    dates = pa.nulls(rows, pa.timestamp("s"))
    given = np.zeros(rows, dtype=np.bool_)
    for column in columns:
        given |= column.is_valid().to_numpy(zero_copy_only=False)
        dates = dates.fill_null(_one_date_column(column)) if dates.null_count < rows else _one_date_column(column)
    return dates, int(np.count_nonzero(given & dates.is_null().to_numpy(zero_copy_only=False)))


def _one_date_column(column: pa.Array) -> pa.Array:
    target = pa.timestamp("s")
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        naive = column.cast(pa.timestamp(kind.unit)) if pa.types.is_timestamp(kind) and kind.tz else column
        return naive.cast(target, safe=False)
    column = column.dictionary_decode() if pa.types.is_dictionary(kind) else column
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or _is_number(column.type)):
        return pa.nulls(len(column), target)
    distinct = column.dictionary_encode()
    dates = pa.array([parse_date(value) for value in _values(distinct.dictionary)], target)
    return dates.take(distinct.indices)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _values(column: pa.Array) -> list[Any]:
    """As Python values; strings that are no UTF-8 come with U+FFFD, which no date has."""
    values: list[Any]
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:
        values = [value.decode("utf-8", "replace") for value in column.cast(pa.large_binary()).to_pylist()]
    return values
