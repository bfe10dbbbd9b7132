"""The text that is measured: one JSONL file of real documents, `id` and `text`."""

from __future__ import annotations

import ast
import gzip
import json
import site
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import xxhash
from resiliparse.extract.html2text import extract_plain_text

MIN_BYTES, MAX_BYTES = 500, 1 << 20
"""Shorter files say little, longer ones are tables and lists of symbols."""

PROSE = (".txt", ".rst", ".md", ".html", ".htm")


@dataclass(frozen=True)
class Corpus:
    """A file of documents; sizes are bytes of UTF-8 text, without JSON around it."""

    path: Path
    documents: int
    bytes: int

    def __str__(self) -> str:
        mean = self.bytes / max(1, self.documents) / 1e3
        return f"{self.bytes / 1e6:.1f} MB of text in {self.documents:,} documents, {mean:.1f} KB on average"


def write_corpus(path: Path, megabytes: float, text_file: Path | None = None, every: int = 1) -> Corpus:
    """The first `megabytes` of every so many'th document of `text_file` (JSONL with `text`), or of this machine."""
    texts = islice(texts_of(text_file) if text_file else texts_of_this_machine(), 0, None, every)
    documents = size = 0
    with path.open("w", encoding="utf-8") as sink:
        for text in texts:
            sink.write(json.dumps({"id": str(documents), "text": text}, ensure_ascii=False) + "\n")
            documents, size = documents + 1, size + len(text.encode())
            if size >= megabytes * 1e6:
                break
    return Corpus(path, documents, size)


def texts_of(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def texts_of_this_machine() -> Iterator[str]:
    """Documentation, then docstrings, then code: of the machine, of Python and of its packages. Copies are left out."""
    roots = [Path("/usr/share/doc"), Path("/usr/share/man/man1"), *_python_folders()]
    files = sorted(chain.from_iterable(_files_below(root) for root in roots if root.is_dir()))
    code = [file for file in files if file.suffix == ".py"]
    prose = (_prose(file) for file in files if file.suffix != ".py")
    seen: set[int] = set()
    for text in chain(prose, map(_docstrings, code), map(_read, code)):
        mark = xxhash.xxh3_64_intdigest(text.encode())
        if MIN_BYTES <= len(text) <= MAX_BYTES and mark not in seen:
            seen.add(mark)
            yield text


def _python_folders() -> Iterable[Path]:
    names = {*site.getsitepackages(), sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"]}
    return [Path(name) for name in sorted(names)]


def _files_below(root: Path) -> Iterator[Path]:
    for file in root.rglob("*"):
        stem = file.with_suffix("") if file.suffix == ".gz" else file
        if stem.suffix in (*PROSE, ".py", ".1") and file.is_file() and not file.is_symlink():
            yield file


def _read(file: Path) -> str:
    """The text of a file, "" where it is no UTF-8 or too long."""
    try:
        if file.stat().st_size > MAX_BYTES:
            return ""
        data = file.read_bytes()
        return (gzip.decompress(data) if file.suffix == ".gz" else data).decode()
    except (OSError, EOFError, UnicodeDecodeError):
        return ""


def _prose(file: Path) -> str:
    text = _read(file)
    return extract_plain_text(text) if ".htm" in file.name and text else text


def _docstrings(file: Path) -> str:
    """The docstrings of a module, in order."""
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(_read(file))
    except (SyntaxError, ValueError):
        return ""
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, owners)]
    return "\n\n".join(text for text in found if text)
