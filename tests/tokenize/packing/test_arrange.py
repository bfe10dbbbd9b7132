"""Arrangements: whoever holds which part of the corpus, every token gets one place, and rows keep to a stratum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.packing_options import Shards
from corpusmill.tokenize.packing.arrange import Arrangement, Placed, count
from corpusmill.tokenize.packing.strata import Strata

OPTIONS = [
    Shards(sequence_length=32),
    Shards(sequence_length=32, max_padding=0.01),
    Shards(sequence_length=32, max_documents_per_row=2),
    Shards(sequence_length=32, packing="concat"),
]


@st.composite
def corpora(draw: st.DrawFn) -> tuple[Shards, np.ndarray, np.ndarray, int]:
    """Options, lengths, strata of documents, number of strata."""
    lengths = np.array(draw(st.lists(st.integers(0, 100), min_size=1, max_size=150)), dtype=np.int64)
    strata = draw(st.integers(1, 4))
    stratum = np.array([draw(st.integers(0, strata - 1)) for _ in lengths], dtype=np.int64)
    return draw(st.sampled_from(OPTIONS)), lengths, stratum, strata


def as_set(placed: Placed, first: int = 0) -> set[tuple[int, ...]]:
    columns = (placed.document + first, placed.offset, placed.length, placed.row)
    return set(zip(*(column.tolist() for column in columns), strict=True))


@settings(max_examples=200)
@given(corpora(), st.data())
def test_every_token_has_one_place(case: tuple[Shards, np.ndarray, np.ndarray, int], data: st.DataObject) -> None:
    options, lengths, stratum, strata = case
    total = count(options, lengths, stratum, strata)
    made = Arrangement(options, total)
    placed = made.place(lengths, stratum, np.zeros_like(total), seed=7)
    assert sum(plan.tokens for plan in made.plans) == placed.length.sum() == lengths.sum()
    for document, length in enumerate(lengths):
        own = np.flatnonzero(placed.document == document)
        own = own[np.argsort(placed.offset[own])]
        ends = np.cumsum(placed.length[own])
        assert placed.offset[own].tolist() == [0, *ends[:-1].tolist()][: len(own)]
        assert (ends[-1] if len(own) else 0) == length
        if options.packing == "fit" and options.max_padding is None:
            assert len(own) == -(-length // options.sequence_length)
    filled = np.bincount(placed.row, weights=placed.length, minlength=made.rows)
    assert len(filled) == made.rows
    assert (filled > 0).all()
    assert (filled <= options.sequence_length).all()
    assert (placed.length > 0).all()
    seen: dict[int, int] = {}
    for row, document in zip(placed.row.tolist(), placed.document.tolist(), strict=True):
        assert seen.setdefault(row, int(stratum[document])) == stratum[document], "two strata in one row"
    cut = data.draw(st.integers(0, len(lengths)))
    before = count(options, lengths[:cut], stratum[:cut], strata)
    parts = as_set(made.place(lengths[:cut], stratum[:cut], np.zeros_like(total), 7))
    parts |= as_set(made.place(lengths[cut:], stratum[cut:], before, 7), cut)
    assert parts == as_set(placed)


def test_concatenation_is_chopped_in_order() -> None:
    options = Shards(sequence_length=16, packing="concat")
    lengths, stratum = np.array([10, 0, 20, 2, 16]), np.zeros(5, dtype=np.int64)
    total = count(options, lengths, stratum, 1)
    made = Arrangement(options, total)
    placed = made.place(lengths, stratum, np.zeros_like(total), 1)
    assert placed.stream is not None
    assert total.tolist() == [[48]]
    assert made.rows == 3
    pieces = zip(placed.document.tolist(), placed.offset.tolist(), placed.length.tolist(), strict=True)
    assert list(pieces) == [(0, 0, 10), (2, 0, 6), (2, 6, 14), (3, 0, 2), (4, 0, 16)]
    assert placed.stream.tolist() == [0, 10, 16, 30, 32]
    assert [len(set(part)) for part in (placed.row[:2].tolist(), placed.row[2:4].tolist())] == [1, 1]
    assert len(set(placed.row.tolist())) == 3


def test_rows_of_all_strata_are_mixed() -> None:
    lengths = np.full(20_000, 40)
    stratum = np.arange(20_000) // 10_000
    options = Shards(sequence_length=64)
    total = count(options, lengths, stratum, 2)
    placed = Arrangement(options, total).place(lengths, stratum, np.zeros_like(total), 1)
    by_row = stratum[placed.document][np.argsort(placed.row)]
    assert 0.45 < (by_row[1:] != by_row[:-1]).mean() < 0.55


def test_documents_that_were_not_counted() -> None:
    for options in OPTIONS:
        total = count(options, np.array([20]), np.array([0]), 1)
        with pytest.raises(ConfigError, match=r"more (pieces|documents)"):
            Arrangement(options, total).place(np.array([20, 20]), np.array([0, 0]), np.zeros_like(total), 1)


def test_names_and_numbers_of_strata() -> None:
    strata = Strata({"length": (100.0,), "quality.score": (0.3, 0.7), "source": ()}, ("a", "b"))
    names = strata.names
    assert len(names) == 2 * 4 * 2
    scores = np.array([0.1, 0.3, 0.69, 0.7, np.nan])
    numbers = strata.numbers(1, np.array([99, 100, 5, 100, 7]), {"quality.score": scores})
    assert [names[number] for number in numbers] == [
        "length < 100, quality.score < 0.3, b",
        "length ≥ 100, 0.3 ≤ quality.score < 0.7, b",
        "length < 100, 0.3 ≤ quality.score < 0.7, b",
        "length ≥ 100, quality.score ≥ 0.7, b",
        "length < 100, no quality.score, b",
    ]
    assert Strata({}, ("a",)).names == ["all"]
    assert Strata({}, ("a",)).numbers(0, np.array([1, 2]), {}).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence_length": 15}, "sequence_length = 15"),
        ({"sequence_length": 1 << 17, "rows_per_shard": 1 << 15}, "rows_per_shard = 32768; wanted 1 to 32767"),
        ({"max_padding": 0.0}, "max_padding = 0.0"),
        ({"max_padding": 1.0}, "max_padding = 1.0"),
        ({"max_padding": 0.1, "packing": "concat"}, 'max_padding is for packing = "fit"'),
        ({"max_documents_per_row": 4, "packing": "concat"}, 'max_documents_per_row is for packing = "fit"'),
        ({"max_documents_per_row": 0}, "max_documents_per_row = 0"),
        ({"max_epochs": 0.0}, "max_epochs = 0.0"),
        ({"temperature": 0.0}, "temperature = 0.0"),
        ({"tokens": "ten"}, "tokens = 'ten'"),
        ({"tokens": 0}, "tokens = 0"),
        ({"strata": {"source": (1.0,)}}, r"strata.source = \[1.0\]; wanted no bounds"),
        ({"strata": {"length": ()}}, r"strata.length = \[\]; wanted rising bounds"),
        ({"strata": {"length": (5.0, 5.0)}}, "wanted rising bounds"),
    ],
)
def test_what_can_not_be_packed(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Shards(**options)


def test_strata_times_lengths_are_bounded() -> None:
    shards = Shards(sequence_length=131_072, strata={"source": (), "length": (10.0, 20.0)})
    shards.check_strata_count(2)
    with pytest.raises(ConfigError, match="strata: 9 of them with rows of 131072 tokens; wanted 7"):
        shards.check_strata_count(3)


def test_token_counts() -> None:
    assert [Shards(tokens=given).mix_tokens for given in ("10B", "2.5M", "7", 12, None)] == [
        10_000_000_000,
        2_500_000,
        7,
        12,
        None,
    ]
