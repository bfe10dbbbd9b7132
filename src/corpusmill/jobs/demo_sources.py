"""Real text for the demo, found on this machine without a download: what Python and its packages carry, and, where they
are installed, manual pages and the documentation of the system.
"""

from __future__ import annotations

import ast
import gzip
import json
import os
import re
import sys
import sysconfig
import warnings
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import xxhash

from corpusmill.errors import InputError
from corpusmill.storage import write_bytes

MIN_BYTES = 10_000_000
MAX_BYTES = 25_000_000

_MAX_FILE_BYTES = 256 << 10
_SEED = "demo"
_PROSE = re.compile(
    r"(METADATA|PKG-INFO|(LICEN[CS]E|COPYING|NOTICE|AUTHORS|README|CHANGE)[^/]*|[^/]+\.(md|rst|txt))", re.I
)
_SYSTEM_PROSE = re.compile(r"(copyright|README|NEWS|FAQ|TODO|HACKING|[^/]+\.(md|rst|txt))([.-][A-Za-z]+)?(\.gz)?", re.I)
_PLACES = (("purelib", sys.prefix), ("platlib", sys.prefix), ("stdlib", sys.base_prefix))
_NO_FOLDER = re.compile(r"__pycache__|tests?|data|datasets|.*-packages|\..*")  # data for tests is not prose
_NO_PROSE = re.compile(r"(top_level|entry_points|SOURCES|requires|dependency_links|namespace_packages|CMakeLists)\.txt")


@dataclass(frozen=True)
class DemoSource:
    """One source: documents as (text, url), `url` being the file's path below the prefix it is installed in."""

    name: str
    documents: tuple[tuple[str, str], ...]

    @property
    def bytes(self) -> int:
        """Of text, in UTF-8."""
        return sum(len(text.encode()) for text, _ in self.documents)


@dataclass(frozen=True)
class _File:
    path: Path
    url: str
    group: str  # no group may dominate: a package, a section of the manual

    @property
    def order(self) -> int:
        """A keyed hash: which files of a group come first."""
        return xxhash.xxh3_64_intdigest(f"{_SEED}\0{self.url}".encode("utf-8", "backslashreplace"))


def find_demo_sources(min_bytes: int = MIN_BYTES, max_bytes: int = MAX_BYTES) -> list[DemoSource]:
    """Sources with about `max_bytes` of text in all. Raises InputError where there are fewer than `min_bytes`."""
    python = sorted(_python_files(), key=lambda file: file.url)
    modules = [file for file in python if file.path.suffix == ".py"]
    prose = [file for file in python if file.path.suffix != ".py"]
    # A module gives its code or its docstrings, never both: the demo's duplicates are those of real life.
    plans: list[tuple[str, float, Iterable[_File], Callable[[str], str]]] = [
        ("packages", 0.2, prose, _body),
        ("docstrings", 0.2, (file for file in modules if file.order % 3), _docstrings),
        ("code", 0.3, (file for file in modules if not file.order % 3), lambda text: text),
        ("manual", 0.15, _system_files("share/man/man[1-8]/*"), _unroff),
        ("doc", 0.15, _system_files("share/doc/*/*"), lambda text: text),
    ]
    sources = [DemoSource(name, _take(files, clean, int(share * max_bytes))) for name, share, files, clean in plans]
    found = sum(source.bytes for source in sources)
    if found < min_bytes:
        raise InputError(
            f"only {found} bytes of text were found below {sys.prefix} and {sys.base_prefix}, wanted {min_bytes}: "
            "run the demo where Python's standard library and corpusmill's packages are installed with their sources"
        )
    return [source for source in sources if source.documents]


