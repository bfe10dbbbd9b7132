"""An index: what a barrier kept of documents it has compared, so that a later crawl is compared with them unread.

A directory with a manifest and, for each file of documents, its keys, its ids and, where candidates are verified, the
sketches of all its documents. The next run reads them as if those files came before its own, so it decides on its
documents what one run over everything would.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from corpusmill import manifest
from corpusmill.document import ID_BYTES
from corpusmill.errors import ConfigError
from corpusmill.options import plain
from corpusmill.pipeline import dedup, pieces
from corpusmill.pipeline.directory import Record
from corpusmill.pipeline.erase import erase
from corpusmill.pipeline.groups import Part
from corpusmill.steps import Barrier, PieceBarrier, find
from corpusmill.storage import FileEntry, check, is_local, join, sha256_of, size

VERSION = 1
KINDS = ("keys", "ids", "sketches", "gone")
STATE = "state.bin"
"""What a barrier that reads in order knows: a filter. Its index has this and no parts."""
IN_A_RUN_ONLY = ("against", "save")

Flags = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Index:
    """An index on disk: the body of its manifest, and its parts with absolute paths."""

    path: str
    body: Record
    parts: tuple[Part, ...]

    @property
    def documents(self) -> int:
        """Documents in it, without those deleted."""
        return int(self.body["documents"])


def load(path: str, *, content: bool = False) -> Index:
    """Read an index.

    Raises ConfigError when it is none, IntegrityError when a file of it is missing or cut, or, with `content`, changed.
    """
    if not is_local(path):
        raise ConfigError(f"{path}: an index is read from a local directory; copy it to this machine")
    where = join(path, manifest.RUN_MANIFEST)
    if size(where) is None:
        raise ConfigError(f"{path}: no index there (no {where})")
    body = manifest.load(where)
    if body.get("index") != VERSION:
        raise ConfigError(f"{where}: not an index of version {VERSION}, which this corpusmill reads")
    for entry in manifest.entries(body):
        check(entry, path, content=content)
    named = {file["path"] for file in body["files"]}
    parts = []
    for number, part in enumerate(body["parts"]):
        paths = {kind: _name(number, kind) for kind in KINDS}
        parts.append(Part(part["rows"], **{k: join(path, p) if p in named else "" for k, p in paths.items()}))
    return Index(path, body, tuple(parts))


def stamp(path: str) -> Record:
    """What a run's manifest says of an index: absolute path, documents, hash of its manifest. Raises as `load`."""
    found = load(path)
    where = str(Path(path).absolute())
    return {"path": where, "documents": found.documents, "sha256": sha256_of(join(path, manifest.RUN_MANIFEST))}


def options_of(barrier: Barrier) -> Record:
    """What must be the same for a run to be compared with an index."""
    options = {name: value for name, value in plain(barrier).items() if name not in IN_A_RUN_ONLY}
    return {"use": barrier.use, "version": barrier.version, "options": options}


def load_for(barrier: Barrier) -> Index | None:
    """The index that a barrier is `against`, if any. Raises ConfigError when it was made by another step."""
    if barrier.against is None:
        return None
    index = load(barrier.against, content=True)
    wanted = options_of(barrier)
    for name in ("use", "version", "options"):
        if (got := index.body["made_by"][name]) != wanted[name]:
            raise ConfigError(
                f"{barrier.use}: against = {barrier.against!r}: that index was made with {name} {got}, this step has "
                f"{wanted[name]}; use the same, or make a new index"
            )
    return index


def check_free(path: str, mark: str = "") -> bool:
    """Whether there is nothing at `path` yet; False for the index that the stage with this `mark` left there.

    Raises ConfigError for anything else, and when it is not a local directory.
    """
    if not is_local(path):
        raise ConfigError(f"save = {path!r}: an index is written to a local directory; copy it from there")
    if not Path(path).exists():
        return True
    where = join(path, manifest.RUN_MANIFEST)
    if mark and size(where) is not None and manifest.load(where).get("stage") == mark:
        return False
    raise ConfigError(f"save = {path!r}: there is something already; name a directory that does not exist")


