import random
from statistics import fmean

import pytest
from scipy.stats import t as student

from corpusmill.trainer.intervals import Interval, interval, t_probability, t_quantile


@pytest.mark.parametrize("degrees", [*range(1, 12), 30, 101])
def test_quantiles_are_those_of_students_t(degrees: int) -> None:
    for p in (0.5001, 0.9, 0.975, 0.995):
        assert t_quantile(p, degrees) == pytest.approx(student.ppf(p, degrees), rel=1e-7)
    assert t_probability(0.0, degrees) == 0.5


def test_one_value_has_no_width() -> None:
    assert interval([2.5]) == Interval(2.5, None)


def test_equal_values_have_width_zero() -> None:
    assert interval([1.5, 1.5, 1.5]) == Interval(1.5, 0.0)


def test_the_interval_holds_the_true_mean_as_often_as_it_says() -> None:
    rng = random.Random(11)  # noqa: S311
    held = 0
    for _ in range(2000):
        values = [rng.gauss(3.0, 2.0) for _ in range(4)]
        found = interval(values)
        assert found.mean == fmean(values)
        assert found.half_width is not None
        held += abs(found.mean - 3.0) <= found.half_width
    assert 0.935 <= held / 2000 <= 0.965  # 3 standard errors of 0.95 among 2000
