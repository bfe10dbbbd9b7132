"""MinHash on real texts with known near-duplicates: Debian's installation guides and news articles.

The guides for two machines have the same pages in 20 languages, 1,552 pairs, most of them alike. Their Jaccard
similarities over shingles of five `\\w+` words were computed by others and are stored with the data.
"""

import gzip
import html
import json
import re
import tarfile
from dataclasses import dataclass

import numpy as np
import pytest
import regex

from corpusmill.dedup.candidates import candidate_pairs
from corpusmill.dedup.minhash import MinHash, detection_probability
from corpusmill.dedup.near_duplicates import near_duplicates
from corpusmill.text import Texts

OUTSIDE = re.compile(r"<(script|style|head).*?</\1>", re.IGNORECASE | re.DOTALL)
UNSPACED = ("ja/", "zh_CN/")
SEEDS = range(1, 31)


@dataclass(frozen=True)
class Pages:
    """Page n of the guide for amd64 is text n, that for i386 text n + len(names)."""

    names: list[str]
    texts: list[str]
    known: np.ndarray  # Jaccard of each pair, rounded to four digits

    @property
    def pairs(self):
        numbers = np.arange(len(self.names))
        return numbers, numbers + len(self.names)


@pytest.fixture(scope="module")
def pages(test_data):
    stored = gzip.decompress((test_data / "duplicates" / "debian-pairs.json.gz").read_bytes())
    known = json.loads(stored)["installguide-amd64-i386"]
    files = {}
    with tarfile.open(test_data / "duplicates" / "installation-guides.tar.xz") as archive:
        for member in archive:
            if member.isfile():
                machine, name = re.fullmatch(r"installation-guide-(\w+)/usr/share/doc/[^/]*/(.*)", member.name).groups()
                files[machine, name] = archive.extractfile(member).read()
    names = [pair["path"] for pair in known]
    texts = [text_of(files[machine, name], name) for machine in ("amd64", "i386") for name in names]
    return Pages(names, texts, np.array([pair["jaccard5"] for pair in known]))


def text_of(data, name):
    if name.endswith(".gz"):
        return gzip.decompress(data).decode("utf-8", "replace")
    return html.unescape(re.sub("<[^>]*>", " ", OUTSIDE.sub(" ", data.decode("utf-8", "replace"))))


def words_of(text):
    """Our words, the slow way, of text in scripts with spaces."""
    return regex.findall(r"[\p{L}\p{M}\p{Nd}]+", text.lower())


def test_similarity_is_the_known_one_where_words_are_the_same(pages):
    step = MinHash()
    found = step.similarity(step.sketches(Texts.from_strings(pages.texts)), *pages.pairs)
    same = np.array(
        [
            not name.startswith(UNSPACED) and all(words_of(t) == re.findall(r"\w+", t.lower()) for t in pair)
            for name, *pair in zip(pages.names, *np.split(np.array(pages.texts, dtype=object), 2), strict=True)
        ]
    )
    assert same.sum() > 1100
    assert np.abs(found - pages.known)[same].max() < 0.00006
    # Elsewhere `_` and marks make other words, and so slightly other similarities; and characters stand alone.
    spaced = np.array([not name.startswith(UNSPACED) for name in pages.names])
    assert np.abs(found - pages.known)[spaced].max() < 0.03


def shingles_of(text):
    """Shingles of five of our words, in plain Python; letters of Chinese and Japanese stand alone."""
    alone = r"[\p{L}&&[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}]]"
    words = regex.findall(rf"(?V1){alone}\p{{M}}*|[[\p{{L}}\p{{M}}\p{{Nd}}]--{alone}]+", text.lower().replace("ς", "σ"))
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}


