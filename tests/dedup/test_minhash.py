"""The `minhash` barrier: its options, how bands are chosen, and what it gives the pipeline."""

import subprocess
import sys

import datasketch
import numpy as np
import pytest
from datasketch.lsh import _optimal_param

from corpusmill.dedup.minhash import MinHash, best_banding, detection_probability
from corpusmill.dedup.signatures import SCHEME
from corpusmill.errors import ConfigError
from corpusmill.text import Texts

TEXTS = ["The quick brown fox jumps over the lazy dog", "Über 7 Brücken", "", "静かな夜", "yes", "Yes!"]


def test_keys_are_pinned():
    """Changing these means other output: raise the version of `minhash`."""
    assert MinHash.version == 2
    texts = Texts.from_strings(["The quick brown fox jumps over the lazy dog", "Über 7 Brücken", "静かな夜のﾊﾞｽ"])
    assert MinHash().keys(texts)[:, [0, 13]].tolist() == PINNED
    assert MinHash(shingle_chars=9).keys(texts)[:, 5].tolist() == PINNED_OF_CHARACTERS
    assert MinHash().sketches(texts).values.tolist() == PINNED_SKETCHES


PINNED = [
    [[7616161597312335179, 6098122823436841022], [17573249004413268971, 9310788204258686570]],
    [[7317222572596457740, 10632411662358351098], [8633283838724810356, 12253505624428117023]],
    [[7293052802677752208, 12101022294666175365], [9623095553436581450, 10857865478095376693]],
]
PINNED_OF_CHARACTERS = [
    [15098725120709203252, 11458818224920462672],
    [2740182571519903528, 17963629969477257598],
    [5659472841015511360, 14179439755811827150],
]
PINNED_SKETCHES = [
    3056602767,
    4274273304,
    718004942,
    405703092,
    597935313,
    2089422614,
    1079444076,
    2373860605,
    3615950740,
    4158264212,
]


@pytest.mark.parametrize("options", [{}, {"bands": 3, "rows": 7, "shingle_chars": 4}, {"shingle_words": 1, "seed": 9}])
def test_keys_sketches_and_similarity_go_together(options):
    step = MinHash(**options)
    texts = Texts.from_strings(TEXTS)
    keys = step.keys(texts)
    assert keys.shape == (6, step.keys_per_document(), 2)
    assert keys.shape[1] == step.banding[0]
    assert step.signatures(texts).shape == (6, step.banding[0] * step.banding[1])
    assert step.keyless(texts).tolist() == [False, False, True, False, False, False]
    sketches = step.sketches(texts)
    assert (np.diff(sketches.first) == 0).tolist() == step.keyless(texts).tolist()
    same = step.similarity(sketches, np.array([0, 4]), np.array([0, 5]))
    assert same.tolist() == [1, 0 if step.shingle_chars else 1]
    assert np.array_equal(keys[4], keys[5]) == (step.shingle_chars is None)


def test_no_documents():
    empty = Texts.from_strings([])
    assert MinHash().keys(empty).shape == (0, 14, 2)
    assert MinHash().keyless(empty).shape == (0,)
    assert len(MinHash().sketches(empty)) == 0


def test_signatures_interchange_with_datasketch():
    texts = Texts.from_strings(["a b c d e f g h", "a b c d e f g x"])
    step = MinHash()
    one, other = step.datasketches(texts)
    assert one.jaccard(other) == np.mean(np.equal(*step.signatures(texts)))
    lsh = datasketch.MinHashLSH(num_perm=112, params=step.banding)
    lsh.insert("one", one)
    assert lsh.query(one) == ["one"]
    assert one.scheme == SCHEME


def test_signatures_are_those_of_the_sketches():
    """So that signatures of yours can be compared: datasketch makes them of what `sketches` gives."""
    step = MinHash(seed=7, shingle_chars=3)
    texts = Texts.from_strings(TEXTS)
    sketches = step.sketches(texts)
    for d, made in enumerate(step.datasketches(texts)):
        theirs = datasketch.MinHash(112, seed=7, hashfunc=lambda h: h, scheme=SCHEME)
        theirs.update_batch(sketches.values[sketches.first[d] : sketches.first[d + 1]].tolist())
        assert made == theirs


