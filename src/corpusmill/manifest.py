"""Manifests: the commit record of a stage. What no manifest names does not exist.

A manifest is JSON with sorted keys and the sha256 of its own other keys, so a changed byte in it is found too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from corpusmill.errors import IntegrityError
from corpusmill.storage import Durable, FileEntry, read_bytes, size, write_bytes

RUN_MANIFEST = "manifest.json"
SELF = "manifest_sha256"


def canonical(body: Any) -> bytes:
    """JSON with sorted keys, one way to write each value."""
    return json.dumps(body, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def fingerprint(body: Any) -> str:
    """sha256, hex, of `canonical(body)`: two stages with the same fingerprint give the same bytes."""
    return hashlib.sha256(canonical(body)).hexdigest()


def commit(path: str, body: Mapping[str, Any], *, durable: Durable = True) -> str:
    """Write a manifest; gives the sha256 of the file. `durable` as for `storage.atomic_writer`."""
    return write_bytes(path, canonical({**body, SELF: fingerprint(body)}), durable=durable)


def load(path: str) -> dict[str, Any]:
    """Read a manifest. Raises NotCommitted when there is none, IntegrityError when it was changed."""
    raw = read_bytes(path)
    try:
        body = json.loads(raw)
        claimed = body.pop(SELF)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise IntegrityError(f"{path}: not a manifest ({error}); restore it or run the recipe again") from error
    if fingerprint(body) != claimed or canonical({**body, SELF: claimed}) != raw:
        raise IntegrityError(f"{path}: its content does not match the hash in it; it was changed after it was written")
    return body


def entries(body: Mapping[str, Any]) -> list[FileEntry]:
    """The files a manifest names."""
    return [FileEntry(**entry) for entry in body["files"]]


def is_current(path: str, wanted_fingerprint: str, directory: str) -> dict[str, Any] | None:
    """The manifest at `path` if it has this fingerprint and its files are there at their sizes, else None."""
    if size(path) is None:
        return None
    try:
        body = load(path)
    except IntegrityError:
        return None
    if body.get("fingerprint") != wanted_fingerprint:
        return None
    whole = all(size(f"{directory.rstrip('/')}/{entry.path}") == entry.bytes for entry in entries(body))
    return body if whole else None
