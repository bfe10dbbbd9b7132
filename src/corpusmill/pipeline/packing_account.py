"""The account of a packing: every token, segment and id is in the shards as it was counted and placed, or it fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpusmill.errors import LedgerError
from corpusmill.ledger import TOKENS
from corpusmill.pipeline.directory import Record
from corpusmill.pipeline.packing import Packing, counts_of
from corpusmill.tokenize.packing.arrange import Arrangement, Chop
from corpusmill.tokenize.packing.mixture import Part


@dataclass(frozen=True)
class Account:
    """What was packed.

    rows     in all
    totals   documents, cut_documents, segments, tokens, pad_tokens, lower_bound_rows
    pack     what the stage's manifest says of the packing: totals, rows, sources with their shares, strata, how many
             rows have how many documents, how many documents have how many tokens
    written  records of the shards
    """

    rows: int
    totals: dict[str, int]
    pack: Record
    written: list[Record]


def account_of(packing: Packing, records: Sequence[Record], mix: Sequence[Part]) -> Account:
    """Check the records of all token files and shards against each other. Raises LedgerError."""
    counts = [record for record in records if "counts" in record]
    placed = [record for record in records if "placed" in record]
    written = [record for record in records if "tokens_packed" in record]
    arrangement = packing.arrange(np.sum([counts_of(record) for record in counts], axis=0, dtype=np.int64))
    tokens = sum(made.tokens for made in arrangement.plans)
    segments = _sum(placed, "segments")
    sources = _sources(packing, counts, mix, tokens)
    check_held(sources, mix)
    check_tokens(tokens, counts, placed, written)
    totals = {
        "documents": _sum(counts, "documents"),
        "cut_documents": _sum(placed, "cut_documents"),
        "segments": segments,
        "tokens": tokens,
        "pad_tokens": sum(made.pad_tokens for made in arrangement.plans),
        "lower_bound_rows": -(-tokens // packing.sequence_length),
    }
    pack = {
        **totals,
        "packing": packing.options.packing,
        "avoidable_cuts": _sum(placed, "avoidable_cuts"),
        "avoidably_cut_documents": _sum(placed, "avoidably_cut_documents"),
        "sequence_length": packing.sequence_length,
        "rows": arrangement.rows,
        "sources": sources,
        "strata": _strata(packing, arrangement),
        "document_lengths": np.sum([record["lengths"] for record in counts], axis=0).tolist(),
        "ledger": {**_tokens(packing, counts, None), "padding": totals["pad_tokens"]},
    }
    if packing.options.packing == "fit":
        plans = [made for made in arrangement.plans if not isinstance(made, Chop)]
        pack["least_cuts"] = sum(made.least_cuts for made in plans)
        pack["documents_per_row"] = np.sum([made.tally for made in plans], axis=0).tolist()
    return Account(arrangement.rows, totals, pack, written)


def _sum(records: Sequence[Record], key: str) -> int:
    return sum(record[key] for record in records)


def _sources(packing: Packing, counts: Sequence[Record], mix: Sequence[Part], tokens: int) -> Record:
    """Epochs, share wished and share got of each source, and its tokens."""
    found = {}
    for number, part in enumerate(mix):
        own = _tokens(packing, counts, number)
        share = own["packed"] / tokens if tokens else 0.0
        found[part.name] = {"epochs": part.epochs, "wished": part.wished, "share": share, "capped": part.capped, **own}
    return found


def _strata(packing: Packing, arrangement: Arrangement) -> list[Record]:
    """The strata that have rows."""
    return [
        {"name": name, "rows": made.rows, "tokens": made.tokens, "pad_tokens": made.pad_tokens}
        for name, made in zip(packing.strata.names, arrangement.plans, strict=True)
        if made.rows
    ]


def _tokens(packing: Packing, counts: Sequence[Record], source: int | None) -> dict[str, int]:
    chosen = [record for record in counts if source in (None, packing.inputs[record["position"]].source)]
    return {key: sum(record["tokens"][key] for record in chosen) for key in TOKENS}


def check_held(sources: Record, mix: Sequence[Part]) -> None:
    """Raise LedgerError unless the token files of every source hold as many tokens as were written to them."""
    for part in mix:
        if sources[part.name]["in"] != part.tokens:
            raise LedgerError(
                f"the token files of source {part.name} hold {sources[part.name]['in']} tokens, {part.tokens} were "
                "written; run again without tokens/ in the run directory"
            )


def check_tokens(tokens: int, counts: Sequence[Record], placed: Sequence[Record], written: Sequence[Record]) -> None:
    """Raise LedgerError unless the shards hold every token, segment and id that was counted and placed, and no more."""

    def of(records: Sequence[Record], *keys: str) -> list[Any]:
        ids = sum(int(record["id_sum"], 16) for record in records) % (1 << 128)
        return [*(_sum(records, key) for key in keys), f"{ids:032x}"]

    wanted, found = of(placed, "placed", "segments"), of(written, "tokens_packed", "segments")
    packed = sum(record["tokens"]["packed"] for record in counts)
    if wanted != found or not wanted[0] == tokens == packed:
        raise LedgerError(
            f"the shards hold {found[0]} tokens, {found[1]} segments, ids {found[2]}; placed were {wanted[0]}, "
            f"{wanted[1]}, {wanted[2]}, planned {tokens} tokens, counted {packed}. Please report this with the recipe"
        )
    for record in counts:
        held = record["tokens"]
        if held["in"] + held["repeated"] - held["left_out"] != held["packed"]:
            raise LedgerError(f"tokens of {record['unit']} do not add up: {held}")
