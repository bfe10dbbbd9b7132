"""The sections of the report, in the order of the page. A section with nothing to say is empty and left out."""

from __future__ import annotations

from itertools import groupby

from corpusmill.ledger import DROPPED, EDITED, IN, KEPT, QUARANTINED, REMOVED, SKIPPED
from corpusmill.pipeline.report.charts import bar, histogram
from corpusmill.pipeline.report.facts import Facts, Json, StageFact
from corpusmill.pipeline.report.markup import Html, code, count, join, percent, short, size_of, table, tag
from corpusmill.pipeline.report.reach import TOO_MUCH, RuleAccount, most_frequent, rule_accounts
from corpusmill.pipeline.report.samples import SAMPLE_ROWS, histograms, quarantined_records
from corpusmill.pipeline.report.shards import ppm

REASONS_SHOWN = 8
"""Reasons per outcome in the flow; the rules' own table has all of them."""

EMPTY = Html("")
_LOSSES = (DROPPED, REMOVED, QUARANTINED)


def lost(account: Json, outcome: str) -> int:
    """All that an account has under dropped, removed or quarantined."""
    return sum(account[outcome].values())


def headline(facts: Facts) -> Html:
    """The figures one looks for first."""
    documents, size, pack = facts.ledger["documents"], facts.ledger["bytes"], facts.pack
    kept = [
        (
            "Documents kept",
            count(documents[KEPT]),
            f"of {count(documents[IN])}, {percent(documents[KEPT], documents[IN])}",
        ),
        ("Text kept", size_of(size[KEPT]), f"of {size_of(size[IN])}, {percent(size[KEPT], size[IN])}"),
    ]
    packed = []
    if pack:
        room = pack["rows"] * pack["sequence_length"]
        above = pack["rows"] - pack["lower_bound_rows"]
        least_room = pack["lower_bound_rows"] * pack["sequence_length"]
        least_ppm = ppm(least_room - pack["tokens"], least_room)
        packed = [
            ("Tokens packed", count(pack["tokens"]), f"{_ratio(pack['tokens'], documents[KEPT])} per document kept"),
            (
                "Rows",
                count(pack["rows"]),
                f"of {count(pack['sequence_length'])} tokens, {_above(above)}",
            ),
            (
                "Padding",
                f"{ppm(pack['pad_tokens'], room)} ppm",
                f"of the room; no packing can have less than {least_ppm}",
            ),
        ]
    cards = [
        tag("div", tag("dt", title), tag("dd", figure, cls="figure"), tag("dd", of, cls="of"))
        for title, figure, of in [*kept, *packed]
    ]
    return tag("dl", *cards, cls="cards")


def findings(facts: Facts) -> Html:
    """What a reader should look into before using the corpus."""
    accounts = rule_accounts(facts)
    items = []
    if facts.ledger["documents"][KEPT] == 0:
        items.append(tag("li", "No document was kept.", cls="warn"))
    for rule in accounts:
        if rule.fails_most:
            said = (
                f" failed {percent(rule.failed, rule.reached)} of the {count(rule.reached)} documents that reached it"
            )
            items.append(tag("li", code(rule.name), said, f" ({rule.wanted}).", cls="warn"))
    idle = [code(rule.name) for rule in accounts if rule.fails_none]
    if idle:
        items.append(tag("li", f"{_things(len(idle), 'rule')} failed no document at all: ", join(idle, ", "), "."))
    return tag("ul", *items, cls="findings") if items else EMPTY


