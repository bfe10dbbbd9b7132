"""The pieces of the report: paths, bins, bounds, numbers, markup."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipeline.report.facts import shorten_paths
from corpusmill.pipeline.report.markup import count, percent, size_of, table, tag, text
from corpusmill.pipeline.report.reach import wanted_bound
from corpusmill.pipeline.report.samples import bin_values, sample
from corpusmill.rules import Rule

AT_LEAST_50 = Rule("f.min", "f.x", ">=", 50)
AT_MOST_2 = Rule("f.max", "f.x", "<=", 2)


@pytest.mark.parametrize(
    "values",
    [
        np.array([0.0, 1.0]),
        np.array([0.25, 0.5, 0.25]),
        np.arange(7.0),
        np.linspace(0, 1, 1000),
        np.exp(np.linspace(0, 12, 500)),
        np.concatenate([np.zeros(300), np.arange(1000.0)]),
        -np.arange(1000.0),
        np.array([0.0] * 999 + [1e9]),
        np.array([0.0] * 999 + [1e-9]),
    ],
)
@pytest.mark.parametrize("rules", [[], [AT_MOST_2], [AT_LEAST_50, AT_MOST_2]])
def test_histograms_hold_every_value_once(values: np.ndarray, rules: list[Rule]) -> None:
    found = bin_values(values, values[:2], rules, (1.0, 3.0))
    assert (sum(found.kept), sum(found.dropped)) == (len(values), 6)
    assert list(found.edges) == sorted(set(found.edges))
    places = found.positions()
    assert (places[0], places[-1]) == (0.0, 1.0)
    assert places == sorted(places)
    assert bin_values(values[::-1], values[:2], rules, (1.0, 3.0)) == found


def test_a_bound_parts_the_bins_it_should() -> None:
    counts = bin_values(np.arange(7.0), np.empty(0), [AT_MOST_2], (1.0, 0.0))
    assert (counts.edges, counts.kept) == (tuple(range(8)), (1.0,) * 7)
    assert counts.bounds == ((3.0, "≤ 2"),)  # right of the bin that holds 2
    fractions = bin_values(np.linspace(0, 0.7, 99), np.empty(0), [Rule("f.max", "f.x", "<=", 0.9)], (1.0, 0.0))
    assert (fractions.edges[-1], fractions.bounds) == (0.9, ((0.9, "≤ 0.9"),))
    far = bin_values(np.linspace(0, 0.1, 99), np.empty(0), [Rule("f.max", "f.x", "<=", 0.9)], (1.0, 0.0))
    assert (far.edges[-1] < 0.11, far.bounds) == (True, ())


def test_a_long_tail_gets_a_logarithmic_axis() -> None:
    assert bin_values(np.exp(np.linspace(0, 12, 500)), np.empty(0), [], (1.0, 0.0)).logarithmic
    assert not bin_values(np.linspace(0, 500, 500), np.empty(0), [], (1.0, 0.0)).logarithmic


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Rule("f.r", "f.x", ">=", 100_000), "≥ 100,000"),
        (Rule("f.r", "f.x", "<", 0.15), "< 0.15"),
        (Rule("f.r", "f.x", "==", False), "is false"),
        (Rule("f.r", "f.x", "==", "a"), "= a"),
        (Rule("f.r", "f.x", "in", ("en", "de")), "in en, de"),
    ],
)
def test_bounds_in_words(rule: Rule, said: str) -> None:
    assert wanted_bound(rule) == said


def test_numbers_are_written_the_same_everywhere() -> None:
    assert [size_of(n) for n in (0, 999, 1000, 12_345, 999_999, 5_000_000_000, -2500)] == (
        ["0 B", "999 B", "1.00 kB", "12.3 kB", "1.00 MB", "5.00 GB", "−2.50 kB"]
    )
    assert [percent(a, b) for a, b in ((0, 0), (0, 5), (1, 10_000), (9_999, 10_000), (1, 3), (5, 5))] == (
        ["–", "0.0 %", "< 0.1 %", "> 99.9 %", "33.3 %", "100.0 %"]
    )
    assert (count(None), count(1234567)) == ("–", "1,234,567")


def test_markup_escapes_text_and_attributes_but_not_itself() -> None:
    assert tag("a", "<b>", tag("i", "&"), title='"x"') == '<a title="&quot;x&quot;">&lt;b&gt;<i>&amp;</i></a>'
    assert text("\ud800\x1b[31m") == "\ufffd\ufffd[31m"
    assert "&lt;td&gt;" in table(["<td>"], [["a"]])


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ('paths = ["/data/crawl/*.gz"]', 'paths = ["…/*.gz"]'),
        ('paths = ["/data/crawl"]', 'paths = ["…/crawl"]'),
        ('paths = ["/a/*/b/[0-9].gz", "x/y"]', 'paths = ["…/*/b/[0-9].gz", "x/y"]'),
        ('path = "file:///home/me/t.json"', 'path = "…/t.json"'),
        ('path = "~/t.json"', 'path = "…/t.json"'),
        ('path = "C:\\\\me\\\\t.json"', 'path = "…/t.json"'),
        ('path = "s3://bucket/t.json"', 'path = "s3://bucket/t.json"'),
        ('marks = ["//", "/*", "a \\"/b\\" c"]', 'marks = ["//", "/*", "a \\"/b\\" c"]'),
    ],
)
def test_absolute_paths_are_shortened(given: str, shown: str) -> None:
    assert shorten_paths(given) == shown


def test_sample_is_spread_over_files_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corpusmill.pipeline.report.samples.SAMPLE_ROWS", 60)
    files = []
    for n in range(3):
        rows = 100 * (n + 1)
        columns = {"f.words": np.arange(rows) + 1000 * n, "f.label": pa.array(["en"] * rows)}
        pq.write_table(pa.table(columns), tmp_path / f"{n}.parquet", row_group_size=16)
        files.append((f"{n}.parquet", rows))
    found = sample(str(tmp_path), files)
    words = found.values["f.words"]
    assert (found.rows, found.scale) == (60, 10.0)
    assert [int(np.sum(words // 1000 == n)) for n in range(3)] == [10, 20, 30]
    assert "f.label" not in found.values


def test_null_and_nan_signals_are_left_out(tmp_path: Path) -> None:
    pq.write_table(pa.table({"f.x": pa.array([1.0, None, float("nan"), float("inf"), 2.0])}), tmp_path / "a.parquet")
    found = sample(str(tmp_path), [("a.parquet", 5)])
    assert (found.values["f.x"].tolist(), found.rows) == ([1.0, 2.0], 5)
