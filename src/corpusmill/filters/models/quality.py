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
from numba import njit

from corpusmill import storage
from corpusmill.document import id_words
from corpusmill.errors import ConfigError
from corpusmill.filters.models import fasttext_model, fasttext_train
from corpusmill.filters.thresholds import BY_DIALECT
from corpusmill.rules import Rule
from corpusmill.scan import finish_hash
from corpusmill.steps import Filter, Measured, Range, register
from corpusmill.text import Texts

POSITIVE, NEGATIVE = "positive", "negative"
MAX_BYTES = 4096
"""How much of a document is read, in training as in scoring."""

HOLD_OUT = 10
"""One document in this many is held out."""

_CHUNK = 1024


@register("quality", version=2)
@dataclass(frozen=True)
class Quality(Filter):
    """Keep documents to which the classifier gives the wanted label with at least `min_score`, or with good luck.

    model         path of a fastText classifier, as `corpusmill quality train` makes one
    min_score     least probability of `label`; None = off. The default is 0.5, or off with `pareto_alpha`. DCLM keeps
                  its best tenth: 0.018112 for `fasttext_oh_eli5`
    pareto_alpha  keep a document when pareto(alpha) > 1 - score, so that some of the documents that score low stay: 9
                  in GPT-3 (Brown et al. 2020, appendix A) and data-juicer, 3 in NeMo Curator; None = off
    seed          of the draws: each comes from a hash of the document's id and this, never from what was read before
    label         the label whose probability is the score, whichever label is the most probable (DCLM: `hq`)
    max_bytes     how much of a document is read, in four evenly spaced windows: what the model was trained with
    lower_case    make all letters small first, where the model was trained so

    With `pareto_alpha` there are two more signals: `draw`, from the Pareto II (Lomax) distribution that starts at 0,
    as numpy.random.pareto draws, and `margin`, by how much it is more than 1 - score.
    """

    model: str
    min_score: float | None = BY_DIALECT
    pareto_alpha: float | None = None
    seed: int = 0
    label: str = POSITIVE
    max_bytes: int = MAX_BYTES
    lower_case: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigError on a value out of range."""
        if self.min_score is BY_DIALECT:
            object.__setattr__(self, "min_score", 0.5 if self.pareto_alpha is None else None)
        fasttext_model.check_model("quality", self.model)
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise ConfigError(f"quality: min_score must be from 0 to 1, got {self.min_score}")
        if self.pareto_alpha is not None and not 0 < self.pareto_alpha < float("inf"):
            raise ConfigError(f"quality: pareto_alpha must be above 0, got {self.pareto_alpha}")
        if not 0 <= self.seed < 1 << 63:
            raise ConfigError(f"quality: seed must be from 0 to 2**63 - 1, got {self.seed}")
        if not self.label:
            raise ConfigError("quality: label must be a label of the model, got ''")
        fasttext_model.check_max_bytes("quality", self.max_bytes)

    def files(self) -> tuple[str, ...]:
        """The model. Raises ConfigError when it is missing or has no such label."""
        _load(self.model, self.label)
        return (self.model,)

    def signals(self) -> Mapping[str, pa.DataType]:
        """The probability of `label`, and what was drawn."""
        drawn = {} if self.pareto_alpha is None else {"quality.draw": pa.float64(), "quality.margin": pa.float64()}
        return {"quality.score": pa.float32(), **drawn}

    def ranges(self) -> Mapping[str, Range]:
        """A draw is not bounded above."""
        return {**super().ranges(), "quality.draw": (0.0, np.inf), "quality.margin": (-1.0, np.inf)}

    def rules(self) -> tuple[Rule, ...]:
        """The bound, the draw."""
        rules = []
        if self.min_score is not None:
            rules.append(Rule("quality.min_score", "quality.score", ">=", self.min_score))
        if self.pareto_alpha is not None:
            rules.append(Rule("quality.pareto", "quality.margin", ">", 0.0))
        return tuple(rules)

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:
        """Sample the batch in one kernel, then give fastText all lines at once."""
        lines = fasttext_model.lines(texts, self.max_bytes, self.lower_case)
        scores = _load(self.model, self.label).probability(lines, self.label)
        signals: dict[str, npt.NDArray[Any]] = {"quality.score": scores}
        if self.pareto_alpha is not None:
            draws = _draw(id_words(batch.column("id")), np.uint64(self.seed), self.pareto_alpha)
            signals |= {"quality.draw": draws, "quality.margin": draws - (1.0 - scores.astype(np.float64))}
        return Measured(signals)


@njit(cache=True, nogil=True)
def _draw(ids, seed, alpha):  # type: ignore[no-untyped-def]
    """float64[n] from ids uint64[n, 2]: the inverse of the distribution at a number in (0, 1] from each id's hash."""
    draws = np.empty(len(ids), dtype=np.float64)
    for d in range(len(ids)):
        h = finish_hash(finish_hash(ids[d, 0] ^ finish_hash(seed + np.uint64(1))) + ids[d, 1])
        draws[d] = (1.0 - np.float64(h >> np.uint64(11)) * 2.0**-53) ** (-1.0 / alpha) - 1.0
    return draws


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
    lower_case: bool = False,
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
    examples = sorted(
        example
        for texts, label in ((positive, POSITIVE), (negative, NEGATIVE))
        for lines in _line_chunks(texts, max_bytes, lower_case)
        for example in _examples(lines, label, seed)
    )
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
    lower_case: bool = False,
) -> dict[str, float]:
    """How well the model at `model` tells `positive` from `negative`: see `metrics`.

    Raises ConfigError when the model is missing or has no such label, or one side has no documents.
    """
    fasttext_model.check_max_bytes("evaluate_quality", max_bytes)
    loaded = _load(str(model), label)
    good, ordinary = (
        [score for lines in _line_chunks(texts, max_bytes, lower_case) for score in loaded.probability(lines, label)]
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


def _line_chunks(texts: Iterable[str], max_bytes: int, lower_case: bool) -> Iterator[list[str]]:
    """What the model sees of each text, in chunks of a bounded number of texts."""
    source = iter(texts)
    while chunk := list(islice(source, _CHUNK)):
        yield fasttext_model.lines(Texts.from_strings(chunk), max_bytes, lower_case)


def _examples(lines: Iterable[str], label: str, seed: int) -> list[tuple[int, str, str]]:
    """(hash, label, line) of every text that is not blank. The hash orders the examples and picks the held-out ones."""
    return [(xxhash.xxh3_64_intdigest(line.encode(), seed), label, line) for line in lines if line]


def _truth(examples: list[tuple[int, str, str]]) -> npt.NDArray[np.bool_]:
    return np.array([label == POSITIVE for _, label, _ in examples], dtype=np.bool_)


def _check_training(*, lr: float, **options: int) -> None:
    if not lr > 0:
        raise ConfigError(f"train_quality: lr must be above 0, got {lr}")
    for name, value in options.items():
        if value < 1:
            raise ConfigError(f"train_quality: {name} must be at least 1, got {value}")
