"""The fits against figures that their papers print."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from corpusmill.errors import ConfigError
from corpusmill.tokenize.packing.scaling import LAWS, flops, worth

BY_NAME = {law.name: law.tokens for law in LAWS}


@pytest.mark.parametrize(
    ("law", "parameters", "tokens", "within"),
    [
        ("Chinchilla 1", 400e6, 8.0e9, 0.03),
        ("Chinchilla 1", 1e9, 20.2e9, 1e-9),
        ("Chinchilla 1", 10e9, 205.1e9, 0.02),
        ("Chinchilla 1", 67e9, 1.5e12, 0.12),
        ("Chinchilla 1", 175e9, 3.7e12, 0.06),
        ("Chinchilla 1", 1e12, 21.2e12, 0.06),
        ("Chinchilla 2", 400e6, 7.7e9, 0.01),
        ("Chinchilla 2", 1e9, 20.0e9, 1e-9),
        ("Chinchilla 2", 10e9, 219.5e9, 0.01),
        ("Chinchilla 2", 175e9, 4.3e12, 0.02),
        ("Chinchilla 2", 10e12, 292.0e12, 0.01),
        ("Chinchilla 3", 400e6, 9.2e9, 0.02),
        ("Chinchilla 3", 1e9, 27.1e9, 1e-9),
        ("Chinchilla 3", 10e9, 410.1e9, 0.02),
        ("Chinchilla 3", 175e9, 12.0e12, 0.04),
        ("Chinchilla 3", 1e12, 94.1e12, 0.05),
        ("Chinchilla 3, refitted", 70e9, 20 * 70e9, 0.1),  # "about 20 tokens per parameter" at Chinchilla's size
        ("OpenAI", 1.3e9, 2e10, 1e-9),  # one petaflop-day
        ("OpenAI, no overfitting", 1e9, 5e3 * 1e9**0.74, 1e-9),
    ],
)
def test_published_figures(law: str, parameters: float, tokens: float, within: float) -> None:
    assert BY_NAME[law](parameters) == pytest.approx(tokens, rel=within)


def test_refitted_budget_is_the_optimum_of_its_loss() -> None:
    """No other division of the same FLOPs has less loss."""
    tokens = BY_NAME["Chinchilla 3, refitted"](1e9)

    def loss(parameters: float) -> float:
        other = 1e9 * tokens / parameters
        return float(482.01 / parameters**0.3478 + 2085.43 / other**0.3658)

    assert loss(1e9) < min(loss(0.98e9), loss(1.02e9))


def test_flops_of_chinchilla() -> None:
    assert flops(70e9, 1.4e12) == pytest.approx(5.88e23)


def test_repeats_are_worth_less_and_less() -> None:
    assert worth(100, 60) == 60
    assert worth(100, 100) == 100
    assert 0.9 * 400 < worth(100, 400) < 400
    gains = [worth(100, 100 * epochs) - worth(100, 100 * (epochs - 1)) for epochs in range(2, 60)]
    assert all(later < earlier < 100 for earlier, later in pairwise(gains))
    assert worth(100, 1e9) == pytest.approx(100 * (1 + 15.387756))
    decay = 15.387756
    assert worth(100, 100 * (1 + decay)) == pytest.approx(100 * (1 + decay * (1 - 1 / math.e)))


def test_no_corpus() -> None:
    with pytest.raises(ConfigError, match="wanted 1 or more"):
        worth(0, 10)
