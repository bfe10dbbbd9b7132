"""Checksums of files by blocks, and the Merkle tree over them whose root is the id of a dataset.

All hashes are BLAKE3 with 32 bytes of output in its key derivation mode, each use under a context string of its own,
so that no block, node, file or dataset can be taken for another kind (the second-preimage trick on Merkle trees).

    block    hash[BLOCK](the bytes from n MiB on, one MiB of them or what is left)
    node     hash[NODE](left, right); a level of odd length hands its last digest up as it is
    file     hash[FILE](root of its blocks, length of the file as uint64 little-endian, its path in UTF-8)
    dataset  the root over the files' digests, in the order of the index

The root of nothing at all, an empty file or no files, is hash[NODE] of no bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from corpusmill.storage import Sink

BLOCK_BYTES = 1 << 20
DIGEST_BYTES = 32

_BLOCK = blake3(derive_key_context="corpusmill shards 2026: block")
_NODE = blake3(derive_key_context="corpusmill shards 2026: node")
_FILE = blake3(derive_key_context="corpusmill shards 2026: file")


def _digest(context: Any, *parts: bytes | memoryview) -> bytes:
    state = context.copy()
    for part in parts:
        state.update(part)
    digest: bytes = state.digest()
    return digest


def block_digests(data: Any) -> Iterator[bytes]:
    """The digest of each block of a buffer."""
    view = memoryview(data).cast("B")
    for first in range(0, len(view), BLOCK_BYTES):
        yield _digest(_BLOCK, view[first : first + BLOCK_BYTES])


def merkle_root(digests: Sequence[bytes]) -> bytes:
    """The root over digests, 32 bytes."""
    level = list(digests)
    if not level:
        return _digest(_NODE)
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [_digest(_NODE, level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)] + odd
    return level[0]


def file_digest(path: str, size: int, digests: Sequence[bytes]) -> bytes:
    """The digest of a file of `size` bytes that has these blocks; `path` as the index names it."""
    return _digest(_FILE, merkle_root(digests), size.to_bytes(8, "little"), path.encode())


class BlockSink(Sink):
    """A binary file to write to that takes the digest of each block as it passes.

    positions  where in the file each buffer that was written in one piece begins, by its address in memory
    """

    def __init__(self, sink: IO[bytes] | Any) -> None:
        self._sink = sink
        self._state = _BLOCK.copy()
        self._digests: list[bytes] = []
        self.positions: dict[int, int] = {}

    def write(self, data: Any) -> int:
        """Write bytes or any contiguous buffer."""
        view = memoryview(data).cast("B")
        if len(view):
            self.positions[address(view)] = self.bytes
        self._sink.write(view)
        for at in _cuts(self.bytes, len(view)):
            self._state.update(view[at])
            self.bytes += at.stop - at.start
            if self.bytes % BLOCK_BYTES == 0:
                self._digests.append(self._state.digest())
                self._state = _BLOCK.copy()
        return len(view)

    def digests(self) -> list[bytes]:
        """The digest of each block written so far, the last as far as it goes."""
        return [*self._digests, *([self._state.digest()] if self.bytes % BLOCK_BYTES else [])]


def address(data: Any) -> int:
    """Where a buffer lies in memory."""
    return int(np.frombuffer(data, np.uint8).ctypes.data)


def _cuts(position: int, size: int) -> Iterator[slice]:
    """A buffer of `size` bytes that is written at `position`, cut where blocks end."""
    first = 0
    while first < size:
        stop = min(size, first + BLOCK_BYTES - (position + first) % BLOCK_BYTES)
        yield slice(first, stop)
        first = stop


def wrong_blocks(data: Any, digests: npt.NDArray[np.uint8]) -> list[int]:
    """Numbers of the blocks of a buffer that do not have their digest; `digests` uint8[blocks, 32].

    The buffer is as long as it should be, see `storage.check_size`.
    """
    return [n for n, digest in enumerate(block_digests(data)) if digest != digests[n].tobytes()]
