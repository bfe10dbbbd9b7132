"""Documents found by a token that ends or begins each: for files without an index of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numba import njit

from corpusmill.errors import ConfigError
from corpusmill.tokenize.imports.reading import Int64s, Ints, Read, Span, Wanted, cut_spans, mapped


def boundary_of(wanted: Wanted, path: Path) -> int:
    """The boundary token. Raises ConfigError where the tokenizer has none."""
    if wanted.boundary is None:
        raise ConfigError(
            f"{path}: the format has no index of documents, they are found by their end token, and this tokenizer "
            "has none; name it with --boundary-id"
        )
    return wanted.boundary


def offsets_by_token(tokens: Ints, boundary: int, at: str) -> Int64s:
    """int64[n + 1]: where documents begin, and the end of the last; none is empty and every token is in one.

    What lies behind the last end token, or before the first begin token, is a document of its own.
    """
    return _offsets(tokens, boundary, at == "start", _count(tokens, boundary))


def scanned_spans(path: Path, base: int, dtype: str, wanted: Wanted) -> Iterator[Span]:
    """The spans of a file whose tokens begin at byte `base`."""
    tokens = mapped(path, dtype, base)
    offsets = offsets_by_token(tokens, boundary_of(wanted, path), wanted.at)
    yield from cut_spans(path, offsets, scanned=True)


def read_scanned(span: Span, base: int, dtype: str, wanted: Wanted) -> Read:
    """The documents of such a span."""
    path = Path(span.path)
    tokens = mapped(path, dtype, base + span.begin * np.dtype(dtype).itemsize, span.tokens)
    return Read(tokens, np.diff(offsets_by_token(tokens, boundary_of(wanted, path), wanted.at)))


def unterminated(read: Read, wanted: Wanted) -> int:
    """Tokens of the document that has no boundary token: the last one, or the first where they begin documents."""
    if not len(read.lengths):
        return 0
    first, last = int(read.lengths[0]), int(read.lengths[-1])
    edge = read.tokens[0] if wanted.at == "start" else read.tokens[-1]
    return 0 if edge == wanted.boundary else first if wanted.at == "start" else last


@njit(cache=True, nogil=True)
def _count(tokens, boundary):  # type: ignore[no-untyped-def]
    n = 0
    for i in range(len(tokens)):
        n += tokens[i] == boundary
    return n


@njit(cache=True, nogil=True)
def _offsets(tokens, boundary, starts, count):  # type: ignore[no-untyped-def]
    out = np.zeros(count + 2, dtype=np.int64)
    n = 0
    for i in range(len(tokens)):
        if tokens[i] == boundary:
            at = i if starts else i + 1
            if at > 0:
                n += 1
                out[n] = at
    if out[n] < len(tokens):
        n += 1
        out[n] = len(tokens)
    return out[: n + 1]
