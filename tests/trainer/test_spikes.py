import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.trainer.spikes import Spikes


def verdicts(losses: list[float], norms: list[float], sigma: float | None, window: int) -> list[float]:
    spikes = Spikes(sigma, window, torch.device("cpu"))
    return [
        float(spikes.judge(torch.tensor(loss, dtype=torch.float64), torch.tensor(norm, dtype=torch.float64)))
        for loss, norm in zip(losses, norms, strict=True)
    ]


def oracle(losses: list[float], norms: list[float], sigma: float | None, window: int) -> list[float]:
    """The rule in plain Python."""
    kept: list[tuple[float, float]] = []
    found = []
    for pair in zip(losses, norms, strict=True):
        finite = all(map(math.isfinite, pair))
        skip = not finite
        last = kept[-window:]
        if finite and sigma is not None and len(last) + 1 >= max(20, window // 2):
            for at in (0, 1):
                values = [each[at] for each in last]
                skip |= pair[at] - statistics.fmean(values) > sigma * statistics.stdev(values)
        found.append(float(skip))
        if finite:
            kept.append(pair)
    return found


NUMBERS = st.integers(0, 6).map(float) | st.sampled_from([50.0, 1000.0, math.inf, math.nan])


@given(
    pairs=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=90), sigma=st.none() | st.sampled_from([2.5, 6.5]),
    window=st.sampled_from([2, 20, 41, 64]),
)  # fmt: skip
def test_the_rule_is_that_of_plain_python(pairs: list[tuple[float, float]], sigma: float | None, window: int) -> None:
    losses, norms = [loss for loss, _ in pairs], [norm for _, norm in pairs]
    assert verdicts(losses, norms, sigma, window) == oracle(losses, norms, sigma, window)


@pytest.mark.parametrize("which", [0, 1])
def test_a_spike_of_either_is_left_out_and_falling_is_not(which: int) -> None:
    calm = [3.0 + 0.01 * (at % 5) for at in range(70)]
    for last, skipped in ((3.5, 1.0), (3.06, 0.0), (1.0, 0.0), (math.nan, 1.0), (math.inf, 1.0)):
        pair = [[*calm, 3.0], [*calm, 3.0]]
        pair[which][-1] = last
        assert verdicts(*pair, 6.0, 128)[-1] == skipped, last
        assert not any(verdicts(*pair, 6.0, 128)[:-1])


def test_too_few_steps_decide_nothing() -> None:
    calm = [3.0 + 0.01 * (at % 5) for at in range(62)]
    assert verdicts([*calm, 9.0], [*calm, 9.0], 6.0, 128)[-1] == 0.0
    assert verdicts([*calm, 3.0, 9.0], [*calm, 3.0, 9.0], 6.0, 128)[-1] == 1.0, "with this one they are 64"


def test_a_new_level_is_accepted_after_a_while() -> None:
    """Skipped losses count, too: else a model could never leave a level."""
    calm = [3.0 + 0.01 * (at % 5) for at in range(64)]
    found = verdicts([*calm, *[5.0] * 40], [1.0] * 104, 6.0, 64)
    assert found[64] == 1.0
    assert found[-1] == 0.0


def test_without_sigma_only_what_is_no_number_is_left_out() -> None:
    assert verdicts([1.0] * 80 + [1e9, math.nan], [1.0] * 81 + [1.0], None, 64)[-2:] == [0.0, 1.0]
