import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.tokenize.packing.mixture import Share, copies, remarks, solve

IDS = np.random.default_rng(0).integers(0, 1 << 63, (20_000, 2)).astype(np.uint64)


def epochs_of(*shares: Share, **options: float) -> dict[str, float]:
    return {part.name: part.epochs for part in solve(shares, **options)}  # type: ignore[arg-type]


def test_nothing_said_is_one_epoch() -> None:
    assert epochs_of(Share("a", 10), Share("b", 0)) == {"a": 1.0, "b": 1.0}
    assert solve([]) == []


def test_weights_are_shares_of_the_final_tokens() -> None:
    epochs = epochs_of(Share("web", 900, weight=3.0), Share("code", 100, weight=1.0))
    assert epochs == pytest.approx({"web": 750 / 900, "code": 2.5})


def test_what_a_capped_source_leaves_open_goes_to_the_others() -> None:
    shares = [Share("web", 900, weight=1.0), Share("code", 100, weight=1.0)]
    web, code = solve(shares)
    assert (web.mixed, code.mixed) == pytest.approx((600, 400))
    assert (web.capped, code.capped) == (False, True)
    assert (web.wished, code.wished) == (0.5, 0.5)
    assert epochs_of(*shares, max_epochs=5.1) == pytest.approx({"web": 500 / 900, "code": 5.0})
    assert any("code is capped at 4 epochs" in said for said in remarks(solve(shares)))


def test_a_source_has_its_own_cap() -> None:
    shares = [Share("web", 900, weight=1.0), Share("code", 100, weight=1.0, max_epochs=1.5)]
    assert epochs_of(*shares) == pytest.approx({"web": 850 / 900, "code": 1.5})
    assert epochs_of(Share("a", 100, budget=1000, max_epochs=2.0)) == {"a": 2.0}


def test_a_mix_is_as_large_as_wished_until_all_is_capped() -> None:
    shares = [Share("web", 900, weight=1.0), Share("code", 100, weight=1.0)]
    for total in (200, 1000, 3000, 4000):
        assert sum(part.mixed for part in solve(shares, total=total)) == pytest.approx(total)
    assert sum(part.mixed for part in solve(shares, total=9999)) == pytest.approx(4000)
    assert epochs_of(Share("a", 900), Share("b", 100), total=500) == pytest.approx({"a": 0.5, "b": 0.5})


def test_temperature_lifts_small_sources() -> None:
    large, small = solve([Share("large", 10**9), Share("small", 10**6)], temperature=3.0, max_epochs=1e9)
    assert large.mixed / small.mixed == pytest.approx(10.0)
    assert epochs_of(Share("a", 70), Share("b", 7), temperature=1.0) == pytest.approx({"a": 1.0, "b": 1.0})
    assert epochs_of(Share("a", 70), Share("none", 0), temperature=2.0)["none"] == 0.0


@pytest.mark.parametrize("options", [{"temperature": 2.0}, {"total": 5}])
def test_sources_without_tokens_give_none(options: dict[str, float]) -> None:
    assert epochs_of(Share("a", 0), Share("b", 0), **options) == {"a": 0.0, "b": 0.0}


def test_epochs_and_budgets() -> None:
    shares = [Share("a", 100, epochs=7.5), Share("b", 100, budget=250), Share("c", 100)]
    assert epochs_of(*shares) == {"a": 7.5, "b": 2.5, "c": 1.0}
    assert epochs_of(Share("a", 100, budget=10_000)) == {"a": 4.0}
    assert epochs_of(Share("a", 100, epochs=0), Share("b", 100, budget=0)) == {"a": 0.0, "b": 0.0}
    assert epochs_of(Share("a", 0, budget=10)) == {"a": 0.0}


def test_a_weight_of_0_leaves_a_source_out() -> None:
    assert epochs_of(Share("a", 100, weight=0.0), Share("b", 100, weight=1.0)) == {"a": 0.0, "b": 2.0}


