"""`simhash`: fingerprints against plain Python, and that no pair within the distance is missed."""

from __future__ import annotations

from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.dedup.candidates import candidate_pairs
from corpusmill.dedup.shingles import BLOCK, next_shingles, shingle_table
from corpusmill.dedup.simhash import SimHash, _block_keys, block_masks
from corpusmill.errors import ConfigError
from corpusmill.text import Texts

HOSTILE = [
    *(
        "",
        " \n\t",
        "\0",
        "...",
        "👍",
        "a",
        "A a\u0301 e\u0301\u0301",
        "שלום עולם",
        "👩‍👩‍👧 x",
        "İstanbul ß ſ",
        "静かな夜",
    ),
    *("a\ud800b", "one two three", "one two three four", "x" * 70_000, "word " * 5000, "\u0301", "1 2 3 ٣"),
]
UInt64 = np.ndarray


def finish(x: int) -> int:
    """The finaliser of MurmurHash3."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        x = (x ^ (x >> 33)) * factor % 2**64
    return x ^ (x >> 33)


def shingles_of(text: str, size: int) -> list[int]:
    texts = Texts.from_strings([text])
    units, shingles = np.empty(BLOCK + size, np.uint64), np.empty(BLOCK + size, np.uint32)
    found: list[int] = []
    i, kept, m = 0, 0, 1
    while m:
        i, kept, m = next_shingles(
            texts.data, i, int(texts.offsets[1]), shingle_table(False), False, size, units, kept, shingles
        )
        found += shingles[:m].tolist()
    return found


def fingerprint_of(text: str, size: int) -> int:
    votes = [finish(shingle) for shingle in shingles_of(text, size)]
    return sum((2 * sum(vote >> b & 1 for vote in votes) > len(votes)) << b for b in range(64))


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_hostile_texts_against_plain_python(size: int) -> None:
    step = SimHash(shingle_words=size)
    clean = Texts.from_strings(HOSTILE).to_list()
    assert step.fingerprints(Texts.from_strings(HOSTILE)).tolist() == [fingerprint_of(text, size) for text in clean]


@given(st.lists(st.lists(st.sampled_from("abcdeÉ静"), max_size=80).map(" ".join), max_size=6), st.integers(1, 5))
def test_fingerprints_are_those_of_plain_python(texts: list[str], size: int) -> None:
    found = SimHash(shingle_words=size).fingerprints(Texts.from_strings(texts))
    assert found.tolist() == [fingerprint_of(text, size) for text in texts]


def test_weights_are_how_often_a_shingle_occurs() -> None:
    step = SimHash(shingle_words=1)
    thrice, once = step.fingerprints(Texts.from_strings(["a a a b c", "a b c"]))
    assert thrice == finish(shingles_of("a", 1)[0]) != once


def test_the_distance_grows_with_the_angle() -> None:
    """Charikar: bits differ as often as the angle between the vectors is to 180 degrees; here shingles are unique."""
    rng = np.random.default_rng(4)
    for shared in (0.5, 0.8, 0.95):
        pairs = []
        for _ in range(200):
            words = rng.integers(0, 10**9, 800)
            own = int(400 * (1 - shared))
            pairs += [[*words[:400]], [*words[:400][own:], *words[400 : 400 + own]]]
        step = SimHash(shingle_words=1)
        prints = step.fingerprints(Texts.from_strings([" ".join(f"w{w}" for w in words) for words in pairs]))
        wanted = np.arccos(shared) / np.pi * 64
        # bits of a pair are drawn independently
        sigma = np.sqrt(64 * wanted / 64 * (1 - wanted / 64) / 200)
        assert abs(np.bitwise_count(prints[::2] ^ prints[1::2]).mean() - wanted) < 4 * sigma


def keys_of(prints: UInt64, distance: int, agreeing: int) -> UInt64:
    masks = block_masks(distance, agreeing)
    out = np.empty((len(prints), len(masks), 2), dtype=np.uint64)
    _block_keys(prints, masks, out)
    return out


@pytest.mark.parametrize(("distance", "agreeing"), [(0, 1), (1, 1), (3, 1), (3, 2), (3, 3), (6, 3), (5, 1), (60, 1)])
def test_two_within_the_distance_share_a_key(distance: int, agreeing: int) -> None:
    rng = np.random.default_rng(distance)
    prints = rng.integers(0, 2**64, 300, dtype=np.uint64)
    near = prints.copy()
    for k in range(len(near)):
        for b in rng.choice(64, rng.integers(0, distance + 1), replace=False):
            near[k] ^= np.uint64(1) << np.uint64(b)
    one, other = keys_of(prints, distance, agreeing), keys_of(near, distance, agreeing)
    shared = (one == other).all(axis=2)
    assert shared.any(axis=1).all()
    assert shared.shape[1] == comb(distance + agreeing, agreeing)


def test_every_way_to_differ_in_three_bits_of_eight_regions() -> None:
    places = [b * 64 // 24 for b in range(24)]
    flips = [sum(1 << b for b in chosen) for chosen in combinations(places, 3)]
    prints = np.array([0, *flips], dtype=np.uint64)
    keys = keys_of(prints, 3, 3)
    assert (keys[1:] == keys[0]).all(axis=2).any(axis=1).all()


@pytest.mark.parametrize(("distance", "agreeing"), [(3, 1), (3, 3), (4, 2)])
def test_keys_are_equal_exactly_where_all_their_blocks_are(distance: int, agreeing: int) -> None:
    rng = np.random.default_rng(0)
    prints = rng.integers(0, 2**64, 60, dtype=np.uint64)
    prints[30:] = prints[:30] ^ (np.uint64(1) << rng.integers(0, 64, 30, dtype=np.uint64))
    masks, keys = block_masks(distance, agreeing), keys_of(prints, distance, agreeing)
    masked = prints[:, None] & masks
    for half in (0, 1):
        assert np.array_equal(keys[:, None, :, half] == keys[None, :, :, half], masked[:, None] == masked[None])
        assert len(np.unique(keys_of(np.zeros(1, np.uint64), distance, agreeing)[..., half])) == len(masks)


@pytest.mark.parametrize(("distance", "agreeing"), [(3, 1), (3, 3), (0, 1), (63, 1), (5, 4)])
def test_blocks_cover_all_bits_evenly(distance: int, agreeing: int) -> None:
    masks = block_masks(distance, agreeing)
    widths = np.bitwise_count(masks)
    assert abs(widths.mean() - 64 * agreeing / (distance + agreeing)) < 0.5
    assert widths.max() - widths.min() <= agreeing
    assert np.bitwise_or.reduce(masks) == 2**64 - 1


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=9), st.integers(0, 63))
def test_similarity_is_exact(prints: list[int], distance: int) -> None:
    step = SimHash(max_distance=distance, agreeing_blocks=1)
    texts = Texts.from_strings([f"t{n}" for n in range(len(prints))])
    sketches = step.sketches(texts)
    assert sketches.values.view(np.uint64).tolist() == step.fingerprints(texts).tolist()
    sketches.values.view(np.uint64)[:] = prints
    left, right = (grid.ravel() for grid in np.meshgrid(np.arange(len(prints)), np.arange(len(prints))))
    found = step.similarity(sketches, left, right)
    for a, b, similar in zip(left.tolist(), right.tolist(), found.tolist(), strict=True):
        bits = (prints[a] ^ prints[b]).bit_count()
        assert similar == 1 - bits / 64
        assert (similar >= step.least_similarity()) == (bits <= distance)


def linked(step: SimHash, documents: list[str]) -> set[tuple[int, int]]:
    """Pairs as the pipeline finds them, with buckets of any size."""
    texts = Texts.from_strings(documents)
    part = np.flatnonzero(~step.keyless(texts))
    keys = step.keys(texts)[part]
    ordinals = np.repeat(part.astype(np.uint64), keys.shape[1])
    pairs = candidate_pairs(keys.reshape(-1, 2), ordinals, np.zeros_like(ordinals), hubs=10**6)
    hub, document = pairs["hub"].astype(np.int64), pairs["document"].astype(np.int64)
    good = step.similarity(step.sketches(texts), hub, document) >= step.least_similarity()
    return set(zip(hub[good].tolist(), document[good].tolist(), strict=True))


def by_brute_force(step: SimHash, documents: list[str]) -> set[tuple[int, int]]:
    texts = Texts.from_strings(documents)
    prints, keyless = step.fingerprints(texts).tolist(), step.keyless(texts)
    pairs = combinations(np.flatnonzero(~keyless).tolist(), 2)
    return {(a, b) for a, b in pairs if (prints[a] ^ prints[b]).bit_count() <= step.max_distance}


def planted(seed: int, count: int, words: int, edits: list[int]) -> list[str]:
    """Documents of random words, each followed by copies with so many words replaced."""
    rng = np.random.default_rng(seed)
    texts = []
    for d in range(count):
        original = [f"w{w}" for w in rng.integers(0, 10**6, words)]
        for n in [0, *edits]:
            copy = list(original)
            for place in rng.choice(words, n, replace=False):
                copy[place] = f"e{d}x{n}x{place}"
            texts.append(" ".join(copy))
    return texts


@pytest.mark.parametrize(
    "options", [{}, {"agreeing_blocks": 1}, {"max_distance": 6, "agreeing_blocks": 2}, {"max_distance": 0}]
)
def test_every_pair_within_the_distance_is_found_and_no_other(options: dict[str, int]) -> None:
    texts = [*planted(1, 60, 300, [0, 1, 2, 4, 8, 16, 150]), *HOSTILE]
    step = SimHash(**options)
    found = linked(step, texts)
    assert found == by_brute_force(step, texts)
    assert len(found) >= 60


def test_planted_copies_are_found() -> None:
    found = linked(SimHash(shingle_words=1), planted(2, 50, 1000, [1]))
    assert found == {(n, n + 1) for n in range(0, 100, 2)}


def test_no_duplicates() -> None:
    assert linked(SimHash(), planted(3, 200, 100, [])) == set()


def test_all_identical_and_one_giant_cluster() -> None:
    texts = Texts.from_strings(["all the same few words here"] * 50_000)
    keys = SimHash().keys(texts)
    assert (keys == keys[0]).all()
    assert len(linked(SimHash(), ["all the same few words here"] * 30)) == 30 * 29 // 2


def test_all_empty_take_no_part() -> None:
    texts = Texts.from_strings(["", " ", "\n", "...", "👍", "\0"])
    assert SimHash().keyless(texts).all()
    assert not SimHash().fingerprints(texts).any()


def test_fewer_words_than_a_shingle_do_not_collapse_into_one_cluster() -> None:
    """text-dedup issue 77: all documents with fewer words than a shingle became one cluster."""
    assert linked(SimHash(shingle_words=6), ["yes", "no", "Yes!", "thank you", "you thank", "thank  you.", ""]) == {
        (0, 2),
        (3, 5),
    }


def test_no_documents() -> None:
    empty = Texts.from_strings([])
    step = SimHash()
    assert step.keys(empty).shape == (0, step.keys_per_document(), 2)
    assert step.keyless(empty).shape == (0,)
    sketches = step.sketches(empty)
    assert len(sketches) == 0
    nothing = np.empty(0, dtype=np.int64)
    assert step.similarity(sketches, nothing, nothing).shape == (0,)


def test_cutting_the_batch_changes_nothing() -> None:
    step = SimHash()
    texts = Texts.from_strings(HOSTILE)
    whole, sketches = step.keys(texts), step.sketches(texts)
    array = texts.to_arrow()
    for cut in range(len(HOSTILE) + 1):
        parts = [Texts.from_arrow(piece) for piece in (array[:cut], array[cut:])]
        assert np.array_equal(np.concatenate([step.keys(part) for part in parts]), whole)
        assert np.array_equal(np.concatenate([step.sketches(part).values for part in parts]), sketches.values)
    assert np.array_equal(step.keys(Texts.from_strings(HOSTILE[::-1]))[::-1], whole)


def test_16_mb() -> None:
    line = "one two three four five, "
    prints = SimHash().fingerprints(Texts.from_strings([line * 640_000, line * 640_000 + "end", line]))
    assert prints[0] == prints[1] != prints[2]


def test_plagiarised_news_articles(test_data: Path) -> None:
    """All ten true pairs are within five bits, all others twelve or more apart."""
    folder = test_data / "duplicates" / "articles"
    names, texts = zip(
        *(text.split(" ", 1) for text in (folder / "articles_1000.train").read_text().splitlines()), strict=True
    )
    truth = {frozenset(text.split()) for text in (folder / "articles_1000.truth").read_text().splitlines()}
    pairs = linked(SimHash(max_distance=8, agreeing_blocks=2), list(texts))
    assert {frozenset((names[a], names[b])) for a, b in pairs} == truth


@pytest.mark.parametrize(
    "options",
    [
        {"max_distance": -1},
        {"max_distance": 64},
        {"max_distance": 3.0},
        {"max_distance": True},
        {"shingle_words": 0},
        {"agreeing_blocks": 0},
        {"agreeing_blocks": 62},
        {"agreeing_blocks": 30},
        {"keep": "best"},
    ],
)
def test_wrong_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"simhash: {next(iter(options))} = "):
        SimHash(**options)


def test_options_at_their_bounds() -> None:
    SimHash(max_distance=63, agreeing_blocks=1)
    SimHash(max_distance=0, agreeing_blocks=64)
    SimHash(shingle_words=1024, keep="best:language.score")


def test_keys_are_pinned() -> None:
    """Changing these means other output: raise the version of `simhash`."""
    assert SimHash.version == 1
    texts = Texts.from_strings(["The quick brown fox jumps over the lazy dog", "Über 7 Brücken", "静かな夜"])
    assert SimHash().fingerprints(texts).tolist() == PINNED
    assert SimHash().keys(texts)[:, [0, 19]].tolist() == PINNED_KEYS


PINNED = [15034342064156973817, 5134181210688698570, 9293626346070017]
PINNED_KEYS = [
    [[3357394515256969366, 228790132284245924], [16726608779551294583, 15796257408087049392]],
    [[17650229835936869030, 16272052788234088614], [7064062204229424484, 6626801627937683566]],
    [[2549327726383944482, 3208553068347574490], [15136538679385809840, 11040060388052954765]],
]
