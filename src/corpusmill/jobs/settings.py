"""`--set key=value` arguments."""

from __future__ import annotations

from collections.abc import Sequence

from corpusmill.errors import ConfigError


def pairs(settings: Sequence[str]) -> dict[str, str]:
    """Key → value as text. Raises ConfigError for a setting without `=`."""
    result: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {setting!r}: wanted KEY=VALUE")
        result[key.strip()] = value.strip()
    return result