def test_verified_pairs_are_similar_enough_and_no_others(pages):
    """Precision 1: what is linked is what shares a band and has the similarity, counted in plain Python."""
    chosen = [
        d for d, name in enumerate([*pages.names, *pages.names]) if name.startswith(("en/", "el/", "ru/", "zh_CN/"))
    ]
    texts = Texts.from_strings([pages.texts[d] for d in chosen])
    step = MinHash(bands=16, rows=3, min_jaccard=0.9)  # finds much in vain
    documents = np.repeat(np.arange(len(texts), dtype=np.uint64), 16)
    pairs = candidate_pairs(step.keys(texts).reshape(-1, 2), documents, np.zeros_like(documents))
    left, right = pairs["hub"].astype(np.int64), pairs["document"].astype(np.int64)
    similar = step.similarity(step.sketches(texts), left, right)
    shingles = [shingles_of(text) for text in texts.to_list()]
    exact = np.array(
        [len(shingles[a] & shingles[b]) / len(shingles[a] | shingles[b]) for a, b in zip(left, right, strict=True)]
    )
    assert np.abs(similar - exact).max() < 1e-5
    linked = similar >= step.least_similarity()
    assert np.array_equal(linked, exact >= 0.9)
    assert linked.sum() > 200
    assert (~linked).sum() > 20


def graded(pages, least=0.3):
    """(left, right, Jaccard) of real pairs from `least` on, also of different pages: texts in either guide that share a
    band of another seed. Found so, they say nothing about the bands of this one."""
    texts = Texts.from_strings(pages.texts)
    scout = MinHash(bands=64, rows=2, seed=12345)
    keys = scout.keys(texts)
    documents = np.repeat(np.arange(len(texts), dtype=np.uint64), 64)
    pairs = candidate_pairs(keys.reshape(-1, 2), documents, np.zeros_like(documents), hubs=100)
    left, right = pairs["hub"].astype(np.int64), pairs["document"].astype(np.int64)
    similar = scout.similarity(scout.sketches(texts), left, right)
    keep = similar >= least
    return left[keep], right[keep], similar[keep]


def apart(pages, left, right):
    """Positions of the pairs that have no page in common, in either guide, with an earlier one: their chances are
    independent."""
    seen, chosen = set(), []
    for k, ends in enumerate(zip(left % len(pages.names), right % len(pages.names), strict=True)):
        if not seen & set(ends):
            seen |= set(ends)
            chosen.append(k)
    return np.array(chosen, dtype=np.int64)


@pytest.fixture(scope="module")
def recall(pages):
    """(found, expected, standard deviation) in bins of Jaccard, .3 to 1 in steps of .05, over some seeds."""
    left, right, similar = graded(pages)
    bins = []
    for low in range(30, 100, 5):
        of_bin = np.flatnonzero((similar >= low / 100) & (similar < (low + 5) / 100))
        bins.append(of_bin[apart(pages, left[of_bin], right[of_bin])])
    needed = np.unique(np.concatenate([np.concatenate([left[b], right[b]]) for b in bins]))
    texts = Texts.from_strings([pages.texts[d] for d in needed])
    found = np.zeros(len(left))
    for seed in SEEDS:
        keys = MinHash(seed=seed).keys(texts)[:, :, 0]
        for b in bins:
            one, other = np.searchsorted(needed, left[b]), np.searchsorted(needed, right[b])
            found[b] += (keys[one] == keys[other]).any(axis=1)
    chance = np.array([detection_probability(s, 14, 8) for s in similar])
    return [
        (found[b].sum(), len(SEEDS) * chance[b].sum(), np.sqrt(len(SEEDS) * (chance[b] * (1 - chance[b])).sum()))
        for b in bins
    ]


@pytest.mark.parametrize("number", range(14))
def test_recall_follows_the_curve_in_every_bin(recall, number):
    found, expected, sigma = recall[number]
    assert abs(found - expected) <= 2 * sigma + 1e-9


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("size", [100, 1000, 2500])
def test_plagiarised_news_articles(test_data, size, verify):
    folder = test_data / "duplicates" / "articles"
    lines = (folder / f"articles_{size}.train").read_text(encoding="utf-8").splitlines()
    names, texts = zip(*(line.split(" ", 1) for line in lines), strict=True)
    truth = {frozenset(line.split()) for line in (folder / f"articles_{size}.truth").read_text().splitlines()}
    found = {frozenset(names[i] for i in cluster) for cluster in near_duplicates(texts, verify=verify)}
    assert truth <= found  # recall 1
    assert found == truth  # precision 1