def test_datasketch_is_not_imported_for_work():
    code = (
        "import sys; from corpusmill.dedup.minhash import MinHash; MinHash().curve(); "
        "sys.exit('datasketch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


@pytest.mark.parametrize("permutations", [1, 2, 7, 64, 112, 128, 256])
@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.75, 0.25), (0.1, 0.9)])
def test_bands_are_chosen_as_datasketch_chooses_them(permutations, weights):
    misses, needless = weights
    for min_jaccard in (0.1, 0.3, 0.5, 0.7, 0.75, 0.8, 0.85, 0.9, 0.99):
        theirs = _optimal_param(min_jaccard, permutations, needless, misses)
        assert best_banding(min_jaccard, permutations, misses, needless) == theirs


def test_defaults_give_finewebs_bands():
    assert MinHash().banding == (14, 8)
    assert MinHash(keep="longest", seed=3, shingle_chars=24).banding == (14, 8)


def test_bands_follow_min_jaccard_permutations_and_verification():
    assert MinHash(min_jaccard=0.5).banding == best_banding(0.5, 112, 0.75, 0.25) == (26, 4)
    assert MinHash(permutations=256).banding == (25, 10)
    assert MinHash(verify=False).banding == best_banding(0.75, 112, 0.5, 0.5) == (11, 10)
    assert MinHash(bands=20, rows=13, min_jaccard=0.8).banding == (20, 13)
    assert MinHash(bands=20, rows=13, permutations=260).banding == (20, 13)
    assert MinHash(min_jaccard=1).banding == best_banding(1.0, 112, 0.75, 0.25)
    assert np.prod(MinHash(permutations=4096, min_jaccard=0.01).banding) <= 4096


def test_least_similarity():
    assert MinHash().least_similarity() == 0.75
    assert MinHash(min_jaccard=0.9).least_similarity() == 0.9
    assert MinHash(verify=False).least_similarity() is None


def test_the_curve_at_known_points():
    # FineWeb's 14 x 8 as the paper's appendix gives them: 56 % at .7, 77 % at .75, 92 % at .8, 98.8 % at .85.
    wanted = {0.0: 0.0, 0.7: 0.56, 0.75: 0.77, 0.8: 0.92, 0.85: 0.988, 1.0: 1.0}
    for similarity, probability in wanted.items():
        assert abs(detection_probability(similarity, 14, 8) - probability) < 0.01


@pytest.mark.parametrize("options", [{}, {"bands": 1, "rows": 1}, {"min_jaccard": 0.3}, {"bands": 450, "rows": 20}])
def test_the_curve_rises_and_is_half_where_it_says(options):
    step = MinHash(**options)
    curve = step.curve()
    assert [s for s, _ in curve.points] == [n / 100 for n in range(30, 101, 5)]
    assert [p for _, p in curve.points] == [detection_probability(s, *step.banding) for s, _ in curve.points]
    assert [p for _, p in curve.points] == sorted(p for _, p in curve.points)
    assert curve.points[-1] == (1.0, 1.0)
    assert abs(detection_probability(curve.half, *step.banding) - 0.5) < 1e-9


@pytest.mark.parametrize(
    "options",
    [
        {"bands": 0, "rows": 8},
        {"rows": -1, "bands": 14},
        {"rows": 4097, "bands": 1},
        {"shingle_words": 0},
        {"shingle_words": 2.0},
        {"shingle_words": None},
        {"shingle_chars": 0},
        {"shingle_chars": 1025},
        {"seed": -1},
        {"seed": 2**32},
        {"bands": True, "rows": 8},
        {"bands": "14", "rows": 8},
        {"permutations": 0},
        {"permutations": None},
        {"min_jaccard": 0},
        {"min_jaccard": 1.01},
        {"min_jaccard": float("nan")},
        {"min_jaccard": "0.8"},
        {"min_jaccard": True},
        {"verify": 1},
        {"keep": "best"},
    ],
)
def test_wrong_options_are_named(options):
    with pytest.raises(ConfigError, match=f"minhash: {next(iter(options))} = "):
        MinHash(**options)


@pytest.mark.parametrize(("given", "other"), [("bands", "rows"), ("rows", "bands")])
def test_bands_without_rows_say_what_to_do(given, other):
    with pytest.raises(ConfigError, match=f"minhash: {given} = 8 but no {other}: give both, or leave both out"):
        MinHash(**{given: 8})


def test_permutations_that_contradict_the_bands():
    with pytest.raises(ConfigError, match="permutations = 256, but 14 bands of 8 rows need 112: leave"):
        MinHash(bands=14, rows=8, permutations=256)


def test_options_at_their_bounds():
    MinHash(bands=1, rows=1, shingle_words=1, shingle_chars=1, seed=0, min_jaccard=1, permutations=1)
    MinHash(bands=4096, rows=4096, shingle_words=1024, shingle_chars=1024, seed=2**32 - 1, keep="best:language.score")
