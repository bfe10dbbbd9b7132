"""Options from outside (TOML, `--set`, keyword arguments) into frozen dataclasses, checked key by key.

TOML has no null: the string "off" stands for None wherever a field allows it.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from corpusmill.errors import ConfigError

T = TypeVar("T")
OFF = "off"


def build(cls: type[T], values: Mapping[str, Any], where: Callable[[str], str] = lambda key: key) -> T:
    """An instance of the dataclass `cls`. `where(key)` names the place of a key in an error.

    Raises ConfigError for unknown keys, missing keys and wrong types.
    """
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise ConfigError(f"{where(key)}: unknown key {key!r}; allowed: {', '.join(sorted(fields)) or 'none'}")
    hints = typing.get_type_hints(cls)
    arguments = {key: convert(value, hints[key], key, where) for key, value in values.items()}
    for name, f in fields.items():
        if name not in arguments and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where(name)}: {name!r} is missing; wanted {describe(hints[name])}")
    try:
        return cls(**arguments)
    except ConfigError as error:
        raise ConfigError(f"{where('')}: {error}") from None


def convert(value: Any, hint: Any, key: str, where: Callable[[str], str] = lambda key: key) -> Any:
    """`value` of `key` as the type `hint`: lists become tuples, whole numbers fit float fields. Raises ConfigError."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if types.NoneType in arguments and value in (None, OFF):
            return None
        for option in arguments:
            if option is not types.NoneType and fits(value, option):
                return convert(value, option, key, where)
    elif fits(value, hint):
        if origin is tuple:
            return tuple(convert(item, arguments[0], key, where) for item in value)
        if origin is dict:
            return {name: convert(value[name], arguments[1], f"{key}.{name}", where) for name in sorted(value)}
        if is_options(hint) and not isinstance(value, hint):
            return build(hint, value, lambda inner: where(f"{key}.{inner}".rstrip(".")))
        return float(value) if hint is float else value
    raise ConfigError(f"{where(key)}: got {value!r}; wanted {describe(hint)}")


def is_options(hint: Any) -> bool:
    """Whether `hint` is a dataclass, which a table stands for."""
    return dataclasses.is_dataclass(hint)


def fits(value: Any, hint: Any) -> bool:
    """Whether `value` can stand for a field of type `hint`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin is typing.Literal:
        return any(type(value) is type(option) and value == option for option in arguments)
    if origin is tuple:
        return isinstance(value, (list, tuple)) and all(fits(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, Mapping) and all(
            isinstance(name, str) and fits(item, arguments[1]) for name, item in value.items()
        )
    if origin in (types.UnionType, typing.Union):
        return any(fits(value, option) for option in arguments) or (types.NoneType in arguments and value == OFF)
    if is_options(hint):
        return isinstance(value, (Mapping, hint))
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, typing.get_origin(hint) or hint)


def describe(hint: Any) -> str:
    """A type in words for error messages."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(repr(option) for option in arguments)
    if origin is tuple:
        return f"a list of {describe(arguments[0])}"
    if origin is dict:
        return f"a table with {describe(arguments[1])} for each name"
    if origin in (types.UnionType, typing.Union):
        return " or ".join(f'"{OFF}"' if option is types.NoneType else describe(option) for option in arguments)
    if is_options(hint):
        return "a table"
    return {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}.get(hint, str(hint))


def plain(instance: Any) -> dict[str, Any]:
    """The fields of a dataclass as data that `build` turns into an equal instance."""
    return {f.name: _plain(getattr(instance, f.name)) for f in dataclasses.fields(instance) if f.init}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return plain(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value
