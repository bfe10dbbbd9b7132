import json
from collections import Counter
from dataclasses import asdict, fields
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.errors import ConfigError, InputError, IntegrityError
from corpusmill.tokenize.shards import Packed
from corpusmill.trainer import IGNORE, Batch, State, batches
from corpusmill.trainer.data import build, epoch_order


def plain_row(packed: Packed, row: int) -> dict[str, list[int]]:
    """One row of a batch, token by token in plain Python."""
    length = packed.sequence_length
    tokens = [int(token) for token in packed[row].tokens]
    segments, positions = [0] * length, [0] * length
    sources, targets = [-1] * length, [IGNORE] * length
    for number, piece in enumerate(packed[row].segments, start=1):
        for at in range(int(piece["length"])):
            where = int(piece["start"]) + at
            segments[where], positions[where], sources[where] = number, at, int(piece["source"])
            if at + 1 < piece["length"]:
                targets[where] = tokens[where + 1]
    return {
        "tokens": tokens, "targets": targets, "segments": segments, "positions": positions, "sources": sources
    }  # fmt: skip


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Batch))


def test_a_batch_is_what_plain_python_says(library: Packed) -> None:
    batch = build(library, np.arange(len(library)))
    for row in range(len(library)):
        for name, values in plain_row(library, row).items():
            assert getattr(batch, name)[row].tolist() == values, (row, name)
    assert (batch.segments == 0).any(), "the corpus has no padding: this test sees too little"
    assert batch.segments.max() > 3
    assert {getattr(batch, field.name).dtype for field in fields(Batch)} == {torch.int64}


def test_eos_that_is_also_the_pad_id_is_learnt_once_per_document(library: Packed) -> None:
    """OLMo-core#843 and the like: what is padding is told by the segments, never by the id."""
    told = library.manifest["tokenizer"]
    assert told["eos_id"] == told["pad_id"]
    batch = build(library, np.arange(len(library)))
    # A document of one token, its eos, has nothing to be predicted from; there is none here.
    assert int((batch.targets == told["eos_id"]).sum()) == library.manifest["totals"]["documents"]
    assert bool((batch.targets[batch.segments == 0] == IGNORE).all())


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
@pytest.mark.parametrize("batch_rows", [1, 4, 7])
@pytest.mark.parametrize("epoch", [0, 1])
def test_every_row_once_in_the_same_order_for_any_world(
    library: Packed, world_size: int, batch_rows: int, epoch: int
) -> None:
    ranks = [list(batches(library, batch_rows, State(epoch), rank, world_size, seed=3)) for rank in range(world_size)]
    assert len({len(steps) for steps in ranks}) == 1, "ranks take different numbers of steps"
    seen: list[int] = []
    for step in zip(*ranks, strict=True):
        assert len({state for _, state in step}) == 1
        rows = [batch.rows.tolist() for batch, _ in step]
        seen += [row for turn in range(batch_rows) for mine in rows for row in mine[turn : turn + 1]]
    assert seen == epoch_order(np.arange(len(library)), len(library), epoch, 3).tolist()
    assert sorted(seen) == list(range(len(library)))
    assert ranks[0][-1][1] == State(epoch + 1, 0)


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    """nanotron#237: the same order in every epoch."""

    def order(epoch: int, seed: int) -> tuple[int, ...]:
        return tuple(epoch_order(np.arange(500), 500, epoch, seed).tolist())

    assert order(0, 0) == order(0, 1) == tuple(range(500))
    assert len({order(1, 0), order(2, 0), order(1, 1), order(2, 1), order(0, 0)}) == 5


@given(cut=st.integers(0, 200), batch_rows=st.integers(1, 9), world_size=st.integers(1, 4), epoch=st.integers(0, 2))
def test_going_on_from_a_state_gives_the_rest(
    library: Packed, cut: int, batch_rows: int, world_size: int, epoch: int
) -> None:
    """streaming#437, llm-foundry#1277: a resume that starts over or repeats rows. Other worlds may go on, too."""
    whole = epoch_order(np.arange(len(library)), len(library), epoch, 0).tolist()
    state = State(epoch, min(cut, len(library)))
    rows: Counter[int] = Counter()
    for rank in range(world_size):
        for batch, _ in batches(library, batch_rows, state, rank, world_size):
            rows.update(batch.rows.tolist())
    assert rows == Counter(whole[state.row :])


