"""The page of an ablation: held-out losses of each corpus with their intervals, and how they fell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from corpusmill.pipeline.report.charts import Line, lines
from corpusmill.pipeline.report.markup import Html, count, join, table, tag
from corpusmill.pipeline.report.page import document

ALL = "all"


def ablation_page(body: Mapping[str, Any]) -> str:
    """The whole document from the body of `ablation.json`."""
    names = list(body["corpora"])
    parts = [
        ("Held-out loss", join([losses(body, names), differences(body, names)])),
        ("As they learned", curves(body, names)),
        ("What was compared", corpora(body, names)),
        ("Settings", settings(body)),
    ]
    title = " against ".join(names)
    content = tag(
        "main",
        tag("header", tag("p", "corpusmill ablation", cls="kicker"), tag("h1", title)),
        tag("p", headline(body, names)),
        *(tag("section", tag("h2", name), part) for name, part in parts),
    )
    return document(f"{title} – corpusmill ablation", content)


def headline(body: Mapping[str, Any], names: Sequence[str]) -> str:
    """In a sentence for each corpus but the first: is it better?"""
    said = []
    for name in names[1:]:
        found = body["differences"][name][ALL]
        verdict = "no clear difference"
        if found["half_width"] is not None and abs(found["mean"]) > found["half_width"]:
            verdict = "lower, so better" if found["mean"] < 0 else "higher, so worse"
        said.append(f"The loss of {name} minus that of {names[0]} is {around(found, '+')}: {verdict}.")
    return " ".join(said)


def losses(body: Mapping[str, Any], names: Sequence[str]) -> Html:
    """Corpus by held-out source."""
    sources = list(body["intervals"][names[0]])
    rows = [[name, *(around(body["intervals"][name][source]) for source in sources)] for name in names]
    note = "Nats per token on text that no model saw, mean of the seeds and 95 % interval over them (Student's t)."
    return join([tag("p", note, cls="note"), table(["corpus", *sources], rows)])


def differences(body: Mapping[str, Any], names: Sequence[str]) -> Html:
    """Each corpus against the first, seed by seed."""
    sources = list(body["intervals"][names[0]])
    rows = [[name, *(around(body["differences"][name][source], "+") for source in sources)] for name in names[1:]]
    note = f"Minus the loss of {names[0]} with the same seed, so with the same weights at the start; below 0 is better."
    return join([tag("p", note, cls="note"), table(["corpus", *sources], rows)])


def curves(body: Mapping[str, Any], names: Sequence[str]) -> Html:
    """Loss over tokens."""
    drawn = [Line(name, [(t, mean, half or 0.0) for t, mean, half in body["curves"][name]]) for name in names]
    return lines(drawn, "tokens read", "held-out loss, nats per token; the band is the 95 % interval")


def corpora(body: Mapping[str, Any], names: Sequence[str]) -> Html:
    """What each corpus holds, and how often it was seen."""
    facts = body["corpora"]
    rows = [
        [
            name,
            count(facts[name]["tokens"]),
            count(facts[name]["rows"]),
            count(facts[name]["trained_tokens"]),
            f"{facts[name]['epochs']:.2f}",
            count(facts[name]["held_out_segments"]),
            tag("code", facts[name]["id"][:16]),
        ]
        for name in names
    ]
    header = ["corpus", "tokens", "rows", "read by a training", "epochs", "held-out segments left out", "id"]
    return table(header, rows)


def settings(body: Mapping[str, Any]) -> Html:
    """The trainer's options."""
    return table(["option", "value"], [[key, str(value)] for key, value in sorted(body["config"].items())], cls="snug")


def around(found: Mapping[str, float | None], sign: str = "") -> str:
    """3.1420 ± 0.0210."""
    half = found["half_width"]
    return f"{found['mean']:{sign}.4f}".replace("-", "−") + ("" if half is None else f" ± {half:.4f}")
