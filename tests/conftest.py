"""Shared fixtures: a small real corpus made of the standard library's own text, and recipes over it."""

from __future__ import annotations

import ast
import json
import os
import random
import sysconfig
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tokenizers
from hypothesis import HealthCheck, settings
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

import corpusmill
import corpusmill.dedup
import corpusmill.filters  # both packages register their steps
from corpusmill import manifest, storage
from corpusmill.text import Texts
from corpusmill.tokenize.shards.layout import TOKENIZER_FILE, in_order, shards_manifest
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenize.shards.writer import Draft, Pieces, hashed_file, write_index
from corpusmill.tokenize.tokenizers.encode import Encoder

settings.register_profile("corpusmill", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("corpusmill")


SOURCE = Path(corpusmill.__file__).parent


def pytest_configure() -> None:
    """numba's cache sees changes of a kernel's own file only: throw away what imports a file that is newer."""
    files = {
        ".".join(("corpusmill", *path.relative_to(SOURCE).with_suffix("").parts)): path for path in SOURCE.rglob("*.py")
    }
    below = {name: imports(path) & files.keys() for name, path in files.items()}
    for name, path in files.items():
        seen, left = {name}, [name]
        while left:
            found = below[left.pop()] - seen
            seen |= found
            left += found
        newest = max(files[each].stat().st_mtime for each in seen)
        for cache in (path.parent / "__pycache__").glob(f"{path.stem}.*.nb[ci]"):
            if cache.stat().st_mtime < newest:
                cache.unlink(missing_ok=True)


def imports(path: Path) -> set[str]:
    """What a file may import of modules, names in them included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


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


def byte_tokenizer(path: Path) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([tokenizers.AddedToken("<|endoftext|>", special=True)])
    path.write_text(tokenizer.to_str(), encoding="utf-8")


def packed_pieces(
    lengths: list[int], sequence_length: int, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First fit, rows permuted: int64[m, 4] (document, offset, length, row), and the room left in each row."""
    pieces, room = [], []
    for document, length in enumerate(lengths):
        for offset in range(0, length, sequence_length):
            size = min(sequence_length, length - offset)
            row = next((row for row, left in enumerate(room) if left >= size), len(room))
            room[row:] = [sequence_length] if row == len(room) else room[row:]
            room[row] -= size
            pieces.append((document, offset, size, row))
    table = np.array(pieces, dtype=np.int64).reshape(-1, 4)
    table[:, 3] = np.random.default_rng(seed).permutation(len(room))[table[:, 3]]
    return table, np.array(room)


def write_shards(
    folder: Path, documents: list[tuple[str, str]], *, sequence_length: int, rows_per_shard: int = 16, seed: int = 0
) -> Packed:
    """Pack (source, text) documents simply, and write them with the real writer."""
    folder.mkdir(parents=True)
    byte_tokenizer(folder / TOKENIZER_FILE)
    encoder = Encoder(folder / TOKENIZER_FILE)
    tokens, offsets = encoder.encode(Texts.from_strings([text for _, text in documents]))
    names = sorted({source for source, _ in documents})
    table, room = packed_pieces(np.diff(offsets).tolist(), sequence_length, seed)
    files = []
    for number, first in enumerate(range(0, len(room), rows_per_shard)):
        mine = table[(table[:, 3] >= first) & (table[:, 3] < first + rows_per_shard)]
        document, offset, length, row = mine.T
        pieces = Pieces(
            row=row - first,
            order=document.astype(np.uint64),
            document=document,
            ids=np.stack([np.zeros(len(mine), np.uint64), document.astype(np.uint64)], axis=1),
            source=np.array([names.index(source) for source, _ in documents], dtype=np.uint16)[document],
            offset=offset.astype(np.uint32),
            length=length.astype(np.uint32),
        )
        rows = min(rows_per_shard, len(room) - first)
        draft = Draft(pieces, rows=rows, sequence_length=sequence_length, dtype=encoder.dtype, pad_id=encoder.pad_id)
        draft.put(tokens, offsets[document] + offset)
        files += draft.write(str(folder), number)[1]
    path = folder / TOKENIZER_FILE
    listed = [*in_order(files), hashed_file(str(folder), TOKENIZER_FILE)]
    index, root = write_index(str(folder), listed)
    body = shards_manifest(
        sequence_length=sequence_length,
        rows=len(room),
        rows_per_shard=rows_per_shard,
        encoder=encoder,
        sources=names,
        totals={
            "documents": len(documents),
            "cut_documents": int((np.diff(offsets) > sequence_length).sum()),
            "segments": len(table),
            "tokens": len(tokens),
            "pad_tokens": int(room.sum()),
            "lower_bound_rows": -(-len(tokens) // sequence_length),
        },
        files=listed,
        index=index,
        tokenizer=storage.FileEntry(path.name, path.stat().st_size, storage.sha256_of(str(path))),
        root=root,
    )
    manifest.commit(str(folder / manifest.RUN_MANIFEST), body)
    return Packed(folder)


@pytest.fixture(scope="session")
def write() -> Callable[..., Packed]:
    """A function that packs (source, text) documents into a new folder of shards, without a run."""
    return write_shards
