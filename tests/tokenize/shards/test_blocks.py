import io

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.tokenize.shards import blocks
from corpusmill.tokenize.shards.blocks import BlockSink, address, block_digests, file_digest, merkle_root, wrong_blocks


def plain_root(digests: list[bytes]) -> bytes:
    """The tree in its recursive form: the left part is the largest power of two that leaves something right."""

    def node(*parts: bytes) -> bytes:
        return blake3(b"".join(parts), derive_key_context="corpusmill shards 2026: node").digest()

    if not digests:
        return node()
    if len(digests) == 1:
        return digests[0]
    left = 1 << (len(digests) - 1).bit_length() - 1
    return node(plain_root(digests[:left]), plain_root(digests[left:]))


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=40))
def test_the_root_is_that_of_the_recursive_tree(digests: list[bytes]) -> None:
    assert merkle_root(digests) == plain_root(digests)


@given(st.integers(1, 33), st.data())
def test_any_change_of_the_digests_changes_the_root(n: int, data: st.DataObject) -> None:
    digests = [bytes([k]) * 32 for k in range(n)]
    root = merkle_root(digests)
    at = data.draw(st.integers(0, n - 1))
    other = [*digests[:at], b"\xff" * 32, *digests[at + 1 :]]
    for changed in (other, digests[:-1], [*digests, digests[-1]], [*digests[1:], digests[0]]):
        assert (merkle_root(changed) == root) == (changed == digests)


def test_a_file_is_bound_to_its_path_and_length() -> None:
    digests = [b"\1" * 32]
    assert len({file_digest("a", 5, digests), file_digest("b", 5, digests), file_digest("a", 6, digests)}) == 3
    assert file_digest("a", 5, digests) not in (merkle_root(digests), digests[0])


def test_blocks_nodes_and_files_are_never_the_same_hash() -> None:
    """A block of 64 bytes that are two digests must not pass for the node above them."""
    left, right = (bytes([k]) * 32 for k in (1, 2))
    (leaf,) = block_digests(left + right)
    assert leaf != merkle_root([left, right])


def test_golden_values() -> None:
    """The id of a dataset made before stays its id: a change here is a new format."""
    (digest,) = block_digests(b"corpus")
    assert digest == blake3(b"corpus", derive_key_context="corpusmill shards 2026: block").digest()
    want = blake3(
        digest + (6).to_bytes(8, "little") + b"a.arrow", derive_key_context="corpusmill shards 2026: file"
    ).digest()
    assert file_digest("a.arrow", 6, [digest]) == want
    assert digest.hex()[:16] == "73a154c5d645d285"
    assert merkle_root([want, want, want]).hex()[:16] == "dc7da83cebc547e7"


@given(st.lists(st.integers(0, 40), max_size=20), st.integers(0, 9))
def test_the_sink_takes_the_same_blocks_however_it_is_written(sizes: list[int], seed: int) -> None:
    data = np.random.default_rng(seed).bytes(sum(sizes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", 16)
        raw = io.BytesIO()
        sink = BlockSink(raw)
        at = 0
        for size in sizes:
            piece = np.frombuffer(data[at : at + size], np.uint8)
            sink.write(piece)
            assert not size or sink.positions[address(piece)] == at
            at += size
            assert sink.tell() == at
        assert raw.getvalue() == data
        assert sink.digests() == list(block_digests(data))
        assert len(sink.digests()) == -(-len(data) // 16)


@given(st.integers(1, 100), st.data())
def test_a_flipped_bit_is_in_its_block_and_in_no_other(size: int, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", 16)
        raw = bytearray(np.random.default_rng(size).bytes(size))
        digests = np.frombuffer(b"".join(block_digests(raw)), np.uint8).reshape(-1, 32)
        assert wrong_blocks(raw, digests) == []
        bit = data.draw(st.integers(0, 8 * size - 1))
        raw[bit // 8] ^= 1 << bit % 8
        assert wrong_blocks(raw, digests) == [bit // 8 // 16]
