"""Every published recipe, end to end: refused while its models and lists are missing, and running once they are there.

The models are small ones made here; what they say is not looked at, but that every step runs and every account closes.
"""

from __future__ import annotations

import gzip
import json
import math
import tomllib
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece
from rich.console import Console

import corpusmill as cm
from corpusmill.errors import ConfigError
from corpusmill.filters.models import fasttext_train
from corpusmill.jobs.main import main
from corpusmill.recipe import load
from corpusmill.tokenize.tokenizers.train import train_tokenizer
from corpusmill.tokenizer_options import TokenizerTraining

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
WORDS = str.split
NOUNS = WORDS("""library river poet letter garden window neighbour village winter captain harbour kitchen teacher
mountain lantern bridge doctor station orchard painter island carpenter machine forest kingdom baker
market summer engine stranger church meadow soldier cottage merchant valley daughter fisherman
candle evening""")
VERBS = WORDS("""remembered followed watched carried described opened repaired painted visited noticed forgot
answered protected measured wanted believed admired promised gathered discovered""")
ADJECTIVES = WORDS("""quiet old narrow broken distant famous gentle wooden northern bitter patient hidden crowded pale
ancient cheerful empty silver careful lonely""")
LINKS = WORDS("because while although before after whenever since until")
PLACES = WORDS("near beyond behind across beneath around towards beside")


def prose(seed: int) -> str:
    """A page of sentences that is prose to every rule set, and like no other."""
    rng = np.random.default_rng(seed)

    def a(words: list[str]) -> str:
        return words[rng.integers(len(words))]

    return "\n".join(
        " ".join(
            f"The {a(ADJECTIVES)} {a(NOUNS)} {a(VERBS)} a {a(NOUNS)} {a(PLACES)} the {a(NOUNS)}, {a(LINKS)} that "
            f"{a(NOUNS)} and the {a(NOUNS)} {a(VERBS)} it with {a(ADJECTIVES)} care."
            for _ in range(3)
        )
        for _ in range(6)
    )


def code(seed: int) -> str:
    lines = [f"def value_{seed}_{n}(first, second):\n    return first * {n + seed} + second\n" for n in range(12)]
    return "# Copyright 2020 The Authors\n# Some rights reserved.\n\n" + "\n".join(lines)


def wet(pages: list[tuple[str, str]]) -> bytes:
    records = []
    for n, (url, text) in enumerate(pages):
        head = (
            f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: {url}\r\n"
            f"WARC-Date: 2024-01-{n % 28 + 1:02d}T00:00:00Z\r\n"
            f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{n:012d}>\r\nContent-Type: text/plain\r\n"
            f"Content-Length: {len(text.encode())}\r\n\r\n"
        )
        records.append(head.encode() + text.encode() + b"\r\n\r\n")
    return b"".join(records)


def warc(pages: list[tuple[str, str]]) -> bytes:
    records = []
    for n, (url, text) in enumerate(pages):
        body = "".join(f"<p>{line}</p>\n" for line in text.split("\n"))
        page = (
            f"<!DOCTYPE html><html lang=en><head><title>x</title></head><body><article>{body}</article></body></html>"
        )
        http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page.encode()
        head = (
            f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\n"
            f"WARC-Date: 2024-01-{n % 28 + 1:02d}T00:00:00Z\r\n"
            f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{n:012d}>\r\n"
            f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
        )
        records.append(head.encode() + http + b"\r\n\r\n")
    return b"".join(records)


def arpa(lines: list[list[str]]) -> str:
    """A bigram model of pieces, by counting."""
    padded = [["<s>", *line, "</s>"] for line in lines]
    ones = Counter(word for line in padded for word in line[1:])
    twos = Counter(pair for line in padded for pair in pairwise(line))
    before = Counter(pair[0] for pair in twos.elements())
    total = sum(ones.values()) + 1
    grams = [f"{math.log10(n / total):.4f}\t{word}\t-0.4" for word, n in sorted(ones.items())]
    grams = ["-99\t<s>\t-0.4", f"{math.log10(1 / total):.4f}\t<unk>", *grams]
    pairs = [f"{math.log10(0.6 * n / before[a]):.4f}\t{a} {b}" for (a, b), n in sorted(twos.items())]
    head = [f"\\data\\\nngram 1={len(grams)}\nngram 2={len(pairs)}\n", "\\1-grams:"]
    return "\n".join([*head, *grams, "", "\\2-grams:", *pairs, "", "\\end\\", ""])


