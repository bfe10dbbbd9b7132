"""Checkpoints of a training run, committed by `manifest.json`: what it does not name does not exist.

A training folder holds `manifest.json`, `checkpoint-00000050.pt` (the last one only) and `log.jsonl`. The log grows
between checkpoints so that people can watch it; the manifest vouches for its length at the checkpoint, and going on
from there cuts off the rest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from corpusmill import manifest
from corpusmill.errors import ConfigError, IntegrityError
from corpusmill.storage import FileEntry, atomic_writer, check, sha256_of

KIND = "corpusmill training"
LOG = "log.jsonl"
MANIFEST = manifest.RUN_MANIFEST


def commit(folder: Path, content: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Save `content` (tensors, numbers, strings, dicts and lists of them) as the checkpoint of `facts["step"]`.

    `facts` go into the manifest. Until the manifest is in place the checkpoint before this one is the valid one.
    """
    path = folder / f"checkpoint-{facts['step']:08d}.pt"
    with atomic_writer(str(path)) as sink:
        torch.save(dict(content), sink)  # type: ignore[arg-type]
    log = folder / LOG
    with log.open("rb") as file:
        os.fsync(file.fileno())
    files = [
        FileEntry(path.name, sink.bytes, sink.sha256),
        FileEntry(LOG, log.stat().st_size, sha256_of(str(log))),
    ]
    manifest.commit(str(folder / MANIFEST), {"kind": KIND, "files": [entry.to_json() for entry in files], **facts})
    _sweep(folder, path.name)


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


def restore(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What `commit` saved, tensors on the CPU. Raises IntegrityError when the file is not what the manifest says."""
    entry = manifest.entries(facts)[0]
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
        _sweep(folder, None)
        return
    saved, entry = manifest.entries(facts)
    if log.exists() and log.stat().st_size > entry.bytes:
        os.truncate(log, entry.bytes)
    try:
        check(entry, str(folder), content=True)
    except IntegrityError as error:
        raise IntegrityError(f"{folder}: {error}; the log was changed by hand: train into a new folder") from None
    _sweep(folder, saved.path)


def _sweep(folder: Path, keep: str | None) -> None:
    """Delete the checkpoints, whole or begun, that the manifest does not name."""
    for pattern in ("checkpoint-*.pt", ".checkpoint-*.tmp"):
        for path in folder.glob(pattern):
            if path.name != keep:
                path.unlink()
