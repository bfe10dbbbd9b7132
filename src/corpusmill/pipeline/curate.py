"""The map stage: read, filter and edit between two barriers, fused into one pass over each unit of work.

A unit is a slice of a source (first stage) or a file of documents (later ones). Its output is one file of kept
documents, one of rejected ones and one of quarantined records, each only if there are any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from corpusmill import ledger
from corpusmill.document import QUARANTINE, conform, id_sum
from corpusmill.errors import ConfigError, InputError, LedgerError
from corpusmill.filters.sift import documents_schema, rejected_schema, sift
from corpusmill.ledger import Tally
from corpusmill.options import plain
from corpusmill.pipeline import readers
from corpusmill.pipeline.directory import (
    Entry,
    Record,
    RunDirectory,
    TableWriter,
    as_json,
    entries_of,
    read_documents,
    with_fields,
)
from corpusmill.pipeline.job import Run, Stage, commit_map, stages_of
from corpusmill.recipe import Recipe, Source
from corpusmill.steps import Barrier, Filter
from corpusmill.text import Texts

UNIT_BYTES = 32 << 20
"""A unit of work: about so many bytes of input."""

_NO_QUARANTINE = pa.RecordBatch.from_pylist([], QUARANTINE)


@dataclass(frozen=True)
class CurateUnit:
    """Do one unit of a map stage.

    stage       name of the stage
    steps       filters and edits, in order
    left        schema of the documents that come in
    folder      where kept documents go: `documents` for the last map stage
    """

    stage: str
    steps: tuple[Filter, ...]
    left: pa.Schema
    folder: str
    measure_all: bool
    options: dict[str, readers.ReaderOptions]

    def __call__(self, directory: RunDirectory, name: str, unit: Any) -> Record:
        """Read the unit, sift every batch, write what comes out, tally both."""
        tally = Tally()
        schema = documents_schema(self.left, self.steps)
        kept_bytes = 0
        file_name = f"{self.stage}-{name}.parquet"
        with (
            TableWriter(directory, f"{self.folder}/{name}.parquet", schema) as documents,
            TableWriter(directory, f"rejected/{file_name}", rejected_schema(schema)) as rejected,
            TableWriter(directory, f"quarantine/{file_name}", QUARANTINE) as quarantine,
        ):
            source: str = unit["source"]
            for batch, bad in self._read(directory, unit, tally):
                _count_quarantined(tally, source, bad)
                quarantine.write(_stamped(bad, self.stage))
                kept, dropped = sift(batch, self.steps, source, tally, measure_all=self.measure_all)
                sizes = Texts.from_arrow(kept.column("text")).bytes if len(kept) else None
                if sizes is not None:
                    kept_bytes += int(sizes.sum())
                    tally.add(source, ledger.KEPT, documents=len(kept), bytes=int(sizes.sum()), ids=id_sum(kept["id"]))
                documents.write(kept)
                for part in dropped:
                    rejected.write(conform(part, rejected_schema(schema)))
        written = (documents.rows, rejected.rows, quarantine.rows)
        counted = tuple(tally.total(fate)[0] for fate in (ledger.KEPT, ledger.DROPPED, ledger.QUARANTINED))
        if written != counted:
            raise LedgerError(f"{self.stage}, {name}: wrote {written} kept, dropped, quarantined; counted {counted}")
        files = [*documents.entry(), *rejected.entry(), *quarantine.entry()]
        entry = Entry(name, f"{self.folder}/{name}.parquet", documents.rows, kept_bytes, source)
        return {
            "files": [file.to_json() for file in files],
            "documents": as_json(entry) if documents.rows else None,
            "tally": tally.to_json(),
        }

    def _read(
        self, directory: RunDirectory, unit: Any, tally: Tally
    ) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
        """Batches of documents and of quarantined records; tallies what comes in."""
        if "path" in unit:
            for _, batch in read_documents(directory, Entry.from_json(unit)):
                size = int(Texts.from_arrow(batch.column("text")).bytes.sum())
                tally.add(unit["source"], ledger.IN, documents=len(batch), bytes=size, ids=id_sum(batch["id"]))
                yield batch, _NO_QUARANTINE
            return
        work = readers.WorkUnit(**{**unit["work"], "slices": tuple(readers.Slice(**s) for s in unit["work"]["slices"])})
        for read in readers.read(work, self.options[work.source]):
            text_bytes = int(Texts.from_arrow(read.documents.column("text")).bytes.sum()) if len(read.documents) else 0
            bad_bytes = pc.sum(read.quarantine.column("bytes")).as_py() or 0
            for batch, length in ((read.documents, text_bytes), (read.quarantine, bad_bytes)):
                tally.add(work.source, ledger.IN, documents=len(batch), bytes=length, ids=id_sum(batch["id"]))
            for reason, records in read.skipped.items():
                tally.add(work.source, ledger.SKIPPED, reason, documents=records)
            for reason, records in read.repaired.items():
                tally.add(work.source, ledger.REPAIRED, reason, documents=records)
            yield conform(read.documents, self.left), read.quarantine


def _count_quarantined(tally: Tally, source: str, bad: pa.RecordBatch) -> None:
    for reason in pc.unique(bad.column("reason")).to_pylist():
        rows = bad.filter(pc.equal(bad.column("reason"), reason))
        size = pc.sum(rows.column("bytes")).as_py()
        tally.add(source, ledger.QUARANTINED, reason, documents=len(rows), bytes=size, ids=id_sum(rows["id"]))


def _stamped(bad: pa.RecordBatch, stage: str) -> pa.RecordBatch:
    at = QUARANTINE.get_field_index("stage")
    return bad.set_column(at, QUARANTINE.field("stage"), pa.array([stage] * len(bad), pa.string()))


def source_units(recipe: Recipe) -> list[tuple[str, Record]]:
    """The first stage's units of work: slices of the sources' files, cut by size alone. Raises InputError."""
    units: list[tuple[str, Record]] = []
    for source in sorted(recipe.sources, key=lambda source: source.name):
        try:
            files = readers.find_files(source.paths)
        except InputError as error:
            raise InputError(f"source {source.name!r}: {error}") from None
        cut = readers.cut(files, source.format, source=source.name, unit_bytes=UNIT_BYTES)
        stamps = {file.path: file.stamp for file in files}
        for n, unit in enumerate(cut):
            body = {"source": source.name, "work": unit.to_json(), "stamps": [stamps[s.path] for s in unit.slices]}
            units.append((f"{source.name}-{n:05d}", body))
    return units


def curate_stage(job: Run, stage: Stage, left: Record | None) -> Record:
    """Read (or re-read), filter and edit; commit."""
    filters = tuple(step for step in stage.steps if isinstance(step, Filter))
    if left is None:
        units = source_units(job.recipe)
        schema, sizes = job.recipe.document_schema, {name: unit["work"]["bytes"] for name, unit in units}
        options = {source.name: reader_options(source) for source in job.recipe.sources}
    else:
        entries = entries_of(left)
        units = [(entry.unit, as_json(entry)) for entry in entries]
        schema, sizes = schema_before(job.recipe, stage), {entry.unit: entry.bytes for entry in entries}
        options = {}
    mark = job.stage_fingerprint(
        stage,
        left,
        {
            "units": units,
            "measure_all": job.recipe.measure_all,
            "options": {name: plain(option) for name, option in sorted(options.items())},
        },
    )
    folder = "documents" if stage.last_map else f"work/{stage.name}"
    work = CurateUnit(stage.name, filters, schema, folder, job.recipe.measure_all, options)
    return commit_map(job, stage, mark, units, sizes, work, left)


def schema_before(recipe: Recipe, stage: Stage) -> Any:
    """The schema of documents that come into a later map stage."""
    schema = recipe.document_schema
    for earlier in stages_of(recipe):
        if earlier.name == stage.name:
            return schema
        if earlier.kind == "curate":
            schema = documents_schema(schema, [step for step in earlier.steps if isinstance(step, Filter)])
        for step in earlier.steps:
            if isinstance(step, Barrier):
                schema = with_fields(schema, step.signals())
    raise ConfigError(f"no stage {stage.name}")


def reader_options(source: Source) -> readers.ReaderOptions:
    """A source's options for its reader."""
    return readers.ReaderOptions(
        text_field=source.text_field,
        url_field=source.url_field,
        date_fields=source.date_fields,
        invalid_utf8=source.invalid_utf8,
        main_content=source.main_content,
        fields=source.carried,
    )
