"""ROOTS against vectors of its own code, and its kernels against plain Python."""

from __future__ import annotations

import json
from collections import Counter
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.filters.heuristics import ngram_counts
from corpusmill.filters.heuristics.roots import LATER, PARAMETERS, PARTS, Roots
from corpusmill.filters.heuristics.special_characters import JUICER, ROOTS, special_characters
from corpusmill.filters.heuristics.stripped_words import hash_list, shares, stripped_words
from corpusmill.filters.measure import measure
from corpusmill.rules import judge
from corpusmill.text import Texts

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "roots.json").read_text("utf-8"))
SPECIAL = {chr(code) for code in np.flatnonzero(special_characters() & ROOTS)}
SPACES = set(" \u2002\u2003\u2005\u2008\u2009\u200a\u202f\u3000\ufffc\x84")
PIECES = st.one_of(
    st.sampled_from(["mill", "The", " ", "  ", "\n", "\t", " \n\n", "http://x.y", "//", "www.", ".com", "x//y", "(a)"]),
    st.sampled_from(
        ["Г", "г", "İ", "ΟΔΟΣ", "ΣΑ", "'Σ'", "ø", "Ø", "é", "\u0301", "日本", "🙂", "\U0001fae8", "a" * 26]
    ),
    st.sampled_from(["." * 26, "\u3000", "\ufffc", "\x84", "\u2009", "\xa0", "\x85", "\r", "\x1c", "\0", "\u200b"]),
    st.characters(exclude_categories=["Cs"]),
)
TEXT = st.lists(PIECES, max_size=40).map("".join)


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("lists")
    paths = {}
    for name in ("stop_words", "flagged_words"):
        (folder / name).write_text("\n".join(GOLDEN[name]) + "\n\n", "utf-8")
        paths[name] = str(folder / name)
    return paths


def found(strings: list[str], step: Roots) -> list[dict[str, Any]]:
    measured = step.measure(Texts.from_strings(strings), None)  # type: ignore[arg-type]
    assert set(measured.signals) == set(step.signals())
    assert measured.texts is not None
    columns = {name.removeprefix("roots."): np.asarray(values).tolist() for name, values in measured.signals.items()}
    columns["text"] = measured.texts.to_list()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize("language", sorted(set(PARAMETERS) - {"zh"}))
def test_golden_vectors(language: str, lists: dict[str, str]) -> None:
    step = Roots(language=language, **lists)  # type: ignore[arg-type]
    rows = found([case["text"] for case in GOLDEN["cases"]], step)
    for row, case in zip(rows, GOLDEN["cases"], strict=True):
        wanted = case["en"] | case["others"].get(language, {})
        assert {name: row[name] for name in wanted} == wanted


def strip(word: str) -> str:
    while word and word[0] in SPECIAL:
        word = word[1:]
    while word and word[-1] in SPECIAL:
        word = word[:-1]
    return word


def cleaned(text: str) -> str:
    text = "".join(" " if c in SPACES else c for c in text.strip())
    lines = []
    for line in text.split("\n"):
        cells = []
        for cell in line.split("\t"):
            kept = []
            for word in cell.split(" "):
                inner = strip(word)
                long = len(word) > 25 and (not inner or len(inner) > 25)
                if word and not long and not any(part in inner for part in PARTS):
                    kept.append(word)
            cells.append(" ".join(kept))
        lines.append("\t".join(cell for cell in cells if cell))
    return "\n".join(line for line in lines if line)


def cut(text: str) -> list[str]:
    return [word for word in text.replace("\n", " ").replace("\t", " ").split(" ") if word]


def repetition(text: str, n: int) -> float:
    often = sorted(Counter(text[i : i + n] for i in range(len(text) - n + 1)).values(), reverse=True)
    return sum(often[: min(isqrt(len(often)), sum(k > 1 for k in often))]) / max(sum(often), 1)


def repeated_words(words: list[str], n: int) -> float:
    often = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1)).values()
    return sum(k for k in often if k > 1) / max(sum(often), 1)


def oracle(text: str) -> dict[str, Any]:
    new = cleaned(text)
    words = [word for word in map(strip, map(str.lower, cut(new))) if word]
    return {
        "text": new,
        "chars_removed": len(text) - len(new),
        "words": sum(bool(strip(word)) for word in cut(new)),
        "char_repetition_fraction": repetition(new, 10),
        "word_repetition_fraction": repeated_words(words, 5),
        "special_char_fraction": sum(c in SPECIAL for c in new) / max(len(new), 1),
        "stop_word_fraction": sum(word in GOLDEN["stop_words"] for word in words) / max(len(words), 1),
        "flagged_word_fraction": sum(word in GOLDEN["flagged_words"] for word in words) / max(len(words), 1),
    }