def flow(facts: Facts) -> Html:
    """One bar per stage on the scale of the run, then what each stage took out."""
    whole = facts.ledger["documents"][IN]
    cells: list[Html] = []
    rows: list[list[str]] = []
    for stage in facts.stages:
        documents = stage.account["documents"]
        parts = [(KEPT, f"{stage.name}: {count(documents[KEPT])} kept", documents[KEPT])]
        parts += [
            (loss, f"{stage.name}: {count(lost(documents, loss))} {loss}", lost(documents, loss)) for loss in _LOSSES
        ]
        cells += [tag("b", stage.name), bar(parts, whole), tag("span", f"{count(documents[KEPT])} kept")]
        if any(documents[loss] for loss in _LOSSES):
            rows += [[f"{stage.name}: {count(documents[IN])} documents in"], *_flow_rows(stage)]
    key = join(tag("span", tag("i", cls=name), name) for name in (KEPT, *_LOSSES))
    detail = table(["outcome", "reason", "documents", "of the stage", "text", ""], rows, names=2) if rows else EMPTY
    return join([tag("div", *cells, cls="stack"), tag("div", key, cls="key"), detail])


def _flow_rows(stage: StageFact) -> list[list[str]]:
    documents, size = stage.account["documents"], stage.account["bytes"]
    came = documents[IN]

    def row(outcome: str, reason: str, number: int, length: int) -> list[str]:
        drawn = bar([(outcome, f"{reason or outcome}: {count(number)}", number)], came)
        return [outcome, code(reason) if reason else "", count(number), percent(number, came), size_of(length), drawn]

    rows = [row(KEPT, "", documents[KEPT], size[KEPT])]
    for loss in _LOSSES:
        shown, others, rest = most_frequent(documents[loss], REASONS_SHOWN)
        rows += [row(loss, reason, number, size[loss].get(reason, 0)) for reason, number in shown]
        if others:
            rest_bytes = lost(size, loss) - sum(size[loss].get(reason, 0) for reason, _ in shown)
            rows.append(row(loss, f"{others} other reasons", rest, rest_bytes))
    return rows


def sources(facts: Facts) -> Html:
    """What became of each source, and its part in the shards."""
    packed = facts.pack.get("sources", {})
    header = ["source", "documents in", "kept", "", "dropped", "removed", "quarantined", "text kept"]
    header += ["tokens", "epochs", "tokens packed", "of the mix"] if packed else []
    total = sum(figures["packed"] for figures in packed.values())

    def row(name: str, account: Json, figures: Json) -> list[str]:
        documents = account["documents"]
        cells = [name, count(documents[IN]), count(documents[KEPT]), percent(documents[KEPT], documents[IN])]
        cells += [*(count(lost(documents, loss)) for loss in _LOSSES), size_of(account["bytes"][KEPT])]
        if packed:
            epochs = f"{figures['epochs']:.3g}" if "epochs" in figures else ""
            cells += [count(figures.get("in")), epochs, count(figures.get("packed"))]
            cells.append(percent(figures.get("packed", 0), total))
        return cells

    rows = [row(name, account, packed.get(name, {})) for name, account in facts.ledger["sources"].items()]
    if len(rows) > 1:
        sums = {key: sum(figures[key] for figures in packed.values()) for key in ("in", "packed")} if packed else {}
        rows.append([tag("b", cell) for cell in row("all", facts.ledger, sums)])
    return table(header, rows) if rows else EMPTY


def rules(facts: Facts) -> Html:
    """Every rule: what reached it, what failed it, what it alone is counted for."""
    rows: list[list[str]] = []
    accounts = rule_accounts(facts)
    for (stage, step), group in groupby(accounts, key=lambda rule: (rule.stage, rule.step)):
        members = list(group)
        reached = members[0].reached
        said = "; what reached it is not known here" if reached is None else f": {count(reached)} documents reached it"
        rows.append([f"{step or 'other reasons'}, stage {stage}{said}"])
        rows += [_rule_row(rule) for rule in members]
    if not rows:
        return EMPTY
    note = (
        "A document is judged by every rule of each filter it reaches. “Failed” counts it for each rule it failed; "
        "“first” once, for the rule the ledger names as its reason."
    )
    header = ["rule", "a document passes when", "failed", "of reached", "", "first", ""]
    return join([tag("p", note, cls="note"), table(header, rows, names=2)])


