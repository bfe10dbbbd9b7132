"""Shared fixtures: a small real corpus made of the standard library's own text, and recipes over it."""

from __future__ import annotations

import json
import os
import random
import sysconfig
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import corpusmill
import corpusmill.dedup
import corpusmill.filters  # both packages register their steps

settings.register_profile("corpusmill", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("corpusmill")


def pytest_configure() -> None:
    """numba's cache sees changes of a kernel's own file only: throw it away when any source file is newer."""
    source = Path(corpusmill.__file__).parent
    newest = max(path.stat().st_mtime for path in source.rglob("*.py"))
    for path in source.rglob("*.nb[ci]"):
        if path.stat().st_mtime < newest:
            path.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data; tests that need it skip without."""
    folder = os.environ.get("CORPUSMILL_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CORPUSMILL_TEST_DATA is not set to the folder of real test data")
    return Path(folder)


@pytest.fixture(scope="session")
def udhr(test_data: Path) -> dict[str, str]:
    """The Universal Declaration of Human Rights by the names of its translations."""
    texts = {}
    with tarfile.open(test_data / "language" / "udhr.tar.xz") as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            if file and member.name.endswith(".txt"):
                texts[Path(member.name).stem] = file.read().decode()
    return texts


@pytest.fixture(scope="session")
def modules() -> list[tuple[str, str]]:
    """(name, source text) of standard library modules: about 6 MB of real text, the same on one Python version."""
    folder = Path(sysconfig.get_path("stdlib"))
    files = sorted(folder.glob("*.py")) + sorted(folder.glob("email/*.py")) + sorted(folder.glob("asyncio/*.py"))
    return [(path.name, path.read_text("utf-8")) for path in files]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory, modules: list[tuple[str, str]]) -> Path:
    """A folder with two sources: `code` in three JSONL files, `notes` in one, with exact and near duplicates."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = random.Random(5)  # noqa: S311  test data, not secrets
    records = [{"text": text, "url": f"https://example.org/{name}"} for name, text in modules]
    records += [dict(record, url=record["url"] + "?copy") for record in records[:20]]
    records += [dict(record, text=record["text"] + "\n# changed\n") for record in records[20:40]]
    rng.shuffle(records)
    (folder / "code").mkdir()
    (folder / "notes").mkdir()
    for part in range(3):
        lines = [json.dumps(record) for record in records[part::3]]
        (folder / "code" / f"part-{part}.jsonl").write_text("\n".join(lines) + "\n")
    paragraphs = [text for _, text in modules for text in text.split('"""')[1::2] if len(text) > 200]
    lines = [json.dumps({"text": text}) for text in paragraphs[:1500]]
    (folder / "notes" / "notes.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def recipe(corpus: Path) -> Callable[..., dict[str, Any]]:
    """A function that gives a small recipe over `corpus`, or a copy of it elsewhere, with keys replaced."""

    def make(folder: Path = corpus, **changes: Any) -> dict[str, Any]:
        body: dict[str, Any] = {
            "name": "test",
            "seed": 3,
            "sources": [
                {"name": "code", "paths": [str(folder / "code" / "*.jsonl")], "format": "jsonl"},
                {"name": "notes", "paths": [str(folder / "notes")], "format": "jsonl", "epochs": 1.5},
            ],
            "steps": [
                {"use": "gopher_repetition"},
                {"use": "gopher_quality", "min_words": 20, "min_alphabetic_word_fraction": 0.4},
                {"use": "exact"},
                {"use": "minhash", "keep": "longest"},
                {"use": "pii"},
            ],
            "tokenizer": {"train": {"vocab_size": 1000, "sample_bytes": 300_000}},
            "shards": {"sequence_length": 256, "rows_per_shard": 1000},
        }
        return {**body, **changes}

    return make
