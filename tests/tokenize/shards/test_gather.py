from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.errors import IntegrityError
from corpusmill.tokenize.shards import packed as reader
from corpusmill.tokenize.shards.gather import IGNORE, Rows, address_of, bounds, gather, segment_ids
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenize.tokenizers.encode import Tokens


@dataclass
class Tables:
    """A shard in memory."""

    tokens: np.ndarray
    end: np.ndarray
    source: np.ndarray
    ids: np.ndarray = field(default_factory=lambda: np.empty((0, 16), np.uint8))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, write: Callable[..., Packed]) -> Packed:
    documents = [("a" if n % 3 else "b", f"note {n} " * (n % 13)) for n in range(200)]
    return write(tmp_path_factory.mktemp("gather") / "shards", documents, sequence_length=48, rows_per_shard=7)


def one_shard(lengths: list[list[int]], size: int, dtype: type = np.uint16) -> Tables:
    """Rows with segments of these lengths."""
    ends = [row * size + int(end) for row, each in enumerate(lengths) for end in np.cumsum(each)]
    tokens: Tokens = np.random.default_rng(len(ends)).integers(0, 300, (len(lengths), size)).astype(dtype)
    return Tables(tokens, np.array(ends, np.uint32), (np.arange(len(ends)) % 5).astype(np.uint16))


def gathered(shard: Tables, rows: list[int]) -> Rows:
    wanted = np.array(rows, np.int64)
    return gather([address_of(shard)] * len(rows), wanted, len(shard.tokens), shard.tokens.shape[1], shard.tokens.dtype)


lengths_of_rows = st.lists(
    st.lists(st.integers(1, 9), max_size=12).filter(lambda each: sum(each) <= 40), min_size=1, max_size=9
)


@given(lengths_of_rows, st.data())
def test_rows_are_what_plain_python_says(lengths: list[list[int]], data: st.DataObject) -> None:
    size = 40
    shard = one_shard(lengths, size, data.draw(st.sampled_from([np.uint16, np.uint32])))
    rows = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=8))
    found = gathered(shard, rows)
    assert found.tokens.tolist() == shard.tokens[rows].tolist()
    assert np.diff(found.first).tolist() == [len(lengths[row]) for row in rows]
    assert found.length.tolist() == [size_ for row in rows for size_ in lengths[row]]
    assert found.start.tolist() == [int(at) for row in rows for at in np.cumsum([0, *lengths[row]])[:-1]]
    before = np.cumsum([0, *map(len, lengths)])
    assert found.source.tolist() == [int(n) % 5 for row in rows for n in range(before[row], before[row + 1])]
    found.hidden[::2] = True
    dense = found.dense(300, 5)
    hidden = found.hidden.tolist()
    for place, row in enumerate(rows):
        for name, want in zip(
            ("tokens", "targets", "segments", "positions", "sources"),
            plain(shard, lengths, row, hidden[int(found.first[place]) :]),
            strict=True,
        ):
            at = ("tokens", "targets", "segments", "positions", "sources").index(name)
            assert dense[at, place].tolist() == want, name
    assert found.cu_seqlens.tolist() == plain_boundaries(lengths, rows, size)
    assert found.max_seqlen == max(np.diff(found.cu_seqlens).tolist(), default=0)


def plain(shard: Tables, lengths: list[list[int]], row: int, hidden: list[bool]) -> list[list[int]]:
    size = shard.tokens.shape[1]
    tokens = shard.tokens[row].tolist()
    targets, segments, positions, sources = [IGNORE] * size, [0] * size, [0] * size, [-1] * size
    at, first = 0, sum(map(len, lengths[:row]))
    for number, length in enumerate(lengths[row]):
        for i in range(length):
            segments[at + i], positions[at + i], sources[at + i] = number + 1, i, (first + number) % 5
            if i + 1 < length and not hidden[number]:
                targets[at + i] = tokens[at + i + 1]
        at += length
    return [tokens, targets, segments, positions, sources]


def plain_boundaries(lengths: list[list[int]], rows: list[int], size: int) -> list[int]:
    found = [0]
    for place, row in enumerate(rows):
        found += [place * size + int(end) for end in np.cumsum(lengths[row])]
        if sum(lengths[row]) < size:
            found.append((place + 1) * size)
    return found


@given(lengths_of_rows)
def test_bounds(lengths: list[list[int]]) -> None:
    shard = one_shard(lengths, 40)
    first = 0
    for row, each in enumerate(lengths):
        assert bounds(shard.end, row, 40) == (first, first + len(each))
        first += len(each)


