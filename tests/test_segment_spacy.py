"""spaCy's English tokens: spaCy's own answers, and a plain Python oracle of its rules."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpusmill.segment_spacy_rules import (
    ALPHA,
    CURRENCY,
    DOT_BEHIND,
    ICON,
    LOWER,
    PREFIX,
    QUOTE,
    SUFFIX,
    UNITS,
    UPPER,
    WORD,
    spacy_classes,
    special_cases,
)
from corpusmill.text import Spans, Texts

GOLDEN = json.loads((Path(__file__).parent / "filters" / "golden" / "spacy_words.json").read_text("utf-8"))["cases"]


def chars_of(flag: np.uint16) -> str:
    """The characters with a flag as the inside of a class of `re`."""
    codes = np.flatnonzero(spacy_classes() & flag)
    breaks = np.flatnonzero(np.diff(codes) > 1) + 1
    runs = [(int(run[0]), int(run[-1])) for run in np.split(codes, breaks)]
    return "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in runs)


def compile_rules() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Prefix, suffix, infix, URL."""
    names = (ALPHA, LOWER, UPPER, ICON, PREFIX, SUFFIX, QUOTE, DOT_BEHIND, CURRENCY, WORD)
    alpha, lower, upper, icon, prefix, suffix, quote, dot, currency, word = map(chars_of, names)
    units = "|".join(map(re.escape, UNITS))
    host = r"[A-Za-z0-9\u00a1-\uffff]"
    octet = r"(?:\.(?:1?[0-9]{1,2}|2[0-4][0-9]|25[0-5]))"
    return (
        re.compile(rf"\+(?![0-9])|\.\.+|US\$|C\$|A\$|[{prefix}]"),
        re.compile(
            rf"(?:……|['’][sS]|\.\.+|(?<=[0-9])(?:{units}|[{currency}]|US\$|C\$|A\$|\+)|(?<=°[FCK])\.|(?<=[{dot}])\."
            rf"|(?<=[{upper}][{upper}])\.|[{suffix}])\Z"
        ),
        re.compile(
            rf"\.\.+|…|[{icon}]|(?<=[0-9])[-+*^](?=[0-9-])|(?<=[{lower}{quote}])\.(?=[{upper}{quote}])"
            rf"|(?<=[{alpha}]),(?=[{alpha}])|(?<=[{alpha}0-9])(?:---?|-|–|——?|~|[:<>=/])(?=[{alpha}])"
        ),
        re.compile(
            rf"(?s)(?:[{word}+.-]{{2,}}://)?(?:.+@)?"
            rf"(?:(?!(?:10|127)(?:\.[0-9]+){{3}})(?!(?:169\.254|192\.168|172\.(?:1[6-9]|2[0-9]|3[01]))(?:\.[0-9]+){{2}})"
            rf"(?:[1-9][0-9]?|1[0-9]{{2}}|2[01][0-9]|22[0-3]){octet}{{2}}\.(?:[1-9][0-9]?|1[0-9]{{2}}|2[0-4][0-9]|25[0-4])"
            rf"|(?:(?:{host}(?:{host}|[_-]){{0,62}})?{host}\.)+[{lower}]{{2,63}})(?::[0-9]{{2,5}})?(?:[/?#].*)?"
        ),
    )


PREFIXES, SUFFIXES, INFIXES, URL = compile_rules()


def chunk_tokens(chunk: str, cases: dict[str, tuple[str, ...]]) -> list[str]:
    """The tokens of a chunk before cases across tokens are joined."""
    front: list[str] = []
    back: list[str] = []
    while chunk and chunk not in cases:
        found = PREFIXES.match(chunk)
        prefix = found.group() if found else ""
        if prefix and chunk[len(prefix) :] in cases:
            front.append(prefix)
            chunk = chunk[len(prefix) :]
            break
        found = SUFFIXES.search(chunk[len(prefix) :])
        suffix = found.group() if found else ""
        if suffix and chunk[: -len(suffix)] in cases:
            back.append(suffix)
            chunk = chunk[: -len(suffix)]
            break
        if not prefix and not suffix:
            break
        front += [prefix] if prefix else []
        back += [suffix] if suffix else []
        chunk = chunk[len(prefix) : len(chunk) - len(suffix)]
    middle = list(cases.get(chunk, [chunk] if chunk else []))
    if chunk and chunk not in cases and not URL.fullmatch(chunk):
        cuts = [(found.start(), found.end()) for found in INFIXES.finditer(chunk) if found.start()]
        edges = [0, *(edge for cut in cuts for edge in cut), len(chunk)]
        middle = [chunk[a:b] for a, b in pairwise(edges) if a < b]
    return front + middle + back[::-1]


