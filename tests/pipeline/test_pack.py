"""The pack stage with each way of packing: the account closes, the rows are what the options say, bytes are the same
with any number of workers.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import corpusmill as cm
from corpusmill.errors import ConfigError, InputError, LedgerError
from corpusmill.packing_options import Shards
from corpusmill.pipeline.pack import padding_remark
from corpusmill.pipeline.packing_account import check_held, check_tokens
from corpusmill.recipe import load, to_toml
from corpusmill.tokenize.packing.mixture import Share, solve
from corpusmill.tokenize.tokenizers.train import train_tokenizer
from corpusmill.tokenizer_options import TokenizerTraining

Recipe = Callable[..., dict[str, Any]]
SIGNAL = "gopher_quality.word_count"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Callable[..., tuple[Path, str]]:
    """A function that packs the test corpus anew with other options; gives the run and what it said."""
    out = tmp_path_factory.mktemp("pack") / "out"
    body = recipe(steps=[{"use": "gopher_quality", "min_words": 20, "min_alphabetic_word_fraction": 0.4}])
    for source in body["sources"]:
        source.pop("epochs", None)

    def run(**shards: Any) -> tuple[Path, str]:
        said = io.StringIO()
        options = {"sequence_length": 256, "rows_per_shard": 1000, **shards}
        cm.run({**body, "shards": options}, out, console=Console(file=said, width=200))
        return out, said.getvalue()

    return run


def pack_of(out: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((out / "stages" / "4-pack.json").read_text())["pack"]
    return body


def segments_of(out: Path) -> list[tuple[int, bytes, int, int, int]]:
    """Row, id, source, offset, length of every segment; the rows are checked on the way."""
    found = []
    rows = cm.Packed(out / "shards", verify=True)
    for number in range(len(rows)):
        row = rows[number]
        for segment, identity in zip(row.segments, row.document_ids, strict=True):
            source, offset, length = (int(segment[name]) for name in ("source", "offset", "length"))
            found.append((number, identity, source, offset, length))
    pack = pack_of(out)
    assert len(rows) == pack["rows"]
    assert len(found) == pack["segments"]
    assert sum(length for *_, length in found) == pack["tokens"]
    assert pack["rows"] * pack["sequence_length"] == pack["tokens"] + pack["pad_tokens"]
    ledger = pack["ledger"]
    assert ledger["in"] + ledger["repeated"] - ledger["left_out"] == ledger["packed"] == pack["tokens"]
    assert sum(source["share"] for source in pack["sources"].values()) == pytest.approx(1)
    assert sum(pack["document_lengths"]) == pack["documents"] == len({identity for _, identity, *_ in found})
    return found


def test_fit_cuts_nothing_that_fits(packed: Callable[..., tuple[Path, str]]) -> None:
    out, _ = packed()
    found, pack = segments_of(out), pack_of(out)
    assert all(offset % 256 == 0 for *_, offset, _ in found)
    assert (pack["avoidable_cuts"], pack["avoidably_cut_documents"], pack["least_cuts"]) == (0, 0, 0)
    assert pack["cut_documents"] == len({identity for _, identity, _, offset, _ in found if offset})
    per_row = np.bincount([row for row, *_ in found])
    tally = np.bincount(np.ceil(np.log2(per_row)).astype(int), minlength=24)
    assert pack["documents_per_row"] == tally.tolist()


def test_concat_cuts_where_rows_end_and_pads_one_row(packed: Callable[..., tuple[Path, str]]) -> None:
    out, _ = packed(packing="concat")
    found, pack = segments_of(out), pack_of(out)
    assert pack["rows"] == pack["lower_bound_rows"]
    lengths: dict[bytes, int] = defaultdict(int)
    pieces: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for _, identity, _, offset, length in found:
        lengths[identity] += length
        pieces[identity].append((offset, length))
    assert pack["cut_documents"] == sum(len(parts) > 1 for parts in pieces.values())
    short = [identity for identity, parts in pieces.items() if len(parts) > 1 and lengths[identity] <= 256]
    assert pack["avoidably_cut_documents"] == len(short) > 0
    needed = sum(-(-length // 256) for length in lengths.values())
    assert pack["avoidable_cuts"] == len(found) - needed
    for parts in pieces.values():
        parts.sort()
        assert all(first + length == second for (first, length), (second, _) in pairwise(parts))
    within = [[segment for segment in found if segment[0] == row] for row in range(20)]
    assert all(segment[3] == 0 for row in within for segment in row[1:]), "only the first piece continues a document"


def test_a_pad_budget_is_kept(packed: Callable[..., tuple[Path, str]]) -> None:
    out, _ = packed(strata={"length": [129, 257]})
    whole = pack_of(out)
    out, _ = packed(strata={"length": [129, 257]}, max_padding=0.05)
    pack = pack_of(out)
    segments_of(out)
    middle = next(stratum for stratum in pack["strata"] if stratum["name"] == "129 ≤ length < 257")
    before = next(stratum for stratum in whole["strata"] if stratum["name"] == "129 ≤ length < 257")
    assert before["pad_tokens"] > 0.2 * before["rows"] * 256
    assert middle["pad_tokens"] <= 0.05 * middle["rows"] * 256
    assert pack["avoidable_cuts"] >= pack["least_cuts"] == before["rows"] - middle["rows"] > 0
    assert pack["avoidable_cuts"] <= 1.3 * pack["least_cuts"]


def test_no_row_holds_two_strata(packed: Callable[..., tuple[Path, str]]) -> None:
    bounds = [200.0, 600.0]
    out, _ = packed(strata={"source": [], SIGNAL: bounds})
    words: dict[bytes, float] = {}
    import pyarrow.parquet as pq

    for path in (out / "documents").glob("*.parquet"):
        table = pq.read_table(path, columns=["id", SIGNAL])
        words |= dict(zip(table["id"].to_pylist(), table[SIGNAL].to_pylist(), strict=True))
    strata: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for row, identity, source, *_ in segments_of(out):
        strata[row].add((source, int(np.searchsorted(bounds, words[identity], side="right"))))
    assert {len(found) for found in strata.values()} == {1}
    named = {stratum["name"]: stratum["rows"] for stratum in pack_of(out)["strata"]}
    assert sum(named.values()) == len(strata)
    assert len(named) == len({next(iter(found)) for found in strata.values()}) > 3
    assert f"{SIGNAL} < 200, code" in named


def test_few_documents_in_a_row(packed: Callable[..., tuple[Path, str]]) -> None:
    out, _ = packed(max_documents_per_row=2)
    assert max(np.bincount([row for row, *_ in segments_of(out)])) == 2
    assert sum(pack_of(out)["documents_per_row"][2:]) == 0


def test_the_mix_is_printed_first_and_kept(packed: Callable[..., tuple[Path, str]]) -> None:
    out, _ = packed()
    held = {name: found["in"] for name, found in pack_of(out)["sources"].items()}
    total = sum(held.values())
    out, said = packed(temperature=2.0, tokens=str(3 * total), max_epochs=5.0)
    assert said.index("share wished") < said.index("4-pack  ")
    roots = {name: tokens**0.5 for name, tokens in held.items()}
    mix = pack_of(out)["sources"]
    for name, found in mix.items():
        assert found["wished"] == pytest.approx(roots[name] / sum(roots.values()))
    segments_of(out)
    assert sum(found["packed"] for found in mix.values()) == pytest.approx(3 * total, rel=0.05)
    smallest = min(held, key=lambda name: held[name])
    if mix[smallest]["epochs"] > 4:
        assert f"source {smallest} is seen" in said


@pytest.mark.parametrize(
    "options",
    [{"max_padding": 0.02, "strata": {"source": []}}, pytest.param({"packing": "concat"}, marks=pytest.mark.slow)],
)
def test_same_bytes_with_any_number_of_workers(
    packed: Callable[..., tuple[Path, str]], tmp_path: Path, options: dict[str, Any]
) -> None:
    out, _ = packed(**options)
    again = tmp_path / "out"
    shutil.copytree(out, again, ignore=shutil.ignore_patterns("shards", "4-pack*", "manifest.json"))
    cm.run(load(out / "recipe.toml"), again, workers=2, bytes_per_worker=1 << 18, console=Console(quiet=True))

    def digest(folder: Path) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    assert digest(again / "shards") == digest(out / "shards")


def test_much_padding_is_spoken_of() -> None:
    pack = {"rows": 100, "sequence_length": 100, "pad_tokens": 4100}
    assert padding_remark(Shards(), pack).startswith("41.0% of the rows is padding")
    assert padding_remark(Shards(), {**pack, "pad_tokens": 400}) == ""
    assert padding_remark(Shards(max_documents_per_row=1), pack) == ""
    assert padding_remark(Shards(), {**pack, "rows": 0, "pad_tokens": 0}) == ""


def test_a_recipe_with_every_option_comes_back_from_toml(recipe: Recipe, tmp_path: Path) -> None:
    shards = {"strata": {"source": [], SIGNAL: [10, 20]}, "max_padding": 0.1, "temperature": 3.3, "tokens": "1B"}
    body = recipe(shards=shards)
    for source in body["sources"]:
        source.update({"epochs": "off", "max_epochs": 2})
    made = load(body)
    (tmp_path / "recipe.toml").write_text(to_toml(made))
    assert load(tmp_path / "recipe.toml") == made


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        ({"strata": {"no.such": [1.0]}}, "shards.strata.no.such: no such number"),
        ({"strata": {"text": [1.0]}}, "shards.strata.text: no such number"),
        ({"strata": {"source": [1.0]}}, "wanted no bounds"),
        ({"temperature": 3.3}, "shards.temperature, and weight, epochs or tokens of notes"),
        ({"tokens": "1B"}, "shards.tokens, and epochs or tokens of notes"),
    ],
)
def test_contradictions_in_a_recipe(recipe: Recipe, shards: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(recipe(shards=shards))


def test_a_corpus_of_which_nothing_is_left(recipe: Recipe, tmp_path: Path) -> None:
    train_tokenizer(["few words"], TokenizerTraining(vocab_size=300), tmp_path / "tokenizer.json")
    steps = [{"use": "gopher_quality", "min_words": 10**6, "max_words": 10**7}]
    body = recipe(steps=steps, tokenizer={"path": str(tmp_path / "tokenizer.json")})
    with pytest.raises(InputError, match="no tokens to pack, every document was dropped"):
        cm.run(body, tmp_path / "out", console=Console(quiet=True))


def test_a_source_that_gives_nothing_to_the_mix(recipe: Recipe, tmp_path: Path) -> None:
    body = recipe(steps=[], tokenizer={"train": {"vocab_size": 400, "sample_bytes": 70_000}})
    body["sources"][0]["tokens"] = 0
    cm.run(body, tmp_path, console=Console(quiet=True))
    rows = cm.Packed(tmp_path / "shards", verify=True)
    assert {rows.sources[source] for row in rows for source in row.segments["source"]} == {"notes"}
    held = pack_of(tmp_path)["sources"]["code"]
    assert held["packed"] == 0
    assert held["left_out"] == held["in"] > 0


def test_an_account_that_does_not_close() -> None:
    tokens = {"in": 10, "repeated": 0, "left_out": 0, "packed": 10}
    counts = [{"unit": "count-a", "tokens": tokens}]
    placed = [{"placed": 10, "segments": 2, "id_sum": "0f"}]
    written = [{"tokens_packed": 10, "segments": 2, "id_sum": "0f"}]
    check_tokens(10, counts, placed, written)
    for key, wrong in (("tokens_packed", 9), ("segments", 3), ("id_sum", "0e")):
        with pytest.raises(LedgerError, match="Please report this"):
            check_tokens(10, counts, placed, [{**written[0], key: wrong}])
    with pytest.raises(LedgerError, match="Please report this"):
        check_tokens(11, counts, placed, written)
    with pytest.raises(LedgerError, match="tokens of count-a do not add up"):
        check_tokens(10, [{"unit": "count-a", "tokens": {**tokens, "left_out": 1}}], placed, written)
    with pytest.raises(LedgerError, match="Please report this"):
        check_tokens(10, [{"unit": "count-a", "tokens": {**tokens, "in": 12, "packed": 12}}], placed, written)


def test_token_files_that_hold_more_or_less_than_was_written() -> None:
    mix = solve([Share("a", 10), Share("b", 5)])
    check_held({"a": {"in": 10}, "b": {"in": 5}}, mix)
    with pytest.raises(LedgerError, match="the token files of source b hold 4 tokens, 5 were written"):
        check_held({"a": {"in": 10}, "b": {"in": 4}}, mix)
