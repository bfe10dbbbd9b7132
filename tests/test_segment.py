"""Words of every script: uniseg's answers, a plain Python oracle of UAX #29, and real text in 380 languages."""

from __future__ import annotations

import json
import statistics
from functools import cache
from pathlib import Path

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from corpusmill.text import Texts

GOLDEN = json.loads((Path(__file__).parent / "filters" / "golden" / "uniseg_words.json").read_text("utf-8"))["cases"]

IGNORED = r"(?:\p{WB=Extend}|\p{WB=Format}|\p{WB=ZWJ}|[\u0e33\u0eb3])*+"
CONSONANT = "[\u0e01-\u0e2e\u0e81-\u0eae\u0edc-\u0edf]"
LEAD = "[\u0e40-\u0e44\u0ec0-\u0ec4]"
FOLLOW = "[\u0e2f\u0e30\u0e32\u0e45\u0e46\u0eaf\u0eb0\u0eb2\u0ebd\u0ec6]"
MYANMAR = r"[\p{Script=Myanmar}&&\p{L}]"


def having(marks: str) -> str:
    """Marks, one of them at least one of those."""
    return rf"(?={IGNORED[:-1]}[{marks}]){IGNORED}"


CLOSED, II, UUE = having("\u0e31\u0e47\u0eb1\u0ebb"), having("\u0e35"), having("\u0e37\u0eb7")
CANCELLED = having("\u0e4c\u0ecc")
CORE = f"(?:{LEAD}{IGNORED}{CONSONANT}|{CONSONANT})"
SYLLABLE = (
    f"(?:{CORE}{CLOSED}{CONSONANT}{IGNORED}"
    f"|[\u0e40\u0ec0]{IGNORED}{CONSONANT}{II}\u0e22{IGNORED}"
    f"|[\u0e40\u0ec0]{IGNORED}{CONSONANT}{UUE}[\u0e2d\u0ead]{IGNORED}"
    f"|{CORE}{IGNORED}|{FOLLOW}{IGNORED})"
    f"(?:{FOLLOW}{IGNORED}|{CONSONANT}{CANCELLED})*+|{LEAD}{IGNORED}"
)
CLUSTER = regex.compile(
    rf"(?V1){SYLLABLE}|[\u1780-\u17b3]{IGNORED}(?:(?<=\u17d2)[\u1780-\u17b3]{IGNORED})*+"
    rf"|{MYANMAR}{IGNORED}(?:(?:(?<=\u1039){MYANMAR}|{MYANMAR}(?=\u1037?[\u1039\u103a])){IGNORED})*+"
)
NAMES = (
    *("CR", "LF", "Newline", "Extend", "ZWJ", "Regional_Indicator", "Format", "Katakana", "Hebrew_Letter", "ALetter"),
    *("Single_Quote", "Double_Quote", "MidNumLet", "MidLetter", "MidNum", "Numeric", "ExtendNumLet", "WSegSpace"),
)
LETTERS = ("ALetter", "Hebrew_Letter")
MID_LETTERS, MID_NUMBERS = ("MidLetter", "MidNumLet", "Single_Quote"), ("MidNum", "MidNumLet", "Single_Quote")
NEWLINES = ("CR", "LF", "Newline")


@cache
def kind_of(char: str) -> str:
    if char in "\u0e33\u0eb3":
        return "Extend"
    if "\ua000" <= char <= "\ua48c":
        return "Other"
    return next((name for name in NAMES if regex.match(rf"\p{{WB={name}}}", char)), "Other")


