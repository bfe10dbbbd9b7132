"""The page: its head, its sections in order, its foot."""

from __future__ import annotations

from importlib import metadata, resources

from corpusmill.pipeline.report import sections
from corpusmill.pipeline.report.duplicates import duplicates
from corpusmill.pipeline.report.facts import Facts
from corpusmill.pipeline.report.markup import Html, join, tag, text
from corpusmill.pipeline.report.shards import packing

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Nothing on the page may load or run, even if a text were not escaped."""

_SECTIONS = (
    ("flow", "Flow", sections.flow),
    ("sources", "Sources", sections.sources),
    ("rules", "Rules", sections.rules),
    ("edits", "Edits", sections.edits),
    ("duplicates", "Duplicates", duplicates),
    ("quarantine", "Quarantine", sections.quarantine),
    ("signals", "Signals", sections.signals),
    ("packing", "Packing", packing),
    ("recipe", "Recipe", sections.recipe),
)


def page(facts: Facts) -> str:
    """The whole document."""
    name = str(facts.recipe.get("name", "run"))
    made = [(anchor, title, content) for anchor, title, build in _SECTIONS if (content := build(facts))]
    links = [tag("a", title, href=f"#{anchor}") for anchor, title, _ in made]
    body = tag(
        "main",
        tag("header", tag("p", "corpusmill report", cls="kicker"), tag("h1", name), tag("nav", *links)),
        sections.headline(facts),
        sections.findings(facts),
        *(tag("section", tag("h2", title), content, id=anchor) for anchor, title, content in made),
        tag("footer", _foot(facts)),
    )
    return document(f"{name} – corpusmill report", body)


def document(title: str, body: Html) -> str:
    """An HTML document in the style of all our pages, which loads and runs nothing."""
    return f'<!DOCTYPE html>\n<html lang="en">{_head(title)}<body>{body}</body></html>\n'


def _head(title: str) -> Html:
    style = resources.files("corpusmill.pipeline.report").joinpath("report.css").read_text("utf-8")
    return join(
        [
            Html('<head><meta charset="utf-8">'),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{text(_POLICY)}">'),
            Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Html('<meta name="color-scheme" content="light dark">'),
            tag("title", title),
            Html(f"<style>{style}</style></head>"),
        ]
    )


def _foot(facts: Facts) -> Html:
    versions = [f"corpusmill {metadata.version('corpusmill')}"]
    versions += [f"{fact.use} {fact.step.version}" for fact in facts.steps() if fact.step is not None]
    return join(
        [
            tag(
                "p",
                "Every figure comes from committed files. ",
                tag("code", "corpusmill verify DIR"),
                " hashes all of them again and checks that every document is accounted for; ",
                tag("code", "corpusmill explain DIR ID"),
                " tells what happened to one.",
            ),
            tag("p", "Versions: ", ", ".join(versions), "."),
        ]
    )
