"""Gopher's repetition signals against plain Python in both dialects, and its rules at their bounds."""

from __future__ import annotations

import re
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.filters.gopher_repetition import GopherRepetition
from corpusmill.rules import judge
from corpusmill.text import Texts

PAPER, DATATROVE = GopherRepetition(), GopherRepetition(dialect="datatrove")
WORDS = st.sampled_from(["a", "b", "é", "longer", "日本", "\n", "\n\n", "\n \n", " ", "\x85", "x y z w v", "\0"])
TEXT = st.lists(WORDS, max_size=80).map(" ".join)


def measure(strings: list[str], step: GopherRepetition = PAPER) -> list[dict[str, float]]:
    found = step.measure(Texts.from_strings(strings), None)  # type: ignore[arg-type]
    assert set(found.signals) == set(step.signals())
    names = [name.removeprefix("gopher_repetition.") for name in found.signals]
    return [
        dict(zip(names, row, strict=True)) for row in zip(*(v.tolist() for v in found.signals.values()), strict=True)
    ]


def failed(text: str, step: GopherRepetition = PAPER) -> set[str]:
    found = step.measure(Texts.from_strings([text]), None)  # type: ignore[arg-type]
    verdict = judge(step.rules(), {name: pa.array(values) for name, values in found.signals.items()}, 1)
    return {reason.split(":")[0].removeprefix("gopher_repetition.") for reason in verdict.reasons.to_pylist()[0]}


def copies(pieces: list[str]) -> tuple[int, int]:
    seen: set[str] = set()
    count = chars = 0
    for piece in pieces:
        count += piece in seen
        chars += len(piece) * (piece in seen)
        seen.add(piece)
    return count, chars


def top(grams: list[tuple[str, ...]], literal: bool) -> int:
    counts = Counter(grams)
    if not counts:
        return 0
    if literal:
        gram, count = counts.most_common(1)[0]
        return len(" ".join(gram)) * count
    gram, count = max(counts.items(), key=lambda item: (item[1], len("".join(item[0]))))
    return len("".join(gram)) * count if count > 1 else 0


def covered(words: list[str], grams: list[tuple[str, ...]], n: int) -> int:
    counts = Counter(grams)
    places = {i + k for i, gram in enumerate(grams) if counts[gram] > 1 for k in range(n)}
    return sum(len(words[i]) for i in places)


def skipping(grams: list[tuple[str, ...]], n: int) -> int:
    seen = set()
    total = i = 0
    while i < len(grams):
        if grams[i] in seen:
            total += len("".join(grams[i]))
            i += n
        else:
            seen.add(grams[i])
            i += 1
    return total


def oracle(text: str, literal: bool) -> dict[str, float]:
    words = text.split()
    rows = [line.strip() for line in text.split("\n")]
    lines = [row for row in rows if row]
    paragraphs = [p for p in re.split(r"\n{2,}", "\n".join(rows).strip("\n")) if p]
    wholes = [sum(map(len, pieces)) for pieces in (lines, paragraphs, words)]
    if literal:
        wholes = [len(text)] * 3
    line, paragraph = copies(lines), copies(paragraphs)
    result = {
        "duplicate_line_fraction": line[0] / max(len(lines), 1),
        "duplicate_paragraph_fraction": paragraph[0] / max(len(paragraphs), 1),
        "duplicate_line_char_fraction": line[1] / max(wholes[0], 1),
        "duplicate_paragraph_char_fraction": paragraph[1] / max(wholes[1], 1),
    }
    for n in range(2, 11):
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        if n < 5:
            result[f"top_{n}gram_char_fraction"] = min(1.0, top(grams, literal) / max(wholes[2], 1))
        else:
            chars = skipping(grams, n) if literal else covered(words, grams, n)
            result[f"duplicate_{n}gram_char_fraction"] = chars / max(wholes[2], 1)
    return result


@pytest.mark.parametrize("step", [PAPER, DATATROVE], ids=["paper", "datatrove"])
@settings(deadline=None)
@given(strings=st.lists(TEXT, max_size=4))
@example(strings=["", " ", "a", "a b", "a " * 30, "a b c d e f g h i j " * 2, "ab c a bc " * 3])
@example(strings=["one two three\nfour\n\n" * 4, " one \none\n \n one\none", "x y x y z z z z"])
def test_signals_are_those_of_plain_python(step: GopherRepetition, strings: list[str]) -> None:
    assert measure(strings, step) == [oracle(string, step.dialect == "datatrove") for string in strings]


