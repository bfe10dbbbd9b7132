"""Near-duplicates by MinHash and banding, and by the true Jaccard similarity of the pairs that banding finds.

What is compared are shingles, runs of words or of characters: `shingles.py` says what those are, `signatures.py` how
they are signed. A document shorter than one shingle has one, of all it has, so that short documents are duplicates of
their own copies and of nothing else. A document without any word (or, for shingles of characters, of nothing but white
space) has no key and takes no part.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from corpusmill.dedup.shingles import jaccard, sketch, without_shingles
from corpusmill.dedup.signatures import SCHEME, band_keys, sign
from corpusmill.dedup.survivors import check_keep
from corpusmill.errors import ConfigError
from corpusmill.steps import Sketches, VerifiedBarrier, register
from corpusmill.text import Texts

if TYPE_CHECKING:
    import datasketch

_MOST = 4096  # bands, rows, permutations
_DEFAULT_PERMUTATIONS = 112

_MISSES, _NEEDLESS = 0.75, 0.25
"""What a missed pair weighs against one that is found in vain, when bands are chosen and pairs are verified: a pair
found in vain costs a comparison, one missed is lost. With three to one, a `min_jaccard` of 0.75 and 112 permutations
give FineWeb's 14 bands of 8 rows. Without verification both weigh the same, which is datasketch's default."""


class Curve(NamedTuple):
    """The S-curve of a banding: (Jaccard similarity, probability that a pair is found), and where half are found."""

    points: tuple[tuple[float, float], ...]
    half: float


@register("minhash", version=2)
@dataclass(frozen=True)
class MinHash(VerifiedBarrier):
    """Link documents that share a band and, with `verify`, have a Jaccard similarity of at least `min_jaccard` over
    their shingles; each cluster keeps one. Two documents of similarity s share a band with probability
    `detection_probability(s, bands, rows)`.

    Shingles are of `shingle_words` words or, when `shingle_chars` is set, of so many characters. `bands` and `rows` are
    given together, or chosen: those of at most `permutations` values that serve `min_jaccard` best. The defaults give
    FineWeb's 14 bands of 8 rows, shingles of 5 words (arXiv 2406.17557, section 3.4), which links without verification.
    `seed` is datasketch's own default. Raises ConfigError for a value out of range and for options that contradict each
    other.
    """

    bands: int | None = None
    rows: int | None = None
    permutations: int = _DEFAULT_PERMUTATIONS
    min_jaccard: float = 0.75
    verify: bool = True
    shingle_words: int = 5
    shingle_chars: int | None = None
    seed: int = 1
    keep: str = "first"

    def __post_init__(self) -> None:
        """Check every field."""
        limits = {"bands": (1, _MOST), "rows": (1, _MOST), "permutations": (1, _MOST), "shingle_words": (1, 1024)}
        limits |= {"shingle_chars": (1, 1024), "seed": (0, 2**32 - 1)}
        for name, (least, most) in limits.items():
            got = getattr(self, name)
            if got is None and name in ("bands", "rows", "shingle_chars"):
                continue
            if not isinstance(got, int) or isinstance(got, bool) or not least <= got <= most:
                raise ConfigError(f"minhash: {name} = {got!r}; allowed: a whole number from {least} to {most}")
        got = self.min_jaccard
        if not isinstance(got, int | float) or isinstance(got, bool) or not 0 < got <= 1:
            raise ConfigError(f"minhash: min_jaccard = {got!r}; allowed: a number above 0, up to 1")
        if not isinstance(self.verify, bool):
            raise ConfigError(f"minhash: verify = {self.verify!r}; allowed: true, false")
        self._check_banding()
        check_keep("minhash", self.keep)

    def _check_banding(self) -> None:
        if (self.bands is None) != (self.rows is None):
            given, other = ("bands", "rows") if self.rows is None else ("rows", "bands")
            raise ConfigError(
                f"minhash: {given} = {getattr(self, given)} but no {other}: give both, or leave both out to have the "
                f"best of at most {self.permutations} permutations chosen for min_jaccard = {self.min_jaccard}"
            )
        if self.bands is None or self.rows is None or self.permutations == _DEFAULT_PERMUTATIONS:
            return
        if self.bands * self.rows != self.permutations:
            raise ConfigError(
                f"minhash: permutations = {self.permutations}, but {self.bands} bands of {self.rows} rows need "
                f"{self.bands * self.rows}: leave permutations out, or bands and rows"
            )

    @property
    def banding(self) -> tuple[int, int]:
        """(bands, rows), as given or chosen."""
        if self.bands is not None and self.rows is not None:
            return self.bands, self.rows
        weights = (_MISSES, _NEEDLESS) if self.verify else (0.5, 0.5)
        return best_banding(self.min_jaccard, self.permutations, *weights)

    def curve(self) -> Curve:
        """How likely a pair is found, for Jaccard similarities of 0.3 to 1 in steps of 0.05.

        With `verify`, pairs found below `min_jaccard` are not linked.
        """
        bands, rows = self.banding
        points = tuple((n / 100, detection_probability(n / 100, bands, rows)) for n in range(30, 101, 5))
        return Curve(points, float((1 - 0.5 ** (1 / bands)) ** (1 / rows)))

    def signatures(self, texts: Texts) -> npt.NDArray[np.uint32]:
        """uint32[n, bands * rows]: the signatures; all 0xFFFFFFFF for a document without shingles."""
        bands, rows = self.banding
        return sign(texts, *self._shingles, bands * rows, self.seed)

    def keys(self, texts: Texts) -> npt.NDArray[np.uint64]:
        """uint64[n, bands, 2]: for each band a 128-bit hash of its number and its rows."""
        return band_keys(self.signatures(texts), self.banding[0])

    def keys_per_document(self) -> int:
        """The number of bands."""
        return self.banding[0]

    def keyless(self, texts: Texts) -> npt.NDArray[np.bool_]:
        """bool[n]: documents without any word or, for shingles of characters, of nothing but white space."""
        return without_shingles(texts, self.shingle_chars is not None)

    def least_similarity(self) -> float | None:
        """`min_jaccard` with `verify`, else None."""
        return self.min_jaccard if self.verify else None

    def sketches(self, texts: Texts) -> Sketches:
        """The distinct 32-bit hashes of each document's shingles, in order of first occurrence."""
        return sketch(texts, *self._shingles)

    def similarity(
        self, sketches: Sketches, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """float64[k]: the Jaccard similarity of documents left[i] and right[i]; 1 when neither has a shingle.

        Fastest when equal `left` follow each other.
        """
        return jaccard(sketches, left, right)

    def datasketches(self, texts: Texts) -> list[datasketch.MinHash]:
        """The signatures as datasketch's own objects, for its indexes and for signatures stored by others.

        To compare with objects of yours, feed them the same 32-bit shingle hashes: those of `sketches`.
        """
        import datasketch  # half a second, for scipy, that no worker should pay

        return [
            datasketch.MinHash(seed=self.seed, hashvalues=signature, scheme=SCHEME)
            for signature in self.signatures(texts)
        ]

    @property
    def _shingles(self) -> tuple[bool, int]:
        """Whether shingles are of characters, and how many words or characters are in one."""
        return (False, self.shingle_words) if self.shingle_chars is None else (True, self.shingle_chars)


def detection_probability(jaccard: float, bands: int, rows: int) -> float:
    """Probability that two documents of this Jaccard similarity share a band: 1 - (1 - s^rows)^bands.

    Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, section 3.4.2.
    """
    return float(1.0 - (1.0 - jaccard**rows) ** bands)


@cache
def best_banding(min_jaccard: float, permutations: int, misses: float, needless: float) -> tuple[int, int]:
    """(bands, rows), bands * rows <= permutations, with the least weighted sum of two integrals over similarities s.

    `needless` weighs the integral of the detection probability from 0 to `min_jaccard`, `misses` that of its complement
    from `min_jaccard` to 1, as in datasketch's `lsh._optimal_param`. Of equals the fewest bands, then the fewest rows.
    The integrands are polynomials of degree bands * rows, so that 128 nodes of Gauss and Legendre are exact up to 255
    permutations; up to 4096 they are within 1e-8.
    """
    nodes, weights = np.polynomial.legendre.leggauss(128)
    below, above = (nodes + 1) / 2 * min_jaccard, 1 - (nodes + 1) / 2 * (1 - min_jaccard)
    rows = np.arange(1, permutations + 1)
    powers_below, powers_above = below[:, None] ** rows, above[:, None] ** rows
    found = (np.inf, 0, 0)
    for bands in range(1, permutations + 1):
        most = permutations // bands
        found_in_vain = weights @ (1 - (1 - powers_below[:, :most]) ** bands) * min_jaccard / 2
        missed = weights @ (1 - powers_above[:, :most]) ** bands * (1 - min_jaccard) / 2
        errors = needless * found_in_vain + misses * missed
        best = int(np.argmin(errors))
        found = min(found, (float(errors[best]), bands, best + 1))
    return found[1:]
