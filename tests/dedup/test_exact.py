"""The `exact` barrier: its 128-bit hash, its normal forms, what it makes of empty texts."""

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup.exact import Exact, digest, lower_bytes, normal_form
from corpusmill.errors import ConfigError
from corpusmill.folding import lower
from corpusmill.text import Texts

HOSTILE = [
    "",
    " ",
    " \t\r\n\u00a0\u2003\u3000\u0085",
    "\0",
    "\0\0",
    "a\0b",
    "e\u0301 \u0301",
    "שלום עולם  مرحبا",
    "👩‍👩‍👧 🏳️‍🌈",
    "!!! ... ???",
    "x" * 100_000,
    "Ⱥ Ⱦ" * 50,
    "İI ıi ſs ẞß ΣΑΣ",
    "１２３ ٣٤ Ⅷ ½ ²",
    "漢字かな交じり文",
    "𐐀𐐨 𝔘𝔫𝔦 𠀀",
    "tail\u2028line",
]
# The running Python may know fewer characters than the tables do.
KNOWN = st.characters(exclude_categories=["Cn"])
MODES = ("none", "whitespace", "words")


def words_of(text):
    """The words of a text, the slow way."""
    return [lower(run) for run in regex.findall(r"[\p{L}\p{M}\p{Nd}]+", text)]


def normal(text, mode):
    spaced = " ".join(text.split())
    if mode == "words":
        return " ".join(words_of(text)) or spaced
    return spaced if mode == "whitespace" else text


def key(text, **options):
    return tuple(Exact(**options).keys(Texts.from_strings([text]))[0, 0].tolist())


@pytest.mark.parametrize("mode", MODES)
def test_normal_form_of_hostile_text(mode):
    assert normal_form(Texts.from_strings(HOSTILE), mode).to_list() == [normal(t, mode) for t in HOSTILE]


@pytest.mark.parametrize("mode", MODES)
@settings(deadline=None)
@given(texts=st.lists(st.text(KNOWN), max_size=6))
def test_normal_form_is_pythons(mode, texts):
    texts = Texts.from_strings(texts).to_list()  # without lone surrogates
    assert normal_form(Texts.from_strings(texts), mode).to_list() == [normal(t, mode) for t in texts]


@settings(deadline=None)
@given(texts=st.lists(st.binary(max_size=70), max_size=30, unique=True))
def test_each_lane_alone_tells_texts_apart(texts):
    data = np.frombuffer(b"".join(texts), dtype=np.uint8)
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int64)
    hashes = digest(Texts(data, offsets))
    assert len(set(hashes[:, 0].tolist())) == len(set(hashes[:, 1].tolist())) == len(texts)


@settings(deadline=None)
@given(text=st.binary(max_size=70), before=st.binary(max_size=20), behind=st.binary(max_size=20))
def test_hash_depends_on_the_content_alone(text, before, behind):
    alone = digest(Texts(np.frombuffer(text, dtype=np.uint8), np.array([0, len(text)])))
    data = np.frombuffer(before + text + behind, dtype=np.uint8)
    inside = digest(Texts(data, np.array([len(before), len(before) + len(text)])))
    assert alone.tolist() == inside.tolist()


def test_no_text_grows_by_more_than_half():
    every = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    sizes = [len(c.encode()) for c in every]
    assert all(len(c.lower().encode()) <= lower_bytes(size) for c, size in zip(every, sizes, strict=True))
    growing = [c for c, size in zip(every, sizes, strict=True) if len(c.lower().encode()) > size]
    assert growing == ["İ", "Ⱥ", "Ⱦ"]
    for c in growing:
        assert normal_form(Texts.from_strings([c * 999]), "words").to_list() == [c.lower() * 999]


def test_zero_bytes_at_the_end_count():
    texts = ["\0" * n for n in range(40)] + ["a" + "\0" * n for n in range(40)]
    hashes = digest(Texts.from_strings(texts))
    assert len(np.unique(hashes[:, 0])) == len(np.unique(hashes[:, 1])) == len(texts)


