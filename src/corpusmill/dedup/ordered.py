"""A barrier that reads the corpus once, in order, and decides about each document by those before it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from corpusmill.steps import Barrier
from corpusmill.text import Texts

State = TypeVar("State")


@dataclass(frozen=True)
class Found:
    """What an OrderedBarrier takes out of n texts with m pieces; a document that goes has no piece to cut.

    documents  bool[n], those that go as a whole
    start      int32[m], where pieces begin, bytes into Texts.data, each in another line; a piece goes on to the line of
               the next one
    first      int64[n + 1], document d has the pieces first[d] to first[d + 1]
    gone       bool[m], the pieces to cut
    """

    documents: npt.NDArray[np.bool_]
    start: npt.NDArray[np.int32]
    first: npt.NDArray[np.int64]
    gone: npt.NDArray[np.bool_]


class OrderedBarrier(Barrier, Generic[State]):
    """One worker feeds it every document once, in the order of ordinals; how batches are cut changes nothing."""

    @abstractmethod
    def start(self) -> State:
        """What is known before the first document."""

    @abstractmethod
    def feed(self, state: State, texts: Texts) -> Found:
        """What goes from the next documents; they are added to `state`, which is changed in place."""

    @abstractmethod
    def state_bytes(self, state: State) -> bytes:
        """The state for `restore`, as an index for a later crawl."""

    @abstractmethod
    def restore(self, stored: bytes) -> State:
        """The state that `state_bytes` stored. Raises IntegrityError unless it fits this step's options."""
