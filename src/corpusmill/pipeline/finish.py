"""The end of a run: the ledger adds up, the report is written, and the run's manifest names every file that counts."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpusmill import ledger, manifest
from corpusmill.ledger import Tally
from corpusmill.pipeline.directory import Record, RunDirectory
from corpusmill.pipeline.job import Run
from corpusmill.pipeline.report import write_report
from corpusmill.recipe import to_toml
from corpusmill.storage import FileEntry, is_local, read_bytes, sha256_of, write_bytes


def finished(job: Run, bodies: Sequence[Record]) -> dict[str, Any] | None:
    """The ledger's body when the run is committed already with these stages, else None."""
    directory = job.directory
    mark = manifest.fingerprint(committed_stages(directory, bodies))
    if manifest.is_current(directory.path(manifest.RUN_MANIFEST), mark, directory.root) is None:
        return None
    account: dict[str, Any] = json.loads(read_bytes(directory.path("ledger.json")))
    return account


def committed_stages(directory: RunDirectory, bodies: Sequence[Record]) -> list[Record]:
    """Name, path and sha256 of each stage's manifest."""
    paths = {body["stage"]: f"stages/{body['stage']}.json" for body in bodies}
    return [{"stage": name, "path": path, "sha256": sha256_of(directory.path(path))} for name, path in paths.items()]


def finish(job: Run, bodies: Sequence[Record]) -> dict[str, Any]:
    """Write recipe.toml, ledger.json, report.html and manifest.json; gives the ledger's body. Raises LedgerError."""
    directory = job.directory
    tallies = {body["stage"]: Tally.from_json(body["tally"]) for body in bodies if body["tally"]}
    pack = bodies[-1]["pack"]
    account = ledger.ledger_json(tallies, pack)
    raw = {"recipe.toml": to_toml(job.recipe).encode(), "ledger.json": manifest.canonical(account)}
    files = [_write(directory.path(name), name, data) for name, data in raw.items()]
    files.append(write_report(directory.root))
    stages = committed_stages(directory, bodies)
    manifest.commit(
        directory.path(manifest.RUN_MANIFEST),
        {
            "name": job.recipe.name,
            "corpusmill": importlib.metadata.version("corpusmill"),
            "fingerprint": manifest.fingerprint(stages),
            "dataset": pack["id"],
            "stages": stages,
            "files": [file.to_json() for file in files],
        },
    )
    if is_local(directory.root):
        for leftover in Path(directory.root).rglob(".*.tmp"):
            leftover.unlink(missing_ok=True)
    return account


def _write(path: str, name: str, data: bytes) -> FileEntry:
    return FileEntry(name, len(data), write_bytes(path, data))


def recommit(directory: RunDirectory) -> None:
    """Write the report of a finished run anew, and the manifest that names it."""
    body = manifest.load(directory.path(manifest.RUN_MANIFEST))
    report = write_report(directory.root).to_json()
    body["files"] = [report if entry["path"] == report["path"] else entry for entry in body["files"]]
    manifest.commit(directory.path(manifest.RUN_MANIFEST), body)
