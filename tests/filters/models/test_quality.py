"""The `quality` filter and the training of its model."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.document import document_ids, id_words
from corpusmill.errors import ConfigError
from corpusmill.filters.measure import measure
from corpusmill.filters.models import fasttext_model, fasttext_train, quality
from corpusmill.filters.models.quality import Quality, evaluate_quality, metrics, train_quality
from corpusmill.rules import judge
from corpusmill.soundness import check_steps
from corpusmill.text import Texts

NO_BATCH = pa.record_batch({})
GOOD = ["theorem", "proof", "therefore", "measure", "field", "energy", "because", "model", "the", "of", "and"]
BAD = ["buy", "cheap", "click", "now", "free", "casino", "shop", "win", "the", "of", "and"]


def documents(words: list[str], number: int, seed: int) -> list[str]:
    rng = random.Random(seed)  # noqa: S311
    return [" ".join(rng.choices(words, k=rng.randint(5, 120))) for _ in range(number)]


@pytest.fixture(scope="module")
def sides() -> tuple[list[str], list[str]]:
    return documents(GOOD, 200, 1), documents(BAD, 200, 2)


@pytest.fixture(scope="module")
def model(sides: tuple[list[str], list[str]], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("quality") / "model.bin"
    train_quality(*sides, path, bucket=1 << 12)
    return str(path)


def test_learns_and_reports_the_held_out_tenth(sides: tuple[list[str], list[str]], tmp_path: Path) -> None:
    got = train_quality(*sides, tmp_path / "m.bin", bucket=1 << 12)
    assert 20 <= got["positives"] + got["negatives"] <= 60
    assert got["accuracy"] == 1.0
    assert got["auc"] == 1.0


def test_a_model_that_has_nothing_to_learn_is_no_better_than_chance(tmp_path: Path) -> None:
    got = train_quality(documents(GOOD, 400, 3), documents(GOOD, 400, 4), tmp_path / "m.bin", bucket=1 << 12)
    assert 0.2 < got["auc"] < 0.8


def test_word_order_is_learned_through_fasttexts_own_hashes(tmp_path: Path) -> None:
    """Only bigrams tell these sides apart, so fastText must find them in the buckets where training put them."""
    rng = random.Random(5)  # noqa: S311
    words = [f"wörd{k}" for k in range(30)]
    forward, backward = [], []
    for _ in range(300):
        pairs = [(rng.choice(words), rng.choice(["x", "中"])) for _ in range(20)]
        forward.append(" | ".join(f"{a} {b}" for a, b in pairs))
        backward.append(" | ".join(f"{b} {a}" for a, b in pairs))
    bigrams = train_quality(forward, backward, tmp_path / "2.bin", bucket=1 << 14)
    assert bigrams["accuracy"] == 1.0
    unigrams = train_quality(forward, backward, tmp_path / "1.bin", word_ngrams=1)
    assert unigrams["auc"] < 0.8


def test_the_same_bytes_every_time_and_in_any_order(sides: tuple[list[str], list[str]], tmp_path: Path) -> None:
    good, bad = sides
    paths = [tmp_path / f"{k}.bin" for k in range(3)]
    train_quality(good, bad, paths[0], bucket=1 << 12)
    train_quality(iter(good), iter(bad), paths[1], bucket=1 << 12)
    train_quality(good[::-1], bad[::-1], paths[2], bucket=1 << 12)
    assert len({path.read_bytes() for path in paths}) == 1
    train_quality(good, bad, paths[1], bucket=1 << 12, seed=1)
    assert paths[1].read_bytes() != paths[0].read_bytes()


def test_the_same_bytes_in_another_process(sides: tuple[list[str], list[str]], model: str, tmp_path: Path) -> None:
    code = (
        "import sys, json; from corpusmill.filters.models.quality import train_quality;"
        "train_quality(*json.load(sys.stdin), sys.argv[1], bucket=1 << 12)"
    )
    other = tmp_path / "m.bin"
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    subprocess.run(
        [sys.executable, "-c", code, str(other)], input=json.dumps(sides).encode(), env=environment, check=True
    )
    assert other.read_bytes() == Path(model).read_bytes()


def test_nothing_but_the_model_is_left_behind(sides: tuple[list[str], list[str]], tmp_path: Path) -> None:
    train_quality(*sides, tmp_path / "m.bin", bucket=1 << 12)
    assert os.listdir(tmp_path) == ["m.bin"]


def test_scoring_sees_what_training_saw(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One function makes the lines for both."""
    seen: list[list[str]] = []
    real = fasttext_model.lines

    def spy(texts: Texts, max_bytes: int, lower_case: bool) -> list[str]:
        seen.append(real(texts, max_bytes, lower_case))
        return seen[-1]

    monkeypatch.setattr(fasttext_model, "lines", spy)
    text = "A\nline\0with </s> and __LABEL__negative\u00a0words " * 300
    for lower_case in (False, True):
        seen.clear()
        with pytest.raises(ConfigError):
            train_quality([text], [text], os.devnull, lower_case=lower_case)
        evaluate_quality(model, [text], [text], lower_case=lower_case)
        Quality(model, lower_case=lower_case).measure(Texts.from_strings([text]), NO_BATCH)
        assert seen == [seen[0]] * 5
        assert not any(word.startswith("__label__") for word in seen[0][0].split())
        assert ("__LABEL__" in seen[0][0]) is not lower_case
    assert Quality(model).max_bytes == quality.MAX_BYTES


