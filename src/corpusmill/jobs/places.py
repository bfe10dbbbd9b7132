"""What a folder on the command line is, and the message where a command wants another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from corpusmill.errors import ConfigError, NotCommitted
from corpusmill.manifest import RUN_MANIFEST, load
from corpusmill.pipeline.directory import Record, RunDirectory, run_directory
from corpusmill.storage import is_local, join, size
from corpusmill.tokenize.export.folder import FORMAT as EXPORT_FORMAT
from corpusmill.tokenize.shards.layout import FORMAT as SHARDS_FORMAT

RUN, SHARDS, EXPORT = "a finished run", "a folder of shards", "an export"
OTHER = "no finished run, though it has a manifest"


def kind_of(body: dict[str, Any]) -> str:
    """What a folder with this manifest is."""
    if "stages" in body:
        return RUN
    formats = {SHARDS_FORMAT: SHARDS, EXPORT_FORMAT: EXPORT}
    return formats.get(body.get("format", ""), f"a {body['kind']}" if "kind" in body else OTHER)


def manifest_of(directory: RunDirectory, wanted: str) -> dict[str, Any]:
    """The manifest of a folder; `wanted` says in the message what it should have been.

    Raises ConfigError for a file, NotCommitted for no folder or one without a manifest, IntegrityError.
    """
    root = directory.root
    if is_local(root) and Path(root).is_file():
        raise ConfigError(f"{root} is a file; wanted {wanted}")
    if is_local(root) and not Path(root).is_dir():
        raise NotCommitted(f"{root}: there is no such folder; wanted {wanted}. Was it moved, or never finished?")
    if size(directory.path(RUN_MANIFEST)) is None:
        raise NotCommitted(
            f"{root}: there is no {RUN_MANIFEST} in it; wanted {wanted}. A run that never finished has none: give its "
            "command again"
        )
    return load(directory.path(RUN_MANIFEST))


def finished_run(path: str) -> tuple[RunDirectory, list[Record]]:
    """A finished run's directory and the manifests of its stages. Raises what `manifest_of` does, and ConfigError."""
    directory = run_directory(path)
    body = manifest_of(directory, RUN)
    if kind_of(body) != RUN:
        raise ConfigError(f"{directory.root} is {kind_of(body)}; wanted {RUN}, the folder that `run --out` names")
    return directory, [load(directory.path(stage["path"])) for stage in body["stages"]]


def shards_of(path: str) -> str:
    """The folder of shards in a run, or the one given. Raises what `manifest_of` does, and ConfigError."""
    directory = run_directory(path)
    inside = directory.path("shards")
    if size(join(inside, RUN_MANIFEST)) is not None:
        return inside
    wanted = f"{RUN} or {SHARDS}"
    kind = kind_of(manifest_of(directory, wanted))
    if kind != SHARDS:
        raise ConfigError(
            f"{directory.root} is {kind}{', without its shards/' if kind == RUN else ''}; wanted {wanted}"
        )
    return directory.root


def check_folder(path: str, option: str = "--out") -> None:
    """Raise ConfigError where a file is in the way of a folder to write."""
    if is_local(path):
        taken = next((each for each in (Path(path), *Path(path).parents) if each.is_file()), None)
        if taken is not None:
            raise ConfigError(f"{option} {path}: {taken} is a file; name a folder")


def imported(stages: list[Record]) -> bool:
    """Whether a run was made by `import`: it has tokens, and never had texts."""
    return all(stage["kind"] in ("tokenize", "pack") for stage in stages)
