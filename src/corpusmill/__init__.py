"""corpusmill: raw text in, packed token shards out, every document accounted for.

    import corpusmill as cm

    cm.run("recipe.toml", "out")                       # the same as `corpusmill run recipe.toml --out out`
    cm.measure(["some text"], "gopher_quality")        # signals, keep, reasons, text: a pyarrow.Table
    cm.near_duplicates(["a text", "another"])          # clusters of indices
    cm.scrub("mail me at ann@mill.org")                # the clean text and the spans found
    cm.Packed("out/shards")[0].tokens                  # packed rows, mapped; .gather([3, 1]) brings many together
    cm.trainer.batches("out/shards", batch_rows=8)     # needs the extra `train`

Nothing is imported before it is used: `measure` needs no Beam, and only the trainer needs torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corpusmill import trainer
    from corpusmill.dedup.near_duplicates import near_duplicates
    from corpusmill.filters.measure import measure
    from corpusmill.filters.pii.pii import scrub
    from corpusmill.pipeline.build import run
    from corpusmill.recipe import Recipe
    from corpusmill.tokenize.shards.packed import Packed

_HOMES = {
    "Packed": "corpusmill.tokenize.shards.packed",
    "Recipe": "corpusmill.recipe",
    "measure": "corpusmill.filters.measure",
    "near_duplicates": "corpusmill.dedup.near_duplicates",
    "run": "corpusmill.pipeline.build",
    "scrub": "corpusmill.filters.pii.pii",
}

__all__ = ["Packed", "Recipe", "measure", "near_duplicates", "run", "scrub", "trainer"]


def __getattr__(name: str) -> Any:
    if name == "trainer":
        return import_module("corpusmill.trainer")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'corpusmill' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
