"""The kernels over words against plain Python."""

from __future__ import annotations

from statistics import median

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from corpusmill.filters.gopher import gopher_words
from corpusmill.text import Spans, Texts

WORDS = st.sampled_from(
    ["a", "the", "é", "日本語", "x" * 62, "y" * 63, "z" * 64, "z" * 100, "#", "__", "_a", "1", "½", "\n"]
)
TEXT = st.lists(WORDS, max_size=40).map(" ".join)


def strings(texts: Texts, words: Spans) -> list[list[str]]:
    found = [texts.data[a:b].tobytes().decode() for a, b in zip(words.start, words.stop, strict=True)]
    assert [len(word) for word in found] == words.chars.tolist()
    return [found[a:b] for a, b in zip(words.first, words.first[1:], strict=False)]


@given(st.lists(TEXT, max_size=4))
@example(["z z z", "z" * 64 + " " + "z" * 100, "", "a " + "y" * 63])
def test_medians_are_those_of_python(texts: list[str]) -> None:
    words = Texts.from_strings(texts).words
    wanted = [float(median(map(len, text.split()))) if text.split() else 0.0 for text in texts]
    assert gopher_words.median_chars(words).tolist() == wanted
    assert gopher_words.sum_chars(words).tolist() == [sum(map(len, text.split())) for text in texts]


@given(st.lists(TEXT, max_size=4))
def test_dclm_words_begin_with_a_letter_or_number(texts: list[str]) -> None:
    given = Texts.from_strings(texts)
    wanted = [[word for word in words if word[0].isalnum()] for words in strings(given, given.script_words)]
    assert strings(given, gopher_words.dclm_words(given)) == wanted


def test_only_runs_of_scripts_without_spaces_are_cut() -> None:
    texts = Texts.from_strings(
        [
            "well-known (words), don't 1.5",
            "日本語の文章。 it's",
            "ภาษาไทย a-b",
            "中文,text",
            "",
            "한국어는 띄어 씁니다",
            "ខ្មែរ",
        ]
    )
    assert strings(texts, gopher_words.cut_unspaced(texts)) == [
        ["well-known", "(words),", "don't", "1.5"],
        ["日", "本", "語", "の", "文", "章", "it's"],
        [*strings(texts, texts.script_words)[2][:-2], "a-b"],
        ["中", "文", "text"],
        [],
        ["한국어는", "띄어", "씁니다"],
        strings(texts, texts.script_words)[6],
    ]
    assert len(strings(texts, texts.script_words)[2]) > 3


def test_the_words_of_a_list_are_numbered_and_found() -> None:
    keys, numbers = gopher_words.lexicon(tuple(f"word{k}" for k in range(1000)))
    assert sorted(numbers[numbers >= 0].tolist()) == list(range(1000))
    assert len(keys) >= 8000
    words = Texts.from_strings(["word7 word7 word999 word1000 Word7", ""]).words
    listed = gopher_words.lexicon(("word7", "word999"))
    assert gopher_words.count_listed(words, listed, distinct=False).tolist() == [3, 0]
    assert gopher_words.count_listed(words, listed, distinct=True).tolist() == [2, 0]
    assert gopher_words.count_listed(words, gopher_words.lexicon(()), distinct=True).tolist() == [0, 0]


def test_case_is_ignored_in_every_script() -> None:
    listed = gopher_words.lexicon(("und", "és", "что", "straße", "antidisestablishment"), any_case=True)
    text = "UND Und uNd És ЧТО Что STRASSE Antidisestablishment ANTIDISESTABLISHMENT antiDisestablishment"
    words = Texts.from_strings([text]).words
    assert gopher_words.count_listed(words, listed, distinct=False).tolist() == [9]
    assert gopher_words.count_listed(words, listed, distinct=True).tolist() == [5]


@given(st.lists(st.text(st.sampled_from("#a1é…."), min_size=1, max_size=12), max_size=30))
def test_words_of_symbols(words: list[str]) -> None:
    texts = Texts.from_strings([" ".join(words)])
    runs = [sum(c == "#" and (not k or w[k - 1] != "#") for k, c in enumerate(w)) for w in words]
    marks = {"...", "…"}
    hashes = sum(2 * run > len(word) or word in marks for run, word in zip(runs, words, strict=True))
    assert gopher_words.count_hash_runs(texts, texts.words, gopher_words.lexicon(("...", "…"))).tolist() == [hashes]
    wanted = sum("#" in word or "…" in word for word in words)
    assert gopher_words.count_hash_or_ellipsis(texts, texts.words).tolist() == [wanted]


def test_classes_with_more_than_letters_in_ascii() -> None:
    digits = np.zeros(0x110000, dtype=np.uint8)
    digits[[*map(ord, "aAbBcCdDeEfFgGhHiIjJkKlLmMnNoOpPqQrRsStTuUvVwWxXyYzZ7")]] = 1
    texts = Texts.from_strings(["7 8 x8 88888888 888888887 日7 日"])
    assert gopher_words.count_having(texts, texts.words, digits)[:, 0].tolist() == [4, 14]
