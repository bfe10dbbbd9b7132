"""Two dialects of one step on a sample of a recipe's own documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, get_args, get_type_hints

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.document import BATCH_BYTES, conform, id_words
from corpusmill.errors import ConfigError
from corpusmill.filters.sift import arrow_signals, columns, documents_schema, sift
from corpusmill.ledger import Tally
from corpusmill.options import build, plain
from corpusmill.pipeline import readers
from corpusmill.pipeline.curate import reader_options, source_units
from corpusmill.recipe import Recipe
from corpusmill.rules import judge
from corpusmill.steps import Filter, find
from corpusmill.text import Texts

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Example:
    """A document on which two dialects differ.

    source, locator  where it is
    dropped_by       the dialect that drops it, "" where both keep it and the new texts differ
    reasons          why: every rule that fails, with value, bound and place, and what the same rule finds in the other
    excerpt          of the text before the step; of two new texts, each from where they part
    """

    source: str
    locator: str
    dropped_by: str
    reasons: tuple[str, ...]
    excerpt: str


@dataclass
class Comparison:
    """What two dialects of the step `use` make of the same documents.

    only        dialect → documents that it alone keeps
    rules       dialect → rule → documents that the other keeps and this rule of the dialect drops
    texts       documents that both keep and edit differently
    """

    use: str
    dialects: tuple[str, str]
    documents: int = 0
    both_keep: int = 0
    both_drop: int = 0
    only: dict[str, int] = field(default_factory=dict)
    rules: dict[str, Counter[str]] = field(default_factory=dict)
    texts: int = 0
    examples: list[Example] = field(default_factory=list)

    @property
    def differ(self) -> bool:
        """Whether there is any document that they decide or edit differently."""
        return bool(self.texts or any(self.only.values()))


@dataclass(frozen=True)
class _Found:
    """What one dialect finds in a batch. `values` has the batch's columns and the step's signals."""

    step: Filter
    keep: Mask
    reasons: pa.ListArray
    failed: Mapping[str, Mask]
    values: Mapping[str, pa.Array]
    texts: pa.Array


def sample(recipe: Recipe, documents: int) -> Iterator[pa.RecordBatch]:
    """The `documents` with the smallest ids of all sources, in the order of ids, in batches of `document_schema`.

    Ids are hashes of source and locator, so the sample does not depend on order, files or workers. Reads every source
    once and holds about twice the sample. Raises InputError for a source that can't be found.
    """
    options = {source.name: reader_options(source) for source in recipe.sources}
    held: list[pa.RecordBatch] = []
    count = 0
    for _, unit in source_units(recipe):
        body = unit["work"]
        work = readers.WorkUnit(**{**body, "slices": tuple(readers.Slice(**piece) for piece in body["slices"])})
        for read in readers.read(work, options[work.source]):
            held.append(_smallest(conform(read.documents, recipe.document_schema), documents))
            count += len(held[-1])
            if count > 2 * documents:
                held = [_smallest(pa.concat_batches(held), documents)]
                count = len(held[0])
    if count:
        chosen = _smallest(pa.concat_batches(held), documents)
        ends = np.cumsum(Texts.from_arrow(chosen.column("text")).bytes) // BATCH_BYTES
        cuts = [0, *(np.flatnonzero(np.diff(ends)) + 1).tolist(), len(chosen)]
        for start, stop in pairwise(cuts):
            yield chosen.slice(start, stop - start)


def _smallest(batch: pa.RecordBatch, most: int) -> pa.RecordBatch:
    words = id_words(batch.column("id"))
    return batch.take(pa.array(np.lexsort((words[:, 1], words[:, 0]))[:most]))


def dialects_of(use: str) -> tuple[str, ...]:
    """The dialects that the step `use` knows, none where it has no such option. Raises ConfigError for no such step."""
    return get_args(get_type_hints(find(use)).get("dialect"))


def in_dialect(recipe: Recipe, use: str, dialect: str) -> Filter:
    """The step `use` as the recipe has it, or with its defaults, in `dialect`.

    Options whose value is the one that the recipe's dialect brings along take that of `dialect`; the others stay.
    Raises ConfigError for a dialect that does not exist.
    """
    cls: Any = find(use)
    known = dialects_of(use)
    if not known:
        raise ConfigError(f"step {use!r} has no dialects: there is one way to measure it, and nothing to compare")
    if dialect not in known:
        raise ConfigError(f"{use}: unknown dialect {dialect!r}; wanted one of {', '.join(known)}")
    options: dict[str, Any] = {}
    here: Any = next((step for step in recipe.steps if step.use == use), None)
    if here is not None:
        brought = getattr(cls, "DIALECTS", {}).get(here.dialect, {})
        options = {
            name: value
            for name, value in plain(here).items()
            if not (name in brought and getattr(here, name) == brought[name])
        }
    step = build(cls, {**options, "dialect": dialect})
    if not isinstance(step, Filter):
        raise ConfigError(f"{use!r} is a barrier: it needs the whole corpus, and a sample tells nothing of it")
    return step


def before(recipe: Recipe, use: str) -> tuple[list[Filter], list[str]]:
    """The filters in front of the step `use`, none where the recipe does not have it, and the barriers passed over."""
    names = [step.use for step in recipe.steps]
    ahead = recipe.steps[: names.index(use)] if use in names else ()
    return [step for step in ahead if isinstance(step, Filter)], [
        step.use for step in ahead if not isinstance(step, Filter)
    ]


def arriving(recipe: Recipe, use: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What the filters in front of the step `use` leave of each batch, with their signals; no empty batches."""
    filters, _ = before(recipe, use)
    for batch in batches:
        left, _ = sift(batch, filters, "sample", Tally())
        if len(left):
            yield left


