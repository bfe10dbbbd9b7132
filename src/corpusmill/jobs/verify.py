"""Hash every file of a finished run again and check every ledger: any changed, cut or missing file fails.

So does one of an index that the run saved, unless the index is gone. Where a shard is damaged the documents hit are
named. Files that no manifest names are listed; they are no part of the run. A folder of shards, an export or a training
can be given too; those inside a run's directory are checked with it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
from rich.console import Console

from corpusmill.errors import CorpusmillError, IntegrityError
from corpusmill.jobs.places import EXPORT, RUN, SHARDS, finished_run, imported, kind_of, manifest_of
from corpusmill.jobs.trace_row import locators
from corpusmill.ledger import Tally, check_chain, ledger_json
from corpusmill.manifest import RUN_MANIFEST, canonical, entries, load
from corpusmill.pipeline.directory import RunDirectory, run_directory
from corpusmill.storage import FileEntry, check, is_local, join, read_bytes, sha256_of, size
from corpusmill.tokenize.shards import damage
from corpusmill.tokenize.shards.layout import INDEX_FILE
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenize.shards.takedown import TAKEDOWNS_FILE

MOST_SHOWN = 20
BELOW = "shards/"


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument(
        "directory", metavar="DIR", help="a finished run's directory, a folder of shards, an export or a training"
    )


def do(given: argparse.Namespace, console: Console) -> None:
    """Print what was checked. Raises IntegrityError that lists what is wrong."""
    directory = run_directory(given.directory)
    kind = kind_of(manifest_of(directory, f"{RUN}, {SHARDS}, {EXPORT} or a training"))
    if kind == SHARDS:
        packed = Packed(directory.root, verify=True)
        print(f"{len(packed.index)} files, {int(packed.index.size.sum())} bytes: every hash is right ({packed.id})")
        return
    faults, named = [], {RUN_MANIFEST}
    count = hashed = 0
    for entry, fault in _every_file(directory) if kind == RUN else _checked(directory, _named(directory)):
        named.add(entry.path)
        count, hashed = count + 1, hashed + entry.bytes
        if fault is not None:
            faults.append(str(fault))
    if kind == RUN and not faults:
        try:
            _check_ledgers(directory)
        except CorpusmillError as error:
            faults.append(str(error))
    if faults:
        shown = "\n  ".join(faults[:MOST_SHOWN])
        raise IntegrityError(f"{len(faults)} faults in {directory.root}:\n  {shown}\n{_remedy(directory, kind)}")
    for path in _indexes(directory) if kind == RUN else ():
        if not _is_there(path):
            console.print(f"index {path}: not there (any more), so not checked", markup=False)
    for name in _unnamed(directory, named):
        console.print(f"not named by any manifest: {name}", markup=False)
    print(f"{count} files, {hashed} bytes: every hash is right{' and every ledger adds up' if kind == RUN else ''}")


def _named(directory: RunDirectory) -> list[FileEntry]:
    return entries(load(directory.path(RUN_MANIFEST)))


def _remedy(directory: RunDirectory, kind: str) -> str:
    """What to do about files that are not as they should be."""
    if kind == EXPORT:
        return "Delete the folder and export again"
    if kind != RUN:
        return "Restore these files, or begin anew in another folder"
    try:
        again = "give the same import again" if imported(finished_run(directory.root)[1]) else "run the recipe again"
    except CorpusmillError:  # the manifest of a stage is among them
        again = "run the recipe or give the import again"
    return f"Delete the files named (of an index: all of it) and {again}"


def _every_file(directory: RunDirectory) -> Iterator[tuple[FileEntry, CorpusmillError | None]]:
    """Each file that a manifest names, with its fault if it has one."""
    run = load(directory.path(RUN_MANIFEST))
    manifests = [(stage["path"], stage["sha256"]) for stage in run["stages"]]
    yield from _checked(directory, entries(run))
    seen: set[str] = set()
    for path, digest in manifests:
        try:
            body = load(directory.path(path))
            if sha256_of(directory.path(path)) != digest:
                raise IntegrityError(f"{path}: is not the manifest that {RUN_MANIFEST} names")
        except CorpusmillError as error:
            yield FileEntry(path, 0, digest), error
            continue
        yield FileEntry(path, 0, digest), None
        packed = [entry for entry in entries(body) if entry.path.startswith(BELOW)]
        yield from _checked(directory, [entry for entry in entries(body) if not entry.path.startswith(BELOW)])
        if packed:
            yield from _checked_shards(directory, packed)
        if "index" in body and _is_there(body["index"]["path"]):
            seen.add(_below(directory, body["index"]["path"]))
            yield from _checked_index(directory, body["index"]["path"], body["index"]["sha256"])
    for path in _records(directory):
        try:
            load(directory.path(path))
        except CorpusmillError as error:
            yield FileEntry(path, 0, ""), error
        else:
            yield FileEntry(path, 0, ""), None
    for folder in _folders_of_their_own(directory, seen):
        inner = RunDirectory(directory.path(folder))
        head = FileEntry(f"{folder}/{RUN_MANIFEST}", 0, "")
        try:
            named = _named(inner)
        except CorpusmillError as error:
            yield head, error
            continue
        yield head, None
        for entry, fault in _checked(inner, named):
            said = None if fault is None else IntegrityError(f"{folder}: {fault}")
            yield FileEntry(f"{folder}/{entry.path}", entry.bytes, entry.sha256), said


def _checked(directory: RunDirectory, files: list[FileEntry]) -> Iterator[tuple[FileEntry, CorpusmillError | None]]:
    for entry in files:
        try:
            check(entry, directory.root, content=True)
        except CorpusmillError as error:
            yield entry, error
        else:
            yield entry, None


def _checked_shards(
    directory: RunDirectory, files: list[FileEntry]
) -> Iterator[tuple[FileEntry, CorpusmillError | None]]:
    """The files of the shards by the digests of their blocks, the others by their hashes."""
    own = [entry for entry in files if entry.path in (BELOW + RUN_MANIFEST, BELOW + INDEX_FILE)]
    yield from _checked(directory, own)
    try:
        packed = Packed(directory.path(BELOW.rstrip("/")))
        found = {f"{BELOW}{each.path}": each for each in damage.of_all(packed)}
    except CorpusmillError as error:
        yield FileEntry(BELOW, 0, ""), error
        return
    if packed.takedowns:
        yield FileEntry(BELOW + TAKEDOWNS_FILE, 0, ""), None
    for entry in files:
        if entry not in own:
            fault = found.pop(entry.path, None)
            yield entry, None if fault is None else IntegrityError(_with_locators(directory, fault))
    for path, fault in found.items():
        yield FileEntry(path, 0, ""), IntegrityError(str(fault))


def _with_locators(directory: RunDirectory, fault: damage.Damage) -> str:
    """What is wrong with a shard, and where the documents hit came from if the run's documents can tell."""
    try:
        where = locators(directory, [hit.id for hit in fault.hits[: damage.MOST_SHOWN]])
    except (CorpusmillError, OSError, pa.ArrowException) as error:
        return f"{fault} (the run's documents can't be read: {error})"
    return fault.text({identity: locator for identity, (_, locator) in where.items()})


