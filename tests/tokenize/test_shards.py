import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill import manifest, storage
from corpusmill.errors import ConfigError, IntegrityError, LedgerError, NotCommitted
from corpusmill.text import Texts
from corpusmill.tokenize.encode import Encoder
from corpusmill.tokenize.place import order_key, place
from corpusmill.tokenize.plan import histogram, pieces, plan
from corpusmill.tokenize.shards import SEGMENT, TOKENIZER_FILE, Packed, Pieces, shards_manifest, write_shard

L = 32
ROWS_PER_SHARD = 5
DOCUMENTS = [
    *[f"document {i} about packing " * (1 + i % 7) for i in range(40)],
    "",
    "the long one " * 40,
    "x<|endoftext|>y",
]


class Corpus:
    """A packed corpus made as the pipeline makes one, and what went in."""

    def __init__(self, directory: Path, tokenizer: Path, dtype: type = np.uint16) -> None:
        self.directory = directory
        self.encoder = Encoder(tokenizer)
        tokens, self.offsets = self.encoder.encode(Texts.from_strings(DOCUMENTS))
        self.tokens = tokens.astype(dtype)
        self.ids = np.random.default_rng(1).integers(0, 1 << 63, (len(DOCUMENTS), 2)).astype(np.uint64)
        lengths = np.diff(self.offsets)
        document, offset, length = pieces(lengths, L)
        self.plan = plan(histogram(length, L))
        row = place(self.plan, length, np.zeros(L + 1, dtype=np.int64), 3).astype(np.int64)
        self.pieces = Pieces(
            row=row,
            order=order_key(self.ids[document], offset, 3),
            document=document,
            ids=self.ids[document],
            source=(document % 2).astype(np.uint16),
            offset=offset,
            length=length,
            tokens=self.tokens,
        )
        self.entries = []
        for number, first in enumerate(range(0, self.plan.rows, ROWS_PER_SHARD)):
            mine = np.flatnonzero(row // ROWS_PER_SHARD == number)
            rows = min(ROWS_PER_SHARD, self.plan.rows - first)
            part = take(self.pieces, mine)
            part = replace(part, row=part.row - first)
            name = f"{number:05d}.arrow"
            with storage.atomic_writer(str(directory / name)) as sink:
                write_shard(sink, part, rows=rows, sequence_length=L, pad_id=1)
            self.entries.append(storage.FileEntry(name, sink.bytes, sink.sha256, rows))
        data = tokenizer.read_bytes()
        sha256 = storage.write_bytes(str(directory / TOKENIZER_FILE), data)
        self.tokenizer_entry = storage.FileEntry(TOKENIZER_FILE, len(data), sha256)
        self.body = {**self.manifest(), "dtype": np.dtype(dtype).name}
        manifest.commit(str(directory / "manifest.json"), self.body)

    def manifest(self, **changes: object) -> dict[str, object]:
        arguments = {
            "plan": self.plan,
            "rows_per_shard": ROWS_PER_SHARD,
            "encoder": self.encoder,
            "sources": ["even", "odd"],
            "documents": len(DOCUMENTS),
            "cut_documents": int((np.diff(self.offsets) > L).sum()),
            "shards": self.entries,
            "tokenizer": self.tokenizer_entry,
        }
        return shards_manifest(**{**arguments, **changes})


def take(all_: Pieces, which: np.ndarray) -> Pieces:
    """The pieces at the positions `which`, in that order."""
    begin = np.cumsum(all_.length.astype(np.int64)) - all_.length
    tokens = [all_.tokens[begin[k] : begin[k] + all_.length[k]] for k in which]
    flat = np.concatenate([*tokens, all_.tokens[:0]])
    columns = ("row", "order", "document", "ids", "source", "offset", "length")
    return Pieces(**{name: getattr(all_, name)[which] for name in columns}, tokens=flat)


def shard_bytes(part: Pieces, **changes: int) -> bytes:
    sink = io.BytesIO()
    write_shard(sink, part, **{"rows": 2, "sequence_length": 16, "pad_id": 9, **changes})
    return sink.getvalue()


def small() -> Pieces:
    """Row 0: documents 5 and 4; row 1: document 4 from token 16 on."""
    return Pieces(
        row=np.array([0, 0, 1]),
        order=np.array([7, 3, 1], dtype=np.uint64),
        document=np.array([4, 5, 4]),
        ids=np.array([[0, 4], [1 << 63, 5], [0, 4]], dtype=np.uint64),
        source=np.array([0, 1, 0], dtype=np.uint16),
        offset=np.array([0, 0, 16], dtype=np.uint32),
        length=np.array([10, 4, 1], dtype=np.uint32),
        tokens=np.arange(100, 115, dtype=np.uint16),
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, tokenizer_paths: dict[str, Path]) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("shards"), tokenizer_paths["bpe"])


