"""How often each source is seen: epochs from weights, epochs or token budgets, and the copies of each document."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corpusmill.errors import ConfigError
from corpusmill.tokenize.packing.place import keyed, order_key

VERSION = 2
GOOD_EPOCHS = 4.0
"""Up to four epochs of the same data are almost as good as new data; beyond, each repeat is worth less (Muennighoff et
al., 2023, "Scaling Data-Constrained Language Models", arXiv 2305.16264, section 6)."""


@dataclass(frozen=True)
class Share:
    """What a recipe wants of one source that holds `tokens` tokens; at most one of the next three is given.

    weight      its share of the tokens of the mix, relative to the other weights
    epochs      how often its documents are seen, 0 or more
    budget      tokens wanted of it
    max_epochs  for its weight or budget it is seen so often at most; None: as the mix has it
    """

    name: str
    tokens: int
    weight: float | None = None
    epochs: float | None = None
    budget: int | None = None
    max_epochs: float | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for two wishes at once and for values that are not finite and at least 0."""
        wishes = {key: getattr(self, key) for key in ("weight", "epochs", "budget")}
        given = {key: value for key, value in wishes.items() if value is not None}
        if len(given) > 1:
            raise ConfigError(f"source {self.name!r}: {' and '.join(given)} exclude each other; give one")
        for key, value in {"tokens": self.tokens, **given}.items():
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"source {self.name!r}: {key} is {value}; allowed: 0 or more")
        if self.max_epochs is not None and (self.epochs is not None or not self.max_epochs > 0):
            raise ConfigError(f"source {self.name!r}: max_epochs = {self.max_epochs}; allowed: above 0, no epochs")


@dataclass(frozen=True)
class Part:
    """A source's part in the mix.

    tokens  it holds
    wished  its share of the mix by its weight, None where it has none
    epochs  how often it is seen
    mixed   tokens of it in the mix, as planned: whole documents make it a little more or less
    capped  whether its `max_epochs` kept it from what was wished
    """

    name: str
    tokens: int
    wished: float | None
    epochs: float
    mixed: float
    capped: bool


def solve(
    shares: Sequence[Share],
    max_epochs: float = GOOD_EPOCHS,
    temperature: float | None = None,
    total: int | None = None,
) -> list[Part]:
    """The part of each source, in order.

    With weights every source needs one, and the mix has `total` tokens, or as many as all sources hold. A source is
    seen `max_epochs` times at most (its own or this); what it leaves open is divided among the others by weight, so
    that the mix keeps its size as long as anything is left. `temperature` T gives each source the weight
    tokens ** (1 / T): 1 is as they are, large ones are near equal shares (Conneau et al., 2020, XLM-R, arXiv
    1911.02116, section 3.1, with 1 / T = 0.3; Xue et al., 2021, mT5, arXiv 2010.11934, section 3.1). `total` alone
    takes the same part of every source. Without all of these a source has its `epochs` as they stand, or `budget` /
    tokens, capped, or 1.

    Raises ConfigError for wishes that contradict each other, weights that sum to 0, double names, a bad cap.
    """
    if not max_epochs > 0:
        raise ConfigError(f"max_epochs: got {max_epochs}; allowed: above 0")
    names = [share.name for share in shares]
    if len(set(names)) < len(names):
        raise ConfigError(f"sources: names must differ, got {', '.join(names)}")
    caps = [share.tokens * (max_epochs if share.max_epochs is None else share.max_epochs) for share in shares]
    weights = _weights(shares, temperature, total)
    if weights is None:
        return [_stated(share, cap) for share, cap in zip(shares, caps, strict=True)]
    whole = math.fsum(weights) or 1.0  # 0: weights made of tokens where no source has any
    mixed = _fill(weights, caps, sum(share.tokens for share in shares) if total is None else total)
    return [
        Part(share.name, share.tokens, weight / whole, _epochs(got, share.tokens), got, bool(weight) and got >= cap)
        for share, weight, cap, got in zip(shares, weights, caps, mixed, strict=True)
    ]


def _weights(shares: Sequence[Share], temperature: float | None, total: int | None) -> list[float] | None:
    """The weight of each source, None where none has one."""
    without = [share.name for share in shares if share.weight is None]
    stated = [share.name for share in shares if share.epochs is not None or share.budget is not None]
    if temperature is not None:
        if stated or len(without) < len(shares):
            raise ConfigError(
                "temperature: it makes the weights; take weight, epochs and tokens from every source, or take it out"
            )
        most = max((share.tokens for share in shares), default=0) or 1
        return [(share.tokens / most) ** (1 / temperature) for share in shares]
    if len(without) < len(shares):
        if without:
            raise ConfigError(f"weight: missing on {', '.join(without)}; give every source a weight, or none")
        weights = [share.weight or 0.0 for share in shares]
        if math.fsum(weights) == 0:
            raise ConfigError("weight: all are 0; give at least one source a weight above 0")
        return weights
    if total is None:
        return None
    if stated:
        raise ConfigError(
            f"tokens: the size of the mix is settled by epochs and tokens of the sources ({', '.join(stated)}); "
            "give weights, or take it out"
        )
    return [float(share.tokens) for share in shares]


def _fill(weights: Sequence[float], caps: Sequence[float], total: float) -> list[float]:
    """Tokens of each: in proportion to the weights, none above its cap, `total` in all or all caps."""
    order = sorted(range(len(weights)), key=lambda n: caps[n] / weights[n] if weights[n] else math.inf)
    mixed, left = [0.0] * len(weights), float(total)
    for at, n in enumerate(order):
        if not weights[n]:
            break
        level = left / math.fsum(weights[m] for m in order[at:])
        mixed[n] = min(caps[n], level * weights[n])
        left -= mixed[n]
    return mixed


def _stated(share: Share, cap: float) -> Part:
    if share.budget is not None:
        got = min(float(share.budget), cap)
        return Part(share.name, share.tokens, None, _epochs(got, share.tokens), got, share.budget > cap)
    epochs = 1.0 if share.epochs is None else float(share.epochs)
    return Part(share.name, share.tokens, None, epochs, epochs * share.tokens, False)


def _epochs(mixed: float, tokens: int) -> float:
    return mixed / tokens if tokens else 0.0


def remarks(parts: Sequence[Part]) -> list[str]:
    """What the owner of a mix should know before it is made."""
    said = [
        f"source {part.name} is capped at {part.epochs:.3g} epochs, {_tokens(part.mixed)}; what it "
        "leaves open goes to the others by weight, as far as their caps let it"
        if part.wished is not None
        else f"source {part.name} is capped at {part.epochs:.3g} epochs: {_tokens(part.mixed)}, less than its budget"
        for part in parts
        if part.capped and part.tokens
    ]
    said += [f"source {part.name} has no tokens" for part in parts if not part.tokens]
    said += [
        f"source {part.name} is seen {part.epochs:.3g} times: beyond four epochs a repeated token is worth less and "
        "less, and from about 16 next to nothing (Muennighoff et al. 2023, arXiv 2305.16264)"
        for part in parts
        if part.epochs > GOOD_EPOCHS
    ]
    return said


def _tokens(tokens: float) -> str:
    return f"{tokens:,.0f} tokens"


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