def test_a_label_in_a_document_trains_nothing(sides: tuple[list[str], list[str]], tmp_path: Path) -> None:
    good, bad = sides
    got = train_quality([f"__label__negative {t}" for t in good], bad, tmp_path / "m.bin", bucket=1 << 12)
    assert got["accuracy"] == 1.0
    assert set(fasttext_model.load(str(tmp_path / "m.bin")).labels) == {"positive", "negative"}


def test_probabilities_are_the_sigmoid_of_the_mean_weight(tmp_path: Path) -> None:
    """The written file against arithmetic: weights read back from it, features in plain Python."""
    lines = [
        fasttext_model.lines(Texts.from_strings([t]), 4096)[0] for t in documents(GOOD, 30, 6) + documents(BAD, 30, 7)
    ]
    data = fasttext_train.train(
        lines, np.arange(60) < 30, ("yes", "no"), word_ngrams=3, epochs=2, lr=1.0, min_count=2, bucket=97
    )
    path = tmp_path / "m.bin"
    path.write_bytes(data)
    loaded = fasttext_model.Model(str(path))
    weights = loaded._model.get_input_matrix()[:, 0].astype(np.float64)
    words = loaded._model.get_words()
    probes = [lines[0], lines[-1], "unseen proof 中文 é", "buy theorem"]
    want = []
    for probe in probes:
        tokens = [*probe.split(), "</s>"]
        rows = [words.index(token) for token in tokens if token in words]
        for i in range(len(tokens)):
            h = signed_fnv(tokens[i]) % 2**64
            for token in tokens[i + 1 : i + 3]:
                h = (h * 116049371 + signed_fnv(token)) % 2**64
                rows.append(len(words) + h % 97)
        want.append(1 / (1 + np.exp(-weights[rows].mean())))
    assert loaded.probability(probes, "yes") == pytest.approx(want, abs=3e-5)
    assert loaded.probability(probes, "no") == pytest.approx(1 - np.array(want), abs=3e-5)


def signed_fnv(word: str) -> int:
    h = 2166136261
    for byte in word.encode():
        h = ((h ^ (byte if byte < 128 else byte + 0xFFFFFF00)) * 16777619) % 2**32
    return h - 2**32 if h >= 2**31 else h


def test_the_score_is_the_positive_labels_even_when_another_wins(model: str) -> None:
    texts = Texts.from_strings([" ".join(GOOD), " ".join(BAD)])
    scores = Quality(model).measure(texts, NO_BATCH).signals["quality.score"]
    assert scores.dtype == np.float32
    assert scores[0] > 0.9
    assert scores[1] < 0.1
    inverse = Quality(model, label="negative").measure(texts, NO_BATCH).signals["quality.score"]
    assert scores + inverse == pytest.approx([1, 1], abs=1e-4)


@pytest.mark.parametrize(("score", "kept"), [(0.4999, False), (0.5, True), (0.5001, True), (float("nan"), False)])
def test_min_score_keeps_the_bound(score: float, kept: bool) -> None:
    signals = {"quality.score": pa.array(np.array([score], dtype=np.float32))}
    assert judge(Quality("m").rules(), signals, 1).keep.tolist() == [kept]