def _rule_row(rule: RuleAccount) -> list[str]:
    flag = f"> {TOO_MUCH:.0%}" if rule.fails_most else "none" if rule.fails_none else ""
    return [
        tag("span", code(rule.name.removeprefix(f"{rule.step}.")), title=rule.name),
        rule.wanted,
        count(rule.failed),
        percent(rule.failed, rule.reached),
        bar([(DROPPED, f"{rule.name}: {count(rule.failed)}", rule.failed)], rule.reached or 0),
        count(rule.first),
        tag("span", flag, cls="flag" if rule.fails_most else "faint"),
    ]


def edits(facts: Facts) -> Html:
    """Bytes that edits took out of documents they did not drop; what barriers cut out is among the duplicates."""
    rows = [
        [step, stage.name, size_of(taken), percent(max(taken, 0), stage.account["bytes"][IN])]
        for stage in facts.stages
        if not stage.barriers
        for step, taken in stage.account["bytes"].get(EDITED, {}).items()
    ]
    return (
        table(["edit", "stage", "text taken out", "of the stage's text"], rows, names=2, cls="snug") if rows else EMPTY
    )


def quarantine(facts: Facts) -> Html:
    """Records that could not become documents, and those that are none by their kind."""
    documents, size = facts.ledger["documents"], facts.ledger["bytes"]
    parts = []
    if documents[QUARANTINED]:
        reasons, _, _ = most_frequent(documents[QUARANTINED], len(documents[QUARANTINED]))
        rows = [
            [reason, count(n), percent(n, documents[IN]), size_of(size[QUARANTINED][reason])] for reason, n in reasons
        ]
        parts.append(table(["reason", "records", "of all in", "bytes"], rows, cls="snug"))
        records = quarantined_records(facts)
        if records:
            parts += [
                tag("h3", "The first of them"),
                table(["source", "locator", "reason", "detail"], records, names=4, cls="loose"),
            ]
    if documents.get(SKIPPED):
        rows = [[kind, count(n)] for kind, n in most_frequent(documents[SKIPPED], len(documents[SKIPPED]))[0]]
        parts += [tag("h3", "Skipped: no documents by their kind"), table(["kind", "records"], rows, cls="snug")]
    return join(parts)


def signals(facts: Facts) -> Html:
    """How the signals are distributed, with the rules' bounds."""
    found = histograms(facts)
    if not found.sampled:
        return EMPTY
    whole = found.sampled == found.documents
    basis = (
        "all" if whole else f"an evenly spaced sample ({count(found.sampled)}, at most {count(SAMPLE_ROWS)} a side) of"
    )
    note = (
        f"From {basis} {count(found.documents)} documents kept or dropped by a filter; a document has the signals "
        "of the filters it reached. Dashed: bounds. The outermost bins hold what lies beyond the axis."
    )
    key = join(tag("span", tag("i", cls=name), name) for name in (KEPT, DROPPED))
    drawn = [
        tag("figure", tag("figcaption", code(name)), histogram(each, name)) for name, each in found.histograms.items()
    ]
    same = [join([code(name), f" {short(value)}"]) for name, value in found.constants.items()]
    said = tag("p", "The same in every document: ", join(same, ", "), ".", cls="note") if same else EMPTY
    return join([tag("p", note, cls="note"), tag("div", key, cls="key"), tag("div", *drawn, cls="multiples"), said])


def recipe(facts: Facts) -> Html:
    """The resolved recipe, every default written out."""
    if not facts.text:
        return EMPTY
    note = tag(
        "p",
        "Every default is written out; absolute paths are shortened. ",
        tag("code", "recipe.toml"),
        " in the run directory has them whole.",
        cls="note",
    )
    return join([note, tag("pre", facts.text)])


def _above(rows: int) -> str:
    return f"{count(rows)} more than the fewest possible" if rows else "the fewest possible"


def _ratio(part: int, whole: int) -> str:
    return f"{part / whole:,.1f}" if whole else "0"


def _things(number: int, name: str) -> str:
    return f"{count(number)} {name}" + ("" if number == 1 else "s")
