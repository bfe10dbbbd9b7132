"""Spans of sentences that occur elsewhere, as the paper on C4 takes them out.

Raffel et al. 2020, section 2.2: of three sentences in a row that occur more than once, one occurrence stays. The code
of C4's first version (tensorflow_datasets/text/c4_utils.py in 2019, `_remove_sentences_from_text`) looks for spans in
each line and takes a line with fewer sentences as one span; datatrove (0.10.1, `dedup/sentence_dedup.py`) looks for
them in the whole text and leaves one with fewer sentences alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.dedup.copies import Keep
from corpusmill.dedup.exact import (
    begin_digest,
    collapse,
    digest_span,
    end_digest,
    folded_words,
    join_words,
    lower_bytes,
    take,
)
from corpusmill.dedup.line_forms import LOWER, codes_of, line_digest
from corpusmill.dedup.lines import find_lines
from corpusmill.errors import ConfigError
from corpusmill.folding import case_classes
from corpusmill.scan import trim_space
from corpusmill.segment import borrow
from corpusmill.segment_sentences import sentence_starts
from corpusmill.steps import PieceBarrier, Pieces, register
from corpusmill.text import Texts

Normalize = Literal["none", "lower", "words"]

_NONE, _LOWER = range(2)  # the first of Normalize

MOST_SENTENCES = 100
"""The longest span: each sentence is read once for each span it is in."""


@register("sentences", version=1)
@dataclass(frozen=True)
class Sentences(PieceBarrier):
    """Take spans of sentences out that occur elsewhere in the corpus or before in their document.

    A span is `span` sentences in a row, and spans overlap. All spans but the first with the same sentences go, with
    every sentence in them, also with one that is in the first of another span as well. So a sentence that is repeated
    over and over is left once; and wherever a sentence goes from, an equal one stays in the corpus.

    A text with fewer sentences than a span is one span: it goes when an earlier text was short and had the same
    sentences. With `across_lines = false`, as in C4's code, spans end with their line, and a line with fewer sentences
    is one span.

    Sentences are compared in lower case with every run of white space as one space (`lower`: C4, but for the white
    space), by their words as in `exact` (`words`: near to datatrove, which also makes numbers 0 and drops accents), or
    byte by byte (`none`). `segment_sentences.py` says what a sentence is. With `keep = "none"` a span that two
    documents share goes from both. A document of which nothing is left is removed; C4 drops what has fewer than 3
    sentences left, datatrove also what has fewer than 50 words: a `length` step behind this one does. Raises
    ConfigError for an option out of range.
    """

    span: int = 3
    normalize: Normalize = "lower"
    across_lines: bool = True
    keep: Keep = "first"

    def __post_init__(self) -> None:
        """Check every field."""
        if not 1 <= self.span <= MOST_SENTENCES:
            raise ConfigError(f"sentences: span = {self.span!r}; allowed: a whole number from 1 to {MOST_SENTENCES}")
        for name, allowed in (("normalize", get_args(Normalize)), ("keep", get_args(Keep))):
            value = getattr(self, name)
            if value not in allowed:
                raise ConfigError(f"sentences: {name} = {value!r}; allowed: {', '.join(map(repr, allowed))}")

    def pieces(self, texts: Texts) -> Pieces:
        """The sentences; the key of each is that of the span that begins with it."""
        if self.across_lines:
            start, first = sentence_starts(texts)
            ends = first
        else:
            lines = find_lines(texts)
            # A line with the white space behind it, up to the next line, is a text of its own.
            offsets = np.append(lines.start, texts.offsets[-1]).astype(np.int64)
            start, ends = sentence_starts(Texts(texts.data, offsets))
            first = ends[lines.first]
        stop = np.empty(len(start), dtype=np.int32)
        _stops(texts.data, start, texts.offsets[-1], stop)
        return Pieces(start, stop, first, _covers(ends, self.span))

    def keys(self, texts: Texts, pieces: Pieces) -> npt.NDArray[np.uint64]:
        """uint64[m, 2]: the hashes of the spans' sentences in their normal form."""
        form = get_args(Normalize).index(self.normalize)
        tables = (codes_of(LOWER), case_classes(), folded_words())
        longest = int((pieces.stop - pieces.start).max(initial=0))
        scratch = (np.empty(lower_bytes(longest), dtype=np.uint8), np.empty(lower_bytes(longest), dtype=np.uint8))
        each, out = (np.zeros((len(pieces.start), 2), dtype=np.uint64) for _ in range(2))
        _digest_each(texts.data, pieces.start, pieces.stop, form, *tables, *scratch, each)
        _digest_spans(each, pieces.covers, out)
        return out


def _covers(first: npt.NDArray[np.int64], span: int) -> npt.NDArray[np.int32]:
    """int32[m]: how many sentences the span has that begins with each, first[u] to first[u + 1] being a unit's."""
    counts = np.diff(first)
    behind = np.repeat(first[1:], counts) - np.arange(first[-1])  # itself and those behind it in the unit
    begins = np.repeat(counts, counts) == behind
    covers: npt.NDArray[np.int32] = np.where(behind >= span, span, np.where(begins, behind, 0)).astype(np.int32)
    return covers


@njit(cache=True, nogil=True)
def _stops(data, start, end, stop):  # type: ignore[no-untyped-def]
    """Where each sentence ends; the last text ends at `end`, and before others there may be but white space."""
    for j in range(len(start)):
        following = np.int64(start[j + 1]) if j + 1 < len(start) else end
        stop[j] = trim_space(data, np.int64(start[j]), following)


@njit(cache=True, nogil=True)
def _digest_each(data, start, stop, form, codes, classes, words, scratch, room, out):  # type: ignore[no-untyped-def]
    data, codes, classes, words = borrow(data), borrow(codes), borrow(classes), borrow(words)
    scratch, room = borrow(scratch), borrow(room)
    for j in range(len(start)):
        i, end = np.int64(start[j]), np.int64(stop[j])
        if form == _NONE:
            out[j, 0], out[j, 1] = digest_span(data, i, end)
        elif form == _LOWER:
            n = collapse(data, i, end, scratch, 0)
            out[j, 0], out[j, 1] = line_digest(scratch, 0, n, LOWER, codes, classes, room)
        else:
            out[j, 0], out[j, 1] = digest_span(scratch, 0, join_words(data, i, end, words, scratch, 0))


@njit(cache=True, nogil=True)
def _digest_spans(each, covers, out):  # type: ignore[no-untyped-def]
    for j in range(len(covers)):
        a, b = begin_digest(np.int64(covers[j]))
        for k in range(j, j + covers[j]):
            a, b = take(a, b, each[k, 0])
            a, b = take(a, b, each[k, 1])
        out[j, 0], out[j, 1] = end_digest(a, b)
