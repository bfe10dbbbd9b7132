import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, fields
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from corpusmill.errors import ConfigError, InputError, IntegrityError
from corpusmill.tokenize.shards.order import BatchRows
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenize.shards.takedown import Takedown, append_takedown
from corpusmill.trainer import IGNORE, Batch, State, batches
from corpusmill.trainer.data import PackedDataset, _read, build, epoch_order


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


def overwrite(packed: Packed, folder: Path, file: int, at: int, value: bytes) -> Packed:
    """A copy of the shards in which no writer of ours would have written these bytes."""
    copy = Path(shutil.copytree(packed.directory, folder / "shards"))
    path = copy / packed.index.path(file)
    data = bytearray(path.read_bytes())
    data[at : at + len(value)] = value
    path.write_bytes(data)
    return Packed(copy)


def test_a_broken_row_is_named(library: Packed, tmp_path: Path) -> None:
    row = next(number for number in range(len(library)) if len(library[number].segments) > 2)
    number, inside = divmod(row, library.rows_per_shard)
    first, _ = library.shard(number).bounds(inside)
    begin = library.index.columns(library.shards + number)[0]
    lower = np.uint32(library.shard(number).end[first] - 1).tobytes()
    broken = overwrite(library, tmp_path, library.shards + number, begin + 4 * (first + 1), lower)
    with pytest.raises(IntegrityError, match=rf"row {row}: its segments overlap"):
        build(broken, [0, row])
    assert len(build(broken, [0]).rows) == 1


def test_a_token_outside_the_vocabulary_is_refused(library: Packed, tmp_path: Path) -> None:
    _, begin = library.where(0)
    vocab_size = library.manifest["tokenizer"]["vocab_size"]
    value = np.uint16(vocab_size).tobytes()
    broken = overwrite(library, tmp_path, 0, begin + 2 * (3 * library.sequence_length + 5), value)
    with pytest.raises(IntegrityError, match=rf"rows \[3\]: token {vocab_size}"):
        build(broken, [3])
    with pytest.raises(IntegrityError, match=r"shard-00000\.arrow: bytes"):
        build(Packed(broken.directory, verify="touch"), [0])


def test_takedowns_are_no_targets(library: Packed, tmp_path: Path) -> None:
    folder = str(shutil.copytree(library.directory, tmp_path / "shards"))
    row = next(number for number in range(len(library)) if len(library[number].segments) > 2)
    gone = library[row].segments[1]
    append_takedown(folder, Takedown((library[row].document_ids[1],), "reason", "2026-03-01"))
    before, after = build(library, [row]), build(Packed(folder), [row])
    inside = slice(int(gone["start"]), int(gone["start"] + gone["length"]))
    for name in ("rows", "segments", "positions", "sources"):
        assert torch.equal(getattr(before, name), getattr(after, name))
    assert after.targets[0, inside].unique().tolist() == [IGNORE]
    assert after.tokens[0, inside].unique().tolist() == [library.pad_id]
    rest = torch.ones_like(before.tokens, dtype=torch.bool)
    rest[0, inside] = False
    assert torch.equal(before.targets[rest], after.targets[rest])
    assert torch.equal(before.tokens[rest], after.tokens[rest])


def test_boundaries_for_kernels_of_variable_length(library: Packed) -> None:
    batch = build(library, np.arange(20))
    found = batch.cu_seqlens
    assert found.dtype == torch.int32
    assert found.tolist() == library.gather(np.arange(20)).cu_seqlens.tolist()
    assert batch.max_seqlen == library.gather(np.arange(20)).max_seqlen == int(found.diff().max())
    for begin, end in pairwise(found.tolist()):
        assert batch.segments.flatten()[begin:end].unique().numel() == 1
    joined = torch.cat([part.cu_seqlens[1:] + at * library.sequence_length for at, part in enumerate(batch.split(1))])
    assert joined.tolist() == found[1:].tolist()
    empty = build(library, [])
    assert (empty.cu_seqlens.tolist(), empty.max_seqlen) == ([0], 0)


