"""Filters: one file per family of signals. Importing the package registers every step in it.

To add one, write a frozen dataclass below `corpusmill.steps.Filter` under `@register` in a new file here, with its
cases in `tests/filters/`. Nothing else is edited.
"""

from importlib import import_module
from pkgutil import walk_packages

for _module in walk_packages(__path__, f"{__name__}."):
    import_module(_module.name)