def test_ends_near_two_to_the_32() -> None:
    size = 1 << 17
    end = np.array([(1 << 32) - size - 1, (1 << 32) - size, (1 << 32) - 1], np.uint32)
    assert bounds(end, (1 << 15) - 1, size) == (2, 3)
    assert bounds(end, (1 << 15) - 2, size) == (0, 2)


@given(st.lists(st.integers(0, 10**6), max_size=30))
def test_rows_of_many_shards_in_any_order(packed: Packed, numbers: list[int]) -> None:
    rows = [number % len(packed) for number in numbers]
    found = packed.gather(rows)
    assert found.rows.tolist() == rows
    for place, row in enumerate(rows):
        assert found.tokens[place].tolist() == packed[row].tokens.tolist()
        piece = slice(int(found.first[place]), int(found.first[place + 1]))
        for name in ("start", "length", "source"):
            assert getattr(found, name)[piece].tolist() == packed[row].segments[name].tolist()


def test_shards_that_are_given_up_while_rows_are_gathered(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of all shards in turn, while one shard alone stays mapped."""
    rows = sorted(range(len(packed)), key=lambda row: (row % packed.rows_per_shard, -row))
    found = packed.gather(rows)
    monkeypatch.setattr(reader, "MOST_OPEN", 1)
    again = Packed(packed.directory).gather(rows)
    assert packed.shards > 3
    for name in ("tokens", "first", "start", "length", "source", "hidden"):
        assert getattr(again, name).tobytes() == getattr(found, name).tobytes()


def test_ids_of_gathered_rows(packed: Packed) -> None:
    rows = np.arange(len(packed))[::-1].copy()
    addresses = [packed.shard(row // packed.rows_per_shard).address for row in rows.tolist()]
    ids = segment_ids(addresses, packed.gather(rows), packed.rows_per_shard)
    assert [row.tobytes() for row in ids] == [each for row in rows.tolist() for each in packed[row].document_ids]


def test_no_rows_at_all(packed: Packed) -> None:
    found = packed.gather([])
    assert (found.tokens.shape, found.first.tolist(), len(found.start)) == ((0, 48), [0], 0)
    assert found.dense(packed.tokenizer.vocab_size, 2).shape == (5, 0, 48)


@pytest.mark.parametrize("row", [-1, 10**6])
def test_rows_that_are_not_there(packed: Packed, row: int) -> None:
    with pytest.raises(IndexError, match=f"of {len(packed)}"):
        packed.gather([0, row])


@pytest.mark.parametrize(
    ("end", "row"),
    [([4, 4, 16], 0), ([5, 4, 16], 0), ([8, 14, 12, 16], 1), ([6, 5, 4, 3, 2, 1, 9, 8, 7, 16], 0)],
    ids=["empty segment", "overlap", "falls in the second row", "falls all the way"],
)
def test_ends_that_do_not_rise_are_refused(end: list[int], row: int) -> None:
    shard = Tables(np.zeros((3, 8), np.uint16), np.array(end, np.uint32), np.zeros(len(end), np.uint16))
    with pytest.raises(IntegrityError, match=rf"row {row}: its segments overlap or leave its 8 tokens"):
        gathered(shard, [0, 1, 2])


@given(st.lists(st.integers(0, (1 << 32) - 1), max_size=20))
def test_any_ends_give_rows_or_an_error(end: list[int]) -> None:
    """A damaged file never makes a segment outside its row."""
    shard = Tables(np.zeros((3, 8), np.uint16), np.array(end, np.uint32), np.zeros(len(end), np.uint16))
    try:
        found = gathered(shard, [2, 0, 1])
    except IntegrityError:
        return
    assert ((found.start >= 0) & (found.length > 0) & (found.start + found.length <= 8)).all()
    assert (np.diff(found.first) >= 0).all()


def test_tokens_and_sources_that_nobody_has_are_refused() -> None:
    shard = one_shard([[8]], 8)
    shard.tokens[0, 3] = 300
    with pytest.raises(IntegrityError, match=r"rows \[0\]: token 300, source 0; wanted below vocab_size = 300"):
        gathered(shard, [0]).dense(300, 1)
    assert gathered(shard, [0]).dense(301, 1).shape == (5, 1, 8)
    shard.source[0] = 7
    with pytest.raises(IntegrityError, match=r"source 7; wanted .* below 7"):
        gathered(shard, [0]).dense(301, 7)