def save(
    path: str, made_by: Record, parts: Sequence[Part], flags: Sequence[Flags], *, state: str = "", mark: str = ""
) -> None:
    """Write an index of `parts`, whose files are linked or copied; `flags` say which rows were removed, part by part.

    `state` is the file of a barrier that reads in order, whose index has no parts; `mark` the fingerprint of the stage:
    when it left its index there before it was cut off, that one stays. Raises ConfigError as `check_free`.
    """
    if not check_free(path, mark):
        return
    building = Path(f"{path}.tmp")
    shutil.rmtree(building, ignore_errors=True)
    files = [_place(state, building, STATE)] if state else []
    bodies = []
    documents = 0
    for number, (part, gone) in enumerate(zip(parts, flags, strict=True)):
        for kind in KINDS[:3]:
            if getattr(part, kind) and size(getattr(part, kind)) is not None:
                files.append(_place(getattr(part, kind), building, _name(number, kind)))
        target = building / _name(number, "gone")
        target.write_bytes(gone.tobytes())
        files.append(FileEntry(_name(number, "gone"), part.rows, sha256_of(str(target))))
        ids = np.fromfile(building / _name(number, "ids"), np.uint8).reshape(-1, ID_BYTES)
        bodies.append({"rows": part.rows})
        documents += int(ids.any(axis=1).sum())
    body = {"index": VERSION, "made_by": made_by, "stage": mark, "documents": documents, "parts": bodies}
    manifest.commit(str(building / manifest.RUN_MANIFEST), {**body, "files": [file.to_json() for file in files]})
    building.replace(path)


def _name(number: int, kind: str) -> str:
    return f"{number:06d}/{kind}.bin"


def _place(source: str, building: Path, name: str) -> FileEntry:
    """Put a file into an index: a second name for it where the disk allows that, else a copy."""
    target = building / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not is_local(source):
        raise ConfigError(f"{source}: an index is made on the machine that has the run; copy the run there")
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return FileEntry(name, target.stat().st_size, sha256_of(str(target)))


def removed_before(part: Part) -> Flags:
    """uint8[rows]: 1 for documents of an index that an earlier run removed."""
    if not part.gone:
        return np.zeros(part.rows, np.uint8)
    return np.fromfile(part.gone, np.uint8)


def load_parts(path: str) -> Index:
    """An index that knows its documents. Raises ConfigError for a filter's."""
    index = load(path)
    if not index.parts:
        raise ConfigError(
            f"{path}: a filter does not know its documents: it can't be merged, nor a document taken out of it; "
            "make it anew from the runs that are to be in it"
        )
    return index


def merge(paths: Sequence[str], out: str) -> Index:
    """One index of several, in their order.

    Raises ConfigError when they were not made by the same step, or have a file of documents in common.
    """
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice:
        raise ConfigError(f"{twice} is named twice")
    indexes = [load_parts(path) for path in paths]
    for index in indexes[1:]:
        if index.body["made_by"] != indexes[0].body["made_by"]:
            raise ConfigError(
                f"{index.path} was made by {index.body['made_by']}, {indexes[0].path} by {indexes[0].body['made_by']}; "
                "only indexes of the same step can be merged"
            )
    owner: dict[str, str] = {}
    for index in indexes:
        for file in index.body["files"]:
            if (
                file["path"].endswith("/ids.bin")
                and (other := owner.setdefault(file["sha256"], index.path)) != index.path
            ):
                raise ConfigError(f"{other} and {index.path} have documents in common: merge only one of them")
    parts = [part for index in indexes for part in index.parts]
    save(out, indexes[0].body["made_by"], parts, [removed_before(part) for part in parts])
    return load(out)


def delete(path: str, ids: Iterable[bytes], out: str) -> Index:
    """The index without some documents: nothing of them is left but that there was a row.

    Raises ConfigError, before anything is written, when one of the ids is not in it.
    """
    index = load_parts(path)
    key = pieces.KEY if issubclass(find(index.body["made_by"]["use"]), PieceBarrier) else dedup.KEY
    wanted = np.frombuffer(b"".join(sorted(set(ids))), f"V{ID_BYTES}")
    rows = []
    found = np.zeros(len(wanted), np.bool_)
    for part in index.parts:
        have = np.fromfile(part.ids, np.uint8).reshape(-1, ID_BYTES).copy().view(f"V{ID_BYTES}").ravel()
        at = np.flatnonzero(np.isin(have, wanted))
        found |= np.isin(wanted, have[at])
        rows.append(at)
    if not found.all():
        missing = [wanted[n].tobytes().hex() for n in np.flatnonzero(~found)]
        raise ConfigError(f"{path}: not in the index: {', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}")
    building = Path(f"{out}.parts")
    shutil.rmtree(building, ignore_errors=True)
    try:
        parts = [
            erase(part, at, building / str(number), key) if len(at) else part
            for number, (part, at) in enumerate(zip(index.parts, rows, strict=True))
        ]
        flags = [removed_before(part) for part in parts]
        for gone, at in zip(flags, rows, strict=True):
            gone[at] = 0
        save(out, index.body["made_by"], parts, flags)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return load(out)
