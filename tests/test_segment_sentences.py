"""Sentences: a plain Python oracle of the rules, each script's marks, and real text in 380 languages."""

from __future__ import annotations

import statistics

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from corpusmill.segment_sentences import ABBREVIATIONS, sentences
from corpusmill.text import Texts

MARK = regex.compile(
    r"(?V1)[\p{Sentence_Terminal}\u2026--\u104a\u1735\u1b5e\ua9c8\uff0e]|\uff0e(?!\p{Nd})|\u1361\u1361|\u0f0e"
    r"|\u0f0d(?=\s*\Z|\s*[\u0f0d\u0f0e]|\s*\n)|(?<=[\u0531-\u0587]):|(?<=[\u0370-\u03ff\u1f00-\u1fff])[;\u037e]"
)
CLOSERS = "\"')]}’”»」』）】〉》］｝"
LETTER = r"(?V1)[\p{L}&&[\u0000-\u058f]]"
SINGLE_LETTERS = regex.compile(rf"(?<![\p{{Alphabetic}}\p{{Nd}}.])(?:{LETTER}\.)*{LETTER}\Z")
LISTED = regex.compile(rf"(?i)(?<![\p{{Alphabetic}}\p{{Nd}}.])(?:{'|'.join(ABBREVIATIONS)})\Z")


def skip(text: str, i: int, chars: str | None = None) -> int:
    while i < len(text) and (text[i].isspace() if chars is None else text[i] in chars):
        i += 1
    return i


def abbreviated(before: str) -> bool:
    """Whether a full stop behind this text ends no sentence."""
    letters = SINGLE_LETTERS.search(before)
    return bool(letters and len(letters.group()) <= 12) or bool(LISTED.search(before))


def oracle(text: str) -> int:
    count = 0
    i = begin = skip(text, 0)
    while i < len(text):
        mark = i
        if text[i] == "\n":
            line = text[:i].rstrip()
            i = skip(text, i)
            ends = "\u0e01" <= line[-1] < "\u0f00"
        else:
            last = ""
            while found := MARK.match(text, i):
                last = found.group()
                i = found.end()
            if not last:
                i += 1
                continue
            run = text[mark:i]
            i = skip(text, i, CLOSERS)
            after = skip(text, i)
            free = last > "\u0588" and not "\u2000" <= last < "\u2e80"
            ends = after == len(text) or free
            if not ends and after > i:
                dots = set(run) <= {".", "…"}
                ends = not (
                    abbreviated(text[:mark]) if run == "." else dots and regex.match(r"\p{Lowercase}", text[after])
                )
                i = after
            elif ends:
                i = after
        if ends:
            count += mark > begin
            begin = i
    return max(count + (begin < len(text)), 1 if text.strip() else 0)


def count(text: str) -> int:
    return int(sentences(Texts.from_strings([text]))[0])


PIECES = st.one_of(
    st.sampled_from(
        [" ", " ", "\n", "\u3000", "a", "B", "word", "Mr", "etc", "U.S", "e.g", "т.е", "А", "3", "ß", "日", "ก", "ก\n"]
    ),
    st.sampled_from(
        [*".!?…:;\"')]」»", "..", "...", "?!", "。", "！", "．", "1", "۔", "؟", "।", "॥", "።", "፡", "։", "។", "။", "၊"]
    ),
    st.sampled_from(
        ["ա", "ա:", "α;", "α\u037e", "།", "༎", "་", "᙮", "꓿", "꧈", "\u2047", "\u2024", "\0", "\u0301", "٣", "３"]
    ),
    st.characters(exclude_categories=["Cs"]),
)


