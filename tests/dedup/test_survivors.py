"""Survivor policies and the ranks they give."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup.survivors import check_keep, columns_of, named_sources, rank_of
from corpusmill.errors import ConfigError

LARGEST = 2**64 - 1


def batch(**columns):
    return pa.RecordBatch.from_pydict(columns)


def order_by(policy, table):
    """Rows from best to worst."""
    return np.argsort(rank_of(policy, table), kind="stable").tolist()


def test_first_leaves_it_to_the_ordinal():
    assert rank_of("first", batch(text=["a", "bb"])).tolist() == [0, 0]


def test_longest_counts_bytes():
    table = batch(text=pa.array(["aaa", "éé", "", "aaaa"], pa.large_string()))
    assert rank_of("longest", table).tolist() == [2**63 - 3, 2**63 - 4, 2**63, 2**63 - 4]


def test_newest_with_dates_before_1970_and_null_last():
    day = datetime.datetime
    dates = [day(1969, 1, 1), None, day(2024, 1, 1), day(1970, 1, 1), day(2023, 12, 31)]
    table = batch(text=["a"] * 5, date=pa.array(dates, pa.timestamp("s")))
    assert order_by("newest", table) == [2, 4, 3, 0, 1]
    assert rank_of("newest", table).tolist()[1] == LARGEST


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(width=64)), max_size=30))
def test_best_ranks_by_value_with_null_and_nan_worst(values):
    table = batch(text=["a"] * len(values), **{"x.score": pa.array(values, pa.float64())})
    ranks = rank_of("best:x.score", table).tolist()
    for v, r in zip(values, ranks, strict=True):
        if v is None or v != v:
            assert r == LARGEST
        for w, s in zip(values, ranks, strict=True):
            if None not in (v, w) and v == v and w == w:
                assert (v > w) == (r < s)
                assert (v == w) == (r == s)
                assert r < LARGEST


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.float32(), pa.uint8()])
def test_best_of_whole_numbers(kind):
    table = batch(text=["a"] * 4, n=pa.array([3, None, 0, 7], kind))
    assert order_by("best:n", table) == [3, 0, 2, 1]


def test_best_of_booleans():
    assert order_by("best:b", batch(text=["a"] * 3, b=[False, None, True])) == [2, 0, 1]


def test_best_of_a_slice_of_a_batch():
    table = batch(text=["a"] * 4, n=[9, 3, 1, 5], date=pa.array([9, 3, 1, 5], pa.timestamp("s")))
    for policy in ("best:n", "newest", "longest", "first"):
        assert np.array_equal(rank_of(policy, table.slice(1, 2)), rank_of(policy, table)[1:3])


def test_unknown_signal_names_the_columns():
    with pytest.raises(ConfigError, match=r"no signal 'x\.y'.*columns: text, n"):
        rank_of("best:x.y", batch(text=["a"], n=[1]))


def test_a_signal_that_is_no_number():
    with pytest.raises(ConfigError, match="must be a number, its type is"):
        rank_of("best:label", batch(text=["a"], label=["en"]))


@pytest.mark.parametrize("keep", ["first", "longest", "newest", "best:a.b", "source:a", "source:a,b.c, d_-e"])
def test_survivor_policies(keep):
    check_keep("minhash", keep)


@pytest.mark.parametrize(
    "keep",
    ["", "First", "last", "best", "best:", "best: ", "source", "source:", "first:", None, ["first"]],
)
def test_no_survivor_policies(keep):
    with pytest.raises(ConfigError, match="no survivor policy"):
        check_keep("minhash", keep)


@pytest.mark.parametrize("keep", ["source:,", "source:a,", "source:,a", "source:a,,b", "source:a, ,b"])
def test_an_empty_source_name(keep):
    with pytest.raises(ConfigError, match=r"exact: keep = .*a source name is empty"):
        check_keep("exact", keep)


@pytest.mark.parametrize("keep", ["source:a,a", "source:b,a, b"])
def test_a_source_named_twice(keep):
    with pytest.raises(ConfigError, match="named twice"):
        check_keep("exact", keep)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_sources_in_the_order_of_their_names_and_others_last(kind):
    table = batch(text=["a"] * 5, source=pa.array(["web", "books", "wiki", None, "Wiki"], kind))
    assert rank_of("source:wiki,web", table).tolist() == [1, LARGEST, 0, LARGEST, LARGEST]
    assert rank_of("source: web , books", table).tolist() == [0, 1, LARGEST, LARGEST, LARGEST]
    assert rank_of("source:wiki,web", table.slice(1, 2)).tolist() == [LARGEST, 0]
    assert rank_of("source:wiki,web", table.slice(5)).tolist() == []


def test_the_sources_that_a_policy_names():
    assert named_sources("source:b,a") == ("b", "a")
    assert named_sources("best:source") == named_sources("first") == ()


def test_columns_that_ranks_are_made_from():
    assert columns_of("first") == []
    assert columns_of("longest") == ["text"]
    assert columns_of("newest") == ["date"]
    assert columns_of("best:language.score") == ["language.score"]
    assert columns_of("source:a,b") == ["source"]
    assert columns_of("longest", "text") == ["text"]
    assert columns_of("newest", "url") == ["url", "date"]


@pytest.mark.parametrize("keep", ["first", "longest", "newest", "best:n", "source:a"])
def test_those_columns_are_enough(keep):
    table = batch(text=["a"], date=pa.array([1], pa.timestamp("s")), n=[1], source=["a"], other=[2])
    chosen = table.select(columns_of(keep, "other"))
    assert np.array_equal(rank_of(keep, chosen), rank_of(keep, table))
