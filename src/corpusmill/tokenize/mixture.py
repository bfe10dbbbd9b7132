"""How often each source is seen: epochs from weights, epochs or token budgets, and the copies of each document."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corpusmill.errors import ConfigError
from corpusmill.tokenize.place import keyed, order_key

VERSION = 1
MAX_EPOCHS = 4.0
"""Up to four epochs of the same data are almost as good as new data (Muennighoff et al., 2023, "Scaling
Data-Constrained Language Models")."""


@dataclass(frozen=True)
class Share:
    """What a recipe wants of one source that holds `tokens` tokens; at most one of the other three is given.

    weight   its share of the tokens of the final mix, relative to the other weights
    epochs   how often its documents are seen, 0 or more
    budget   tokens wanted of it
    """

    name: str
    tokens: int
    weight: float | None = None
    epochs: float | None = None
    budget: int | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for two wishes at once and for values that are not finite and at least 0."""
        wishes = {key: getattr(self, key) for key in ("weight", "epochs", "budget")}
        given = {key: value for key, value in wishes.items() if value is not None}
        if len(given) > 1:
            raise ConfigError(f"source {self.name!r}: {' and '.join(given)} exclude each other; give one")
        for key, value in {"tokens": self.tokens, **given}.items():
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"source {self.name!r}: {key} is {value}; allowed: 0 or more")


Source = tuple[str, int, float | None, float | None, int | None]
"""Name, tokens it holds, weight, epochs, token budget: the fields of `Share`."""


def solve(sources: Sequence[Source], max_epochs: float = MAX_EPOCHS) -> dict[str, float]:
    """Epochs of each source by name.

    With weights, every source needs one, and the mix has as many tokens as all sources together: epochs =
    share x total / tokens of the source, at most `max_epochs`. What a capped source leaves open is not given to
    others: the mix gets smaller and its shares move, which the caller reports. Without weights a source has its
    `epochs` as they stand, or `budget` / tokens, at most `max_epochs`, or 1.

    Raises ConfigError for weights on some sources only, weights that sum to 0, double names, a bad `max_epochs`.
    """
    shares = [Share(*source) for source in sources]
    if not max_epochs > 0:
        raise ConfigError(f"max_epochs: got {max_epochs}; allowed: above 0")
    names = [share.name for share in shares]
    if len(set(names)) < len(names):
        raise ConfigError(f"sources: names must differ, got {', '.join(names)}")
    without = [share.name for share in shares if share.weight is None]
    if len(without) == len(shares):
        return {share.name: _stated(share, max_epochs) for share in shares}
    if without:
        raise ConfigError(f"weight: missing on {', '.join(without)}; give every source a weight, or none")
    total_weight = math.fsum(share.weight or 0.0 for share in shares)
    if total_weight == 0:
        raise ConfigError("weight: all are 0; give at least one source a weight above 0")
    total = sum(share.tokens for share in shares)
    return {
        share.name: _capped((share.weight or 0.0) / total_weight * total, share.tokens, max_epochs) for share in shares
    }


def _stated(share: Share, max_epochs: float) -> float:
    if share.budget is not None:
        return _capped(share.budget, share.tokens, max_epochs)
    return 1.0 if share.epochs is None else float(share.epochs)


def _capped(wanted_tokens: float, tokens: int, max_epochs: float) -> float:
    return min(wanted_tokens / tokens, max_epochs) if tokens else 0.0


def copies(ids: npt.NDArray[np.uint64], epochs: float, seed: int) -> npt.NDArray[np.int64]:
    """int64[n]: how often each document is in the mix, floor(epochs) or one more.

    `ids` uint64[n, 2], see `document.id_words`. The documents with one more are those whose hash of id and seed lies
    below the fraction, so a larger fraction adds documents and takes none away. Raises ConfigError.
    """
    if not (math.isfinite(epochs) and 0 <= epochs < 1 << 31):
        raise ConfigError(f"epochs: got {epochs}; allowed: 0 or more")
    whole = math.floor(epochs)
    chance = order_key(ids, np.zeros(len(ids), dtype=np.uint64), keyed(seed, "copies")) >> np.uint64(11)
    return whole + (chance.astype(np.float64) * 2.0**-53 < epochs - whole).astype(np.int64)
