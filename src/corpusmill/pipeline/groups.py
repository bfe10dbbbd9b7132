"""What barriers share: keys go into groups by their first bits, and each group fits one worker's memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill import manifest
from corpusmill.pipeline.directory import RunDirectory

KEYS_PER_GROUP = 1 << 21
"""Keys in a group on average: 64 MiB of them in one worker's memory."""


def groups_for(keys: int) -> int:
    """How many groups, a power of two, so many keys are cut into."""
    return 1 << max(0, -(-keys // KEYS_PER_GROUP) - 1).bit_length()


def by_prefix(keys: npt.NDArray[Any], groups: int) -> Iterator[tuple[int, bytes]]:
    """Records with a field `high`, cut by its first bits: (group, bytes of its records)."""
    if groups == 1:
        yield 0, keys.tobytes()
        return
    group = keys["high"] >> np.uint64(64 - groups.bit_length() + 1)
    order = np.argsort(group, kind="stable")
    keys, group = keys[order], group[order]
    cuts = np.searchsorted(group, np.arange(groups + 1, dtype=np.uint64))
    for number in np.flatnonzero(np.diff(cuts)):
        yield int(number), keys[cuts[number] : cuts[number + 1]].tobytes()


def mark_done(directory: RunDirectory, stage: str, unit: str) -> None:
    """Leave a mark for the progress bar; no result depends on it."""
    manifest.commit(directory.unit_record(stage, unit), {"files": []})
