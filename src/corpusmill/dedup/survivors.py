"""Which document of a cluster stays: survivor policies, and the ranks that they give documents.

    first                    the first by source name and locator
    longest                  the one with most bytes of text
    newest                   the one with the latest date; no date is worst
    best:<signal>            the one with the largest value of a signal; null and NaN are worst
    source:<name>,<name>,…   the one of the source that is named earliest; sources not named are all worst

Ties go to the first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.errors import ConfigError

UInt64 = npt.NDArray[np.uint64]

_WORST = np.uint64(0xFFFFFFFFFFFFFFFF)
_SIGN = np.uint64(1 << 63)
_COLUMNS = {"first": [], "longest": ["text"], "newest": ["date"]}


def check_keep(use: str, keep: object) -> None:
    """Raise ConfigError, in the name of step `use`, unless `keep` is a survivor policy."""
    policy = keep if isinstance(keep, str) else ""
    kind, _, what = policy.partition(":")
    if kind == "source" and what.strip():
        names = named_sources(policy)
        twice = next((name for name in names if names.count(name) > 1), None)
        if "" in names or twice:
            wrong = f"source {twice!r} is named twice" if twice else "a source name is empty"
            raise ConfigError(f'{use}: keep = {keep!r}: {wrong}; wanted for instance "source:wikipedia,books"')
    elif policy not in _COLUMNS and (kind != "best" or not what.strip()):
        raise ConfigError(
            f'{use}: keep = {keep!r} is no survivor policy; choose "first", "longest", "newest", "best:<signal>" '
            '(for instance "best:language.score") or "source:<name>,<name>" (for instance "source:wikipedia,books")'
        )


def columns_of(keep: str, *others: str) -> list[str]:
    """The columns of a batch that `rank_of` needs, each once, behind the `others`."""
    kind, _, what = keep.partition(":")
    needed = _COLUMNS.get(kind, ["source"] if kind == "source" else [what])
    return list(dict.fromkeys([*others, *needed]))


def named_sources(keep: str) -> tuple[str, ...]:
    """The sources that a policy names, best first; none for a policy without any."""
    kind, _, what = keep.partition(":")
    return tuple(name.strip() for name in what.split(",")) if kind == "source" else ()


def rank_of(keep: str, batch: pa.RecordBatch) -> UInt64:
    """uint64[n]: the rank of each document under a survivor policy, smaller is better.

    `first`    0 for all, so that the ordinal decides
    `longest`  2**63 - bytes of `text`
    `newest`   by `date`, whole seconds; null has the largest rank
    `best:`    by the column, compared as float64; null and NaN have the largest rank
    `source:`  by `source`: its place in the list, from 0; sources not named and null have the largest rank

    Raises ConfigError for an unknown policy, and when the signal is not a column or not a number.
    """
    check_keep("rank_of", keep)
    kind, _, what = keep.partition(":")
    if kind == "first":
        return np.zeros(len(batch), dtype=np.uint64)
    if kind == "longest":
        lengths = pc.binary_length(batch.column("text")).to_numpy(zero_copy_only=False)
        return _SIGN - lengths.astype(np.uint64)
    if kind == "newest":
        return _rank_of_dates(batch.column("date"))
    if kind == "source":
        return _rank_of_sources(named_sources(keep), batch.column("source"))
    return _rank_of_signal(what, batch)


def _rank_of_dates(dates: pa.Array) -> UInt64:
    seconds = dates.cast(pa.timestamp("s")).cast(pa.int64())
    known = np.asarray(seconds.is_valid())
    rising = seconds.fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64) ^ _SIGN
    return np.where(known, ~rising, _WORST)


def _rank_of_sources(names: tuple[str, ...], sources: pa.Array) -> UInt64:
    places = pc.index_in(sources.cast(pa.string()), pa.array(names, pa.string())).fill_null(-1)
    return places.to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)  # -1 is the largest


def _rank_of_signal(signal: str, batch: pa.RecordBatch) -> UInt64:
    if signal not in batch.schema.names:
        raise ConfigError(
            f'keep = "best:{signal}": there is no signal {signal!r} before this step; '
            f"columns: {', '.join(batch.schema.names)}. Measure it in an earlier step"
        )
    column = batch.column(signal)
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise ConfigError(f'keep = "best:{signal}": the signal must be a number, its type is {kind}')
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    values = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
    bits = (values + 0.0).view(np.uint64)  # -0.0 + 0.0 is 0.0: the two zeros rank alike
    # IEEE 754 bits rise with the value once the sign bit of positives is set and negatives are inverted.
    rising = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return np.where(np.isnan(values), _WORST, ~rising)
