"""Measure texts with one step, in memory and without Beam."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from corpusmill.document import DOCUMENT, conform, document_ids
from corpusmill.errors import ConfigError
from corpusmill.filters.sift import arrow_signals, columns
from corpusmill.options import build
from corpusmill.rules import judge
from corpusmill.steps import Filter, find
from corpusmill.text import Texts


def measure(texts: Sequence[str], use: str, **params: Any) -> pa.Table:
    """What the filter `use` finds in each text: its signals, `keep` (bool), `reasons` (list of strings) and `text`.

    One row per text, in order; `text` is the text after the filter's edits. `params` are the filter's options.
    Raises ConfigError for an unknown filter or option.
    """
    cls = find(use)
    if not issubclass(cls, Filter):
        raise ConfigError(f"{use!r} is a barrier: it needs a whole corpus; see near_duplicates or a recipe")
    if isinstance(texts, str):
        raise ConfigError("texts is one string; wanted a list of strings")
    step = build(cls, params)
    given = Texts.from_strings(texts)
    ids = pa.array(document_ids("", map(str, range(len(texts)))), DOCUMENT.field("id").type)
    batch = conform(pa.record_batch({"id": ids, "text": given.to_arrow()}), DOCUMENT)
    measured = step.measure(given, batch)
    signals = arrow_signals(step, measured)
    verdict = judge(step.rules(), {**columns(batch), **signals}, len(texts), given, measured.spans)
    after = measured.texts if measured.texts is not None else given
    return pa.table({**signals, "keep": pa.array(verdict.keep), "reasons": verdict.reasons, "text": after.to_arrow()})
