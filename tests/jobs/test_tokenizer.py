"""`corpusmill tokenizer` end to end, and the tokenizer of a recipe down to its shards."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from tokenizers import Tokenizer, models, pre_tokenizers

import corpusmill as cm
from corpusmill import manifest
from corpusmill.jobs.main import main
from corpusmill.recipe import load, to_toml
from corpusmill.tokenize.tokenizers.encode import MODEL_KEY, Encoder, check_same

SMALL = ["--max-bytes", "70000"]


@pytest.fixture(scope="module")
def spm(tmp_path_factory: pytest.TempPathFactory, modules: list[tuple[str, str]]) -> Path:
    """A unigram model with bytes: only its own library encodes as it does."""
    out = io.BytesIO()
    lines = [line[:500] for _, text in modules[:20] for line in text.split("\n") if line]
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(lines),
        model_writer=out,
        vocab_size=500,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
        num_threads=1,
    )
    path = tmp_path_factory.mktemp("spm") / "own.model"
    path.write_bytes(out.getvalue())
    return path


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory, corpus: Path, recipe: Callable[..., dict[str, Any]], spm: Path
) -> Path:
    """A run with that model and tokens before and behind each document."""
    folder = tmp_path_factory.mktemp("tokenizer-run")
    body = recipe(corpus, steps=[], tokenizer={"path": str(spm), "bos": True})
    body["sources"] = body["sources"][1:]
    (folder / "recipe.toml").write_text(to_toml(load(body)))
    assert main(["run", str(folder / "recipe.toml"), "--out", str(folder / "out")]) == 0
    return folder


def test_train_takes_every_option(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "t.json"
    words = ["--vocab-size", "400", "--kind", "llama", "--special-tokens", "</doc>", "<fill>", "--normalization", "nfc"]
    words += ["--digits", "whole", "--character-coverage", "0.99", "--min-frequency", "3", "--max-token-chars", "8"]
    assert main(["tokenizer", "train", str(corpus / "notes"), "--out", str(out), *words, *SMALL]) == 0
    assert "come back in NFC" in capsys.readouterr().out
    config = json.loads(out.read_text())
    assert [token["content"] for token in config["added_tokens"]] == ["</doc>", "<fill>"]
    assert config["normalizer"]["normalizers"][0] == {"type": "NFC"}
    assert len(config["model"]["vocab"]) == 400
    said = ["tokenizer", "check", str(out), str(corpus / "notes"), *SMALL]
    assert main(said) == 2
    assert "name one of them with eos_token" in " ".join(capsys.readouterr().err.split())
    assert main([*said, "--eos-token", "</doc>"]) == 0
    assert "come back in the tokenizer's normal form" in capsys.readouterr().out


def test_train_as_a_recipe_says(
    corpus: Path, recipe: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = recipe(corpus, tokenizer={"train": {"vocab_size": 420, "digits": "single", "sample_bytes": 90_000}})
    (tmp_path / "recipe.toml").write_text(to_toml(load(body)))
    out = str(tmp_path / "t.json")
    assert main(["tokenizer", "train", str(tmp_path / "recipe.toml"), "--out", out]) == 0
    assert "420 ids" in capsys.readouterr().out
    assert main(["tokenizer", "check", out, str(tmp_path / "recipe.toml"), *SMALL]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("code", "notes", "tokens/word", "bytes/token", "en ", "all"))
    assert "back end gigatoken: same ids as tokenizers" in said
    assert "0 of" in said
    assert main(["tokenizer", "train", str(tmp_path / "recipe.toml"), "--out", out, "--vocab-size", "2"]) == 2


def test_sources_of_one_name_in_two_recipes(
    corpus: Path, recipe: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for seed in (1, 2):
        body = recipe(corpus, seed=seed)
        body["sources"] = body["sources"][1:]
        paths.append(str(tmp_path / f"{seed}.toml"))
        Path(paths[-1]).write_text(to_toml(load(body)))
    out = str(tmp_path / "t.json")
    assert main(["tokenizer", "train", *paths, "--out", out, "--vocab-size", "300", *SMALL]) == 0
    capsys.readouterr()
    assert main(["tokenizer", "check", out, *paths, *SMALL]) == 0
    assert sum(line.strip().startswith("notes ") for line in capsys.readouterr().out.splitlines()) == 2


def test_a_tokenizer_that_loses_text(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "the": 1, "</s>": 2}, unk_token="<unk>"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.save(str(tmp_path / "t.json"))
    assert main(["tokenizer", "check", str(tmp_path / "t.json"), str(corpus / "notes"), *SMALL]) == 1
    said = capsys.readouterr()
    assert "back end tokenizers: gigatoken can't run it" in said.out
    assert "this tokenizer loses text" in " ".join(said.err.split())


def test_a_run_says_that_its_tokenizer_loses_text(
    recipe: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "the": 1, "</s>": 2}, unk_token="<unk>"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.save(str(tmp_path / "t.json"))
    (tmp_path / "recipe.toml").write_text(to_toml(load(recipe(steps=[], tokenizer={"path": str(tmp_path / "t.json")}))))
    assert main(["run", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "out")]) == 0
    assert "do not come back from this tokenizer: it loses text" in " ".join(capsys.readouterr().err.split())
    sample = manifest.load(str(tmp_path / "out" / "stages" / "2-tokenizer.json"))["sample"]
    assert 0 < sample["lost"] <= sample["texts"]


def test_a_rank_file(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokens = [*(bytes([byte]) for byte in range(256)), b"th", b"the", b" the", b"  "]
    path = tmp_path / "own.tiktoken"
    path.write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens)))
    words = ["tokenizer", "check", str(path), str(corpus / "notes"), *SMALL]
    assert main(words) == 2
    assert "does not say how text is cut" in " ".join(capsys.readouterr().err.split())
    assert main([*words, "--pattern", "cl100k", "--special-tokens", "<|endoftext|>"]) == 0
    assert "tiktoken: same ids as the original" in capsys.readouterr().out


def test_no_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tokenizer", "check", str(tmp_path / "t.json")]) == 2
    assert "no texts to check it on" in " ".join(capsys.readouterr().err.split())


def test_a_model_and_the_policy_reach_the_shards(ran: Path, spm: Path) -> None:
    packed = cm.Packed(ran / "out" / "shards")
    told = packed.manifest["tokenizer"]
    assert told["policy"] == {"bos": True, "eos": True, "bos_token": None, "eos_token": None, "pad_token": None}
    assert (told["bos_id"], told["eos_id"], told["vocab_size"], told["dtype"]) == (1, 2, 500, "uint16")
    assert told["backend"] == packed.tokenizer.backend == "sentencepiece"
    assert MODEL_KEY in json.loads((ran / "out" / "tokenizer.json").read_text())
    check_same(packed.tokenizer, told)
    library = sentencepiece.SentencePieceProcessor(model_file=str(spm))
    whole = 0
    for row in packed:
        for start, length in ((each["start"], each["length"]) for each in row.segments if each["offset"] == 0):
            tokens = row.tokens[start : start + length]
            assert tokens[0] == 1
            if tokens[-1] == 2:
                whole += 1
                assert library.Encode(packed.tokenizer.decode(tokens)) == tokens[1:-1].tolist()
    assert whole > 100


def test_check_of_a_run(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tokenizer", "check", str(ran / "out"), *SMALL]) == 0
    said = capsys.readouterr().out
    assert "notes" in said
    assert "back end sentencepiece" in said


def test_another_policy_makes_other_tokens_and_a_second_run_nothing(
    ran: Path, spm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, recipe = str(ran / "out"), str(ran / "recipe.toml")
    stages = manifest.load(f"{out}/manifest.json")["stages"]
    path = next(stage["path"] for stage in stages if stage["path"].endswith("-tokenizer.json"))
    made = manifest.load(f"{out}/{path}")
    assert made["tokenizer"]["format"] == "sentencepiece"
    assert made["encoder"]["sha256"] == Encoder(f"{out}/tokenizer.json").fingerprint()
    capsys.readouterr()
    assert main(["run", recipe, "--out", out]) == 0
    assert capsys.readouterr().err.count("done before") >= 3
    assert main(["run", recipe, "--out", out, "--set", "tokenizer.bos=false"]) == 0
    assert cm.Packed(Path(out) / "shards").tokenizer.policy.bos is False
    assert spm.is_file()