def test_every_input_bit_moves_half_of_the_hash():
    draw = np.random.default_rng(5)
    for length in (1, 7, 8, 9, 16, 31, 64):
        text = draw.integers(0, 256, length, dtype=np.uint8)
        flipped = np.tile(text, (8 * length, 1))
        bits = np.arange(8 * length)
        flipped[bits, bits // 8] ^= (1 << (bits % 8)).astype(np.uint8)
        data = np.concatenate([text, flipped.ravel()])
        hashes = digest(Texts(data, np.arange(8 * length + 2, dtype=np.int64) * length))
        moved = np.bitwise_count(hashes[1:] ^ hashes[0]).astype(np.int64)
        assert moved.min() >= 12  # of 64: five standard deviations below the mean
        assert abs(moved.mean() - 32) < 3 * 4 / np.sqrt(moved.size) + 0.5


def test_a_million_texts_spread_evenly():
    data = np.arange(1_000_000, dtype=np.uint32).view(np.uint8)
    hashes = digest(Texts(data, np.arange(1_000_001, dtype=np.int64) * 4))
    for lane in hashes.T:
        assert len(np.unique(lane)) == 1_000_000
        for shift in (56, 0):
            counts = np.bincount(((lane >> np.uint64(shift)) & np.uint64(255)).astype(np.int64), minlength=256)
            assert ((counts - 3906.25) ** 2 / 3906.25).sum() < 255 + 5 * np.sqrt(2 * 255)
    # Independent lanes: the top bytes of both together fill their 65,536 cells as chance does.
    cells = (hashes >> np.uint64(56)).astype(np.int64)
    together = np.bincount(cells[:, 0] * 256 + cells[:, 1], minlength=65536)
    assert ((together - 15.2588) ** 2 / 15.2588).sum() < 65535 + 5 * np.sqrt(2 * 65535)


def test_keys_are_pinned():
    """Changing these means other output: raise the version of `exact`."""
    assert Exact.version == 2
    assert key("") == PINNED[0]
    assert key("corpusmill, a text longer than eight bytes") == PINNED[1]


PINNED = [(1577695344424626813, 14983250294755577155), (5144268634760827027, 9610934712878123589)]


def test_empty_texts_are_duplicates_of_each_other():
    step = Exact()
    texts = Texts.from_strings(["", "", " "])
    keys = step.keys(texts)[:, 0].tolist()
    assert not step.keyless(texts).any()
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("mode", ["whitespace", "words"])
def test_white_space_is_as_good_as_nothing(mode):
    assert key("", normalize=mode) == key(" \n\u3000", normalize=mode) != key("a", normalize=mode)


def test_texts_without_words_are_told_apart_by_what_they_have():
    assert key("?!", normalize="words") != key("👍", normalize="words")
    assert key("?!", normalize="words") == key(" ?!\n", normalize="words")


@pytest.mark.parametrize(
    ("one", "other", "equal_under"),
    [
        ("a b", "a b", ("none", "whitespace", "words")),
        ("a b", " a\n\tb ", ("whitespace", "words")),
        ("A b", "a, B!", ("words",)),
        ("ÉCOLE Straße", "école straße", ("words",)),
        ("ΛΟΓΟΣ ΣΟΦΟΣ", "λογος σοφος", ("words",)),
        ("VIỆT NAM", "việt nam", ("words",)),
        ("İstanbul", "i\u0307stanbul", ("words",)),
        ("a b", "ab", ()),
        ("e\u0301", "\u00e9", ()),
    ],
)
def test_what_is_equal_under_which_normal_form(one, other, equal_under):
    assert tuple(m for m in MODES if key(one, normalize=m) == key(other, normalize=m)) == equal_under


@pytest.mark.parametrize("mode", MODES)
def test_cutting_the_batch_changes_nothing(mode):
    step = Exact(normalize=mode)
    whole = step.keys(Texts.from_strings(HOSTILE))
    array = pa.array(HOSTILE, pa.large_string())
    for cut in range(len(HOSTILE) + 1):
        parts = [step.keys(Texts.from_arrow(piece)) for piece in (array[:cut], array[cut:])]
        assert np.array_equal(np.concatenate(parts), whole)
    assert whole.shape == (len(HOSTILE), 1, 2)
    assert whole.dtype == np.uint64


def test_broken_utf8_is_read_to_its_end_and_no_further():
    for broken in (b"a\xc3", b"a\xe4\xbd", b"a\xf0\x9f\x98", b"\xff\xfe", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"):
        data = np.frombuffer(broken + b"\xa9zzz", dtype=np.uint8)
        texts = Texts(data, np.array([0, len(broken)]))
        for mode in MODES:
            assert b"z" not in normal_form(texts, mode).data[: len(broken)].tobytes()


@pytest.mark.parametrize("options", [{"normalize": "lower"}, {"normalize": None}, {"keep": "last"}, {"keep": "best:"}])
def test_wrong_options(options):
    with pytest.raises(ConfigError, match="exact: "):
        Exact(**options)
