"""Runs of tokens that repeat: the same group of 1 to 13 tokens again and again.

After dolma 1.2.1, taggers/repetitions, tagger tokenizer_repetitions_v2r2.
"""

from __future__ import annotations

import json
import threading
from functools import lru_cache
from typing import Any

import awkward
import gigatoken
import numpy as np
import numpy.typing as npt
from numba import njit
from tokenizers import Tokenizer

from corpusmill.errors import ConfigError, NotCommitted
from corpusmill.storage import read_bytes
from corpusmill.text import Offsets, Texts

SOURCE = (
    "Wanted a tokenizer.json; Dolma's is allenai/eleuther-ai-gpt-neox-20b-pii-special on the Hugging Face hub, and "
    "EleutherAI/gpt-neox-20b has the same words"
)
PERIODS = 13
CHUNK_CHARS = 100_000
"""Longer texts are cut into pieces of so many code points, each encoded by itself."""
REFRESH_BYTES = 64 << 20
"""gigatoken remembers every word it meets: a new one after so much text."""
_TOKENS_PER_RUN = 64
"""Room for runs is made for one in so many tokens, so that a second look at them is seldom needed."""

Int64s = npt.NDArray[np.int64]


def token_repetitions(texts: Texts, path: str, sure: int) -> tuple[Int64s, Int64s, Int64s]:
    """int64[n] each: the largest number of repetitions in a text, 0 for none; the bytes where they start and stop.

    Counted on the ids of the fast tokenizer; texts with `sure` or more are counted again on those of the reference,
    with positions in characters, as the original has it. Only these have places, -1 elsewhere.
    """
    counter = load(path)
    chunks, first = _cut(texts)
    ids, offsets = counter.encode(chunks)
    here = np.arange(len(ids), dtype=np.int64)
    of_chunks = _best(ids, offsets, here, here + 1)[0]
    times = _most(of_chunks, first)
    start, stop = np.full(len(texts), -1, dtype=np.int64), np.full(len(texts), -1, dtype=np.int64)
    for d in np.flatnonzero(times >= sure):
        mine = np.arange(first[d], first[d + 1])
        order = mine[np.argsort(-of_chunks[mine], kind="stable")]
        times[d], start[d], stop[d] = counter.recount(chunks, order, of_chunks)
    return times, start, stop


class Counter:
    """A tokenizer.json, run by gigatoken where it can, and by the reference."""

    def __init__(self, path: str) -> None:
        """Raise ConfigError for a file that is missing or no tokenizer."""
        try:
            config = json.loads(read_bytes(path))
            self._json = json.dumps({**config, "truncation": None, "padding": None})
            self._reference = Tokenizer.from_str(self._json)
        except (OSError, NotCommitted) as error:
            raise ConfigError(f"dolma: tokenizer {path}: can't be read ({error}). {SOURCE}") from None
        except Exception as error:  # the library raises nothing narrower
            raise ConfigError(f"dolma: tokenizer {path}: not a tokenizer.json ({error})") from None
        self._fast: Any = None
        self._read = 0
        self._runs = True
        self._lock = threading.Lock()

    def encode(self, texts: Texts) -> tuple[npt.NDArray[np.uint32], Offsets]:
        """Flat ids, and where each text's begin."""
        with self._lock:
            if self._runs:
                try:
                    return self._encode_fast(texts)
                except (RuntimeError, ValueError, TypeError, KeyError):
                    self._runs = False  # a tokenizer gigatoken doesn't know
        encodings = self._reference.encode_batch_fast(texts.to_list(), add_special_tokens=False)
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum([len(encoding) for encoding in encodings], out=offsets[1:])
        ids = [np.array(encoding.ids, dtype=np.uint32) for encoding in encodings]
        return np.concatenate([*ids, np.empty(0, dtype=np.uint32)]), offsets

    def _encode_fast(self, texts: Texts) -> tuple[npt.NDArray[np.uint32], Offsets]:
        self._read += int(texts.offsets[-1] - texts.offsets[0])
        if self._fast is None or self._read > REFRESH_BYTES:
            self._fast = gigatoken.Tokenizer.from_json(self._json)
            self._read = 0
        characters = awkward.contents.NumpyArray(texts.data, parameters={"__array__": "char"})
        offsets = awkward.index.Index64(texts.offsets)
        strings = awkward.contents.ListOffsetArray(offsets, characters, parameters={"__array__": "string"})
        layout = self._fast.encode_batch(awkward.Array(strings), parallel=False).layout
        return np.asarray(layout.content.data), np.asarray(layout.offsets.data)

    def recount(self, chunks: Texts, order: Int64s, expected: Int64s) -> tuple[int, int, int]:
        """Repetitions in the chunks of one text, and the bytes where the largest number of them lies.

        `order` has the chunks with most `expected` first; those with no more than was found already are left out.
        """
        times, place = 0, (-1, -1)
        for chunk in order.tolist():
            if expected[chunk] <= times:
                break
            begin, end = int(chunks.offsets[chunk]), int(chunks.offsets[chunk + 1])
            text = chunks.data[begin:end].tobytes().decode("utf-8", "replace")
            encoding = self._reference.encode(text, add_special_tokens=False)
            ids = np.array(encoding.ids, dtype=np.uint32)
            spans = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
            offsets = np.array([0, len(ids)], dtype=np.int64)
            found = _best(ids, offsets, np.ascontiguousarray(spans[:, 0]), np.ascontiguousarray(spans[:, 1]))
            if found[0][0] > times:
                times = int(found[0][0])
                a, b = (len(text[: int(side[0])].encode()) for side in found[1:])
                place = begin + a, begin + b
        return times, *place


