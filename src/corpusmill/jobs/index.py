"""Indexes that barriers save and are run against: what is in one, several made one, documents taken out of one.

A barrier with save = "DIR" leaves an index, one with against = "DIR" compares its documents with it. None is changed:
`merge` and `delete` write a new one. `delete` is for the right to erasure: keys, id and sketch of each document named
are gone from the new index; delete the old one, and use it no more.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from rich.console import Console

import corpusmill.dedup
import corpusmill.filters  # noqa: F401  both packages register their steps
from corpusmill.errors import ConfigError
from corpusmill.pipeline.index import Index, delete, load, merge, removed_before


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="print what an index is of")
    show.add_argument("index", metavar="INDEX")
    several = actions.add_parser("merge", help="make one index of several of the same step, in their order")
    several.add_argument("indexes", metavar="INDEX", nargs="+")
    several.add_argument("--out", required=True, metavar="DIR", help="the new index")
    less = actions.add_parser("delete", help="write an index without some documents")
    less.add_argument("index", metavar="INDEX")
    less.add_argument("--ids", required=True, metavar="FILE", help="ids, 32 hex digits each, one in a line")
    less.add_argument("--out", required=True, metavar="DIR", help="the new index")


def do(given: argparse.Namespace, console: Console) -> None:
    """Do it, and print what the resulting index is. Raises ConfigError."""
    if given.action == "show":
        found = load(given.index)
    elif given.action == "merge":
        found = merge(given.indexes, given.out)
    else:
        found = delete(given.index, read_ids(given.ids), given.out)
    console.print(describe(found), markup=False, highlight=False, soft_wrap=True)


def describe(index: Index) -> str:
    """A few lines about an index."""
    made = index.body["made_by"]
    removed = sum(int(removed_before(part).sum()) for part in index.parts)
    size = sum(file["bytes"] for file in index.body["files"])
    options = ", ".join(f"{name} = {value}" for name, value in made["options"].items() if value is not None)
    if not index.parts:
        return f"{index.path}: filter of {made['use']} (version {made['version']}; {options})\n{size:,} bytes"
    return (
        f"{index.path}: index of {made['use']} (version {made['version']}; {options})\n"
        f"{index.documents:,} documents in {len(index.parts):,} files, {removed:,} of them removed as copies; "
        f"{size:,} bytes"
    )


def read_ids(path: str) -> list[bytes]:
    """The ids in a file. Raises ConfigError for a line that is none."""
    try:
        lines = Path(path).read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--ids {path}: {error}") from None
    for number, line in enumerate(lines, 1):
        if not re.fullmatch(r"[0-9a-f]{32}", line):
            raise ConfigError(
                f"--ids {path}: word {number} is {line[:40]!r}; wanted 32 hex digits, as `explain` prints"
            )
    return [bytes.fromhex(line) for line in lines]
