from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill import storage
from corpusmill.errors import ConfigError, LedgerError
from corpusmill.tokenize.shards.blocks import block_digests
from corpusmill.tokenize.shards.layout import (
    INDEX,
    SEGMENTS,
    TOKENIZER_FILE,
    Index,
    Indexed,
    in_order,
    index_batch,
    shard_names,
    shards_manifest,
    token_schema,
)
from corpusmill.tokenize.shards.writer import Draft, Pieces, hashed_file, write_index

TOKENS = np.arange(100, 115, dtype=np.uint16)
BEGIN = np.array([0, 10, 14])


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
    )


def take(pieces: Pieces, which: list[int]) -> Pieces:
    return Pieces(**{field.name: getattr(pieces, field.name)[which] for field in fields(Pieces)})


def draft(pieces: Pieces, begin: np.ndarray = BEGIN, tokens: np.ndarray = TOKENS, **changes: object) -> Draft:
    made = Draft(pieces, **{"rows": 2, "sequence_length": 16, "dtype": tokens.dtype, "pad_id": 9, **changes})
    made.put(tokens, begin)
    return made


def written(folder: Path, made: Draft) -> tuple[bytes, bytes]:
    made.write(str(folder), 0)
    one, other = ((folder / name).read_bytes() for name in shard_names(0))
    return one, other


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_layout(tmp_path: Path, dtype: type) -> None:
    tokens, segments = written(tmp_path, draft(small(), tokens=TOKENS.astype(dtype)))
    rows = pa.ipc.open_file(tokens).read_all()
    assert rows.schema == token_schema(16, dtype)
    assert rows["tokens"].to_pylist() == [[*range(110, 114), *range(100, 110), 9, 9], [114] + [9] * 15]
    table = pa.ipc.open_file(segments).read_all()
    assert table.schema == SEGMENTS
    five, four = bytes([128, *[0] * 14, 5]), bytes([*[0] * 15, 4])
    assert table.to_pylist() == [
        {"end": 4, "source": 1, "offset": 0, "document": 5, "id": five},
        {"end": 14, "source": 0, "offset": 0, "document": 4, "id": four},
        {"end": 17, "source": 0, "offset": 16, "document": 4, "id": four},
    ]


def test_entries_and_the_rows_of_the_index(tmp_path: Path) -> None:
    entries, indexed = draft(small()).write(str(tmp_path), 123_456)
    assert [entry.path for entry in entries] == ["shard-123456.arrow", "segments-123456.arrow"]
    for entry, file, rows in zip(entries, indexed, (2, 3), strict=True):
        storage.check(entry, str(tmp_path), content=True)
        assert entry.rows == file.rows == rows
        data = (tmp_path / file.path).read_bytes()
        assert (file.size, file.blocks) == (len(data), tuple(block_digests(data)))
        assert Indexed.from_json(file.to_json()) == file
        batch = pa.ipc.open_file(buffer := pa.py_buffer(data)).get_batch(0)
        arrays = [column.values if column.type.num_fields else column for column in batch.columns]
        assert list(file.columns) == [array.buffers()[1].address - buffer.address for array in arrays]


@given(st.permutations(range(3)), st.integers(0, 3))
def test_order_of_the_pieces_and_cuts_of_the_input_do_not_show(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("order")
    made = Draft(take(small(), order), rows=2, sequence_length=16, dtype=np.uint16, pad_id=9)
    assert sum(made.put(TOKENS, part) for part in (BEGIN[order][:cut], BEGIN[order][cut:])) == 15
    assert written(folder, made) == written(folder, draft(small()))


def test_equal_order_keys_are_settled_by_document(tmp_path: Path) -> None:
    same = replace(small(), order=np.zeros(3, dtype=np.uint64))
    assert written(tmp_path, draft(take(same, [2, 1, 0]), BEGIN[::-1].copy())) == written(tmp_path, draft(same))


def test_full_row_and_one_token_too_many(tmp_path: Path) -> None:
    begin, tokens = np.array([0, 12, 16]), np.arange(18, dtype=np.uint16)
    full = replace(small(), length=np.array([12, 4, 1], dtype=np.uint32))
    rows = pa.ipc.open_file(written(tmp_path, draft(full, begin, tokens))[0]).read_all()
    assert rows["tokens"][0].as_py() == [*range(12, 16), *range(12)]
    over = replace(small(), length=np.array([13, 4, 1], dtype=np.uint32))
    with pytest.raises(LedgerError, match="row 0 of a shard"):
        draft(over, begin, tokens)


def test_pieces_that_are_not_those_of_the_rows() -> None:
    for changes, told in (
        ({"rows": 3}, "row 2 of a shard is empty"),
        ({"rows": 1}, "a shard of 1 rows got pieces of the rows 0 to 1"),
        ({"pad_id": 65_536}, "pad id 65536 does not fit"),
        ({"rows": 1 << 28}, "more than 2"),
    ):
        with pytest.raises(LedgerError, match=told):
            draft(small(), **changes)
    with pytest.raises(LedgerError, match="row 1 of a shard is empty"):
        draft(replace(small(), length=np.array([10, 5, 0], dtype=np.uint32)))


def test_tokens_that_did_not_come_or_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="up to token 15 of a file of 14"):
        draft(small(), tokens=TOKENS[:14])
    with pytest.raises(LedgerError, match="of a file of 15 tokens"):
        draft(small(), np.array([-1, 10, 14]))
    with pytest.raises(LedgerError, match="tokens for 4 pieces of the 3"):
        draft(small(), np.array([0, 10, 14, 0]))
    with pytest.raises(LedgerError, match="tokens of 2 of its 3 pieces came"):
        draft(small(), BEGIN[:2]).write(str(tmp_path), 0)
    assert list(tmp_path.iterdir()) == []


