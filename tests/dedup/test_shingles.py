"""Words, characters, shingles, sketches and their similarity against plain Python."""

from functools import cache

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.dedup.shingles import BLOCK, folded_characters, jaccard, sketch, without_shingles, word_characters
from corpusmill.folding import lower_codes
from corpusmill.steps import Sketches
from corpusmill.text import Texts

MASK = 2**64 - 1
UNSPACED = ["Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"]
SCRIPTS = "".join(rf"\p{{scx={name}}}" for name in UNSPACED)
ALONE = rf"[\p{{L}}&&[{SCRIPTS}]]"
WORD = regex.compile(rf"(?V1){ALONE}\p{{M}}*|[[\p{{L}}\p{{M}}\p{{Nd}}]--{ALONE}]+")
NO_WORDS = ["", " ", "\0", "!!! ...", "👍🏽 🎉", "½ ² Ⅷ", "\u200b\ufeff"]
HOSTILE = [
    *NO_WORDS,
    "a",
    "a\0b",
    "e\u0301 \u0301",
    "\u0301字\u0301\u0302a\u0301字\u0301 \u0301",
    "שלום עולם مرحبا بالعالم يا أصدقاء",
    "Ⱥ Ⱦ " * 50,
    "İI ıi ſs ẞß ΣΑΣ σας Ǆ Ǆ VIỆT Việt Ａｂ ᲐᲑ",
    "１２３ ٣٤ 5 six 7eight nine-ten ๑๒ก๓",
    "漢字かな交じり文、句読点。で区切る、５つＡＢ以上、の語ーｰ々",
    "สวัสดีชาวโลก ສະບາຍດີ ជំរាបសួរ မင်္ဂလာပါ བོད་སྐད་",
    "𐐀𐐨 𝔘𝔫𝔦 𠀀𠀁 a b c d",
    "  \t\u3000 a  \n\u2028 b\x1c\x85c \u3000",
    "x" * 50_000,
    "to be or not to be that is the question " * 400,
]
common = st.sampled_from(
    ["a", "b", "c", "Be", "É", "ж", "字", "ก", "ำ", "่", "\u0301", "7", " ", "  ", "、", "\n", "👍"]
)
mixed = st.one_of(st.lists(common, max_size=30).map("".join), st.text(max_size=40))
shape = st.tuples(st.booleans(), st.integers(1, 7))


def fold(text):
    return "".join(chr(lower_codes()[ord(c)]) for c in text)


def units_of(text, chars):
    """The words or the characters of a text, the slow way."""
    if chars:
        return fold(" ".join(text.split()))
    return [fold(word) for word in WORD.findall(text)]


def shingles_of(text, chars, size):
    """The shingles of a text, in order, with repeats."""
    units = units_of(text, chars)
    if not units:
        return []
    return [tuple(units[i : i + size]) for i in range(max(1, len(units) - size + 1))]


def finish(h):
    h ^= h >> 33
    h = h * 0xFF51AFD7ED558CCD & MASK
    h ^= h >> 33
    h = h * 0xC4CEB9FE1A85EC53 & MASK
    return h ^ (h >> 33)


@cache
def hash_word(word):
    h = 0x9E3779B97F4A7C15
    for c in word:
        h = (h ^ ord(c)) * 0x100000001B3 & MASK
    return finish(h)


def hash_shingle(shingle, chars):
    h = len(shingle)
    for unit in shingle:
        h = (h * 0x9FB21C651E98DF25 + (ord(unit) if chars else hash_word(unit))) & MASK
    return max(finish(h) >> 32, 1)


def sketch_of(text, chars, size):
    return list(dict.fromkeys(hash_shingle(s, chars) for s in shingles_of(text, chars, size)))


def as_lists(sketches):
    return [sketches.values[a:b].tolist() for a, b in zip(sketches.first, sketches.first[1:], strict=False)]


def sketched(texts, chars=False, size=5):
    return as_lists(sketch(Texts.from_strings(texts), chars, size))


@pytest.mark.parametrize("chars", [False, True])
@pytest.mark.parametrize("text", HOSTILE)
def test_sketch_of_hostile_text(text, chars):
    assert sketched([text], chars, 5) == [sketch_of(text, chars, 5)]


@given(texts=st.lists(mixed, max_size=4), shape=shape)
def test_sketches_are_those_of_plain_python(texts, shape):
    texts = Texts.from_strings(texts).to_list()  # without lone surrogates
    sketches = sketch(Texts.from_strings(texts), *shape)
    assert sketches.values.dtype == np.uint32
    assert sketches.first.dtype == np.int64
    assert as_lists(sketches) == [sketch_of(text, *shape) for text in texts]