def test_reasons(model: str) -> None:
    table = measure([" ".join(BAD), " ".join(GOOD)], "quality", model=model)
    assert table["keep"].to_pylist() == [False, True]
    assert table["reasons"].to_pylist()[0][0].startswith("quality.min_score: quality.score = ")
    assert measure([" ".join(BAD)], "quality", model=model, min_score="off")["keep"].to_pylist() == [True]


def test_lower_case_is_for_models_trained_so(sides: tuple[list[str], list[str]], tmp_path: Path) -> None:
    good, bad = sides
    path = tmp_path / "m.bin"
    train_quality([text.upper() for text in good], bad, path, lower_case=True, bucket=1 << 12)
    assert {word for word in fasttext_model.load(str(path))._model.get_words() if word != word.lower()} == set()
    text = Texts.from_strings([" ".join(GOOD).upper()])
    assert Quality(str(path), lower_case=True).measure(text, NO_BATCH).signals["quality.score"][0] > 0.9


def ids(number: int) -> pa.RecordBatch:
    return pa.record_batch({"id": pa.array(document_ids("s", map(str, range(number))), pa.binary(16))})


def draws(number: int, **options: Any) -> Any:
    return quality._draw(id_words(ids(number).column("id")), np.uint64(options.get("seed", 0)), options["alpha"])


@pytest.mark.parametrize("alpha", [0.5, 3.0, 9.0])
def test_draws_are_paretos(alpha: float) -> None:
    """Pareto II: P(X > x) = (1 + x) ** -alpha, so its logarithm is uniform; Kolmogorov-Smirnov, 1 in 10**6."""
    found = np.sort((1 + draws(20_000, alpha=alpha)) ** -alpha)
    assert found[0] >= 0
    assert found[-1] <= 1
    assert np.abs(found - np.arange(1, 20_001) / 20_001).max() < 2.7 / np.sqrt(20_000)


def test_draws_are_of_the_id_and_the_seed_alone() -> None:
    first = draws(100, alpha=9.0)
    assert np.array_equal(draws(50, alpha=9.0), first[:50])
    other = draws(100, alpha=9.0, seed=1)
    assert not np.isclose(first, other).any()
    assert abs(np.corrcoef(draws(5000, alpha=9.0), draws(5000, alpha=9.0, seed=1))[0, 1]) < 0.08
    assert len(np.unique(first)) == 100


def test_pareto_keeps_what_draws_more_than_it_lacks(model: str, sides: tuple[list[str], list[str]]) -> None:
    texts = [*sides[0][:50], *sides[1][:200]]
    step = Quality(model, pareto_alpha=3.0)
    got = step.measure(Texts.from_strings(texts), ids(250)).signals
    assert got["quality.draw"].tolist() == draws(250, alpha=3.0).tolist()
    keep = judge(step.rules(), {name: pa.array(value) for name, value in got.items()}, 250).keep
    wanted = got["quality.draw"] > 1 - got["quality.score"].astype(np.float64)
    assert keep.tolist() == wanted.tolist()
    assert keep[:50].mean() > 0.95
    expected = np.mean([(2 - float(score)) ** -3.0 for score in got["quality.score"][50:]])
    assert keep[50:].mean() == pytest.approx(expected, abs=0.1)
    assert 0 < keep[50:].mean() < 1


def test_pareto_alone_or_with_a_bound(model: str) -> None:
    assert [rule.name for rule in Quality(model, pareto_alpha=9.0).rules()] == ["quality.pareto"]
    both = Quality(model, pareto_alpha=9.0, min_score=0.1)
    assert [rule.name for rule in both.rules()] == ["quality.min_score", "quality.pareto"]
    assert [rule.name for rule in Quality(model).rules()] == ["quality.min_score"]
    check_steps((both,))
    table = measure([" ".join(BAD)] * 3, "quality", model=model, pareto_alpha=50.0)
    reasons = table["reasons"].to_pylist()
    assert reasons[0][0].startswith("quality.pareto: quality.margin = -0.")
    assert reasons[0][0].endswith(", wanted > 0.0")


@pytest.mark.parametrize(("margin", "kept"), [(0.0, False), (5e-324, True), (-5e-324, False)])
def test_pareto_wants_more(margin: float, kept: bool) -> None:
    signals = {"quality.margin": pa.array([margin])}
    assert judge(Quality("m", pareto_alpha=9.0).rules(), signals, 1).keep.tolist() == [kept]