def _checked_index(
    directory: RunDirectory, path: str, sha256: str
) -> Iterator[tuple[FileEntry, CorpusmillError | None]]:
    """The files of an index whose manifest should have this hash, named as seen from the run directory."""
    name, where = _below(directory, path), join(path, RUN_MANIFEST)
    try:
        body = load(where)
        if sha256_of(where) != sha256:
            raise IntegrityError(f"{where}: is not the manifest of the index that the run saved there")
    except CorpusmillError as error:
        yield FileEntry(f"{name}/{RUN_MANIFEST}", 0, sha256), error
        return
    yield FileEntry(f"{name}/{RUN_MANIFEST}", 0, sha256), None
    for entry, fault in _checked(RunDirectory(path), entries(body)):
        said = None if fault is None else IntegrityError(f"index {path}: {fault}")
        yield FileEntry(f"{name}/{entry.path}", entry.bytes, entry.sha256), said


def _indexes(directory: RunDirectory) -> Iterator[str]:
    """Where barriers of the run saved indexes."""
    for stage in load(directory.path(RUN_MANIFEST))["stages"]:
        body = load(directory.path(stage["path"]))
        if "index" in body:
            yield body["index"]["path"]


def _is_there(path: str) -> bool:
    return Path(path).exists() if is_local(path) else size(join(path, RUN_MANIFEST)) is not None


def _below(directory: RunDirectory, path: str) -> str:
    """A path as seen from the run directory, if it lies in it."""
    inner = Path(path).absolute()
    return inner.relative_to(directory.root).as_posix() if inner.is_relative_to(directory.root) else path


def _folders_of_their_own(directory: RunDirectory, seen: Collection[str]) -> list[str]:
    """Folders beside the run's own with a manifest of theirs, but those `seen`: trainings, exports, a demo's input."""
    if not is_local(directory.root):
        return []
    root = Path(directory.root)
    found = {path.parent.name for path in root.glob(f"*/{RUN_MANIFEST}")}
    deeper = (path for path in root.glob(f"*/*/{RUN_MANIFEST}") if _is_export(path))
    found |= {path.parent.relative_to(root).as_posix() for path in deeper}
    return sorted(found - {"shards", *seen})


def _is_export(path: Path) -> bool:
    try:
        return kind_of(load(str(path))) == EXPORT
    except CorpusmillError:
        return False


def _records(directory: RunDirectory) -> list[str]:
    if not is_local(directory.root):
        return []
    root = Path(directory.root)
    return sorted(path.relative_to(root).as_posix() for path in root.glob("work/*/units/*.json"))


def _check_ledgers(directory: RunDirectory) -> None:
    """Add up every stage's tally, chain the stages, and compare with ledger.json."""
    run = load(directory.path(RUN_MANIFEST))
    bodies = [load(directory.path(stage["path"])) for stage in run["stages"]]
    tallies = {body["stage"]: Tally.from_json(body["tally"]) for body in bodies if body["tally"]}
    left: Tally | None = None
    for name, tally in tallies.items():
        tally.check(name)
        if left is not None:
            check_chain(name, tally, left)
        left = tally
    if canonical(ledger_json(tallies, bodies[-1]["pack"])) != read_bytes(directory.path("ledger.json")):
        raise IntegrityError("ledger.json is not the sum of the stages' tallies")


def _unnamed(directory: RunDirectory, named: set[str]) -> list[str]:
    if not is_local(directory.root):
        return []
    root = Path(directory.root)
    files = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    return sorted(name for path in files if (name := path.relative_to(root).as_posix()) not in named | {"work/.lock"})
