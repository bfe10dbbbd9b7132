"""The recipe's [shards] table: how token files are mixed and packed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from corpusmill.errors import ConfigError

MIN_SEQUENCE_LENGTH, MAX_SEQUENCE_LENGTH = 16, 1 << 17
MAX_SHARD_TOKENS = 1 << 32
"""Ends of segments are 32-bit numbers."""
MAX_COUNTS = 1 << 20
"""Strata times lengths: each token file counts its documents by both."""
OWN_STRATA = ("source", "length")
"""What documents can be divided by besides signals."""


def token_count(given: str | int, what: str) -> int:
    """`10B`, `250M` or a whole number as a number of `what`. Raises ConfigError."""
    if isinstance(given, int):
        return given
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMBT]?)", given.strip())
    if not found:
        raise ConfigError(f"{what} = {given!r}; wanted a number such as 250M or 10B")
    return round(float(found[1]) * 1000 ** " KMBT".index(found[2] or " "))


@dataclass(frozen=True)
class Shards:
    """Packed rows of exactly `sequence_length` tokens, `rows_per_shard` of them in a file.

    packing      "fit": best-fit-decreasing over the whole corpus; only documents longer than a row are cut. "concat":
                 documents one behind the other, cut wherever a row ends; next to no padding
    max_padding  with "fit": the share of padding that rows may have in all. Where whole documents would pad more (most
                 of them longer than half a row), few are cut, in each stratum for itself. off: none, whatever that pads
    max_documents_per_row  off: any number; attention over many tiny documents is slow
    strata       documents are divided by these, and no row holds documents of two strata: `{ source = [] }`, by
                 `length` in tokens or by a numeric signal with the bounds between: `{ "quality.score" = [0.3, 0.7] }`
    max_epochs   a source is repeated so often at most for its weight or its budget
    temperature  in place of weights: a source's share goes with its tokens to the power of 1 / temperature
    tokens       size of the mix ("10B", "250M" or a number). off: as many as the sources hold
    """

    sequence_length: int = 2048
    rows_per_shard: int = 16384
    packing: Literal["fit", "concat"] = "fit"
    max_padding: float | None = None
    max_documents_per_row: int | None = None
    strata: dict[str, tuple[float, ...]] = field(default_factory=dict)
    max_epochs: float = 4.0
    temperature: float | None = None
    tokens: str | int | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for what can't be packed."""
        if not MIN_SEQUENCE_LENGTH <= self.sequence_length <= MAX_SEQUENCE_LENGTH:
            raise ConfigError(
                f"sequence_length = {self.sequence_length}; wanted {MIN_SEQUENCE_LENGTH} to {MAX_SEQUENCE_LENGTH}"
            )
        most = min(1 << 20, (MAX_SHARD_TOKENS - 1) // self.sequence_length)
        if not 1 <= self.rows_per_shard <= most:
            raise ConfigError(
                f"rows_per_shard = {self.rows_per_shard}; wanted 1 to {most} of {self.sequence_length} tokens"
            )
        if self.max_padding is not None and not 0.001 <= self.max_padding < 1:
            raise ConfigError(
                f'max_padding = {self.max_padding}; wanted a share from 0.001 to 1, or "off"; '
                'packing = "concat" pads least'
            )
        if self.max_documents_per_row is not None and self.max_documents_per_row < 1:
            raise ConfigError(f'max_documents_per_row = {self.max_documents_per_row}; wanted 1 or more, or "off"')
        for name in ("max_padding", "max_documents_per_row"):
            if self.packing == "concat" and getattr(self, name) is not None:
                raise ConfigError(f'{name} is for packing = "fit"; take it out for packing = "concat"')
        if not self.max_epochs > 0:
            raise ConfigError(f"max_epochs = {self.max_epochs}; wanted more than 0")
        if self.temperature is not None and not 0 < self.temperature < float("inf"):
            raise ConfigError(f'temperature = {self.temperature}; wanted more than 0, such as 3.3, or "off"')
        if self.mix_tokens is not None and self.mix_tokens < 1:
            raise ConfigError(f"tokens = {self.tokens!r}; wanted 1 or more")
        self._check_strata()

    def _check_strata(self) -> None:
        for name, bounds in self.strata.items():
            rising = all(low < high for low, high in pairwise(bounds))
            if (name == "source") == bool(bounds) or not rising:
                wanted = "no bounds: []" if name == "source" else "rising bounds such as [0.3, 0.7]"
                raise ConfigError(f"strata.{name} = {list(bounds)}; wanted {wanted}")

    def check_strata_count(self, sources: int) -> None:
        """Raise ConfigError when there are too many strata of so many sources."""
        strata = 1
        for name, bounds in self.strata.items():
            strata *= sources if name == "source" else len(bounds) + 1 + (name not in OWN_STRATA)
        if strata * (self.sequence_length + 1) > MAX_COUNTS:
            allowed = MAX_COUNTS // (self.sequence_length + 1)
            raise ConfigError(
                f"strata: {strata} of them with rows of {self.sequence_length} tokens; wanted {allowed} at most: "
                "give fewer bounds"
            )

    @property
    def strata_signals(self) -> tuple[str, ...]:
        """The signals among what documents are divided by."""
        return tuple(name for name in self.strata if name not in OWN_STRATA)

    @property
    def mix_tokens(self) -> int | None:
        """`tokens` as a number. Raises ConfigError when it can't be read as one."""
        return None if self.tokens is None else token_count(self.tokens, "tokens")
