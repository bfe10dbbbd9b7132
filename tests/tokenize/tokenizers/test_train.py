import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpusmill.errors import ConfigError, InputError
from corpusmill.text import Texts
from corpusmill.tokenize.tokenizers.encode import Encoder
from corpusmill.tokenize.tokenizers.hostile import hostile_texts
from corpusmill.tokenize.tokenizers.train import train_tokenizer
from corpusmill.tokenizer_options import BYTE_TOKENS, TokenizerTraining

TEXTS = ["the cat sat on the mat 2048 times\n", "a naïve café, 日本語 12 34", "the the the  cat\n\n  sat"] * 3
UTF8 = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def round_trip(encoder: Encoder, texts: list[str]) -> list[str]:
    tokens, offsets = encoder.encode(Texts.from_strings(texts))
    return [encoder.decode(tokens[offsets[d] : offsets[d + 1]]) for d in range(len(texts))]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts=st.lists(UTF8, max_size=5))
def test_any_text_comes_back(tokenizer_path: Path, texts: list[str]) -> None:
    if tokenizer_path.stem == "llama":
        texts = [text.replace("▁", "_") for text in texts]
    assert round_trip(Encoder(tokenizer_path), texts) == texts


def test_hostile_texts_come_back(tokenizer_path: Path) -> None:
    texts = hostile_texts(["<|endoftext|>", "<|padding|>", "<0x0A>"])
    wanted = [text.replace("▁", " ") for text in texts] if tokenizer_path.stem == "llama" else texts
    assert round_trip(Encoder(tokenizer_path), texts) == wanted


def test_byte_level_vocabulary(tokenizer_paths: dict[str, Path]) -> None:
    config = json.loads(tokenizer_paths["bpe"].read_text())
    assert len(config["model"]["vocab"]) == 320
    assert [(t["content"], t["id"], t["special"]) for t in config["added_tokens"]] == [
        ("<|endoftext|>", 0, True),
        ("<|padding|>", 1, True),
    ]


def test_llama_vocabulary(tokenizer_paths: dict[str, Path]) -> None:
    config = json.loads(tokenizer_paths["llama"].read_text())
    vocab = config["model"]["vocab"]
    assert [vocab[name] for name in ("<|endoftext|>", "<|padding|>", *BYTE_TOKENS)] == list(range(258))
    assert [token["content"] for token in config["added_tokens"]] == ["<|endoftext|>", "<|padding|>"]
    learned = [piece for piece, number in vocab.items() if number >= 258]
    assert any(len(piece) > 2 and piece.startswith("▁") and piece[1:].isalpha() for piece in learned)
    assert not [piece for piece in learned if len(piece) > 1 and any(c.isdigit() for c in piece)]
    assert not [piece for piece in learned if "▁" in piece.lstrip("▁")]


@pytest.mark.parametrize(
    ("kind", "digits", "longest"),
    [("bpe", None, 6), ("bpe", "threes", 3), ("bpe", "single", 1), ("llama", None, 1), ("llama", "whole", 6)],
)
def test_digits(tmp_path: Path, kind: str, digits: str | None, longest: int) -> None:
    options = TokenizerTraining(kind=kind, vocab_size=300, digits=digits)  # type: ignore[arg-type]
    assert options.digits == (digits or {"bpe": "whole", "llama": "single"}[kind])
    train_tokenizer(["in 123456 or 654321 at 123456 of 12345678 "] * 9, options, tmp_path / "t.json")
    vocab = json.loads((tmp_path / "t.json").read_text())["model"]["vocab"]
    runs = [len(found) for piece in vocab if piece not in BYTE_TOKENS for found in re.findall(r"\d+", piece)]
    assert max(runs) == longest or (longest == 6 and max(runs) > 3)
    encoder = Encoder(tmp_path / "t.json")
    assert encoder.admit(TEXTS), encoder.reason
    assert round_trip(encoder, ["x123456 1234567890"]) == ["x123456 1234567890"]


@pytest.mark.parametrize("kind", ["bpe", "llama"])
@pytest.mark.parametrize(("form", "wanted"), [("nfc", "\u00e9 \ufb01 \u00b2"), ("nfkc", "\u00e9 fi 2")])
def test_a_normalization_is_what_comes_back(tmp_path: Path, kind: str, form: str, wanted: str) -> None:
    options = TokenizerTraining(kind=kind, vocab_size=300, normalization=form)  # type: ignore[arg-type]
    train_tokenizer([*TEXTS, "e\u0301 \ufb01"], options, tmp_path / "t.json")
    assert round_trip(Encoder(tmp_path / "t.json"), ["e\u0301 \ufb01 \u00b2"]) == [wanted]
    vocab = json.loads((tmp_path / "t.json").read_text())["model"]["vocab"]
    assert not [piece for piece in vocab if piece not in BYTE_TOKENS and "\u0301" in piece]


