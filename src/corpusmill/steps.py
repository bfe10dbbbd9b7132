"""What a recipe's `[[steps]]` can name, and the register of all of them.

A step is a small frozen dataclass: its fields are the recipe's keys, their defaults the published thresholds, `None`
means off. Its module lives in `filters/` or `dedup/`; nothing else is edited to add one.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill.errors import ConfigError
from corpusmill.rules import Rule, Spans
from corpusmill.storage import join, size
from corpusmill.text import Texts


class Step:
    """What filters, edits and barriers share. Subclasses are frozen dataclasses under `@register`."""

    use: ClassVar[str]
    """The name in the recipe."""
    version: ClassVar[int]
    """Raised whenever the step's output changes for the same input: it is part of every fingerprint."""

    def files(self) -> tuple[str, ...]:
        """Paths of models and lists whose content the output depends on. Raises ConfigError when one is missing."""
        return ()


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a filter found in a batch of n documents.

    signals  one array of length n (numpy or Arrow, no nulls unless the signal says so) for each name in `signals()`
    texts    the edited texts, n of them, or None where the filter only measures
    spans    for text rules, by the rule's name: where in the texts that were given the first thing that fails it lies
    """

    signals: Mapping[str, npt.NDArray[np.generic] | pa.Array]
    texts: Texts | None = None
    spans: Spans | None = None


Range = tuple[float, float]
ANY: Range = (-np.inf, np.inf)


class Filter(Step, ABC):
    """Signals plus the rules over them; an edit also returns new texts."""

    @abstractmethod
    def signals(self) -> Mapping[str, pa.DataType]:
        """The signals this filter stores, `family.name` → Arrow type."""

    @abstractmethod
    def rules(self) -> tuple[Rule, ...]:
        """The rules over those signals, in the order in which the ledger takes the first that failed."""

    def needs(self) -> tuple[str, ...]:
        """Signals of earlier steps that the measure or the rules read from the batch."""
        return ()

    def ranges(self) -> Mapping[str, Range]:
        """Least and greatest value of each number among the signals: by these a recipe's check finds idle rules.

        As the names say: a `_fraction`, a `_share` and a `score` are 0 to 1, other whole numbers and a `_ratio` at
        least 0. A step with other numbers says so here.
        """
        return {name: _range(name, kind) for name, kind in self.signals().items()}

    @abstractmethod
    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:
        """Measure (and edit) every document. `batch` has the other columns; it must not depend on neighbours."""


def _range(name: str, kind: pa.DataType) -> Range:
    if name.endswith(("_fraction", "_share", "score")):
        return (0.0, 1.0)
    if name.endswith("_ratio") or pa.types.is_integer(kind):
        return (0.0, np.inf)
    return ANY


class Keeping(Step, ABC):
    """A step of which copies one stays."""

    keep: str
    """Which; a field of each barrier, with the default of its kind."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Barrier(Keeping):
    """A step that must see the whole corpus: every kind of dedup. `keep` says which copy stays.

    `against` is the directory of an index: its documents are compared with those of the run as if they came before
    them, without being read again. `save` is a directory that does not exist yet, for an index of both.
    """

    against: str | None = None
    save: str | None = None

    def files(self) -> tuple[str, ...]:
        """The manifest of the index. Raises ConfigError when there is none."""
        if self.against is None:
            return ()
        path = join(self.against, "manifest.json")
        if size(path) is None:
            raise ConfigError(
                f'{self.use}: against = {self.against!r}: no index there (no {path}); make one with save = "DIR" in an '
                "earlier run, or leave `against` out"
            )
        return (path,)

    def signals(self) -> Mapping[str, pa.DataType]:
        """The signals that documents have behind it, `family.name` → Arrow type."""
        return {}


@dataclasses.dataclass(frozen=True)
class Sketches:
    """What n documents are compared by: document d has values[first[d]:first[d + 1]].

    values  uint32[m]
    first   int64[n + 1]
    """

    values: npt.NDArray[np.uint32]
    first: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first) - 1


