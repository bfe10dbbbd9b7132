"""A run directory made by hand, with figures that are known, for the tests of the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill import manifest
from corpusmill import recipe as recipes
from corpusmill.document import DOCUMENT, QUARANTINE, document_ids
from corpusmill.ledger import DROPPED, EDITED, FAILED, IN, KEPT, QUARANTINED, REMOVED, SKIPPED, Tally, ledger_json

EVIL = "<script>alert('x')</script>\"&\x00\u202e"

RECIPE = {
    "name": "night & day",
    "sources": [
        {"name": "web", "paths": ["/home/someone/crawl/*.jsonl"], "format": "jsonl"},
        {"name": "books", "paths": ["gs://bucket/books/*.txt"], "format": "text"},
    ],
    "steps": [
        {"use": "gopher_quality", "min_words": 50, "max_words": 100},
        {"use": "language", "keep": ["en"]},
        {"use": "minhash", "bands": 14, "rows": 8},
    ],
}


def tally_of(rows: list[tuple[str, str, str, int, int]]) -> Tally:
    tally = Tally()
    for source, outcome, reason, documents, size in rows:
        tally.add(source, outcome, reason, documents=documents, bytes=size, ids=documents)
    for row in tally.counts:
        if row[1] in (FAILED, EDITED, SKIPPED):
            tally.counts[row][2] = 0
    return tally


def stages() -> dict[str, Tally]:
    first = tally_of(
        [
            ("web", IN, "", 1000, 100_000),
            ("web", KEPT, "", 50, 5_000),
            ("web", DROPPED, "gopher_quality.min_words", 800, 80_000),
            ("web", DROPPED, "gopher_quality.max_words", 20, 2_000),
            ("web", DROPPED, "language.keep", 123, 12_000),
            ("web", FAILED, "gopher_quality.min_words", 800, 0),
            ("web", FAILED, "gopher_quality.max_words", 25, 0),
            ("web", FAILED, "language.keep", 170, 0),
            ("web", QUARANTINED, f"utf8.{EVIL}", 7, 300),
            ("web", EDITED, "pii", 0, 700),
            ("web", SKIPPED, "warc.request", 5, 0),
            ("books", IN, "", 10, 9_000),
            ("books", KEPT, "", 10, 9_000),
        ]
    )
    second = tally_of(
        [
            ("web", IN, "", 50, 5_000),
            ("web", KEPT, "", 41, 4_000),
            ("web", REMOVED, "minhash", 9, 1_000),
            ("books", IN, "", 10, 9_000),
            ("books", KEPT, "", 10, 9_000),
        ]
    )
    third = tally_of([(s, o, "", n, b) for s, n, b in (("web", 41, 4_000), ("books", 10, 9_000)) for o in (IN, KEPT)])
    return {"1-curate": first, "2-minhash": second, "3-curate": third}


PACK = {
    "sequence_length": 128,
    "rows": 30,
    "tokens": 3500,
    "pad_tokens": 340,
    "lower_bound_rows": 28,
    "segments": 63,
    "documents": 51,
    "cut_documents": 4,
    "packing": "fit",
    "avoidable_cuts": 3,
    "avoidably_cut_documents": 1,
    "least_cuts": 2,
    "sources": {
        "books": {
            "epochs": 1.0,
            "in": 2500,
            "packed": 2500,
            "repeated": 0,
            "left_out": 0,
            "wished": 0.7,
            "capped": True,
        },
        "web": {
            "epochs": 0.5,
            "in": 2000,
            "packed": 1000,
            "repeated": 0,
            "left_out": 1000,
            "wished": 0.3,
            "capped": False,
        },
    },
    "strata": [
        {"name": "books & co", "rows": 20, "tokens": 2500, "pad_tokens": 60},
        {"name": "web", "rows": 10, "tokens": 1000, "pad_tokens": 280},
    ],
    "document_lengths": [0, 0, 40, 11],
    "documents_per_row": [9, 10, 11, 0],
    "ledger": {"in": 4500, "packed": 3500, "repeated": 0, "left_out": 1000, "padding": 340},
}


def write_table(directory: Path, path: str, columns: dict[str, pa.Array]) -> dict[str, Any]:
    table = pa.table(columns)
    (directory / path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, directory / path, row_group_size=16)
    return {"path": path, "bytes": (directory / path).stat().st_size, "sha256": "0" * 64, "rows": len(table)}


def documents(rows: int, words: int) -> dict[str, pa.Array]:
    names = [f"part#{n}" for n in range(rows)]
    return {
        "id": pa.array(document_ids("web", names), DOCUMENT.field("id").type),
        "text": pa.array(["x"] * rows, pa.large_string()),
        "gopher_quality.word_count": pa.array(np.arange(rows) + words),
        "gopher_quality.mean_word_length": pa.array(np.linspace(3, 6, rows)),
        "language.label": pa.array([EVIL] * rows),
        "language.score": pa.array(np.full(rows, 0.75)),
    }


def make_run(directory: Path, *, recipe: bool = True, tables: bool = True, pack: bool = True) -> Path:
    every = stages()
    directory.mkdir(parents=True)
    body = ledger_json(every, PACK if pack else {})
    (directory / "ledger.json").write_bytes(manifest.canonical(body))
    if recipe:
        (directory / "recipe.toml").write_text(recipes.to_toml(recipes.parse(RECIPE)), "utf-8")
    if tables:
        bad = {name: pa.array([EVIL], pa.string()) for name in ("source", "locator", "stage", "reason", "detail")}
        files = [
            write_table(directory, "rejected/1-curate-web.parquet", documents(40, 1)),
            write_table(directory, "quarantine/1-curate-web.parquet", bad),
        ]
        assert set(bad) < set(QUARANTINE.names)
        commit(directory, "1-curate", "curate", files, [])
        commit(directory, "2-minhash", "dedup", [], [])
        kept = write_table(directory, "documents/web.parquet", documents(51, 50))
        commit(directory, "3-curate", "curate", [kept], [{"path": kept["path"], "rows": 51, "unit": "web"}])
    if pack:
        commit(directory, "6-pack", "pack", [], [], pack=PACK)
        commit(directory, "4-tokenizer", "tokenizer", [], [], vocab_size=32100)
    return directory


def commit(directory: Path, stage: str, kind: str, files: list[Any], entries: list[Any], **more: Any) -> None:
    body = {"stage": stage, "kind": kind, "runner": "SomeRunner", "files": files, "documents": entries, **more}
    manifest.commit(str(directory / "stages" / f"{stage}.json"), body)
