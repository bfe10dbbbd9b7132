"""`near_duplicates` end to end: named edge cases, planted clusters, real articles and real manuals."""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import regex

from corpusmill.dedup import near_duplicates as module
from corpusmill.dedup.minhash import detection_probability
from corpusmill.dedup.near_duplicates import near_duplicates
from corpusmill.errors import ConfigError

DATA = os.environ.get("CORPUSMILL_TEST_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="CORPUSMILL_TEST_DATA, the folder of test data, is not set")


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


def test_planted_clusters():
    assert near_duplicates(corpus()) == CLUSTERS


@pytest.mark.parametrize("seed", range(5))
def test_order_of_documents_does_not_change_the_clusters(seed):
    texts = corpus()
    order = np.random.default_rng(seed).permutation(len(texts)).tolist()
    found = near_duplicates([texts[i] for i in order])
    assert found == sorted(found)
    assert all(cluster == sorted(cluster) for cluster in found)
    assert sorted(sorted(order[i] for i in cluster) for cluster in found) == CLUSTERS


@pytest.mark.parametrize("batch_bytes", [1, 3000, 10**9])
def test_batches_do_not_change_the_clusters(monkeypatch, batch_bytes):
    monkeypatch.setattr(module, "BATCH_BYTES", batch_bytes)
    assert near_duplicates(corpus()) == CLUSTERS
    assert near_duplicates(["", "a", "", "a"]) == [[1, 3]]


def test_no_documents():
    assert near_duplicates([]) == []


def test_one_document():
    assert near_duplicates(["the only one there is, of more than five words"]) == []


def test_no_duplicates():
    assert near_duplicates([" ".join(prose(n)) for n in range(50)]) == []


def test_all_identical():
    assert near_duplicates([" ".join(prose(1))] * 50) == [list(range(50))]


def test_all_empty():
    assert near_duplicates([""] * 50) == []
    assert near_duplicates(["", " ", "\n", "...", "👍", "\0"]) == []


def test_one_giant_cluster():
    n = 100_000
    assert near_duplicates(["all the same few words here"] * n, bands=2, rows=2) == [list(range(n))]


def test_fewer_words_than_a_shingle_do_not_collapse_into_one_cluster():
    # text-dedup issue 77: all documents with fewer words than a shingle became one cluster.
    texts = ["yes", "no", "Yes!", "thank you", "you thank", "thank  you.", "", "!"]
    assert near_duplicates(texts) == [[0, 2], [3, 5]]


def test_no_duplicates_do_not_crash():
    # NeMo-Curator issue 67: a corpus without duplicates crashed.
    assert near_duplicates(["one", "two"]) == []


def test_lone_surrogates():
    assert near_duplicates(["a\ud800b c", "A\udfffB c", "a b d"]) == [[0, 1]]


def test_chains_join():
    """The ends of a chain of edits are in one cluster though they have little in common."""
    chain = [prose(0, 300)]
    for n in range(1, 12):
        chain.append(edited(chain[-1], n, 3))
    assert near_duplicates([" ".join(words) for words in chain]) == [list(range(12))]


def test_parameters_matter():
    texts = [" ".join(prose(0)), " ".join(edited(prose(0), 1, 12))]  # similarity about .6
    assert near_duplicates(texts, bands=50, rows=3) == [[0, 1]]
    assert near_duplicates(texts, bands=3, rows=50) == []


def test_survivor_policy_does_not_matter():
    assert near_duplicates(corpus(), keep="best:a.b") == CLUSTERS


def test_unknown_parameter():
    with pytest.raises(ConfigError, match=r"unknown parameter 'threshold'; allowed: bands, rows"):
        near_duplicates([], threshold=0.7)


def test_wrong_parameter():
    with pytest.raises(ConfigError, match="minhash: bands = 0"):
        near_duplicates([], bands=0)


def similarity(one, other):
    def shingles(text):
        words = [w.lower() for w in regex.findall(r"[\p{L}\p{M}\p{Nd}]+", text)]
        return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}

    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


@needs_data
@pytest.mark.parametrize("size", [100, 1000, 2500])
def test_plagiarised_news_articles(size):
    folder = Path(DATA) / "duplicates" / "articles"
    lines = (folder / f"articles_{size}.train").read_text(encoding="utf-8").splitlines()
    names, texts = zip(*(line.split(" ", 1) for line in lines), strict=True)
    truth = {frozenset(line.split()) for line in (folder / f"articles_{size}.truth").read_text().splitlines()}
    found = {frozenset(names[i] for i in cluster) for cluster in near_duplicates(texts)}
    assert truth <= found  # recall 1
    assert found == truth  # precision 1


@needs_data
def test_manuals_for_two_machines_are_found_as_often_as_the_curve_says():
    """The same pages of two installation guides, in languages with spaces between words."""
    pages = {}
    with tarfile.open(Path(DATA) / "duplicates" / "installation-guides.tar.xz") as archive:
        for member in archive:
            name = Path(member.name)
            if member.isfile() and name.suffix == ".html" and name.parent.name in ("en", "de", "ru", "el"):
                html = io.TextIOWrapper(archive.extractfile(member), "utf-8", errors="replace").read()
                pages.setdefault((name.parent.name, name.name), []).append(regex.sub(r"<[^>]*>", " ", html))
    pairs = [texts for texts in pages.values() if len(texts) == 2]
    likely = np.array([detection_probability(similarity(*pair), 14, 8) for pair in pairs])
    found = np.array([bool(near_duplicates(pair)) for pair in pairs])
    assert len(pairs) > 200
    assert abs(found.sum() - likely.sum()) <= 3 * np.sqrt((likely * (1 - likely)).sum())
    assert found[likely > 0.9999].all()
