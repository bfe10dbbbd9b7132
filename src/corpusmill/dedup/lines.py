"""Lines and paragraphs that occur elsewhere, as C4 and CCNet take them out.

C4 (Raffel et al. 2020, section 2.2; `remove_duplicate_text` in c4_utils.py): one copy of each line stays, lines are
compared stripped and in lower case. CCNet (Wenzek et al. 2020, section 3.2; cc_net/dedup.py): a line that two documents
share goes from both; compared in lower case, digits as 0, without the punctuation of a list (which has no ASCII) and
control characters. Both call a line of the web page a paragraph or a line; here a paragraph is what blank lines part.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import regex
from numba import njit

from corpusmill.dedup.copies import Keep
from corpusmill.dedup.exact import digest, put
from corpusmill.errors import ConfigError
from corpusmill.scan import skip_space, trim_space
from corpusmill.steps import PieceBarrier, Pieces, register
from corpusmill.text import Spans, Texts
from corpusmill.unicode import decode

Normalize = Literal["none", "lower", "ccnet"]

CCNET_PUNCTUATION = "，。、„”“«»」「《》´∶：？！（）；–—．～’…━〈〉【】％►"
"""What CCNet takes out before it compares; its list has U+FF11 too, which is a digit and has become 0 by then."""

_GONE = np.uint32(0xFFFFFFFF)
_CODE_POINTS = 0x110000


@dataclass(frozen=True)
class _Compared(PieceBarrier):
    """Pieces made of whole lines, and how they are compared."""

    normalize: Normalize = "lower"
    keep: Keep = "first"

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown normal form or policy."""
        for name, allowed in (("normalize", get_args(Normalize)), ("keep", get_args(Keep))):
            value = getattr(self, name)
            if value not in allowed:
                raise ConfigError(f"{self.use}: {name} = {value!r}; allowed: {', '.join(map(repr, allowed))}")

    @abstractmethod
    def spans(self, texts: Texts) -> Spans:
        """The pieces as found in the texts."""

    def pieces(self, texts: Texts) -> Pieces:
        """The pieces with the hashes of their normal forms."""
        spans = self.spans(texts)
        return Pieces(spans.start, spans.first, digest(normal_lines(texts, spans, self.normalize)))


@register("lines", version=1)
@dataclass(frozen=True)
class Lines(_Compared):
    """Take lines out that occur elsewhere in the corpus or before in their document.

    Lines are compared without white space at their ends: in lower case, in CCNet's normal form, or byte by byte
    (`normalize = "none"`). `keep = "first"` and the default is C4; `normalize = "ccnet"` with `keep = "none"` is
    CCNet. A document of which nothing is left is removed. Which copy is the first follows the names of sources and
    files, where C4 takes the one whose URL has the smallest md5; CCNet compares within 50 of 1600 parts of a crawl at
    a time, this over all of it.
    """

    def spans(self, texts: Texts) -> Spans:
        """Lines that are not blank."""
        return texts.lines


@register("paragraphs", version=1)
@dataclass(frozen=True)
class Paragraphs(_Compared):
    """Take paragraphs out that occur elsewhere in the corpus or before in their document.

    A paragraph is a run of lines with no blank line between them; `normalize` and `keep` as for `lines`.
    """

    def spans(self, texts: Texts) -> Spans:
        """Paragraphs."""
        return texts.paragraphs


def normal_lines(texts: Texts, spans: Spans, normalize: Normalize) -> Texts:
    """The pieces as they are compared, each a text of its own."""
    size = int((spans.stop - spans.start).sum(dtype=np.int64))
    # Lower case may be longer: U+023A and U+023E have two bytes, what they fold to has three.
    out = np.empty(size + size // 2 + 8, dtype=np.uint8)
    offsets = np.zeros(len(spans.start) + 1, dtype=np.int64)
    table = _table(normalize)
    _normalize(texts.data, spans.start, spans.stop, table, *_ascii(normalize), out, offsets)
    return Texts(out[: offsets[-1]], offsets)


@cache
def _table(normalize: Normalize) -> npt.NDArray[np.uint32]:
    """uint32[0x110000]: what each code point becomes, _GONE where it is left out."""
    table = np.arange(_CODE_POINTS, dtype=np.uint32)
    if normalize == "none":
        return table
    every = "".join(map(chr, range(_CODE_POINTS)))
    for found in regex.finditer(r"\p{Changes_When_Lowercased}", every):
        # [0]: U+0130 is the one code point whose full lower case is longer than the simple one.
        table[found.start()] = ord(found[0].lower()[0])
    if normalize == "ccnet":
        for found in regex.finditer(r"\p{Nd}", every):
            table[found.start()] = ord("0")
        table[[*range(32), *range(127, 160), *map(ord, CCNET_PUNCTUATION)]] = _GONE
    return table


@cache
def _ascii(normalize: Normalize) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The first 128 of the table as bytes, and how many bytes each becomes: 0 or 1."""
    first = _table(normalize)[:128]
    return np.where(first == _GONE, 0, first).astype(np.uint8), (first != _GONE).astype(np.int64)


@njit(cache=True, nogil=True)
def _normalize(data, start, stop, table, ascii_, widths, out, offsets):  # type: ignore[no-untyped-def]
    w = 0
    for j in range(len(start)):
        i, end = np.int64(start[j]), np.int64(stop[j])
        while i < end:
            c = data[i]
            if c == 0x0A:  # inside a paragraph: its lines are compared stripped, like itself
                w = trim_space(out, offsets[j], w)
                out[w] = 0x0A
                w += 1
                i = skip_space(data, i, end)
                continue
            if c < 0x80:
                out[w] = ascii_[c]
                w += widths[c]
                i += 1
                continue
            code, k = decode(data, i, end)
            i += k
            code = table[code]
            if code == _GONE:
                continue
            if code < 0x80:
                out[w] = code
                w += 1
            else:
                w = put(out, w, code)
        offsets[j + 1] = w
