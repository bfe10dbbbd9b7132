"""Spill files: any range of a sorted field comes back, whatever the number of records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipeline import spill
from corpusmill.pipeline.spill import read_spill, sort_order, together, write_grouped, write_spill

RECORD = np.dtype([("high", "<u8"), ("n", "<u4")])
WORDS = st.integers(0, 2**64 - 1) | st.integers(0, 20) | st.integers(2**64 - 20, 2**64 - 1)


@pytest.mark.parametrize("stride", [1, 3, 4096])
@given(values=st.lists(WORDS, max_size=40), ends=st.tuples(WORDS, WORDS | st.just(2**64)))
@settings(max_examples=60, deadline=None)
def test_a_range_is_what_a_filter_gives(stride: int, values: list[int], ends: tuple[int, int]) -> None:
    low, high = min(ends), max(ends)
    records = np.empty(len(values), RECORD)
    records["high"], records["n"] = np.array(values, np.uint64), np.arange(len(values))
    with pytest.MonkeyPatch.context() as patch, _folder() as folder:
        patch.setattr(spill, "STRIDE", stride)
        entry = write_spill(folder, "x", records, "high")
        assert entry.rows == len(values)
        got = read_spill(f"{folder}/x", RECORD, "high", low, high)
        every = read_spill(f"{folder}/x", RECORD, "high")
    wanted = sorted((value, n) for n, value in enumerate(values))
    assert every.tolist() == wanted
    assert got.tolist() == [pair for pair in wanted if low <= pair[0] < high]


@pytest.mark.parametrize("stride", [1, 3, 4096])
@given(
    values=st.lists(WORDS | st.integers(0, 7).map(lambda n: n << 61 | 5), max_size=40),
    ends=st.tuples(WORDS, WORDS | st.just(2**64)),
    bits=st.integers(0, 9),
    cut=st.integers(0, 40),
)
@settings(max_examples=100, deadline=None)
def test_a_range_of_groups_is_what_a_filter_gives(
    stride: int, values: list[int], ends: tuple[int, int], bits: int, cut: int
) -> None:
    low, high = min(ends), max(ends)
    records = np.empty(len(values), RECORD)
    records["high"], records["n"] = np.array(values, np.uint64), np.arange(len(values))
    with pytest.MonkeyPatch.context() as patch, _folder() as folder:
        patch.setattr(spill, "STRIDE", stride)
        entry = write_grouped(folder, "x", [records[:cut], records[cut:]], "high", bits)
        whole = write_grouped(folder, "y", [records], "high", bits)
        got = read_spill(f"{folder}/x", RECORD, "high", low, high)
        every = read_spill(f"{folder}/x", RECORD, "high")
    assert (entry.sha256, entry.rows) == (whole.sha256, len(values))
    wanted = sorted(((value, n) for n, value in enumerate(values)), key=lambda pair: pair[0] >> (64 - bits))
    assert every.tolist() == wanted
    assert got.tolist() == [pair for pair in wanted if low <= pair[0] < high]


def test_what_is_read_can_be_written(tmp_path: Path) -> None:
    records = np.zeros(5, RECORD)
    write_spill(str(tmp_path), "x", records, "high")
    read = together([read_spill(f"{tmp_path}/x", RECORD, "high")], RECORD)
    read["n"] += 1
    assert np.array_equal(read_spill(f"{tmp_path}/x", RECORD, "high"), records)


def _folder():  # type: ignore[no-untyped-def]
    import tempfile

    return tempfile.TemporaryDirectory()


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    records = np.zeros(5, RECORD)
    records["high"], records["n"] = [3, 1, 3, 1, 2], range(5)
    a = write_spill(str(tmp_path), "a", records, "high")
    b = write_spill(str(tmp_path), "b", records[[1, 3, 4, 0, 2]], "high")
    assert a.sha256 == b.sha256


@given(st.lists(WORDS, max_size=300), st.integers(0, 64))
@settings(max_examples=100, deadline=None)
def test_the_order_is_that_of_a_stable_sort(values: list[int], shift: int) -> None:
    field = np.array(values * 3, np.uint64) >> np.uint64(min(shift, 63))
    assert sort_order(field).tolist() == np.argsort(field, kind="stable").tolist()


def test_a_long_field_with_many_equal_values_is_sorted() -> None:
    draw = np.random.default_rng(3)
    field = np.concatenate(
        [draw.integers(0, 2**64, 50_000, np.uint64), np.repeat(draw.integers(0, 9, 9, np.uint64), 9_000)]
    )
    draw.shuffle(field)
    assert np.array_equal(sort_order(field), np.argsort(field, kind="stable"))
