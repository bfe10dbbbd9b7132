"""Means of a few seeds, and how far they can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and the half width of its confidence interval, None where one value alone says nothing of spread."""

    mean: float
    half_width: float | None


def interval(values: Sequence[float]) -> Interval:
    """Student's t interval of the mean of at least one value, which is right for few values that are about normal."""
    n = len(values)
    if n < 2:
        return Interval(fmean(values), None)
    return Interval(fmean(values), t_quantile((1 + CONFIDENCE) / 2, n - 1) * stdev(values) / math.sqrt(n))


def t_quantile(p: float, degrees: int) -> float:
    """Where the distribution function of Student's t with `degrees` of freedom, 1 or more, has the value p ≥ 0.5."""
    low, high = 0.0, 1.0
    while t_probability(high, degrees) < p:
        high *= 2
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if t_probability(middle, degrees) < p else (low, middle)
    return high


def t_probability(t: float, degrees: int) -> float:
    """The distribution function of Student's t at t ≥ 0: the finite series for whole degrees of freedom.

    Abramowitz and Stegun, 1964, "Handbook of Mathematical Functions", 26.7.3 and 26.7.4.
    """
    angle = math.atan(t / math.sqrt(degrees))
    cos2 = math.cos(angle) ** 2
    total = term = math.cos(angle) if degrees % 2 else 1.0
    for k in range(3 if degrees % 2 else 2, degrees - 1, 2):
        term *= cos2 * (k - 1) / k
        total += term
    if degrees == 1:
        total = 0.0
    inside = 2 / math.pi * (angle + math.sin(angle) * total) if degrees % 2 else math.sin(angle) * total
    return (1 + inside) / 2
