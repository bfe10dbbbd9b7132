"""Sentences as NLTK's Punkt and spaCy's sentencizer count them: what those give, and what must hold for any text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.filters.c4 import spacy_sentences
from corpusmill.filters.c4.c4 import C4
from corpusmill.filters.c4.punkt import count_sentences
from corpusmill.filters.c4.punkt_words import (
    ABBREVIATION,
    FILES,
    LOWER_EVER,
    STARTER,
    Words,
    build_words,
    find_flags,
    hash_lower,
    own_words,
    read_words,
)
from corpusmill.folding import lower, lower_codes, uppercase
from corpusmill.text import Texts
from corpusmill.unicode import char_classes

GOLDEN: Mapping[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "c4_sentences.json").read_text())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("punkt")
    for name, lines in GOLDEN["model"].items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def count(text: str, words: Words | None = None) -> int:
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    tables = (char_classes(), lower_codes(), uppercase())
    return int(count_sentences(data, 0, len(data), own_words() if words is None else words, tables))


def test_nltk_counts_the_same_with_the_same_model(model: Path) -> None:
    words = read_words(str(model))
    differing = [t for t, n in zip(GOLDEN["texts"], GOLDEN["tiny"], strict=True) if count(t, words) != n]
    assert all(regex.search("[\x1c-\x1f]", text) for text in differing)  # NLTK 3.10 does not call them white space
    assert len(differing) == 2


def test_the_short_list_of_words_is_near_the_english_model() -> None:
    """Texts made to be hard: on real ones 99.9 % have the same number."""
    given = zip(GOLDEN["texts"], GOLDEN["english"], strict=True)
    assert sum(count(text) == n for text, n in given) >= 0.97 * len(GOLDEN["texts"])


def test_datatrove_counts_the_same() -> None:
    lines = [[line for line in map(str.strip, text.split("\n")) if line] for text in GOLDEN["texts"]]
    texts = Texts.from_strings(["\n".join(each) for each in lines])
    found = spacy_sentences.count_sentences(texts.data, texts.offsets, np.array([len(each) for each in lines]))
    assert found.tolist() == GOLDEN["spacy"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", 0),
        (" \t", 0),
        ("One", 1),
        ("One. two", 2),
        ("Really?! Yes.", 2),
        ('"One." Two.', 2),
        ("(One.) Two.", 2),
        ("One.)Two.", 2),
        ("One.Two.", 1),
        ("One.\u00a0Two.", 2),
        ("Dr. Smith met Mr. J. R. Jones.", 1),
        ("In the U.S. army it is so.", 1),
        ("In the U.S. The army is there.", 2),
        ("It was No. 5 in May.", 2),
        ("We saw 5. in all.", 1),
        ("We saw 5. The end.", 2),
        ("Wait... what? Well... This is it.", 3),
        ("你好。世界！ 好", 1),
        ("one . . . two", 4),
        ('He said "No." -- and left.', 2),
    ],
)
def test_sentences(text: str, sentences: int) -> None:
    assert count(text) == sentences


PIECES = st.one_of(
    st.sampled_from(
        [". ", ".", "?", "! ", '."', ".) ", " ", "\n", "...", ". . .", "--", "J. ", "Mr. ", "5. ", "-", ",", "’"]
    ),
    st.sampled_from(["The", "the", "word", "Word", "e.g.", "é", "İ", "Σ", "\x1f", "\u3000", "U.S."]),
    st.characters(exclude_categories=["Cs"]),
)


@settings(deadline=None)
@given(text=st.lists(PIECES, max_size=30).map("".join), around=st.tuples(PIECES, PIECES))
def test_what_lies_around_a_text_does_not_matter(text: str, around: tuple[str, str]) -> None:
    before, after = (side.encode() for side in around)
    data = np.frombuffer(before + text.encode() + after, dtype=np.uint8)
    tables = (char_classes(), lower_codes(), uppercase())
    found = count_sentences(data, len(before), len(data) - len(after), own_words(), tables)
    assert found == count(text)
    assert found <= 1 + len(regex.findall("[.?!]", text))
    assert (found == 0) == (not text.strip())


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8))
def test_words_are_found_in_any_case(word: str) -> None:
    words = build_words({"other": STARTER, word: ABBREVIATION, "more": LOWER_EVER}, [("a", "b")])
    for spelling in (word, lower(word)):
        data = np.frombuffer(spelling.encode(), dtype=np.uint8)
        assert find_flags(words, np.uint64(hash_lower(data, 0, len(data), lower_codes()))) & ABBREVIATION


def test_a_model_that_changes_is_read_again(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_text("")
    for abbreviations, sentences in (("", 2), ("xyz\n", 1)):
        (tmp_path / FILES[0]).write_text(abbreviations)
        step = C4(sentence_model=str(tmp_path), min_line_words=None)
        found = step.measure(Texts.from_strings(["About Xyz. it is."]), None)
        assert found.signals["c4.sentences"].tolist() == [sentences]


def test_a_model_without_its_files_is_refused(tmp_path: Path, model: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file abbrev_types\.txt; wanted a folder such as punkt_tab/english"):
        C4(sentence_model=str(tmp_path)).files()
    for name in FILES:
        (tmp_path / name).write_text("word\tmany\n")
    with pytest.raises(ConfigError, match=r"ortho_context\.tab: got \['word', 'many'\]; wanted a word, a tab"):
        read_words(str(tmp_path))
    assert [Path(path).name for path in C4(sentence_model=str(model)).files()] == list(FILES)
