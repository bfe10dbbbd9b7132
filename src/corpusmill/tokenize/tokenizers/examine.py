"""What a tokenizer makes of texts: how many tokens, and whether they come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corpusmill.text import Offsets, Texts
from corpusmill.tokenize.tokenizers.encode import Encoder

EXACT, NORMALIZED, LOST = range(3)
"""A text comes back as it was; in the form that the tokenizer's own normalisation gives it; or neither."""


@dataclass(frozen=True)
class Examined:
    """Figures of n texts, int64[n] each.

    bytes    of UTF-8
    words    in any script, without punctuation
    tokens   without those around documents
    unknown  tokens that stand for text the vocabulary has no piece for
    fate     EXACT, NORMALIZED or LOST
    """

    bytes: Offsets
    words: Offsets
    tokens: Offsets
    unknown: Offsets
    fate: Offsets

    def summed(self, chosen: npt.NDArray[np.bool_]) -> dict[str, float]:
        """Totals of the texts bool[n] names; `fertility` is tokens per word, both ratios 0 where there is nothing."""
        size, words, tokens, unknown = (
            int(values[chosen].sum()) for values in (self.bytes, self.words, self.tokens, self.unknown)
        )
        return {
            "texts": int(chosen.sum()),
            "bytes": size,
            "tokens": tokens,
            "fertility": tokens / words if words else 0.0,
            "bytes_per_token": size / tokens if tokens else 0.0,
            "unknown": unknown / tokens if tokens else 0.0,
        }


def examine(encoder: Encoder, strings: Sequence[str]) -> Examined:
    """Encode and decode each text."""
    texts = Texts.from_strings(strings)
    tokens, offsets = encoder.encode(texts)
    unknown = np.zeros(len(tokens) + 1, dtype=np.int64)
    np.cumsum(encoder.is_unknown(tokens), out=unknown[1:])
    fate = [
        _fate(encoder, text, encoder.decode(tokens[offsets[d] : offsets[d + 1]]))
        for d, text in enumerate(texts.to_list())
    ]
    return Examined(
        texts.bytes,
        texts.script_words.counts,
        np.diff(offsets) - (encoder.policy.bos + encoder.policy.eos),
        unknown[offsets[1:]] - unknown[offsets[:-1]],
        np.array(fate, dtype=np.int64),
    )


def _fate(encoder: Encoder, text: str, back: str) -> int:
    if back == text:
        return EXACT
    return NORMALIZED if encoder.normalized(back) == encoder.normalized(text) else LOST


def joined(parts: Sequence[Examined]) -> Examined:
    """Figures of several lists of texts as those of one."""
    names = ("bytes", "words", "tokens", "unknown", "fate")
    empty = np.empty(0, dtype=np.int64)
    return Examined(*(np.concatenate([empty, *(getattr(part, name) for part in parts)]) for name in names))