PATTERNS = {tuple(chunk_tokens(text, {})): pieces for text, pieces in special_cases().items()}


def oracle(text: str) -> list[str]:
    """What `Texts.spacy_words` should be."""
    tokens: list[str] = []
    glued: list[int] = []  # how a token follows the one before: 0 in the same chunk, 1 behind a space, 2 otherwise
    for found in re.finditer(r"(\s*)(\S+)", text):
        new = chunk_tokens(found[2], special_cases())
        tokens += new
        glued += [1 if found[1] == " " else 2, *([0] * (len(new) - 1))]
    matches = []
    for a in range(len(tokens)):
        for b in range(a + 2, min(a + 12, len(tokens)) + 1):
            if glued[b - 1] == 2:
                break
            if tuple(tokens[a:b]) in PATTERNS:
                matches.append((a - b, a, b))
    seen: set[int] = set()
    chosen = {}
    for _, a, b in sorted(matches):
        if a not in seen and b - 1 not in seen and not any(glued[a + 1 : b]):
            chosen[a] = b
        seen.update(range(a, b))
    out: list[str] = []
    k = 0
    while k < len(tokens):
        b = chosen.get(k, k + 1)
        out += PATTERNS[tuple(tokens[k:b])] if k in chosen else [tokens[k]]
        k = b
    return out


def tokens_of(texts: Texts) -> list[list[str]]:
    spans: Spans = texts.spacy_words
    data = texts.data.tobytes()
    whole = [data[a:b].decode() for a, b in zip(spans.start, spans.stop, strict=True)]
    return [whole[a:b] for a, b in zip(spans.first[:-1], spans.first[1:], strict=True)]


PIECES = st.one_of(
    st.sampled_from(sorted(special_cases())),
    st.sampled_from([*UNITS, *".,:;!?…()[]'\"’“<>=/-+*^~%$€§_#&@|", "..", "--", "——", "US$", "A$", "'s", "’S", "……"]),
    st.sampled_from(["http://", "www.", "a.co", "x.com", ":80", "/p?q", "8.8.8.8", "10.0.0.1", "1", "23", "°C.", "\0"]),
    st.sampled_from(["a", "B", "Cd", "éA", "Ж", "日", "ア", "ع", "☃", "©", " ", " ", "\n", "\u00a0", "\u0301", "²"]),
    st.characters(exclude_categories=["Cs"], max_codepoint=0x2FFFF),
)
TEXTS = st.lists(st.lists(PIECES, max_size=14).map("".join), max_size=4)


@given(TEXTS)
@example(["Mr.", "x-Mr. y", "a-:) b", ": ) )", "10a.m. x-10a.m.", "°C. x°C.", "5m\0"])
@example(
    ["a.b.c:99999/x", "a.bc:123456", "x@y.com", "@y.com", "ab://x.yz", "a://x.yz", "1.2.3.4:80", "0.2.3.4/", "2.3.4.0/"]
)
def test_tokens_are_those_of_the_rules(strings: list[str]) -> None:
    assert tokens_of(Texts.from_strings(strings)) == [oracle(string) for string in strings]


@pytest.mark.parametrize("batch", [1, len(GOLDEN)])
def test_tokens_are_those_spacy_gave(batch: int) -> None:
    for k in range(0, len(GOLDEN), batch):
        texts, tokens = zip(*GOLDEN[k : k + batch], strict=True)
        assert tokens_of(Texts.from_strings(texts)) == list(tokens)


def test_every_special_case_has_its_pieces() -> None:
    assert len(special_cases()) > 1300
    texts = Texts.from_strings(list(special_cases()))
    assert tokens_of(texts) == [list(pieces) for pieces in special_cases().values()]


@pytest.mark.parametrize("unit", ["(", ".", "a.", "'s", ":-)", "@", "a.b@", "-", "…", "日", "¯", "1.", "US$"])
def test_a_long_chunk_takes_time_linear_in_its_length(unit: str) -> None:
    count = 1_000_000 // len(unit.encode())
    texts = Texts.from_strings([unit * count, "word", unit])
    words = texts.spacy_words
    assert words.first[2] - words.first[1] == 1
    data = texts.data.tobytes()
    assert (
        b"".join(data[a:b] for a, b in zip(words.start[: words.first[1]], words.stop, strict=False))
        == data[: len(unit.encode()) * count]
    )


def test_hostile_texts_have_tokens() -> None:
    strings = ["", " ", "\0", "\ud800", "\u202e\u0301", "a" * 100_000, "\u0301" * 1000, "\r\n\t\v\f"]
    assert [len(tokens) for tokens in tokens_of(Texts.from_strings(strings))] == [0, 0, 1, 1, 1, 1, 1, 0]