def write_demo_sources(directory: str | Path, max_bytes: int = MAX_BYTES) -> dict[str, Path]:
    """Write each source to DIRECTORY/NAME.jsonl with the fields text, url and date (null); gives name → file."""
    paths = {}
    for source in find_demo_sources(min(MIN_BYTES, max_bytes // 2), max_bytes):
        rows = (json.dumps({"text": text, "url": url, "date": None}) for text, url in source.documents)
        paths[source.name] = Path(directory) / f"{source.name}.jsonl"
        data = "".join(f"{row}\n" for row in rows).encode()
        if not paths[source.name].is_file() or paths[source.name].read_bytes() != data:
            write_bytes(str(paths[source.name]), data)
    return paths


def _python_files() -> Iterator[_File]:
    """The standard library and the installed packages; the group is the top folder."""
    roots = {sysconfig.get_path(place): prefix for place, prefix in _PLACES}
    for root, prefix in roots.items():
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if not _NO_FOLDER.fullmatch(name)]
            inside = Path(folder).relative_to(root).parts
            group = inside[0].partition("-")[0] if inside else Path(root).name
            for name in names:
                if name.endswith(".py") or (_PROSE.fullmatch(name) and not _NO_PROSE.fullmatch(name)):
                    path = Path(folder) / name
                    yield _File(path, _below(path, Path(prefix)), group)


def _system_files(pattern: str) -> Iterator[_File]:
    """Files below /usr that hold text, perhaps compressed; the group is their folder."""
    for path in Path("/usr").glob(pattern):
        if "man/man" in str(path) or _SYSTEM_PROSE.fullmatch(path.name):
            yield _File(path, _below(path, Path("/usr")), path.parent.name)


def _below(path: Path, prefix: Path) -> str:
    return path.relative_to(prefix).as_posix() if path.is_relative_to(prefix) else path.name


def _take(files: Iterable[_File], clean: Callable[[str], str], max_bytes: int) -> tuple[tuple[str, str], ...]:
    """Texts up to `max_bytes`: one file of each group, then a second of each, and so on."""
    groups: dict[str, list[_File]] = defaultdict(list)
    for file in files:
        groups[file.group].append(file)
    ranked: list[tuple[int, int, str, _File]] = []
    for members in groups.values():
        members.sort(key=lambda file: (file.order, file.url))
        ranked.extend((rank, file.order, file.url, file) for rank, file in enumerate(members))
    documents: list[tuple[str, str]] = []
    total = 0
    for _, _, url, file in sorted(ranked, key=lambda entry: entry[:3]):
        text = clean(_read(file.path))
        size = len(text.encode())
        if text and total + size <= max_bytes:
            documents.append((text, url))
            total += size
        if total > max_bytes * 0.99:
            break
    return tuple(sorted(documents, key=lambda document: document[1]))


def _read(path: Path) -> str:
    """The text of a file, perhaps compressed; empty where it is none, too long, or not readable."""
    try:
        if not path.is_file():
            return ""
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            raw = file.read(_MAX_FILE_BYTES + 1)
        return "" if len(raw) > _MAX_FILE_BYTES or b"\0" in raw else raw.decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return ""


def _body(text: str) -> str:
    """The long description of a METADATA file; any other text as it is."""
    if text.startswith("Metadata-Version:"):
        return text.replace("\r\n", "\n").partition("\n\n")[2].strip()
    return text


def _docstrings(code: str) -> str:
    """The docstrings of a module, in order, with a blank line between them; empty where they are a small part of it."""
    if sum(map(len, code.split('"""')[1::2])) * 4 < len(code):
        return ""
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    found: list[str] = []
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append(ast.get_docstring(node) or "")
        pending.extend(reversed(getattr(node, "body", [])) if not isinstance(node, (ast.Lambda, ast.IfExp)) else [])
    text = "\n\n".join(doc for doc in found if doc)
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


_ESCAPES = {
    "-": "-",
    "e": "\\",
    "&": "",
    "|": "",
    "^": "",
    "/": "",
    ",": "",
    " ": " ",
    "~": " ",
    "0": " ",
    "%": "",
    ":": "",
}
_NAMED = {
    "aq": "'",
    "dq": '"',
    "bu": "*",
    "em": "--",
    "en": "-",
    "lq": '"',
    "rq": '"',
    "co": "(c)",
    "cq": "'",
    "oq": "'",
}
_ROFF = re.compile(
    r"\\(?:f(?:\[[^\]]*\]|\(..|.)|s[+-]?\d+|m\[[^\]]*\]|\((?P<two>..)|\[(?P<long>[^\]]*)\]|\*(?:\(..|\[[^\]]*\]|.)|(?P<one>.))"
)


def _unroff(source: str) -> str:
    """A manual page as plain text: headings, paragraphs and the arguments of font macros; no layout."""
    lines: list[str] = []
    for line in source.split("\n"):
        if line[:1] not in (".", "'"):
            lines.append(line)
            continue
        macro, _, rest = line[1:].strip().partition(" ")
        if macro in ("SH", "SS", "Sh", "Ss"):
            lines += ["", rest.replace('"', ""), ""]
        elif macro in ("PP", "P", "LP", "TP", "IP", "HP", "Pp", "sp", "br", "It"):
            lines += ["", *_arguments(rest)[:1]] if macro == "IP" else [""]
        elif macro in ("BR", "RB", "IR", "RI", "BI", "IB"):
            lines.append("".join(_arguments(rest)))
        elif macro in ("B", "I", "R", "SM", "SB", "Nm", "Fl", "Ar", "Xr", "Nd", "Pa", "Dq", "Em", "Cm"):
            lines.append(" ".join(_arguments(rest)))
    text = _ROFF.sub(_character, "\n".join(line for line in lines if not line.startswith('\\"')))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _arguments(rest: str) -> list[str]:
    return [quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', rest)]


def _character(escape: re.Match[str]) -> str:
    if escape["one"]:
        return _ESCAPES.get(escape["one"], "")
    return _NAMED.get(escape["two"] or escape["long"] or "", "")
