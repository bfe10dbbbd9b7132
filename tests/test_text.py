"""Words, lines, paragraphs and hashes against plain Python."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpusmill.errors import InputError
from corpusmill.scan import find_newline, skip_space, trim_space
from corpusmill.text import Spans, Texts
from corpusmill.unicode import ALPHABETIC, DECIMAL, LOWERCASE, SENTENCE_TERMINAL, char_before, char_classes, decode

SPACES = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000"
PIECES = st.one_of(
    st.sampled_from(
        ["a", "the", "eightbyt", "nine byte", "seventeen-letters", "\n", "\n\n", "\r\n", " ", "\0", "\u200b"]
    ),
    st.sampled_from(
        ["é", "日本語", "👍🏽", "a\u0301", "\u0634\u0628", "\u180e", "\ufeff", "\U0010ffff", "\xc2", "á", "ㅤ"]
    ),
    st.sampled_from(list(SPACES)),
    st.characters(exclude_categories=["Cs"]),
)
TEXT = st.lists(PIECES, max_size=40).map("".join)
TEXTS = st.lists(TEXT, max_size=5)


def pieces(texts: Texts, spans: Spans) -> list[list[str]]:
    """The strings of each document's spans."""
    data = texts.data.tobytes()
    whole = [data[a:b].decode() for a, b in zip(spans.start, spans.stop, strict=True)]
    return [whole[a:b] for a, b in zip(spans.first[:-1], spans.first[1:], strict=True)]


def check_hashes(texts: Texts, spans: Spans) -> None:
    """Equal bytes and only those have equal hashes, and chars are code points."""
    flat = [piece for document in pieces(texts, spans) for piece in document]
    assert [len(piece) for piece in flat] == spans.chars.tolist()
    assert len(set(flat)) == len(set(spans.hash.tolist())) == len(set(zip(flat, spans.hash.tolist(), strict=True)))


@settings(deadline=None)
@given(TEXTS)
@example(["", " ", "a", " a ", "a" * 8, "a" * 9 + "\0", "\0"])
@example([SPACES.join("abcdefgh"), "x" + SPACES])
def test_words_are_those_of_str_split(strings: list[str]) -> None:
    texts = Texts.from_strings(strings)
    assert pieces(texts, texts.words) == [string.split() for string in strings]
    check_hashes(texts, texts.words)


@settings(deadline=None)
@given(TEXTS)
@example(["can't it's", "can't", "ab", "a b"])
def test_segments_have_hashes_of_their_bytes(strings: list[str]) -> None:
    texts = Texts.from_strings(strings)
    for spans in (texts.script_words, texts.spacy_words):
        check_hashes(texts, spans)
        assert (spans.start[1:] >= spans.stop[:-1]).all()
    assert ["".join(tokens) for tokens in pieces(texts, texts.spacy_words)] == ["".join(s.split()) for s in strings]


@settings(deadline=None)
@given(TEXTS)
@example(["a\n\nb", " a \n b\u3000\n\u2003", "\n\n", "x" * 100 + "\n"])
def test_lines_are_stripped_and_not_blank(strings: list[str]) -> None:
    texts = Texts.from_strings(strings)
    expected = [[line.strip() for line in string.split("\n") if line.strip()] for string in strings]
    assert pieces(texts, texts.lines) == expected
    check_hashes(texts, texts.lines)


@settings(deadline=None)
@given(TEXTS)
@example(["a\nb\n\nc\n \nd", " a \nb\n\n\na\n b", "\n\na"])
def test_paragraphs_lie_between_blank_lines(strings: list[str]) -> None:
    texts = Texts.from_strings(strings)
    expected = []
    for string in strings:
        stripped = "\n".join(line.strip() for line in string.split("\n")).strip("\n")
        expected.append([paragraph for paragraph in re.split(r"\n{2,}", stripped) if paragraph])
    found = texts.paragraphs
    got = [["\n".join(line.strip() for line in p.split("\n")) for p in d] for d in pieces(texts, found)]
    assert got == expected
    flat = [paragraph for document in expected for paragraph in document]
    assert found.chars.tolist() == [len(paragraph) for paragraph in flat]
    assert len(set(flat)) == len(set(found.hash.tolist())) == len(set(zip(flat, found.hash.tolist(), strict=True)))


