"""Filters: one file per family of signals. Importing the package registers every step in it.

To add one, write a frozen dataclass below `corpusmill.steps.Filter` under `@register` in a new file here, with its
cases in `tests/filters/`. Nothing else is edited.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
