"""The language of each document, and how much of the document is in it, line by line."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from corpusmill.filters.distinct import each_distinct
from corpusmill.filters.models import fasttext_model
from corpusmill.filters.models.language_tags import UNDETERMINED, bcp47
from corpusmill.text import Texts
from corpusmill.unicode import LETTER, char_classes, decode


def find(
    model: fasttext_model.Model, texts: Texts, max_bytes: int, lower_case: bool
) -> tuple[pa.StringArray, npt.NDArray[np.float32]]:
    """The tag of each text's language and its probability, float32[n]: one call of the model for all of them.

    A text in whose sample there is no letter is `und` with probability 0.
    """
    sampled = fasttext_model.normal(texts, max_bytes, lower_case)
    labels, scores = model.top(sampled.to_list())
    known = _with_letter(sampled.data, sampled.offsets, char_classes())
    known &= pc.not_equal(labels, "").to_numpy(zero_copy_only=False)
    scores[~known] = 0
    return pc.if_else(pa.array(known), each_distinct(labels, bcp47, pa.string()), UNDETERMINED), scores


def share(
    model: fasttext_model.Model, texts: Texts, tags: pa.StringArray, max_bytes: int, lower_case: bool
) -> npt.NDArray[np.float64]:
    """float64[n]: of the bytes in lines whose language is known, those in lines of the document's language `tags`.

    0 for a document without such lines. Lines are those of `Texts.lines`; all of the batch go to the model at once.
    """
    lines = texts.lines
    start, stop = lines.start.astype(np.int64), lines.stop.astype(np.int64)
    found, _ = find(model, Texts.from_arrow(texts.cut(start, stop)), max_bytes, lower_case)
    owner = np.repeat(np.arange(len(texts)), lines.counts)
    sizes = (stop - start) * pc.not_equal(found, UNDETERMINED).to_numpy(zero_copy_only=False)
    same = sizes * pc.equal(found, tags.take(pa.array(owner))).to_numpy(zero_copy_only=False)
    whole, part = (np.bincount(owner, weights=side, minlength=len(texts)) for side in (sizes, same))
    shares: npt.NDArray[np.float64] = part / np.maximum(whole, 1)
    return shares


@njit(cache=True, nogil=True)
def _with_letter(data, offsets, classes):  # type: ignore[no-untyped-def]
    """bool[n]: which texts have a letter."""
    found = np.zeros(len(offsets) - 1, dtype=np.bool_)
    for d in range(len(found)):
        i = offsets[d]
        while i < offsets[d + 1] and not found[d]:
            code, size = decode(data, i, offsets[d + 1])
            found[d] = classes[code] & LETTER != 0
            i += size
    return found