@settings(deadline=None)
@given(TEXTS, TEXT)
def test_a_batch_is_only_its_texts(strings: list[str], other: str) -> None:
    alone = Texts.from_strings(strings)
    array = pa.array([other, *strings, other], pa.large_string())
    inside = Texts.from_arrow(array.slice(1, len(strings)))
    assert inside.to_list() == strings
    assert inside.chars.tolist() == [len(string) for string in strings]
    assert inside.bytes.tolist() == [len(string.encode()) for string in strings]
    for name in ("words", "lines", "paragraphs", "script_words", "spacy_words"):
        a, b = getattr(alone, name), getattr(inside, name)
        assert a.hash.tolist() == b.hash.tolist()
        assert a.chars.tolist() == b.chars.tolist()
        assert a.first.tolist() == b.first.tolist()


def test_hashes_are_fixed() -> None:
    texts = Texts.from_strings(["word", "longer than eight bytes"])
    assert [hex(value) for value in texts.lines.hash] == ["0x6896d5958c9ff07f", "0xa04314e6bc181490"]


def test_lone_surrogates_become_replacement_characters() -> None:
    assert Texts.from_strings(["a\ud800b", "c"]).to_list() == ["a\ufffdb", "c"]


def test_null_texts_are_refused() -> None:
    with pytest.raises(InputError, match="null"):
        Texts.from_arrow(pa.array(["a", None], pa.large_string()))


def test_string_and_chunked_columns_are_read() -> None:
    assert Texts.from_arrow(pa.chunked_array([["a"], ["b", ""]], pa.string())).to_list() == ["a", "b", ""]
    assert Texts.from_arrow(pa.array([], pa.large_string())).words.counts.tolist() == []


@settings(deadline=None)
@given(TEXT)
def test_helpers_at_every_position(string: str) -> None:
    data = np.frombuffer(string.encode(), dtype=np.uint8)
    position = 0
    for k, char in enumerate(string):
        rest = string[k:]
        if "\n" in rest:
            assert find_newline(data, position, len(data)) == position + len(rest.split("\n")[0].encode())
        else:
            assert find_newline(data, position, len(data)) == len(data)
        assert skip_space(data, position, len(data)) == len(data) - len(rest.lstrip().encode())
        assert trim_space(data, position, len(data)) == position + len(rest.rstrip().encode())
        assert decode(data, position, len(data)) == (ord(char), len(char.encode()))
        position += len(char.encode())
        assert char_before(data, 0, position) == position - len(char.encode())


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=6))
def test_decoding_stays_inside_whatever_the_bytes(raw: bytes) -> None:
    data = np.frombuffer(raw, dtype=np.uint8)
    code, length = decode(data, 0, len(data))
    assert 0 <= code < 0x110000
    assert 1 <= length <= len(data)


@pytest.mark.parametrize(
    ("flag", "members", "others"),
    [
        (ALPHABETIC, "aZßд日אाⅷ𐐀", "1_-.\u0301 €👍\0"),
        (SENTENCE_TERMINAL, ".!?…。！？؟।።⁇", ",;:\"')」a "),
        (DECIMAL, "0٣९９", "½²Ⅷa"),
        (LOWERCASE, "aßдª", "AД日1"),
    ],
)
def test_character_classes(flag: np.uint8, members: str, others: str) -> None:
    classes = char_classes()
    assert all(classes[ord(char)] & flag for char in members)
    assert not any(classes[ord(char)] & flag for char in others)


def test_every_character_has_the_property_that_regex_says() -> None:
    classes = char_classes()
    for code in range(0, 0x110000, 7):
        if not 0xD800 <= code < 0xE000:
            assert bool(classes[code] & ALPHABETIC) == bool(regex.match(r"\p{Alphabetic}", chr(code)))


@given(st.lists(st.tuples(st.text(max_size=60), st.booleans()), max_size=12))
def test_kept_texts_have_the_words_and_lines_they_would_have_alone(rows: list[tuple[str, bool]]) -> None:
    texts = Texts.from_strings([text for text, _ in rows])
    keep = np.array([kept for _, kept in rows], dtype=np.bool_)
    _ = texts.words, texts.lines, texts.script_words, texts.spacy_words
    kept = texts.where(keep, texts.to_arrow().filter(pa.array(keep)))
    alone = Texts.from_strings([text for text, kept in rows if kept])
    assert kept.to_list() == alone.to_list()
    for name in ("words", "lines", "script_words", "spacy_words"):
        assert name in kept.__dict__
        ours, theirs = getattr(kept, name), getattr(alone, name)
        shift = int(kept.offsets[0] - alone.offsets[0])
        assert (ours.start - shift).tolist() == theirs.start.tolist()
        assert (ours.stop - shift).tolist() == theirs.stop.tolist()
        for column in ("chars", "hash", "first"):
            assert getattr(ours, column).tolist() == getattr(theirs, column).tolist()
