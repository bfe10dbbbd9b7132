"""What corpusmill's own manifest beside exported files says of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from corpusmill import manifest
from corpusmill.errors import ConfigError, IntegrityError, NotCommitted
from corpusmill.storage import FileEntry
from corpusmill.tokenize.export.folder import FORMAT

KEEPS_IDS = ("mds", "olmo", "hf")
"""Formats in which an export holds each document's id and source."""


class Origin:
    """An export's manifest: `root` its folder, `body` what it says."""

    def __init__(self, root: Path, body: dict[str, Any]) -> None:
        self.root, self.body = root, body
        self._entries = {str(root / entry.path): entry for entry in manifest.entries(body)}

    @staticmethod
    def of(path: Path) -> Origin | None:
        """The manifest in a folder of files or the one above it, if it is of an export."""
        given = path.absolute()
        folder = given if given.is_dir() else given.parent
        for root in (folder, folder.parent):
            try:
                body = manifest.load(str(root / manifest.RUN_MANIFEST))
            except (NotCommitted, IntegrityError):
                continue
            if body.get("format") == FORMAT:
                return Origin(root, body)
        return None

    def check(self, reader: str, tokenizer: str) -> None:
        """Raise ConfigError where the export is of something else."""
        if self.body["to"] != reader:
            raise ConfigError(f"{self.root}: exported --to {self.body['to']}; give --from {self.body['to']}")
        if self.body["what"] != "documents":
            raise ConfigError(
                f"{self.root}: holds packed rows, in which documents are cut and lie in pieces; export the run again "
                "with --what documents, and import that"
            )
        if self.body["tokenizer"] != tokenizer:
            raise ConfigError(
                f"{self.root}: tokens of the tokenizer with sha256 {self.body['tokenizer'][:16]}…, got one with "
                f"{tokenizer[:16]}…; give the tokenizer.json of the run that was exported"
            )

    @property
    def keeps_ids(self) -> bool:
        """Whether the files hold ids and sources."""
        return self.body["to"] in KEEPS_IDS

    @property
    def dtype(self) -> str:
        """The type of the tokens."""
        return str(self.body["dtype"])

    @property
    def sources(self) -> list[str]:
        """The names of the run's sources, in their order."""
        return [str(name) for name in self.body["sources"]]

    @property
    def units(self) -> list[tuple[str, int]]:
        """Names of the run's token files and their documents, in order; nothing where one is no plain name."""
        found = [(str(name), int(documents)) for name, documents in self.body["units"]]
        return found if all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.~-]*", name) for name, _ in found) else []

    @property
    def source(self) -> str | None:
        """The only source, where there is no more than one."""
        return self.sources[0] if len(self.sources) == 1 else None

    def check_file(self, path: Path, sha256: str) -> None:
        """Raise IntegrityError unless the file is the one that was exported."""
        entry: FileEntry | None = self._entries.get(str(path.absolute()))
        if entry is None or entry.sha256 != sha256:
            raise IntegrityError(
                f"{path}: not what {self.root / manifest.RUN_MANIFEST} says of it; copy it anew, or take the manifest "
                "away to import the files as they are"
            )
