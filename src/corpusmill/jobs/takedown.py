"""Take documents down: no reader of these shards delivers their tokens any more, and none of them is a target.

The packed files are not touched, rows keep their order and their number. The list lies beside the shards, in
takedowns.json, with the reason and the day of each request; without --id and --file it is printed. Ids are those that
`trace` and `explain` print; they stay the same when the corpus is packed again.
"""

from __future__ import annotations

import argparse
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

from rich.console import Console

from corpusmill.errors import ConfigError, NotCommitted
from corpusmill.jobs.places import shards_of
from corpusmill.storage import is_local, read_bytes
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenize.shards.takedown import Takedown, append_takedown, parse_id

MOST_SHOWN = 20


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("directory", metavar="DIR", help="a finished run's directory, or a folder of shards")
    which = command.add_mutually_exclusive_group()
    which.add_argument("--id", nargs="+", metavar="ID", help="documents, 32 hex digits each")
    which.add_argument("--file", metavar="LIST", help="a file with an id in each line; # begins a comment")
    command.add_argument("--reason", help="why; it is kept with the list")
    command.add_argument("--date", metavar="YYYY-MM-DD", help="the day of the request; default: today, UTC")
    command.add_argument(
        "--allow-missing", action="store_true", help="leave out ids that the shards do not have, instead of refusing"
    )


def do(given: argparse.Namespace, console: Console) -> None:
    """Append to the list, or print it. Raises ConfigError for ids that the shards do not have."""
    folder = shards_of(given.directory)
    if given.id is None and given.file is None:
        for each in Packed(folder).takedowns:
            print("\n".join(f"{each.date}  {identity.hex()}  {each.reason}" for identity in each.ids))
        return
    if not given.reason:
        raise ConfigError("--reason is missing: say why these documents are taken down")
    ids = _from_file(given.file) if given.id is None else [parse_id(text) for text in given.id]
    day = _day(given.date)
    with _alone(folder):
        packed = Packed(folder)
        found = list(packed.find(ids))
        there = {identity for _, identity, _ in found}
        missing = [identity for identity in dict.fromkeys(ids) if identity not in there]
        if missing and (not given.allow_missing or not there):
            shown = ", ".join(identity.hex() for identity in missing[:MOST_SHOWN])
            raise ConfigError(
                f"{len(missing)} of {len(set(ids))} documents are not in {folder}: {shown}"
                f"{' …' if len(missing) > MOST_SHOWN else ''}; nothing was taken down. Ids are 32 hex digits, see "
                "`corpusmill explain`; --allow-missing leaves such out"
            )
        new = append_takedown(folder, Takedown(tuple(there), given.reason, day))
    for identity in missing:
        console.print(f"not in these shards: {identity.hex()}", markup=False)
    tokens = sum(int(piece["length"]) for _, _, piece in found)
    print(
        f"{len(there)} documents, {new} of them new on the list: {len(found)} segments in "
        f"{len({row for row, _, _ in found})} rows, {tokens} tokens, are not delivered any more"
    )


def _from_file(path: str) -> list[bytes]:
    try:
        lines = read_bytes(path).decode("utf-8").splitlines()
    except (NotCommitted, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--file {path}: can't be read as text ({error})") from error
    ids = []
    for number, line in enumerate(lines, 1):
        word = line.partition("#")[0].strip()
        if word:
            try:
                ids.append(parse_id(word))
            except ConfigError as error:
                raise ConfigError(f"{path}, line {number}: {error}") from error
    if not ids:
        raise ConfigError(f"--file {path}: there is no id in it")
    return ids


def _day(text: str | None) -> str:
    try:
        return (date.fromisoformat(text) if text else datetime.now(UTC).date()).isoformat()
    except ValueError:
        raise ConfigError(f"--date {text}: wanted a day as YYYY-MM-DD") from None


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Hold off other takedowns in this folder; the lock is on the folder itself and dies with the process."""
    if not is_local(folder):
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
