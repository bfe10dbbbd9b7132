"""`near_duplicates` end to end: named edge cases and planted clusters."""

import numpy as np
import pytest

from corpusmill.dedup import near_duplicates as module
from corpusmill.dedup.minhash import MinHash, detection_probability
from corpusmill.dedup.near_duplicates import near_duplicates
from corpusmill.errors import ConfigError
from corpusmill.text import Texts


def prose(seed, words=200):
    return [f"w{n}" for n in np.random.default_rng(seed).integers(0, 10**6, words)]


def edited(words, seed, edits):
    """The words with some of them replaced."""
    words = list(words)
    for place in np.random.default_rng(seed).choice(len(words), edits, replace=False):
        words[place] = f"e{seed}x{place}"
    return words


def corpus():
    """20 clusters of an original and three slightly edited copies (similarity above .9), and 40 loners."""
    texts = []
    for n in range(20):
        texts += [prose(n, 400), *(edited(prose(n, 400), 1000 * n + copy, 1) for copy in range(1, 4))]
    return [" ".join(words) for words in texts + [prose(100 + n) for n in range(40)]]


CLUSTERS = [[4 * n, 4 * n + 1, 4 * n + 2, 4 * n + 3] for n in range(20)]
EITHER = pytest.mark.parametrize("verify", [True, False])


def jaccard(one, other, size=5):
    a, b = ({tuple(words[i : i + size]) for i in range(max(1, len(words) - size + 1))} for words in (one, other))
    return len(a & b) / len(a | b)


@EITHER
@pytest.mark.parametrize("shingle_chars", [None, 12])
def test_planted_clusters(verify, shingle_chars):
    assert near_duplicates(corpus(), verify=verify, shingle_chars=shingle_chars) == CLUSTERS


@pytest.mark.parametrize("seed", range(5))
def test_order_of_documents_does_not_change_the_clusters(seed):
    texts = corpus()
    order = np.random.default_rng(seed).permutation(len(texts)).tolist()
    found = near_duplicates([texts[i] for i in order])
    assert found == sorted(found)
    assert all(cluster == sorted(cluster) for cluster in found)
    assert sorted(sorted(order[i] for i in cluster) for cluster in found) == CLUSTERS


@EITHER
@pytest.mark.parametrize("batch_bytes", [1, 3000, 10**9])
def test_one_and_many_batches_give_the_same_clusters(monkeypatch, batch_bytes, verify):
    monkeypatch.setattr(module, "BATCH_BYTES", batch_bytes)
    assert near_duplicates(corpus(), verify=verify) == CLUSTERS
    assert near_duplicates(["", "a", "", "a"], verify=verify) == [[1, 3]]


@EITHER
def test_no_documents(verify):
    assert near_duplicates([], verify=verify) == []


def test_one_document():
    assert near_duplicates(["the only one there is, of more than five words"]) == []


@EITHER
def test_no_duplicates_at_all(verify):
    # NeMo-Curator issue 67: a corpus without duplicates crashed.
    assert near_duplicates([" ".join(prose(n)) for n in range(50)], verify=verify) == []
    assert near_duplicates(["one", "two"], verify=verify) == []


@EITHER
def test_all_identical(verify):
    assert near_duplicates([" ".join(prose(1))] * 50, verify=verify) == [list(range(50))]


@EITHER
@pytest.mark.parametrize("shingle_chars", [None, 5])
def test_all_empty(verify, shingle_chars):
    assert near_duplicates([""] * 50, verify=verify, shingle_chars=shingle_chars) == []
    assert near_duplicates(["", " ", "\n"], verify=verify, shingle_chars=shingle_chars) == []
    assert near_duplicates(["...", "👍", "\0", "..."]) == []


@EITHER
def test_one_giant_cluster(verify):
    n = 100_000
    texts = ["all the same few words here"] * n
    assert near_duplicates(texts, bands=2, rows=2, verify=verify) == [list(range(n))]


@EITHER
def test_a_giant_cluster_with_others_inside_its_bucket(verify):
    """With one value per band, half of a bucket may be alien: verification keeps it out of the cluster."""
    alike = [" ".join(prose(1, 40))] * 30
    texts = [*alike, *(" ".join([*prose(1, 40)[:20], *prose(n, 20)]) for n in range(2, 12))]
    found = near_duplicates(texts, bands=10, rows=1, verify=verify)
    assert found == ([list(range(30))] if verify else [list(range(40))])