def test_a_state_goes_through_json_and_gives_the_same_batches(library: Packed) -> None:
    steps = list(batches(str(library.directory), 4))
    stored = json.dumps(asdict(steps[2][1]))
    assert stored == '{"epoch": 0, "row": 12}'
    rest = list(batches(library.directory, 4, json.loads(stored)))
    assert len(rest) == len(steps) - 3
    for (one, one_state), (other, other_state) in zip(steps[3:], rest, strict=True):
        assert same(one, other)
        assert one_state == other_state


def test_the_last_batch_is_shorter_and_may_be_empty(library: Packed) -> None:
    rows = len(library)
    batch, state = next(batches(library, rows + 5))
    assert len(batch.rows) == rows
    assert state == State(1, 0)
    batch, _ = next(batches(library, 1, State(0, rows - 1), rank=1, world_size=2))
    assert batch.tokens.shape == batch.targets.shape == (0, library.sequence_length)
    assert list(batches(library, 4, State(0, rows))) == []


def test_split_gives_the_same_rows_in_parts(library: Packed) -> None:
    batch = build(library, [0, 1, 2, 3, 4])
    parts = list(batch.split(2))
    assert [len(part.rows) for part in parts] == [2, 2, 1]
    joined = Batch(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Batch)))
    assert same(joined, batch)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"batch_rows": 0}, "batch_rows"),
        ({"batch_rows": 1, "world_size": 0}, "world_size"),
        ({"batch_rows": 1, "rank": 1}, "rank"),
        ({"batch_rows": 1, "rank": -1}, "rank"),
        ({"batch_rows": 1, "state": State(-1, 0)}, "state.epoch"),
        ({"batch_rows": 1, "state": State(0, 10**9)}, "state.row"),
    ],
)
def test_arguments_out_of_range_fail_at_the_call(library: Packed, arguments: dict, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        batches(library, **arguments)


class Broken(list):
    """Shards that no writer of ours would write: one row, its pieces given as (start, length)."""

    def __init__(self, tokens: list[int], pieces: list[tuple[int, int]]) -> None:
        kind = np.dtype([("start", np.uint32), ("length", np.uint32), ("source", np.uint16)])
        segments = np.array([(*piece, 0) for piece in pieces], dtype=kind)
        super().__init__([SimpleNamespace(tokens=np.array(tokens, np.uint16), segments=segments)])
        self.sequence_length, self.sources = len(tokens), ["only"]
        self.manifest = {"tokenizer": {"vocab_size": 10}}


@pytest.mark.parametrize(
    ("tokens", "pieces"),
    [
        ([1, 2, 3, 4], [(0, 5)]),
        ([1, 2, 3, 4], [(3, 2)]),
        ([1, 2, 3, 4], [(0, 3), (2, 2)]),
        ([1, 2, 3, 10], [(0, 4)]),
    ],
    ids=["too long", "leaves the row", "overlap", "token outside the vocabulary"],
)
def test_a_broken_row_is_named(tokens: list[int], pieces: list[tuple[int, int]]) -> None:
    with pytest.raises(IntegrityError, match=r"rows \[0\]"):
        build(Broken(tokens, pieces), [0])


def test_edges_of_a_row_that_are_right() -> None:
    whole = build(Broken([1, 2, 3, 9], [(0, 4)]), [0])
    assert whole.targets.tolist() == [[2, 3, 9, IGNORE]]
    single = build(Broken([1, 2, 3, 0], [(0, 1), (1, 2)]), [0])
    assert single.targets.tolist() == [[IGNORE, 3, IGNORE, IGNORE]]
    assert single.positions.tolist() == [[0, 0, 1, 0]]
    none = build(Broken([1, 2, 3, 4], []), [0])
    assert none.segments.tolist() == [[0, 0, 0, 0]]


def test_shards_without_rows_are_refused() -> None:
    empty = Broken([1], [])
    empty.clear()
    with pytest.raises(InputError, match="no row"):
        batches(empty, 1)
