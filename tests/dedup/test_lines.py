"""`lines` and `paragraphs`: what is compared, which copies go, and what is left of the text."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.cuts import cut_out, cuts_of_pieces
from corpusmill.dedup.copies import copies
from corpusmill.dedup.lines import CCNET_PUNCTUATION, Lines, Paragraphs, normal_lines
from corpusmill.errors import ConfigError
from corpusmill.steps import PieceBarrier
from corpusmill.text import Texts

HOSTILE = ["", " \n\t\n", "\0\n\0", "e\u0301\n\u0301", "שלום\nשלום", "👩‍👩‍👧\n👩‍👩‍👧", "İ\ni", "Ⱥ\nⱥ" * 9, "x" * 70_000]


def ccnet(line: str) -> str:
    """The normal form in plain Python, as cc_net/text_normalizer.py describes it."""
    lower = "".join(c.lower()[0] for c in line.strip())
    zeros = re.sub(r"\d", "0", lower)
    return "".join(c for c in zeros if c not in CCNET_PUNCTUATION and unicodedata.category(c) != "Cc")


@pytest.mark.parametrize(
    ("normalize", "line", "same"),
    [
        ("none", "A b", "A b"),
        ("lower", "A B ÀÉ Ω", "a b àé ω"),
        ("ccnet", "Page 12 – “Über”\x07", "page 00  über"),
        ("ccnet", "٣ von 4!", "0 von 0!"),
    ],
)
def test_normal_forms(normalize: str, line: str, same: str) -> None:
    texts = Texts.from_strings([f"  {line}\t\n"])
    assert normal_lines(texts, texts.lines, normalize).to_list() == [same]  # type: ignore[arg-type]


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=8))
def test_ccnet_against_an_oracle(lines: list[str]) -> None:
    texts = Texts.from_strings(["\n".join(lines)])
    wanted = [ccnet(line) for line in "\n".join(lines).split("\n") if line.strip()]
    assert normal_lines(texts, texts.lines, "ccnet").to_list() == wanted


def dedup(step: PieceBarrier, documents: list[str]) -> list[str]:
    """The barrier without a pipeline."""
    texts = Texts.from_strings(documents)
    pieces = step.pieces(texts)
    counts = np.diff(pieces.first)
    document = np.repeat(np.arange(len(texts), dtype=np.uint64), counts)
    number = (np.arange(len(document)) - np.repeat(pieces.first[:-1], counts)).astype(np.uint32)
    gone = np.zeros(len(document), dtype=np.bool_)
    gone[copies(pieces.keys[:, 0], pieces.keys[:, 1], document, number, step.keep)] = True
    row, start, stop = (np.empty(len(gone), dtype=np.int64) for _ in range(3))
    cut = np.zeros(len(texts), dtype=np.int64)
    k = cuts_of_pieces(texts.data, texts.offsets, pieces.start, pieces.first, gone, row, start, stop, cut)
    left = cut_out(texts, np.arange(len(texts)), row[:k], start[:k], stop[:k])
    assert (texts.bytes - left.bytes == cut).all()
    left.to_arrow().validate(full=True)
    return left.to_list()


def oracle(documents: list[str], keep: str) -> list[list[str]]:
    """Lines that stay, in plain Python."""
    forms = [[line.strip().lower() for line in text.split("\n") if line.strip()] for text in documents]
    holders = Counter(form for lines in forms for form in set(lines))
    seen: set[str] = set()
    left = []
    for lines in forms:
        stay = []
        for form in lines:
            if form not in seen and not (keep == "none" and holders[form] > 1):
                stay.append(form)
            seen.add(form)
        left.append(stay)
    return left


@pytest.mark.parametrize("keep", ["first", "none"])
@given(documents=st.lists(st.lists(st.sampled_from(["a", "A", " b ", "", "c d", "é"]), max_size=6), max_size=5))
def test_lines_against_an_oracle(keep: str, documents: list[list[str]]) -> None:
    texts = ["\n".join(lines) for lines in documents]
    left = dedup(Lines(keep=keep), texts)  # type: ignore[arg-type]
    found = [[line.strip().lower() for line in text.split("\n") if line.strip()] for text in left]
    assert found == oracle(texts, keep)


def test_what_is_left_keeps_its_own_lines_as_they_were() -> None:
    documents = ["Menu\n  One \n\nTwo\nFooter\n", "menu\nThree\n\n\nFour\nfooter", "Menu\nFooter"]
    assert dedup(Lines(), documents) == ["Menu\n  One \n\nTwo\nFooter\n", "Three\n\n\nFour", ""]
    assert dedup(Lines(keep="none"), documents) == ["  One \n\nTwo", "Three\n\n\nFour", ""]


def test_paragraphs() -> None:
    documents = ["One\ntwo\n\nThree\n\nFour", "five\n\none \ntwo\n\nTHREE\nfour"]
    assert dedup(Paragraphs(), documents) == ["One\ntwo\n\nThree\n\nFour", "five\n\nTHREE\nfour"]


@pytest.mark.parametrize("step", [Lines(), Lines(normalize="ccnet", keep="none"), Paragraphs()], ids=repr)
def test_hostile_texts_alone_and_together(step: PieceBarrier) -> None:
    together = step.pieces(Texts.from_strings(HOSTILE))
    for n, text in enumerate(HOSTILE):
        alone = step.pieces(Texts.from_strings([text]))
        assert (together.keys[together.first[n] : together.first[n + 1]] == alone.keys).all()
    dedup(step, HOSTILE + HOSTILE[::-1])


def test_copies_with_half_a_key_in_common() -> None:
    high = np.array([5, 5, 5, 5], dtype=np.uint64)
    low = np.array([2, 1, 2, 1], dtype=np.uint64)
    document, piece = np.array([3, 2, 1, 0], dtype=np.uint64), np.zeros(4, dtype=np.uint32)
    assert sorted(copies(high, low, document, piece, "first")) == [0, 1]
    assert sorted(copies(high, low, document, piece, "none")) == [0, 1, 2, 3]
    assert sorted(copies(high, low, np.full(4, 7, np.uint64), np.arange(4, dtype=np.uint32), "none")) == [2, 3]


def test_c4_takes_the_md5_of_the_same_strings() -> None:
    lines = ["Terms ", "terms", "TERMS\t", "term s"]
    texts = Texts.from_strings(["\n".join(lines)])
    keys = list(map(tuple, Lines().pieces(texts).keys.tolist()))
    digests = [hashlib.md5(line.strip().lower().encode()).digest() for line in lines]  # noqa: S324 - C4's own key
    assert [keys.index(key) for key in keys] == [digests.index(digest) for digest in digests]


@pytest.mark.parametrize(("name", "value"), [("normalize", "upper"), ("keep", "longest")])
def test_options_that_are_not_allowed(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"lines: {name}"):
        Lines(**{name: value})  # type: ignore[arg-type]
