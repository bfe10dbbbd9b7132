"""Run a sequence of filters over one batch: measure, judge, split into kept and rejected, tally."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill import ledger
from corpusmill.document import DOCUMENT, conform, id_sum
from corpusmill.ledger import Tally
from corpusmill.rules import Verdict, judge
from corpusmill.steps import Filter, Measured
from corpusmill.text import Texts

Mask = npt.NDArray[np.bool_]


def signal_fields(steps: Sequence[Filter]) -> list[pa.Field]:
    """The columns that the steps add, in their order."""
    return [pa.field(name, kind) for step in steps for name, kind in step.signals().items()]


def documents_schema(left: pa.Schema, steps: Sequence[Filter]) -> pa.Schema:
    """The schema of documents behind `steps`."""
    return pa.schema([*left, *signal_fields(steps)])


def rejected_schema(documents: pa.Schema) -> pa.Schema:
    """`id, source, locator, url, step, reasons` and every signal; those that were not measured are null."""
    head = [documents.field(name) for name in ("id", "source", "locator", "url")]
    signals = [field for field in documents if field.name not in DOCUMENT.names]
    return pa.schema([*head, pa.field("step", pa.string()), pa.field("reasons", pa.list_(pa.string())), *signals])


def arrow_signals(step: Filter, measured: Measured) -> dict[str, pa.Array]:
    """The measured signals as Arrow arrays of their declared types, in their declared order."""
    return {
        name: value.cast(kind)
        if isinstance(value := measured.signals[name], (pa.Array, pa.ChunkedArray))
        else pa.array(value, kind)
        for name, kind in step.signals().items()
    }


def sift(
    batch: pa.RecordBatch, steps: Sequence[Filter], source: str, tally: Tally, *, measure_all: bool = False
) -> tuple[pa.RecordBatch, list[pa.RecordBatch]]:
    """The kept documents with their signals, and the rejected ones, a batch for each step that rejected any.

    A document leaves at the first step that fails it and costs nothing later; with `measure_all` every step measures
    every document, and reasons of later steps are added to the first one's. Bytes an edit took out are tallied only
    for documents that the editing step kept.
    """
    texts = Texts.from_arrow(batch.column("text"))
    rejected: list[pa.RecordBatch] = []
    lost = np.zeros(len(batch), dtype=np.bool_)
    lost_at = np.full(len(batch), -1, dtype=np.int32)
    lost_bytes = np.zeros(len(batch), dtype=np.int64)
    reasons: list[pa.ListArray] = []
    for position, step in enumerate(steps):
        if not len(batch):
            break
        before = texts.bytes
        measured = step.measure(texts, batch)
        signals = arrow_signals(step, measured)
        batch = _append(batch, signals)
        verdict = judge(step.rules(), columns(batch), len(batch), texts, measured.spans)
        keep = verdict.keep
        _count_drops(step, verdict, batch, before, source, tally, ~lost & ~keep)
        if measured.texts is not None:
            texts = measured.texts
            batch = batch.set_column(batch.schema.get_field_index("text"), DOCUMENT.field("text"), texts.to_arrow())
            taken = int((before - texts.bytes)[keep & ~lost].sum())
            tally.add(source, ledger.EDITED, step.use, documents=0, bytes=taken)
        if measure_all:
            fell = ~lost & ~keep
            lost_at[fell], lost_bytes[fell] = position, before[fell]
            lost |= ~keep
            reasons.append(verdict.reasons)
        elif not keep.all():
            gone = pa.array(~keep)
            rejected.append(_with_reasons(batch.filter(gone), step.use, verdict.reasons.filter(gone)))
            batch, lost = batch.filter(pa.array(keep)), lost[keep]
            texts = texts.where(keep, batch.column("text"))
    if lost.any():
        every = _join_lists(reasons, len(batch))
        for position in np.unique(lost_at[lost]):
            chosen = pa.array(lost_at == position)
            rejected.append(_with_reasons(batch.filter(chosen), steps[position].use, every.filter(chosen)))
        batch = batch.filter(pa.array(~lost))
    return batch, rejected


def columns(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """The columns by name: what rules are over."""
    return dict(zip(batch.schema.names, batch.columns, strict=True))


def _append(batch: pa.RecordBatch, signals: Mapping[str, pa.Array]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [*batch.columns, *signals.values()],
        schema=pa.schema([*batch.schema, *(pa.field(name, value.type) for name, value in signals.items())]),
    )


def _with_reasons(batch: pa.RecordBatch, use: str, reasons: pa.ListArray) -> pa.RecordBatch:
    added = {"step": pa.array([use] * len(batch), pa.string()), "reasons": reasons.cast(pa.list_(pa.string()))}
    return conform(_append(batch, added), rejected_schema(batch.schema))


def _join_lists(lists: Sequence[pa.ListArray], rows: int) -> pa.ListArray:
    owner = np.concatenate([pc.list_parent_indices(each).to_numpy() for each in lists])
    order = np.argsort(owner, kind="stable")
    offsets = np.zeros(rows + 1, dtype=np.int32)
    np.cumsum(np.bincount(owner, minlength=rows), out=offsets[1:])
    values = pa.concat_arrays([pc.list_flatten(each) for each in lists]).take(pa.array(order))
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _count_drops(
    step: Filter,
    verdict: Verdict,
    batch: pa.RecordBatch,
    sizes: npt.NDArray[np.int64],
    source: str,
    tally: Tally,
    fell: Mask,
) -> None:
    """Drops by the first rule that failed, for documents that fall here; failures by every rule, for all measured."""
    rules = step.rules()
    ids = batch.column("id")
    for position in np.unique(verdict.first[fell]):
        rows = fell & (verdict.first == position)
        tally.add(
            source,
            ledger.DROPPED,
            rules[position].name,
            documents=int(rows.sum()),
            bytes=int(sizes[rows].sum()),
            ids=id_sum(ids.filter(pa.array(rows))),
        )
    for rule, failures in zip(rules, verdict.failed, strict=True):
        tally.add(source, ledger.FAILED, rule.name, documents=failures)
