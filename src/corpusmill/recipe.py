"""The recipe: sources, ordered steps, tokenizer, shards. A TOML file, a dict, or these frozen dataclasses.

Everything is checked before any work: unknown keys, wrong types, steps and signals that do not exist, models that are
missing. An error names the file and the line.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from corpusmill.carried import CarriedField, carried_columns, carried_fields
from corpusmill.document import DOCUMENT
from corpusmill.errors import ConfigError
from corpusmill.options import OFF, build, plain
from corpusmill.packing_options import OWN_STRATA, Shards, token_count
from corpusmill.soundness import check_steps
from corpusmill.steps import Barrier, Filter, Step, find
from corpusmill.tokenizer_options import Tokenizer


@dataclass(frozen=True)
class Source:
    """Where documents come from.

    `paths` are local paths, directories, globs or URIs. At most one of `weight` (share of the mix, relative to the
    other weights), `epochs` (times each document is used) and `tokens` (budget, "10B", "250M" or a number) is given;
    `max_epochs` is for this source what shards.max_epochs is for all.
    The first of `date_fields` that a record has is its date; bytes that are no UTF-8 put it into quarantine or are
    replaced; of HTML pages in WARC files only the `main_content` is taken, without navigation, header and footer.
    `fields` are carried along as columns `record.NAME`, see `carried.py`: `{ stars = "repo.stars:int" }`.
    """

    name: str
    paths: tuple[str, ...]
    format: Literal["jsonl", "parquet", "text", "warc", "wet"]
    weight: float | None = None
    epochs: float | None = None
    tokens: str | int | None = None
    max_epochs: float | None = None
    text_field: str = "text"
    url_field: str = "url"
    date_fields: tuple[str, ...] = ("date", "timestamp", "created")
    invalid_utf8: Literal["reject", "replace"] = "reject"
    main_content: bool = True
    fields: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", self.name):
            raise ConfigError(f"source name {self.name!r}; wanted 1 to 64 of A-Z a-z 0-9 _ . - and no leading dot")
        if not self.paths:
            raise ConfigError(f"source {self.name!r} has no paths")
        given = [name for name in ("weight", "epochs", "tokens") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ConfigError(f"source {self.name!r} has {' and '.join(given)}; wanted one of them at most")
        for name in ("weight", "epochs", "max_epochs"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"source {self.name!r}: {name} = {value}; wanted more than 0")
        if self.epochs is not None and self.max_epochs is not None:
            raise ConfigError(f"source {self.name!r} has epochs and max_epochs; wanted one of them at most")
        _ = self.token_budget, self.carried

    @property
    def carried(self) -> tuple[CarriedField, ...]:
        """The fields of its records that become columns. Raises ConfigError."""
        try:
            return carried_fields(self.fields)
        except ConfigError as error:
            raise ConfigError(f"source {self.name!r}: {error}") from None

    @property
    def token_budget(self) -> int | None:
        """`tokens` as a number. Raises ConfigError when it can't be read as one."""
        return None if self.tokens is None else token_count(self.tokens, f"source {self.name!r}: tokens")


@dataclass(frozen=True)
class Recipe:
    """All that decides the bytes of a run, besides the sources' own."""

    name: str
    sources: tuple[Source, ...]
    steps: tuple[Step, ...] = ()
    tokenizer: Tokenizer = field(default_factory=Tokenizer)
    shards: Shards = field(default_factory=Shards)
    seed: int = 0
    max_quarantine_ratio: float = 0.001
    measure_all: bool = False

    def __post_init__(self) -> None:
        if not self.sources:
            raise ConfigError("the recipe has no [[sources]]")
        names = [source.name for source in self.sources]
        if len({name.casefold() for name in names}) < len(names):
            raise ConfigError(f"two sources have the same name: {', '.join(sorted(names))}")
        if not 0 <= self.max_quarantine_ratio <= 1:
            raise ConfigError(f"max_quarantine_ratio = {self.max_quarantine_ratio}; wanted 0 to 1")
        if not 0 <= self.seed < 1 << 63:
            raise ConfigError(f"seed = {self.seed}; wanted 0 to 2**63 - 1")
        check_steps(self.steps, self.document_schema, names)
        self._check_mix()
        self._check_strata()

    def _check_mix(self) -> None:
        """What settles the size of the mix, or the shares, is given once."""
        stated = [source.name for source in self.sources if source.epochs is not None or source.tokens is not None]
        weighted = [source.name for source in self.sources if source.weight is not None]
        if weighted and len(weighted) < len(self.sources):
            raise ConfigError(f"only {', '.join(weighted)} of the sources has a weight; wanted all of them or none")
        if self.shards.tokens is not None and stated:
            raise ConfigError(f"shards.tokens, and epochs or tokens of {', '.join(stated)}; wanted one or the other")
        if self.shards.temperature is not None and (stated or weighted):
            raise ConfigError(
                f"shards.temperature, and weight, epochs or tokens of {', '.join(stated + weighted)}; "
                "wanted one or the other"
            )

    def _check_strata(self) -> None:
        """The signals that documents are divided by are numbers that some step makes."""
        self.shards.check_strata_count(len(self.sources))
        columns = {field.name: field.type for field in self.document_schema}
        for step in self.steps:
            columns.update(step.signals() if isinstance(step, (Filter, Barrier)) else {})
        fit = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
        numbers = sorted(name for name, kind in columns.items() if any(is_kind(kind) for is_kind in fit))
        for name in self.shards.strata_signals:
            if name not in numbers:
                raise ConfigError(
                    f"shards.strata.{name}: no such number; wanted one of {', '.join([*OWN_STRATA, *numbers])}"
                )

    @property
    def document_schema(self) -> pa.Schema:
        """What the readers yield: DOCUMENT and the carried fields of all sources. Raises ConfigError."""
        return pa.schema([*DOCUMENT, *carried_columns([source.carried for source in self.sources])])


