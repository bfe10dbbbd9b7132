"""The ledger: every document in is kept, dropped for a named reason, removed as a duplicate, or quarantined.

A tally counts documents, bytes of text and the sum of ids mod 2**128 for each (source, outcome, reason). What goes in
is tallied where records are read, what comes out where files are written; the two must balance. The sum of ids sees
what a count does not: one document lost and another doubled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from corpusmill.errors import LedgerError

IN, KEPT, DROPPED, REMOVED, QUARANTINED = "in", "kept", "dropped", "removed", "quarantined"
EDITED = "edited"
"""Bytes that edits took out of texts (negative where they made them longer); no documents, no ids."""
SKIPPED = "skipped"
"""Records that are no documents by their kind (a WARC request, an image); outside the balance."""
REPAIRED = "repaired"
"""Records that were mended while read (bytes that are no UTF-8 replaced), by how; outside the balance."""
FAILED = "failed"
"""Documents for which a rule failed, first or not; outside the balance."""

TOKENS = ("in", "left_out", "packed", "repeated")
"""The account of tokens of the run and of each source: in + repeated = packed + left_out."""

OUT = (KEPT, DROPPED, REMOVED, QUARANTINED)
_MODULUS = 1 << 128

Key = tuple[str, str, str]


@dataclass
class Tally:
    """(source, outcome, reason) → [documents, bytes, id_sum]."""

    counts: dict[Key, list[int]] = field(default_factory=dict)

    def add(self, source: str, outcome: str, reason: str = "", *, documents: int, bytes: int = 0, ids: int = 0) -> None:
        """Count `documents` with `bytes` of text and the sum `ids` of their ids."""
        if documents == 0 and bytes == 0:
            return
        row = self.counts.setdefault((source, outcome, reason), [0, 0, 0])
        row[0] += documents
        row[1] += bytes
        row[2] = (row[2] + ids) % _MODULUS

    def merge(self, other: Tally) -> None:
        """Add all of another tally."""
        for (source, outcome, reason), (documents, size, ids) in other.counts.items():
            self.add(source, outcome, reason, documents=documents, bytes=size, ids=ids)

    def to_json(self) -> list[list[Any]]:
        """Rows of source, outcome, reason, documents, bytes, id_sum (hex), sorted."""
        return [[*key, row[0], row[1], f"{row[2]:032x}"] for key, row in sorted(self.counts.items())]

    @staticmethod
    def from_json(rows: Iterable[list[Any]]) -> Tally:
        """The inverse of `to_json`."""
        tally = Tally()
        for source, outcome, reason, documents, size, ids in rows:
            tally.add(source, outcome, reason, documents=documents, bytes=size, ids=int(ids, 16))
        return tally

    def total(self, *outcomes: str, source: str | None = None) -> tuple[int, int, int]:
        """Documents, bytes and id_sum over the outcomes."""
        documents = size = ids = 0
        for (name, outcome, _), row in self.counts.items():
            if outcome in outcomes and source in (None, name):
                documents, size, ids = documents + row[0], size + row[1], (ids + row[2]) % _MODULUS
        return documents, size, ids

    def sources(self) -> list[str]:
        """Names of all sources counted."""
        return sorted({source for source, _, _ in self.counts})

    def check(self, stage: str) -> None:
        """Raise LedgerError unless, for every source, documents, bytes and ids that came in also came out."""
        for source in self.sources():
            came = self.total(IN, source=source)
            went = self.total(*OUT, source=source)
            edited = self.total(EDITED, source=source)[1]
            if came != (went[0], went[1] + edited, went[2]):
                raise LedgerError(
                    f"stage {stage}, source {source}: in {came[0]} documents, {came[1]} bytes, ids {came[2]:032x}; "
                    f"out {went[0]} documents, {went[1]} + {edited} edited bytes, ids {went[2]:032x}. "
                    "Nothing was committed; please report this with the recipe"
                )


def check_chain(stage: str, tally: Tally, left: Tally) -> None:
    """Raise LedgerError unless what comes into a stage is what the one on its left kept."""
    for source in sorted({*tally.sources(), *left.sources()}):
        came, kept = tally.total(IN, source=source), left.total(KEPT, source=source)
        if came != kept:
            raise LedgerError(f"stage {stage}, source {source}: in (documents, bytes, ids) {came}, left kept {kept}")


def account(tally: Tally, source: str | None = None) -> dict[str, dict[str, Any]]:
    """`{documents: {in, kept, dropped: {reason: n}, …}, bytes: {…}}` of one tally, all sources or one."""
    result: dict[str, dict[str, Any]] = {}
    for position, unit in enumerate(("documents", "bytes")):
        body: dict[str, Any] = {IN: 0, KEPT: 0, DROPPED: {}, REMOVED: {}, QUARANTINED: {}, SKIPPED: {}}
        body |= {REPAIRED: {}, FAILED: {}}
        if unit == "bytes":
            body[EDITED] = {}
            del body[FAILED], body[SKIPPED], body[REPAIRED]
        for (name, outcome, reason), row in sorted(tally.counts.items()):
            if source not in (None, name) or outcome not in body:
                continue
            if outcome in (IN, KEPT):
                body[outcome] += row[position]
            else:
                body[outcome][reason] = body[outcome].get(reason, 0) + row[position]
        result[unit] = body
    return result


def run_tally(stages: Iterable[Tally]) -> Tally:
    """The tally of a whole run: in from the first stage, kept from the last, all that fell out in between."""
    run = Tally()
    every = list(stages)
    for position, tally in enumerate(every):
        for (source, outcome, reason), (documents, size, ids) in tally.counts.items():
            if (outcome == IN and position > 0) or (outcome == KEPT and position < len(every) - 1):
                continue
            run.add(source, outcome, reason, documents=documents, bytes=size, ids=ids)
    return run


def ledger_json(stages: Mapping[str, Tally], pack: Mapping[str, Any]) -> dict[str, Any]:
    """The body of `ledger.json`. `stages` in their order; `pack` is the packing's own account, empty where none was.

    Raises LedgerError where the tokens of the sources are not those of the run.
    """
    run = run_tally(stages.values())
    run.check("run")
    tokens = dict(pack.get("ledger", {}))
    held = pack.get("sources", {})
    for key in TOKENS if pack else ():
        if sum(source[key] for source in held.values()) != tokens[key]:
            raise LedgerError(f"tokens {key}: {tokens[key]} in the run, another number in its sources: {dict(held)}")
    return {
        **account(run),
        "tokens": tokens,
        "sources": {
            source: {**account(run, source), "tokens": {key: held[source][key] for key in TOKENS if source in held}}
            for source in run.sources()
        },
        "stages": [{"name": name, **account(tally), "tally": tally.to_json()} for name, tally in stages.items()],
    }