@pytest.fixture
def own(tmp_path: Path, tokenizer_paths: dict[str, Path]) -> Corpus:
    """A corpus to spoil."""
    return Corpus(tmp_path, tokenizer_paths["bpe"])


def test_layout() -> None:
    table = pa.ipc.open_file(shard_bytes(small())).read_all()
    segment = [("id", pa.binary(16)), ("document", pa.int64()), ("source", pa.uint16())]
    segment += [(name, pa.uint32()) for name in ("start", "length", "offset")]
    struct = pa.struct([pa.field(name, kind, nullable=False) for name, kind in segment])
    assert table.schema == pa.schema(
        [
            pa.field("tokens", pa.list_(pa.field("item", pa.uint16(), nullable=False), 16), nullable=False),
            pa.field("segments", pa.list_(pa.field("item", struct, nullable=False)), nullable=False),
        ]
    )
    first, second = table.to_pylist()
    assert first["tokens"] == [*range(110, 114), *range(100, 110), 9, 9]
    assert second["tokens"] == [114] + [9] * 15
    five, four = bytes([128, *[0] * 14, 5]), bytes([*[0] * 15, 4])
    assert first["segments"] == [
        {"document": 5, "id": five, "source": 1, "start": 0, "length": 4, "offset": 0},
        {"document": 4, "id": four, "source": 0, "start": 4, "length": 10, "offset": 0},
    ]
    assert second["segments"] == [{"document": 4, "id": four, "source": 0, "start": 0, "length": 1, "offset": 16}]


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(3)))
def test_order_of_the_pieces_does_not_show(order: list[int]) -> None:
    assert shard_bytes(take(small(), np.array(order))) == shard_bytes(small())


def test_equal_order_keys_are_settled_by_document() -> None:
    same = replace(small(), order=np.zeros(3, dtype=np.uint64))
    assert shard_bytes(take(same, np.array([2, 1, 0]))) == shard_bytes(same)


def test_concatenated_parts() -> None:
    parts = [take(small(), np.array([k])) for k in (2, 0, 1)]
    assert shard_bytes(Pieces.concatenate(parts)) == shard_bytes(small())


def test_full_row_and_one_token_too_many() -> None:
    full = replace(small(), length=np.array([12, 4, 1], dtype=np.uint32), tokens=np.arange(17, dtype=np.uint16))
    assert pa.ipc.open_file(shard_bytes(full)).read_all()["tokens"][0].as_py() == [*range(12, 16), *range(12)]
    over = replace(small(), length=np.array([13, 4, 1], dtype=np.uint32), tokens=np.arange(18, dtype=np.uint16))
    with pytest.raises(LedgerError, match="row 0 of a shard"):
        shard_bytes(over)