@given(st.lists(TEXT, max_size=4))
@example(["", " \n\t ", "ΟΔΟΣ' ΣΑΣ Σ ʹΣ", "a http\nb", "\ufffc a", "a  b\n\n\tc \t d" * 9])
def test_signals_are_those_of_plain_python(lists: dict[str, str], strings: list[str]) -> None:
    rows = found(strings, Roots(**lists))  # type: ignore[arg-type]
    for row, wanted in zip(rows, map(oracle, strings), strict=True):
        assert {name: row[name] for name in wanted} == wanted


@given(st.lists(TEXT, min_size=2, max_size=4))
def test_neighbours_change_nothing(lists: dict[str, str], strings: list[str]) -> None:
    step = Roots(language="vi", **lists)  # type: ignore[arg-type]
    assert found(strings[::-1], step)[::-1] == [found([string], step)[0] for string in strings]


@given(st.lists(st.sampled_from(["a", "b", "é", "日", " "]), max_size=60).map("".join), st.integers(1, 12))
def test_character_ngrams_are_counted_exactly(text: str, n: int) -> None:
    texts = Texts.from_strings([text, text + "x", ""])
    wanted = [repetition(each, n) for each in (text, text + "x", "")]
    assert ngram_counts.char_repetition(texts.data, texts.offsets, texts.chars, n).tolist() == wanted


def test_long_texts_are_counted_exactly() -> None:
    rng = np.random.default_rng(3)
    strings = ["".join(rng.choice(list("abc d\né日"), 90_000)), "ab" * 40_000, "x" * 100_000]
    strings.append(strings[0][:40_000] * 2)
    texts = Texts.from_strings(strings)
    ratios = ngram_counts.char_repetition(texts.data, texts.offsets, texts.chars, 6)
    assert ratios.tolist() == [repetition(string, 6) for string in strings]


@pytest.mark.parametrize("shift", [0, 8])
def test_keys_that_share_bits_are_counted_too(shift: int) -> None:
    keys = np.arange(70_000, dtype=np.uint64) << np.uint64(shift) | np.uint64(1 << 63)
    keys = np.concatenate([keys, keys[1:], np.full(200_000, keys[0])])
    _, parts, counts, table = ngram_counts._room(np.int64(len(keys)))
    different, repeated = ngram_counts._count(keys, parts, counts, table)
    assert (different, repeated) == (70_000, 70_000)
    assert Counter(counts[:repeated].tolist()) == {2: 69_999, 200_001: 1}


def failed(text: str, step: Roots) -> set[str]:
    measured = step.measure(Texts.from_strings([text]), None)  # type: ignore[arg-type]
    verdict = judge(step.rules(), {name: pa.array(values) for name, values in measured.signals.items()}, 1)
    return {reason.split(":")[0].removeprefix("roots.") for reason in verdict.reasons.to_pylist()[0]}


