"""Readers of other trainers' files: what an export wrote comes back, and damaged files are refused by name."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.document import document_ids
from corpusmill.errors import ConfigError, InputError
from corpusmill.storage import sha256_of
from corpusmill.tokenize.export.corpus import Documents, Tokens
from corpusmill.tokenize.export.export import Options, export
from corpusmill.tokenize.export.formats import Facts
from corpusmill.tokenize.export.registry import FORMATS
from corpusmill.tokenize.imports import reading
from corpusmill.tokenize.imports.origin import Origin
from corpusmill.tokenize.imports.reading import Span, Wanted, check_tokens, cut_spans, split_span
from corpusmill.tokenize.imports.registry import READERS
from corpusmill.tokenize.imports.scanning import offsets_by_token
from corpusmill.tokenize.packing.token_files import write_token_file

END = 0
TEXTS = [[n + 1] * (n * 37 % 11) + [END] for n in range(50)]
WANTED = Wanted(vocab_size=600, boundary=END)
Exported = Callable[..., Path]


@pytest.fixture
def exported(tmp_path: Path) -> Exported:
    """A function: TEXTS exported, 25 documents in each of two sources, in several files."""

    def make(name: str, vocab_size: int = 600, max_tokens: int | None = 120) -> Path:
        inputs = []
        for number, source in enumerate(("code", "web")):
            path, texts = tmp_path / f"{number}.arrow", TEXTS[25 * number : 25 * number + 25]
            flat = np.array([token for text in texts for token in text], np.uint16)
            ids = pa.array(document_ids(source, map(str, range(25))), pa.binary(16))
            write_token_file(str(path), "x", ids, flat, np.array([len(text) for text in texts], np.int64))
            inputs.append(Tokens(str(path), number, 25 * number))
        total = sum(map(len, TEXTS))
        corpus = Documents(("code", "web"), tuple(inputs), total)
        facts = Facts("documents", vocab_size, END, None, "ab" * 32)
        export(corpus, FORMATS[name], facts, str(tmp_path / name), Options(max_tokens=max_tokens), {}, lambda _: None)
        return tmp_path / name

    return make


def documents(folder: Path, name: str, wanted: Wanted = WANTED) -> list[list[int]]:
    """All documents, span by span."""
    reader, found = READERS[name], []
    for path in reader.files(folder):
        for span in reader.spans(path, wanted):
            read = reader.read(span, wanted)
            check_tokens(read, span, wanted)
            assert (len(read.lengths), int(read.lengths.sum())) == (span.documents, span.tokens)
            found += [part.tolist() for part in np.split(read.tokens, np.cumsum(read.lengths))[:-1]]
    return found


@pytest.mark.parametrize("span_tokens", [1 << 25, 40])
@pytest.mark.parametrize("name", sorted(READERS))
def test_what_was_exported_comes_back(
    exported: Exported, monkeypatch: pytest.MonkeyPatch, name: str, span_tokens: int
) -> None:
    monkeypatch.setattr(reading, "SPAN_TOKENS", span_tokens)
    folder = exported(name)
    assert documents(folder, name) == TEXTS


@pytest.mark.parametrize("name", ["llmc", "datatrove", "olmo", "mds", "megatron", "hf"])
def test_wide_tokens_come_back(exported: Exported, name: str) -> None:
    wanted = Wanted(vocab_size=128_256, boundary=END)
    assert documents(exported(name, 128_256), name, wanted) == TEXTS


@pytest.mark.parametrize("name", ["olmo", "mds", "hf"])
def test_ids_and_sources_come_back_where_they_are_held(exported: Exported, name: str) -> None:
    wanted, reader = Wanted(600, END, kept=True), READERS[name]
    folder = exported(name)
    spans = [span for path in reader.files(folder) for span in reader.spans(path, wanted)]
    ids = [row.tobytes() for span in spans for row in reader.read(span, wanted).ids]  # type: ignore[union-attr]
    assert ids == [each for source in ("code", "web") for each in document_ids(source, map(str, range(25)))]
    assert [span.source for span in spans for _ in range(span.documents)] == ["code"] * 25 + ["web"] * 25


@given(st.lists(st.integers(0, 3), max_size=30), st.sampled_from(["end", "start"]))
def test_scanning_loses_no_token(tokens: list[int], at: str) -> None:
    offsets = offsets_by_token(np.array(tokens, np.uint16), 0, at)
    found = [tokens[start:stop] for start, stop in pairwise(offsets)]
    assert [token for part in found for token in part] == tokens
    assert all(found)
    for part in found:
        edge, inside = (part[-1:], part[:-1]) if at == "end" else (part[:1], part[1:])
        assert 0 not in inside
        assert edge == [0] or part is (found[-1] if at == "end" else found[0])


@given(st.lists(st.integers(0, 30), max_size=30), st.integers(1, 40), st.integers(0, 30))
def test_spans_hold_every_document_once(lengths: list[int], size: int, cut: int) -> None:
    offsets = np.concatenate([[0], np.cumsum(np.array(lengths, np.int64))]).astype(np.int64)
    runs = [(0, "a"), (cut, "b")] if 0 < cut < len(lengths) else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "SPAN_TOKENS", size)
        spans = list(cut_spans(Path("x"), offsets, runs))
    assert [n for span in spans for n in range(span.first, span.first + span.documents)] == list(range(len(lengths)))
    assert all(span.tokens <= size or span.documents == 1 for span in spans)
    assert all(span.begin == offsets[span.first] for span in spans)
    if runs:
        assert all((span.source == "a") == (span.first < cut) for span in spans)


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=12),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=4),
)
def test_split_spans_hold_every_document_once(lengths: list[int], units: list[tuple[str, int]]) -> None:
    span = Span("x", 5, len(lengths), 100, sum(lengths))
    parts = list(split_span(span, np.array(lengths, np.int64), list(units)))
    assert [n for _, part in parts for n in range(part.first, part.first + part.documents)] == [
        *range(5, 5 + len(lengths))
    ]
    begin = 100
    for _, part in parts:
        assert (part.begin, part.tokens) == (begin, sum(lengths[part.first - 5 :][: part.documents]))
        begin += part.tokens
    names = [name for name, part in parts for _ in range(part.documents)]
    assert names == ([name for name, count in units for _ in range(count)] + [""] * len(lengths))[: len(lengths)]


def clip(path: Path, size: int = 1) -> None:
    path.write_bytes(path.read_bytes()[:-size])


def patch_bytes(path: Path, at: int, data: bytes) -> None:
    held = bytearray(path.read_bytes())
    held[at : at + len(data)] = data
    path.write_bytes(bytes(held))


def index_of(folder: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((folder / "index.json").read_text())
    return body


def change_index(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    body = index_of(folder)
    change(body["shards"][0])
    (folder / "index.json").write_text(json.dumps(body))


DAMAGE: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "megatron magic": ("megatron", lambda f: patch_bytes(f / "part-00000.idx", 0, b"X"), "not a Megatron index"),
    "megatron version": ("megatron", lambda f: patch_bytes(f / "part-00000.idx", 9, b"\2"), "version 2"),
    "megatron float": ("megatron", lambda f: patch_bytes(f / "part-00000.idx", 17, b"\6"), "type 6"),
    "megatron idx clipped": ("megatron", lambda f: clip(f / "part-00000.idx"), "cut short"),
    "megatron idx empty": ("megatron", lambda f: (f / "part-00000.idx").write_bytes(b""), "not a Megatron index"),
    "megatron bin clipped": ("megatron", lambda f: clip(f / "part-00000.bin", 2), "cut short"),
    "megatron bin odd": ("megatron", lambda f: clip(f / "part-00000.bin"), "cut short"),
    "megatron bin gone": ("megatron", lambda f: (f / "part-00000.bin").unlink(), "one is missing"),
    "megatron huge count": (
        "megatron",
        lambda f: patch_bytes(f / "part-00000.idx", 18, struct.pack("<Q", 1 << 62)),
        "cut short",
    ),
    "megatron length": ("megatron", lambda f: patch_bytes(f / "part-00000.idx", 34, b"\xff\xff\xff\xff"), "damaged"),
    "llmc magic": ("llmc", lambda f: patch_bytes(f / "tokens_train_000000.bin", 0, b"\0"), "magic"),
    "llmc clipped": ("llmc", lambda f: clip(f / "tokens_train_000000.bin", 2), "of its header"),
    "llmc header only": ("llmc", lambda f: (f / "tokens_train_000000.bin").write_bytes(b"x" * 100), "cut short"),
    "nanogpt odd": ("nanogpt", lambda f: clip(next(f.glob("*.bin"))), "cut short"),
    "datatrove clipped": ("datatrove", lambda f: clip(f / "00000_tokens.ds", 2), "cut short"),
    "datatrove index clipped": ("datatrove", lambda f: clip(f / "00000_tokens.ds.index"), "cut short"),
    "datatrove size": (
        "datatrove",
        lambda f: (f / "00000_tokens.ds.metadata").write_text("tokenizer|3\n1\n1 T"),
        "wanted 2 or 4",
    ),
    "olmo clipped": ("olmo", lambda f: clip(f / "part-00-00000.npy", 2), "cut short"),
    "olmo table clipped": ("olmo", lambda f: clip(f / "part-00-00000.csv.gz", 9), "part-00-00000"),
    "olmo gap": (
        "olmo",
        lambda f: (f / "part-00-00000.csv.gz").write_bytes(gzip.compress(b"0,1,a,b,0\n2,3,a,b,0\n")),
        "gap",
    ),
    "olmo words": (
        "olmo",
        lambda f: (f / "part-00-00000.csv.gz").write_bytes(gzip.compress(b"zero,1,a,b,0\n")),
        "not a table",
    ),
    "mds clipped": ("mds", lambda f: clip(f / "shard.00000.mds"), "cut short"),
    "mds count": ("mds", lambda f: patch_bytes(f / "shard.00000.mds", 0, b"\xff\xff"), "not the"),
    "mds place": ("mds", lambda f: patch_bytes(f / "shard.00000.mds", 4, b"\xff\xff\xff\xff"), "damaged"),
    "mds path": (
        "mds",
        lambda f: change_index(f, lambda shard: shard["raw_data"].update(basename="../../etc/passwd")),
        "plain name",
    ),
    "mds column": (
        "mds",
        lambda f: change_index(f, lambda shard: shard.update(column_names=["a", "b", "c"])),
        "no column tokens",
    ),
    "mds floats": (
        "mds",
        lambda f: change_index(f, lambda shard: shard.update(column_encodings=["str", "str", "ndarray:float32"])),
        "float32",
    ),
    "mds no json": ("mds", lambda f: (f / "index.json").write_text("{"), "not an index"),
    "hf no parquet": ("hf", lambda f: next(f.glob("data/*.parquet")).write_bytes(b"PAR1"), "not a readable Parquet"),
    "hf no column": (
        "hf",
        lambda f: pq.write_table(pa.table({"text": ["a"]}), next(f.glob("data/*.parquet"))),
        "wanted input_ids",
    ),
    "hf strings": (
        "hf",
        lambda f: pq.write_table(pa.table({"input_ids": [["a"]]}), next(f.glob("data/*.parquet"))),
        "lists of integers",
    ),
    "hf null": (
        "hf",
        lambda f: pq.write_table(pa.table({"input_ids": [[1, None]]}), next(f.glob("data/*.parquet"))),
        "null",
    ),
}


@pytest.mark.parametrize("case", sorted(DAMAGE))
def test_damaged_files_are_refused_by_name(exported: Exported, case: str) -> None:
    name, damage, message = DAMAGE[case]
    folder = exported(name)
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        documents(folder, name)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("name", sorted(READERS))
def test_tokens_of_another_tokenizer_are_refused(exported: Exported, name: str) -> None:
    with pytest.raises(InputError, match=r"document 2.: token 3"):
        documents(exported(name, max_tokens=None), name, Wanted(vocab_size=30, boundary=END))


def test_a_negative_token_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"input_ids": pa.array([[1], [-1]], pa.list_(pa.int32()))}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="document 1: token -1"):
        documents(tmp_path, "hf")


@pytest.mark.parametrize("name", sorted(READERS))
def test_an_empty_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        READERS[name].files(tmp_path)


@pytest.mark.parametrize(("name", "gone"), [("datatrove", "*.index"), ("olmo", "*.csv.gz")])
def test_without_their_index_documents_are_found_by_the_end_token(exported: Exported, name: str, gone: str) -> None:
    folder = exported(name)
    for path in folder.glob(gone):
        path.unlink()
    assert documents(folder, name) == TEXTS
    with pytest.raises(ConfigError, match="--boundary-id"):
        documents(folder, name, Wanted(vocab_size=600))


def test_documents_that_begin_with_their_token(tmp_path: Path) -> None:
    """As modded-nanogpt and llm.c's own scripts write them."""
    tokens = [END, 1, 2, END, 3, END]
    header = struct.pack("<3i", 20240520, 1, len(tokens)) + bytes(253 * 4)
    (tmp_path / "a.bin").write_bytes(header + np.array(tokens, "<u2").tobytes())
    assert documents(tmp_path, "llmc", Wanted(600, END, at="start")) == [[END, 1, 2], [END, 3], [END]]


