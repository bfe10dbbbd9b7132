"""Plain text: one document per file, plain or compressed. Locator: the file's name. An empty file is an empty
document, so that the filters count it.
"""

from __future__ import annotations

from collections.abc import Iterator

from corpusmill.pipeline.readers.records import Collector, ReaderOptions
from corpusmill.pipeline.readers.slices import Slice
from corpusmill.pipeline.readers.streams import StreamDamage, open_stream

_BOM = b"\xef\xbb\xbf"


def read_text(piece: Slice, options: ReaderOptions, collector: Collector) -> Iterator[None]:
    """The file as one document. A damaged or too large file is none at all: half a text is not that text."""
    limit = options.limits.max_document_bytes
    stream = open_stream(piece.path, options.limits)
    parts: list[bytes] = []
    size = 0
    try:
        while size <= limit and (chunk := stream.read()):
            parts.append(chunk)
            size += len(chunk)
    except StreamDamage as damage:
        collector.reject(piece.name, damage.reason, damage.detail, size, b"".join(parts[:1]))
        yield
        return
    finally:
        stream.close()
    raw = b"".join(parts).removeprefix(_BOM)
    if size > limit:
        detail = f"more than max_document_bytes, which is {limit}; reading stopped there"
        collector.reject(piece.name, "record.too_large", detail, size, raw)
    else:
        _add(piece.name, raw, options, collector)
    yield


def _add(locator: str, raw: bytes, options: ReaderOptions, collector: Collector) -> None:
    """The text as a document, or by the policy for invalid UTF-8."""
    try:
        raw.decode()
        collector.add(locator, raw)
    except UnicodeDecodeError as error:
        if options.invalid_utf8 == "reject":
            collector.reject(locator, "utf8.invalid", f"{error.reason} at byte {error.start}", len(raw), raw)
        else:
            collector.add(locator, raw.decode("utf-8", "replace").encode(), repaired=("utf8.replaced",))
