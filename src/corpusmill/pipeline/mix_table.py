"""The mix for the terminal, before any of it is packed."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from corpusmill.recipe import Recipe
from corpusmill.tokenize.packing.mixture import Part, Share, solve

_TITLES = ("source", "tokens held", "share wished", "epochs", "tokens in the mix", "share of it")


def parts_of(recipe: Recipe, held: dict[str, int]) -> list[Part]:
    """The mix that a recipe wants of sources with so many tokens, sources by name. Raises ConfigError."""
    wishes = [
        Share(wish.name, held.get(wish.name, 0), wish.weight, wish.epochs, wish.token_budget, wish.max_epochs)
        for wish in sorted(recipe.sources, key=lambda source: source.name)
    ]
    shards = recipe.shards
    return solve(wishes, shards.max_epochs, shards.temperature, shards.mix_tokens)


def mix_table(parts: Sequence[Part]) -> Table:
    """A row for each source, and one for all."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column(_TITLES[0], overflow="fold", min_width=12)
    for title in _TITLES[1:]:
        table.add_column(title, justify="right", no_wrap=True)
    whole = sum(part.mixed for part in parts)

    def share(part: float) -> str:
        return f"{part / whole:.1%}" if whole else "–"

    for part in parts:
        wished = "–" if part.wished is None else f"{part.wished:.1%}"
        epochs = f"{part.epochs:.3g}" + (" (cap)" if part.capped else "") if part.tokens else "no tokens"
        table.add_row(part.name, f"{part.tokens:,}", wished, epochs, f"{part.mixed:,.0f}", share(part.mixed))
    if len(parts) > 1:
        table.add_section()
        held = sum(part.tokens for part in parts)
        mean = f"{whole / held:.3g}" if held else "–"
        table.add_row("all", f"{held:,}", "", mean, f"{whole:,.0f}", share(whole), style="bold")
    return table
