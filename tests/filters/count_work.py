"""Counts the work of filters: run with NUMBA_DISABLE_JIT=1 and a JSON file of cases; prints JSON.

Without the compiler every kernel is plain Python, and every line of ours that runs is seen. What numba compiles by hand
is replaced here; bytes are widened, since numba's integers do not wrap around at 255 as numpy's do.
"""

from __future__ import annotations

import json
import sys
import warnings
from types import FrameType
from typing import Any

import numba.extending
import numpy as np
import pyarrow as pa

warnings.simplefilter("ignore")
np.seterr(all="ignore")


def _memcpy(out: Any, w: int, data: Any, i: int, n: int) -> None:
    out[w : w + n] = data[i : i + n]


INTRINSICS = {
    "_memcpy": _memcpy,
    "load64": lambda data, i: np.uint64(int.from_bytes(bytes(data[i : i + 8].astype(np.uint8)), "little")),
    "trailing_zeros": lambda x: (int(x) & -int(x)).bit_length() - 1 if x else 64,
    "borrow": lambda array: array,
}
numba.extending.intrinsic = lambda function: INTRINSICS[function.__name__]

from corpusmill.text import Texts  # noqa: E402

_from_arrow = Texts.from_arrow


def _widened(array: pa.Array) -> Texts:
    texts = _from_arrow(array)
    return Texts(texts.data.astype(np.int64), texts.offsets)


def _narrowed(texts: Texts) -> pa.LargeStringArray:
    data = pa.py_buffer(texts.data.astype(np.uint8))
    return pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(texts.offsets), data)


Texts.from_arrow = staticmethod(_widened)  # type: ignore[method-assign]
Texts.to_arrow = _narrowed  # type: ignore[method-assign, assignment]

import corpusmill.filters  # noqa: E402, F401
from corpusmill.options import build  # noqa: E402
from corpusmill.steps import REGISTER, Filter  # noqa: E402

LINES_PER_BYTE = 5000
"""More than any filter needs for a byte: a kernel that runs away ends here, and the count with an error."""


class TooMuch(Exception):
    """A filter that does not come to its end."""


def document(step: Filter, text: str, batch_of: Any) -> tuple[Texts, pa.RecordBatch]:
    """One text, which is its own address too."""
    texts = Texts.from_strings([text])
    batch = batch_of(step, texts, [text])
    return texts, batch.set_column(batch.schema.get_field_index("url"), "url", pa.array([text], pa.string()))


def work(step: Filter, text: str, batch_of: Any) -> int:
    """Lines of our code that run while the step measures one text. Raises TooMuch."""
    texts, batch = document(step, text, batch_of)
    lines = 0
    most = LINES_PER_BYTE * (len(text.encode()) + 100)

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if "corpusmill" not in frame.f_code.co_filename:
            return None
        lines += event == "line"
        if lines > most:
            raise TooMuch(f"{step.use}: more than {most:,} lines for {len(text)} characters {text[:20]!r}…")
        return trace

    sys.settrace(trace)
    try:
        step.measure(texts, batch)
    finally:
        sys.settrace(None)
    return lines


def main() -> None:
    """Every case of the file on every shape, in rising sizes until the work has grown by less than `most`."""
    with open(sys.argv[1], encoding="utf-8") as file:
        asked = json.load(file)
    from test_every_filter import batch_of

    found: dict[str, dict[str, list[int]]] = {}
    for name, use, options in asked["cases"]:
        step = build(REGISTER[use], options)
        if not isinstance(step, Filter):
            continue
        step.measure(*document(step, "".join(asked["shapes"].values()), batch_of))  # loads tables and models
        found[name] = {}
        for shape, piece in asked["shapes"].items():
            counts: list[int] = []
            for size in asked["sizes"]:
                counts.append(work(step, piece * (size // len(piece)), batch_of))
                if len(counts) > 1 and counts[-1] < asked["most"] * counts[-2]:
                    break
            found[name][shape] = counts
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
