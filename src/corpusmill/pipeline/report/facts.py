"""What the report knows of a run: its ledger, its resolved recipe, and the manifests of its stages."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import corpusmill.dedup
import corpusmill.filters  # noqa: F401  both register their steps
from corpusmill import manifest
from corpusmill.errors import ConfigError, IntegrityError
from corpusmill.options import build
from corpusmill.steps import Barrier, Filter, Step, find
from corpusmill.storage import join, read_bytes, size

Json = Mapping[str, Any]

_TAIL_KINDS = ("tokenizer", "tokenize", "pack")
_TOML_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LOCAL_ROOT = re.compile(r"(?:file://)?(?:/(?=[\w.-])|~/|[A-Za-z]:[\\/])")


@dataclass(frozen=True)
class StepFact:
    """A `[[steps]]` entry: its name, and the step where it can be built here (its model may be elsewhere)."""

    use: str
    step: Step | None


@dataclass(frozen=True)
class StageFact:
    """A stage with an account in the ledger: the recipe's steps in it and its manifest, where there is one."""

    name: str
    account: Json
    steps: tuple[StepFact, ...]
    manifest: Json

    @property
    def filters(self) -> list[Filter]:
        """The filters of the stage that could be built."""
        return [fact.step for fact in self.steps if isinstance(fact.step, Filter)]

    @property
    def barriers(self) -> list[Barrier]:
        """The barrier of the stage, if it is a barrier's and it could be built."""
        return [fact.step for fact in self.steps if isinstance(fact.step, Barrier)]


@dataclass(frozen=True)
class Facts:
    """Everything the report is made of.

    ledger    body of ledger.json
    recipe    parsed recipe.toml, empty when there is none
    text      recipe.toml with absolute local paths shortened
    stages    the ledger's stages, in order
    tail      kind → manifest of the tokenizer, tokenize and pack stages, as far as they are committed
    """

    directory: str
    ledger: Json
    recipe: Json
    text: str
    stages: tuple[StageFact, ...]
    tail: Mapping[str, Json]

    @property
    def pack(self) -> Json:
        """The figures of the packing, empty when nothing was packed."""
        return self.tail.get("pack", {}).get("pack", {})

    def steps(self) -> Iterator[StepFact]:
        """All steps of the recipe, in order."""
        for stage in self.stages:
            yield from stage.steps


def load(directory: str) -> Facts:
    """Read what the run in `directory` committed. Raises NotCommitted without a ledger, IntegrityError."""
    ledger = _parsed_ledger(join(directory, "ledger.json"))
    recipe, text = _recipe(join(directory, "recipe.toml"))
    groups = step_groups([_built(entry) for entry in recipe.get("steps", [])])
    stages = []
    for position, account in enumerate(ledger["stages"]):
        steps = groups[position] if position < len(groups) else ()
        body = _manifest(directory, account["name"])
        stages.append(StageFact(account["name"], account, steps, body))
    numbers = range(1, len(stages) + len(groups) + len(_TAIL_KINDS) + 1)
    tail = {kind: body for kind in _TAIL_KINDS for n in numbers if (body := _manifest(directory, f"{n}-{kind}"))}
    return Facts(directory, ledger, recipe, text, tuple(stages), tail)


def step_groups(steps: Sequence[StepFact]) -> list[tuple[StepFact, ...]]:
    """The steps of each stage: filters between two barriers are one stage, a barrier is one, filters come first."""
    groups: list[list[StepFact]] = [[]]
    for fact in steps:
        barrier = isinstance(fact.step, Barrier)
        if barrier or (groups[-1] and isinstance(groups[-1][-1].step, Barrier)):
            groups.append([fact])
        else:
            groups[-1].append(fact)
    return [tuple(group) for group in groups]


def shorten_path(path: str) -> str:
    """An absolute local path cut to what says the same on every machine; others as they are.

    `/data/crawl/*.gz` becomes `…/*.gz`, `/data/crawl` becomes `…/crawl`.
    """
    if not _LOCAL_ROOT.match(path):
        return path
    parts = [part for part in re.split(r"[\\/]+", path) if part]
    pattern = next((n for n, part in enumerate(parts) if set(part) & set("*?[")), len(parts) - 1)
    return "…/" + "/".join(parts[pattern:])


def shorten_paths(toml: str) -> str:
    """Absolute local paths in the strings of a TOML text shortened."""
    return _TOML_STRING.sub(lambda found: f'"{shorten_path(found[0][1:-1])}"', toml)


def _parsed_ledger(path: str) -> Json:
    try:
        body = json.loads(read_bytes(path))
        missing = {"documents", "bytes", "tokens", "sources", "stages"} - set(body)
    except (ValueError, TypeError) as error:
        raise IntegrityError(f"{path}: not a ledger ({error}); run the recipe again") from error
    if missing:
        raise IntegrityError(f"{path}: not a ledger, {', '.join(sorted(missing))} missing; run the recipe again")
    return dict(body)


def _recipe(path: str) -> tuple[Json, str]:
    if size(path) is None:
        return {}, ""
    try:
        text = read_bytes(path).decode()
        return tomllib.loads(text), shorten_paths(text)
    except ValueError as error:
        raise IntegrityError(f"{path}: not TOML ({error}); restore it or run the recipe again") from error


def _built(entry: Mapping[str, Any]) -> StepFact:
    options = dict(entry)
    use = str(options.pop("use", ""))
    try:
        return StepFact(use, build(find(use), options))
    except ConfigError:
        return StepFact(use, None)  # a model of the run that is not on this machine: the rules can't be known


def _manifest(directory: str, stage: str) -> Json:
    path = join(directory, "stages", f"{stage}.json")
    return manifest.load(path) if size(path) is not None else {}
