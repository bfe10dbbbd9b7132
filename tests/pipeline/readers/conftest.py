from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpusmill.document import DOCUMENT, QUARANTINE, document_id
from corpusmill.pipeline.readers import ReaderOptions, cut, find_files, read


@dataclass
class Result:
    """Everything a source gave, with the checks that hold for every reader already made."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    quarantine: list[dict[str, Any]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    records: int = 0

    @property
    def texts(self) -> dict[str, str]:
        return {row["locator"]: row["text"] for row in self.documents}

    @property
    def reasons(self) -> dict[str, str]:
        return {row["locator"]: row["reason"] for row in self.quarantine}


def read_everything(
    paths: list[Path] | Path, format: str, options: ReaderOptions | None = None, unit_bytes: int = 64 << 20
) -> Result:
    result = Result()
    patterns = [str(path) for path in (paths if isinstance(paths, list) else [paths])]
    for unit in cut(find_files(patterns), format, "src", unit_bytes):
        for batch in read(unit, options or ReaderOptions()):
            carried = [f.column for f in options.fields] if options else []
            assert batch.documents.schema.equals(pa.schema([*DOCUMENT, *carried]))
            assert batch.quarantine.schema.equals(QUARANTINE)
            batch.documents.validate(full=True)
            batch.quarantine.validate(full=True)
            result.documents += batch.documents.to_pylist()
            result.quarantine += batch.quarantine.to_pylist()
            result.skipped.update(batch.skipped)
            result.repaired.update(batch.repaired)
            result.records += batch.records
    rows = result.documents + result.quarantine
    assert len({row["locator"] for row in rows}) == len(rows)
    assert all(row["id"] == document_id("src", row["locator"]) and row["source"] == "src" for row in rows)
    assert result.records == len(rows) + sum(result.skipped.values())
    return result


@pytest.fixture(name="read_everything", scope="session")
def _read_everything() -> Any:
    return read_everything
