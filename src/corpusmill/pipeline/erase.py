"""Take documents out of an index: their keys, ids and sketches are written no more; their rows stay, empty."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from corpusmill.document import ID_BYTES
from corpusmill.pipeline.groups import Part
from corpusmill.pipeline.sketchbook import Sketchbook, write_sketches
from corpusmill.pipeline.spill import read_spill, write_spill


def erase(part: Part, rows: npt.NDArray[np.int64], folder: Path, key: np.dtype[Any]) -> Part:
    """Write a part anew without some rows, below `folder`; gives the new part. `key` is the type of its keys."""
    folder.mkdir(parents=True)
    keys = read_spill(part.keys, key, "high")
    write_spill(str(folder), "keys", keys[~np.isin(keys["document"], rows.astype(np.uint64))], "high")
    ids = np.fromfile(part.ids, np.uint8).reshape(-1, ID_BYTES)
    ids[rows] = 0
    (folder / "ids").write_bytes(ids.tobytes())
    new = replace(part, keys=str(folder / "keys"), ids=str(folder / "ids"))
    if part.sketches:
        book = Sketchbook([part.sketches], np.array([0, part.rows], np.uint64), np.uint32)
        left = np.setdiff1d(book.documents(0), rows.astype(np.uint64))
        write_sketches(str(folder), "sketches", left, [book.gather(left)], np.uint32)
        new = replace(new, sketches=str(folder / "sketches"))
    return new