def test_pieces_that_are_not_those_of_the_rows() -> None:
    with pytest.raises(LedgerError, match="row 2 of a shard is empty"):
        shard_bytes(small(), rows=3)
    with pytest.raises(LedgerError, match="a shard of 1 rows got pieces of the rows 0 to 1"):
        shard_bytes(small(), rows=1)
    with pytest.raises(LedgerError, match="15 tokens in all came with 14"):
        shard_bytes(replace(small(), tokens=np.arange(14, dtype=np.uint16)))
    empty = replace(small(), length=np.array([10, 5, 0], dtype=np.uint32))
    with pytest.raises(LedgerError, match="row 1 of a shard is empty"):
        shard_bytes(empty)
    with pytest.raises(LedgerError, match="pad id 65536 does not fit"):
        shard_bytes(small(), pad_id=65_536)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_everything_comes_back(tmp_path: Path, tokenizer_paths: dict[str, Path], dtype: type) -> None:
    corpus = Corpus(tmp_path, tokenizer_paths["bpe"], dtype)
    packed = Packed(tmp_path, verify=True)
    assert len(packed) == corpus.plan.rows
    assert packed.dtype == dtype
    assert packed.sequence_length == L
    rebuilt = np.zeros(len(corpus.tokens), dtype=np.int64) - 1
    for row in packed:
        assert row.tokens.dtype == dtype
        assert row.tokens.shape == (L,)
        assert row.segments.dtype == SEGMENT
        at = 0
        for segment, id_ in zip(row.segments, row.document_ids, strict=True):
            document = int(segment["document"])
            assert segment["start"] == at
            assert segment["source"] == document % 2
            assert id_ == corpus.ids[document].astype(">u8").tobytes()
            begin = corpus.offsets[document] + segment["offset"]
            stop = at + int(segment["length"])
            assert (rebuilt[begin : begin + segment["length"]] == -1).all()
            rebuilt[begin : begin + segment["length"]] = row.tokens[at:stop]
            at = stop
        assert 0 < at <= L
        assert (row.tokens[at:] == 1).all()
    assert rebuilt.tolist() == corpus.tokens.tolist()


