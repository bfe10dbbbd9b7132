"""The table that ends a run."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from corpusmill.ledger import DROPPED, IN, KEPT, QUARANTINED, REMOVED, Tally, ledger_json
from corpusmill.pipeline.summary import summary_table

WEB = {(IN, ""): 1000, (KEPT, ""): 41, (DROPPED, "a"): 900, (DROPPED, "b"): 43, (REMOVED, "lines"): 9}


def ledger(**sources: dict[tuple[str, str], int]) -> dict[str, Any]:
    tally = Tally()
    for source, counts in sources.items():
        for (outcome, reason), documents in counts.items():
            tally.add(source, outcome, reason, documents=documents, ids=documents)
    return ledger_json({"1-curate": tally}, {})


def printed(table: Any) -> str:
    console = Console(width=100, no_color=True)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_summary_for_the_terminal() -> None:
    body = ledger(books={(IN, ""): 10, (KEPT, ""): 10}, web={**WEB, (QUARANTINED, "utf8"): 7})
    pack = {"sources": {"books": {"packed": 2500}, "web": {"packed": 1000}}}
    lines = {
        line.split()[0]: line.split()[1:] for line in printed(summary_table(body, pack)).splitlines() if line.strip()
    }
    assert lines["web"] == ["1,000", "41", "943", "9", "7", "1,000"]
    assert lines["all"] == ["1,010", "51", "943", "9", "7", "3,500"]
    assert len(summary_table(body, None).columns) == 6


def test_summary_takes_no_markup_from_names() -> None:
    both: dict[str, dict[tuple[str, str], int]] = {name: {(IN, ""): 1, (KEPT, ""): 1} for name in ("[red]a", "b")}
    assert "[red]a" in printed(summary_table(ledger(**both)))