@lru_cache(maxsize=4)
def load(path: str) -> Counter:
    """The tokenizer at `path`, once in a process."""
    return Counter(path)


def _cut(texts: Texts) -> tuple[Texts, Int64s]:
    """Chunks of the texts, and int64[n + 1], the first of each text."""
    chunks = texts.chars // CHUNK_CHARS + 1
    first = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(chunks, out=first[1:])
    offsets = np.empty(first[-1] + 1, dtype=np.int64)
    _fill_chunks(texts.data, texts.offsets, first, CHUNK_CHARS, offsets)
    return Texts(texts.data, offsets), first


def _best(ids: npt.NDArray[np.uint32], offsets: Offsets, begin: Int64s, end: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Of each chunk: the largest number of repetitions, and its positions as `begin` and `end` give them for tokens."""
    runs = np.empty((len(ids) // _TOKENS_PER_RUN, 4), dtype=np.int64)
    m = _find_runs(ids, offsets, runs)
    if m > len(runs):
        runs = np.empty((m, 4), dtype=np.int64)
        _find_runs(ids, offsets, runs)
    runs = runs[:m]
    chunk, start, stop, times = runs[:, 0], begin[runs[:, 1]], end[runs[:, 2] - 1], runs[:, 3]
    order = np.lexsort((-times, -stop, start, chunk))
    return _keep_largest(chunk[order], start[order], stop[order], times[order], len(offsets) - 1)


@njit(cache=True, nogil=True)
def _fill_chunks(data, offsets, first, most, new_offsets):  # type: ignore[no-untyped-def]
    for d in range(len(offsets) - 1):
        i = offsets[d]
        for chunk in range(first[d], first[d + 1]):
            new_offsets[chunk] = i
            chars = 0
            while i < offsets[d + 1]:
                chars += data[i] & 0xC0 != 0x80
                if chars > most:
                    break
                i += 1
    new_offsets[first[-1]] = offsets[-1]


@njit(cache=True, nogil=True)
def _find_runs(ids, offsets, runs):  # type: ignore[no-untyped-def]
    """How many runs of at least three repetitions there are; as many as fit into `runs`: chunk, start, stop, times.

    The original lays the tokens out in rows of one period, and finds a run only if one of its rows is the same as the
    row before.
    """
    m = 0
    for chunk in range(len(offsets) - 1):
        a, b = offsets[chunk], offsets[chunk + 1]
        for period in range(1, min(PERIODS, (b - a) // 3) + 1):
            i = a + period
            while i < b:
                if ids[i] != ids[i - period]:
                    i += 1
                    continue
                s = i
                while i < b and ids[i] == ids[i - period]:
                    i += 1
                row = a + (s - a + period - 1) // period * period
                times = (i - s + period) // period
                if row + period <= i and times > 2:
                    if m < len(runs):
                        runs[m, 0], runs[m, 1], runs[m, 2], runs[m, 3] = chunk, s - period, i, times
                    m += 1
    return m


@njit(cache=True, nogil=True)
def _keep_largest(chunk, start, stop, times, n):  # type: ignore[no-untyped-def]
    """The runs are ordered by chunk and start; one inside the last that was kept does not count."""
    most, a, b = np.zeros(n, dtype=np.int64), np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    last = -1
    for k in range(len(chunk)):
        if last >= 0 and chunk[k] == chunk[last] and start[k] >= start[last] and stop[k] <= stop[last]:
            continue
        last = k
        if times[k] > most[chunk[k]]:
            most[chunk[k]], a[chunk[k]], b[chunk[k]] = times[k], start[k], stop[k]
    return most, a, b


@njit(cache=True, nogil=True)
def _most(times, first):  # type: ignore[no-untyped-def]
    most = np.zeros(len(first) - 1, dtype=np.int64)
    for d in range(len(most)):
        for chunk in range(first[d], first[d + 1]):
            most[d] = max(most[d], times[chunk])
    return most
