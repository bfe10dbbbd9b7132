"""Signatures and band keys against datasketch and plain Python."""

import datasketch
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.dedup.shingles import BLOCK, sketch
from corpusmill.dedup.signatures import SCHEME, band_keys, draw_permutations, premix, sign
from corpusmill.text import Texts

NO_WORDS = ["", " ", "\0", "!!! ...", "👍🏽 🎉", "½ ² Ⅷ", "\u200b\ufeff"]
HOSTILE = [
    *NO_WORDS,
    "a\0b",
    "e\u0301 \u0301",
    "שלום עולם مرحبا بالعالم يا أصدقاء",
    "漢字かな交じり文、句読点。で区切る、５つＡＢ以上、の語ーｰ々",
    "x" * 50_000,
    "to be or not to be that is the question " * 400,
]
mixed = st.one_of(
    st.lists(st.sampled_from([*"abcЖ字7 、👍", "be ", "  "]), max_size=30).map("".join), st.text(max_size=40)
)
shape = st.tuples(st.booleans(), st.integers(1, 7))


def sketched(texts, chars=False, size=5):
    sketches = sketch(Texts.from_strings(texts), chars, size)
    return [sketches.values[a:b].tolist() for a, b in zip(sketches.first, sketches.first[1:], strict=False)]


def oracle(texts, chars, size, count, seed):
    """datasketch's own signatures of the shingle hashes."""
    signatures = []
    for hashes in sketched(texts, chars, size):
        minhash = datasketch.MinHash(count, seed=seed, hashfunc=lambda h: h, scheme=SCHEME)
        minhash.update_batch(hashes)
        signatures.append(minhash.hashvalues)
    return np.array(signatures, dtype=np.uint32).reshape(len(texts), count)


def signed(texts, chars=False, size=5, count=112, seed=1):
    return sign(Texts.from_strings(texts), chars, size, count, seed)


@pytest.mark.parametrize("chars", [False, True])
def test_signatures_of_hostile_texts_are_datasketchs(chars):
    assert np.array_equal(signed(HOSTILE, chars), oracle(HOSTILE, chars, 5, 112, 1))


@given(
    texts=st.lists(mixed, max_size=4),
    shape=shape,
    count=st.integers(1, 25),
    seed=st.sampled_from([0, 1, 2**32 - 1]),
)
def test_signatures_are_datasketchs_for_any_options(texts, shape, count, seed):
    signatures = signed(texts, *shape, count, seed)
    assert signatures.dtype == np.uint32
    assert np.array_equal(signatures, oracle(texts, *shape, count, seed))


@pytest.mark.parametrize("chars", [False, True])
@pytest.mark.parametrize("size", [1, 5, 9, 1024])
def test_texts_around_the_ends_of_a_block(chars, size):
    for extra in range(-2, 11):
        text = " ".join(f"w{n}" for n in range(BLOCK + extra))
        assert np.array_equal(signed([text], chars, size, 6), oracle([text], chars, size, 6, 1))


def test_permutations_are_datasketchs():
    for count, seed in ((112, 1), (1, 0), (7, 42)):
        theirs = datasketch.MinHash(count, seed=seed, scheme=SCHEME).permutations
        assert np.array_equal(np.array(draw_permutations(count, seed)), theirs)


def test_premix_is_murmur3s_finaliser():
    def fmix(x):
        x = (x ^ x >> 16) * 0x85EBCA6B & 0xFFFFFFFF
        x = (x ^ x >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
        return x ^ x >> 16

    for x in (0, 1, 2**31, 2**32 - 1, 123456789):
        assert int(premix(np.uint32(x))) == fmix(x)


def test_texts_without_words():
    assert np.all(signed(NO_WORDS) == 0xFFFFFFFF)
    assert signed([]).shape == (0, 112)


def test_repeats_of_a_shingle_change_nothing():
    once, often = "a b c d e f g a b c", "a b c d e f g a b c d e f g a b c d e f g"
    assert sketched([once], size=4) == sketched([often], size=4)
    assert np.array_equal(signed([once], size=4), signed([often], size=4))


def test_cutting_the_batch_changes_nothing():
    whole = signed(HOSTILE)
    array = pa.array(HOSTILE, pa.large_string())
    for cut in range(len(HOSTILE) + 1):
        parts = [sign(Texts.from_arrow(piece), False, 5, 112, 1) for piece in (array[:cut], array[cut:])]
        assert np.array_equal(np.concatenate(parts), whole)
    assert np.array_equal(signed(HOSTILE[::-1])[::-1], whole)


@pytest.mark.parametrize("similarity", [0.1, 0.5, 0.9])
def test_equal_values_estimate_the_similarity_of_sketches(similarity):
    shared = round(400 * similarity / (1 + similarity))
    texts = []
    for n in range(300):
        head = [f"p{n}w{w}" for w in range(shared + 4)]
        texts += [" ".join([*head, *(f"p{n}{side}{w}" for w in range(200 - shared))]) for side in "ab"]
    signatures = signed(texts)
    sketches = [set(s) for s in sketched(texts[:2])]
    true = len(sketches[0] & sketches[1]) / len(sketches[0] | sketches[1])
    assert abs(true - similarity) < 0.01
    estimate = (signatures[0::2] == signatures[1::2]).mean()
    assert abs(estimate - true) < 3 * np.sqrt(true * (1 - true) / (300 * 112))


def test_bands_are_equal_exactly_where_all_their_rows_are():
    draw = np.random.default_rng(3)
    signatures = draw.integers(0, 3, (300, 12), dtype=np.uint32)
    keys = band_keys(signatures, 4)
    rows = signatures.reshape(300, 4, 3)
    same_rows = (rows[:, None] == rows[None]).all(axis=3)
    for half in (0, 1):
        assert np.array_equal(keys[:, None, :, half] == keys[None, :, :, half], same_rows)


def test_equal_rows_in_different_bands_have_different_keys():
    keys = band_keys(np.full((1, 112), 9, dtype=np.uint32), 14)[0]
    assert len(np.unique(keys[:, 0])) == len(np.unique(keys[:, 1])) == 14
