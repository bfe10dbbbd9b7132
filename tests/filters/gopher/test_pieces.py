"""Lines and paragraphs cut in other tools' ways, against `str.split`, `re.split` and `str.splitlines`."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpusmill.filters.gopher.pieces import Break, cut
from corpusmill.text import Spans, Texts

TEXT = st.lists(
    st.sampled_from(
        ["a", "bé", " ", "\t", "\n", "\n", "\n\n", "\r", "\r\n", "\x0b", "\x1c", "\x85", "\u2028", "日", "…"]
    ),
    max_size=25,
).map("".join)
BREAKS: dict[Break, str] = {"\n": r"\n", "\n+": r"\n+", "\n\n": r"\n\n", "\n\n+": r"\n{2,}"}


def strings(texts: Texts, pieces: Spans) -> list[list[str]]:
    found = [texts.data[a:b].tobytes().decode() for a, b in zip(pieces.start, pieces.stop, strict=True)]
    assert [len(piece) for piece in found] == pieces.chars.tolist()
    assert len(set(found)) == len(set(pieces.hash.tolist()))
    return [found[a:b] for a, b in zip(pieces.first, pieces.first[1:], strict=False)]


def oracle(text: str, at: Break, whole: bool, strip: bool, blank: bool) -> list[str]:
    text = text if whole else text.strip()
    pieces = text.splitlines() if at == "splitlines" else re.split(BREAKS[at], text)
    pieces = [piece for piece in pieces if blank or piece.strip()]
    return [piece.strip() if strip else piece for piece in pieces]


@pytest.mark.parametrize("at", [*BREAKS, "splitlines"])
@given(st.lists(TEXT, max_size=4), st.booleans(), st.booleans(), st.booleans())
@example(["", "\n", "a", "\n\n\n", "a\n\n\nb\n", "a\r\nb\r"], True, False, True)
@example([" \n a \n\n ", ""], False, False, True)
def test_pieces_are_those_of_python(at: Break, texts: list[str], whole: bool, strip: bool, blank: bool) -> None:
    given = Texts.from_strings(texts)
    found = strings(given, cut(given, at, whole=whole, strip=strip, blank=blank))
    assert found == [oracle(text, at, whole, strip, blank) for text in texts]


def test_one_line_of_sixteen_megabytes() -> None:
    texts = Texts.from_strings(["x" * (1 << 24), "\n" * 1_000_000])
    assert cut(texts, "\n\n").counts.tolist() == [1, 500_001]
