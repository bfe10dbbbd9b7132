import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.tokenize.mixture import Source, copies, solve

IDS = np.random.default_rng(0).integers(0, 1 << 63, (20_000, 2)).astype(np.uint64)


def test_nothing_said_is_one_epoch() -> None:
    assert solve([("a", 10, None, None, None), ("b", 0, None, None, None)]) == {"a": 1.0, "b": 1.0}
    assert solve([]) == {}


def test_weights_are_shares_of_the_final_tokens() -> None:
    epochs = solve([("web", 900, 3.0, None, None), ("code", 100, 1.0, None, None)])
    assert epochs == pytest.approx({"web": 750 / 900, "code": 2.5})


def test_no_source_is_seen_more_often_than_the_cap() -> None:
    sources: list[Source] = [("web", 900, 1.0, None, None), ("code", 100, 1.0, None, None)]
    assert solve(sources) == pytest.approx({"web": 500 / 900, "code": 4.0})
    assert solve(sources, max_epochs=5.0)["code"] == 5.0
    assert solve(sources, max_epochs=5.1)["code"] == 5.0
    assert solve(sources, max_epochs=4.9)["code"] == 4.9


def test_epochs_and_budgets() -> None:
    sources: list[Source] = [("a", 100, None, 7.5, None), ("b", 100, None, None, 250), ("c", 100, None, None, None)]
    assert solve(sources) == {"a": 7.5, "b": 2.5, "c": 1.0}
    assert solve([("a", 100, None, None, 10_000)]) == {"a": 4.0}
    assert solve([("a", 100, None, 0, None), ("b", 100, None, None, 0)]) == {"a": 0.0, "b": 0.0}
    assert solve([("a", 0, None, None, 10)]) == {"a": 0.0}


def test_a_weight_of_0_leaves_a_source_out() -> None:
    assert solve([("a", 100, 0.0, None, None), ("b", 100, 1.0, None, None)]) == {"a": 0.0, "b": 2.0}


@given(st.lists(st.tuples(st.integers(1, 10**12), st.floats(0.01, 100)), min_size=1, max_size=8))
def test_uncapped_weights_keep_the_total_and_the_shares(parts: list[tuple[int, float]]) -> None:
    sources: list[Source] = [(str(i), tokens, weight, None, None) for i, (tokens, weight) in enumerate(parts)]
    epochs = solve(sources, max_epochs=float("inf"))
    final = [epochs[str(i)] * tokens for i, (tokens, _) in enumerate(parts)]
    total, weight = sum(tokens for tokens, _ in parts), sum(weight for _, weight in parts)
    assert final == pytest.approx([total * w / weight for _, w in parts])


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([("a", 1, 1.0, None, None), ("b", 1, None, None, None)], "weight: missing on b"),
        ([("a", 1, 1.0, None, None), ("b", 1, None, 2.0, None)], "weight: missing on b"),
        ([("a", 1, 1.0, 2.0, None)], "'a': weight and epochs exclude each other"),
        ([("a", 1, None, 2.0, 5)], "'a': epochs and budget exclude each other"),
        ([("a", 1, -1.0, None, None)], "'a': weight is -1"),
        ([("a", 1, None, float("nan"), None)], "'a': epochs is nan"),
        ([("a", 1, float("inf"), None, None)], "'a': weight is inf"),
        ([("a", -1, None, None, None)], "'a': tokens is -1"),
        ([("a", 1, 0.0, None, None)], "all are 0"),
        ([("a", 1, None, None, None), ("a", 1, None, None, None)], "names must differ"),
    ],
)
def test_contradictions(sources: list[Source], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        solve(sources)


@pytest.mark.parametrize("max_epochs", [0.0, -1.0, float("nan")])
def test_bad_cap(max_epochs: float) -> None:
    with pytest.raises(ConfigError, match="max_epochs: got"):
        solve([("a", 1, None, None, None)], max_epochs)


def test_whole_epochs() -> None:
    for epochs in (0, 1, 3):
        assert copies(IDS, float(epochs), 1).tolist() == [epochs] * len(IDS)


@pytest.mark.parametrize("epochs", [0.25, 1.5, 2.9])
def test_a_fraction_of_the_documents_is_seen_once_more(epochs: float) -> None:
    found = copies(IDS, epochs, 1)
    assert set(found.tolist()) == {int(epochs), int(epochs) + 1}
    assert found.mean() == pytest.approx(epochs, abs=0.02)


def test_copies_depend_on_id_and_seed_alone() -> None:
    found = copies(IDS, 0.5, 1)
    assert copies(IDS[::-1], 0.5, 1).tolist() == found[::-1].tolist()
    assert copies(IDS[100:200], 0.5, 1).tolist() == found[100:200].tolist()
    assert 0.4 < (copies(IDS, 0.5, 2) == found).mean() < 0.6


def test_more_epochs_take_no_document_away() -> None:
    fewer, more = copies(IDS, 0.3, 1), copies(IDS, 0.6, 1)
    assert (more >= fewer).all()


@pytest.mark.parametrize("epochs", [-0.5, float("nan"), float("inf"), 2.0**31])
def test_bad_epochs(epochs: float) -> None:
    with pytest.raises(ConfigError, match="epochs: got"):
        copies(IDS, epochs, 1)
