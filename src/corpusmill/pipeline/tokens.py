"""The tokenizer stage and the tokenize stage: documents files on the left, flat token files on the right.

documents/U.parquet ─▶ tokens/U.arrow: one record batch, columns `id` and `tokens` (large_list<uint16 or uint32>)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill import ledger, manifest
from corpusmill.document import id_sum, id_words
from corpusmill.errors import InputError
from corpusmill.ledger import Tally
from corpusmill.options import plain
from corpusmill.pipeline.directory import Entry, Record, RunDirectory, as_json, entries_of, read_documents
from corpusmill.pipeline.job import Run, Stage, commit_map, commit_stage
from corpusmill.pipeline.progress import watch
from corpusmill.recipe import Recipe
from corpusmill.storage import FileEntry, read_bytes, write_bytes
from corpusmill.text import Texts
from corpusmill.tokenize.packing.place import keyed, order_key
from corpusmill.tokenize.packing.token_files import write_token_file
from corpusmill.tokenize.tokenizers import convert, encode, train
from corpusmill.tokenize.tokenizers.encode import Encoder, open_encoder
from corpusmill.tokenize.tokenizers.examine import LOST, examine
from corpusmill.tokenize.tokenizers.train import train_tokenizer

TOKENIZER = "tokenizer.json"
ADMISSION_BYTES = 1 << 20
"""The fast back end must agree with the reference on this much of the user's own text."""
SAMPLE_FILES_FACTOR = 4
"""A sample is taken from files that hold at least so many times its bytes."""


def check_tokenizer(recipe: Recipe) -> None:
    """Raise ConfigError for a tokenizer file that can't be used, before hours of other work."""
    options = recipe.tokenizer
    if options.path is not None:
        given = read_bytes(options.path)
        converted = convert.convert(given, options.path, (), options.pattern, options.special_tokens)
        Encoder(options.path, options.policy, data=converted.data)


def tokenizer_stage(job: Run, stage: Stage, left: Record | None) -> Record:
    """Load, convert or train the tokenizer, and choose the back end that all workers use; commit."""
    if left is None:
        raise InputError("there are no documents to make a tokenizer for")
    entries, options = entries_of(left), job.recipe.tokenizer
    given = read_bytes(options.path) if options.path is not None else b""
    mark = job.stage_fingerprint(
        stage,
        left,
        {
            "options": {**plain(options), "path": manifest.fingerprint(given.hex())},
            "name": Path(options.path or "").name,
            "seed": job.recipe.seed,
            "code": [encode.VERSION, train.VERSION, convert.VERSION],
        },
    )
    directory, path = job.directory, job.directory.path(TOKENIZER)
    done = job.done_before(stage, mark, lambda _: None)
    if done is not None:
        return done
    wanted_bytes = options.train.sample_bytes if options.train is not None else ADMISSION_BYTES
    size = min(wanted_bytes, sum(entry.bytes for entry in entries))
    with watch(job.console, directory, stage.name, {"sample": size}):
        own = list(sample(directory, entries, ADMISSION_BYTES, job.recipe.seed))
        made: dict[str, Any]
        if options.train is not None:
            texts = sample(directory, entries, options.train.sample_bytes, job.recipe.seed)
            made = train_tokenizer(texts, options.train, path)
        else:
            source = str(options.path)
            converted = convert.convert(given, source, own, options.pattern, options.special_tokens)
            write_bytes(path, converted.data)
            made = {"path": source, "format": converted.format, "proof": converted.proof}
        encoder = Encoder(path, options.policy)
        encoder.admit(own)
    job.console.print(f"{stage.name}: {encoder.backend} encodes: {encoder.reason}", markup=False, highlight=False)
    lost = int((examine(encoder, own).fate == LOST).sum())
    if lost:
        job.console.print(
            f"{stage.name}: {lost} of {len(own)} texts of a sample do not come back from this tokenizer: it loses "
            "text. `corpusmill tokenizer check` says of which sources",
            markup=False,
            soft_wrap=True,
        )
    data = read_bytes(path)
    file = FileEntry(TOKENIZER, len(data), encoder.fingerprint())
    facts = {"tokenizer": made, "encoder": encoder.describe(), "vocab_size": encoder.vocab_size}
    facts["sample"] = {"texts": len(own), "lost": lost}
    return commit_stage(directory, stage, mark, [{"files": [file.to_json()]}], documents=left["documents"], **facts)