def fasttext_model(path: Path, labels: tuple[str, str], pages: list[str]) -> None:
    good = [page.replace("\n", " ") for page in pages]
    bad = [" ".join(reversed(page.split())) + " qqq zzz" for page in good]
    truth = np.arange(len(good) + len(bad)) < len(good)
    path.write_bytes(
        fasttext_train.train(good + bad, truth, labels, word_ngrams=2, epochs=5, lr=3.0, min_count=1, bucket=4096)
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a little of everything that the recipes name."""
    root = tmp_path_factory.mktemp("recipes")
    pages = [(f"http://site{n % 7}.example.org/page/{n}", prose(n)) for n in range(40)]
    pages += [("http://spam.example.com/a", prose(1000)), ("http://x.example.org/{", "lorem ipsum { }"), pages[3]]
    for name in ("crawl", "books", "github", "models/ccnet", "lists/blocklist", "lists/refinedweb", "lists/ut1/adult",
                 "lists/bad_words", "lists/ccnet", "lists/roots"):  # fmt: skip
        (root / name).mkdir(parents=True)
    (root / "crawl/a.warc.wet.gz").write_bytes(gzip.compress(wet(pages)))
    (root / "crawl/a.warc.gz").write_bytes(gzip.compress(warc(pages)))
    (root / "books/a.jsonl").write_text("\n".join(json.dumps({"text": prose(n)}) for n in range(50, 60)))
    files = [{"content": code(n), "path": f"src/a{n}.py", "license": ["mit", "gpl-3.0"][n % 5 == 4]} for n in range(20)]
    files.append(files[0])
    pq.write_table(pa.Table.from_pylist(files), root / "github/a.parquet")
    texts = [text for _, text in pages[:40]]
    fasttext_model(root / "models/glotlid.bin", ("eng_Latn", "fra_Latn"), texts)
    fasttext_model(root / "models/fasttext_oh_eli5.bin", ("hq", "cc"), texts)
    fasttext_model(root / "models/wikiref.bin", ("positive", "negative"), texts)
    train_tokenizer(texts, TokenizerTraining(vocab_size=400), root / "models/dolma-tokenizer.json")
    lines = [line.lower() for text in texts for line in text.split("\n")]
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(lines), model_prefix=str(root / "models/ccnet/en.sp"), vocab_size=200,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    pieces = sentencepiece.SentencePieceProcessor(str(root / "models/ccnet/en.sp.model"))
    (root / "models/ccnet/en.arpa.bin").write_text(arpa([pieces.EncodeAsPieces(line) for line in lines]))
    (root / "lists/ccnet/cutoff.csv").write_text(",en\n0,1\n30,50\n60,5000\n100,90000\n")
    (root / "lists/bad_words/en").write_text("badword\nvery bad\n")
    (root / "lists/roots/stop_words_en.txt").write_text("the\nof\nand\nis\nin\nby\nwith\nthere\na\nto\n")
    (root / "lists/roots/flagged_words_en.txt").write_text("badword\n")
    for name in ("blocklist/domains", "ut1/adult/domains"):
        (root / "lists" / name).write_text("spam.example.com\nexample.net\n")
    (root / "lists/blocklist/urls").write_text("http://site1.example.org/nothing\n")
    for name in ("blocklist/banned_words", "blocklist/soft_banned_words", "blocklist/banned_subwords",
                 "refinedweb/hard_words", "refinedweb/soft_words", "refinedweb/strict_substrings"):  # fmt: skip
        (root / "lists" / f"{name}.txt").write_text("forbiddenword\n")
    return root


def needs_files(path: Path) -> bool:
    text = path.read_text("utf-8")
    return '"models/' in text or '"lists/' in text


@pytest.mark.parametrize("path", [path for path in RECIPES if needs_files(path)], ids=lambda path: path.stem)
def test_without_its_models_and_lists_it_says_where_they_come_from(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check", str(path)]) == 2
    said = capsys.readouterr().err
    assert "models/" in said or "lists/" in said
    assert any(word in said.lower() for word in (".com", "github", "hugging face", "huggingface", "ut1"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_runs_and_every_account_closes(
    path: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    recipe: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    for source in recipe["sources"]:
        source["paths"] = [pattern.replace(".jsonl.zst", ".jsonl") for pattern in source["paths"]]
    recipe["tokenizer"] = {"train": {"vocab_size": 400}}
    recipe["shards"] = {"sequence_length": 64}
    for step in recipe["steps"]:
        if step["use"] == "fineweb2":
            step["unknown"] = "keep"  # the pages are in English, for which FineWeb-2 has no thresholds
        if step["use"] == "bloom":
            step["expected_ngrams"] = 100_000  # a filter for a corpus has more than a gigabyte
    out = tmp_path / "out"
    cm.run(recipe, out, console=Console(quiet=True))
    ledger = json.loads((out / "ledger.json").read_text())["documents"]
    assert ledger["kept"] >= 10, ledger
    assert sum(ledger["removed"].values()) >= 1, ledger  # a page, or a file, is there twice
    assert main(["verify", str(out)]) == 0


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_what_check_prints_is_the_same_recipe(
    path: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert main(["check", str(path)]) == 0
    assert load(tomllib.loads(capsys.readouterr().out)) == load(path)


def test_a_recipe_is_not_loaded_with_a_list_that_is_a_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    with pytest.raises(ConfigError, match="lists"):
        load(next(path for path in RECIPES if path.stem == "c4"), ["steps.bad_words.path=lists"])
