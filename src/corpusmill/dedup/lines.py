"""Lines and paragraphs that occur elsewhere, as C4 and CCNet take them out.

C4 (Raffel et al. 2020, section 2.2; `remove_duplicate_text` in c4_utils.py): one copy of each line stays, lines are
compared stripped and in lower case. CCNet (Wenzek et al. 2020, section 3.2; cc_net/dedup.py): a line that two documents
share goes from both; compared in lower case, digits as 0, without the punctuation of a list (which has no ASCII) and
control characters. Both call a line of the web page a paragraph or a line; here a paragraph is what blank lines part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.dedup.copies import Keep
from corpusmill.dedup.line_forms import Normalize, line_keys
from corpusmill.errors import ConfigError
from corpusmill.scan import find_newline, skip_space, trim_space
from corpusmill.steps import PieceBarrier, Pieces, register
from corpusmill.text import Texts


@dataclass(frozen=True)
class _Compared(PieceBarrier):
    """Pieces made of whole lines, and how they are compared."""

    normalize: Normalize = "lower"
    keep: Keep = "first"

    JOINED: ClassVar[bool]
    """Whether lines with no blank line between them are one piece."""

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown normal form or policy."""
        for name, allowed in (("normalize", get_args(Normalize)), ("keep", get_args(Keep))):
            value = getattr(self, name)
            if value not in allowed:
                raise ConfigError(f"{self.use}: {name} = {value!r}; allowed: {', '.join(map(repr, allowed))}")

    def pieces(self, texts: Texts) -> Pieces:
        """The lines that are not blank, or the paragraphs, without white space at both ends."""
        return find_lines(texts, joined=self.JOINED)

    def keys(self, texts: Texts, pieces: Pieces) -> npt.NDArray[np.uint64]:
        """uint64[m, 2]: the hashes of their normal forms."""
        return line_keys(texts, pieces.start, pieces.stop, self.normalize)


@register("lines", version=2)
@dataclass(frozen=True)
class Lines(_Compared):
    """Take lines out that occur elsewhere in the corpus or before in their document.

    Lines are compared without white space at their ends: in lower case, in CCNet's normal form, or byte by byte
    (`normalize = "none"`). `keep = "first"` and the default is C4; `normalize = "ccnet"` with `keep = "none"` is
    CCNet. A document of which nothing is left is removed. Which copy is the first follows the names of sources and
    files, where C4 takes the one whose URL has the smallest md5; CCNet compares within 50 of 1600 parts of a crawl at
    a time, this over all of it.
    """

    JOINED = False


@register("paragraphs", version=2)
@dataclass(frozen=True)
class Paragraphs(_Compared):
    """Take paragraphs out that occur elsewhere in the corpus or before in their document.

    A paragraph is a run of lines with no blank line between them; `normalize` and `keep` as for `lines`.
    """

    JOINED = True


def find_lines(texts: Texts, *, joined: bool = False) -> Pieces:
    """Lines that are not blank, without white space at both ends; `joined`, runs of them with no blank line between."""
    most = int(texts.offsets[-1] - texts.offsets[0]) // 2 + len(texts)
    start, stop = (np.empty(most, dtype=np.int32) for _ in range(2))
    first = np.zeros(len(texts) + 1, dtype=np.int64)
    m = _find(texts.data, texts.offsets, joined, start, stop, first)
    return Pieces(start[:m].copy(), stop[:m].copy(), first, np.ones(m, dtype=np.int32))


@njit(cache=True, nogil=True)
def _find(data, offsets, joined, start, stop, first):  # type: ignore[no-untyped-def]
    m = 0
    for d in range(len(offsets) - 1):
        end = offsets[d + 1]
        i = skip_space(data, offsets[d], end)
        while i < end:
            start[m] = i
            line_feed = find_newline(data, i, end)
            following = skip_space(data, line_feed, end)
            while joined and following < end and find_newline(data, line_feed + 1, following) == following:
                line_feed = find_newline(data, following, end)
                following = skip_space(data, line_feed, end)
            stop[m] = trim_space(data, i, line_feed)
            m += 1
            i = following
        first[d + 1] = m
    return m
