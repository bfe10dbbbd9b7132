"""One document for each URL: the newest, as C4 has it (Raffel et al. 2020; the code's third version)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpusmill import urls
from corpusmill.dedup.exact import digest
from corpusmill.dedup.survivors import check_keep
from corpusmill.steps import DocumentBarrier, register
from corpusmill.text import Texts


@register("same_url", version=1)
@dataclass(frozen=True)
class SameUrl(DocumentBarrier):
    """Link documents with the same URL; each cluster keeps one, by default the newest.

    `form` is the normal form in which URLs are compared, see `urls.normalise`: "default", "c4", "dolma", or "none" for
    URLs as they are. A document without a URL takes no part.
    """

    form: urls.Form = "default"
    keep: str = "newest"

    reads: ClassVar[str] = "url"

    def __post_init__(self) -> None:
        """Raises ConfigError for an unknown form or survivor policy."""
        urls.normalise(pa.array([], pa.string()), self.form)
        check_keep("same_url", self.keep)

    def keys(self, texts: Texts) -> npt.NDArray[np.uint64]:
        """uint64[n, 1, 2]: the hash of each URL's normal form."""
        normal = urls.normalise(texts.to_arrow(), self.form)
        return digest(Texts.from_arrow(normal)).reshape(len(texts), 1, 2)

    def keyless(self, texts: Texts) -> npt.NDArray[np.bool_]:
        """bool[n]: documents without a URL, or with an empty one."""
        return texts.bytes == 0