@pytest.mark.parametrize(
    "text", ["", "  ", "\0", "\ud800", "__label__positive", "</s>", "x" * 300_000, "שלום", "\u0301"]
)
def test_hostile_text(model: str, text: str) -> None:
    score = measure([text], "quality", model=model)["quality.score"].to_pylist()[0]
    assert 0 <= score <= 1


def test_batches_do_not_matter(model: str, sides: tuple[list[str], list[str]]) -> None:
    texts = [*sides[0][:20], "", *sides[1][:20]]
    step = Quality(model)
    together = step.measure(Texts.from_strings(texts), NO_BATCH).signals["quality.score"]
    alone = [step.measure(Texts.from_strings([text]), NO_BATCH).signals["quality.score"][0] for text in texts]
    assert together.tolist() == [float(score) for score in alone]


def test_a_retrained_model_is_read_again(sides: tuple[list[str], list[str]], tmp_path: Path) -> None:
    good, bad = sides
    path = tmp_path / "m.bin"
    train_quality(good, bad, path, bucket=1 << 12)
    before = Quality(str(path)).measure(Texts.from_strings([good[0]]), NO_BATCH).signals["quality.score"][0]
    train_quality(bad, good, path, bucket=1 << 12)
    after = Quality(str(path)).measure(Texts.from_strings([good[0]]), NO_BATCH).signals["quality.score"][0]
    assert before > 0.5 > after


def test_evaluate(model: str) -> None:
    got = evaluate_quality(model, documents(GOOD, 50, 8), documents(BAD, 70, 9))
    assert (got["positives"], got["negatives"]) == (50, 70)
    assert got["accuracy"] == got["precision"] == got["recall"] == got["auc"] == 1.0
    swapped = evaluate_quality(model, documents(BAD, 50, 8), documents(GOOD, 70, 9))
    assert swapped["accuracy"] == swapped["auc"] == 0.0


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.booleans()), min_size=2, max_size=30).filter(
        lambda pairs: len({truth for _, truth in pairs}) == 2
    )
)
def test_metrics_count_pairs(pairs: list[tuple[float, bool]]) -> None:
    got = metrics(np.array([score for score, _ in pairs]), np.array([truth for _, truth in pairs]))
    good = [score for score, truth in pairs if truth]
    bad = [score for score, truth in pairs if not truth]
    wins = sum((g > b) + 0.5 * (g == b) for g in good for b in bad)
    assert got["auc"] == pytest.approx(wins / (len(good) * len(bad)))
    assert got["accuracy"] == pytest.approx(sum((score >= 0.5) == truth for score, truth in pairs) / len(pairs))
    assert got["recall"] == pytest.approx(sum(score >= 0.5 for score in good) / len(good))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"model": "/nowhere/m.bin"}, "corpusmill quality train"),
        ({"model": ""}, "model"),
        ({}, "model"),
        ({"model": "m", "min_score": 2.0}, "min_score"),
        ({"model": "m", "label": ""}, "label"),
        ({"model": "m", "max_bytes": 1}, "max_bytes"),
        ({"model": "m", "pareto_alpha": 0.0}, "pareto_alpha"),
        ({"model": "m", "pareto_alpha": float("inf")}, "pareto_alpha"),
        ({"model": "m", "pareto_alpha": float("nan")}, "pareto_alpha"),
        ({"model": "m", "seed": -1}, "seed"),
    ],
)
def test_bad_options(params: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        measure(["text"], "quality", **params)


def test_a_label_the_model_lacks_is_refused(model: str) -> None:
    assert Quality(model).files() == (model,)
    with pytest.raises(ConfigError, match="negative, positive"):
        Quality(model, label="hq").files()
    with pytest.raises(ConfigError, match="corpusmill quality train"):
        Quality("/nowhere/m.bin").files()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"lr": 0.0}, "lr"), ({"epochs": 0}, "epochs"), ({"bucket": 0}, "bucket"), ({"max_bytes": 3}, "max_bytes"),
     ({"min_count": 10**9}, "min_count"), ({"word_ngrams": 0}, "word_ngrams")],
)  # fmt: skip
def test_bad_training_options(
    sides: tuple[list[str], list[str]], tmp_path: Path, options: dict[str, float], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train_quality(*sides, tmp_path / "m.bin", **options)  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("sides", [([], ["a b"] * 5), (["x y"], []), ([""] * 50, ["a b"] * 50)])
def test_too_few_documents(sides: tuple[list[str], list[str]], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 100"):
        train_quality(*sides, tmp_path / "m.bin")
