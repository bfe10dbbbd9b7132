"""Train a fastText classifier of two labels, the same bytes every time.

fastText 0.9.3 can't do it: with several threads its updates race, and with one it leaves nine tenths of the input
matrix uninitialised (`DenseMatrix::uniform` fills one of its ten blocks), so training is random and often ends in
"Encountered NaN". For two labels its model is logistic regression on the mean of the features of a line (Joulin et
al. 2016, §2): words, and word n-grams hashed into buckets. That has one weight per feature whatever `dim` is, and
learns without any random start. So it is fitted here, and written as a fastText model of dimension 1.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from corpusmill.errors import ConfigError
from corpusmill.filters.models.fasttext_model import LABEL_PREFIX
from corpusmill.text import Texts

# The file format and the hashes are fastText's: args.cc, dictionary.cc, densematrix.cc at version 12 of the format.
_MAGIC, _VERSION = 793712314, 12
_SOFTMAX, _SUPERVISED = 3, 3
_END = "</s>"
_FNV_BASIS, _FNV_PRIME = np.uint32(2166136261), np.uint32(16777619)
_NGRAM_PRIME = np.uint64(116049371)


@dataclass(frozen=True)
class Vocabulary:
    """The words that occur at least `min_count` times, most frequent first, and the lines in terms of them.

    rows    int32[tokens], position in `words`, -1 for rarer words
    hashes  int32[tokens], fastText's hash of the token
    first   int64[lines + 1]
    """

    words: list[str]
    counts: list[int]
    rows: npt.NDArray[np.int32]
    hashes: npt.NDArray[np.int32]
    first: npt.NDArray[np.int64]

    @staticmethod
    def of(lines: Sequence[str], min_count: int) -> Vocabulary:
        """Raises ConfigError when no word is frequent enough."""
        split = pc.split_pattern(pa.array([f"{line} {_END}" for line in lines], pa.large_string()), " ")
        coded = split.values.dictionary_encode()
        tokens = coded.indices.to_numpy()
        known = coded.dictionary.to_pylist()
        counts = np.bincount(tokens, minlength=len(known))
        kept = sorted(np.flatnonzero(counts >= min_count).tolist(), key=lambda k: (-counts[k], known[k]))
        if not kept:
            raise ConfigError(f"no word occurs {min_count} times: give more documents or a smaller min_count")
        row = np.full(len(known), -1, dtype=np.int32)
        row[kept] = np.arange(len(kept), dtype=np.int32)
        texts = Texts.from_arrow(coded.dictionary)
        hashes = _hash_words(texts.data, texts.offsets)
        words = [known[k] for k in kept]
        return Vocabulary(words, counts[kept].tolist(), row[tokens], hashes[tokens], split.offsets.to_numpy())


def train(
    lines: Sequence[str],
    truth: npt.NDArray[np.bool_],
    labels: tuple[str, str],
    *,
    word_ngrams: int,
    epochs: int,
    lr: float,
    min_count: int,
    bucket: int,
) -> bytes:
    """A fastText model file that tells the lines where `truth` holds (`labels[0]`) from the others (`labels[1]`).

    AdaGrad (Duchi et al. 2011) in the order given, `epochs` times, with a step of `lr`. `lines` come from
    `fasttext_model.lines`. The file has (words + `bucket`) × 4 bytes and the words.
    """
    vocabulary = Vocabulary.of(lines, min_count)
    bucket = bucket if word_ngrams > 1 else 0
    rows, hashes, first = vocabulary.rows, vocabulary.hashes, vocabulary.first
    weights = _fit(rows, hashes, first, truth, len(vocabulary.words), word_ngrams, bucket, epochs, lr)
    counts = (int(truth.sum()), int((~truth).sum()))
    settings = (1, 0, epochs, min_count, 0, word_ngrams, _SOFTMAX, _SUPERVISED, bucket, 0, 0, 0)
    words, tokens = vocabulary.words, int(first[-1]) + len(lines)
    parts = [
        struct.pack("<2i12id", _MAGIC, _VERSION, *settings, 0.0),
        struct.pack("<3i2q", len(words) + 2, len(words), 2, tokens, -1),
        *(_entry(word, count, 0) for word, count in zip(words, vocabulary.counts, strict=True)),
        *(_entry(LABEL_PREFIX + label, count, 1) for label, count in zip(labels, counts, strict=True)),
        struct.pack("<?2q", False, len(weights), 1),
        weights.astype("<f4").tobytes(),
        # Half a weight for one label and half against the other: their softmax is the sigmoid of the whole.
        struct.pack("<?2q2f", False, 2, 1, 0.5, -0.5),
    ]
    return b"".join(parts)


def _entry(word: str, count: int, kind: int) -> bytes:
    return word.encode() + struct.pack("<xqb", count, kind)


@njit(cache=True, nogil=True)
def _hash_words(data, offsets):  # type: ignore[no-untyped-def]
    """FNV-1a over signed bytes, 32 bits, as int32."""
    hashes = np.empty(len(offsets) - 1, dtype=np.int32)
    for w in range(len(hashes)):
        h = _FNV_BASIS
        for i in range(offsets[w], offsets[w + 1]):
            h = np.uint32(np.uint32(h ^ np.uint32(np.int8(data[i]))) * _FNV_PRIME)
        hashes[w] = np.int32(h)
    return hashes


@njit(cache=True, nogil=True)
def _features(rows, hashes, begin, end, words, word_ngrams, bucket, out):  # type: ignore[no-untyped-def]
    """Rows of the input matrix for one line, into `out`; returns how many."""
    n = 0
    for i in range(begin, end):
        if rows[i] >= 0:
            out[n] = rows[i]
            n += 1
    for i in range(begin, end):
        h = np.uint64(np.int64(hashes[i]))
        for j in range(i + 1, min(end, i + word_ngrams)):
            h = h * _NGRAM_PRIME + np.uint64(np.int64(hashes[j]))
            out[n] = words + np.int64(h % np.uint64(bucket))
            n += 1
    return n


@njit(cache=True, nogil=True)
def _fit(rows, hashes, first, truth, words, word_ngrams, bucket, epochs, lr):  # type: ignore[no-untyped-def]
    weights = np.zeros(words + bucket, dtype=np.float64)
    squares = np.full(words + bucket, 1e-12)
    longest = 0
    for d in range(len(truth)):
        longest = max(longest, first[d + 1] - first[d])
    features = np.empty(longest * word_ngrams, dtype=np.int64)
    for _ in range(epochs):
        for d in range(len(truth)):
            n = _features(rows, hashes, first[d], first[d + 1], words, word_ngrams, bucket, features)
            if n == 0:
                continue
            total = 0.0
            for k in range(n):
                total += weights[features[k]]
            error = (1.0 if truth[d] else 0.0) - 1.0 / (1.0 + np.exp(-total / n))
            step = error / n
            for k in range(n):
                f = features[k]
                squares[f] += step * step
                weights[f] += lr * step / np.sqrt(squares[f])
    return weights
