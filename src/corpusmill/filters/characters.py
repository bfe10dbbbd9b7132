"""datatrove's lists of punctuation as classes of characters, in one table for kernels."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from corpusmill.unicode import SENTENCE_TERMINAL, char_classes

END_MARK = np.uint8(1)
"""TERMINAL_PUNCTUATION of datatrove 0.10.1 (utils/text.py): Sentence_Terminal but for a few rare marks; not `…`."""
PUNCTUATION = np.uint8(2)
"""PUNCTUATION_SET there: END_MARK, ASCII punctuation, control characters but tab and line feed, and some more."""

_NO_END_MARKS = "\u2024\u2026\ufe12\ufe15\ufe16\u1b4e\u1b4f\u1b7f\u2cf9\u2cfa\u2cfb\u2e60\u2e61"
_NO_END_MARKS += "\U000113d4\U000113d5\U00016d6e\U00016d6f"
_END_MARKS = "\u17d6\u17d9\u17da"
_ASCII_PUNCTUATION = r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"""
_MORE_PUNCTUATION = (
    "«´»–—’“”„…∶━►、〈〉《》「」【】％（），１：；～"  # the full-width digit one too, as in CCNet's list
)
_CONTROLS = (*range(9), *range(11, 32), *range(127, 160))


@cache
def characters() -> npt.NDArray[np.uint8]:
    """uint8[0x110000]: the flags above for each code point."""
    table = np.where(char_classes() & SENTENCE_TERMINAL, END_MARK, np.uint8(0))
    table[_codes(_NO_END_MARKS)] = 0
    table[_codes(_END_MARKS)] = END_MARK
    table[table != 0] |= PUNCTUATION
    table[[*_CONTROLS, *_codes(_ASCII_PUNCTUATION + _MORE_PUNCTUATION)]] |= PUNCTUATION
    table.setflags(write=False)
    return table


def _codes(characters: str) -> list[int]:
    return [ord(character) for character in characters]
