"""How many tokens a model wants, by the published fits; and what repeated tokens are worth.

N are parameters, D training tokens, C = 6 N D FLOPs of training (Kaplan et al., 2020, "Scaling Laws for Neural Language
Models", arXiv 2001.08361, section 2.1). Each fit is of its authors' data, models and schedules: they differ by two.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from corpusmill.errors import ConfigError

FLOPS_PER_PARAMETER_AND_TOKEN = 6
REPEAT_DECAY = 15.387756
"""R*_D of Muennighoff et al., 2023, "Scaling Data-Constrained Language Models", arXiv 2305.16264, appendix A (fit)."""


@dataclass(frozen=True)
class Law:
    """A fit: its name, where it is from, and the tokens it wants for so many parameters."""

    name: str
    source: str
    tokens: Callable[[float], float]


def _along_frontier(tokens_at_1b: float, a: float, b: float) -> Callable[[float], float]:
    """D where N is proportional to C ** a and D to C ** b, through the paper's own row for 10**9 parameters."""
    return lambda parameters: tokens_at_1b * (parameters / 1e9) ** (b / a)


def _parametric(a: float, alpha: float, b: float, beta: float) -> Callable[[float], float]:
    """D where E + a / N**alpha + b / D**beta is least for its C: there alpha a / N**alpha = beta b / D**beta."""
    return lambda parameters: (beta * b / (alpha * a) * parameters**alpha) ** (1 / beta)


def _kaplan_frontier(parameters: float) -> float:
    """N = 1.3e9 C ** 0.73 and D = 2e10 C ** 0.27, one epoch (appendix A, table 6).

    C are the fewest petaflop-days at which the loss can be had, with batches far below the critical size.
    """
    petaflop_days = (parameters / 1.3e9) ** (1 / 0.73)
    return 2e10 * petaflop_days**0.27


def _kaplan_overfitting(parameters: float) -> float:
    """D from which on overfitting, 2 % of the loss, is within the noise of seeds: 5e3 N ** 0.74 (equation 4.4)."""
    return 5e3 * parameters**0.74


_CHINCHILLA = "Hoffmann et al. 2022, arXiv 2203.15556, tables 2 and"
LAWS = (
    Law(
        "Chinchilla 1",
        f"{_CHINCHILLA} 3: least loss of runs",
        _along_frontier(20.2e9, 0.50, 0.50),
    ),
    Law("Chinchilla 2", f"{_CHINCHILLA} A3: equal FLOPs", _along_frontier(20.0e9, 0.49, 0.51)),
    Law("Chinchilla 3", f"{_CHINCHILLA} A3: parametric fit", _along_frontier(27.1e9, 0.46, 0.54)),
    Law(
        "Chinchilla 3, refitted",
        "Besiroglu et al. 2024, arXiv 2404.10102, table 1: the same data, fitted to convergence",
        _parametric(482.01, 0.3478, 2085.43, 0.3658),
    ),
    Law(
        "OpenAI",
        "Kaplan et al. 2020, arXiv 2001.08361, table 6: least compute, parameters without embeddings",
        _kaplan_frontier,
    ),
    Law("OpenAI, no overfitting", "the same, equation 4.4: fewer tokens overfit", _kaplan_overfitting),
)
"""For a model of 10**9 parameters they say 20, 20, 27, 23, 18 and 23 billion tokens."""


def flops(parameters: float, tokens: float) -> float:
    """FLOPs of training."""
    return FLOPS_PER_PARAMETER_AND_TOKEN * parameters * tokens


def worth(unique: float, trained: float) -> float:
    """New tokens that are worth as much as `trained` tokens of a corpus that has `unique` ones.

    U + U R* (1 - exp(-R / R*)) with R = trained / U - 1 repeats (Muennighoff et al., equation 5). Raises ConfigError.
    """
    if unique <= 0 or trained < 0:
        raise ConfigError(f"got {trained:g} tokens of training on a corpus of {unique:g}; wanted 1 or more of each")
    repeats = max(0.0, trained / unique - 1)
    return min(unique, trained) + unique * REPEAT_DECAY * -math.expm1(-repeats / REPEAT_DECAY)
