"""`corpusmill compare`: the counts are those of measuring each dialect alone, on the same sample in any order."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import corpusmill as cm
from corpusmill.document import document_id
from corpusmill.errors import ConfigError, InputError
from corpusmill.jobs import compare as command
from corpusmill.pipeline import compare as room
from corpusmill.pipeline.compare import before, compare, in_dialect, sample
from corpusmill.recipe import load, to_toml

PROSE = "The first line has all the words it wants, and it ends well. So does the second sentence of it. And a third.\n"
AGREED = PROSE * 3
BRACE = AGREED + "One { word here.\n"  # a line with too few words for one dialect and enough for the other
SENTENCES = PROSE
EDITED = AGREED + "A short line.\n"


@pytest.fixture
def recipe_of(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes texts and steps, and gives the path of a recipe over them."""

    def write(texts: list[str], *steps: dict[str, Any]) -> Path:
        (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        body = {
            "name": "compare",
            "sources": [{"name": "here", "paths": [str(tmp_path / "in.jsonl")], "format": "jsonl"}],
            "steps": list(steps),
        }
        (tmp_path / "recipe.toml").write_text(to_toml(load(body)))
        return tmp_path / "recipe.toml"

    return write


def run(recipe: Path, *words: str) -> str:
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    heard = io.StringIO()
    command.do(parser.parse_args([str(recipe), *words]), Console(file=heard, width=200))
    return heard.getvalue()


def test_every_kind_of_difference_is_counted_and_shown(
    recipe_of: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = recipe_of([AGREED, BRACE, SENTENCES, EDITED, "nothing"], {"use": "c4"})
    run(path, "--dialects", "c4=code,datatrove", "--json")
    [found] = json.loads(capsys.readouterr().out)
    counts = {name: found[name] for name in ("documents", "both_keep", "both_drop", "only", "texts", "rules")}
    assert counts == {
        "documents": 5,
        "both_keep": 2,
        "both_drop": 1,
        "only": {"code": 2, "datatrove": 0},
        "texts": 1,
        "rules": {"code": {}, "datatrove": {"c4.curly_bracket": 1, "c4.min_sentences": 1}},
    }
    by_start = {example["excerpt"][:5]: example for example in found["examples"]}
    assert len(found["examples"]) == 3
    assert {example["dropped_by"] for example in found["examples"]} == {"datatrove", ""}
    reasons = [reason for example in found["examples"] for reason in example["reasons"]]
    assert "datatrove drops it: c4.min_sentences: c4.sentences = 3, wanted >= 5" in reasons
    assert "code keeps it: c4.min_sentences: c4.sentences = 3, wanted >= 3" in reasons
    assert any(reason.startswith("datatrove leaves") and "A short line." in reason for reason in reasons)
    assert by_start["The f"]["locator"].startswith("in.jsonl#")


def test_the_text_for_people_has_the_same(recipe_of: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = recipe_of([AGREED, BRACE, SENTENCES, EDITED], {"use": "c4"})
    run(path, "--dialects", "c4=code,datatrove", "--examples", "1")
    said = capsys.readouterr().out
    assert "c4: code and datatrove on 4 documents" in said
    assert "only code keeps                 2   50.00%" in said
    assert "       1 c4.curly_bracket of datatrove" in said
    assert said.count("datatrove drops it") == 1
    run(path, "--dialects", "c4=code,datatrove", "--examples", "0")
    assert "drops it" not in capsys.readouterr().out


def test_no_disagreement_is_said(recipe_of: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = recipe_of([AGREED, "nothing"], {"use": "c4"})
    run(path, "--dialects", "c4=code,datatrove")
    assert "no disagreement" in capsys.readouterr().out


def test_counts_are_those_of_measuring_each_dialect_alone(recipe: Callable[..., dict[str, Any]], corpus: Path) -> None:
    parsed = load(recipe(steps=[{"use": "fineweb"}]))
    batches = list(sample(parsed, 10**6))
    texts = [text for batch in batches for text in batch.column("text").to_pylist()]
    assert len(texts) == sum(path.read_text().count("\n") for path in corpus.rglob("*.jsonl"))
    [found] = compare(parsed, "fineweb", [("code", "paper")], batches, 0)
    a, b = (cm.measure(texts, "fineweb", dialect=dialect)["keep"].to_numpy() for dialect in ("code", "paper"))
    assert (found.both_keep, found.both_drop) == ((a & b).sum(), (~a & ~b).sum())
    assert found.only == {"code": (a & ~b).sum(), "paper": (b & ~a).sum()}
    assert found.only["paper"] > 0
    assert found.documents == len(texts)


def test_the_sample_is_the_smallest_ids_whatever_the_order(
    recipe: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = recipe(steps=[])
    whole = [row for batch in sample(load(body), 10**6) for row in batch.column("id").to_pylist()]
    locators = [
        row for batch in sample(load(body), 10**6) for row in zip(batch["source"], batch["locator"], strict=True)
    ]
    assert whole == sorted(document_id(source.as_py(), locator.as_py()) for source, locator in locators)
    assert len(set(whole)) == len(whole)
    body["sources"].reverse()
    monkeypatch.setattr(room, "BATCH_BYTES", 100_000)
    batches = list(sample(load(body), 300))
    assert [row for batch in batches for row in batch.column("id").to_pylist()] == whole[:300]
    assert len(batches) > 3


def test_fields_that_only_one_source_carries(tmp_path: Path) -> None:
    (tmp_path / "code.jsonl").write_text(json.dumps({"text": "x = 1\n" * 9, "path": "a.py"}) + "\n")
    (tmp_path / "notes.jsonl").write_text(json.dumps({"text": AGREED}) + "\n")
    sources = [
        {"name": name, "paths": [str(tmp_path / f"{name}.jsonl")], "format": "jsonl"} for name in ("code", "notes")
    ]
    sources[0]["fields"] = {"path": "path"}
    recipe = load({"name": "x", "sources": sources, "steps": [{"use": "stack", "path": "record.path"}]})
    batches = list(sample(recipe, 10))
    assert [batch.schema for batch in batches] == [recipe.document_schema]
    assert sorted(batches[0]["record.path"].to_pylist(), key=str) == [None, "a.py"]
    [found] = compare(recipe, "stack", [("code", "nemo")], batches, 0)
    assert found.documents == 2


def test_steps_before_are_applied_and_barriers_passed_over(
    recipe_of: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = recipe_of(
        [AGREED, BRACE, "nothing"], {"use": "pii"}, {"use": "exact"}, {"use": "gopher_quality"}, {"use": "c4"}
    )
    filters, barriers = before(load(path), "c4")
    assert ([step.use for step in filters], barriers) == (["pii", "gopher_quality"], ["exact"])
    assert "exact before it not applied" in run(path, "--dialects", "c4=code,datatrove")
    assert "on 2 documents" in capsys.readouterr().out
    heard = run(path, "--dialects", "fineweb=code,paper")
    assert "fineweb is not in the recipe" in heard
    assert "on 3 documents" in capsys.readouterr().out


def test_a_sample_of_which_nothing_gets_as_far(
    recipe_of: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run(recipe_of(["short"], {"use": "gopher_quality"}, {"use": "c4"}), "--dialects", "c4=code,datatrove")
    assert "no document of the sample gets as far" in capsys.readouterr().out


def test_options_that_a_dialect_brings_change_and_others_stay() -> None:
    body = {"name": "x", "sources": [{"name": "s", "paths": ["x"], "format": "jsonl"}]}
    step = {"use": "c4", "dialect": "datatrove", "min_sentences": 4, "max_word_chars": 77}
    code: Any = in_dialect(load({**body, "steps": [step]}), "c4", "code")
    assert (code.dialect, code.min_sentences, code.max_word_chars) == ("code", 4, 77)
    assert (code.min_line_words, code.max_page_chars) == (5, 190_000)
    plain: Any = in_dialect(load(body), "c4", "datatrove")
    assert (plain.min_line_words, plain.min_sentences) == (3, 5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dialects", "c4=code,x"], "unknown dialect 'x'"),
        (["--dialects", "c4=code"], "two or more different dialects"),
        (["--dialects", "c4=code,code"], "two or more different dialects"),
        (["--dialects", "nope=a,b"], "unknown step 'nope'"),
        (["--dialects", "pii"], "'pii' has no dialects"),
        (["--documents", "0"], "--documents = 0"),
        (["--examples", "-1"], "--examples = -1"),
        (["--set", "steps.pii.nope=1"], "unknown key"),
        ([], "no step of the recipe has dialects"),
    ],
)
def test_errors_say_what_is_wrong(recipe_of: Callable[..., Path], words: list[str], message: str) -> None:
    path = recipe_of([AGREED], {"use": "pii"})
    with pytest.raises(ConfigError, match=message):
        run(path, *words)


def test_sources_without_documents_are_an_error(recipe_of: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="hold no documents"):
        run(recipe_of([], {"use": "c4"}))


def test_without_dialects_all_pairs_of_all_steps_that_have_any(recipe_of: Callable[..., Path]) -> None:
    recipe = load(recipe_of([AGREED], {"use": "pii"}, {"use": "fineweb"}, {"use": "c4"}))
    wanted = command.pairs_of(recipe, [])
    assert list(wanted) == ["fineweb", "c4"]
    for use, pairs in wanted.items():
        names = room.dialects_of(use)
        assert len(set(pairs)) == len(names) * (len(names) - 1) // 2
