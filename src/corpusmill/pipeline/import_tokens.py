"""Tokens in other trainers' formats into a run of two stages: they become token files, which are packed as ever.

Everything is checked before anything is written: the files against their own indexes (and against the manifest of an
export by corpusmill, where that lies beside them), and every token against the tokenizer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from rich.console import Console

from corpusmill import ledger
from corpusmill.document import ID_BYTES, document_ids, id_sum
from corpusmill.errors import ConfigError, InputError
from corpusmill.ledger import Tally
from corpusmill.pipeline.directory import Record, RunDirectory, run_directory
from corpusmill.pipeline.finish import finish, finished
from corpusmill.pipeline.job import Run, Stage, settle
from corpusmill.pipeline.lock import locked
from corpusmill.pipeline.pack import pack_stage
from corpusmill.pipeline.progress import watch
from corpusmill.pipeline.runner import Engine
from corpusmill.pipeline.tokens import TOKENIZER
from corpusmill.pipeline.units import map_units, unit_mark
from corpusmill.recipe import Recipe, load
from corpusmill.storage import FileEntry, read_bytes, sha256_of, write_bytes
from corpusmill.tokenize.imports.origin import Origin
from corpusmill.tokenize.imports.reading import Read, Reader, Span, Wanted, check_tokens, split_span
from corpusmill.tokenize.imports.registry import READERS
from corpusmill.tokenize.imports.scanning import unterminated
from corpusmill.tokenize.packing.token_files import write_token_file
from corpusmill.tokenize.tokenizers.convert import convert
from corpusmill.tokenize.tokenizers.encode import Encoder

VERSION = 1
IMPORT, PACK = Stage("1-import", "tokenize"), Stage("2-pack", "pack")
SOURCE = "imported"
"""The name of a source that nobody named."""


@dataclass(frozen=True)
class Given:
    """One path of the command line, and the name of its source, None where none was given."""

    path: Path
    source: str | None = None


@dataclass(frozen=True)
class Options:
    """How to read the files, see `Wanted`; None is what is usual."""

    boundary_id: int | None = None
    at: Literal["end", "start"] = "end"
    dtype: str | None = None


@dataclass(frozen=True)
class Surveyed:
    """What the files hold.

    units    (name, arguments of ImportUnit) for every token file, in their order
    sizes    bytes of each unit's tokens by name
    paths    source → the paths given for it
    inputs   source, name and sha256 of every file: what the result depends on
    """

    units: list[tuple[str, Record]]
    sizes: dict[str, int]
    paths: dict[str, list[str]]
    inputs: list[list[str]]


def import_tokens(
    given: Sequence[Given],
    reader: Reader,
    tokenizer: str,
    out: str,
    options: Options,
    *,
    settings: Sequence[str] = (),
    workers: int = 1,
    console: Console,
) -> dict[str, Any]:
    """Import and pack; gives the body of `ledger.json`. `settings` are `key=value` laid over the recipe.

    Raises ConfigError, InputError and IntegrityError before anything is written, but InputError only after the token
    files for documents that came twice with ids of their own, and for files that changed meanwhile.
    """
    first = _recipe({SOURCE: [str(each.path) for each in given]}, reader, tokenizer, _without_sources(settings))
    converted = convert(read_bytes(tokenizer), tokenizer, (), first.tokenizer.pattern, first.tokenizer.special_tokens)
    encoder = Encoder(tokenizer, first.tokenizer.policy, data=converted.data)
    surveyed = survey(given, reader, encoder, options, console)
    recipe = _recipe(surveyed.paths, reader, tokenizer, settings)
    directory = run_directory(out)
    job = Run(recipe, directory, Engine(workers), console)
    with locked(directory):
        imported = import_stage(job, surveyed, encoder, converted.data, options)
        bodies = [imported, pack_stage(job, PACK, imported)]
        return finished(job, bodies) or finish(job, bodies)


def _without_sources(settings: Sequence[str]) -> list[str]:
    return [setting for setting in settings if not setting.startswith("sources.")]


def _recipe(paths: dict[str, list[str]], reader: Reader, tokenizer: str, settings: Sequence[str]) -> Recipe:
    """The recipe of the run: no steps, and sources whose format no other recipe has."""
    sources = [{"name": name, "paths": found, "format": "parquet"} for name, found in paths.items()]
    loaded = load({"name": f"import-{reader.name}", "sources": sources, "tokenizer": {"path": tokenizer}}, settings)
    named = tuple(dataclasses.replace(source, format=reader.name) for source in loaded.sources)  # type: ignore[arg-type]
    return dataclasses.replace(loaded, sources=named)


def survey(given: Sequence[Given], reader: Reader, encoder: Encoder, options: Options, console: Console) -> Surveyed:
    """Read all files once, check all of it, and cut them into units."""
    found = Surveyed([], {}, {}, [])
    seen: set[tuple[str, str]] = set()
    for each in given:
        wanted, origin = _wanted(each, reader, encoder, options)
        units = origin.units if origin is not None and wanted.kept and each.source is None else []
        usual = each.source or (origin and origin.source) or SOURCE
        if origin is not None and wanted.kept and each.source is None:
            for name in origin.sources:  # in their order, which their numbers follow
                found.paths.setdefault(name, []).append(str(each.path))
        for path in reader.files(each.path):
            for file in [path, *reader.beside(path)]:
                digest = sha256_of(str(file))
                if origin is not None:
                    origin.check_file(file, digest)
                found.inputs.append([usual, file.name, digest])
            _survey_file(path, each, usual, reader, wanted, found, seen, units, console)
    if not found.units:
        raise InputError(f"no document in {', '.join(str(each.path) for each in given)}")
    return found


def _wanted(each: Given, reader: Reader, encoder: Encoder, options: Options) -> tuple[Wanted, Origin | None]:
    """How the files at a path are to be read."""
    if not each.path.exists():
        raise ConfigError(f"{each.path}: no such file or folder")
    origin = Origin.of(each.path)
    if origin is not None:
        origin.check(reader.name, encoder.fingerprint())
    edge = encoder.bos_id if options.at == "start" and encoder.bos_id is not None else encoder.eos_id
    boundary = edge if options.boundary_id is None else options.boundary_id
    dtype = options.dtype or (origin.dtype if origin is not None else None)
    kept = origin is not None and origin.keeps_ids
    return Wanted(encoder.vocab_size, boundary, options.at, dtype, kept), origin


def _survey_file(
    path: Path,
    each: Given,
    usual: str,
    reader: Reader,
    wanted: Wanted,
    found: Surveyed,
    seen: set[tuple[str, str]],
    units: list[tuple[str, int]],
    console: Console,
) -> None:
    """Add the units of one file."""
    documents = odd = 0
    scanned = False
    for span in reader.spans(path, wanted):
        read = reader.read(span, wanted)
        check_tokens(read, span, wanted)
        source = each.source or span.source or usual
        if documents == 0 and (source, path.name) in seen:
            raise ConfigError(f"{path}: two files called {path.name} in source {source}; name one NAME=PATH")
        seen.add((source, path.name))
        for known, part in split_span(span, read.lengths, units):
            name = known if known and known not in found.sizes else f"{source}-{len(found.units):06d}"
            unit = {"reader": reader.name, "source": source, "locator": path.name}
            body = {**unit, "span": dataclasses.asdict(part), "wanted": dataclasses.asdict(wanted)}
            found.units.append((name, body))
            found.sizes[name] = part.tokens * read.tokens.dtype.itemsize
        if str(each.path) not in (paths := found.paths.setdefault(source, [])):
            paths.append(str(each.path))
        documents, scanned = documents + span.documents, scanned or span.scanned
        if span.scanned:
            odd += unterminated(read, wanted)
    if scanned:
        where = "behind the last" if wanted.at == "end" else "before the first"
        rest = f"; {odd} tokens {where} one are a document of their own" if odd else ""
        console.print(
            f"{path}: {documents} documents, found by the token {wanted.boundary} that {wanted.at}s each{rest}",
            markup=False,
            highlight=False,
        )


@dataclass(frozen=True)
class ImportUnit:
    """Read a span of documents and write them as a token file of this type."""

    dtype: str

    def __call__(self, directory: RunDirectory, name: str, unit: Any) -> Record:
        """Write tokens/NAME.arrow; the record has the number of tokens."""
        span, wanted, source = Span(**unit["span"]), Wanted(**unit["wanted"]), unit["source"]
        read = READERS[unit["reader"]].read(span, wanted)
        if (len(read.lengths), len(read.tokens)) != (span.documents, int(read.lengths.sum())):
            raise InputError(f"{span.path}: changed while it was read; run the same command again")
        check_tokens(read, span, wanted)
        ids = _ids(read, source, unit["locator"], span)
        total, size, summed = len(read.tokens), int(read.tokens.nbytes), id_sum(ids)
        tally = Tally()
        tally.add(source, ledger.IN, documents=span.documents, bytes=size, ids=summed)
        tokens: Any = np.ascontiguousarray(read.tokens).astype(self.dtype)
        path = f"tokens/{name}.arrow"
        file = write_token_file(directory.path(path), path, ids, tokens, read.lengths.astype(np.int64))
        tally.add(source, ledger.KEPT, documents=file.rows or 0, bytes=size, ids=summed)
        piece = {"path": path, "unit": name, "source": source, "documents": file.rows, "tokens": total}
        return {"files": [file.to_json()], "documents": None, "tokens": piece, "tally": tally.to_json()}


def _ids(read: Read, source: str, locator: str, span: Span) -> pa.Array:
    """The ids that the file has, or those of (source, file#record)."""
    if read.ids is not None:
        raw = np.ascontiguousarray(read.ids)
    else:
        records = range(span.first, span.first + span.documents)
        made = document_ids(source, (f"{locator}#{record}" for record in records))
        raw = np.frombuffer(b"".join(made), np.uint8).reshape(-1, ID_BYTES)
    return pa.Array.from_buffers(pa.binary(ID_BYTES), len(raw), [None, pa.py_buffer(raw)])


def import_stage(job: Run, surveyed: Surveyed, encoder: Encoder, tokenizer: bytes, options: Options) -> Record:
    """Write the tokenizer and all token files; commit."""
    told, directory = encoder.describe(), job.directory
    inputs = {"files": surveyed.inputs, "options": dataclasses.asdict(options), "encoder": told, "code": VERSION}
    mark = job.stage_fingerprint(IMPORT, None, inputs)
    marks = {name: unit_mark(mark, name, unit) for name, unit in surveyed.units}
    done = job.done_before(IMPORT, mark, marks.get)
    if done is not None:
        return done
    digest = write_bytes(directory.path(TOKENIZER), tokenizer)
    head = {"files": [FileEntry(TOKENIZER, len(tokenizer), digest).to_json()], "documents": None, "tally": []}
    size = sum(surveyed.sizes.values())
    with watch(job.console, directory, IMPORT.name, surveyed.sizes):
        work = ImportUnit(encoder.dtype.name)
        records, runner = map_units(job.engine, directory, IMPORT.name, mark, surveyed.units, work, size)
    _check_unique(directory, records)
    return settle(job, IMPORT, mark, [head, *records], None, runner=runner, encoder=told)


def _check_unique(directory: RunDirectory, records: Sequence[Record]) -> None:
    """Raise InputError for a source that came in twice: files with ids of their own may be copies of each other."""
    sums = [row[5] for record in records for row in record["tally"] if row[1] == ledger.KEPT]
    if len(set(sums)) < len(sums):
        raise InputError(f"{directory.root}: the same documents came twice, from different files; give each path once")
