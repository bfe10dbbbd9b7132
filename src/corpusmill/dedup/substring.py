"""Runs of text that occur elsewhere, as a suffix array finds them, found without one.

Lee et al. 2022 (arXiv 2107.06499, section 4.1) take runs of 50 BPE tokens or more out: the array is over all tokens of
the corpus, so is the memory. Here each text gives anchors (`anchors.py`), a fiftieth of its bytes by number; the texts
around equal anchors are compared (`windows.py`) and what is found becomes cuts (`spans.py`).

With `size` bytes in a window, text without long repetitions has about 4 / size anchors for each byte, 28 bytes each:
0.56 bytes for each byte of text at the default of 200.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from corpusmill.dedup.anchors import MOST_BYTES, Anchors, Records, anchors, extract
from corpusmill.dedup.copies import Keep
from corpusmill.dedup.spans import Cuts, Numbers, Snap, SpanBarrier, cuts_of_spans
from corpusmill.dedup.windows import group_spans
from corpusmill.errors import ConfigError
from corpusmill.scan import Bytes
from corpusmill.steps import register
from corpusmill.text import Texts

LEAST_BYTES = 16


@register("substring", version=1)
@dataclass(frozen=True)
class Substring(SpanBarrier):
    """Take every run of `min_bytes` bytes or more out that occurs elsewhere in the corpus or before in its document.

    A window is `min_bytes` bytes of one text. Every window of the corpus that equals another byte for byte is found.
    `keep = "first"`: the first copy of each in the order of source names, locators and positions stays; all bytes of
    other copies go, but for those that are in the first copy of some window too, so one copy of everything stays whole
    even where copies overlap. `keep = "none"`: a window that two documents share goes from both, every copy of it.

    No character is cut in two: a cut that ends inside one stops before it. With `snap` only whole lines or sentences
    go, those of which every byte but white space at their ends would. A document of which nothing but white space is
    left is removed.

    The default of 200 bytes is about the 50 tokens of Lee et al., at four bytes for a token of English; in their code
    the threshold is 100 bytes of two-byte tokens.
    """

    min_bytes: int = 200
    keep: Keep = "first"
    snap: Snap = "none"

    def __post_init__(self) -> None:
        """Raise ConfigError for a length out of range, an unknown policy or an unknown snap."""
        if not LEAST_BYTES <= self.min_bytes <= MOST_BYTES:
            raise ConfigError(f"substring: min_bytes = {self.min_bytes!r}; allowed: {LEAST_BYTES} to {MOST_BYTES}")
        for name, allowed in (("keep", get_args(Keep)), ("snap", get_args(Snap))):
            value = getattr(self, name)
            if value not in allowed:
                raise ConfigError(f"substring: {name} = {value!r}; allowed: {', '.join(map(repr, allowed))}")
        if self.against is not None or self.save is not None:
            raise ConfigError("substring: `against` and `save` are not for it: its index would be the text itself")

    def anchors(self, texts: Texts) -> Anchors:
        """The anchors of a batch."""
        return anchors(texts, self.min_bytes)

    def extract(self, texts: Texts, records: Records) -> tuple[Bytes, Numbers]:
        """The bytes of all windows of some anchors."""
        return extract(texts, records, self.min_bytes)

    def spans(self, records: Records, data: Bytes, at: Numbers) -> Records:
        """The spans of the windows that occur twice or more."""
        return group_spans(records, data, at, self.min_bytes, shared=self.keep == "none")

    def cuts(self, texts: Texts, spans: Records) -> Cuts:
        """The cuts of a batch."""
        return cuts_of_spans(texts, spans, self.snap)
