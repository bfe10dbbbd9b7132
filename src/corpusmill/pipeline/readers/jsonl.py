"""JSON lines: one object per line, plain or compressed. Locator: `name#offset`, the place of the line's first byte in
the decompressed file, so slicing does not change it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from corpusmill.pipeline.readers.records import (
    HEAD_BYTES,
    Collector,
    ReaderOptions,
    clean_url,
    parse_date,
    to_utf8,
)
from corpusmill.pipeline.readers.slices import COMPRESSED, Slice
from corpusmill.pipeline.readers.streams import ByteStream, StreamDamage, open_stream

_BOM = b"\xef\xbb\xbf"


@dataclass
class _BadRecord(Exception):
    """A line that is no document."""

    reason: str
    detail: str


def read_jsonl(piece: Slice, options: ReaderOptions, collector: Collector) -> Iterator[None]:
    """The lines that begin in the slice. Blank lines are no records."""
    plain = not piece.path.endswith(COMPRESSED)
    limits = options.limits
    # From one byte before: a line begins at `start` only where a newline comes before it.
    stream = open_stream(piece.path, limits, max(piece.start - 1, 0) if plain else 0)
    lines = _Lines(stream, limits.max_record_bytes, piece)
    try:
        for offset, line, size in lines:
            if plain and offset >= piece.stop:
                return
            if offset < piece.start or not (size > len(line) or line.strip()):
                continue
            _read_line(f"{piece.name}#{offset}", line, size, options, collector)
            yield
    except StreamDamage as damage:
        offset, head, size = lines.rest()
        collector.reject(f"{piece.name}#{offset}", damage.reason, damage.detail, size, head)
        yield
    finally:
        stream.close()


class _Lines:
    """Lines of a stream as (offset, line, size). A line longer than `max_bytes` comes as its head only: len < size.

    Ends early where a line that began before the slice goes on to the slice's end.
    """

    def __init__(self, stream: ByteStream, max_bytes: int, piece: Slice) -> None:
        self._stream = stream
        self._piece = piece
        self._max_bytes = max_bytes
        self._head_bytes = min(HEAD_BYTES, max_bytes)
        self._offset = stream.offset
        self._parts: list[bytes] = []
        self._size = 0

    def __iter__(self) -> Iterator[tuple[int, bytes, int]]:
        while chunk := self._stream.read():
            first, *others = chunk.split(b"\n")
            self._extend(first)
            if not others:
                if self._offset < self._piece.start and self._stream.offset >= self._piece.stop:
                    return
                continue
            yield self._take()
            last = others.pop()
            for line in others:
                offset = self._offset
                self._offset += len(line) + 1
                yield offset, line if len(line) <= self._max_bytes else line[: self._head_bytes], len(line)
            self._extend(last)
        if self._size:
            yield self._take()

    def _extend(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._max_bytes:
            self._parts.append(part)
        else:
            self._parts = [b"".join([*self._parts, part[: self._head_bytes]])[: self._head_bytes]]

    def _take(self) -> tuple[int, bytes, int]:
        line = self._offset, b"".join(self._parts), self._size
        self._offset += self._size + 1
        self._parts, self._size = [], 0
        return line

    def rest(self) -> tuple[int, bytes, int]:
        """Offset, head and size of the line that the damage has cut."""
        return self._offset, b"".join(self._parts)[:HEAD_BYTES], self._size


def _read_line(locator: str, line: bytes, size: int, options: ReaderOptions, collector: Collector) -> None:
    limits = options.limits
    repaired: list[str] = []
    try:
        if size > len(line):
            raise _BadRecord(
                "record.too_large", f"a line of {size} bytes, max_record_bytes is {limits.max_record_bytes}"
            )
        record = _parse(line, options, repaired)
        text = record.get(options.text_field)
        if not isinstance(text, str):
            found = "null" if text is None else type(text).__name__
            raise _BadRecord("json.missing_text", f"{options.text_field!r}: {found}, wanted a string")
        data, scrubbed = to_utf8(text)
        if scrubbed:
            repaired.append("surrogates.replaced")
        if len(data) > limits.max_document_bytes:
            detail = f"a text of {len(data)} bytes, max_document_bytes is {limits.max_document_bytes}"
            raise _BadRecord("record.too_large", detail)
    except _BadRecord as bad:
        collector.reject(locator, bad.reason, bad.detail, size, line)
        return
    date = None
    given = next((record[name] for name in options.date_fields if record.get(name) not in (None, "")), None)
    if given is not None:
        date = parse_date(given)
        if date is None:
            repaired.append("date.unreadable")
    url = clean_url(record.get(options.url_field)) if options.url_field else None
    collector.add(locator, data, url, date, repaired, record)


def _parse(line: bytes, options: ReaderOptions, repaired: list[str]) -> dict[str, Any]:
    """The JSON object of a line. Raises _BadRecord."""
    try:
        text = line.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        if options.invalid_utf8 == "reject":
            raise _BadRecord("utf8.invalid", f"{error.reason} at byte {error.start} of the line") from error
        text = line.removeprefix(_BOM).decode("utf-8", "replace")
        repaired.append("utf8.replaced")
    try:
        record = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _BadRecord("json.invalid", f"{error.msg} at character {error.pos}") from error
    except ValueError as error:
        raise _BadRecord("json.invalid", str(error)) from error
    except RecursionError as error:
        raise _BadRecord("json.too_deep", f"deeper than max_depth {options.limits.max_depth}") from error
    if not isinstance(record, dict):
        raise _BadRecord("json.not_object", f"got {type(record).__name__}, wanted an object")
    if _deeper(record, options.limits.max_depth):
        raise _BadRecord("json.too_deep", f"deeper than max_depth {options.limits.max_depth}")
    return record


def _deeper(value: object, levels: int) -> bool:
    """Whether arrays and objects nest deeper than `levels`. Level by level: no recursion on hostile input."""
    layer: list[object] = [value]
    while layer:
        if levels < 1:
            return True
        inner: list[object] = []
        for item in layer:
            if isinstance(item, dict):
                inner.extend(child for child in item.values() if isinstance(child, (dict, list)))
            elif isinstance(item, list):
                inner.extend(child for child in item if isinstance(child, (dict, list)))
        layer = inner
        levels -= 1
    return False


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("a number beyond the range of a double")
    return value


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
