"""Deduplication of a list of texts by somebody else's code, for `dedup_rivals.py`: the number of documents to go.

Signatures alone give 0. Packages are imported when asked for: not all are in one environment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha1
from pathlib import Path
from typing import Any

Texts = list[str]
Rival = Callable[[Path], Callable[[Any], int]]
"""A folder to work in → the work."""

PERMUTATIONS, BANDS, ROWS, SHINGLE_WORDS, SEED = 112, 14, 8, 5, 1


def shingles(text: str) -> list[str]:
    """Of white-space words in lower case: the cheapest there are in Python. Rensa and datasketch leave that to us."""
    words = text.lower().split()
    if len(words) < SHINGLE_WORDS:
        return [" ".join(words)] if words else []
    return list(map(" ".join, zip(*(words[k:] for k in range(SHINGLE_WORDS)), strict=False)))


def encoded_shingles(texts: Texts) -> Iterator[list[bytes]]:
    return ([shingle.encode() for shingle in shingles(text)] for text in texts)


class Union:
    """Disjoint sets in plain Python, by the smallest member."""

    def __init__(self, size: int) -> None:
        self.parent = list(range(size))
        self.joined = 0

    def find(self, x: int) -> int:
        parent = self.parent
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x

    def join(self, x: int, y: int) -> None:
        x, y = sorted((self.find(x), self.find(y)))
        if x != y:
            self.parent[y] = x
            self.joined += 1


def datatrove_signatures(folder: Path) -> Callable[[Texts], int]:
    from datatrove.pipeline.dedup.minhash import MinhashDedupSignature

    step = MinhashDedupSignature(str(folder / "signatures"))

    def work(texts: Texts) -> int:
        for found in map(step.get_shingles, texts):
            if found.size:
                step.get_signature(found)
        return 0

    return work


def rensa_matrix(texts: Texts) -> Any:
    from rensa import RMinHash

    return RMinHash.digest_matrix_from_token_sets(map(shingles, texts), PERMUTATIONS, SEED)


def rensa_signatures(_: Path) -> Callable[[Texts], int]:
    def work(texts: Texts) -> int:
        rensa_matrix(texts)
        return 0

    return work


def datasketch_sketches(texts: Texts) -> Iterator[Any]:
    from datasketch import MinHash

    return MinHash.generator(encoded_shingles(texts), num_perm=PERMUTATIONS, seed=SEED)  # type: ignore[no-any-return]


def datasketch_signatures(_: Path) -> Callable[[Texts], int]:
    def work(texts: Texts) -> int:
        for _ in datasketch_sketches(texts):
            pass
        return 0

    return work


def rensa_and_python(_: Path) -> Callable[[Texts], int]:
    """Its signatures; bands in dictionaries, components by union-find."""
    import numpy as np

    def work(texts: Texts) -> int:
        rows = np.array(rensa_matrix(texts).to_rows(), dtype=np.uint32)
        sets = Union(len(texts))
        for band in range(BANDS):
            part = np.ascontiguousarray(rows[:, band * ROWS : (band + 1) * ROWS])
            first: dict[bytes, int] = {}
            for n, key in enumerate(part.view(f"V{4 * ROWS}").ravel().tolist()):
                sets.join(first.setdefault(key, n), n)
        return sets.joined

    return work


def rensa_lsh(_: Path) -> Callable[[Texts], int]:
    """Its own index: flags every document that shares a band, also the one that would stay, and has no components."""
    from rensa import RMinHashLSH

    def work(texts: Texts) -> int:
        index = RMinHashLSH((1 / BANDS) ** (1 / ROWS), PERMUTATIONS, BANDS)
        return sum(index.insert_matrix_and_query_duplicate_flags(rensa_matrix(texts)))

    return work


def datasketch_lsh(_: Path) -> Callable[[Texts], int]:
    from datasketch import MinHashLSH

    def work(texts: Texts) -> int:
        index = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, ROWS))
        sets = Union(len(texts))
        for n, sketch in enumerate(datasketch_sketches(texts)):
            for other in index.query(sketch):
                sets.join(other, n)
            index.insert(n, sketch, check_duplication=False)
        return sets.joined

    return work


def set_of_texts(_: Path) -> Callable[[Texts], int]:
    return lambda texts: len(texts) - len({sha1(text.encode(), usedforsecurity=False).digest() for text in texts})


def set_of_lines(_: Path) -> Callable[[Texts], int]:
    """C4's lines, stripped and in lower case, by cc_net's hashes: the first 8 bytes of sha1."""

    def work(texts: Texts) -> int:
        seen: set[bytes] = set()
        lines = 0
        for text in texts:
            for line in filter(None, map(str.strip, text.lower().split("\n"))):
                seen.add(sha1(line.encode(), usedforsecurity=False).digest()[:8])
                lines += 1
        return lines - len(seen)

    return work


def simhash_values(_: Path) -> Callable[[Texts], int]:
    from simhash import Simhash

    # 2.1.2 multiplies bytes by a greater weight than numpy 2 lets bytes have; below the cutoff it repeats them.
    Simhash.large_weight_cutoff = 1 << 30

    def work(texts: Texts) -> int:
        for text in texts:
            Simhash(text)
        return 0

    return work
