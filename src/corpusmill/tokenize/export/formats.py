"""What every format of an export is: its limits, its types, and how it writes a part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from corpusmill.errors import ConfigError
from corpusmill.storage import HashingFile
from corpusmill.tokenize.export.folder import Folder
from corpusmill.tokenize.export.parts import Part
from corpusmill.tokenize.tokenizers.encode import UINT16_VOCAB

What = Literal["documents", "rows"]


@dataclass(frozen=True)
class Facts:
    """What a format has to know of the corpus.

    vocab_size       of the tokenizer
    eos_id           what ends a document, None where nothing does
    sequence_length  of the rows, None for documents
    tokenizer        sha256 of its tokenizer.json
    """

    what: What
    vocab_size: int
    eos_id: int | None
    sequence_length: int | None
    tokenizer: str


@dataclass(frozen=True)
class Target:
    """Where the parts of a split go: `prefix` is "" or its folder, ending in a slash."""

    folder: Folder
    prefix: str
    facts: Facts

    def file(self, name: str, rows: int | None = None) -> AbstractContextManager[HashingFile]:
        """A file to write to; `rows` is told to the manifest."""
        return self.folder.file(self.prefix + name, rows)

    def write(self, name: str, data: bytes) -> None:
        """A small file."""
        self.folder.write(self.prefix + name, data)


class Format(ABC):
    """A file format of another trainer.

    default_what   what it is usually given
    ends_by_token  readers find the end of a document by its last token alone
    types          (largest vocabulary, type of its tokens), rising
    limit          what a part weighs at most, unless it is one heavier sequence
    most           what no part may weigh
    weights        what a token, a piece of a document and a sequence weigh
    own_folder     whether a split needs a folder of its own: readers take all that is in one
    """

    name: ClassVar[str]
    default_what: ClassVar[What] = "documents"
    ends_by_token: ClassVar[bool] = False
    types: ClassVar[tuple[tuple[int, str], ...]] = ((UINT16_VOCAB, "<u2"), (1 << 32, "<u4"))
    limit: ClassVar[int] = 1 << 32
    most: ClassVar[int] = 1 << 62
    weights: ClassVar[tuple[int, int, int]] = (1, 0, 0)
    own_folder: ClassVar[bool] = True

    def dtype(self, vocab_size: int) -> np.dtype[Any]:
        """The type of the tokens. Raises ConfigError where the format can't hold the vocabulary."""
        for largest, kind in self.types:
            if vocab_size <= largest:
                return np.dtype(kind)
        raise ConfigError(
            f"--to {self.name}: the tokenizer has {vocab_size} ids, the format holds at most {self.types[-1][0]}; "
            "take one with wider tokens: llmc, megatron, mds, datatrove, olmo, hf"
        )

    @abstractmethod
    def write(self, target: Target, part: Part) -> None:
        """Write one part."""

    def finish(self, target: Target, parts: Sequence[Part]) -> None:  # noqa: B027  most have nothing to add
        """Write what belongs to all parts of a split."""
