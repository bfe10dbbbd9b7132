"""The report of a run directory made by hand."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from corpusmill import manifest
from corpusmill import recipe as recipes
from corpusmill.errors import IntegrityError, NotCommitted
from corpusmill.ledger import DROPPED, FAILED, IN, KEPT, ledger_json
from corpusmill.pipeline.report import report_html, write_report
from corpusmill.pipeline.report.facts import load
from corpusmill.pipeline.report.reach import rule_accounts

from .made_run import EVIL, PACK, RECIPE, commit, make_run, tally_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("host-name") / "run")


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return report_html(str(run))


class Checker(HTMLParser):
    """Balance of tags, texts of table cells by row, everything a browser would load or run."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [values["href"] or ""] if "href" in values else []
        if tag not in ("meta", "wbr"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if ("td" in self.open or "th" in self.open) and "title" not in self.open:
            self.rows[-1][-1] += data


def row_of(page: str, first: str, *, cells: int | None = None) -> list[str]:
    found = [row for row in Checker(page).rows if row[0] == first and cells in (None, len(row))]
    assert len(found) == 1, (first, found)
    return found[0]


def test_tags_balance_and_links_lead_somewhere(page: str) -> None:
    checked = Checker(page)
    assert checked.open == []
    assert len(set(checked.ids)) == len(checked.ids)
    assert checked.links == [f"#{anchor}" for anchor in checked.ids]
    assert {"flow", "sources", "rules", "edits", "duplicates", "quarantine", "signals", "packing", "recipe"} == set(
        checked.ids
    )


def test_nothing_is_loaded_and_nothing_runs(page: str) -> None:
    checked = Checker(page)
    assert not checked.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image", "use"}
    assert not checked.attributes & {"src", "srcset", "style", "xlink:href", "action"}
    assert not [name for name in checked.attributes if name.startswith("on")]
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src &#x27;none&#x27;" in page


def test_text_from_the_data_is_escaped(page: str) -> None:
    shown = EVIL[:-2] + "\ufffd\ufffd"
    assert "<script" not in page
    assert "\x00" not in page
    assert "\u202e" not in page
    assert row_of(page, f"utf8.{shown}") == [f"utf8.{shown}", "7", "0.7 %", "300 B"]
    assert row_of(page, shown) == [shown] * 4
    assert "<h1>night &amp; day</h1>" in page


def test_headline_figures(page: str) -> None:
    for said in (
        '<dd class="figure">51</dd><dd class="of">of 1,010, 5.0 %</dd>',
        '<dd class="figure">13.0 kB</dd><dd class="of">of 109 kB, 11.9 %</dd>',
        '<dd class="figure">3,500</dd><dd class="of">68.6 per document kept</dd>',
        '<dd class="figure">30</dd><dd class="of">of 128 tokens, 2 more than the fewest possible</dd>',
        '<dd class="figure">88,542 ppm</dd><dd class="of">of the room; no packing can have less than 23,438</dd>',
    ):
        assert said in page


def test_flow_names_every_reason(page: str) -> None:
    rows = [row[:5] for row in Checker(page).rows]
    assert ["dropped", "gopher_quality.min_words", "800", "79.2 %", "80.0 kB"] in rows
    assert ["removed", "minhash", "9", "15.0 %", "1.00 kB"] in rows
    assert ["kept", "", "51", "85.0 %", "13.0 kB"] in rows
    assert ["1-curate: 1,010 documents in"] in rows
    assert ["3-curate: 51 documents in"] not in rows


def test_flow_sums_up_rare_reasons(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tables=False)
    tally = tally_of([("web", IN, "", 110, 1100), ("web", KEPT, "", 55, 550)])
    for n in range(10):
        tally.add("web", DROPPED, f"r{n}", documents=n + 1, bytes=10 * (n + 1), ids=n + 1)
    (run / "ledger.json").write_bytes(manifest.canonical(ledger_json({"1-curate": tally}, {})))
    rows = [row[:5] for row in Checker(report_html(str(run))).rows]
    assert ["dropped", "r9", "10", "9.1 %", "100 B"] in rows
    assert ["dropped", "2 other reasons", "3", "2.7 %", "30 B"] in rows


def test_sources(page: str) -> None:
    assert row_of(page, "web", cells=12) == (
        ["web", "1,000", "41", "4.1 %", "943", "9", "7", "4.00 kB", "2,000", "0.5", "1,000", "28.6 %"]
    )
    assert row_of(page, "all", cells=12)[1:3] == ["1,010", "51"]
    assert row_of(page, "all", cells=12)[8:] == ["4,500", "", "3,500", "100.0 %"]


def test_rules_know_what_reached_them(run: Path) -> None:
    found = {rule.name: rule for rule in rule_accounts(load(str(run)))}
    assert found["gopher_quality.min_words"].reached == 1003
    assert found["gopher_quality.max_words"].reached == 1003
    assert (found["gopher_quality.max_words"].failed, found["gopher_quality.max_words"].first) == (25, 20)
    assert found["language.keep"].reached == 1003 - 820
    assert found["language.keep"].fails_most
    assert found["language.min_score"].fails_none
    assert not found["gopher_quality.min_words"].fails_most
    assert list(found)[:2] == ["gopher_quality.min_words", "gopher_quality.max_words"]


@pytest.mark.parametrize(("failed", "flagged"), [(899, False), (900, False), (901, True), (1000, True)])
def test_flag_above_nine_tenths(tmp_path: Path, failed: int, flagged: bool) -> None:
    run = make_run(tmp_path / "run", tables=False, pack=False)
    tally = tally_of(
        [
            ("web", IN, "", 1000, 0),
            ("web", KEPT, "", 1000 - failed, 0),
            ("web", DROPPED, "gopher_quality.min_words", failed, 0),
            ("web", FAILED, "gopher_quality.min_words", failed, 0),
        ]
    )
    (run / "ledger.json").write_bytes(manifest.canonical(ledger_json({"1-curate": tally}, {})))
    assert ("of the 1,000 documents that reached it" in report_html(str(run))) == flagged


def test_findings_name_rules(page: str) -> None:
    said = page.replace("<wbr>", "")
    assert "<code>language.keep</code> failed 92.9 % of the 183 documents that reached it (label in en)." in said
    assert "failed no document at all: <code>gopher_quality.min_mean_word_length</code>, " in said
    assert row_of(page, "keep")[-1] == "> 90%"
    assert row_of(page, "min_score")[-1] == "none"
    assert row_of(page, "min_words") == ["min_words", "word_count ≥ 50", "800", "79.8 %", "", "800", ""]
    assert ["gopher_quality, stage 1-curate: 1,003 documents reached it"] in Checker(page).rows


def test_measure_all_reaches_every_rule(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tables=False)
    resolved = recipes.to_toml(recipes.parse({**RECIPE, "measure_all": True}))
    (run / "recipe.toml").write_text(resolved, "utf-8")
    assert {rule.reached for rule in rule_accounts(load(str(run))) if rule.stage == "1-curate"} == {1003}


def test_a_step_that_cannot_be_built_hides_only_what_it_must(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", tables=False)
    toml = (run / "recipe.toml").read_text("utf-8")
    (run / "recipe.toml").write_text(toml.replace('use = "gopher_quality"', 'use = "elsewhere"'), "utf-8")
    found = {rule.name: rule for rule in rule_accounts(load(str(run)))}
    assert found["language.keep"].reached is None
    assert found["gopher_quality.min_words"].failed == 800
    assert not any(rule.fails_most or rule.fails_none for rule in found.values())
    Checker(report_html(str(run)))


def test_edits_duplicates_and_packing(page: str) -> None:
    assert row_of(page, "pii") == ["pii", "1-curate", "700 B", "0.6 %"]
    assert row_of(page, "minhash") == ["minhash", "2-minhash", "60", "9", "15.0 %", "1.00 kB", "7.1 %"]
    assert row_of(page, "0.75") == ["0.75", "77.2 %"]  # 1 - (1 - 0.75**8)**14, FineWeb's figure
    assert row_of(page, "warc.request") == ["warc.request", "5"]
    assert row_of(page, "least rows possible tokens ÷ sequence length, rounded up")[1] == "28"
    assert row_of(page, "documents cut because they are longer than a row")[1] == "3"
    assert row_of(page, "documents cut that fit in one 3 cuts to keep within the padding allowed")[1] == "1"
    assert row_of(page, "tokens dropped by packing")[1] == "0"
    assert row_of(page, "books", cells=7)[:6] == ["books", "2,500", "70.0 %", "1, its cap", "2,500", "71.4 %"]
    assert row_of(page, "books & co") == ["books & co", "20", "2,500", "23,438"]
    assert row_of(page, "5–8")[:3] == ["5–8", "11", "21.6 %"]
    assert row_of(page, "2")[:3] == ["2", "10", "33.3 %"]
    assert row_of(page, "− left out by the mixture")[1] == "1,000"
    assert row_of(page, "vocabulary tokens")[1] == "32,100"


def test_signals_have_histograms_with_bounds(page: str) -> None:
    assert "<figcaption><code>gopher_<wbr>quality.<wbr>word_<wbr>count</code></figcaption>" in page
    assert ">≥ 50</text>" in page
    assert "The same in every document: <code>language.<wbr>score</code> 0.75." in page
    assert "<figcaption><code>language.label</code>" not in page
    assert "From all 91 documents" in page


def test_same_bytes_in_another_place(run: Path, page: str, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    shutil.copytree(run, other)
    for path in other.rglob("*"):
        path.touch()
    entry = write_report(str(other))
    written = (other / "report.html").read_bytes()
    assert written == page.encode()
    assert (entry.path, entry.bytes, entry.rows) == ("report.html", len(written), None)
    assert write_report(str(other)) == entry
    for secret in (str(run), str(tmp_path), "host-name", "/home/someone", "SomeRunner"):
        assert secret not in page
    assert "…/*.jsonl" in page
    assert "gs://bucket/books/*.txt" in page


@pytest.mark.parametrize("missing", ["recipe", "tables", "pack"])
def test_parts_may_be_missing(tmp_path: Path, missing: str) -> None:
    page = report_html(str(make_run(tmp_path / "run", **{missing: False})))
    checked = Checker(page)
    assert checked.open == []
    gone = {"recipe": {"recipe"}, "tables": {"signals"}, "pack": {"packing"}}[missing]
    assert not gone & set(checked.ids)
    assert {"flow", "sources", "quarantine"} <= set(checked.ids)


@pytest.mark.parametrize("with_input", [False, True])
def test_nothing_kept(tmp_path: Path, with_input: bool) -> None:
    run = make_run(tmp_path / "run", tables=False, pack=False)
    rows = [("web", IN, "", 3, 30), ("web", DROPPED, "gopher_quality.min_words", 3, 30)] if with_input else []
    (run / "ledger.json").write_bytes(manifest.canonical(ledger_json({"1-curate": tally_of(rows)}, {})))
    nothing = {"rows": 0, "tokens": 0, "pad_tokens": 0, "lower_bound_rows": 0, "segments": 0}
    empty = {"in": 0, "packed": 0, "repeated": 0, "left_out": 0, "epochs": 1.0, "wished": None, "capped": False}
    bare = {"sources": dict.fromkeys(("web", "books"), empty), "ledger": dict.fromkeys(PACK["ledger"], 0)}
    none = dict.fromkeys(("documents", "cut_documents", "avoidable_cuts", "avoidably_cut_documents"), 0)
    pack = {**PACK, **nothing, **none, **bare, "strata": [], "document_lengths": [0], "documents_per_row": [0]}
    commit(run, "6-pack", "pack", [], [], pack=pack)
    page = report_html(str(run))
    assert "No document was kept." in page
    assert Checker(page).open == []


def test_a_run_without_ledger_or_with_a_changed_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotCommitted):
        report_html(str(tmp_path))
    run = make_run(tmp_path / "run")
    path = run / "stages" / "1-curate.json"
    path.write_text(path.read_text().replace('"curate"', '"curato"'))
    with pytest.raises(IntegrityError, match="1-curate"):
        report_html(str(run))
    (run / "ledger.json").write_text('{"documents": 1}')
    with pytest.raises(IntegrityError, match="not a ledger"):
        report_html(str(run))
