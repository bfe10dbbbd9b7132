"""Checkpoints of a training run, committed by `manifest.json`: what it does not name does not exist.

A training folder holds `manifest.json`, `checkpoint-00000050.pt` (the last ones, as many as `keep_checkpoints` says)
and `log.jsonl`. The log grows between checkpoints so that people can watch it; the manifest vouches for its length at
the last checkpoint, and going on from there cuts off the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from corpusmill import manifest
from corpusmill.errors import ConfigError, IntegrityError, NotCommitted
from corpusmill.storage import FileEntry, atomic_writer, check, sha256_of

KIND = "corpusmill training"
LOG = "log.jsonl"
MANIFEST = manifest.RUN_MANIFEST


def commit(folder: Path, content: Mapping[str, Any], facts: Mapping[str, Any], keep: int = 1) -> None:
    """Save `content` (tensors, numbers, strings, dicts and lists of them) as the checkpoint of `facts["step"]`.

    `facts` go into the manifest; `keep` checkpoints stay, this one first. Until the manifest is in place the checkpoint
    before this one is the valid one.
    """
    path = folder / _name(facts["step"])
    with atomic_writer(str(path)) as sink:
        torch.save(dict(content), sink)  # type: ignore[arg-type]
    log = folder / LOG
    with log.open("rb") as file:
        os.fsync(file.fileno())
    older = [entry for entry in checkpoints(facts_of(folder) or {}) if entry.path < path.name][: keep - 1]
    files = [
        FileEntry(path.name, sink.bytes, sink.sha256),
        *older,
        FileEntry(LOG, log.stat().st_size, sha256_of(str(log))),
    ]
    manifest.commit(str(folder / MANIFEST), {"kind": KIND, "files": [entry.to_json() for entry in files], **facts})
    _sweep(folder, {entry.path for entry in files})


def facts_of(folder: Path) -> dict[str, Any] | None:
    """The manifest of a training folder, None when there is none.

    Raises ConfigError when the folder belongs to something else, IntegrityError when the manifest was changed.
    """
    if not (folder / MANIFEST).exists():
        return None
    facts = manifest.load(str(folder / MANIFEST))
    if facts.get("kind") != KIND:
        raise ConfigError(f"{folder}/{MANIFEST} was not written by a training run; train into a folder of its own")
    return facts


def found(folder: Path) -> dict[str, Any]:
    """`facts_of` a folder that must have been trained in. Raises NotCommitted when there is no checkpoint."""
    facts = facts_of(folder)
    if facts is None:
        raise NotCommitted(f"{folder}: no checkpoint; `corpusmill train SHARDS --out {folder}` makes one")
    return facts


def checkpoints(facts: Mapping[str, Any]) -> list[FileEntry]:
    """The checkpoints that a manifest names, the last one first."""
    return [entry for entry in manifest.entries(facts) if entry.path != LOG] if facts else []


def last_before(facts: Mapping[str, Any], step: int) -> FileEntry | None:
    """The last checkpoint made before step `step` was, None where none is left."""
    return next((entry for entry in checkpoints(facts) if entry.path < _name(step)), None)


def restore(folder: Path, entry: FileEntry) -> dict[str, Any]:
    """What `commit` saved, tensors on the CPU. Raises IntegrityError when the file is not what the manifest says."""
    check(entry, str(folder), content=True)
    # weights_only: a checkpoint can hold tensors and plain data, never code to run.
    content: dict[str, Any] = torch.load(folder / entry.path, map_location="cpu", weights_only=True)
    return content


def rewind(folder: Path, facts: Mapping[str, Any] | None) -> None:
    """Cut the log back to where the checkpoint was made (to nothing without one); drop what a killed run left behind.

    Raises IntegrityError when the log is shorter than it was then, or its start has changed.
    """
    log = folder / LOG
    if facts is None:
        log.write_bytes(b"")
        _sweep(folder, ())
        return
    entry = manifest.entries(facts)[-1]
    if log.exists() and log.stat().st_size > entry.bytes:
        os.truncate(log, entry.bytes)
    try:
        check(entry, str(folder), content=True)
    except IntegrityError as error:
        raise IntegrityError(f"{folder}: {error}; the log was changed by hand: train into a new folder") from None
    _sweep(folder, {entry.path for entry in checkpoints(facts)})


def go_back(folder: Path, step: int) -> None:
    """Make the checkpoint of `step` the last one; later ones and the log's later lines go.

    Raises ConfigError where that checkpoint is not kept, IntegrityError where the files are not as the manifest says.
    """
    facts = found(folder)
    kept = [entry for entry in checkpoints(facts) if entry.path <= _name(step)]
    if not kept or kept[0].path != _name(step):
        steps = ", ".join(str(int(entry.path[len("checkpoint-") : -len(".pt")])) for entry in checkpoints(facts))
        raise ConfigError(f"{folder} has no checkpoint of step {step}, only of {steps}; keep_checkpoints keeps more")
    rewind(folder, facts)
    check(kept[0], str(folder), content=True)
    log = folder / LOG
    lines = log.read_text("utf-8").splitlines(keepends=True)
    data = "".join(line for line in lines if json.loads(line)["step"] <= step).encode()
    # The log is longer than the manifest says until it is cut: a kill in between leaves what `rewind` cuts.
    entry = FileEntry(LOG, len(data), hashlib.sha256(data).hexdigest())
    files = [each.to_json() for each in [*kept, entry]]
    manifest.commit(str(folder / MANIFEST), {**facts, "files": files, "step": step})
    rewind(folder, facts_of(folder))


def _name(step: int) -> str:
    return f"checkpoint-{step:08d}.pt"


def _sweep(folder: Path, keep: Collection[str]) -> None:
    """Delete the checkpoints, whole or begun, that the manifest does not name."""
    for pattern in ("checkpoint-*.pt", ".checkpoint-*.tmp"):
        for path in folder.glob(pattern):
            if path.name not in keep:
                path.unlink()
