from pathlib import Path
from typing import Any

import pytest

from corpusmill.errors import ConfigError
from corpusmill.recipe import load, to_toml
from corpusmill.tokenizer_options import Policy, Tokenizer, TokenizerTraining

SOURCES = [{"name": "a", "paths": ["a.jsonl"], "format": "jsonl"}]


def test_a_recipe_says_all_of_it_and_can_be_read_again(tmp_path: Path) -> None:
    train = {"kind": "llama", "vocab_size": 1000, "special_tokens": ["<s>", "</s>"], "normalization": "nfc"}
    table = {"train": train, "bos": True, "eos": False, "pad_token": "</s>"}
    recipe = load({"name": "x", "sources": SOURCES, "tokenizer": table})
    assert recipe.tokenizer.train is not None
    assert recipe.tokenizer.train.digits == "single"
    assert recipe.tokenizer.policy == Policy(bos=True, eos=False, pad_token="</s>")  # noqa: S106
    (tmp_path / "recipe.toml").write_text(to_toml(recipe))
    assert load(tmp_path / "recipe.toml") == recipe


def test_nothing_said() -> None:
    assert Tokenizer() == Tokenizer(train=TokenizerTraining(), eos_token="<|endoftext|>")  # noqa: S106
    own = Tokenizer(train=TokenizerTraining(special_tokens=("</doc>",)))
    assert own.policy == Policy(eos_token="</doc>")  # noqa: S106
    assert Tokenizer(train=TokenizerTraining(normalization=None)).train == TokenizerTraining()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"path": "/nowhere.json"}, "no such file; wanted a tokenizer.json, a SentencePiece .model or a tiktoken"),
        ({"path": "x", "train": {}}, "path and train"),
        ({"pattern": "cl100k"}, "pattern or special_tokens but no path"),
        ({"special_tokens": ["<x>"]}, "pattern or special_tokens but no path"),
        ({"eos_token": "</s>"}, "eos_token: got '</s>'; allowed: one of the special_tokens to train with"),
        ({"train": {"special_tokens": []}}, "special_tokens: got none"),
        ({"train": {"special_tokens": ["a", "a"]}}, "different names"),
        ({"train": {"normalization": "nfd"}}, "'nfc'"),
        ({"train": {"digits": "threes", "kind": "llama"}}, "allowed for kind llama: whole, single, off"),
        ({"bos": 1}, "true or false"),
    ],
)
def test_what_is_refused_before_any_work(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"name": "x", "sources": SOURCES, "tokenizer": table})
    assert message in str(caught.value)
