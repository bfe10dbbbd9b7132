"""Write docs/steps.md from the register of steps: `make docs`. A test fails when the file is not what this gives."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from pathlib import Path

import corpusmill.dedup
import corpusmill.filters  # noqa: F401  both packages register their steps
from corpusmill.errors import ConfigError
from corpusmill.options import OFF
from corpusmill.rules import Rule
from corpusmill.rules import shown as words
from corpusmill.steps import REGISTER, Barrier, Filter, Step

TARGET = Path(__file__).with_name("steps.md")
HEAD = """# Steps

Made by `make docs` from the code; edit the docstrings there. A step is a table `[[steps]]` of the recipe with `use` and
the options below. `"off"` switches an option off. Versions are part of every fingerprint: a step whose version changed
is done anew.
"""


def document(use: str, cls: type[Step]) -> str:
    """The section of one step."""
    kind = "barrier" if issubclass(cls, Barrier) else "filter"
    parts = [f"## `{use}`", f"{kind}, version {cls.version}, `{cls.__module__}`", inspect.getdoc(cls) or ""]
    options = ["| option | default |", "|---|---|"]
    for field in dataclasses.fields(cls):
        if field.init:
            options.append(f"| {field.name} | {shown(field)} |")
    parts.append("\n".join(options))
    step = example(cls)
    if isinstance(step, Filter):
        parts.append("Signals: " + ", ".join(f"`{name}` ({kind})" for name, kind in step.signals().items()))
        rules = [f"| {rule.name} | {rule.signal} {rule.comparison} {bound(rule)} |" for rule in step.rules()]
        if rules:
            parts.append("\n".join(["| rule | keeps documents with |", "|---|---|", *rules]))
    return "\n\n".join(parts)


def bound(rule: Rule) -> str:
    """What a rule wants, as the docs show it."""
    if rule.by is None:
        return words(rule.bound)
    return f"its bound by `{rule.by}`, else {words(rule.bound)}"


def shown(field: dataclasses.Field[object]) -> str:
    """The default as a recipe writes it."""
    if field.default is dataclasses.MISSING:
        return "required"
    if field.default is None:
        return f'"{OFF}"'
    if isinstance(field.default, bool):
        return str(field.default).lower()
    return str(list(field.default)) if isinstance(field.default, tuple) else repr(field.default).replace("'", '"')


def example(cls: type[Step]) -> Step | None:
    """The step with its defaults, or None where an option is required."""
    try:
        return cls()
    except (TypeError, ConfigError):
        return None


def text() -> str:
    """The whole page."""
    return HEAD + "\n" + "\n\n".join(document(use, cls) for use, cls in sorted(REGISTER.items())) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), "utf-8")
    sys.stdout.write(f"{TARGET.name}: {len(REGISTER)} steps\n")
