"""What the report reads of the tables: how signals are distributed, and the first quarantined records.

A sample takes evenly spaced files and of each its first row groups, in proportion to its rows: no chance, no order of
work in it. Bins are found by comparison with edges, rounded where they are powers, so no machine's last bit shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.document import DOCUMENT
from corpusmill.pipeline.report.facts import Facts, Json
from corpusmill.pipeline.report.reach import wanted_bound
from corpusmill.rules import Rule
from corpusmill.storage import join, open_input

SAMPLE_ROWS = 200_000
SAMPLE_FILES = 200
BINS = 40
QUARANTINED_SHOWN = 10
TAIL = 0.005
"""The share of values beyond either end of the axis; they are counted in the outermost bins."""

Floats = npt.NDArray[np.float64]
Files = Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Histogram:
    """Documents in bins.

    edges          rising, one more than bins
    kept, dropped  documents in each bin: of all documents, estimated from the sample
    bounds         where on the axis a rule cuts, and what it wants
    logarithmic    whether the axis is
    whole_steps    whether each bin holds one whole number, from its left edge on
    """

    edges: tuple[float, ...]
    kept: tuple[float, ...]
    dropped: tuple[float, ...]
    bounds: tuple[tuple[float, str], ...]
    logarithmic: bool
    whole_steps: bool

    def place(self, value: float) -> float:
        """Where on the axis, 0 to 1, a value lies."""
        low, high = self.edges[0], self.edges[-1]
        value = min(max(value, low), high)
        if self.logarithmic:
            low, high, value = log10(low), log10(high), log10(value)
        return (value - low) / (high - low)

    def positions(self) -> list[float]:
        """Where the edges lie."""
        return [self.place(edge) for edge in self.edges]


@dataclass(frozen=True)
class Signals:
    """The numeric signals in the order of the documents' columns, and how they were sampled.

    histograms  of signals that vary
    constants   the value of those that do not
    sampled     rows read
    documents   rows there are
    """

    histograms: Mapping[str, Histogram]
    constants: Mapping[str, float]
    sampled: int
    documents: int


def histograms(facts: Facts) -> Signals:
    """The numeric signals of documents kept by the last map stage, and of those that any map stage dropped."""
    curates = [stage for stage in facts.stages if stage.manifest.get("kind") == "curate"]
    if not curates:
        return Signals({}, {}, 0, 0)
    last: Json = curates[-1].manifest
    kept = sorted((entry["path"], entry["rows"]) for entry in last.get("documents") or [])
    dropped = sorted(
        (entry["path"], entry["rows"])
        for stage in curates
        for entry in stage.manifest["files"]
        if entry["path"].startswith("rejected/")
    )
    of_kept, of_dropped = sample(facts.directory, kept), sample(facts.directory, dropped)
    rules = _numeric_rules(facts)
    made: dict[str, Histogram] = {}
    constants: dict[str, float] = {}
    for name in dict.fromkeys([*of_kept.values, *of_dropped.values]):
        both = [some.values.get(name, np.empty(0)) for some in (of_kept, of_dropped)]
        values = np.concatenate(both)
        if len(values) and values.min() == values.max():
            constants[name] = float(values[0])
        elif len(values):
            made[name] = bin_values(both[0], both[1], rules.get(name, []), (of_kept.scale, of_dropped.scale))
    documents = sum(rows for _, rows in [*kept, *dropped])
    return Signals(made, constants, of_kept.rows + of_dropped.rows, documents)


@dataclass(frozen=True)
class Sample:
    """Finite values float64[n] of each numeric signal, rows read, and documents that each row stands for."""

    values: Mapping[str, Floats]
    rows: int
    scale: float


def sample(directory: str, files: Files) -> Sample:
    """Numeric signals of at most about SAMPLE_ROWS rows of `files` (path, rows)."""
    chosen = files[:: max(1, -(-len(files) // SAMPLE_FILES))]
    total, held = sum(rows for _, rows in files), sum(rows for _, rows in chosen)
    parts: dict[str, list[Floats]] = {}
    read = 0
    for path, rows in chosen:
        quota = rows if held <= SAMPLE_ROWS else -(-rows * SAMPLE_ROWS // held)
        with open_input(join(directory, path)) as file, pq.ParquetFile(file, pre_buffer=False) as parquet:
            names = [field.name for field in parquet.schema_arrow if is_numeric_signal(field)]
            for group in range(parquet.num_row_groups):
                if quota <= 0:
                    break
                table = parquet.read_row_group(group, columns=names, use_threads=False).slice(0, quota)
                length = min(quota, parquet.metadata.row_group(group).num_rows)
                quota, read = quota - length, read + length
                for name in names:
                    column = table.column(name).drop_null().cast(pa.float64()).to_numpy()
                    parts.setdefault(name, []).append(column[np.isfinite(column)])
    return Sample({name: np.concatenate(some) for name, some in parts.items()}, read, total / read if read else 0.0)


def is_numeric_signal(field: pa.Field) -> bool:
    """Whether a column is a signal that has a histogram."""
    kind = field.type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return bool(numeric) and "." in field.name and field.name not in DOCUMENT.names


def bin_values(kept: Floats, dropped: Floats, rules: Sequence[Rule], scales: tuple[float, float]) -> Histogram:
    """A histogram of both, which have at least two different values among them.

    The axis is logarithmic when the values are no fractions and the largest are more than 8 times the median.
    """
    values = np.sort(np.concatenate([kept, dropped]))
    beyond, last = int(TAIL * len(values)), len(values) - 1
    low, middle, high = (float(values[place]) for place in (beyond, last // 2, last - beyond))
    if low == high:
        low, high = float(values[0]), float(values[-1])
    whole = bool(np.all(values == np.floor(values)))
    for bound in (float(rule.bound) for rule in rules):  # type: ignore[arg-type]
        if low - (high - low) <= bound <= high + (high - low):
            low, high = min(low, bound), max(high, bound)
    logarithmic = low >= 0 and high > 20 and middle * 8 < high
    edges = _log_edges(low, high, whole) if logarithmic else _even_edges(low, high, whole)
    whole_steps = whole and not logarithmic and edges[1] - edges[0] == 1
    cuts = [(_cut(rule, whole_steps), wanted_bound(rule)) for rule in rules]
    near = tuple((at, wanted) for at, wanted in cuts if edges[0] <= at <= edges[-1])
    counts = [_counts(part, edges, scale) for part, scale in zip((kept, dropped), scales, strict=True)]
    return Histogram(edges, counts[0], counts[1], near, logarithmic, whole_steps)


def _cut(rule: Rule, whole_steps: bool) -> float:
    """Where a rule parts the axis: a bin of one whole number lies right of its edge."""
    return float(rule.bound) + (whole_steps and rule.comparison in ("<=", ">"))  # type: ignore[arg-type]


def _log_edges(low: float, high: float, whole: bool) -> tuple[float, ...]:
    low = max(low, 1.0)
    raw = [low * (high / low) ** (n / BINS) for n in range(BINS + 1)]
    rounded = [float(round(edge)) if whole else float(f"{edge:.4g}") for edge in raw]
    rounded[-1] = max(rounded[-1], rounded[0] + 1)
    return tuple(sorted(set(rounded)))


def _even_edges(low: float, high: float, whole: bool) -> tuple[float, ...]:
    if whole and high - low < BINS:
        return tuple(low + n for n in range(int(high - low) + 2))
    if whole:
        step = -(-(high - low) // BINS)
        return tuple(low + step * n for n in range(BINS + 1))
    return (*(low + (high - low) * n / BINS for n in range(BINS)), high)


def _counts(values: Floats, edges: tuple[float, ...], scale: float) -> tuple[float, ...]:
    at = np.searchsorted(np.array(edges), values, side="right") - 1
    bins = np.bincount(np.clip(at, 0, len(edges) - 2), minlength=len(edges) - 1)
    return tuple(float(n) * scale for n in bins)


def quarantined_records(facts: Facts) -> list[list[str]]:
    """Source, locator, reason and detail of the first QUARANTINED_SHOWN records, in the order of stages and files."""
    columns = ["source", "locator", "reason", "detail"]
    found: list[list[str]] = []
    for stage in facts.stages:
        paths = [entry["path"] for entry in stage.manifest.get("files", [])]
        for path in sorted(path for path in paths if path.startswith("quarantine/")):
            with open_input(join(facts.directory, path)) as file, pq.ParquetFile(file, pre_buffer=False) as parquet:
                for group in range(parquet.num_row_groups):
                    table = parquet.read_row_group(group, columns=columns).slice(0, QUARANTINED_SHOWN - len(found))
                    found += [[str(row[name]) for name in columns] for row in table.to_pylist()]
                    if len(found) == QUARANTINED_SHOWN:
                        return found
    return found


def _numeric_rules(facts: Facts) -> dict[str, list[Rule]]:
    """For each signal the rules that compare it with a number."""
    found: dict[str, list[Rule]] = {}
    for stage in facts.stages:
        for rule in (rule for step in stage.filters for rule in step.rules()):
            if isinstance(rule.bound, (int, float)) and not isinstance(rule.bound, bool):
                found.setdefault(rule.signal, []).append(rule)
    return found