def test_mds_of_bytes_and_fixed_arrays(tmp_path: Path) -> None:
    for number, (encoding, size, kind) in enumerate([("bytes", None, "<i8"), ("ndarray:int32:2", 8, "<i4")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        rows = [np.array([1, 2], kind).tobytes(), np.array([3, 4], kind).tobytes()]
        samples = [(struct.pack("<I", len(row)) if size is None else b"") + row for row in rows]
        places = np.cumsum([16, *map(len, samples)]).astype("<u4")
        (folder / "shard.00000.mds").write_bytes(struct.pack("<I", 2) + places.tobytes() + b"".join(samples))
        shard = {
            "column_names": ["tokens"],
            "column_encodings": [encoding],
            "column_sizes": [size],
            "compression": None,
            "format": "mds",
            "raw_data": {"basename": "shard.00000.mds"},
            "samples": 2,
        }
        (folder / "index.json").write_text(json.dumps({"version": 2, "shards": [shard]}))
        assert documents(folder, "mds") == [[1, 2], [3, 4]]


def test_nanogpt_of_wider_tokens_is_read_by_the_type_asked_for(tmp_path: Path) -> None:
    np.array([70_000, END, 5, END], "<u4").tofile(tmp_path / "train.bin")
    wanted = Wanted(vocab_size=128_256, boundary=END, dtype="uint32")
    assert documents(tmp_path, "nanogpt", wanted) == [[70_000, END], [5, END]]


@pytest.mark.parametrize("ids", [["a" * 31, "b" * 33], ["a" * 32, None], ["a" * 32, "g" * 32]])
def test_an_id_that_is_none_is_refused(tmp_path: Path, ids: list[str | None]) -> None:
    table = {"input_ids": pa.array([[1], [2]], pa.list_(pa.int32())), "id": ids, "source": ["web"] * 2}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"32 hex digits|without id"):
        documents(tmp_path, "hf", Wanted(600, END, kept=True))


def test_the_manifest_above_a_folder_is_found_from_inside_it(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = exported("hf") / "data"
    monkeypatch.chdir(folder)
    for path in (Path(), Path(next(folder.glob("*.parquet")).name)):
        origin = Origin.of(path)
        assert origin is not None
        for file in READERS["hf"].files(path):
            origin.check_file(file, sha256_of(str(file)))


def test_tokens_without_their_index_are_not_passed_over(exported: Exported) -> None:
    folder = exported("megatron")
    (folder / "part-00001.idx").unlink()
    with pytest.raises(InputError, match=r"part-00001\.bin.*one is missing"):
        documents(folder, "megatron")


def test_masks_alone_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mask-00-00000.npy").write_bytes(b"\1\1")
    with pytest.raises(InputError, match="only masks"):
        READERS["olmo"].files(tmp_path)
