import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from corpusmill import manifest, storage
from corpusmill.errors import IntegrityError, NotCommitted
from corpusmill.tokenize.shards import packed as shards
from corpusmill.tokenize.shards.layout import INDEX_FILE, TOKENIZER_FILE
from corpusmill.tokenize.shards.packed import SEGMENT, Packed

L = 32
ROWS_PER_SHARD = 5
DOCUMENTS = [
    *[("even" if i % 2 == 0 else "odd", f"document {i} about packing"[: 5 + i]) for i in range(40)],
    ("even", "the long one " * 20),
    ("odd", "x<|endoftext|>y"),
]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, write: Callable[..., Packed]) -> Packed:
    folder = tmp_path_factory.mktemp("shards") / "shards"
    return write(folder, DOCUMENTS, sequence_length=L, rows_per_shard=ROWS_PER_SHARD)


@pytest.fixture
def own(packed: Packed, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(packed.directory, tmp_path / "shards"))


def flip(path: Path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def change_manifest(folder: Path, **changes: Any) -> None:
    path = str(folder / "manifest.json")
    manifest.commit(path, {**manifest.load(path), **changes})


def test_everything_comes_back(packed: Packed) -> None:
    texts: dict[tuple[int, int], str] = {}
    for row in packed:
        assert row.tokens.dtype == packed.dtype == np.uint16
        assert row.tokens.shape == (L,)
        assert row.segments.dtype == SEGMENT
        at = 0
        for segment, identity in zip(row.segments, row.document_ids, strict=True):
            document, length = int(segment["document"]), int(segment["length"])
            assert segment["start"] == at
            assert packed.sources[segment["source"]] == DOCUMENTS[document][0]
            assert identity == document.to_bytes(16, "big")
            assert (document, int(segment["offset"])) not in texts
            texts[document, int(segment["offset"])] = packed.tokenizer.decode(row.tokens[at : at + length])
            at += length
        assert 0 < at <= L
        assert (row.tokens[at:] == packed.pad_id).all()
        assert not row.hidden.any()
    for document, (_, text) in enumerate(DOCUMENTS):
        assert "".join(texts[key] for key in sorted(texts) if key[0] == document) == text


def test_the_ends_alone_tell_where_segments_lie(packed: Packed) -> None:
    for number, row in enumerate(packed):
        first = number % ROWS_PER_SHARD * L
        ends = row.ends.astype(np.int64) - first
        assert ends.tolist() == (row.segments["start"] + row.segments["length"]).tolist()
        assert row.ends.dtype == np.uint32
        assert row.ends.base is not None


def test_the_files_are_those_that_arrow_reads(packed: Packed) -> None:
    paths = sorted(packed.directory.glob("shard-*.arrow"))
    tables = [pa.ipc.open_file(path.read_bytes()).read_all() for path in paths]
    assert pa.concat_tables(tables)["tokens"].to_pylist() == [row.tokens.tolist() for row in packed]
    segments = pa.concat_tables(
        pa.ipc.open_file(path.read_bytes()).read_all() for path in sorted(packed.directory.glob("segments-*.arrow"))
    )
    assert segments["id"].to_pylist() == [identity for row in packed for identity in row.document_ids]
    assert len(segments) == packed.manifest["totals"]["segments"]


def test_plain_numpy_reads_the_tokens(packed: Packed) -> None:
    for number in range(packed.shards):
        path, offset = packed.where(number)
        rows = np.memmap(path, packed.dtype, "r", offset, (packed.rows_of(number), packed.sequence_length))
        wanted = [packed[number * ROWS_PER_SHARD + row].tokens.tolist() for row in range(len(rows))]
        assert rows.tolist() == wanted


def test_rows_are_read_only_views_found_by_any_index(packed: Packed) -> None:
    assert packed[0].tokens.base is not None
    with pytest.raises(ValueError, match="read-only"):
        packed[0].tokens[0] = 1
    last = len(packed) - 1
    assert packed[-1].tokens.tolist() == packed[last].tokens.tolist()
    assert [row.tokens.tolist() for row in packed] == [packed[i].tokens.tolist() for i in range(len(packed))]
    for index in (len(packed), -len(packed) - 1):
        with pytest.raises(IndexError, match=f"of {len(packed)}"):
            packed[index]


def test_rows_outlive_the_reader_and_hold_no_open_files(packed: Packed) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("counts open files in /proc, which this system does not have")
    before = len(os.listdir("/proc/self/fd"))
    tokens = [row.tokens for row in Packed(packed.directory)]
    assert len(os.listdir("/proc/self/fd")) == before
    assert np.concatenate(tokens).sum() > 0


def test_few_shards_are_mapped_at_a_time(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    """llm-foundry#406, streaming#457: readers that run out of descriptors or maps."""
    monkeypatch.setattr(shards, "MOST_OPEN", 2)
    reader = Packed(packed.directory)
    wanted = [row.tokens.tolist() for row in packed]
    first = reader[0].tokens
    for index in [*range(len(reader)), *reversed(range(len(reader)))]:
        assert reader[index].tokens.tolist() == wanted[index]
        assert len(reader._open) <= 2
    assert first.tolist() == wanted[0]


def test_a_read_only_folder_is_enough_and_stays_as_it_is(own: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in own.iterdir()}
    for path in [*own.iterdir(), own]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    reader = Packed(own, verify=True)
    assert sum(int(row.tokens.sum()) for row in reader) > 0
    own.chmod(0o755)
    assert {path.name: path.stat().st_mtime_ns for path in own.iterdir()} == before


def opened_elsewhere(reader: Packed, index: int) -> tuple[str, list[int]]:
    return reader.content_id, reader[index].tokens.tolist()


def test_another_process_gets_the_folder_not_the_content(packed: Packed) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(opened_elsewhere, (packed, 3))
    assert found == (packed.id, packed[3].tokens.tolist())


def test_another_process_does_not_verify_again(packed: Packed, own: Path) -> None:
    every, touching = (Packed(own, verify=level) for level in (True, "touch"))
    path, offset = every.where(0)
    data = bytearray(Path(path).read_bytes())
    data[offset] ^= 1
    Path(path).write_bytes(data)
    assert copy(every)[0].tokens.tolist() != packed[0].tokens.tolist()
    with pytest.raises(IntegrityError, match="hits row 0"):
        copy(touching)[0]


def test_nothing_is_touched_when_opened(own: Path) -> None:
    (own / "shard-00001.arrow").unlink()
    reader = Packed(own)
    assert reader[0].tokens.shape == (L,)
    with pytest.raises(IntegrityError, match=r"shard-00001\.arrow: missing"):
        reader[ROWS_PER_SHARD]


def test_cut_files_are_refused_when_touched(own: Path) -> None:
    path = own / "segments-00001.arrow"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=r"segments-00001\.arrow: \d+ bytes, its manifest says"):
        Packed(own)[ROWS_PER_SHARD]


def test_verify_levels(own: Path) -> None:
    """A changed token: found at once, on the first touch of its shard, or not looked for."""
    reader = Packed(own)
    path, offset = reader.where(1)
    flip(Path(path), offset + 2 * L, 5)
    assert reader[ROWS_PER_SHARD + 1].tokens.shape == (L,)
    touching = Packed(own, verify="touch")
    assert touching[0].tokens.shape == (L,)
    for _ in range(2):
        with pytest.raises(IntegrityError, match=r"shard-00001\.arrow: bytes 0 to \d+ were changed"):
            touching[ROWS_PER_SHARD]
    with pytest.raises(IntegrityError, match=r"shard-00001\.arrow"):
        Packed(own, verify=True)


def test_the_index_and_the_manifest_are_checked_when_opened(own: Path) -> None:
    for name in (INDEX_FILE, "manifest.json"):
        path = own / name
        good = path.read_bytes()
        for at in range(0, len(good), max(1, len(good) // 50)):
            flip(path, at, at % 8)
            with pytest.raises(IntegrityError):
                Packed(own)
            path.write_bytes(good)
    Packed(own, verify=True)


def test_not_committed(own: Path) -> None:
    (own / "manifest.json").unlink()
    with pytest.raises(NotCommitted):
        Packed(own)


@pytest.mark.parametrize("change", [{"format": "other"}, {"version": 1}, {"version": 99}])
def test_other_formats_and_versions(own: Path, change: dict[str, Any]) -> None:
    change_manifest(own, **change)
    with pytest.raises(IntegrityError, match="not the manifest of"):
        Packed(own)


def commit_index(folder: Path, data: bytes) -> None:
    """An index that its manifest vouches for, whatever is in it."""
    sha256 = storage.write_bytes(str(folder / INDEX_FILE), data)
    files = manifest.load(str(folder / "manifest.json"))["files"]
    changed = {**files[0], "bytes": len(data), "sha256": sha256}
    change_manifest(folder, files=[changed, *files[1:]])


def index_with(folder: Path, column: str, change: Callable[[Any], Any]) -> bytes:
    table = pa.ipc.open_file((folder / INDEX_FILE).read_bytes()).read_all()
    at = table.schema.get_field_index(column)
    values = pa.array(change(table[column].to_pylist()), table.schema.field(at).type)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.set_column(at, table.schema.field(at), values))
    return sink.getvalue().to_pybytes()


def hostile_indexes(folder: Path) -> Iterator[bytes]:
    yield b""
    yield b"ARROW1\0\0 not one"
    yield (folder / "segments-00000.arrow").read_bytes()
    yield index_with(folder, "columns", lambda lists: [[at + (1 << 40) for at in each] for each in lists])
    yield index_with(folder, "columns", lambda lists: [[-8 for _ in each] for each in lists])
    yield index_with(folder, "columns", lambda lists: [[] for _ in lists])
    yield index_with(folder, "rows", lambda rows: [row + 10**6 for row in rows])
    yield index_with(folder, "bytes", lambda sizes: [size + 1 for size in sizes])
    yield index_with(folder, "path", lambda paths: ["../" + path for path in paths])


def test_an_index_that_lies_gives_an_error_and_no_memory(own: Path) -> None:
    for data in list(hostile_indexes(own)):
        commit_index(own, data)
        with pytest.raises(IntegrityError):
            Packed(own)[0].segments  # noqa: B018


def test_an_index_of_another_dataset_is_found(own: Path) -> None:
    change_manifest(own, id="0" * 64)
    with pytest.raises(IntegrityError, match="are not the dataset 0000000000000000"):
        Packed(own, verify=True)


def test_rows_and_shards_must_fit(own: Path) -> None:
    change_manifest(own, rows=ROWS_PER_SHARD)
    with pytest.raises(IntegrityError, match=r"5 rows in \d+ shards of 5"):
        Packed(own)


def test_another_tokenizer_is_refused(own: Path) -> None:
    path = own / TOKENIZER_FILE
    path.write_bytes(path.read_bytes().replace(b"<|endoftext|>", b"<|endoftexT|>"))
    reader = Packed(own)
    with pytest.raises(IntegrityError, match="not the tokenizer that made these tokens"):
        _ = reader.tokenizer
    with pytest.raises(IntegrityError, match=r"tokenizer\.json: bytes 0 to \d+ were changed"):
        reader.verify()


def test_the_id_is_that_of_the_content(packed: Packed, write: Callable[..., Packed], tmp_path: Path) -> None:
    again = write(tmp_path / "again", DOCUMENTS, sequence_length=L, rows_per_shard=ROWS_PER_SHARD)
    assert again.id == again.content_id == packed.id
    other = write(tmp_path / "other", DOCUMENTS[1:], sequence_length=L, rows_per_shard=ROWS_PER_SHARD)
    assert other.id != packed.id


def test_find_gives_every_piece_of_a_document(packed: Packed) -> None:
    wanted = {40, 3, 99}
    found = list(packed.find([n.to_bytes(16, "big") for n in wanted]))
    expected = [
        (number, segment.tolist())
        for number, row in enumerate(packed)
        for segment in row.segments
        if segment["document"] in wanted
    ]
    assert [(row, piece.tolist()) for row, _, piece in found] == expected
    assert len(found) > 2
    assert {identity for _, identity, _ in found} == {n.to_bytes(16, "big") for n in (40, 3)}


def test_no_rows(tmp_path: Path, write: Callable[..., Packed]) -> None:
    nothing = write(tmp_path / "nothing", [], sequence_length=L)
    assert len(nothing) == nothing.shards == 0
    assert list(nothing) == []
    assert nothing.verify() > 0
    assert nothing.gather([]).tokens.shape == (0, L)
    with pytest.raises(IndexError):
        nothing[-1]
