"""`corpusmill ablate` from recipes to the page, end to end."""

import json
from pathlib import Path
from typing import Any

import pytest

from corpusmill import manifest
from corpusmill.jobs.ablate import told
from corpusmill.jobs.main import main
from corpusmill.recipe import load, to_toml

SETTINGS = [
    "steps=4",
    "dim=16",
    "layers=1",
    "heads=2",
    "batch_rows=4",
    "micro_rows=32",
    "eval_every=2",
    "warmup_steps=1",
]


def recipe(folder: Path, corpus: Path, name: str, source: str, steps: list[dict[str, Any]]) -> str:
    body: dict[str, Any] = {
        "name": name,
        "sources": [{"name": source, "paths": [str(corpus / source)], "format": "jsonl"}],
        "steps": steps,
        "tokenizer": {"train": {"vocab_size": 500, "sample_bytes": 100_000}, "bos": True},
        "shards": {"sequence_length": 64, "rows_per_shard": 4096},
    }
    path = folder / f"{name}.toml"
    path.write_text(to_toml(load(body)))
    return str(path)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> list[str]:
    """The command, which has run."""
    folder = tmp_path_factory.mktemp("ablate")
    raw = recipe(folder, corpus, "raw", "notes", [])
    curated = recipe(folder, corpus, "curated", "notes", [{"use": "gopher_quality", "min_words": 30}])
    held_out = recipe(folder, corpus, "other", "code", [{"use": "length", "max_chars": 700}])
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    command = ["ablate", raw, curated, "--held-out", held_out, "--out", str(folder / "out"), "--seeds", "2", *settings]
    assert main(command) == 0
    return command


def out_of(words: list[str]) -> Path:
    return Path(words[words.index("--out") + 1])


def test_all_runs_have_the_first_ones_tokenizer_and_rows(words: list[str]) -> None:
    shards = [out_of(words) / "runs" / name / "shards" / "manifest.json" for name in ("raw", "curated", "held-out")]
    told = [manifest.load(str(path)) for path in shards]
    assert len({body["tokenizer"]["sha256"] for body in told}) == 1
    assert all(body["tokenizer"]["policy"]["bos"] for body in told)
    assert {body["sequence_length"] for body in told} == {64}


def test_the_result_has_every_source_and_the_page_says_who_is_better(words: list[str]) -> None:
    body = manifest.load(str(out_of(words) / "ablation.json"))
    assert list(body["losses"]) == ["curated", "raw"] or list(body["losses"]) == ["raw", "curated"]
    for name in ("raw", "curated"):
        assert set(body["losses"][name]) == {"code", "all"}
        assert len(body["losses"][name]["all"]) == 2
        assert len(body["curves"][name]) >= 2
    page = (out_of(words) / "ablation.html").read_text()
    assert "raw against curated" in page
    assert "The loss of curated minus that of raw is" in page
    assert page.count("<polyline") == 2


def test_again_trains_nothing_and_prints_the_table(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = (out_of(words) / "ablation.json").read_bytes()
    logs = {path: path.stat().st_mtime_ns for path in out_of(words).rglob("checkpoint-*.pt")}
    assert main(words) == 0
    assert "curated − raw" in capsys.readouterr().out
    assert (out_of(words) / "ablation.json").read_bytes() == before
    assert {path: path.stat().st_mtime_ns for path in out_of(words).rglob("checkpoint-*.pt")} == logs


def test_a_run_directory_is_a_corpus_too(words: list[str], tmp_path: Path) -> None:
    runs = out_of(words) / "runs"
    command = ["ablate", str(runs / "raw"), str(runs / "curated"), "--held-out", str(runs / "held-out")]
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    assert main([*command, "--out", str(tmp_path), "--seeds", "1", *settings]) == 0
    losses = json.loads((tmp_path / "ablation.json").read_text())["losses"]
    first = json.loads((out_of(words) / "ablation.json").read_text())["losses"]
    assert losses["raw"]["all"] == first["raw"]["all"][:1]


def test_recipes_follow_a_finished_run_wherever_it_is_named(words: list[str], tmp_path: Path) -> None:
    """Its tokens can't be made anew, so the recipes take its tokenizer and its row length."""
    runs, out = out_of(words) / "runs", tmp_path / "out"
    changed = tmp_path / "raw.toml"
    changed.write_text(Path(words[1]).read_text().replace("sequence_length = 64", "sequence_length = 96"))
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    command = ["ablate", str(changed), str(runs / "curated"), "--held-out", str(runs / "held-out")]
    assert main([*command, "--out", str(out), "--seeds", "1", *settings]) == 0
    told = [manifest.load(str(run / "shards" / "manifest.json")) for run in (out / "runs" / "raw", runs / "held-out")]
    assert told[0]["sequence_length"] == told[1]["sequence_length"] == 64
    assert told[0]["tokenizer"]["sha256"] == told[1]["tokenizer"]["sha256"]


def test_a_record_without_a_loss_is_told() -> None:
    """All of its tokens were held-out ones, or its steps were left out."""
    assert told({"loss": None}) == "loss none"
    assert told({"loss": 2.0, "held_out": {"loss": 3.25}}) == "loss 2.000, held-out 3.250"


@pytest.mark.parametrize(
    ("rest", "code", "message"),
    [
        (["RAW", "NOWHERE.toml", "--held-out", "OTHER"], 2, "can't read the recipe"),
        (["RAW", "CURATED", "--held-out", "EMPTY"], 1, "there is no manifest.json in it"),
        (["RAW", "BAD", "--held-out", "OTHER"], 2, "unknown step 'nothing'"),
        (["RAW", "CURATED", "--held-out", "OTHER", "--seeds", "0"], 2, "one seed or more"),
        (["RAW", "DONE", "--held-out", "OTHER", "--tokenizer", "RAW"], 2, "a finished run with another one"),
    ],
)
def test_what_is_wrong_is_found_before_hours_of_work(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], rest: list[str], code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    rest_of_raw = Path(words[1]).read_text().partition("\n")[2]
    (tmp_path / "bad.toml").write_text(f'name = "bad"\n{rest_of_raw}\n[[steps]]\nuse = "nothing"\n')
    places = {
        "RAW": words[1],
        "CURATED": words[2],
        "OTHER": words[words.index("--held-out") + 1],
        "EMPTY": str(tmp_path / "empty"),
        "BAD": str(tmp_path / "bad.toml"),
        "DONE": str(out_of(words) / "runs" / "curated"),
    }
    assert main(["ablate", *(places.get(word, word) for word in rest), "--out", str(tmp_path / "out")]) == code
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda words: [word for word in words if not word.endswith("curated.toml")], "two corpora or more"),
        (lambda words: [word.replace("curated.toml", "raw.toml") for word in words], "is called 'raw' already"),
        (lambda words: [*words, "--set", "skip_list=x"], "skip_list"),
        (lambda words: [*words, "--set", "batch_rows=0"], "batch_rows = 0"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], capsys: pytest.CaptureFixture[str], change: Any, message: str) -> None:
    assert main(change(words)) == 2
    assert message in capsys.readouterr().err
