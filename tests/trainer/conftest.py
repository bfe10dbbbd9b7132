"""Small shards, written by the real writer from Python's own library with a tokenizer of single bytes."""

import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from corpusmill.tokenize.shards.packed import Packed
from corpusmill.trainer import History, train

from .runs import TINY


def library_texts(files: int, max_chars: int) -> list[tuple[str, str]]:
    """(source, text): modules of Python's library, in turn under `code` and `more`."""
    paths = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:files]
    texts = [path.read_text("utf-8", errors="replace")[:max_chars] for path in paths]
    return [("code" if at % 2 else "more", text) for at, text in enumerate(texts) if text]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, write: Callable[..., Packed]) -> Packed:
    """Rows of 128 byte tokens, two sources, long documents that were cut and short ones."""
    folder = tmp_path_factory.mktemp("library") / "shards"
    short = [("notes", f"note {at}: {'ab' * (at % 17)}") for at in range(60)]
    return write(folder, library_texts(40, 1500) + short, sequence_length=128)


@pytest.fixture(scope="session")
def straight(library: Packed, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, History]:
    """A training from the first step to the last: where it is, and what it did."""
    folder = tmp_path_factory.mktemp("straight")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    history = train(library, folder, TINY)
    torch.set_num_threads(before)
    return folder, history


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The models here are so small that a second thread only waits, and the tests share their machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