@given(st.lists(st.lists(PIECES, max_size=25).map("".join), max_size=4))
@example(
    ["", " ", ".", "...", ". . .", "a", "a.", "a. ", ".a", "A b. c", "Hi there. You", "x Mr. Y", "amr. Y", "1mr. Y"]
)
@example(
    ["And... then", "And... Then", "Yes?! no", "3.14 is", "is 3. Then", '(He left.) "Then." he', "a.b.c.d.e.f.g. X"]
)
@example(
    [
        "abcdefghijklmno. X",
        "a.a.a.a.a.a.a.a.a. X",
        "ก\n\nข",
        "ก \n",
        "a\nb",
        "། །",
        "ག།\nག། ག།།ག",
        "、α; β",
        "１．２ x．y",
    ]
)
def test_sentences_are_those_of_the_rules(strings: list[str]) -> None:
    assert sentences(Texts.from_strings(strings)).tolist() == [oracle(string) for string in strings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rained. We left! Why? Nobody knows", 4),
        ("Mr. Smith of the U.S. met Prof. Lee, e.g. on Jan. 3. They spoke.", 2),
        ("Он родился в 1799 г. в Москве. А. С. Пушкин, т. е. поэт.", 2),
        ("هل أنت هنا؟ نعم. حسنا", 3),
        ("یہ ایک جملہ ہے۔یہ دوسرا ہے۔ تیسرا", 3),
        ("यह पहला वाक्य है।यह दूसरा है॥ तीसरा।", 3),
        ("এটি একটি বাক্য। এটি আরেকটি।", 2),
        ("ይህ አንድ ነው።ይህ ሁለት ነው፡፡ ሦስት፧", 3),
        ("Սա առաջինն է։ Սա երկրորդն է: Երրորդ", 3),
        ("Τι κάνεις; Καλά. Εσύ;", 3),
        ("这是第一句。这是第二句！第三句？好", 4),
        ("「これは文です。」はい、そうです。", 2),
        ("នេះជាប្រយោគ។ នេះជាទីពីរ៕ ទីបី", 3),
        ("ဒါက ပထမ၊ ဒုတိယ။တတိယ။", 2),
        ("དང་པོ། གཉིས་པ།\nགསུམ་པ། །བཞི་པ༎", 3),
        ("นี่คือประโยคแรก\nนี่คือประโยคที่สอง\n\n", 2),
        ("ນີ້ແມ່ນ\nອັນທີສອງ", 2),
        ("ᐅᓇ ᐅᖃᐅᓯᖅ᙮ ᐅᓇᓗ", 2),
        ("ꓮꓬ꓿ ꓮꓬ꓿", 2),
        ("ᠨᠢᠭᠡ᠃ ᠬᠣᠶᠠᠷ᠃", 2),
        ("שלום לך. מה שלומך? טוב!", 3),
        ("이것은 문장이다. 또 하나다.", 2),
        ("第３．１４節です。終わり", 2),
    ],
)
def test_scripts(text: str, expected: int) -> None:
    assert count(text) == expected
    assert count(text + "\n" + text) >= 2 * expected - 1


def test_hostile_texts() -> None:
    strings = [
        "",
        " \n",
        "\0",
        "\ud800",
        "." * 1_000_000,
        ". " * 500_000,
        "ก\n" * 300_000,
        "།" * 300_000,
        "a." * 500_000,
    ]
    strings += ["። " * 300_000, ";" * 1_000_000, "α;" * 300_000, "\u0301" * 300_000]
    counts = sentences(Texts.from_strings(strings)).tolist()
    assert counts == [0, 0, 1, 1, 1, 1, 300_000, 1, 1, 1, 1, 1, 1]


def test_cutting_a_batch_changes_nothing() -> None:
    strings = ["One. Two", "", "Three", " Four! 五。六", "ก\n"]
    whole = sentences(Texts.from_strings(strings)).tolist()
    assert whole == [count(string) for string in strings] == [2, 0, 1, 3, 1]


def test_every_language_has_plausible_numbers_of_sentences(udhr: dict[str, str]) -> None:
    """One text, translated: in every language half to five times English, in most nearly as many."""
    counts = dict(zip(udhr, sentences(Texts.from_strings(list(udhr.values()))).tolist(), strict=True))
    ratios = {name: count / counts["eng"] for name, count in counts.items() if len(udhr[name].encode()) > 5000}
    assert len(ratios) > 370
    assert 0.9 < statistics.median(ratios.values()) < 1.25
    assert {name for name, ratio in ratios.items() if not 0.5 < ratio < 5} == set()
    scripts = "tha lao khm mya bod hin ben urd arb pes_1 heb amh hye ell_monotonic jpn cmn_hans kor tam rus kat"
    assert {name: ratios[name] for name in scripts.split() if not 0.8 < ratios[name] < 1.8} == {}
