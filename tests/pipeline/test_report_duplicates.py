"""The report of runs with barriers: clusters, similarities, cuts, indexes."""

from __future__ import annotations

import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

import corpusmill as cm
from corpusmill.jobs.main import main
from corpusmill.pipeline.directory import RunDirectory
from corpusmill.pipeline.report import report_html
from corpusmill.pipeline.report.clusters import cluster_sizes, count_cuts, similarities, superseded

QUIET = Console(quiet=True)
MINHASH = {"use": "minhash", "shingle_words": 1, "min_jaccard": 0.5, "bands": 96, "rows": 1, "keep": "longest"}


def words(start: int, stop: int) -> str:
    return " ".join(f"w{n}" for n in range(start, stop))


def run(folder: Path, name: str, texts: list[str], *steps: dict[str, Any]) -> Path:
    (folder / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    body = {
        "name": name,
        "sources": [{"name": name, "paths": [str(folder / f"{name}.jsonl")], "format": "jsonl"}],
        "steps": list(steps),
        "tokenizer": {"train": {"vocab_size": 300}},
        "shards": {"sequence_length": 32},
    }
    cm.run(body, folder / f"run-{name}", console=QUIET)
    return folder / f"run-{name}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """run-old saved index/; run-new was compared with that.

    Old clusters: six equal documents, a chain of three, two pairs, one document alone. Of the new documents one is
    longer than all the equal ones, and so is to stay for them, one is a copy within the old chain, two are a pair.
    """
    made = tmp_path_factory.mktemp("made")
    chain = [words(0, 20), words(5, 25), words(10, 30)]
    pairs = [text for n in (200, 300) for text in (words(n, n + 20), words(n, n + 25))]
    old = [*[words(100, 120)] * 6, *chain, *pairs, f"{words(400, 420)}\nMENU"]
    lines = [f"{text}\nMENU\nFOOTER" for text in old]
    run(made, "old", lines, {**MINHASH, "save": str(made / "index")}, {"use": "lines"}, {"use": "paragraphs"})
    new = [f"{words(100, 121)}\nMENU\nFOOTER", f"{words(6, 19)}\nMENU\nFOOTER", words(500, 520), words(500, 521)]
    run(made, "new", new, {**MINHASH, "against": str(made / "index")})
    return made


def stage(out: Path, name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((out / "stages" / f"{name}.json").read_text())
    return body


def said(out: Path) -> list[str]:
    """The lines of the section on duplicates: one for each row of a table, cells apart by |."""
    page = report_html(str(out))
    section = page[page.index('id="duplicates"') :].partition("</section>")[0]
    section = re.sub(r"<svg.*?</svg>", "", section)
    lines = re.sub(r"</tr>|</p>|</h3>|</thead>", "\n", re.sub(r"</t[dh]>", "|", section))
    return [unescape(re.sub(r"<[^>]*>", "", line)).removesuffix("|") for line in lines.splitlines()]


def test_sizes_of_clusters_are_those_of_the_documents_that_stayed(folder: Path) -> None:
    out = folder / "run-old"
    found = cluster_sizes(RunDirectory(str(out)), stage(out, "2-minhash"))
    assert found.bins == ((2, 2, 2, 2), (3, 4, 1, 2), (5, 8, 1, 5))
    kept = pq.read_table(next((out / "documents").glob("*"))).to_pylist()
    sizes = sorted(((row["minhash.cluster_size"], row["id"].hex(), row["locator"]) for row in kept), reverse=True)
    shown = sorted(((one.size, one.id, one.locator) for one in found.largest), reverse=True)
    assert shown == [one for one in sizes if one[0] > 1]
    assert [one.size for one in found.largest] == [6, 3, 2, 2]
    assert {one.source for one in found.largest} == {"old"}


def test_the_report_shows_clusters(folder: Path) -> None:
    lines = said(folder / "run-old")
    assert "minhash|2-minhash|14|9|64.3 %" in "\n".join(lines)
    for row in ("2|2|2|", "3–4|1|2|", "5–8|1|5|"):
        assert row in lines
    assert any(re.fullmatch(r"[0-9a-f]{32}\|old\|old\.jsonl#0\|6", line) for line in lines)
    assert "Saved as the index …/index, with 14 documents." in "\n".join(lines)


def test_similarities_are_those_of_the_rejected(folder: Path) -> None:
    out = folder / "run-old"
    found = similarities(RunDirectory(str(out)), stage(out, "2-minhash"), 0.5)
    assert found is not None
    rejected = pq.read_table(out / "rejected" / "2-minhash-old-00000.parquet")["reasons"].to_pylist()
    values = [float(reason.split(", ")[-1].removesuffix(" alike")) for (reason,) in rejected]
    assert found.removed == len(values) == sum(found.histogram.dropped)
    assert found.equal == values.count(1.0) == 5
    assert found.chained == sum(value < 0.5 for value in values)
    assert found.histogram.bounds == ((0.5, "≥ 0.5"),)
    assert found.histogram.edges[-1] == 1.0
    assert found.histogram.dropped[-1] == 5
    assert "5 have a similarity of 1." in "\n".join(said(out))


def test_similarities_below_the_least_are_links_through_others(tmp_path: Path) -> None:
    """A file made by hand, with nulls, a value on an edge, and the two ends."""
    (tmp_path / "removed").mkdir()
    values = [1.0, 0.75, 0.749, 0.0, None]
    table = pa.table({"row": range(5), "similarity": pa.array(values)})
    with pa.ipc.new_file(tmp_path / "removed/2-x-s-00000.arrow", table.schema) as writer:
        writer.write_table(table)
    body = {"files": [{"path": "removed/2-x-s-00000.arrow"}], "documents": []}
    found = similarities(RunDirectory(str(tmp_path)), body, 0.75)
    assert found is not None
    assert (found.removed, found.equal, found.chained) == (4, 1, 2)
    counts = dict(zip(found.histogram.edges, found.histogram.dropped, strict=False))
    assert {edge: number for edge, number in counts.items() if number} == {0.0: 1, 0.725: 1, 0.75: 1, 0.975: 1}
    assert similarities(RunDirectory(str(tmp_path)), {"files": []}, 0.75) is None


def test_cuts_are_counted_as_the_ledger_has_them(folder: Path) -> None:
    out = folder / "run-old"
    documents, places, taken = count_cuts(RunDirectory(str(out)), stage(out, "3-lines"))
    ledger = json.loads((out / "ledger.json").read_text())
    assert taken == ledger["bytes"]["edited"]["lines"] > 0
    assert documents == 4  # of five that stayed, all but the first
    lines = said(out)
    assert f"lines|3-lines|{documents}|80.0 %|{places}|{taken} B" in "\n".join(lines)
    assert any(line.startswith("paragraphs|4-paragraphs|0|0.0 %|0|0 B") for line in lines)
    assert "Edits" not in report_html(str(out))


def test_what_an_index_changed_is_told(folder: Path) -> None:
    out = folder / "run-new"
    body = stage(out, "2-minhash")
    assert superseded(RunDirectory(str(out)), body) == {"removed": 1, "kept": 0}
    found = cluster_sizes(RunDirectory(str(out)), body)
    assert found.bins == ((2, 2, 1, 1), (5, 8, 1, 6))  # the chain's document stayed in the earlier run
    page = "\n".join(said(out))
    assert "Compared with the index …/index, 14 documents of earlier runs." in page
    assert "1 that were kept would be removed now, and 0 that were removed would be kept" in page
    assert "removed/2-minhash-superseded.arrow" in page
    assert str(folder) not in report_html(str(out))


def test_an_index_that_is_gone_or_another_changes_nothing(folder: Path) -> None:
    index = folder / "index" / "manifest.json"
    good = index.read_bytes()
    before = said(folder / "run-old"), said(folder / "run-new")
    assert "Saved as the index …/index, with 14 documents." in "\n".join(before[0])
    index.write_bytes(good.replace(b'"documents": 14', b'"documents": 15'))
    try:
        assert (said(folder / "run-old"), said(folder / "run-new")) == before
        index.unlink()
        assert (said(folder / "run-old"), said(folder / "run-new")) == before
    finally:
        index.write_bytes(good)


def test_the_largest_clusters_are_shown_without_names_when_their_file_is_gone(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder / "run-old", copy)
    shutil.rmtree(copy / "work")
    assert "–|–|–|6" in said(copy)


def test_the_same_bytes_again(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder / "run-new", copy)
    before = (copy / "report.html").read_bytes()
    assert main(["report", str(copy)]) == 0
    assert (copy / "report.html").read_bytes() == before
