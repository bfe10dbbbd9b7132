"""`quality`: how much a document is like the ones you want, by a fastText classifier; and how to train and judge one.

The classifier of GPT-3 (Brown et al. 2020, appendix A) and DCLM (Li et al. 2024, §4.4): one bag of words and bigrams.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from corpusmill import storage
from corpusmill.errors import ConfigError
from corpusmill.filters import fasttext_model, fasttext_train
from corpusmill.rules import Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts

POSITIVE, NEGATIVE = "positive", "negative"
MAX_BYTES = 4096
"""How much of a document is read, in training as in scoring."""

HOLD_OUT = 10
"""One document in this many is held out."""

_CHUNK = 1024


@register("quality", version=1)
@dataclass(frozen=True)
class Quality(Filter):
    """Keep documents to which the classifier gives the wanted label with at least `min_score`.

    model      path of a fastText classifier, as `corpusmill quality train` makes one
    min_score  least probability of `label`; None = off. DCLM keeps its best tenth: 0.018112 for `fasttext_oh_eli5`
    label      the label whose probability is the score, whichever label is the most probable (DCLM: `hq`)
    max_bytes  how much of a document is read, in four evenly spaced windows: what the model was trained with
    """

    model: str
    min_score: float | None = 0.5
    label: str = POSITIVE
    max_bytes: int = MAX_BYTES

    def __post_init__(self) -> None:
        """Raises ConfigError on a value out of range."""
        fasttext_model.check_model("quality", self.model)
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise ConfigError(f"quality: min_score must be from 0 to 1, got {self.min_score}")
        if not self.label:
            raise ConfigError("quality: label must be a label of the model, got ''")
        fasttext_model.check_max_bytes("quality", self.max_bytes)

    def files(self) -> tuple[str, ...]:
        """The model. Raises ConfigError when it is missing or has no such label."""
        _load(self.model, self.label)
        return (self.model,)

    def signals(self) -> Mapping[str, pa.DataType]:
        """The probability of `label`."""
        return {"quality.score": pa.float32()}

    def rules(self) -> tuple[Rule, ...]:
        """The one bound."""
        return () if self.min_score is None else (Rule("quality.min_score", "quality.score", ">=", self.min_score),)

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:  # noqa: ARG002
        """Sample the batch in one kernel, then give fastText all lines at once."""
        lines = fasttext_model.lines(texts, self.max_bytes)
        return Measured({"quality.score": _load(self.model, self.label).probability(lines, self.label)})


def train_quality(
    positive: Iterable[str],
    negative: Iterable[str],
    out: str | os.PathLike[str],
    *,
    word_ngrams: int = 2,
    epochs: int = 5,
    lr: float = 3.0,
    min_count: int = 5,
    bucket: int = 1 << 18,
    seed: int = 0,
    max_bytes: int = MAX_BYTES,
) -> dict[str, float]:
    """Train a classifier of documents like `positive` against documents like `negative` and write it to `out`.

    Returns the metrics of `evaluate_quality` on the tenth of the documents that is held out by a hash of what the
    model sees of them, so copies never lie on both sides. The same documents and options give the same bytes,
    whatever the order of the documents; `seed` picks the held-out tenth and the order of training. Memory is about
    documents × 3 × `max_bytes`. The options are those of `fasttext_train.train`.

    Raises ConfigError where an option is out of range or a side has too few documents.
    """
    _check_training(word_ngrams=word_ngrams, epochs=epochs, lr=lr, min_count=min_count, bucket=bucket)
    fasttext_model.check_max_bytes("train_quality", max_bytes)
    examples = _examples(positive, POSITIVE, max_bytes, seed) + _examples(negative, NEGATIVE, max_bytes, seed)
    examples.sort()
    trained = [example for example in examples if example[0] % HOLD_OUT]
    held_out = [example for example in examples if not example[0] % HOLD_OUT]
    for name, part in (("training", trained), ("held-out", held_out)):
        counts = {label: sum(example[1] == label for example in part) for label in (POSITIVE, NEGATIVE)}
        if not all(counts.values()):
            raise ConfigError(f"train_quality: the {name} part has {counts}: give at least 100 documents of each kind")
    model = fasttext_train.train(
        [line for _, _, line in trained],
        _truth(trained),
        (POSITIVE, NEGATIVE),
        word_ngrams=word_ngrams,
        epochs=epochs,
        lr=lr,
        min_count=min_count,
        bucket=bucket,
    )
    storage.write_bytes(os.fspath(out), model)
    scores = fasttext_model.load(os.fspath(out)).probability([line for _, _, line in held_out], POSITIVE)
    return metrics(scores, _truth(held_out))


def evaluate_quality(
    model: str | os.PathLike[str],
    positive: Iterable[str],
    negative: Iterable[str],
    *,
    label: str = POSITIVE,
    max_bytes: int = MAX_BYTES,
) -> dict[str, float]:
    """How well the model at `model` tells `positive` from `negative`: see `metrics`.

    Raises ConfigError when the model is missing or has no such label, or one side has no documents.
    """
    fasttext_model.check_max_bytes("evaluate_quality", max_bytes)
    loaded = _load(str(model), label)
    good, ordinary = (
        [score for lines in _line_chunks(texts, max_bytes) for score in loaded.probability(lines, label)]
        for texts in (positive, negative)
    )
    if not good or not ordinary:
        raise ConfigError(f"evaluate_quality: got {len(good)} positive and {len(ordinary)} negative documents")
    return metrics(np.array(good + ordinary), np.arange(len(good) + len(ordinary)) < len(good))


def metrics(scores: npt.NDArray[np.floating[Any]], truth: npt.NDArray[np.bool_]) -> dict[str, float]:
    """Numbers of documents; accuracy, precision and recall of `score >= 0.5`; area under the ROC curve, ties half."""
    said = scores >= 0.5
    positives, negatives = int(truth.sum()), int((~truth).sum())
    hits = int((said & truth).sum())
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    wins = rank[truth].sum() - positives * (positives + 1) / 2
    return {
        "positives": positives,
        "negatives": negatives,
        "accuracy": float((said == truth).mean()),
        "precision": hits / max(1, int(said.sum())),
        "recall": hits / positives,
        "auc": float(wins / (positives * negatives)),
    }


def _load(path: str, label: str) -> fasttext_model.Model:
    if not Path(path).is_file():
        raise ConfigError(
            f"quality: model {path!r} does not exist; train one with "
            f"`corpusmill quality train --positive GOOD --negative ORDINARY --out {path}`"
        )
    model = fasttext_model.load(path)
    if label not in model.labels:
        raise ConfigError(f"quality: model {path!r} has no label {label!r}; it has {', '.join(sorted(model.labels))}")
    return model


def _line_chunks(texts: Iterable[str], max_bytes: int) -> Iterator[list[str]]:
    """What the model sees of each text, in chunks of a bounded number of texts."""
    source = iter(texts)
    while chunk := list(islice(source, _CHUNK)):
        yield fasttext_model.lines(Texts.from_strings(chunk), max_bytes)


def _examples(texts: Iterable[str], label: str, max_bytes: int, seed: int) -> list[tuple[int, str, str]]:
    """(hash, label, line) of every text that is not blank. The hash orders the examples and picks the held-out ones."""
    return [
        (xxhash.xxh3_64_intdigest(line.encode(), seed), label, line)
        for lines in _line_chunks(texts, max_bytes)
        for line in lines
        if line
    ]


def _truth(examples: list[tuple[int, str, str]]) -> npt.NDArray[np.bool_]:
    return np.array([label == POSITIVE for _, label, _ in examples], dtype=np.bool_)


def _check_training(*, lr: float, **options: int) -> None:
    if not lr > 0:
        raise ConfigError(f"train_quality: lr must be above 0, got {lr}")
    for name, value in options.items():
        if value < 1:
            raise ConfigError(f"train_quality: {name} must be at least 1, got {value}")