@pytest.mark.parametrize("step", [PAPER, DATATROVE], ids=["paper", "datatrove"])
@settings(deadline=None)
@given(strings=st.lists(TEXT, min_size=2, max_size=4))
def test_neighbours_change_nothing(step: GopherRepetition, strings: list[str]) -> None:
    assert measure(strings[::-1], step)[::-1] == [measure([string], step)[0] for string in strings]


@pytest.mark.parametrize("step", [PAPER, DATATROVE], ids=["paper", "datatrove"])
def test_one_word_a_million_times(step: GopherRepetition) -> None:
    found = measure(["word " * 1_000_000, "word\n" * 1000], step)
    assert all(found[0][f"top_{n}gram_char_fraction"] == 1.0 for n in (2, 3, 4))
    assert all(found[0][f"duplicate_{n}gram_char_fraction"] > 0.79 for n in range(5, 11))
    assert found[1]["duplicate_line_fraction"] == 0.999


def test_words_that_run_together_alike_are_not_equal() -> None:
    assert measure(["ab c d e f / a bc d e f"])[0]["duplicate_5gram_char_fraction"] == 0


def test_the_longest_of_the_most_frequent_counts() -> None:
    text = "aa bb 1 cccc dddd 2 aa bb 3 cccc dddd 4 aa bb 5 cccc dddd"
    assert measure([text])[0]["top_2gram_char_fraction"] == 24 / 41
    assert measure([text], DATATROVE)[0]["top_2gram_char_fraction"] == 15 / 57


@pytest.mark.parametrize("text", ["", " ", "\0", "lone \ud800"])
def test_nothing_repeats_in_nothing(text: str) -> None:
    assert set(measure([text])[0].values()) == {0.0}
    assert failed(text) == set()


def ngram_text(n: int, copied: int, total: int) -> str:
    """One-letter words, `total` of them; an n-gram of `copied` of them comes twice."""
    unique = iter(chr(0x4E00 + k) for k in range(total))
    gram = [next(unique) for _ in range(copied // 2)]
    rest = [next(unique) for _ in range(total - copied)]
    assert len(gram) >= n
    return " ".join([*gram, *rest[:1], *gram, *rest[1:]])


def lines(copied: int, total: int, end: str) -> str:
    """`total` pieces of four letters, `copied` of which repeat the first."""
    return end.join(["same"] * (copied + 1) + [f"{k:04}" for k in range(total - copied - 1)])


@pytest.mark.parametrize(
    ("rule", "kept", "dropped"),
    [
        ("max_duplicate_line_fraction", lines(30, 100, "\n"), lines(31, 100, "\n")),
        ("max_duplicate_paragraph_fraction", lines(30, 100, "\n\n"), lines(31, 100, "\n\n")),
        ("max_duplicate_line_char_fraction", lines(20, 100, "\n"), lines(21, 100, "\n")),
        ("max_duplicate_paragraph_char_fraction", lines(20, 100, "\n\n"), lines(21, 100, "\n\n")),
        ("max_top_2gram_char_fraction", ngram_text(2, 4, 20), ngram_text(2, 4, 19)),
        ("max_top_3gram_char_fraction", ngram_text(3, 6, 34), ngram_text(3, 6, 33)),
        ("max_top_4gram_char_fraction", ngram_text(4, 8, 50), ngram_text(4, 8, 49)),
        ("max_duplicate_5gram_char_fraction", ngram_text(5, 30, 200), ngram_text(5, 30, 199)),
        ("max_duplicate_6gram_char_fraction", ngram_text(6, 14, 100), ngram_text(6, 14, 99)),
        ("max_duplicate_7gram_char_fraction", ngram_text(7, 26, 200), ngram_text(7, 26, 199)),
        ("max_duplicate_8gram_char_fraction", ngram_text(8, 24, 200), ngram_text(8, 24, 199)),
        ("max_duplicate_9gram_char_fraction", ngram_text(9, 22, 200), ngram_text(9, 22, 199)),
        ("max_duplicate_10gram_char_fraction", ngram_text(10, 20, 200), ngram_text(10, 20, 199)),
    ],
)
def test_a_value_at_the_bound_is_kept_and_one_beyond_is_not(rule: str, kept: str, dropped: str) -> None:
    assert rule not in failed(kept)
    assert rule in failed(dropped)
    assert rule not in failed(dropped, GopherRepetition(**{rule: None}))


@pytest.mark.parametrize("options", [{"dialect": "dolma"}, {"max_top_2gram_char_fraction": 20}])
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=rf"gopher_repetition: {next(iter(options))} = .*; wanted"):
        GopherRepetition(**options)  # type: ignore[arg-type]