def test_no_document_that_fits_is_cut(corpus: Corpus) -> None:
    segments = np.concatenate([row.segments for row in Packed(corpus.directory)])
    of_document = np.bincount(segments["document"])
    assert (of_document == -(-np.diff(corpus.offsets) // L)).all()


def test_rows_are_read_only_views_found_by_any_index(corpus: Corpus) -> None:
    packed = Packed(corpus.directory)
    assert packed[0].tokens.base is not None
    with pytest.raises(ValueError, match="read-only"):
        packed[0].tokens[0] = 1
    last = len(packed) - 1
    assert packed[-1].tokens.tolist() == packed[last].tokens.tolist()
    assert [row.tokens.tolist() for row in packed] == [packed[i].tokens.tolist() for i in range(len(packed))]
    for index in (len(packed), -len(packed) - 1):
        with pytest.raises(IndexError, match=f"of {len(packed)}"):
            packed[index]


def test_rows_outlive_the_reader_and_hold_no_open_files(corpus: Corpus) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("counts open files in /proc, which this system does not have")
    before = len(os.listdir("/proc/self/fd"))
    tokens = [row.tokens for row in Packed(corpus.directory)]
    assert len(os.listdir("/proc/self/fd")) == before
    assert np.concatenate(tokens).sum() > 0


def test_shards_are_mapped_when_touched(own: Corpus) -> None:
    packed = Packed(own.directory)
    (own.directory / "00001.arrow").unlink()
    assert packed[0].tokens.shape == (L,)
    with pytest.raises(IntegrityError, match=r"00001\.arrow: not a readable shard"):
        packed[ROWS_PER_SHARD]


def test_tokenizer_and_texts(corpus: Corpus) -> None:
    packed = Packed(corpus.directory)
    texts = {}
    for row in packed:
        for segment in row.segments:
            piece = row.tokens[segment["start"] : segment["start"] + segment["length"]]
            texts[int(segment["document"]), int(segment["offset"])] = packed.tokenizer.decode(piece)
    for document, text in enumerate(DOCUMENTS):
        pieces_ = [texts[key] for key in sorted(texts) if key[0] == document]
        assert "".join(pieces_) == text
    assert packed.tokenizer.describe() == corpus.encoder.describe()
    assert packed.sources == ["even", "odd"]


def test_totals(corpus: Corpus) -> None:
    assert corpus.body["totals"] == {
        "documents": len(DOCUMENTS),
        "cut_documents": int((np.diff(corpus.offsets) > L).sum()),
        "segments": len(corpus.pieces.row),
        "tokens": len(corpus.tokens),
        "pad_tokens": corpus.plan.rows * L - len(corpus.tokens),
        "lower_bound_rows": -(-len(corpus.tokens) // L),
    }
    assert manifest.entries(corpus.body) == [*corpus.entries, corpus.tokenizer_entry]


def test_manifest_of_other_rows(corpus: Corpus) -> None:
    with pytest.raises(LedgerError, match="the plan has"):
        corpus.manifest(shards=corpus.entries[:-1])
    with pytest.raises(LedgerError, match="the plan has"):
        corpus.manifest(rows_per_shard=ROWS_PER_SHARD + 1)
    with pytest.raises(LedgerError, match="not the one that encoded"):
        corpus.manifest(tokenizer=replace(corpus.tokenizer_entry, sha256="0" * 64))
    with pytest.raises(ConfigError, match="sources: got 65537"):
        corpus.manifest(sources=["a"] * 65_537)
    assert corpus.manifest(sources=["a"] * 65_536)["sources"]


def test_not_committed(own: Corpus) -> None:
    (own.directory / "manifest.json").unlink()
    with pytest.raises(NotCommitted):
        Packed(own.directory)


def test_other_formats_and_versions(own: Corpus) -> None:
    for change in ({"format": "other"}, {"version": 99}):
        manifest.commit(str(own.directory / "manifest.json"), {**own.body, **change})
        with pytest.raises(IntegrityError, match="not the manifest of"):
            Packed(own.directory)


def test_missing_and_cut_files(own: Corpus) -> None:
    path = own.directory / "00001.arrow"
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(IntegrityError, match=r"00001\.arrow: \d+ bytes, its manifest says"):
        Packed(own.directory)
    path.unlink()
    with pytest.raises(IntegrityError, match=r"00001\.arrow: missing"):
        Packed(own.directory)


def test_a_flipped_bit_is_found_when_asked(own: Corpus) -> None:
    path = own.directory / "00000.arrow"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    Packed(own.directory)
    with pytest.raises(IntegrityError, match=r"00000\.arrow: sha256"):
        Packed(own.directory, verify=True)


def test_a_file_that_is_no_shard(own: Corpus) -> None:
    path = own.directory / "00000.arrow"
    path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(IntegrityError, match="not a readable shard"):
        Packed(own.directory)[0]


def test_a_shard_of_other_rows_or_another_schema(own: Corpus) -> None:
    files = [{**entry, "rows": 4} if entry["path"] == "00000.arrow" else entry for entry in own.body["files"]]
    for change in ({"files": files}, {"sequence_length": L + 1}, {"dtype": "uint32"}):
        manifest.commit(str(own.directory / "manifest.json"), {**own.body, **change})
        with pytest.raises(IntegrityError, match="not one batch of"):
            Packed(own.directory)[0]


def test_another_tokenizer_is_refused(own: Corpus) -> None:
    path = own.directory / TOKENIZER_FILE
    path.write_bytes(path.read_bytes().replace(b'"the"', b'"teh"').replace(b"<|padding|>", b"<|paddinG|>"))
    packed = Packed(own.directory)
    with pytest.raises(IntegrityError, match="not the tokenizer that made the shards"):
        _ = packed.tokenizer


def test_no_rows(tmp_path: Path, tokenizer_paths: dict[str, Path], corpus: Corpus) -> None:
    nothing = plan(np.zeros(L + 1, dtype=np.int64))
    body = corpus.manifest(plan=nothing, shards=[], documents=0, cut_documents=0)
    storage.write_bytes(str(tmp_path / TOKENIZER_FILE), tokenizer_paths["bpe"].read_bytes())
    manifest.commit(str(tmp_path / "manifest.json"), body)
    packed = Packed(tmp_path)
    assert len(packed) == 0
    assert list(packed) == []
    with pytest.raises(IndexError):
        packed[-1]