@EITHER
def test_fewer_words_than_a_shingle(verify):
    # text-dedup issue 77: all documents with fewer words than a shingle became one cluster.
    texts = ["yes", "no", "Yes!", "thank you", "you thank", "thank  you.", "", "!"]
    assert near_duplicates(texts, verify=verify) == [[0, 2], [3, 5]]


def test_fewer_characters_than_a_shingle():
    assert near_duplicates(["yes", "no", " YES\n", "yes!", "!", "!", ""], shingle_chars=9) == [[0, 2], [4, 5]]


def test_scripts_without_spaces():
    text = "春眠暁を覚えず処処啼鳥を聞く夜来風雨の声花落つること知る多少" * 3
    longer = "".join(chr(0x4E00 + n) for n in range(300))
    assert near_duplicates([longer, longer[:-4] + "終", text, text[1:]]) == [[0, 1], [2, 3]]


def test_lone_surrogates():
    assert near_duplicates(["a\ud800b c", "A\udfffB c", "a b d"]) == [[0, 1]]


def test_chains_join():
    """The ends of a chain of edits are in one cluster though they have little in common."""
    chain = [prose(0, 300)]
    for n in range(1, 12):
        chain.append(edited(chain[-1], n, 3))
    assert near_duplicates([" ".join(words) for words in chain]) == [list(range(12))]


@pytest.mark.parametrize("rate", [0, 0.5, 1, 2, 3, 5, 10, 20, 30, 40, 50])
def test_planted_pairs_by_rate_of_edits(rate):
    """Pairs with so many per cent of the words changed: found as the curve says, but none below `min_jaccard`."""
    pairs = 400
    words = [prose(n) for n in range(pairs)]
    copies = [edited(w, pairs + n, round(len(w) * rate / 100)) for n, w in enumerate(words)]
    similar = np.array([jaccard(*pair) for pair in zip(words, copies, strict=True)])
    texts = [" ".join(w) for pair in zip(words, copies, strict=True) for w in pair]
    chance = np.array([detection_probability(s, 14, 8) for s in similar]) * (similar >= 0.75)
    found = near_duplicates(texts)
    linked = np.zeros(pairs, dtype=bool)
    for one, other in found:  # every cluster is a planted pair
        assert other == one + 1
        linked[one // 2] = True
    assert similar[linked].min(initial=1) >= 0.75
    assert abs(linked.sum() - chance.sum()) <= 3 * np.sqrt((chance * (1 - chance)).sum()) + 1e-9
    if rate == 0:
        assert linked.all()


def test_verified_pairs_are_exactly_those_found_and_similar_enough():
    words = [prose(n) for n in range(300)]
    copies = [edited(w, n, 4 + n % 9) for n, w in enumerate(words)]
    texts = [" ".join(w) for pair in zip(words, copies, strict=True) for w in pair]
    keys = MinHash().keys(Texts.from_strings(texts))[:, :, 0]
    shares = (keys[::2] == keys[1::2]).any(axis=1)
    similar = np.array([jaccard(*pair) for pair in zip(words, copies, strict=True)]) >= 0.75
    assert 0 < (shares & similar).sum() < min(shares.sum(), similar.sum())
    assert near_duplicates(texts) == [[2 * n, 2 * n + 1] for n in np.flatnonzero(shares & similar)]
    assert near_duplicates(texts, bands=14, rows=8, verify=False) == [
        [2 * n, 2 * n + 1] for n in np.flatnonzero(shares)
    ]


def test_parameters_matter():
    texts = [" ".join(prose(0)), " ".join(edited(prose(0), 1, 12))]  # similarity about .6
    assert near_duplicates(texts, bands=50, rows=3) == []
    assert near_duplicates(texts, bands=50, rows=3, min_jaccard=0.5) == [[0, 1]]
    assert near_duplicates(texts, bands=50, rows=3, verify=False) == [[0, 1]]
    assert near_duplicates(texts, bands=3, rows=50, verify=False) == []


def test_survivor_policy_does_not_matter():
    assert near_duplicates(corpus(), keep="best:a.b") == CLUSTERS


@pytest.mark.parametrize("name", ["threshold", "against", "save"])
def test_unknown_parameter(name):
    with pytest.raises(ConfigError, match=rf"unknown parameter '{name}'; allowed: bands, rows, permutations, min_j"):
        near_duplicates([], **{name: 0.7})


def test_wrong_parameter():
    with pytest.raises(ConfigError, match="minhash: bands = 0"):
        near_duplicates([], bands=0, rows=1)