def compare(
    recipe: Recipe, use: str, pairs: Sequence[tuple[str, str]], batches: Sequence[pa.RecordBatch], examples: int
) -> list[Comparison]:
    """Each pair of dialects of the step `use` on the documents that get as far as that step.

    `batches` are of the recipe's `document_schema`. Raises ConfigError where the step reads a signal that no step
    before it makes.
    """
    steps = {dialect: in_dialect(recipe, use, dialect) for pair in pairs for dialect in pair}
    made = documents_schema(recipe.document_schema, before(recipe, use)[0]).names
    for dialect, step in steps.items():
        if missing := [name for name in step.needs() if name not in made]:
            raise ConfigError(
                f"{use} {dialect} reads {', '.join(missing)}, which no step before it makes: name a recipe that has it"
            )
    outcomes = [
        Comparison(use, pair, only=dict.fromkeys(pair, 0), rules={name: Counter() for name in pair}) for pair in pairs
    ]
    for left in arriving(recipe, use, batches):
        texts = Texts.from_arrow(left.column("text"))
        found = {dialect: _measure(step, texts, left) for dialect, step in steps.items()}
        for outcome in outcomes:
            _add(outcome, left, found[outcome.dialects[0]], found[outcome.dialects[1]], examples)
    return outcomes


def _measure(step: Filter, texts: Texts, batch: pa.RecordBatch) -> _Found:
    measured = step.measure(texts, batch)
    values = {**columns(batch), **arrow_signals(step, measured)}
    verdict = judge(step.rules(), values, len(batch), texts, measured.spans)
    failed = {rule.name: ~rule.passes(values) for rule in step.rules()}
    after = batch.column("text") if measured.texts is None else measured.texts.to_arrow()
    return _Found(step, verdict.keep, verdict.reasons, failed, values, after)


def _add(outcome: Comparison, batch: pa.RecordBatch, a: _Found, b: _Found, examples: int) -> None:
    """Count one batch, and keep some examples of every kind."""
    outcome.documents += len(batch)
    outcome.both_keep += int((a.keep & b.keep).sum())
    outcome.both_drop += int((~a.keep & ~b.keep).sum())
    first, second = outcome.dialects
    for keeper, dropper, here, there in ((first, second, a, b), (second, first, b, a)):
        rows = here.keep & ~there.keep
        seen = outcome.only[keeper]
        outcome.only[keeper] += int(rows.sum())
        for rule, failed in there.failed.items():
            if count := int((failed & rows).sum()):
                outcome.rules[dropper][rule] += count
        for row in np.flatnonzero(rows)[: max(examples - seen, 0)]:
            outcome.examples.append(_example(batch, int(row), dropper, keeper, there, here))
    differ = a.keep & b.keep & pc.not_equal(a.texts, b.texts).to_numpy(zero_copy_only=False)
    seen = outcome.texts
    outcome.texts += int(differ.sum())
    for row in np.flatnonzero(differ)[: max(examples - seen, 0)]:
        outcome.examples.append(_edited(batch, int(row), outcome.dialects, a, b))


EXCERPT_CHARS = 120


def _example(batch: pa.RecordBatch, row: int, dropper: str, keeper: str, there: _Found, here: _Found) -> Example:
    """A document that `there` drops and `here` keeps."""
    reasons = [f"{dropper} drops it: {reason}" for reason in there.reasons[row].as_py()]
    values = {name: value[row].as_py() for name, value in here.values.items()}
    for rule in here.step.rules():
        if rule.name in there.failed and there.failed[rule.name][row]:
            reasons.append(f"{keeper} keeps it: {rule.name}: {rule.judge_one(values)[1]}")
    for name in there.failed:
        if there.failed[name][row] and name not in here.failed:
            reasons.append(f"{keeper} keeps it: no rule {name}")
    text = batch.column("text")[row].as_py()
    return Example(*_place(batch, row), dropper, tuple(reasons), _short(text, 0))


def _edited(batch: pa.RecordBatch, row: int, dialects: tuple[str, str], a: _Found, b: _Found) -> Example:
    """A document that both keep and edit differently."""
    new = [found.texts[row].as_py() for found in (a, b)]
    same = next((i for i, (x, y) in enumerate(zip(*new, strict=False)) if x != y), min(map(len, new)))
    start = max(new[0].rfind("\n", 0, same) + 1, same - EXCERPT_CHARS // 2)
    reasons = tuple(
        f"{dialect} leaves {len(text):,} characters, from {start:,} on: {_short(text, start)!r}"
        for dialect, text in zip(dialects, new, strict=True)
    )
    return Example(*_place(batch, row), "", reasons, _short(batch.column("text")[row].as_py(), 0))


def _place(batch: pa.RecordBatch, row: int) -> tuple[str, str]:
    return batch.column("source")[row].as_py(), batch.column("locator")[row].as_py()


def _short(text: str, start: int) -> str:
    piece = text[start : start + EXCERPT_CHARS]
    return piece + "…" if start + EXCERPT_CHARS < len(text) else piece


def as_json(outcome: Comparison) -> dict[str, Any]:
    """Plain data."""
    return {
        **vars(outcome),
        "rules": {dialect: dict(counts) for dialect, counts in outcome.rules.items()},
        "examples": [vars(example) for example in outcome.examples],
    }
