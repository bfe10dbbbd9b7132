"""Near-duplicates by SimHash: 64-bit fingerprints that differ in few bits where texts differ little.

Charikar 2002, "Similarity estimation techniques from rounding algorithms", section 3: each shingle's 64-bit hash votes
for every bit, once for each time the shingle occurs; a bit is set where more votes are for it than against. The chance
that two texts differ in a bit is the angle between their vectors of shingle counts, over pi. Manku, Jain, Das Sarma
2007, "Detecting near-duplicates for web crawling": 64 bits and a distance of 3 suit 8 billion web pages.

Words and shingles are those of `minhash` (`shingles.py`): a document shorter than a shingle has one, of all its words;
a document without any word has no key.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from math import comb

import numpy as np
import numpy.typing as npt
from numba import njit

from corpusmill.dedup.shingles import BLOCK, next_shingles, shingle_table, without_shingles
from corpusmill.dedup.survivors import check_keep
from corpusmill.errors import ConfigError
from corpusmill.scan import finish_hash
from corpusmill.steps import Sketches, VerifiedBarrier, register
from corpusmill.text import Texts

BITS = 64
MOST_KEYS = 4096

_LANE = np.uint64(0xD6E8FEB86659FD93)  # any odd number with well-mixed bits: parts the two 64-bit lanes of a key
_MOST_IN_PLANES = 15  # votes that four planes can count


@register("simhash", version=1)
@dataclass(frozen=True)
class SimHash(VerifiedBarrier):
    """Link documents whose fingerprints differ in `max_distance` bits at most; each cluster keeps one.

    `max_distance` is Manku, Jain, Das Sarma's (section 1). `shingle_words` is measured, on 1,532 pages of Debian's
    installation guides for two machines in many languages (Jaccard similarity over 5 words): share of pairs found that
    are at least 0.95 alike, 0.9 to 0.95, and links between pages less than half alike. Data-Juicer and ROOTS have 6,
    with a distance of 4.

        shingle_words        1     2     3     5     6
        0.95 to 1         1.00  0.92  0.84  0.68  0.67
        0.9 to 0.95       0.92  0.66  0.27  0.26  0.16
        strangers linked    48     2     0     0     0

    Fingerprints are cut into max_distance + agreeing_blocks blocks. Of two within the distance, max_distance blocks at
    most differ, so `agreeing_blocks` agree: every choice of that many is a key, and no pair is missed. More of them
    mean longer keys that fewer strangers share, and more keys: comb(max_distance + agreeing_blocks, agreeing_blocks) of
    about 64 * agreeing_blocks / (max_distance + agreeing_blocks) bits. With a distance of 3, n documents give

        agreeing_blocks     1     2     3     4     5
        keys                4    10    20    35    56
        bits of a key      16    26    32    37    40
        strangers a key   n/2^16 n/2^26 n/2^32 n/2^37 n/2^40

    The default is the 20 tables of their section 3.1; below 10 million documents 2 will do. Raises ConfigError for a
    value out of range, and for more than 4096 keys.
    """

    max_distance: int = 3
    shingle_words: int = 3
    agreeing_blocks: int = 3
    keep: str = "first"

    def __post_init__(self) -> None:
        """Check every field."""
        limits = {"max_distance": (0, BITS - 1), "shingle_words": (1, 1024), "agreeing_blocks": (1, BITS)}
        for name, (least, most) in limits.items():
            got = getattr(self, name)
            if not isinstance(got, int) or isinstance(got, bool) or not least <= got <= most:
                raise ConfigError(f"simhash: {name} = {got!r}; allowed: a whole number from {least} to {most}")
        blocks = self.max_distance + self.agreeing_blocks
        if blocks > BITS or comb(blocks, self.agreeing_blocks) > MOST_KEYS:
            raise ConfigError(
                f"simhash: agreeing_blocks = {self.agreeing_blocks} of {blocks} blocks with max_distance = "
                f"{self.max_distance}; wanted {BITS} blocks and {MOST_KEYS} ways to choose at most: make it smaller"
            )
        check_keep("simhash", self.keep)

    def fingerprints(self, texts: Texts) -> npt.NDArray[np.uint64]:
        """uint64[n]: the fingerprints; 0 for a document without words."""
        out = np.zeros(len(texts), dtype=np.uint64)
        _fingerprint(texts.data, texts.offsets, shingle_table(chars=False), self.shingle_words, out)
        return out

    def keys(self, texts: Texts) -> npt.NDArray[np.uint64]:
        """uint64[n, k, 2]: for each choice of blocks a 128-bit hash of the choice and of their bits."""
        masks = block_masks(self.max_distance, self.agreeing_blocks)
        out = np.empty((len(texts), len(masks), 2), dtype=np.uint64)
        _block_keys(self.fingerprints(texts), masks, out)
        return out

    def keys_per_document(self) -> int:
        """k: how many choices there are."""
        return comb(self.max_distance + self.agreeing_blocks, self.agreeing_blocks)

    def keyless(self, texts: Texts) -> npt.NDArray[np.bool_]:
        """bool[n]: documents without any word."""
        return without_shingles(texts, chars=False)

    def least_similarity(self) -> float:
        """1 - max_distance / 64, which binary fractions hold exactly."""
        return 1.0 - self.max_distance / BITS

    def sketches(self, texts: Texts) -> Sketches:
        """The fingerprints, each as two uint32, the lower half first."""
        halves = self.fingerprints(texts).astype("<u8").view("<u4").astype(np.uint32, copy=False)
        return Sketches(halves, np.arange(0, 2 * len(texts) + 1, 2))

    def similarity(
        self, sketches: Sketches, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """float64[k]: 1 - distance / 64, exactly."""
        a, b = sketches.first[left], sketches.first[right]
        distance = np.zeros(len(left), dtype=np.int64)
        for half in (0, 1):
            distance += np.bitwise_count(sketches.values[a + half] ^ sketches.values[b + half])
        similar: npt.NDArray[np.float64] = 1.0 - distance / BITS
        return similar


@cache
def block_masks(max_distance: int, agreeing_blocks: int) -> npt.NDArray[np.uint64]:
    """uint64[k]: the bits of each choice of `agreeing_blocks` blocks, which are as even as can be."""
    blocks = max_distance + agreeing_blocks
    edges = [BITS * b // blocks for b in range(blocks + 1)]
    parts = [(1 << high) - (1 << low) for low, high in pairwise(edges)]
    masks = np.array([sum(chosen) for chosen in combinations(parts, agreeing_blocks)], dtype=np.uint64)
    masks.flags.writeable = False
    return masks


@njit(cache=True, nogil=True)
def _fingerprint(data, offsets, table, size, out):  # type: ignore[no-untyped-def]
    units = np.empty(BLOCK + size, dtype=np.uint64)
    shingles = np.empty(BLOCK + size, dtype=np.uint32)
    votes = np.empty(BITS, dtype=np.int64)
    for d in range(len(offsets) - 1):
        votes[:] = 0
        i, end = offsets[d], offsets[d + 1]
        kept, cast, m = 0, 0, 1
        while m:
            i, kept, m = next_shingles(data, i, end, table, False, size, units, kept, shingles)
            _vote(shingles, m, votes)
            cast += m
        for b in range(BITS):
            out[d] |= np.uint64(2 * votes[b] > cast) << np.uint64(b)


@njit(cache=True, nogil=True)
def _vote(shingles, count, votes):  # type: ignore[no-untyped-def]
    """Count, for each bit, those of the shingles whose 64-bit hash has it.

    Votes are first added 64 at a time in four planes, the binary digits of 64 small counters.
    """
    for begin in range(0, count, _MOST_IN_PLANES):
        ones = twos = fours = eights = np.uint64(0)
        for s in range(begin, min(begin + _MOST_IN_PLANES, count)):
            vote = finish_hash(np.uint64(shingles[s]))
            carry = ones & vote
            ones ^= vote
            vote, carry = carry, twos & carry
            twos ^= vote
            vote, carry = carry, fours & carry
            fours ^= vote
            eights ^= carry
        for b in range(BITS):
            n, one = np.uint64(b), np.uint64(1)
            low = ((ones >> n) & one) + (((twos >> n) & one) << np.uint64(1))
            high = (((fours >> n) & one) << np.uint64(2)) + (((eights >> n) & one) << np.uint64(3))
            votes[b] += np.int64(low + high)


@njit(cache=True, nogil=True)
def _block_keys(fingerprints, masks, out):  # type: ignore[no-untyped-def]
    for d in range(len(fingerprints)):
        for k in range(len(masks)):
            bits = fingerprints[d] & masks[k]
            choice = finish_hash(masks[k])
            out[d, k, 0] = finish_hash(bits ^ choice)
            out[d, k, 1] = finish_hash(bits * _LANE + choice)
