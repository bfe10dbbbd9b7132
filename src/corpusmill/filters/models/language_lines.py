"""How much of a document is in the language that the whole is in, line by line."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import regex

from corpusmill.filters.models import fasttext_model
from corpusmill.filters.models.language_tags import UNDETERMINED, bcp47
from corpusmill.text import Texts

_LETTER = regex.compile(r"\p{L}")


def find(
    model: fasttext_model.Model, texts: Texts, max_bytes: int, lower_case: bool
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.float32]]:
    """The tag of each text's language and its probability, float32[n]: one call of the model for all of them.

    A text in whose sample there is no letter is `und` with probability 0.
    """
    lines = fasttext_model.lines(texts, max_bytes, lower_case)
    labels, scores = model.top(lines)
    tags = np.array([bcp47(label) for label in labels], dtype=np.object_)
    unknown = np.array([not tag or _LETTER.search(line) is None for tag, line in zip(tags, lines, strict=True)], bool)
    tags[unknown], scores[unknown] = UNDETERMINED, 0
    return tags, scores


def share(
    model: fasttext_model.Model, texts: Texts, tags: npt.NDArray[np.object_], max_bytes: int, lower_case: bool
) -> npt.NDArray[np.float64]:
    """float64[n]: of the bytes in lines whose language is known, those in lines of the document's language `tags`.

    0 for a document without such lines. Lines are those of `Texts.lines`; all of the batch go to the model at once.
    """
    lines = texts.lines
    start, stop = lines.start.astype(np.int64), lines.stop.astype(np.int64)
    found, _ = find(model, Texts.from_arrow(texts.cut(start, stop)), max_bytes, lower_case)
    owner = np.repeat(np.arange(len(texts)), lines.counts)
    sizes = (stop - start) * (found != UNDETERMINED)
    same = sizes * (found == tags[owner])
    whole, part = (np.bincount(owner, weights=side, minlength=len(texts)) for side in (sizes, same))
    shares: npt.NDArray[np.float64] = part / np.maximum(whole, 1)
    return shares
