"""`lines` and `paragraphs`: what is compared, which copies go, and what is left of the text."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.cuts import covered, cut_out, cuts_of_pieces
from corpusmill.dedup.copies import Keep, copies
from corpusmill.dedup.exact import digest
from corpusmill.dedup.line_forms import CCNET_PUNCTUATION, Normalize
from corpusmill.dedup.lines import Lines, Paragraphs
from corpusmill.errors import ConfigError
from corpusmill.steps import PieceBarrier
from corpusmill.text import Texts

HOSTILE = ["", " \n\t\n", "\0\n\0", "e\u0301\n\u0301", "שלום\nשלום", "👩‍👩‍👧\n👩‍👩‍👧", "İ\ni", "Ⱥ\nⱥ" * 9, "x" * 70_000]
HOSTILE += ["\ud800\n\udfff", "Σ\nΑΣ\nΑΣ'Σ", "\u2028a\u0085\n\x1fa\x7f", "Ⱦ" * 70_000, "tab\tin\nTAB\tIN"]
# The running Python may know fewer characters than the tables do.
KNOWN = st.characters(codec="utf-8", exclude_categories=["Cn"])
TRICKY = st.sampled_from(list("aAzZ[@09:/ΣΣςσİiıßẞ'.\u0301\u00ad –…９٣\t\x00\x1f\x7f\x80"))


def ccnet(line: str) -> str:
    """The normal form in plain Python, as cc_net/text_normalizer.py describes it."""
    zeros = re.sub(r"\d", "0", line.strip().lower())
    return "".join(c for c in zeros if c not in CCNET_PUNCTUATION and unicodedata.category(c) != "Cc")


FORMS: dict[Any, Callable[[str], str]] = {
    "none": str.strip,
    "lower": lambda line: line.strip().lower(),
    "ccnet": ccnet,
}


def keys(step: PieceBarrier, documents: list[str]) -> list[list[int]]:
    texts = Texts.from_strings(documents)
    return step.keys(texts, step.pieces(texts)).tolist()


@pytest.mark.parametrize(
    ("normalize", "line", "same"),
    [
        ("none", "A b", "A b"),
        ("lower", "A B ÀÉ Ω", "a b àé ω"),
        ("lower", "ΛΟΓΟΣ", "λογος"),
        ("lower", "ΛΟΓΟΣ. ΣΟΦΟΣ, Σ", "λογος. σοφος, σ"),
        ("lower", "İstanbul", "i\u0307stanbul"),
        ("ccnet", "Page 12 – “Über”\x07", "page 00  über"),
        ("ccnet", "٣ von 4!", "0 von 0!"),
        ("ccnet", "ΛΟΓΟΣ–", "λογος"),
    ],
)
def test_normal_forms(normalize: Normalize, line: str, same: str) -> None:
    assert keys(Lines(normalize=normalize), [f"  {line}\t\n"]) == digest(Texts.from_strings([same])).tolist()


@pytest.mark.parametrize("normalize", FORMS)
@given(lines=st.lists(st.text(KNOWN | TRICKY, max_size=30), max_size=8))
def test_keys_are_hashes_of_the_normal_forms(normalize: Normalize, lines: list[str]) -> None:
    text = "\n".join(lines)
    wanted = [FORMS[normalize](line) for line in text.split("\n") if line.strip()]
    assert keys(Lines(normalize=normalize), [text]) == digest(Texts.from_strings(wanted)).tolist()
    joined = "\n".join(wanted)
    if joined and normalize != "ccnet":  # which may leave white space at the ends of lines
        whole = "\n".join(line for line in text.split("\n") if line.strip())
        assert (
            keys(Paragraphs(normalize=normalize), ["\n" + whole + "\n"])
            == digest(Texts.from_strings([joined])).tolist()
        )


def test_every_character_alone_and_beside_a_sigma() -> None:
    known = [chr(c) for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    known = [c for c in known if c not in "\n\u0295\U0001171e"]  # the last two are of another category since Unicode 15
    for form, frame in (("lower", "({})"), ("lower", "ΑΣ{}Σ"), ("ccnet", "({})")):
        lines = [frame.format(c) for c in known]
        texts = Texts.from_strings(["\n".join(lines)])
        step = Lines(normalize=form)  # type: ignore[arg-type]
        wanted = digest(Texts.from_strings([FORMS[form](line) for line in lines]))
        assert np.array_equal(step.keys(texts, step.pieces(texts)), wanted)


def dedup(step: PieceBarrier, documents: list[str]) -> list[str]:
    """The barrier without a pipeline."""
    texts = Texts.from_strings(documents)
    pieces = step.pieces(texts)
    keys = step.keys(texts, pieces)
    counts = np.diff(pieces.first)
    document = np.repeat(np.arange(len(texts), dtype=np.uint64), counts)
    number = (np.arange(len(document)) - np.repeat(pieces.first[:-1], counts)).astype(np.uint32)
    gone = covered(pieces, copies(keys[:, 0], keys[:, 1], document, number, step.keep))
    (row, start, stop), cut = cuts_of_pieces(texts, pieces.start, pieces.first, gone)
    assert (stop > start).all()
    assert (start[1:] > stop[:-1])[row[1:] == row[:-1]].all()
    left = cut_out(texts, np.arange(len(texts)), row, start, stop)
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


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("One\nX\n\nTwo", "One\n\nTwo"),
        ("One\n\nX\nTwo", "One\n\nTwo"),
        ("One  \nX \n\n  Two", "One  \n\n  Two"),
        ("One\n X\n  Two\n", "One\n  Two\n"),
        ("\n\nX\n\n\n Two", "\n\n Two"),
        ("X\nX\n\nOne\n", "One\n"),
        ("One\n\nX\n\n", "One"),
        ("One\r\nX\r\nTwo\r\n", "One\r\nTwo\r\n"),
        ("  X\n", ""),
    ],
)
def test_white_space_around_a_cut(text: str, left: str) -> None:
    assert dedup(Lines(), ["X", text])[1] == left


@pytest.mark.parametrize("step", [Lines(), Lines(normalize="ccnet", keep="none"), Paragraphs()], ids=repr)
def test_hostile_texts_alone_and_together(step: PieceBarrier) -> None:
    together = keys(step, HOSTILE)
    assert together == [key for text in HOSTILE for key in keys(step, [text])]
    dedup(step, HOSTILE + HOSTILE[::-1])


@pytest.mark.parametrize("keep", ["first", "none"])
def test_no_copies_all_copies_and_nothing_at_all(keep: Keep) -> None:
    alone = [f"Line {n}\n\nand its end {n}" for n in range(50)]
    assert dedup(Lines(keep=keep), alone) == alone
    assert dedup(Lines(keep=keep), ["One\ntwo"] * 50) == ["One\ntwo" if keep == "first" else ""] + [""] * 49
    assert dedup(Lines(keep=keep), [""] * 50) == [""] * 50
    assert dedup(Lines(keep=keep), []) == []
    assert dedup(Lines(keep=keep), ["a\n" * 100_000]) == ["a"]


def test_long_texts() -> None:
    size = 1 << 20
    texts = [
        "x" * 16 * size,
        "é" * size,
        "Σ" * size,
        "Σ" + "'" * size + "Σ",
        "\n" * size,
        " " * size + "x",
        "a\nb\n" * size,
    ]
    for text in texts:
        left = dedup(Lines(), ["y", text, text])
        assert left[0] == "y"
        assert left[2].strip() == ""


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), max_size=30, unique=True), st.data())
def test_copies_in_any_order(members: list[tuple[int, int, int]], data: st.DataObject) -> None:
    """Members are (key, document, piece), one piece has one key."""
    members = list({(document, piece): (key, document, piece) for key, document, piece in members}.values())
    members = data.draw(st.permutations(members))
    high, low = ([shift ^ key % 2 if half else key // 2 for key, _, _ in members] for half, shift in ((0, 0), (1, 6)))
    document, piece = ([member[n] for member in members] for n in (1, 2))
    arrays = [np.array(column, dtype=np.uint64) for column in (high, low, document)]
    for keep in ("first", "none"):
        gone = copies(*arrays, np.array(piece, dtype=np.uint32), keep).tolist()
        wanted = []
        for n, member in enumerate(members):
            same = [other for other in members if other[0] == member[0]]
            shared = len({other[1] for other in same}) > 1
            if (keep == "none" and shared) or member[1:] != min(other[1:] for other in same):
                wanted.append(n)
        assert gone == wanted


def test_copies_with_half_a_key_in_common() -> None:
    high = np.array([5, 5, 5, 5], dtype=np.uint64)
    low = np.array([2, 1, 2, 1], dtype=np.uint64)
    document, piece = np.array([3, 2, 1, 0], dtype=np.uint64), np.zeros(4, dtype=np.uint32)
    assert sorted(copies(high, low, document, piece, "first")) == [0, 1]
    assert sorted(copies(high, low, document, piece, "none")) == [0, 1, 2, 3]
    assert sorted(copies(high, low, np.full(4, 7, np.uint64), np.arange(4, dtype=np.uint32), "none")) == [2, 3]


def test_c4_takes_the_md5_of_the_same_strings() -> None:
    lines = ["Terms ", "terms", "TERMS\t", "term s", "ΟΡΟΣ", "ορος", "οροσ"]
    found = keys(Lines(), ["\n".join(lines)])
    digests = [hashlib.md5(line.strip().lower().encode()).digest() for line in lines]  # noqa: S324 - C4's own key
    assert [found.index(key) for key in found] == [digests.index(digest) for digest in digests]


@pytest.mark.parametrize(("name", "value"), [("normalize", "upper"), ("keep", "longest")])
def test_options_that_are_not_allowed(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"lines: {name}"):
        Lines(**{name: value})  # type: ignore[arg-type]