def joined(before2: str, before: str, after: str, after2: str) -> bool:
    """WB5 to WB15, for kinds with the ignored ones between them left out; `before2` is of the same segment."""
    if before == after == "Regional_Indicator":
        return before2 != before
    if before in LETTERS and after in LETTERS:
        return True
    if before in LETTERS and after in MID_LETTERS and after2 in LETTERS:
        return True
    if before2 in LETTERS and before in MID_LETTERS and after in LETTERS:
        return True
    if before == "Hebrew_Letter" and (after == "Single_Quote" or (after == "Double_Quote" and after2 == before)):
        return True
    if before2 == "Hebrew_Letter" and before == "Double_Quote" and after == before2:
        return True
    if before2 == "Numeric" and before in MID_NUMBERS and after == "Numeric":
        return True
    if before == "Numeric" and after in MID_NUMBERS and after2 == "Numeric":
        return True
    if {before, after} <= {*LETTERS, "Numeric", "ExtendNumLet"}:
        return True
    return {before, after} <= {"Katakana", "ExtendNumLet"}


def segment_end(text: str, start: int) -> int:
    """Where the segment that begins at `start` ends."""
    found = CLUSTER.match(text, start)
    if found:
        return int(found.end())
    kinds = [kind_of(char) for char in text]
    ignored = ("Extend", "Format", "ZWJ")
    kept = [k for k in range(start, len(text)) if k == start or kinds[k] not in ignored]
    for k in range(start + 1, len(text)):
        if kinds[k - 1] in NEWLINES or kinds[k] in NEWLINES:
            return k
        if kinds[k] in ignored or (kinds[k - 1] == "ZWJ" and regex.match(r"\p{Extended_Pictographic}", text[k])):
            continue
        at = kept.index(k)
        near = [kinds[kept[j]] if 0 <= j < len(kept) else "" for j in (at - 2, at - 1, at, at + 1)]
        if not joined(*near):
            return k
    return len(text)


def oracle(text: str) -> list[str]:
    """The segments with a letter or a number that is no mark."""
    words = []
    k = 0
    while k < len(text):
        end = segment_end(text, k)
        word = text[k:end]
        if any(
            regex.match(r"[\p{L}\p{N}]", char) and kind_of(char) not in ("Extend", "Format", "ZWJ") for char in word
        ):
            words.append(word)
        k = end
    return words


def words_of(texts: Texts) -> list[list[str]]:
    spans = texts.script_words
    data = texts.data.tobytes()
    whole = [data[a:b].decode() for a, b in zip(spans.start, spans.stop, strict=True)]
    return [whole[a:b] for a, b in zip(spans.first[:-1], spans.first[1:], strict=True)]


PIECES = st.one_of(
    st.sampled_from(["a", "Word", "1", "23", "_", " ", "\n", "\r", *"'.:,;\"’·!-@", "\u2028", "\x85", "\0"]),
    st.sampled_from(
        ["é", "e\u0301", "\u0301", "\u200d", "\u00ad", "\ufeff", "❤", "ℹ", "👍🏽", "🇩", "א", "ב", "ʼ", "²", "Ⅷ", "ꆈ"]
    ),
    st.sampled_from(
        ["ア", "ー", "ｶ", "\uff9e", "あ", "漢", "字", "한", "ᄀ", "ᅡ", "١", "٫", "हि", "क्ष", "་", "\u203f", "\u0600"]
    ),
    st.sampled_from(
        ["เ", "แ", "ก", "ย", "อ", "ร์", "ั", "็", "ี", "ื", "่", "ะ", "า", "ำ", "ๆ", "ฯ", "๑", "ເ", "ກ", "ັ", "ົ", "ຽ"]
    ),
    st.sampled_from(
        ["ក", "្", "ខ", "ា", "ំ", "។", "မ", "င", "\u103a", "\u1039", "\u1037", "ြ", "ာ", "း", "႑", "ຳ", "ຫ", "ອ"]
    ),
    st.characters(exclude_categories=["Cs"]),
)
TEXT = st.lists(PIECES, max_size=25).map("".join)


