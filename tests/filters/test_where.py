"""`where`: rules over signals that other steps made."""

from dataclasses import fields

import pyarrow as pa

from corpusmill.document import DOCUMENT, conform
from corpusmill.filters.gopher.gopher_quality import GopherQuality
from corpusmill.filters.sift import sift
from corpusmill.filters.where import Where
from corpusmill.ledger import Tally
from corpusmill.rules import Rule


def batch(texts: list[str]) -> pa.RecordBatch:
    ids = pa.array([bytes([n]) * 16 for n in range(len(texts))], pa.binary(16))
    sources = pa.array(["web" if n % 2 else "wiki" for n in range(len(texts))])
    return conform(
        pa.record_batch({"id": ids, "text": pa.array(texts, pa.large_string()), "source": sources}), DOCUMENT
    )


def test_conditions_become_rules() -> None:
    step = Where(keep=("a.b>=2", "source in x, y ", "c.d == false", "e.f < -1.5e3"), name="mine")
    assert step.rules() == (
        Rule("where.mine.a.b", "a.b", ">=", 2),
        Rule("where.mine.source", "source", "in", ("x", "y")),
        Rule("where.mine.c.d", "c.d", "==", False),
        Rule("where.mine.e.f", "e.f", "<", -1500.0),
    )


def test_it_decides_by_what_an_earlier_step_measured() -> None:
    off = GopherQuality(**{f.name: None for f in fields(GopherQuality) if f.name.startswith(("min_", "max_"))})
    steps = [off, Where(keep=("gopher_quality.word_count >= 2", "source == wiki"))]
    tally = Tally()
    kept, (rejected,) = sift(batch(["one two", "one two three", "one", "one"]), steps, "s", tally)
    assert kept["text"].to_pylist() == ["one two"]
    assert rejected["reasons"].to_pylist() == [
        ["where.source: source = web, wanted == wiki"],
        ["where.gopher_quality.word_count: gopher_quality.word_count = 1, wanted >= 2"],
        [
            "where.gopher_quality.word_count: gopher_quality.word_count = 1, wanted >= 2",
            "where.source: source = web, wanted == wiki",
        ],
    ]
