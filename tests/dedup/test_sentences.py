"""`sentences`: which spans are one, which sentences go, and what is left of the text."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpusmill.cuts import covered, cut_out, cuts_of_pieces
from corpusmill.dedup.copies import Keep, copies
from corpusmill.dedup.exact import normal_form
from corpusmill.dedup.sentences import Sentences
from corpusmill.errors import ConfigError
from corpusmill.segment_sentences import sentences
from corpusmill.text import Texts

HOSTILE = [
    "",
    " \n\t",
    "\0",
    "...",
    "!!! ?",
    "e\u0301. \u0301!",
    "שלום. עולם? طيب؟",
    "👩‍👩‍👧! 👩‍👩‍👧!",
    "İ. ı. Σ.",
    "\ud800. x",
]
HOSTILE += [
    "一。二。三。四",
    "กขค\nฆงจ\n",
    "x" * 70_000,
    ". " * 9_000,
    "A b. " * 9_000,
    "no words: !? …",
    "a\r\nb.\r\nc.",
]


def split(text: str) -> list[str]:
    """The sentences of a text, white space around them left out."""
    pieces = Sentences().pieces(Texts.from_strings([text]))
    return [text.encode()[a:b].decode() for a, b in zip(pieces.start, pieces.stop, strict=True)]


def gone_sentences(step: Sentences, texts: Texts) -> Any:
    pieces = step.pieces(texts)
    keys = step.keys(texts, pieces)
    counts = np.diff(pieces.first)
    document = np.repeat(np.arange(len(texts), dtype=np.uint64), counts)
    number = np.arange(len(document)) - np.repeat(pieces.first[:-1], counts)
    keyed = np.flatnonzero(pieces.covers)
    columns = (column[keyed] for column in (*keys.T, document, number.astype(np.uint32)))
    return pieces, covered(pieces, keyed[copies(*columns, step.keep)])


def dedup(step: Sentences, documents: list[str]) -> list[str]:
    """The barrier without a pipeline."""
    texts = Texts.from_strings(documents)
    pieces, gone = gone_sentences(step, texts)
    (row, start, stop), cut = cuts_of_pieces(texts, pieces.start, pieces.first, gone)
    assert (stop > start).all()
    left = cut_out(texts, np.arange(len(texts)), row, start, stop)
    assert (texts.bytes - left.bytes == cut).all()
    left.to_arrow().validate(full=True)
    return left.to_list()


def oracle(documents: list[list[str]], span: int, keep: str) -> list[list[bool]]:
    """Which sentences go, in plain Python."""
    found = []
    for d, units in enumerate(documents):
        size = min(span, len(units))
        found += [(tuple(units[j : j + size]), d, j) for j in range(len(units) - size + 1) if size]
    holders: dict[tuple[str, ...], set[int]] = {}
    for words, d, _ in found:
        holders.setdefault(words, set()).add(d)
    gone = [[False] * len(units) for units in documents]
    seen = set()
    for words, d, j in found:
        if words in seen or (keep == "none" and len(holders[words]) > 1):
            gone[d][j : j + len(words)] = [True] * len(words)
        seen.add(words)
    return gone


WORDS = st.sampled_from(["A bee.", "B sea!", "C dee?", "D eel.", "E eff."])
DOCUMENTS = st.lists(st.lists(WORDS, max_size=9), max_size=6)


@pytest.mark.parametrize("keep", ["first", "none"])
@given(documents=DOCUMENTS, span=st.integers(1, 4), data=st.data())
@example(documents=[["A bee."] * 7, ["A bee."] * 3, ["A bee."]], span=3, data=None)
def test_sentences_against_an_oracle(keep: Keep, documents: list[list[str]], span: int, data: Any) -> None:
    draw = (lambda: data.draw(st.sampled_from([" ", "\n", "\n\n", " \n "]))) if data else (lambda: " ")
    texts = ["".join(sentence + draw() for sentence in units) for units in documents]
    step = Sentences(span=span, keep=keep)
    wanted = oracle(documents, span, keep)
    _, gone = gone_sentences(step, Texts.from_strings(texts))
    assert gone.tolist() == [flag for flags in wanted for flag in flags]
    left = dedup(step, texts)
    stay = [
        [sentence for sentence, flag in zip(*both, strict=True) if not flag]
        for both in zip(documents, wanted, strict=True)
    ]
    assert [split(text) for text in left] == stay
    if keep == "first":  # no sentence is lost from the corpus
        assert {s for units in stay for s in units} == {s for units in documents for s in units}


@given(documents=st.lists(st.lists(st.lists(WORDS, max_size=5), max_size=4), max_size=4), span=st.integers(1, 4))
def test_spans_in_lines_are_spans_of_texts_that_are_lines(documents: list[list[list[str]]], span: int) -> None:
    texts = ["\n\n ".join(" ".join(line) for line in lines) for lines in documents]
    lines = [line for text in documents for line in text if line]
    _, inside = gone_sentences(Sentences(span=span, across_lines=False), Texts.from_strings(texts))
    _, alone = gone_sentences(Sentences(span=span), Texts.from_strings([" ".join(line) for line in lines]))
    assert inside.tolist() == alone.tolist()


def test_c4s_own_example() -> None:
    """c4_utils_test.py of 2019: what is taken from this page when other pages have had those spans before."""
    page = (
        "This line has enough words and ends in punctuation, Dr. Roberts!\n"
        '"Open Access. Powered by Scholars. Published by Universities."\n'
        "Sentence 1. Sentence 2. Sentence 3. Sentence 4."
    )
    before = ["THIS line has enough words and ends in punctuation, Dr. Roberts!", "Sentence 1. Sentence 2. Sentence 3."]
    before += ["Sentence 3. Sentence 4.", "Sentence 1. Sentence 3. Sentence 4.", "Sentence 3. Sentence 4. Sentence 5."]
    step = Sentences(across_lines=False)
    kept = '"Open Access. Powered by Scholars. Published by Universities."'
    assert dedup(step, [*before, page])[-1] == kept + "\nSentence 4."
    assert dedup(step, [*before, "Sentence 2. Sentence 3. Sentence 4.", page])[-1] == kept


def test_overlapping_spans_take_all_they_cover() -> None:
    documents = ["A. b is. C is. D is.", "B is. C is. D is. E is. A is.", "X is. C is. D is. E is. Y is."]
    # The span "C D E" of the second is the first, but "B C D" before it is not; the last has "C D E" again.
    assert dedup(Sentences(), ["A is. B is. C is. D is.", *documents[1:]]) == [
        "A is. B is. C is. D is.",
        "E is. A is.",
        "X is. Y is.",
    ]


def test_short_texts_are_spans_of_their_own() -> None:
    documents = ["One is. Two is.", "one is.\nTWO is.", "One is.", "One is.", "One is. Two is. Three is.", "Two is."]
    assert dedup(Sentences(), documents) == [
        "One is. Two is.",
        "",
        "One is.",
        "",
        "One is. Two is. Three is.",
        "Two is.",
    ]
    assert dedup(Sentences(keep="none"), documents) == ["", "", "", "", "One is. Two is. Three is.", "Two is."]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("A is. X is. B is.", "A is. B is."),
        ("A is. X is.\nB is.", "A is.\nB is."),
        ("A is.\nX is. B is.", "A is.\nB is."),
        ("A is.\nX is.\nB is.", "A is.\nB is."),
        ("A is.\n\nX is.\nB is.", "A is.\n\nB is."),
        ("A is.\nX is.\n\n  B is.\n", "A is.\n\n  B is.\n"),
        ("A is. X is. X is.\nX is. B is.", "A is.\nB is."),
        ("A is. X is.\n\n  X is.\nX is. B is.", "A is.\n\n  B is."),
        ("A is. \nX is. \n\n  X is.\n B is.", "A is. \n\n B is."),
        ("  X is. A is.", "  A is."),
        ("\n X is.\n  A is.", "\n  A is."),
        ("A is. X is. \n", "A is."),
        ("A is.\nX\nis.\nB is.", "A is.\nB is."),
        ("一。X is. 二。", "一。二。"),
        ("A is. … X is.", "A is. …"),
    ],
)
def test_white_space_around_a_cut(text: str, left: str) -> None:
    assert dedup(Sentences(span=1), ["X is.", text])[1] == left


def test_sentences_go_on_to_the_next_one() -> None:
    assert split("... Hi there. ?! You: yes") == ["... Hi there. ?!", "You: yes"]
    assert split("...") == ["..."]
    assert split("กขค \nฆงจ") == ["กขค", "ฆงจ"]
    assert split(" Mr. Lee met\nher.  ") == ["Mr. Lee met\nher."]


@given(st.lists(st.text(st.sampled_from(list("aB .!?…\n。ก;:\"'\u0301é")), max_size=40), max_size=5))
def test_there_are_as_many_as_are_counted(strings: list[str]) -> None:
    texts = Texts.from_strings(strings)
    pieces = Sentences().pieces(texts)
    assert np.diff(pieces.first).tolist() == sentences(texts).tolist()
    inside = np.zeros(len(texts.data), dtype=np.bool_)
    for a, b in zip(pieces.start, pieces.stop, strict=True):
        assert not inside[a:b].any()
        inside[a:b] = True
    assert not bytes(texts.data[~inside]).strip()
    lines = Sentences(across_lines=False).pieces(texts)
    every = [line for string in strings for line in string.split("\n")]
    assert len(lines.start) == sentences(Texts.from_strings(every)).sum()


@pytest.mark.parametrize("normalize", ["none", "lower", "words"])
@pytest.mark.parametrize(
    ("other", "forms"),
    [
        ("He said 1 word. Σ is ΟΡΟΣ.", ("none", "lower", "words")),
        ("HE said 1\n word.\u3000Σ is ορος.", ("lower", "words")),
        ("he said: 1 word! - Σ is ορος", ("words",)),
        ("He said 2 words. Σ is ΟΡΟΣ.", ()),
        ("Σ is ΟΡΟΣ. He said 1 word.", ()),
        ("He said 1 word. Σ is ΟΡΟΣ. So", ()),
    ],
)
def test_what_is_equal_under_which_normal_form(normalize: Any, other: str, forms: tuple[str, ...]) -> None:
    left = dedup(Sentences(normalize=normalize), ["He said 1 word. Σ is ΟΡΟΣ.", other])
    assert (left[1] == "") is (normalize in forms)


@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_text(strings: list[str]) -> None:
    documents = Texts.from_strings(strings).to_list()  # without lone surrogates
    for step in (Sentences(), Sentences(span=1, normalize="words"), Sentences(across_lines=False, keep="none")):
        twice = dedup(step, documents + documents)
        assert all(not text.strip() for text in twice[len(documents) :])
    once = dedup(Sentences(span=1), documents)
    every = Counter(form for text in documents for form in map(_lower, split(text)))
    assert Counter(form for text in once for form in map(_lower, split(text))) <= every


def _lower(sentence: str) -> str:
    return normal_form(Texts.from_strings([sentence]), "whitespace").to_list()[0].lower()


@pytest.mark.parametrize("keep", ["first", "none"])
def test_no_copies_all_copies_and_nothing_at_all(keep: Keep) -> None:
    alone = [f"It is {n}. And {n} it is! Or {n}?\n\nNo, {n}. " for n in range(50)]
    step = Sentences(keep=keep)
    assert dedup(step, alone) == alone
    assert dedup(step, alone[:1] * 50) == [alone[0] if keep == "first" else ""] + [""] * 49
    assert dedup(step, [""] * 9 + [" \n"]) == [""] * 9 + [" \n"]
    assert dedup(step, []) == []
    assert dedup(step, ["It is so. " * 100_000]) == ["It is so."]


@pytest.mark.parametrize("step", [Sentences(), Sentences(1, "words"), Sentences(across_lines=False)], ids=repr)
def test_hostile_texts_alone_and_together(step: Sentences) -> None:
    texts = Texts.from_strings(HOSTILE)
    pieces = step.pieces(texts)
    keys = step.keys(texts, pieces)
    for n, text in enumerate(HOSTILE):
        alone = Texts.from_strings([text])
        here = slice(pieces.first[n], pieces.first[n + 1])
        found = step.pieces(alone)
        assert (found.covers == pieces.covers[here]).all()
        assert (step.keys(alone, found) == keys[here]).all()
    left = dedup(step, HOSTILE + HOSTILE[::-1])
    assert not any(text.strip() for text in left[len(HOSTILE) :])


def test_long_texts() -> None:
    size = 1 << 20
    for text in (
        "x" * 4 * size,
        "é" * size,
        "A b. " * (size >> 3),
        ". " * size,
        "Σ\n" * size,
        "།" * size,
        " " * size + "x",
    ):
        left = dedup(Sentences(), ["Y is.", text, text])
        assert left[0] == "Y is."
        assert not left[2].strip()


@pytest.mark.parametrize(("name", "value"), [("normalize", "ccnet"), ("keep", "longest"), ("span", 0), ("span", 101)])
def test_options_that_are_not_allowed(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"sentences: {name}"):
        Sentences(**{name: value})  # type: ignore[arg-type]
