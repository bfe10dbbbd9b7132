"""Anchors: which gram of a window is its anchor, that no window is without one, and runs of a short period."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.dedup import anchors as module
from corpusmill.dedup.anchors import ANCHOR, anchors, extract, live
from corpusmill.text import Texts

HOSTILE = ["", " ", "\0" * 70, "e\u0301" * 30, "שלום עולם" * 9, "👩‍👩‍👧 🏳️‍🌈" * 9, "abc", "x" * 5000, "\ud800" * 40]
tiny = st.lists(st.text("ab", max_size=40), max_size=5)
periodic = st.builds(
    lambda before, unit, times, behind: before + unit * times + behind,
    *(st.text("ab", max_size=5), st.text("abc", min_size=1, max_size=6), st.integers(1, 40), st.text("ab", max_size=5)),
)


def owners(text: str, size: int) -> dict[int, tuple[int, int]]:
    """The window at each position of an ASCII text → (key, offset of its anchor)."""
    found = {}
    for record in anchors(Texts.from_strings([text]), size).records:
        for n in range(int(record["windows"]) * int(record["repeats"])):
            window = int(record["start"]) + n
            assert window not in found
            found[window] = (int(record["high"]), int(record["offset"]) - n % int(record["windows"]))
    return found


@given(text=st.one_of(st.text("ab", max_size=60), periodic), size=st.integers(2, 17))
def test_every_window_has_one_anchor_within_it_and_equal_windows_have_the_same(text: str, size: int) -> None:
    found = owners(text, size)
    assert sorted(found) == list(range(max(0, len(text) - size + 1)))
    by_window: dict[str, tuple[int, int]] = {}
    grams: dict[str, int] = {}
    for window, (key, offset) in found.items():
        assert 0 <= offset <= size - size // 2
        assert by_window.setdefault(text[window : window + size], (key, offset)) == (key, offset)
        at = window + offset
        assert grams.setdefault(text[at : at + size // 2], key) == key
        assert text.index(text[at : at + size // 2], window) == at  # the first of equal grams


@given(text=periodic, size=st.integers(2, 17))
def test_repeats_have_the_period_of_their_windows(text: str, size: int) -> None:
    for record in anchors(Texts.from_strings([text]), size).records:
        start, windows, repeats = (int(record[name]) for name in ("start", "windows", "repeats"))
        run = text[start : start + windows * repeats + size - 1]
        assert len(run) == windows * repeats + size - 1
        if repeats > 1:
            assert run[windows:] == run[:-windows]


@given(texts=tiny, size=st.integers(2, 9))
def test_a_text_has_the_same_anchors_in_any_batch(texts: list[str], size: int) -> None:
    together = anchors(Texts.from_strings(texts), size)
    assert together.records.dtype == ANCHOR
    for n, text in enumerate(texts):
        alone = anchors(Texts.from_strings([text]), size).records
        part = together.records[together.first[n] : together.first[n + 1]]
        assert (part["document"] == n).all()
        names = [name for name in ANCHOR.names if name != "document"]
        assert part[names].tolist() == alone[names].tolist()


def test_anchors_of_hostile_texts_wherever_they_lie() -> None:
    texts = Texts.from_strings(["abcdefgh", *HOSTILE])
    found = anchors(texts, 16)
    tail = anchors(Texts(texts.data, texts.offsets[1:]), 16)
    assert (found.records["high"][found.first[1] :] == tail.records["high"]).all()
    for n, length in enumerate(texts.bytes.tolist()):
        part = found.records[found.first[n] : found.first[n + 1]]
        assert int((part["windows"].astype(int) * part["repeats"]).sum()) == max(0, length - 15)


def test_no_text_at_all_and_texts_that_are_too_short() -> None:
    for texts in ([], [""], ["a" * 15] * 3):
        found = anchors(Texts.from_strings(texts), 16)
        assert len(found.records) == 0
        assert found.first.tolist() == [0] * (len(texts) + 1)
        assert len(live(found.records)) == 0


@pytest.mark.parametrize("unit", ["a", "ab", "abc", "=-" * 20, "é"])
def test_a_long_run_of_a_short_period_has_few_records(unit: str) -> None:
    found = anchors(Texts.from_strings([unit * (1_000_000 // len(unit))]), 200)
    assert len(found.records) <= 3 + 200 // len(unit)
    assert live(found.records).any()


@pytest.mark.parametrize("size", [16, 17, 200, 1000, module.MOST_BYTES])
def test_density_of_random_text(size: int) -> None:
    text = random.Random(7).randbytes(400_000).hex()  # noqa: S311
    found = anchors(Texts.from_strings([text]), size).records
    wanted = len(text) * 2 / (size - size // 2 + 2)
    assert abs(len(found) - wanted) < 0.1 * wanted + 5 * wanted**0.5
    assert int(found["windows"].astype(int).sum()) == len(text) - size + 1


def test_more_anchors_than_there_was_room_for() -> None:
    # Where the gram of 100 equal characters has a low hash, a run of 150 has 50 anchors, which are no repeats.
    most = 0
    for unit in map(chr, range(33, 127)):
        text = "".join(unit * 150 + f"{n:05}" for n in range(300))
        found = anchors(Texts.from_strings([text]), 200).records
        assert int((found["windows"].astype(int) * found["repeats"]).sum()) == len(text) - 199
        most = max(most, len(found))
    assert most > 0.1 * len(text)  # there is room for 0.03


def test_anchors_are_pinned() -> None:
    """Changing these leaves all cuts as they are; records of unfinished runs are not interchangeable, though."""
    text = "Every window of the corpus that equals another byte for byte is found. " + "=" * 60
    found = anchors(Texts.from_strings([text]), 32).records
    assert found[["start", "repeats", "windows", "offset"]].tolist() == PINNED
    assert int(found["high"][0]) == PINNED_KEY


PINNED = [(0, 1, 16, 15), (16, 1, 4, 5), (20, 1, 17, 16), (37, 1, 15, 14), (52, 1, 3, 2), (55, 1, 2, 1)]
PINNED += [(57, 1, 8, 7), (65, 1, 3, 2), (68, 1, 2, 1), (70, 1, 2, 1), (72, 28, 1, 0)]
PINNED_KEY = 16372769994577432847


def test_live_anchors_share_their_key_or_repeat() -> None:
    records = np.zeros(6, dtype=ANCHOR)
    records["high"] = [5, 3, 5, 2**64 - 1, 4, 0]
    records["repeats"] = [1, 1, 1, 1, 7, 1]
    assert live(records).tolist() == [True, False, True, False, True, False]


@given(texts=tiny, size=st.integers(2, 9), every=st.integers(1, 3))
def test_extracted_bytes_are_those_of_the_windows(texts: list[str], size: int, every: int) -> None:
    batch = Texts.from_strings(["xx", *texts])
    batch = Texts(batch.data, batch.offsets[1:])
    records = anchors(batch, size).records[::every]
    data, at = extract(batch, records, size)
    for record, place in zip(records, at.tolist(), strict=True):
        length = int(record["windows"]) + size - 1
        start = int(record["start"])
        wanted = texts[int(record["document"])].encode()[start : start + length]
        assert data[place : place + length].tobytes() == wanted
        assert len(wanted) == length
    assert len(data) <= sum(map(len, texts))