def sample(directory: RunDirectory, entries: Sequence[Entry], sample_bytes: int, seed: int) -> Iterator[str]:
    """About `sample_bytes` of documents, chosen by keyed hashes of file names and document ids."""
    order = sorted(entries, key=lambda entry: keyed(seed, "sample", entry.unit))
    chosen: list[Entry] = []
    size = 0
    for entry in order:
        chosen.append(entry)
        size += entry.bytes
        if size >= SAMPLE_FILES_FACTOR * sample_bytes:
            break
    share = min(1.0, sample_bytes / max(1, size))
    for entry in sorted(chosen, key=lambda entry: entry.unit):
        for _, batch in read_documents(directory, entry, ["id", "text"]):
            words = id_words(batch["id"])
            drawn = order_key(words, np.zeros(len(words), dtype=np.int64), keyed(seed, "sample"))
            taken = drawn / 2.0**64 < share
            yield from batch.column("text").filter(pa.array(taken)).to_pylist()


@lru_cache(maxsize=2)
def _opened(path: str, told: str) -> Encoder:
    return open_encoder(path, json.loads(told))


def encoder_of(directory: RunDirectory, told: Record) -> Encoder:
    """The encoder that a stage's manifest describes, one per process: loading takes longer than a small unit.

    Raises IntegrityError where the run's tokenizer.json changed since.
    """
    return _opened(directory.path(TOKENIZER), json.dumps(told, sort_keys=True))


@dataclass(frozen=True)
class TokenizeUnit:
    """Encode one documents file; `told` describes the encoder, `signals` go with the tokens."""

    told: Record
    signals: tuple[str, ...] = ()

    def __call__(self, directory: RunDirectory, name: str, unit: Any) -> Record:
        """Write tokens/NAME.arrow; the record has the number of tokens."""
        entry = Entry.from_json(unit)
        encoder = encoder_of(directory, self.told)
        tally, ids, tokens, lengths = Tally(), [], [], []
        measured: dict[str, list[pa.Array]] = {name: [] for name in self.signals}
        for _, batch in read_documents(directory, entry, ["id", "text", *self.signals]):
            for signal, found in measured.items():
                found.append(batch[signal])
            texts = Texts.from_arrow(batch.column("text"))
            size = int(texts.bytes.sum())
            tally.add(entry.source, ledger.IN, documents=len(batch), bytes=size, ids=id_sum(batch["id"]))
            flat, offsets = encoder.encode(texts)
            ids.append(batch["id"])
            tokens.append(flat)
            lengths.append(np.diff(offsets))
            tally.add(entry.source, ledger.KEPT, documents=len(offsets) - 1, bytes=size, ids=id_sum(batch["id"]))
        path = f"tokens/{name}.arrow"
        flat_tokens: Any = np.concatenate(tokens)
        columns = {signal: pa.concat_arrays(found) for signal, found in measured.items()}
        sizes = np.concatenate(lengths)
        file = write_token_file(directory.path(path), path, pa.concat_arrays(ids), flat_tokens, sizes, columns)
        count = len(flat_tokens)
        piece = {"path": path, "unit": name, "source": entry.source, "documents": file.rows, "tokens": count}
        return {"files": [file.to_json()], "documents": None, "tokens": piece, "tally": tally.to_json()}


def tokenize_stage(job: Run, stage: Stage, left: Record | None) -> Record:
    """Encode every document; commit."""
    if left is None:
        raise InputError("there are no documents to encode")
    entries = entries_of(left)
    told = left["encoder"]
    signals = job.recipe.shards.strata_signals
    mark = job.stage_fingerprint(stage, left, {"encoder": {**told, "backend_reason": None}, "signals": signals})
    units = [(entry.unit, as_json(entry)) for entry in entries]
    sizes = {entry.unit: entry.bytes for entry in entries}
    return commit_map(job, stage, mark, units, sizes, TokenizeUnit(told, signals), left, encoder=told)
