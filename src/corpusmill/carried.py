"""Fields of a source's records that are carried along as columns `record.NAME`: a licence, stars, a declared language.

A source says `fields = { stars = "repo.stars:int", licence = "license" }`: the column's name, then where the value is
in the record, then its type (`string` where none is given). Rules and steps read them like any signal.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from corpusmill.errors import ConfigError

KINDS = {"string": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
_SURROGATES = re.compile("[\ud800-\udfff]")


def without_surrogates(text: str) -> str:
    """U+FFFD for every lone surrogate: JSON lets them through, UTF-8 has no bytes for them."""
    return _SURROGATES.sub("\ufffd", text)


@dataclass(frozen=True)
class CarriedField:
    """One field: the column `record.{name}` of type `KINDS[kind]`, found at `path` (dots go into objects)."""

    name: str
    path: str
    kind: str

    @property
    def column(self) -> pa.Field:
        """The column of the documents."""
        return pa.field(f"record.{self.name}", KINDS[self.kind])

    def key_among(self, names: Collection[str]) -> str:
        """The key of a record with the keys `names` that holds the value: the whole path, or else its first part."""
        return self.path if self.path in names else self.path.partition(".")[0]


def carried_fields(fields: Mapping[str, str]) -> tuple[CarriedField, ...]:
    """The fields that a recipe's table names. Raises ConfigError for a name, path or type that can't be."""
    found = []
    for name, given in sorted(fields.items()):
        path, _, kind = given.rpartition(":") if ":" in given else (given, "", "string")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", name) or not path or kind not in KINDS:
            raise ConfigError(
                f'fields.{name} = {given!r}; wanted NAME = "path:type", the name of A-Z a-z 0-9 _, '
                f"the type one of {', '.join(KINDS)}"
            )
        found.append(CarriedField(name, path, kind))
    return tuple(found)


def carried_columns(sources: Sequence[tuple[CarriedField, ...]]) -> list[pa.Field]:
    """The columns of all sources together, by name. Raises ConfigError where two give one name different types."""
    columns: dict[str, pa.Field] = {}
    for field in (field.column for fields in sources for field in fields):
        if columns.setdefault(field.name, field).type != field.type:
            raise ConfigError(f"two sources carry {field.name}, as {columns[field.name].type} and as {field.type}")
    return [columns[name] for name in sorted(columns)]


def carried_values(record: Mapping[str, Any], fields: Sequence[CarriedField]) -> tuple[list[Any], bool]:
    """The values of `fields` in a record, None where it has none; and whether one could not be read as its type."""
    values, unreadable = [], False
    for field in fields:
        value = _find(record, field.path)
        read = None if value is None else _read(value, field.kind)
        unreadable |= value is not None and read is None
        values.append(read)
    return values, unreadable


def _find(record: Mapping[str, Any], path: str) -> Any:
    """The value under the whole path as one key, or else from object to object."""
    if path in record:
        return record[path]
    head, dot, rest = path.partition(".")
    inner = record.get(head)
    return _find(inner, rest) if dot and isinstance(inner, Mapping) else None


def _read(value: Any, kind: str) -> Any:
    """`value` as its type, None where it is none: numbers may be written as strings, lists become one string."""
    if kind == "string":
        return _string(value)
    if kind == "bool":
        return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).strip().lower())
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
        if kind == "float":
            return number if math.isfinite(number) else None
        whole = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return whole if whole == number and abs(whole) < 1 << 63 else None


def _string(value: Any) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, (list, tuple)):
        text = ", ".join(map(_string, value))
    else:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return without_surrogates(text)
