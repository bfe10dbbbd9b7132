"""Readers: files in, batches of documents out, every record accounted for. No Beam here; workers call them.

files = find_files(["crawl/*.jsonl.gz"])
for unit in cut(files, "jsonl", "web"):
    for batch in read(unit, ReaderOptions()):
        batch.documents, batch.quarantine, batch.skipped, batch.repaired
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from corpusmill.errors import ConfigError
from corpusmill.pipeline.readers.jsonl import read_jsonl
from corpusmill.pipeline.readers.parquet import read_parquet
from corpusmill.pipeline.readers.plaintext import read_text
from corpusmill.pipeline.readers.records import Batch, Collector, Limits, ReaderOptions
from corpusmill.pipeline.readers.slices import Slice, SourceFile, WorkUnit, cut, find_files
from corpusmill.pipeline.readers.warc import read_warc, read_wet

__all__ = [
    "FORMATS",
    "Batch",
    "Limits",
    "ReaderOptions",
    "Slice",
    "SourceFile",
    "WorkUnit",
    "cut",
    "find_files",
    "read",
]

Reader = Callable[[Slice, ReaderOptions, Collector], Iterator[None]]
"""Puts what one slice holds into the collector, and yields whenever the collector may be full."""

FORMATS: Mapping[str, Reader] = {
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "text": read_text,
    "warc": read_warc,
    "wet": read_wet,
}


def read(unit: WorkUnit, options: ReaderOptions) -> Iterator[Batch]:
    """The batches of a work unit, at least one (empty) batch. Raises InputError when a file is gone."""
    if unit.format not in FORMATS:
        raise ConfigError(f"unknown format {unit.format!r}; known formats: {', '.join(sorted(FORMATS))}")
    reader = FORMATS[unit.format]
    collector = Collector(unit.source, options.fields)
    batches = 0
    for piece in unit.slices:
        for _ in reader(piece, options, collector):
            if collector.full:
                yield collector.take()
                batches += 1
    if batches == 0 or not collector.empty:
        yield collector.take()