def test_index_and_id(tmp_path: Path) -> None:
    (tmp_path / TOKENIZER_FILE).write_bytes(b"{}")
    files = [*in_order(draft(small()).write(str(tmp_path), 0)[1][::-1]), hashed_file(str(tmp_path), TOKENIZER_FILE)]
    assert [file.path for file in files] == [*shard_names(0), TOKENIZER_FILE]
    entry, root = write_index(str(tmp_path), files)
    storage.check(entry, str(tmp_path), content=True)
    with pa.memory_map(str(tmp_path / entry.path)) as opened:
        index = Index(opened, entry.path)
    assert index.root() == root == index_batch(files)[1]
    assert (len(index), index.shards()) == (3, 1)
    assert [index.path(n) for n in range(3)] == [file.path for file in files]
    assert index.columns(1) == list(files[1].columns)
    assert index.size.tolist() == [file.size for file in files]
    other = replace(files[0], blocks=(bytes(32),))
    assert index_batch([other, *files[1:]])[1] != root


def test_shards_are_in_the_order_of_their_numbers() -> None:
    files = [Indexed(name, 0) for n in (100_000, 99_999, 2) for name in shard_names(n)]
    assert [file.path for file in in_order(files)] == [
        *("shard-00002.arrow", "shard-99999.arrow", "shard-100000.arrow"),
        *("segments-00002.arrow", "segments-99999.arrow", "segments-100000.arrow"),
    ]
    assert INDEX.names == ["path", "bytes", "rows", "columns", "blocks", "digest"]


class Tokenizer:
    """As much of an encoder as a manifest tells of."""

    dtype = np.dtype(np.uint16)

    def fingerprint(self) -> str:
        return "f" * 64

    def describe(self) -> dict[str, int]:
        return {"vocab_size": 300}


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"rows": 3, "totals": {"segments": 3, "tokens": 15, "pad_tokens": 33}}, LedgerError, "the plan has 3 rows"),
        ({"rows_per_shard": 1}, LedgerError, "in 2 shards of 1"),
        ({"totals": {"segments": 4, "tokens": 15, "pad_tokens": 17}}, LedgerError, "with 4 segments"),
        ({"totals": {"segments": 3, "tokens": 15, "pad_tokens": 16}}, LedgerError, "2 rows of 16 tokens are not"),
        ({"tokenizer": storage.FileEntry(TOKENIZER_FILE, 2, "0" * 64)}, LedgerError, "not the one that encoded"),
        ({"sources": ["a"] * 65_537}, ConfigError, "sources: got 65537"),
        ({"sources": ["a"] * 65_536}, None, ""),
    ],
)
def test_a_manifest_that_does_not_fit_the_files(
    changes: dict[str, object], error: type[Exception] | None, told: str
) -> None:
    files = [Indexed("shard-00000.arrow", 9, 2), Indexed("segments-00000.arrow", 9, 3), Indexed(TOKENIZER_FILE, 2)]
    arguments = {
        "sequence_length": 16,
        "rows": 2,
        "rows_per_shard": 2,
        "encoder": Tokenizer(),
        "sources": ["a", "b"],
        "totals": {"segments": 3, "tokens": 15, "pad_tokens": 17},
        "files": files,
        "index": storage.FileEntry("index.arrow", 5, "1" * 64),
        "tokenizer": storage.FileEntry(TOKENIZER_FILE, 2, "f" * 64),
        "root": bytes(32),
        **changes,
    }
    if error is None:
        assert shards_manifest(**arguments)["id"] == "0" * 64
    else:
        with pytest.raises(error, match=told):
            shards_manifest(**arguments)