def test_rare_characters_become_bytes_and_ties_go_by_code_point(tmp_path: Path) -> None:
    texts = ["a" * 994 + "zyxwvu"]  # 1000 characters with the six that are seen once
    options = TokenizerTraining(kind="llama", vocab_size=262, character_coverage=0.996, min_frequency=9)
    train_tokenizer(texts, options, tmp_path / "t.json")
    vocab = json.loads((tmp_path / "t.json").read_text())["model"]["vocab"]
    assert [piece for piece, number in vocab.items() if number >= 258] == ["a", "u", "v", "▁"]


def test_longest_piece(tmp_path: Path) -> None:
    for kind in ("bpe", "llama"):
        options = TokenizerTraining(kind=kind, vocab_size=300, max_token_chars=4)
        train_tokenizer(["abcdefghijklmnop " * 50], options, tmp_path / "t.json")
        vocab = json.loads((tmp_path / "t.json").read_text())["model"]["vocab"]
        learned = [piece for piece in vocab if piece not in BYTE_TOKENS and "|" not in piece]
        assert max(map(len, learned)) == 4


TRAIN = """
import json, sys
from corpusmill.tokenize.tokenizers.train import train_tokenizer
from corpusmill.tokenizer_options import TokenizerTraining
texts = json.load(sys.stdin)
llama = {"kind": "llama"}
for options in ({}, {"digits": "threes", "normalization": "nfc"}, llama, {**llama, "normalization": "nfkc"}):
    print(train_tokenizer(texts, TokenizerTraining(vocab_size=600, **options), sys.argv[1])["sha256"])
"""


def test_same_bytes_for_any_process_thread_count_and_order(tmp_path: Path) -> None:
    draw = random.Random(3)  # noqa: S311
    letters = "abcdefghijklmnopqrstuvwxyzéß漢字"
    texts = [
        " ".join("".join(draw.choices(letters, k=draw.randint(1, 7))) for _ in range(80)) for _ in range(60)
    ]  # hardly a pair is more frequent than the next: ties everywhere
    hashes = set()
    for seed, threads, parallel in (("0", "1", "true"), ("1", "2", "true"), ("7", "2", "false")):
        env = {**os.environ, "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": parallel}
        command = [sys.executable, "-c", TRAIN, str(tmp_path / "t.json")]
        run = subprocess.run(command, input=json.dumps(texts), env=env, capture_output=True, text=True, check=True)
        hashes.add(run.stdout)
        draw.shuffle(texts)
    assert len(hashes) == 1
    assert len(set(hashes.pop().split())) == 4


def test_what_it_says_is_what_it_wrote(tmp_path: Path) -> None:
    told = train_tokenizer(iter([*TEXTS, ""]), TokenizerTraining(vocab_size=300), tmp_path / "sub" / "t.json")
    assert told["texts"] == len(TEXTS)
    assert told["bytes"] == sum(len(text.encode()) for text in TEXTS)
    assert told["kind"] == "bpe"
    assert told["sha256"] == Encoder(tmp_path / "sub" / "t.json").fingerprint()
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["t.json"]


def test_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sample is empty"):
        train_tokenizer(["", ""], TokenizerTraining(), tmp_path / "t.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"kind": "wordpiece"}, "kind"),
        ({"vocab_size": 258}, "vocab_size"),
        ({"vocab_size": (1 << 24) + 1}, "vocab_size"),
        ({"special_tokens": ()}, "special_tokens"),
        ({"special_tokens": ("a", "a")}, "special_tokens"),
        ({"special_tokens": (" ",)}, "special_tokens"),
        ({"special_tokens": ("<0x00>",)}, "special_tokens"),
        ({"normalization": "nfd"}, "normalization"),
        ({"digits": "pairs"}, "digits"),
        ({"kind": "llama", "digits": "threes"}, "digits"),
        ({"sample_bytes": 1}, "sample_bytes"),
        ({"character_coverage": 0.8}, "character_coverage"),
        ({"character_coverage": 1.1}, "character_coverage"),
        ({"min_frequency": 0}, "min_frequency"),
        ({"max_token_chars": 0}, "max_token_chars"),
    ],
)
def test_bad_options(options: dict[str, object], field: str) -> None:
    with pytest.raises(ConfigError, match=f"^{field}: got"):
        TokenizerTraining(**options)


def test_smallest_vocabulary(tmp_path: Path) -> None:
    for kind in ("bpe", "llama"):
        told = train_tokenizer(TEXTS, TokenizerTraining(kind=kind, vocab_size=259), tmp_path / f"{kind}.json")
        assert told["vocab_size"] == 259
        assert round_trip(Encoder(tmp_path / f"{kind}.json"), TEXTS) == TEXTS
