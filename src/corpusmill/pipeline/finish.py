"""The end of a run: the ledger adds up, the report is written, and the run's manifest names every file that counts."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpusmill import ledger, manifest
from corpusmill.ledger import Tally
from corpusmill.pipeline.directory import Record, RunDirectory
from corpusmill.pipeline.job import Run
from corpusmill.pipeline.report import write_report
from corpusmill.recipe import to_toml
from corpusmill.storage import FileEntry, is_local, sha256_of, size, write_bytes


def finish(job: Run, bodies: Sequence[Record]) -> dict[str, Any]:
    """Write recipe.toml, ledger.json, report.html and manifest.json; gives the ledger's body. Raises LedgerError."""
    directory = job.directory
    tallies = {body["stage"]: Tally.from_json(body["tally"]) for body in bodies if body["tally"]}
    pack = bodies[-1]["pack"]
    account = ledger.ledger_json(tallies, pack["ledger"])
    raw = {"recipe.toml": to_toml(job.recipe).encode(), "ledger.json": manifest.canonical(account)}
    files = [_write(directory.path(name), name, data) for name, data in raw.items()]
    files.append(write_report(directory.root))
    stages = []
    for body in bodies:
        path = f"stages/{body['stage']}.json"
        stages.append({"stage": body["stage"], "path": path, "sha256": sha256_of(directory.path(path))})
    manifest.commit(
        directory.path(manifest.RUN_MANIFEST),
        {
            "name": job.recipe.name,
            "corpusmill": importlib.metadata.version("corpusmill"),
            "fingerprint": manifest.fingerprint(stages),
            "stages": stages,
            "files": [file.to_json() for file in files],
        },
    )
    if is_local(directory.root):
        for leftover in Path(directory.root).rglob(".*.tmp"):
            leftover.unlink(missing_ok=True)
    return account


def _write(path: str, name: str, data: bytes) -> FileEntry:
    digest = write_bytes(path, data)
    return FileEntry(name, size(path) or 0, digest)


def recommit(directory: RunDirectory) -> None:
    """Write the report of a finished run anew, and the manifest that names it."""
    body = manifest.load(directory.path(manifest.RUN_MANIFEST))
    report = write_report(directory.root).to_json()
    body["files"] = [report if entry["path"] == report["path"] else entry for entry in body["files"]]
    manifest.commit(directory.path(manifest.RUN_MANIFEST), body)
