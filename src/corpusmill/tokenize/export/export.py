"""Write a corpus in another format, and prove that every token of it is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from corpusmill import manifest
from corpusmill.document import id_sum
from corpusmill.errors import ConfigError, InputError, LedgerError
from corpusmill.tokenize.export.blocks import PADDING, Block
from corpusmill.tokenize.export.corpus import Corpus, Documents, Split
from corpusmill.tokenize.export.folder import commit, done_before, filled
from corpusmill.tokenize.export.formats import Facts, Format, Target
from corpusmill.tokenize.export.parts import Part, plan_parts

VERSION = 1
MODULUS = 1 << 128


@dataclass(frozen=True)
class Options:
    """validation  share of the sequences that go to a split of their own, drawn by hashes of their ids
    max_tokens     most tokens of a file, None for what the format allows
    """

    validation: float = 0.0
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for values out of range."""
        if not 0 <= self.validation < 1:
            raise ConfigError(f"--validation {self.validation}; wanted a share, 0 to below 1")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ConfigError(f"--max-tokens {self.max_tokens}; wanted 1 or more")

    def splits(self) -> list[Split]:
        """Which sequences go where."""
        if not self.validation:
            return [Split("train")]
        return [Split("train", low=self.validation), Split("val", high=self.validation)]


def export(
    corpus: Corpus,
    to: Format,
    facts: Facts,
    out: str,
    options: Options,
    of: dict[str, Any],
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Write `out` and give the body of its manifest; one that is there already, whole, is given as it is.

    `of` tells the export's manifest what was exported; `progress` is called with the tokens of each part written.
    Raises ConfigError where the format can't hold the corpus, LedgerError where tokens, documents or ids do not add up.
    """
    dtype = to.dtype(facts.vocab_size)
    limit = to.limit if options.max_tokens is None else min(to.limit, options.max_tokens * to.weights[0])
    asked = {"to": to.name, "what": facts.what, "limit": limit, "validation": options.validation}
    fingerprint = manifest.fingerprint({"code": VERSION, **asked, "of": of})
    done = done_before(out, fingerprint)
    if done is not None:
        return done
    planned = {split: plan_parts(corpus, split, dtype, limit, to.most, to.weights) for split in options.splits()}
    empty = [split.name for split, parts in planned.items() if not parts]
    if empty:
        raise InputError(f"nothing to write for {' and '.join(empty)}: take other data or another --validation")
    account = _Account()
    with filled(out) as folder:
        for split, parts in planned.items():
            prefix = f"{split.name}/" if to.own_folder and len(planned) > 1 else ""
            target = Target(folder, prefix, facts)
            for part in parts:
                to.write(target, account.watched(part))
                progress(part.tokens)
            to.finish(target, parts)
        body = {
            **asked,
            "of": of,
            "dtype": dtype.name,
            "vocab_size": facts.vocab_size,
            "eos_id": facts.eos_id,
            "sequence_length": facts.sequence_length,
            "tokenizer": facts.tokenizer,
            "sources": list(corpus.sources),
            "units": corpus.units() if isinstance(corpus, Documents) and len(planned) == 1 else [],
            "splits": {split.name: _told(parts) for split, parts in planned.items()},
            "account": account.settled(corpus, planned),
        }
        return commit(folder, fingerprint, body)


def _told(parts: list[Part]) -> dict[str, int]:
    sequences, tokens = sum(part.sequences for part in parts), sum(part.tokens for part in parts)
    return {"files": len(parts), "sequences": sequences, "tokens": tokens}


class _Account:
    """What the blocks that were written hold; a format that reads them twice is counted once."""

    def __init__(self) -> None:
        self.tokens = self.padding = self.sequences = self.ids = 0

    def watched(self, part: Part) -> Part:
        """The same part; the blocks of its first reading are counted."""
        return _Watched(**{f.name: getattr(part, f.name) for f in fields(part)}, readings=[self.count])

    def count(self, block: Block) -> None:
        """Add a block."""
        real = block.pieces["source"] != PADDING
        words = np.ascontiguousarray(block.pieces["id"][real]).view(">u8").reshape(-1, 2).astype(np.uint64)
        self.tokens += len(block.tokens)
        self.padding += int(block.pieces["length"][~real].sum())
        self.sequences += len(block.lengths)
        self.ids = (self.ids + id_sum(words)) % MODULUS

    def settled(self, corpus: Corpus, planned: dict[Split, list[Part]]) -> dict[str, int]:
        """The account of tokens; raises LedgerError unless it closes."""
        gone, separators = [], 0
        if isinstance(corpus, Documents):
            gone = [corpus.taken_down(file) for file in range(corpus.files)]
            separators = 0 if corpus.separator is None else self.sequences
        account = {
            "in": corpus.tokens,
            "taken_down": sum(tokens for _, tokens, _ in gone),
            "separators_added": separators,
            "out": self.tokens,
            "padding": self.padding,
        }
        wanted = sum(_told(parts)["tokens"] for parts in planned.values())
        if account["in"] - account["taken_down"] + separators != self.tokens or wanted != self.tokens:
            raise LedgerError(f"tokens of the export do not add up: {account}, {wanted} planned; please report this")
        if corpus.id_sum is not None:
            left = sum(id_sum(ids) for _, _, ids in gone)
            if (self.ids + left - corpus.id_sum) % MODULUS:
                raise LedgerError("the ids of the documents written are not those of the run; please report this")
        return account


@dataclass(frozen=True)
class _Watched(Part):
    """A part whose first reading is counted by what is in `readings`, which is then taken out."""

    readings: list[Callable[[Block], None]] = field(default_factory=list)

    def blocks(self) -> Iterator[Block]:
        """As Part's."""
        count = self.readings.pop() if self.readings else None
        for block in super().blocks():
            if count is not None:
                count(block)
            yield block
