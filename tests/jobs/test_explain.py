"""`explain` on what barriers did: bytes cut out, survivors, copies, indexes; `verify` on what they wrote."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import corpusmill as cm
from corpusmill.document import document_id
from corpusmill.jobs.main import main

QUIET = Console(quiet=True)
RUN = "this run of bytes is in two documents, wherever it begins"
LINES = [f"Line {n} is in both documents." for n in range(6)] + ["\x1b[31m" + "long " * 40]
CUTS = {
    "first": (
        "Para one here\nand its second line\n\nHome | About\n\n"
        "Opening. Alpha is one. Beta is two. Gamma is three. First ends.\n\n"
        f"First says: {RUN}, and stops.\n\nqa qb qc qd qe qf"
    ),
    "all": (
        "A line of its own\n\nPara one here\nand its second line\n\nÄnother\nHome | About\nwith a menu inside\n\n"
        f"Intro. Alpha is one. Beta is two. Gamma is three. All ends.\n\nAll says: {RUN}; it goes on."
        "\n\nqd qe qf qa qb qc"
    ),
    "nothing": "Para one here\nand its second line",
    "lines": "\n".join(LINES),
    "many": "\n".join(line for n, copy in enumerate(LINES) for line in (f"{n} is mine", copy)) + "\nmine",
    "twin": "Twin text only",
    "other": "Home | About\nTwin, text only!",
    "triple": "Thrice the same",
    "second": "Thrice. The same?",
    "third": "Thrice, the same!",
}
CUTTING = (
    {"use": "paragraphs"},
    {"use": "lines"},
    {"use": "sentences"},
    {"use": "substring", "min_bytes": 40},
    {"use": "bloom", "unit": "paragraph", "ngram_words": 2, "threshold": 0.5, "expected_ngrams": 1000},
    {"use": "exact", "normalize": "words"},
    {"use": "where", "keep": ["exact.cluster_size < 3"]},
)
CHAIN = {name: " ".join(f"w{n}" for n in range(start, start + 20)) for name, start in (("a", 0), ("b", 5), ("c", 10))}
MINHASH = {"use": "minhash", "shingle_words": 1, "min_jaccard": 0.5, "bands": 96, "rows": 1}


def run(folder: Path, name: str, texts: dict[str, str], *steps: dict[str, Any]) -> Path:
    """A run over one file, whose documents have the URLs http://x.org/NAME."""
    rows = [json.dumps({"text": text, "url": f"http://x.org/{key}"}) for key, text in texts.items()]
    (folder / f"{name}.jsonl").write_text("\n".join(rows))
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
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("cut"), "s", CUTS, *CUTTING)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with run-old and what it saved in index/, and run-new against that."""
    folder = tmp_path_factory.mktemp("indexed")
    run(folder, "old", CHAIN, {**MINHASH, "save": str(folder / "index")})
    new = {"d": CHAIN["b"] + " more", "e": "nothing like it", "f": "nothing like it"}
    run(folder, "new", new, {**MINHASH, "against": str(folder / "index")})
    return folder


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str]) -> Callable[[Path, str], list[str]]:
    """A function that gives the lines that are printed on the document NAME of a run."""

    def do(out: Path, name: str) -> list[str]:
        assert main(["explain", str(out), f"http://x.org/{name}"]) == 0
        return capsys.readouterr().out.splitlines()

    return do


Explain = Callable[[Path, str], list[str]]


def block(lines: list[str], head: str) -> list[str]:
    """The lines that begin with `head`, and those indented below."""
    found: list[str] = []
    inside = False
    for line in lines:
        inside = line.startswith(head) or (inside and line.startswith("         "))
        found += [line] if inside else []
    return found


def locator(out: Path, name: str) -> str:
    """The locator of a document: where its record begins."""
    lines = (out.parent / "s.jsonl").read_bytes().splitlines(keepends=True)
    return f"s.jsonl#{sum(map(len, lines[: list(CUTS).index(name)]))}"


def test_each_barrier_shows_what_it_cut_of_the_text_it_saw(cut: Path, explain: Explain) -> None:
    lines = block(explain(cut, "all"), "cut ")
    size = len(CUTS["all"].encode())
    shown = []
    for head in (line for line in lines if line.startswith("cut ")):
        stage = head.split("in stage ")[1].split()[0]
        taken, before = int(head.split()[1]), int(head.split()[3])
        assert before == size, head
        assert head.endswith(f"(removed/{stage}-s-00000-cuts.arrow)")
        size -= taken
        shown.append(stage)
    assert shown == ["2-paragraphs", "3-lines", "4-sentences", "5-substring", "6-bloom"]
    said = [line.partition(": ")[2] for line in lines if not line.startswith("cut ")]
    assert said == [
        "'Para one here\\nand its second line\\n\\n'",
        "'Home | About\\n'",
        "'Alpha is one. Beta is two. Gamma is three. '",
        f"' says: {RUN}'",
        "'\\n\\nqd qe qf qa qb qc'",
    ]
    start = CUTS["all"].encode().index(b"Para one")
    assert f"         {start}–{start + 35}: " in lines[1]


def test_a_document_that_nothing_was_cut_from_says_nothing_of_cuts(cut: Path, explain: Explain) -> None:
    lines = explain(cut, "first")
    assert block(lines, "cut ") == []
    assert any(line.startswith("fate     kept") for line in lines)


def test_a_document_cut_to_nothing_has_no_survivor(cut: Path, explain: Explain) -> None:
    lines = explain(cut, "nothing")
    assert "         paragraphs: every piece of it is a copy" in lines
    assert block(lines, "survivor") == block(lines, "cut ") == []


def test_the_first_places_are_shown_and_the_others_counted(cut: Path, explain: Explain) -> None:
    lines = block(explain(cut, "many"), "cut ")
    assert "in 7 places, in stage 3-lines" in lines[0]
    assert [line.split(": ")[1] for line in lines[1:-1]] == [repr(f"{line}\n") for line in LINES[:5]]
    assert lines[-1] == "         and in 2 more places"


def test_long_cuts_are_shortened_and_controls_shown_as_such(
    cut: Path, explain: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corpusmill.jobs.explain.MOST_CUTS", 9)
    last = block(explain(cut, "many"), "cut ")[-1]
    assert last.partition(": ")[2] == f"'\\x1b[31m{('long ' * 40)[:95]}' …"


def test_a_cut_document_may_be_removed_later(cut: Path, explain: Explain) -> None:
    lines = explain(cut, "other")
    assert "cut      13 of 29 bytes in 1 place, in stage 3-lines" in block(lines, "cut ")[0]
    twin = locator(cut, "twin")
    assert block(lines, "survivor") == [
        f"survivor {document_id('s', twin).hex()} s {twin}, kept",
        "         cluster of 2 in stage 7-exact",
    ]


def test_survivors_say_what_became_of_them(cut: Path, explain: Explain) -> None:
    survivor = block(explain(cut, "second"), "survivor")
    wanted = locator(cut, "triple")
    assert survivor == [
        f"survivor {document_id('s', wanted).hex()} s {wanted}, later rejected by step where",
        "         cluster of 3 in stage 7-exact",
    ]


def test_copies_are_listed_with_their_locators(cut: Path, explain: Explain, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = explain(cut, "triple")
    assert any(line.startswith("fate     rejected by step where") for line in lines)
    places = [locator(cut, name) for name in ("second", "third")]
    wanted = [f"         {document_id('s', place).hex()} {place}" for place in places]
    assert block(lines, "copies") == ["copies   2 removed for this one in stage 7-exact, cluster of 3", *wanted]
    monkeypatch.setattr("corpusmill.jobs.explain.MOST_COPIES", 1)
    assert block(explain(cut, "triple"), "copies")[1:] == [wanted[0], "         and 1 more"]


def test_without_the_files_before_the_cuts_it_says_where_they_are(cut: Path, tmp_path: Path, explain: Explain) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(cut, copy)
    shutil.rmtree(copy / "work")
    assert block(explain(copy, "all"), "cut ")[1] == (
        "cut      perhaps, in stage 3-lines: see removed/3-lines-s-00000-cuts.arrow; work/1-curate/s-00000.parquet, "
        "which tells what, is gone"
    )
    assert len(block(explain(copy, "third"), "survivor")) == 2


def test_similarities_and_links_through_others(indexed: Path, explain: Explain) -> None:
    out = indexed / "run-old"
    first = document_id("old", "old.jsonl#0").hex()
    for name, said in (("b", "0.600 alike"), ("c", "0.333 alike: less than the 0.5 of a link, others link the two")):
        survivor = block(explain(out, name), "survivor")
        assert survivor[0] == f"survivor {first} old old.jsonl#0, kept"
        assert survivor[1] == f"         cluster of 3 in stage 2-minhash, {said}"
        assert any(line.endswith(said) for line in block(explain(out, "a"), "copies")[1:])


def test_a_survivor_in_the_index_is_named(indexed: Path, explain: Explain) -> None:
    survivor = block(explain(indexed / "run-new", "d"), "survivor")
    assert survivor[0] == f"survivor {document_id('old', 'old.jsonl#0').hex()} in the index {indexed / 'index'}"
    assert "cluster of 4" in survivor[1]
    assert "copies   1 removed" in block(explain(indexed / "run-new", "e"), "copies")[0]


def test_the_index_may_be_gone(indexed: Path, explain: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    (indexed / "index").rename(indexed / "away")
    try:
        assert "in the index" in block(explain(indexed / "run-new", "d"), "survivor")[0]
        assert main(["verify", str(indexed / "run-old")]) == 0
        assert f"index {indexed / 'index'}: not there" in " ".join(capsys.readouterr().err.split())
    finally:
        (indexed / "away").rename(indexed / "index")


def test_verify_finds_any_changed_byte_of_an_index(indexed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(indexed / "run-old")
    assert main(["verify", out]) == 0
    assert "not named" not in capsys.readouterr().err
    files = [path for path in (indexed / "index").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"manifest.json", "keys.bin", "ids.bin", "sketches.bin", "gone.bin"}
    for path in files:
        good = path.read_bytes()
        for bad in (good[:-1] + bytes([good[-1] ^ 1]), good[:-1], None):
            path.write_bytes(bad) if bad is not None else path.unlink()
            assert main(["verify", out]) == 1, path
            assert path.name in capsys.readouterr().err.replace("\n", "")
        path.write_bytes(good)
    assert main(["verify", out]) == 0
    assert main(["verify", str(indexed / "run-new")]) == 0


def test_verify_finds_another_index_in_its_place(indexed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (indexed / "ids").write_text(document_id("old", "old.jsonl#0").hex())
    index, less = indexed / "index", indexed / "less"
    assert main(["index", "delete", str(index), "--ids", str(indexed / "ids"), "--out", str(less)]) == 0
    index.rename(indexed / "away")
    less.rename(index)
    try:
        assert main(["verify", str(indexed / "run-old")]) == 1
        assert "is not the manifest of the index that the run saved there" in " ".join(capsys.readouterr().err.split())
    finally:
        shutil.rmtree(index)
        (indexed / "away").rename(index)


def test_verify_hashes_what_barriers_wrote(cut: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(cut, copy)
    files = sorted((copy / "removed").glob("*"))
    kinds = {path.stem.rpartition("-")[2] for path in files}
    assert kinds == {"00000", "cuts", "rows", "sizes"}
    for path in files:
        good = path.read_bytes()
        path.write_bytes(good[:9] + bytes([good[9] ^ 4]) + good[10:])
        assert main(["verify", str(copy)]) == 1, path
        path.write_bytes(good)
    assert main(["verify", str(copy)]) == 0


def test_an_index_in_the_run_directory_is_counted_once(
    tmp_path: Path, indexed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(tmp_path, "inside", CHAIN, {**MINHASH, "save": str(tmp_path / "run-inside" / "index")})
    capsys.readouterr()
    assert main(["verify", str(indexed / "run-old")]) == 0
    outside = capsys.readouterr().out.split()[0]
    assert main(["verify", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out.split()[0] == outside
    assert "not named" not in said.err


def test_a_step_that_can_not_be_built_here_hides_only_its_rules(cut: Path, tmp_path: Path, explain: Explain) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(cut, copy)
    recipe = copy / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('use = "where"', 'use = "elsewhere"'))
    lines = explain(copy, "other")
    assert "rule     those of step elsewhere are not known here: it can't be built on this machine" in lines
    assert len(block(lines, "cut ")) == 2
    assert len(block(lines, "survivor")) == 2