def words(n: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return " ".join(letters[i // 26 % 26] + letters[i % 26] + letters[i // 676] for i in range(n))


def test_a_value_at_its_bound_is_kept(tmp_path: Path) -> None:
    assert "min_words" not in failed(words(20), Roots())
    assert "min_words" in failed(words(19), Roots())
    assert "max_words" not in failed(words(30), Roots(max_words=30))
    assert "max_words" in failed(words(31), Roots(max_words=30))
    assert "max_special_char_fraction" not in failed("aaa##", Roots())
    assert "max_special_char_fraction" in failed("aa##", Roots())
    step = Roots(repeated_chars=1, max_char_repetition_fraction=0.5, repeated_words=1, max_word_repetition_fraction=0.5)
    assert "max_char_repetition_fraction" not in failed("aabc", step)
    assert "max_char_repetition_fraction" in failed("aaabc", step)
    assert "max_word_repetition_fraction" not in failed("a a b c", step)
    assert "max_word_repetition_fraction" in failed("a a b", step)
    (tmp_path / "stop").write_text("the")
    (tmp_path / "flagged.json").write_text('{"en": ["bad"], "fr": ["vilain"]}')
    step = Roots(stop_words=str(tmp_path / "stop"), flagged_words=str(tmp_path / "flagged.json"))
    assert "min_stop_word_fraction" not in failed(words(7) + " the The THE", step)
    assert "min_stop_word_fraction" in failed(words(8) + " the The THE", step)
    assert "max_flagged_word_fraction" not in failed(words(99) + " bad", step)
    assert "max_flagged_word_fraction" in failed(words(98) + " bad", step)


def test_words_are_removed_for_their_parts_and_their_length() -> None:
    row = found(["see www.mill.example " + "x" * 25 + "! " + "y" * 26 + " end"], Roots())[0]
    assert row["text"] == "see " + "x" * 25 + "! end"
    assert (row["parts_removed"], row["long_words_removed"]) == (1, 1)
    row = found(["a a\n\nb"], Roots(remove_parts=("a", "\u20ac-"), max_word_chars=None))[0]
    assert (row["text"], row["parts_removed"]) == ("b", 2)
    assert found([" a\u3000 http://b \n\n c "], Roots(language="default"))[0]["text"] == "a  http://b \n\n c"


def test_the_reason_shows_the_place_before_cleaning(lists: dict[str, str]) -> None:
    strings = ["fine", "\u3000é  http://x\n\n (Hell!) kill", "kill"]
    reasons = measure(strings, "roots", **lists)["reasons"].to_pylist()
    assert reasons[1][-1].endswith(', at 16-20: "Hell"')
    assert reasons[2][-1].endswith(', at 0-4: "kill"')
    assert not any("flagged" in reason for reason in reasons[0])


def test_pairs_of_words_are_looked_up_in_vietnamese() -> None:
    texts = Texts.from_strings(["Của tôi CỦA", "tôi", ""])
    found_words = stripped_words(texts, ROOTS)
    ratios, start, stop = shares(texts, found_words, hash_list(["tôi của", "tôi"]), " ")
    assert ratios.tolist() == [2 / 3, 1.0, 0.0]
    assert start.tolist() == [len("Của ".encode()), texts.offsets[1], -1]
    assert texts.data[start[0] : stop[0]].tobytes().decode() == "tôi"


def test_chinese_words_are_those_of_the_script() -> None:
    row = found(["磨坊在河边。"], Roots(language="zh"))[0]
    assert row["words"] == 5


def test_the_reason_shows_the_place_in_chinese(tmp_path: Path) -> None:
    (tmp_path / "flagged").write_text("坏\n", "utf-8")
    (reasons,) = measure(["磨坊坏。"], "roots", language="zh", flagged_words=str(tmp_path / "flagged"))["reasons"]
    assert reasons.as_py()[-1].endswith(', at 2-3: "坏"')


def test_letters_newer_than_the_running_python_have_lower_case() -> None:
    words = stripped_words(Texts.from_strings(["\u1c89 \u1c8a"]), ROOTS)  # Unicode 16
    assert words.hash[0] == words.hash[1]


def test_rules_without_a_list_are_off() -> None:
    names = [rule.name for rule in Roots().rules()]
    assert names[0] == "roots.min_words"
    assert not any("stop" in name or "flagged" in name for name in names)
    assert set(LATER) == set(PARAMETERS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"language": "xx"}, "wanted one of default, ar"),
        ({"stop_words": "/nowhere/list"}, "stopwords.py"),
        ({"flagged_words": "/nowhere/list"}, "flagged_words.py"),
        ({"max_special_char_fraction": 1.5}, "0 to 1"),
        ({"repeated_chars": 0}, "at least 1"),
        ({"remove_parts": ("",)}, "empty string"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Roots(**options).files()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", '{"fr": ["le"]}', "no words for 'en'; it has fr"),
        ("a.json", "[1]", "list of strings"),
        ("a.json", "{", "can't be read"),
        ("a.txt", "\n \n", "no words in it"),
    ],
)
def test_wrong_lists(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=message):
        Roots(stop_words=str(tmp_path / name)).files()


def test_the_two_sets_of_special_characters() -> None:
    table = special_characters()
    assert int((table & ROOTS != 0).sum()) == 1598
    assert [hex(code) for code in np.flatnonzero((table & ROOTS != 0) != (table & JUICER != 0))][:2] == [
        "0x1f6dc",
        "0x1fa75",
    ]


def test_hostile_texts_survive(lists: dict[str, str]) -> None:
    strings = [
        "\0",
        "\ud800",
        "x" * (16 << 20),
        "ab \n" * 200_000,
        " " * 100_000,
        "e" + "\u0301" * 50_000,
        "\u202eשלום",
    ]
    table = measure(strings, "roots", **lists)
    for name in Roots(**lists).signals():  # type: ignore[arg-type]
        assert np.isfinite(np.asarray(table[name])).all()
    assert table["keep"].to_pylist() == [False] * len(strings)