def test_repeats_beyond_four_epochs_are_named() -> None:
    said = remarks(solve([Share("a", 100, epochs=7.5), Share("b", 100, epochs=4.0)]))
    assert len(said) == 1
    assert "source a is seen 7.5 times" in said[0]
    assert "2305.16264" in said[0]


SOURCES = st.lists(st.tuples(st.integers(1, 10**12), st.floats(0.01, 100), st.floats(0.5, 9)), min_size=1, max_size=8)


@given(SOURCES, st.floats(0.01, 10))
def test_shares_follow_the_weights_below_the_caps(sources: list[tuple[int, float, float]], size: float) -> None:
    """The mix has its size or all caps are reached; sources below their caps have shares as their weights."""
    shares = [Share(str(n), held, weight, max_epochs=cap) for n, (held, weight, cap) in enumerate(sources)]
    total = max(1, int(size * sum(share.tokens for share in shares)))
    parts = solve(shares, total=total)
    caps = [share.tokens * (share.max_epochs or 0) for share in shares]
    assert sum(part.mixed for part in parts) == pytest.approx(min(total, sum(caps)))
    levels = [part.mixed / (share.weight or 1) for part, share in zip(parts, shares, strict=True)]
    for part, cap, level in zip(parts, caps, levels, strict=True):
        assert part.mixed <= cap * (1 + 1e-9)
        assert part.epochs == pytest.approx(part.mixed / part.tokens)
        if not part.capped:
            assert level == pytest.approx(max(levels))
    assert sum(part.wished or 0 for part in parts) == pytest.approx(1)
    names = [part.name for part in parts if part.epochs > 4]
    assert len([said for said in remarks(parts) if "beyond four" in said]) == len(names)


@given(SOURCES)
def test_the_order_of_sources_changes_nothing(sources: list[tuple[int, float, float]]) -> None:
    shares = [Share(str(n), held, weight, max_epochs=cap) for n, (held, weight, cap) in enumerate(sources)][:4]
    first = {part.name: part.mixed for part in solve(shares)}
    for order in itertools.permutations(shares):
        assert {part.name: part.mixed for part in solve(order)} == pytest.approx(first)


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [
        ([("a", 1, 1.0), ("b", 1)], {}, "weight: missing on b"),
        ([("a", 1, 1.0), ("b", 1, None, 2.0)], {}, "weight: missing on b"),
        ([("a", 1, 1.0, 2.0)], {}, "'a': weight and epochs exclude each other"),
        ([("a", 1, None, 2.0, 5)], {}, "'a': epochs and budget exclude each other"),
        ([("a", 1, None, 2.0, None, 3.0)], {}, "'a': max_epochs = 3.0; allowed: above 0, no epochs"),
        ([("a", 1, 1.0, None, None, 0.0)], {}, "'a': max_epochs = 0.0"),
        ([("a", 1, -1.0)], {}, "'a': weight is -1"),
        ([("a", 1, None, float("nan"))], {}, "'a': epochs is nan"),
        ([("a", 1, float("inf"))], {}, "'a': weight is inf"),
        ([("a", -1)], {}, "'a': tokens is -1"),
        ([("a", 1, 0.0)], {}, "all are 0"),
        ([("a", 1), ("a", 1)], {}, "names must differ"),
        ([("a", 1, 1.0)], {"temperature": 3.0}, "temperature: it makes the weights"),
        ([("a", 1, None, 2.0)], {"total": 5}, "settled by epochs and tokens of the sources"),
        ([("a", 1)], {"max_epochs": 0.0}, "max_epochs: got"),
        ([("a", 1)], {"max_epochs": float("nan")}, "max_epochs: got"),
    ],
)
def test_contradictions(sources: list[tuple[object, ...]], options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        solve([Share(*source) for source in sources], **options)  # type: ignore[arg-type]


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