class DocumentBarrier(Barrier):
    """Documents that share any key are linked, or, with a `least_similarity`, only those that are found alike enough.

    Each component keeps one. `keep` is the survivor policy: `first` (by source name and locator order), `longest`,
    `newest`, `best:<signal>` (largest value), or `source:<name>,<name>…` (the source named earliest). Ties go to the
    first.
    """

    reads: ClassVar[str] = "text"
    """The column of strings that keys are made from; null is read as empty."""

    def signals(self) -> Mapping[str, pa.DataType]:
        """How many documents the one that stayed stands for, itself among them."""
        return {f"{self.use}.cluster_size": pa.int64()}

    @abstractmethod
    def keys(self, texts: Texts) -> npt.NDArray[np.uint64]:
        """uint64[n, k, 2]: k 128-bit keys per document, from the column `reads`."""

    def keys_per_document(self) -> int:
        """k, as far as it is known before."""
        return 1

    def keyless(self, texts: Texts) -> npt.NDArray[np.bool_]:
        """bool[n]: documents that take no part (too short to have a key)."""
        return np.zeros(len(texts), dtype=np.bool_)

    def least_similarity(self) -> float | None:
        """How similar two documents with a common key must be to be linked; None: the key is enough."""
        return None


class VerifiedBarrier(DocumentBarrier):
    """A DocumentBarrier that can tell how similar two documents are; it does where it has a `least_similarity`."""

    @abstractmethod
    def sketches(self, texts: Texts) -> Sketches:
        """What `similarity` compares."""

    @abstractmethod
    def similarity(
        self, sketches: Sketches, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """float64[k]: how similar document left[i] is to right[i], 0 to 1; positions in `sketches`."""


@dataclasses.dataclass(frozen=True)
class Pieces:
    """The m pieces of n texts that a PieceBarrier takes out, in order; document d has first[d] to first[d + 1].

    start   int32[m], bytes into Texts.data
    stop    int32[m], there is nothing but white space from here to the next one
    first   int64[n + 1]
    covers  int32[m], the key with the number of piece j stands for the pieces j to j + covers[j]; 0 where there is none
    """

    start: npt.NDArray[np.int32]
    stop: npt.NDArray[np.int32]
    first: npt.NDArray[np.int64]
    covers: npt.NDArray[np.int32]


class PieceBarrier(Barrier):
    """Copies of pieces, such as lines, are taken out of the documents.

    `keep` is `first`, the first copy in the order of source names and locators stays, or `none`: what two documents
    share goes from both, and what a single document repeats stays once.
    """

    @abstractmethod
    def pieces(self, texts: Texts) -> Pieces:
        """The pieces of a batch."""

    @abstractmethod
    def keys(self, texts: Texts, pieces: Pieces) -> npt.NDArray[np.uint64]:
        """uint64[m, 2] for its pieces: what has the same key is copies. Without meaning where nothing is covered."""


REGISTER: dict[str, type[Step]] = {}

S = TypeVar("S", bound=Step)


def register(use: str, *, version: int) -> Callable[[type[S]], type[S]]:
    """Class decorator: make a step known under `use`."""

    def add(cls: type[S]) -> type[S]:
        if use in REGISTER and REGISTER[use].__qualname__ != cls.__qualname__:
            raise ConfigError(f"two steps are called {use!r}: {REGISTER[use].__qualname__} and {cls.__qualname__}")
        cls.use = use
        cls.version = version
        REGISTER[use] = cls
        return cls

    return add


def find(use: str) -> type[Step]:
    """The step class called `use`. Raises ConfigError that lists what exists."""
    if use not in REGISTER:
        raise ConfigError(f"unknown step {use!r}; known steps: {', '.join(sorted(REGISTER))}")
    return REGISTER[use]