@given(pattern=mixed, extra=st.integers(0, 40), shape=shape)
def test_texts_longer_than_a_block(pattern, extra, shape):
    pattern = Texts.from_strings([pattern]).to_list()[0]
    text = "x" * extra + pattern * (1 + 2500 // (len(pattern) + 1)) + " end"
    assert sketched([text], *shape) == [sketch_of(text, *shape)]


@pytest.mark.parametrize("chars", [False, True])
@pytest.mark.parametrize("size", [1, 5, 9])
@pytest.mark.parametrize("unit", ["w{} ", "字", "{}字", "ก็{}", "   ", "a  "])
def test_texts_around_the_ends_of_a_block(chars, size, unit):
    for extra in (-1, 0, 1, 3, 4, 5, 8, 9, 10):
        text = "".join(unit.format(n) for n in range(BLOCK + extra))
        for end in ("", " last", "字\u0301"):
            assert sketched([text + end], chars, size) == [sketch_of(text + end, chars, size)]


@pytest.mark.parametrize("chars", [False, True])
def test_a_shingle_as_long_as_a_block(chars):
    text = " ".join(f"w{n}" for n in range(1500))
    assert sketched([text], chars, 1024) == [sketch_of(text, chars, 1024)]


def test_word_characters_are_letters_marks_and_digits_in_lower_case():
    table = word_characters()
    every = "".join(map(chr, range(0x110000)))
    inside = np.zeros(0x110000, dtype=bool)
    inside[[ord(c) for c in regex.findall(r"\p{L}|\p{M}|\p{Nd}", every)]] = True
    assert np.array_equal(table != 0, inside)
    assert table.max() < 0x110000
    pairs = dict(zip("AzÉßЖΩİ٣éςỆԱＡႠ𐐀字", "azéßжωi٣éσệաａⴀ𐐨字", strict=True))
    assert {c: chr(table[ord(c)]) for c in pairs} == pairs


def test_folded_characters_have_one_white_space():
    table = folded_characters()
    spaces = [c for c in range(0x110000) if chr(c).isspace()]
    assert np.flatnonzero(table == 0x20).tolist() == spaces
    assert table[ord("Ж")] == ord("ж")
    assert table[ord("!")] == ord("!")
    assert table[0] == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("漢字です", ["漢", "字", "で", "す"]),
        ("カタカナー", ["カ", "タ", "カ", "ナ", "ー"]),
        ("abc字def", ["abc", "字", "def"]),
        ("2024年5月", ["2024", "年", "5", "月"]),
        ("か\u3099き", ["か\u3099", "き"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("ជា", ["ជា"]),
        ("မြန်", ["မြ", "န်"]),
        ("བོད་སྐད", ["བོ", "ད", "སྐ", "ད"]),
        ("한국어 낱말", ["한국어", "낱말"]),
        ("don't e\u0301tre", ["don", "t", "e\u0301tre"]),
    ],
)
def test_words_of_scripts_without_spaces(text, words):
    assert units_of(text, False) == words
    assert sketched([text], False, 1) == [[hash_shingle((word,), False) for word in dict.fromkeys(words)]]


def test_near_duplicates_in_scripts_without_spaces_are_alike():
    text = "春眠暁を覚えず処処啼鳥を聞く夜来風雨の声花落つること知る多少"
    sketches = sketch(Texts.from_strings([text, text.replace("夜来", "昨夜")]), False, 5)
    assert 0.4 < jaccard(sketches, np.array([0]), np.array([1]))[0] < 1


def test_case_and_what_lies_between_words_do_not_matter():
    texts = ["Über  den Wolken, 7 Meilen hoch!", "ÜBER-DEN wolken (7\nmeilen)HOCH", "ueber den wolken 7 meilen hoch"]
    one, other, different = sketched(texts)
    assert one == other != different


def test_shingles_of_characters_see_punctuation_but_not_kinds_of_white_space():
    one, other, different = sketched(["A  b\tc, d", " a b\u3000\n c, D\n", "a b c d"], True, 3)
    assert one == other != different


@pytest.mark.parametrize("chars", [False, True])
def test_fewer_units_than_a_shingle_are_one_shingle(chars):
    # text-dedup issue 77: all documents with fewer words than a shingle became one cluster.
    texts = ["a b", "A b", "b a", "a", "b", "a b c", "ab c"]
    sketches = sketched(texts, chars, 6)
    assert all(len(s) == 1 for s in sketches)
    assert sketches[0] == sketches[1]
    assert len({s[0] for s in sketches}) == len(texts) - 1


def test_texts_without_words_or_characters_have_no_shingle():
    assert without_shingles(Texts.from_strings(NO_WORDS), False).all()
    assert sketched(NO_WORDS) == [[]] * len(NO_WORDS)
    assert without_shingles(Texts.from_strings(["", " ", "\n\u3000\x85\x1c"]), True).all()
    assert not without_shingles(Texts.from_strings(["a", "字", "... 7", "\u0301", " \0é"]), False).any()
    assert not without_shingles(Texts.from_strings([" .", "\0", "👍", "\u200b"]), True).any()


@given(texts=st.lists(mixed, max_size=6), chars=st.booleans())
def test_without_shingles_is_exactly_where_the_sketch_is_empty(texts, chars):
    texts = Texts.from_strings(texts)
    assert without_shingles(texts, chars).tolist() == [not s for s in as_lists(sketch(texts, chars, 3))]


def test_no_documents():
    empty = Texts.from_strings([])
    sketches = sketch(empty, False, 5)
    assert (len(sketches), len(sketches.values)) == (0, 0)
    assert without_shingles(empty, True).shape == (0,)
    assert jaccard(sketches, np.empty(0, np.int64), np.empty(0, np.int64)).shape == (0,)


@pytest.mark.parametrize("chars", [False, True])
def test_cutting_and_turning_the_batch_changes_nothing(chars):
    whole = sketched(HOSTILE, chars)
    array = pa.array(HOSTILE, pa.large_string())
    for cut in range(len(HOSTILE) + 1):
        parts = [as_lists(sketch(Texts.from_arrow(piece), chars, 5)) for piece in (array[:cut], array[cut:])]
        assert parts[0] + parts[1] == whole
    assert sketched(HOSTILE[::-1], chars) == whole[::-1]


@pytest.mark.parametrize("broken", [b"\xc3", b"\xe4\xbd", b"\xf0\x9f\x98", b"\xff\xfe", b"\xc3\xc3", b"\x80"])
@pytest.mark.parametrize("chars", [False, True])
def test_broken_utf8_is_read_to_its_end_and_no_further(broken, chars):
    for behind in (b"", b"\xa9zzz"):
        data = np.frombuffer(b"a " + broken + behind, dtype=np.uint8)
        texts = Texts(data, np.array([0, 2 + len(broken)]))
        found = as_lists(sketch(texts, chars, 1))[0]
        assert found[0] == hash_shingle(("a",), chars)
        assert found == as_lists(sketch(Texts(data[: 2 + len(broken)], texts.offsets), chars, 1))[0]
        assert not without_shingles(texts, chars).any()


@pytest.mark.parametrize("unit", ["a", "a ", "字", "ab cd ", "\u0301", " "])
@pytest.mark.parametrize("chars", [False, True])
def test_a_text_of_16_megabytes_and_its_neighbours(unit, chars):
    big = unit * (16_000_000 // len(unit.encode()))
    small = [f"small text number {n} of many more" for n in range(300)]
    found = sketched([*small, big, *small], chars)
    assert found[:300] == found[301:] == [sketch_of(text, chars, 5) for text in small]
    # One shingle for each place in the unit that is repeated.
    assert len(found[300]) == (0 if unit.isspace() else len(unit) if chars else len(unit.split()))


def test_a_large_text_of_different_words():
    words = [f"w{n}" for n in range(400_000)]
    found = sketched([" ".join(words * 3), "a b c d e f"])
    assert len(found[0]) in range(400_000 - 60, 400_005)  # 18.6 collisions of 32-bit hashes are to be expected
    assert found[1] == sketch_of("a b c d e f", False, 5)


def oracle_jaccard(one, other):
    one, other = set(one), set(other)
    return len(one & other) / len(one | other) if one | other else 1.0


sets = st.lists(st.lists(st.integers(0, 25), max_size=40).map(dict.fromkeys).map(list), min_size=1, max_size=8)


@given(sets=sets, places=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=30), spread=st.booleans())
def test_similarity_is_that_of_plain_python(sets, places, spread):
    # Values far apart that fall into few slots, or small ones; never 0, as in a sketch.
    values = [[(v << 27 | 1) if spread else v + 1 for v in s] for s in sets]
    sketches = as_sketches(values)
    left, right = (np.array([p[side] % len(sets) for p in places], dtype=np.int64) for side in (0, 1))
    found = jaccard(sketches, left, right)
    assert found.dtype == np.float64
    assert found.tolist() == [oracle_jaccard(values[a], values[b]) for a, b in zip(left, right, strict=True)]


def as_sketches(values):
    first = np.cumsum([0, *map(len, values)])
    return Sketches(np.array([v for s in values for v in s], dtype=np.uint32), first)


def test_similarity_after_tables_of_other_sizes():
    draw = np.random.default_rng(2)
    values = [np.unique(draw.integers(1, 3000, size)).tolist() for size in (0, 1, 5000, 3, 700, 2, 50, 0)]
    left, right = (grid.ravel() for grid in np.meshgrid(np.arange(8), np.arange(8)))
    wanted = [oracle_jaccard(values[a], values[b]) for a, b in zip(left, right, strict=True)]
    assert jaccard(as_sketches(values), left, right).tolist() == wanted
    assert jaccard(as_sketches(values), right, left).tolist() == wanted


def test_two_texts_without_shingles_are_alike_and_one_is_like_no_other():
    sketches = sketch(Texts.from_strings(["", "...", "a word"]), False, 5)
    pairs = [(0, 1), (0, 0), (0, 2), (2, 1), (2, 2)]
    left, right = np.array(pairs).T
    assert jaccard(sketches, left, right).tolist() == [1, 1, 0, 0, 1]


@given(one=mixed, other=mixed, shape=shape)
def test_similarity_is_symmetric_and_true(one, other, shape):
    texts = Texts.from_strings([one, other]).to_list()
    sketches = sketch(Texts.from_strings(texts), *shape)
    there, back = jaccard(sketches, np.array([0, 1]), np.array([1, 0]))
    assert there == back == oracle_jaccard(*(shingles_of(text, *shape) for text in texts))
