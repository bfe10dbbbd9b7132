"""Every format byte by byte, as its owner writes it: 2 + 3 tokens of documents, 2 rows of 4 tokens."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from corpusmill.errors import ConfigError
from corpusmill.tokenize.export.corpus import Corpus
from corpusmill.tokenize.export.export import Options, export
from corpusmill.tokenize.export.formats import Facts
from corpusmill.tokenize.export.registry import FORMATS

END = 0


@pytest.fixture
def pair(documents: Any) -> Corpus:
    made: Corpus = documents([("web", [[7, END], [8, 9, END]])])
    return made


@pytest.fixture
def rows(fixed_rows: Any) -> Corpus:
    """Row 0: [5, 6 | 7, 8]; row 1: [9 | padding]."""
    made: Corpus = fixed_rows([[(1, [5, 6]), (0, [7, 8])], [(1, [9])]], 4)
    return made


def written(corpus: Corpus, name: str, out: Path, vocab_size: int = 600, **options: Any) -> dict[str, bytes]:
    """The files of an export by name, the manifest left out."""
    what = "rows" if hasattr(corpus, "length") else "documents"
    facts = Facts(what, vocab_size, END, 4 if what == "rows" else None, "ab" * 32)  # type: ignore[arg-type]
    export(corpus, FORMATS[name], facts, str(out), Options(**options), {}, lambda _: None)
    files = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert json.loads(files.pop("manifest.json"))["to"] == name
    return files


def u16(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}H", *numbers)


def u32(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def u64(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


TOKENS = (7, END, 8, 9, END)


def test_megatron(pair: Corpus, rows: Corpus, tmp_path: Path) -> None:
    head = b"MMIDIDX\x00\x00" + u64(1)
    found = written(pair, "megatron", tmp_path / "d")
    assert found["part-00000.bin"] == u16(*TOKENS)
    assert found["part-00000.idx"] == head + b"\x08" + u64(2, 3) + u32(2, 3) + u64(0, 4) + u64(0, 1, 2)
    found = written(rows, "megatron", tmp_path / "r")
    assert found["part-00000.bin"] == u16(5, 6, 7, 8, 9, END, END, END)
    assert found["part-00000.idx"] == head + b"\x08" + u64(2, 3) + u32(4, 4) + u64(0, 8) + u64(0, 1, 2)


@pytest.mark.parametrize(("vocab_size", "code", "item"), [(65_499, 8, 2), (65_500, 4, 4), (128_256, 4, 4)])
def test_megatron_has_no_uint32(pair: Corpus, tmp_path: Path, vocab_size: int, code: int, item: int) -> None:
    found = written(pair, "megatron", tmp_path / "d", vocab_size)
    assert found["part-00000.idx"][17] == code
    assert len(found["part-00000.bin"]) == 5 * item


def test_nanogpt(pair: Corpus, tmp_path: Path) -> None:
    assert written(pair, "nanogpt", tmp_path / "d") == {"train.bin": u16(*TOKENS)}
    with pytest.raises(ConfigError, match="65537 ids"):
        written(pair, "nanogpt", tmp_path / "e", vocab_size=65_537)


def test_llmc(pair: Corpus, tmp_path: Path) -> None:
    small = written(pair, "llmc", tmp_path / "d")
    assert small == {"tokens_train_000000.bin": u32(20240520, 1, 5) + bytes(253 * 4) + u16(*TOKENS)}
    large = written(pair, "llmc", tmp_path / "e", vocab_size=128_256)
    assert large == {"tokens_train_000000.bin": u32(20240801, 7, 5) + bytes(253 * 4) + u32(*TOKENS)}


def test_datatrove(pair: Corpus, rows: Corpus, tmp_path: Path) -> None:
    name = "00000_tokens.ds"
    found = written(pair, "datatrove", tmp_path / "d")
    assert found == {
        name: u16(*TOKENS),
        f"{name}.index": u64(2, 5),
        f"{name}.metadata": b"ab" * 32 + b"|2\n5\n5 T",
    }
    found = written(rows, "datatrove", tmp_path / "r")
    assert found[f"{name}.index"] == u64(2, 4, 5, 8)
    assert found[f"{name}.loss"] == bytes([0, 1, 0, 1, 0, 0, 0, 0])


def test_olmo(pair: Corpus, rows: Corpus, tmp_path: Path) -> None:
    found = written(pair, "olmo", tmp_path / "d")
    assert found["part-00-00000.npy"] == u16(*TOKENS)
    lines = [line.split(",") for line in gzip.decompress(found["part-00-00000.csv.gz"]).decode().split("\n")[:-1]]
    assert [[*line[:2], len(line[2]), *line[3:]] for line in lines] == [
        ["0", "2", 32, "web", "0"],
        ["2", "5", 32, "web", "1"],
    ]
    found = written(rows, "olmo", tmp_path / "r")
    assert found["mask-00-00000.npy"] == bytes([0, 1, 0, 1, 0, 0, 0, 0])
    table = gzip.decompress(found["part-00-00000.csv.gz"]).decode().splitlines()
    assert [line.split(",")[:2] for line in table] == [["0", "2"], ["2", "4"], ["4", "5"]]


def test_mds(pair: Corpus, rows: Corpus, tmp_path: Path) -> None:
    found = written(rows, "mds", tmp_path / "r")
    config = (
        b'{"column_encodings": ["ndarray:uint32", "ndarray:uint16:4"], "column_names": ["lengths", "tokens"], '
        b'"column_sizes": [null, 8], "compression": null, "format": "mds", "hashes": [], "size_limit": 67108864, '
        b'"version": 2}'
    )
    first = 16 + len(config)
    sample = u32(10) + b"\x04\x02" + u32(2, 2) + u16(5, 6, 7, 8)
    other = u32(10) + b"\x04\x02" + u32(1, 3) + u16(9, END, END, END)
    places = u32(2, first, first + len(sample), first + len(sample) + len(other))
    assert found["shard.00000.mds"] == places + config + sample + other
    index = json.loads(found["index.json"])
    assert index["version"] == 2
    size = len(found["shard.00000.mds"])
    assert index["shards"][0]["raw_data"] == {"basename": "shard.00000.mds", "bytes": size, "hashes": {}}
    assert (index["shards"][0]["samples"], index["shards"][0]["zip_data"]) == (2, None)
    found = written(pair, "mds", tmp_path / "d")
    assert found["shard.00000.mds"].endswith(b"web" + b"\x04\x03" + u16(8, 9, END))
    assert u32(32, 3, 2 + 6) in found["shard.00000.mds"]


def test_mds_tells_long_arrays_in_wider_numbers(documents: Any, tmp_path: Path) -> None:
    lengths = [255, 256, 65_535, 65_536]
    found = written(documents([("web", [[1] * n for n in lengths])]), "mds", tmp_path / "d")["shard.00000.mds"]
    for head in (b"\x04\xff", b"\x05\x00\x01", b"\x05\xff\xff", b"\x06\x00\x00\x01\x00"):
        assert b"web" + head + u16(1, 1) in found


def test_hugging_face(pair: Corpus, rows: Corpus, tmp_path: Path) -> None:
    written(rows, "hf", tmp_path / "r")
    table = pq.read_table(tmp_path / "r" / "data" / "train-00000-of-00001.parquet").to_pydict()
    assert table == {
        "input_ids": [[5, 6, 7, 8], [9, 0, 0, 0]],
        "labels": [[-100, 6, -100, 8], [-100, -100, -100, -100]],
        "position_ids": [[0, 1, 0, 1], [0, 0, 1, 2]],
        "seq_lengths": [[2, 2], [1, 3]],
    }
    written(pair, "hf", tmp_path / "d")
    table = pq.read_table(tmp_path / "d" / "data" / "train-00000-of-00001.parquet").to_pydict()
    assert (table["input_ids"], table["source"]) == ([[7, 0], [8, 9, 0]], ["web", "web"])


def test_litdata(rows: Corpus, tmp_path: Path) -> None:
    found = written(rows, "litdata", tmp_path / "r")
    assert found["chunk-0-0.bin"] == u32(1, 12, 28) + u16(5, 6, 7, 8, 9, END, END, END)
    index = json.loads(found["index.json"])
    assert index["chunks"] == [{"chunk_bytes": 16, "chunk_size": 1, "dim": 8, "filename": "chunk-0-0.bin"}]
    assert index["config"]["data_format"] == ["no_header_numpy:5"]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_the_same_corpus_gives_the_same_bytes(pair: Corpus, tmp_path: Path, name: str) -> None:
    assert written(pair, name, tmp_path / "a") == written(pair, name, tmp_path / "b")


def test_uint32_tokens_are_stored_in_16_bits_where_the_vocabulary_allows(documents: Any, tmp_path: Path) -> None:
    corpus = documents([("web", [[1, 65_535]])], dtype="uint32")
    assert np.frombuffer(written(corpus, "nanogpt", tmp_path / "d", 65_536)["train.bin"], "<u2").tolist() == [1, 65_535]