RAMPS = [1, 4, 7, [(0, 2), (50, 3), (101, 16)]]


def in_turn(dataset: PackedDataset, workers: int) -> list[tuple[Batch, State]]:
    """What a DataLoader with so many workers gives: it takes from them in turn."""
    parts = [list(_read(dataset.packed, dataset.reading, worker, max(workers, 1))) for worker in range(max(workers, 1))]
    return [part[turn] for turn in range(len(parts[0])) for part in parts if turn < len(part)]


@pytest.mark.parametrize("world_size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("batch_rows", RAMPS, ids=str)
def test_one_global_order_for_any_world_workers_batches_and_ramps(
    library: Packed, world_size: int, batch_rows: BatchRows
) -> None:
    """The issue's grid: the hash of the global sequence of rows is one, and a bitmap sees every row once."""
    wanted = epoch_order(np.arange(len(library)), len(library), 1, 3)
    for workers in (0, 1, 3):
        ranks = [
            in_turn(PackedDataset(library, batch_rows, State(1, 0), rank, world_size, seed=3), workers)
            for rank in range(world_size)
        ]
        seen: list[int] = []
        for step in zip(*ranks, strict=True):
            assert len({state for _, state in step}) == 1
            rows = [batch.rows.tolist() for batch, _ in step]
            seen += [row for turn in range(max(map(len, rows))) for mine in rows for row in mine[turn : turn + 1]]
        assert xxhash.xxh3_64_hexdigest(np.array(seen)) == xxhash.xxh3_64_hexdigest(wanted)
        bitmap = np.zeros(len(library), dtype=np.int64)
        np.add.at(bitmap, seen, 1)
        assert (bitmap == 1).all()
        assert ranks[0][-1][1] == State(2, 0)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_data_loader_gives_the_same_batches(library: Packed, workers: int) -> None:
    wanted = [*batches(library, 7, State(1, 20), 1, 2, seed=3), *batches(library, 7, State(2, 0), 1, 2, seed=3)]
    dataset = PackedDataset(library.directory, 7, State(1, 20), 1, 2, seed=3, epochs=2)
    loader = DataLoader(dataset, batch_size=None, num_workers=workers)
    for _ in range(2):  # a loader may be gone through again
        found = list(loader)
        assert [state for _, state in found] == [state for _, state in wanted]
        assert all(same(one, other) for (one, _), (other, _) in zip(found, wanted, strict=True))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize(("before", "after"), [(0, 3), (3, 1), (1, 0)])
def test_a_loader_goes_on_exactly_with_other_workers(library: Packed, before: int, after: int) -> None:
    """litdata#316 and torchtitan#811: states that belong to workers. What workers made in advance is not lost."""
    whole = [batch.rows.tolist() for batch, _ in batches(library, 9)]
    stopped, rows = iter(DataLoader(PackedDataset(library, 9), batch_size=None, num_workers=before)), []
    for _ in range(5):
        batch, state = next(stopped)
        rows.append(batch.rows.tolist())
    rest = PackedDataset(library, 9, asdict(state))
    rows += [batch.rows.tolist() for batch, _ in DataLoader(rest, batch_size=None, num_workers=after)]
    assert rows == whole


def test_a_dataset_refuses_what_batches_refuses(library: Packed) -> None:
    with pytest.raises(ConfigError, match="rank"):
        PackedDataset(library, 1, rank=1)
    with pytest.raises(ConfigError, match=r"state\.row"):
        PackedDataset(library, 1, State(0, 10**9))


def test_hugging_face_datasets_reads_the_shards(library: Packed, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    files = str(library.directory / "shard-*.arrow")
    loaded = datasets.load_dataset("arrow", data_files=files, split="train", cache_dir=str(tmp_path))
    assert loaded.num_rows == len(library)
    assert loaded[:]["tokens"] == [row.tokens.tolist() for row in library]


def test_shards_without_rows_are_refused(write: Callable[..., Packed], tmp_path: Path) -> None:
    empty = write(tmp_path / "shards", [], sequence_length=32)
    with pytest.raises(InputError, match="no row"):
        batches(empty, 1)
