"""The section on packing: the mix, the shards against what is possible, the account of tokens, lengths and rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from corpusmill.ledger import DROPPED, KEPT
from corpusmill.pipeline.report.charts import bar
from corpusmill.pipeline.report.facts import Facts, Json
from corpusmill.pipeline.report.markup import NOTHING, Html, count, join, percent, table, tag

_TOKENS = {
    "in": "in the documents kept",
    "repeated": "+ repeated in later epochs",
    "left_out": "− left out by the mixture",
    "packed": "= packed",
    "padding": "padding",
}


def packing(facts: Facts) -> Html:
    """Everything that the pack stage committed, empty when nothing was packed."""
    pack = facts.pack
    if not pack:
        return Html("")
    tokens = facts.ledger["tokens"]
    account = [[said, count(tokens[key])] for key, said in _TOKENS.items() if key in tokens]
    figures = table(["shards", ""], list(_figures(facts, pack)))
    return join(
        [
            tag("div", figures, table(["account of tokens", "tokens"], account), cls="beside"),
            tag("h3", "Mix"),
            _mix(pack),
            *_strata(pack),
            tag("h3", "Documents by their length"),
            _bins(pack["document_lengths"], ["tokens in a document", "documents", "of all", ""], KEPT),
            *_rows(pack),
        ]
    )


def _figures(facts: Facts, pack: Json) -> Iterator[list[str]]:
    room = pack["rows"] * pack["sequence_length"]
    least_room = pack["lower_bound_rows"] * pack["sequence_length"]

    def line(name: str, figure: str, unit: str = "") -> list[str]:
        return [join([name, tag("span", f" {unit}", cls="faint")]), figure]

    yield line("rows", count(pack["rows"]), f"of {count(pack['sequence_length'])} tokens")
    yield line("least rows possible", count(pack["lower_bound_rows"]), "tokens ÷ sequence length, rounded up")
    yield line("rows above that", count(pack["rows"] - pack["lower_bound_rows"]))
    yield line("padding", count(pack["pad_tokens"]), f"tokens, {ppm(pack['pad_tokens'], room)} ppm of the room")
    yield line("least padding possible", ppm(least_room - pack["tokens"], least_room), "ppm, in so few rows")
    per_row = f"{pack['segments'] / pack['rows']:,.1f} per row" if pack["rows"] else ""
    yield line("segments", count(pack["segments"]), per_row)
    yield line("documents", count(pack["documents"]), "in the shards, each counted once")
    longer = pack["cut_documents"] - pack["avoidably_cut_documents"]
    yield line("documents cut", count(longer), "because they are longer than a row")
    yield line("documents cut that fit in one", count(pack["avoidably_cut_documents"]), _why(pack))
    if pack.get("least_cuts"):
        said = "no plan with so little padding has fewer cuts that only save rows"
        yield line("such cuts at least", count(pack["least_cuts"]), said)
    owed = pack["ledger"]["in"] + pack["ledger"]["repeated"] - pack["ledger"]["left_out"]
    yield line("tokens dropped", count(owed - pack["tokens"]), "by packing")
    tokenizer = facts.tail.get("tokenizer", {})
    if "vocab_size" in tokenizer:
        yield line("vocabulary", count(tokenizer["vocab_size"]), "tokens")


def _why(pack: Json) -> str:
    if pack["packing"] == "concat":
        return f"{count(pack['avoidable_cuts'])} cuts too many: documents are cut wherever a row ends"
    return f"{count(pack['avoidable_cuts'])} cuts to keep within the padding allowed" if pack["avoidable_cuts"] else ""


def _mix(pack: Json) -> Html:
    """What was wished of each source and what it came to."""
    rows = []
    for name, found in pack["sources"].items():
        wished = NOTHING if found["wished"] is None else percent(found["wished"], 1)
        epochs = f"{found['epochs']:.3g}" + (", its cap" if found["capped"] else "")
        drawn = bar([(KEPT, f"{name}: {count(found['packed'])} tokens", found["packed"])], pack["tokens"])
        share = percent(found["packed"], pack["tokens"])
        rows.append([name, count(found["in"]), wished, epochs, count(found["packed"]), share, drawn])
    return table(["source", "tokens held", "share wished", "epochs", "tokens in the mix", "share of it", ""], rows)


def _strata(pack: Json) -> list[Html]:
    if len(pack["strata"]) < 2:
        return []
    length = pack["sequence_length"]
    rows = [
        [found["name"], count(found["rows"]), count(found["tokens"]), ppm(found["pad_tokens"], found["rows"] * length)]
        for found in pack["strata"]
    ]
    return [tag("h3", "Strata"), table(["no row holds two of these", "rows", "tokens", "padding, ppm"], rows)]


def _rows(pack: Json) -> list[Html]:
    if "documents_per_row" not in pack:
        return []
    header = ["documents in a row", "rows", "of all", ""]
    return [tag("h3", "Rows by their documents"), _bins(pack["documents_per_row"], header, DROPPED)]


def _bins(counts: Sequence[int], header: Sequence[str], cls: str) -> Html:
    """Bins 1, 2, 3 to 4, 5 to 8 … from the first to the last that has anything in it."""
    used = [n for n, number in enumerate(counts) if number]
    whole, most = sum(counts), max(counts, default=0)
    rows = []
    for n in range(used[0], used[-1] + 1) if used else ():
        low, high = (1 << n) // 2 + 1, 1 << n
        name = count(high) if low >= high else f"{count(low)}–{count(high)}"
        drawn = bar([(cls, f"{name}: {count(counts[n])}", counts[n])], most)
        rows.append([name, count(counts[n]), percent(counts[n], whole), drawn])
    return table(header, rows, cls="snug")


def ppm(part: int, whole: int) -> str:
    """Parts of a million."""
    return count(1e6 * part / whole) if whole else "0"