def parse(body: Mapping[str, Any], where: Callable[[str, int, str], str] | None = None) -> Recipe:
    """A recipe from plain data. `where(table, position, key)` names a place for errors."""
    place = where or (lambda table, position, key: f"{table}[{position}].{key}" if table else key)
    values = dict(body)
    if not isinstance(values.get("sources", []), list) or not isinstance(values.get("steps", []), list):
        raise ConfigError(f"{place('', 0, 'sources')}: sources and steps are lists of tables: [[sources]], [[steps]]")
    values["sources"] = tuple(
        build(Source, entry, lambda key, n=n: place("sources", n, key))  # type: ignore[misc]
        for n, entry in enumerate(values.get("sources", []))
    )
    steps = []
    for n, entry in enumerate(values.get("steps", [])):
        options = dict(entry)
        try:
            cls = find(options.pop("use", ""))
        except ConfigError as error:
            raise ConfigError(f"{place('steps', n, 'use')}: {error}") from None
        steps.append(build(cls, options, lambda key, n=n: place("steps", n, key)))  # type: ignore[misc]
    values["steps"] = tuple(steps)
    return build(Recipe, values, lambda key: place("", 0, key))


def load(recipe: str | Path | Mapping[str, Any] | Recipe, settings: Sequence[str] = ()) -> Recipe:
    """A recipe from a TOML file, a dict or a Recipe, with `key=value` settings laid over it.

    A setting is `seed=3`, `shards.sequence_length=512`, `steps.NAME.option=value` or `sources.NAME.option=value`;
    the value is TOML, or else a string. Raises ConfigError.
    """
    body, text = _read(recipe)
    for setting in settings:
        _set(body, setting)
    return parse(body, None if text is None else _places(str(recipe), text))


def read_body(recipe: str | Path | Mapping[str, Any] | Recipe) -> dict[str, Any]:
    """A recipe as plain data of its own, nothing resolved or checked. Raises ConfigError where it can't be read."""
    return _read(recipe)[0]


def _read(recipe: str | Path | Mapping[str, Any] | Recipe) -> tuple[dict[str, Any], str | None]:
    """The data, and the text it was in."""
    if isinstance(recipe, Recipe):
        recipe = to_dict(recipe)
    if isinstance(recipe, Mapping):
        return json.loads(json.dumps(recipe)), None
    try:
        text = Path(recipe).read_text("utf-8")
        return tomllib.loads(text), text
    except OSError as error:
        raise ConfigError(f"{recipe}: can't read the recipe: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{recipe}: not TOML: {error}") from None


def _places(path: str, text: str) -> Callable[[str, int, str], str]:
    """Find the line of a key: the nth table of its name, then the key; the table's own line when there is none."""

    def where(table: str, position: int, key: str) -> str:
        seen, current, best = -1, "", 0
        head, _, tail = key.partition(".")
        for number, line in enumerate(text.splitlines(), 1):
            header = re.match(r"\s*\[\[?\s*([\w.-]+)", line)
            if header:
                current = header[1]
                seen += current == table and bool(table)
                if (table and current == table and seen == position) or (not table and current == head):
                    best = number
            inside = (current == table and seen == position) if table else current in ("", head)
            name = tail if not table and current == head and tail else head
            if inside and name and re.match(rf"\s*\"?{re.escape(name)}\"?\s*=", line):
                return f"{path}, line {number}"
        return f"{path}, line {best}" if best else path

    return where


def _set(body: dict[str, Any], setting: str) -> None:
    key, equals, raw = setting.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {setting!r}: wanted key=value, for example seed=3 or steps.language.min_score=0.5")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw
    node: Any = body
    if parts[0] in ("sources", "steps"):
        label = "name" if parts[0] == "sources" else "use"
        if len(parts) < 3:
            raise ConfigError(f"--set {setting!r}: wanted {parts[0]}.{label.upper()}.option=value")
        found = [entry for entry in body.get(parts[0], []) if entry.get(label) == parts[1]]
        if len(found) != 1:
            known = ", ".join(str(entry.get(label)) for entry in body.get(parts[0], [])) or "none"
            raise ConfigError(f"--set {setting!r}: {len(found)} {parts[0]} are called {parts[1]!r}; there are: {known}")
        node, parts = found[0], parts[2:]
    for part in parts[:-1]:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise ConfigError(f"--set {setting!r}: {part!r} is not a table")
    node[parts[-1]] = value


def to_dict(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain data, every default written out; `load` gives an equal recipe back."""
    body = plain(recipe)
    body["steps"] = [{"use": step.use, **plain(step)} for step in recipe.steps]
    return body


def to_toml(recipe: Recipe) -> str:
    """The resolved recipe as TOML."""
    body = to_dict(recipe)
    lines = [f"{key} = {_value(value)}" for key, value in body.items() if not isinstance(value, (list, dict))]
    for table in ("sources", "steps"):
        for entry in body[table]:
            lines += ["", f"[[{table}]]", *_pairs(entry)]
    for table in ("tokenizer", "shards"):
        lines += ["", f"[{table}]", *_pairs(body[table])]
    return "\n".join(lines) + "\n"


def _pairs(entry: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_value(value)}" for key, value in entry.items()]


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    if value is None:
        return f'"{OFF}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
