"""One flipped bit anywhere is found, and the documents that it can have hit are named."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.errors import IntegrityError
from corpusmill.tokenize.shards import blocks, damage
from corpusmill.tokenize.shards.layout import COLUMNS, TOKENIZER_FILE
from corpusmill.tokenize.shards.packed import Packed

L, ROWS_PER_SHARD, BLOCK = 32, 64, 256


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, write: Callable[..., Packed]) -> Iterator[Packed]:
    """Shards with blocks of 256 bytes, so that a small one has many."""
    documents = [("a" if n % 3 else "b", f"note {n} " * (1 + n % 9)) for n in range(300)]
    folder = tmp_path_factory.mktemp("damage") / "shards"
    with pytest.MonkeyPatch.context() as patch:
        for module in (blocks, damage):
            patch.setattr(module, "BLOCK_BYTES", BLOCK)
        yield write(folder, documents, sequence_length=L, rows_per_shard=ROWS_PER_SHARD)


def flipped(packed: Packed, name: str, bit: int) -> list[damage.Damage]:
    """What is found with one bit of a file flipped, for as long as that takes."""
    path = packed.directory / name
    good = path.read_bytes()
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bad)
    try:
        return list(damage.of_all(Packed(packed.directory)))
    finally:
        path.write_bytes(good)


def test_whole_shards_have_no_damage(own: Packed) -> None:
    assert own.shards > 1
    assert list(damage.of_all(own)) == []
    assert own.verify() == sum((own.directory / own.index.path(n)).stat().st_size for n in range(len(own.index)))


@given(st.data())
def test_a_flipped_token_names_the_document_that_has_it(own: Packed, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, own.shards - 1))
    path, offset = own.where(number)
    token = data.draw(st.integers(0, own.rows_of(number) * L - 1))
    bit = (offset + 2 * token) * 8 + data.draw(st.integers(0, 15))
    (found,) = flipped(own, Path(path).name, bit)
    block = bit // 8 // BLOCK
    assert f"bytes {block * BLOCK} to " in found.what
    row, at = divmod(token, L)
    row += number * ROWS_PER_SHARD
    owners = [
        (row, identity, own.sources[piece["source"]])
        for piece, identity in zip(own[row].segments, own[row].document_ids, strict=True)
        if piece["start"] <= at < piece["start"] + piece["length"]
    ]
    named = [(hit.row, hit.id, hit.source) for hit in found.hits]
    assert set(owners) <= set(named)
    assert named == expected_hits(own, number, block * BLOCK - offset, (block + 1) * BLOCK - offset)


def expected_hits(packed: Packed, number: int, first: int, stop: int) -> list[tuple[int, bytes, str]]:
    """The segments with a byte from `first` to `stop` of the tokens, in plain Python."""
    hits = []
    for inside in range(packed.rows_of(number)):
        row = packed[number * ROWS_PER_SHARD + inside]
        for piece, identity in zip(row.segments, row.document_ids, strict=True):
            begin = 2 * (inside * L + int(piece["start"]))
            if begin < stop and first < begin + 2 * int(piece["length"]):
                hits.append((number * ROWS_PER_SHARD + inside, identity, packed.sources[piece["source"]]))
    return hits


@given(st.data())
def test_a_flipped_bit_of_the_segments_names_their_rows(own: Packed, data: st.DataObject) -> None:
    file = own.shards + data.draw(st.integers(0, own.shards - 1))
    number = file - own.shards
    column = data.draw(st.integers(0, len(COLUMNS) - 1))
    name, kind = list(COLUMNS.items())[column]
    segments, size = int(own.index.rows[file]), np.dtype(kind).itemsize
    segment = data.draw(st.integers(0, segments - 1))
    bit = (own.index.columns(file)[column] + segment * size) * 8 + data.draw(st.integers(0, 8 * size - 1))
    (found,) = flipped(own, own.index.path(file), bit)
    row = number * ROWS_PER_SHARD + (int(own.shard(number).end[segment]) - 1) // L
    if name != "end":  # a wrong end may be told as another row
        assert row in {hit.row for hit in found.hits}
    if name not in ("end", "id"):
        identity = own.shard(number).ids[segment].tobytes()
        assert (row, identity) in {(hit.row, hit.id) for hit in found.hits}


@given(st.data())
def test_any_flipped_bit_of_any_file_is_found(own: Packed, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([own.index.path(n) for n in range(len(own.index))]))
    bit = data.draw(st.integers(0, 8 * (own.directory / name).stat().st_size - 1))
    (found,) = flipped(own, name, bit)
    assert found.path == name
    assert f"bytes {bit // 8 // BLOCK * BLOCK} to " in found.what


def test_lost_and_cut_files_say_which_rows(own: Packed, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(own.directory, tmp_path / "shards"))
    (folder / "shard-00001.arrow").unlink()
    path = folder / "segments-00000.arrow"
    path.write_bytes(path.read_bytes() + b"x")
    (folder / TOKENIZER_FILE).unlink()
    with pytest.raises(IntegrityError) as raised:
        Packed(folder, verify=True)
    told = str(raised.value)
    assert "3 faults" in told
    assert "shard-00001.arrow: missing; its manifest names" in told
    assert f"rows {ROWS_PER_SHARD} to " in told
    assert "segments-00000.arrow: " in told
    assert f"rows 0 to {ROWS_PER_SHARD - 1}" in told
    assert "tokenizer.json: missing" in told


def test_many_hits_are_counted_not_listed() -> None:
    hits = tuple(damage.Hit(row, bytes([row]) * 16, "web") for row in range(30))
    told = str(damage.Damage("shard-00000.arrow", "bytes 0 to 9 were changed", hits))
    assert told.count("hits row") == damage.MOST_SHOWN
    assert "and 10 segments more, up to row 29" in told
    assert "02" * 16 + ", web, crawl#2" in damage.Damage("a", "b", hits).text({bytes([2]) * 16: "crawl#2"})