@given(st.lists(TEXT, max_size=4))
@example(
    [
        "a'b 'a' a''b a.b. 1.2 1,2;3 a,b 1.a _a_ __ a_1 12:30",
        "a\u0301'\u0301b",
        "!\u200dℹ",
        "a\r\n\u0301b",
        "א'ב א' א\"ב",
    ]
)
@example(["ภาษาไทยเป็นเสียงตัวเองเมืองน้ำเสาร์ๆ", "ພາສາລາວເປັນ", "ភាសាខ្មែរ", "အင်္ဂလိပ်ကျွန်ုပ်တို့", "བོད་སྐད"])
def test_words_are_those_of_the_rules(strings: list[str]) -> None:
    assert words_of(Texts.from_strings(strings)) == [oracle(string) for string in strings]


def test_words_are_those_uniseg_gave() -> None:
    texts, words = zip(*GOLDEN, strict=True)
    assert words_of(Texts.from_strings(texts)) == list(words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("日本語のテキスト", "日 本 語 の テキスト"),
        ("ꆈꌠꁱꂷ", "ꆈ ꌠ ꁱ ꂷ"),
        ("ภาษาไทย เป็น เสียง ตัวเอง น้ำ", "ภา ษา ไท ย เป็น เสีย ง ตัว เอ ง น้ำ"),
        ("เรียน เมือง เสาร์", "เรีย น เมือ ง เสาร์"),
        ("ພາສາລາວ ເປັນ", "ພາ ສາ ລາ ວ ເປັນ"),
        ("ភាសាខ្មែរ", "ភា សា ខ្មែ រ"),
        ("မြန်မာဘာသာ အင်္ဂလိပ် တို့", "မြန် မာ ဘာ သာ အင်္ဂ လိပ် တို့"),
        ("བོད་སྐད་ཡིན།", "བོད སྐད ཡིན"),
        ("हिन्दी में, 안녕하세요!", "हिन्दी में 안녕하세요"),
    ],
)
def test_scripts(text: str, words: str) -> None:
    assert words_of(Texts.from_strings([text])) == [words.split()]


@given(TEXT)
@example("🇩🇪\u200dℹ")
def test_no_grapheme_cluster_is_cut(text: str) -> None:
    if regex.search(r"\p{GCB=Prepend}", text):
        return  # the one case where UAX #29 lets a word end within one: a prepended mark before punctuation
    texts = Texts.from_strings([text])
    edges = {0}
    for cluster in regex.findall(r"\X", text):
        edges.add(max(edges) + len(cluster.encode()))
    spans = texts.script_words
    assert {*spans.start.tolist(), *spans.stop.tolist()} <= edges


@pytest.mark.parametrize(
    "unit", ["a", "a'", "a.", "_", "é", "\u0301", "\u200d❤", "日", "ก", "ก์", "ក្", "မ်", "ア", "1,", 'א"']
)
def test_a_long_word_takes_time_linear_in_its_length(unit: str) -> None:
    count = 1_000_000 // len(unit.encode())
    texts = Texts.from_strings([unit * count, "word"])
    assert texts.script_words.counts[1] == 1
    assert int(texts.script_words.chars.max()) <= len(unit) * count


def test_hostile_texts_have_words() -> None:
    strings = ["", " ", "\0", "\ud800", "\u202e\u0301", "\uff9e", "\U0010ffff", "'" * 100, "x\0y"]
    assert words_of(Texts.from_strings(strings)) == [[], [], [], [], [], [], [], [], ["x", "y"]]


def test_every_language_has_plausible_numbers_of_words(udhr: dict[str, str]) -> None:
    """One text, translated: within 0.3 (parts of it only) and 3.1 times English (clusters of Khmer)."""
    texts = Texts.from_strings(list(udhr.values()))
    counts = dict(zip(udhr, texts.script_words.counts.tolist(), strict=True))
    english = counts["eng"]
    whole = {name: count / english for name, count in counts.items() if len(udhr[name].encode()) > 5000}
    assert len(whole) > 370
    assert 0.9 < statistics.median(whole.values()) < 1.1
    assert {name for name, ratio in whole.items() if not 0.3 < ratio < 3.1} == set()
    for name in ("tha", "lao", "khm", "mya", "cmn_hans", "jpn", "bod", "hin", "arb", "amh", "hye", "ell_monotonic"):
        assert name in whole
