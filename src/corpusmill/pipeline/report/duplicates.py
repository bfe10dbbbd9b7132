"""The section on duplicates: what each barrier took out, its clusters, how alike copies are, its index."""

from __future__ import annotations

from collections.abc import Iterator

from corpusmill.dedup.minhash import MinHash, detection_probability
from corpusmill.ledger import IN, REMOVED
from corpusmill.pipeline.directory import RunDirectory
from corpusmill.pipeline.report.charts import bar, curve, histogram
from corpusmill.pipeline.report.clusters import (
    Similarities,
    Sizes,
    cluster_sizes,
    count_cuts,
    similarities,
    superseded,
)
from corpusmill.pipeline.report.facts import Facts, StageFact, shorten_path
from corpusmill.pipeline.report.markup import NOTHING, Html, count, join, percent, size_of, table, tag
from corpusmill.steps import Barrier, DocumentBarrier


def duplicates(facts: Facts) -> Html:
    """What each kind of dedup removed and cut out, then each one's clusters and index."""
    removed, cut, parts = [], [], []
    directory = RunDirectory(facts.directory)
    for stage in facts.stages:
        documents, size = stage.account["documents"], stage.account["bytes"]
        for use in dict.fromkeys([*(step.use for step in stage.barriers), *documents[REMOVED]]):
            number, length = documents[REMOVED].get(use, 0), size[REMOVED].get(use, 0)
            cells = [use, stage.name, count(documents[IN]), count(number), percent(number, documents[IN])]
            removed.append([*cells, size_of(length), percent(length, size[IN])])
        for step in stage.barriers if stage.manifest else ():
            if not isinstance(step, DocumentBarrier):
                number, places, taken = count_cuts(directory, stage.manifest)
                cells = [step.use, stage.name, count(number), percent(number, documents[IN]), count(places)]
                cut.append([*cells, size_of(taken), percent(taken, size[IN])])
            parts += _of_barrier(directory, stage, step)
        parts += [_s_curve(step) for step in stage.barriers if isinstance(step, MinHash)]
    if not removed:
        return Html("")
    header = ["kind", "stage", "documents in", "removed", "of those", "text", "of the text"]
    tables = [table(header, removed, names=2)]
    if cut:
        header = ["kind", "stage", "cut but kept", "of those in", "places", "text cut out", "of the text"]
        tables.append(table(header, cut, names=2))
    return join([*tables, *parts])


def _of_barrier(directory: RunDirectory, stage: StageFact, step: Barrier) -> list[Html]:
    """Clusters and similarities, where the barrier has some, and what is to say of its index."""
    parts = [tag("p", sentence, cls="note") for sentence in _index(directory, stage, step)]
    if isinstance(step, DocumentBarrier):
        sizes = cluster_sizes(directory, stage.manifest)
        parts += _clusters(sizes, similarities(directory, stage.manifest, step.least_similarity()))
    return [tag("h3", f"{step.use}, stage {stage.name}"), *parts] if parts else []


def _clusters(sizes: Sizes, alike: Similarities | None) -> Iterator[Html]:
    """How large clusters are, how alike copies, and the largest clusters."""
    most = max((copies for *_, copies in sizes.bins), default=0)
    rows = [
        [
            count(low) if low == high else f"{count(low)}–{count(high)}",
            count(clusters),
            count(copies),
            bar([(REMOVED, f"{count(copies)} copies", copies)], most),
        ]
        for low, high, clusters, copies in sizes.bins
    ]
    if rows:
        yield table(["documents in a cluster", "clusters", "copies in them", ""], rows, cls="snug")
    if alike:
        note = f"How alike the {count(alike.removed)} removed documents are to those that stayed for them."
        if alike.equal:
            note += f" {count(alike.equal)} have a similarity of 1."
        if alike.chained:
            note += f" {count(alike.chained)} are less alike than a link asks for: others of the cluster link the two."
        yield tag("p", note, cls="note")
        drawn = histogram(alike.histogram, "similarity of removed documents to those that stayed", REMOVED)
        yield tag("div", tag("figure", drawn), cls="multiples")
    if sizes.largest:
        largest = [
            [one.id or NOTHING, one.source or NOTHING, one.locator or NOTHING, count(one.size)] for one in sizes.largest
        ]
        yield table(["of the largest clusters stayed", "source", "locator", "documents"], largest, names=3, cls="loose")


def _index(directory: RunDirectory, stage: StageFact, step: Barrier) -> Iterator[str]:
    """What the barrier was compared with, what that changed, what it saved."""
    against = stage.manifest.get("against")
    if against is not None:
        known = f", {count(against['documents'])} documents of earlier runs" if against["documents"] else ""
        yield f"Compared with the index {shorten_path(against['path'])}{known}."
        now = superseded(directory, stage.manifest)
        if any(now.values()):
            yield (
                f"Of those documents, {count(now['removed'])} that were kept would be removed now, and "
                f"{count(now['kept'])} that were removed would be kept; the earlier runs are as they were. "
                f"removed/{stage.name}-superseded.arrow has their ids."
            )
        if isinstance(step, DocumentBarrier):
            yield "The clusters here are those of which a document of this run stayed."
    saved = stage.manifest.get("index")
    if saved is not None:
        known = f", with {count(saved['documents'])} documents" if saved["documents"] else ""
        yield f"Saved as the index {shorten_path(saved['path'])}{known}."


def _s_curve(step: MinHash) -> Html:
    bands, rows = step.banding
    points, half = step.curve()
    unit = f"{step.shingle_words} words" if step.shingle_chars is None else f"{step.shingle_chars} characters"
    title = f"minhash: {bands} bands of {rows} rows, shingles of {unit}"
    note = f"Of pairs with a similarity of {half:.2f}, half are found; above it nearly all, below it few."
    if step.verify:
        note += f" Pairs that are found are compared, and linked from {step.min_jaccard:g} on."
    drawing = tag("figure", curve(lambda s: detection_probability(s, bands, rows), [(half, f"half at {half:.2f}")]))
    cells = [[f"{jaccard:.2f}", percent(found, 1)] for jaccard, found in points]
    return join(
        [
            tag("h3", title),
            tag("p", note, cls="note"),
            tag("div", drawing, table(["Jaccard similarity", "pairs found"], cells), cls="beside"),
        ]
    )
