"""Small shards, written by the real writer from Python's own library with a tokenizer of single bytes."""

import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from corpusmill import manifest, storage
from corpusmill.text import Texts
from corpusmill.tokenize import place, plan, shards
from corpusmill.tokenize.encode import Encoder
from corpusmill.tokenize.shards import Packed

Write = Callable[..., Packed]


def byte_tokenizer(path: Path) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([tokenizers.AddedToken("<|endoftext|>", special=True)])
    path.write_text(tokenizer.to_str(), encoding="utf-8")


def write_shards(
    folder: Path, documents: list[tuple[str, str]], *, sequence_length: int, rows_per_shard: int = 16, seed: int = 0
) -> Packed:
    """Pack (source, text) documents as the pack stage does, on one worker."""
    folder.mkdir(parents=True)
    byte_tokenizer(folder / shards.TOKENIZER_FILE)
    encoder = Encoder(folder / shards.TOKENIZER_FILE)
    tokens, offsets = encoder.encode(Texts.from_strings([text for _, text in documents]))
    names = sorted({source for source, _ in documents})
    owner, offset, length = plan.pieces(np.diff(offsets), sequence_length)
    planned = plan.plan(plan.histogram(length, sequence_length))
    ids = np.stack([np.zeros(len(documents), np.uint64), np.arange(len(documents), dtype=np.uint64)], axis=1)[owner]
    row = place.place(planned, length, np.zeros(sequence_length + 1, np.int64), seed).astype(np.int64)
    order = place.order_key(ids, offset, seed)
    source = np.array([names.index(source) for source, _ in documents], dtype=np.uint16)[owner]
    begin = offsets[owner] + offset
    files = []
    for first in range(0, planned.rows, rows_per_shard):
        mine = np.flatnonzero((row >= first) & (row < first + rows_per_shard))
        pieces = shards.Pieces(
            row=row[mine] - first,
            order=order[mine],
            document=owner[mine],
            ids=ids[mine],
            source=source[mine],
            offset=offset[mine],
            length=length[mine],
            tokens=np.concatenate([tokens[begin[at] : begin[at] + length[at]] for at in mine]),
        )
        rows = min(rows_per_shard, planned.rows - first)
        name = f"{first:05d}.arrow"
        with storage.atomic_writer(str(folder / name)) as sink:
            shards.write_shard(sink, pieces, rows=rows, sequence_length=sequence_length, pad_id=encoder.pad_id)
        files.append(storage.FileEntry(name, sink.bytes, sink.sha256, rows))
    path = folder / shards.TOKENIZER_FILE
    tokenizer = storage.FileEntry(path.name, path.stat().st_size, storage.sha256_of(str(path)))
    body = shards.shards_manifest(
        plan=planned,
        rows_per_shard=rows_per_shard,
        encoder=encoder,
        sources=names,
        documents=len(documents),
        cut_documents=int((np.diff(offsets) > sequence_length).sum()),
        shards=files,
        tokenizer=tokenizer,
    )
    manifest.commit(str(folder / manifest.RUN_MANIFEST), body)
    return Packed(folder)


def library_texts(files: int, max_chars: int) -> list[tuple[str, str]]:
    """(source, text): modules of Python's library, in turn under `code` and `more`."""
    paths = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:files]
    texts = [path.read_text("utf-8", errors="replace")[:max_chars] for path in paths]
    return [("code" if at % 2 else "more", text) for at, text in enumerate(texts) if text]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """Rows of 128 byte tokens, two sources, long documents that were cut and short ones."""
    folder = tmp_path_factory.mktemp("library") / "shards"
    short = [("notes", f"note {at}: {'ab' * (at % 17)}") for at in range(60)]
    return write_shards(folder, library_texts(40, 1500) + short, sequence_length=128)


@pytest.fixture(scope="session")
def write() -> Write:
    return write_shards


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The models here are so small that a second thread only waits, and the tests share their machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
