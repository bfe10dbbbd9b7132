"""The summary of a run for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from corpusmill.ledger import DROPPED, IN, KEPT, QUARANTINED, REMOVED


def summary_table(ledger_body: Mapping[str, Any], pack: Mapping[str, Any] | None = None) -> Table:
    """What became of the documents of each source, and its packed tokens.

    `ledger_body` is the body of `ledger.json`, `pack` the figures of the pack stage; without them no tokens are shown.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_footer=False)
    table.add_column("source", overflow="fold", min_width=12)
    for title in ("documents in", "kept", "dropped", "removed", "quarantined", *(["tokens"] if pack else [])):
        table.add_column(title, justify="right", no_wrap=True)
    tokens = {name: figures["packed"] for name, figures in pack["sources"].items()} if pack else {}
    accounts = dict(ledger_body["sources"])
    for name, account in accounts.items():
        table.add_row(*_row(name, account["documents"], tokens.get(name, 0) if pack else None))
    if len(accounts) != 1:
        table.add_section()
        table.add_row(*_row("all", ledger_body["documents"], sum(tokens.values()) if pack else None), style="bold")
    return table


def _row(name: str, documents: Mapping[str, Any], tokens: int | None) -> list[Text]:
    numbers = [
        documents[IN],
        documents[KEPT],
        *(sum(documents[loss].values()) for loss in (DROPPED, REMOVED, QUARANTINED)),
    ]
    if tokens is not None:
        numbers.append(tokens)
    return [Text(name), *(Text(f"{number:,}") for number in numbers)]
