"""Everything that happened to one document: signals, rules with value and bound, duplicates, its rows in the shards.

The document is named by its id (32 hex digits), its URL or its locator (file#record). Of tokens that were imported only
source, id and rows are known.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from corpusmill.document import document_id
from corpusmill.errors import ConfigError, NotCommitted
from corpusmill.jobs.places import finished_run, imported
from corpusmill.pipeline import history
from corpusmill.pipeline.directory import Record, RunDirectory
from corpusmill.pipeline.history import Cuts, Place, Removal
from corpusmill.pipeline.report.facts import Facts, StageFact
from corpusmill.pipeline.report.facts import load as load_facts
from corpusmill.steps import Barrier, DocumentBarrier, Filter
from corpusmill.tokenize.packing.token_files import open_token_file
from corpusmill.tokenize.shards.packed import Packed

FIXED = (
    "id",
    "text",
    "source",
    "locator",
    "url",
    "date",
    "step",
    "reasons",
    "stage",
    "reason",
    "detail",
    "head_xxh128",
)
MOST_COPIES, MOST_CUTS = 20, 5
"""Copies, and places where something was cut out, that are shown."""
EXCERPT_CHARS = 100


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("directory", metavar="DIR", help="a finished run's directory")
    command.add_argument("document", metavar="ID-OR-URL-OR-LOCATOR", help="which document")


def do(given: argparse.Namespace, console: Console) -> None:
    """Print what is known of every document that the name fits."""
    directory, stages = finished_run(given.directory)
    if imported(stages):
        print("\n".join(_imported(directory, stages[0], given.document)))
        return
    facts = load_facts(directory.root)
    missing = [stage.name for stage in facts.stages if not stage.manifest]
    if missing:
        raise NotCommitted(f"{directory.root}: stage {missing[0]} has no manifest; run the recipe again")
    found = list(history.find(directory, [stage.manifest for stage in facts.stages], _wanted(given.document)))
    if not found:
        raise ConfigError(
            f"no document of {directory.root} has the id, URL or locator {given.document!r}; locators look like "
            "file#record, see the column `locator` of documents/, rejected/ and quarantine/"
        )
    for place in found:
        print("\n".join(lines(directory, facts, place)))


def _wanted(name: str) -> dict[str, list[Any]]:
    """The columns that a document may be called so in."""
    return {"id": [bytes.fromhex(name)]} if re.fullmatch(r"[0-9a-f]{32}", name) else {"locator": [name], "url": [name]}


def _imported(directory: RunDirectory, stage: Record, name: str) -> Iterator[str]:
    """What is known of a document of an import: its id is that of its file, or that of (source, file#record)."""
    known = False
    for piece in stage["tokens"]:
        identity = _wanted(name).get("id", [document_id(piece["source"], name)])[0]
        file = open_token_file(directory.path(piece["path"]))
        at = pc.index(file.stored_ids, pa.scalar(identity, file.stored_ids.type)).as_py()
        if at >= 0:
            known = True
            tokens = int(file.offsets[at + 1] - file.offsets[at])
            yield f"id       {identity.hex()}"
            yield f"source   {piece['source']}"
            yield f"fate     imported, {tokens} tokens ({piece['path']}); its text and signals never were in this run"
            yield from _rows(directory, identity)
    if not known:
        raise ConfigError(
            f"no document of {directory.root} has the id or locator {name!r}. It is an import: ids are those of the "
            "files that came in, where they have any (`trace` shows them), else those of source and FILE#NUMBER"
        )


def lines(directory: RunDirectory, facts: Facts, place: Place) -> Iterator[str]:
    """The account of one document, line by line."""
    row = history.row_of(directory, place.path, place.row)
    yield f"id       {row['id'].hex()}"
    for key in ("source", "locator", "url", "date"):
        if row.get(key) is not None:
            yield f"{key:<8} {row[key]}"
    if place.fate == "quarantine":
        yield f"fate     quarantined in stage {row['stage']}: {row['reason']}: {row['detail']} ({row['bytes']} bytes)"
        return
    if place.fate == "rejected":
        yield f"fate     rejected by step {row['step']} ({place.path})"
        yield from (f"         {reason}" for reason in row["reasons"])
    else:
        yield f"fate     kept ({place.path})"
    yield from _barriers(directory, facts, place, row)
    yield from _rules(facts, row)
    if place.fate == "documents":
        yield from _rows(directory, row["id"])


def _rules(facts: Facts, row: dict[str, Any]) -> Iterator[str]:
    """Every signal, and what every rule over it says."""
    judged: set[str] = set()
    for fact in facts.steps():
        if fact.step is None:
            yield f"rule     those of step {fact.use} are not known here: it can't be built on this machine"
        for rule in fact.step.rules() if isinstance(fact.step, Filter) else ():
            value = row.get(rule.signal)
            judged.add(rule.signal)
            if value is None:
                yield f"rule     {rule.name}: not measured"
                continue
            passes, said = rule.judge_one(row)
            yield f"rule     {rule.name}: {'passes' if passes else 'FAILS'}, {said}"
    for name, value in row.items():
        if name not in judged and name not in FIXED and value is not None:
            yield f"signal   {name} = {round(value, 6) if isinstance(value, float) else value}"


def _barriers(directory: RunDirectory, facts: Facts, place: Place, row: dict[str, Any]) -> Iterator[str]:
    """What each barrier that the document came to did to it, and to others because of it."""
    for left, stage in pairwise(facts.stages):
        if stage.manifest["kind"] == "dedup":
            cuts = history.cuts_of(directory, stage.manifest, left.manifest, place.unit, row["id"])
            if cuts is not None:
                yield from _cuts(stage, cuts)
            here = place.fate == "rejected" and place.stage == stage.name
            removal = history.removal_of(directory, stage.manifest, place) if here else None
            if removal is not None:
                yield from _survivor(directory, facts, stage, removal)
            yield from _copies(directory, stage, row)
        if stage.name == place.stage:
            return


def _cuts(stage: StageFact, cuts: Cuts) -> Iterator[str]:
    """What a barrier cut out."""
    if cuts.spans is None:
        yield f"cut      perhaps, in stage {stage.name}: see {cuts.path}; {cuts.left}, which tells what, is gone"
        return
    size = sum(stop - start for start, stop in cuts.spans)
    places = len(cuts.spans)
    yield (
        f"cut      {size} of {len(cuts.text)} bytes in {_things(places, 'place')}, in stage {stage.name} ({cuts.path})"
    )
    for (start, stop), cut in zip(cuts.spans, cuts.excerpts(MOST_CUTS), strict=False):
        text = cut[: 4 * EXCERPT_CHARS].decode("utf-8", "ignore")[:EXCERPT_CHARS]
        yield f"         {start}–{stop}: {text!r}{' …' if len(text.encode()) < len(cut) else ''}"
    if places > MOST_CUTS:
        yield f"         and in {_things(places - MOST_CUTS, 'more place')}"


def _survivor(directory: RunDirectory, facts: Facts, stage: StageFact, removal: Removal) -> Iterator[str]:
    """The document that stayed for one that was removed, and what became of it."""
    step = stage.steps[0].step if stage.steps else None
    bodies = [each.manifest for each in facts.stages]
    found = next(history.find(directory, bodies, {"id": [removal.survivor]}), None)
    if found is None:
        where = f"in the index {step.against}" if isinstance(step, Barrier) else "not in this run"
    else:
        columns = ["source", "locator", *(["step"] if found.fate == "rejected" else [])]
        other = history.row_of(directory, found.path, found.row, columns)
        fate = f"later rejected by step {other['step']}" if found.fate == "rejected" else "kept"
        where = f"{other['source']} {other['locator']}, {fate}"
    yield f"survivor {removal.survivor.hex()} {where}"
    yield f"         cluster of {removal.cluster_size} in stage {stage.name}{_alike(removal, step)}"


def _alike(removal: Removal, step: object) -> str:
    if removal.similarity is None:
        return ""
    least = step.least_similarity() if isinstance(step, DocumentBarrier) else None
    chain = ""
    if least is not None and removal.similarity < least:
        chain = f": less than the {least:g} of a link, others link the two"
    return f", {removal.similarity:.3f} alike{chain}"


def _copies(directory: RunDirectory, stage: StageFact, row: dict[str, Any]) -> Iterator[str]:
    """The documents that a barrier removed for this one."""
    copies = list(history.removed_for(directory, stage.manifest, row["id"]))
    if not copies:
        return
    size = copies[0].cluster_size
    indexed = size - 1 - len(copies)
    others = f", {indexed} of them in the index" if indexed else ""
    yield f"copies   {len(copies)} removed for this one in stage {stage.name}, cluster of {size}{others}"
    step = stage.steps[0].step if stage.steps else None
    for copy in islice(copies, MOST_COPIES):
        other = history.row_of(directory, copy.path, copy.row, ["id", "locator"])
        yield f"         {other['id'].hex()} {other['locator']}{_alike(copy, step)}"
    if len(copies) > MOST_COPIES:
        yield f"         and {len(copies) - MOST_COPIES} more"


def _things(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _rows(directory: RunDirectory, identity: bytes) -> Iterator[str]:
    """Where the document's tokens are in the shards."""
    packed = Packed(directory.path("shards"))
    shown = 0
    for row, _, piece in packed.find([identity]):
        start, length, offset = (int(piece[name]) for name in ("start", "length", "offset"))
        yield f"row      {row}, tokens {start}–{start + length}, from its token {offset}"
        shown += 1
    if not shown:
        yield "row      none: the mixture left it out"
    for each in packed.takedowns:
        if identity in each.ids:
            yield f"takedown on {each.date}: {each.reason}. Its tokens are no longer delivered"
