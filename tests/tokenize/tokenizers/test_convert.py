import base64
import io
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from corpusmill.errors import ConfigError, IntegrityError
from corpusmill.text import Texts
from corpusmill.tokenize.tokenizers import convert as convert_module
from corpusmill.tokenize.tokenizers.convert import convert, format_of
from corpusmill.tokenize.tokenizers.encode import MODEL_KEY, Encoder, check_same, open_encoder
from corpusmill.tokenize.tokenizers.hostile import hostile_texts
from corpusmill.tokenize.tokenizers.tiktoken_files import read_ranks
from corpusmill.tokenizer_options import Policy

from ..conftest import TEXTS

UTF8 = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
LLAMA = {
    "model_type": "bpe",
    "normalization_rule_name": "identity",
    "byte_fallback": True,
    "remove_extra_whitespaces": False,
    "split_digits": True,
    "allow_whitespace_only_pieces": True,
}
MODELS: dict[str, dict[str, Any]] = {
    "llama": LLAMA,
    "gemma": {**LLAMA, "add_dummy_prefix": False, "user_defined_symbols": ["<start>", "\n\n"]},
    "symbols": {**LLAMA, "user_defined_symbols": ["<start>"]},
    "t5": {"model_type": "unigram"},
    "unigram": {**LLAMA, "model_type": "unigram"},
}
NO_POLICY = Policy(eos=False, eos_token="</s>")  # noqa: S106


@pytest.fixture(scope="module")
def model() -> Callable[[str], bytes]:
    made: dict[str, bytes] = {}

    def train(name: str) -> bytes:
        if name not in made:
            out = io.BytesIO()
            lines = [line for text in TEXTS for line in text.split("\n") if line]
            sentencepiece.SentencePieceTrainer.Train(
                sentence_iterator=iter(lines),
                model_writer=out,
                vocab_size=60 if name == "t5" else 330,
                minloglevel=2,
                num_threads=1,
                hard_vocab_limit=False,
                **MODELS[name],
            )
            made[name] = out.getvalue()
        return made[name]

    return train


def ids_of(encoder: Encoder, texts: list[str]) -> list[list[int]]:
    tokens, offsets = encoder.encode(Texts.from_strings(texts))
    return [tokens[a:b].tolist() for a, b in pairwise(offsets)]


@pytest.mark.parametrize("name", MODELS)
def test_ids_are_those_of_the_sentencepiece_library(model: Callable[[str], bytes], name: str) -> None:
    data = model(name)
    made = convert(data, "tokenizer.model", TEXTS)
    encoder = Encoder("tokenizer.model", NO_POLICY, data=made.data)
    encoder.admit(TEXTS)
    texts = [*hostile_texts(["<start>", "<s>", "</s>", "<unk>"]), *TEXTS]
    library = sentencepiece.SentencePieceProcessor(model_proto=data)
    assert ids_of(encoder, texts) == [library.Encode(text) for text in texts]
    assert ids_of(Encoder("x", NO_POLICY, data=made.data), texts) == ids_of(encoder, texts)


@settings(max_examples=40)
@given(text=UTF8)
def test_any_text_as_the_library_has_it(model: Callable[[str], bytes], text: str) -> None:
    data = model("llama")
    encoder = Encoder("m", NO_POLICY, data=convert(data, "m", ()).data)
    assert encoder.reference == "tokenizers"
    assert ids_of(encoder, [text]) == [sentencepiece.SentencePieceProcessor(model_proto=data).Encode(text)]


def test_what_json_can_say_becomes_json_alone(model: Callable[[str], bytes]) -> None:
    made = convert(model("llama"), "m", TEXTS)
    assert made.proof.startswith("same ids as the original: ")
    assert MODEL_KEY not in json.loads(made.data)
    assert Encoder("m", NO_POLICY, data=made.data).admit(TEXTS)
    assert convert(model("llama"), "m", TEXTS) == made


@pytest.mark.parametrize("name", ["symbols", "t5", "unigram"])
def test_what_json_can_not_say_is_encoded_by_the_library(model: Callable[[str], bytes], name: str) -> None:
    made = convert(model(name), "m", TEXTS)
    assert made.proof.startswith("the sentencepiece library is the reference: a tokenizer.json gives other ids, first")
    assert base64.b64decode(json.loads(made.data)[MODEL_KEY]) == model(name)
    with pytest.raises(Exception, match="expected"):
        Tokenizer.from_str(made.data.decode())  # nobody encodes with half of it
    encoder = Encoder("m", NO_POLICY, data=made.data)
    encoder.admit(TEXTS)
    assert encoder.backend == encoder.reference == "sentencepiece"
    with pytest.raises(ConfigError, match="its ids are those of sentencepiece, not of tokenizers"):
        Encoder("m", NO_POLICY, backend="tokenizers", data=made.data)
    broken = {**json.loads(made.data), MODEL_KEY: "AAAA"}
    with pytest.raises(ConfigError, match="is no model"):
        Encoder("m", NO_POLICY, data=json.dumps(broken).encode())


def test_names_of_special_pieces_are_ordinary_text(model: Callable[[str], bytes]) -> None:
    for name in MODELS:
        encoder = Encoder("m", NO_POLICY, data=convert(model(name), "m", TEXTS).data)
        ids = ids_of(encoder, ["<s>", "a</s>b", "</s>"])
        assert not {1, 2} & {number for each in ids for number in each}


@pytest.mark.parametrize("cut", [1, 7, 100, 1000])
def test_a_damaged_model_is_refused(model: Callable[[str], bytes], cut: int) -> None:
    for data in (model("llama")[:-cut], model("llama")[cut:], b"\x00" * cut, b"name = 'a recipe'\n" * cut):
        try:
            made = convert(data, "m", TEXTS[:3])
        except ConfigError as error:
            assert "m: " in str(error)  # noqa: PT017
        else:
            assert format_of(data) == "sentencepiece"  # what is left is a model of fewer pieces, and proven as such
            assert made.proof


TOKENS = [
    *(bytes([byte]) for byte in range(256)),
    *(b" t", b"th", b"he", b"the", b" the", b"in", b"ing", b"aa", b"aaa", b"aaaa", b"ab", b"aba", b"ba", b"12"),
    *(b"123", b"23", "é".encode(), b"\xe2\x80", "’".encode(), b"'s", b"  ", b"    ", b"\n\n", b"ca", b"caf"),
    "café".encode(),
]
GOLDEN_TEXTS = [
    "the thing in  the\n\n    café's 12345",
    "aaaaaaabababa abaab",
    "it’s 'S THE the'S x1234y\r\n\r\n z",
    "<|endoftext|>the",
]
_SHORT = [265, 264, 98, 266, 267, 32, 266, 263, 98]
_NAME = [60, 124, 101, 110, 100, 111, 102, 116, 101, 120, 116, 124, 62, 259]
_START = [259, 256, 104, 262, 32, 261, 32, 260, 278, 276, 32, 32, 281, 275, 32]
_MIXED = [105, 116, 274, 115, 32, 39, 83, 32, 84, 72, 69, 260, 39, 83, 32, 120]
_END = [121, 13, 10, 13, 10, 32, 122]
_THREES = [[*_START, 270, 52, 53], _SHORT, [*_MIXED, 270, 52, *_END], _NAME]
GOLDEN = {
    "r50k": _THREES,
    "cl100k": _THREES,
    "llama3": _THREES,
    "o200k": _THREES,
    "qwen": [[*_START, 49, 50, 51, 52, 53], _SHORT, [*_MIXED, 49, 50, 51, 52, *_END], _NAME],
}
"""What tiktoken 0.14 gives for the ranks TOKENS, with the patterns of its own encodings and that of Qwen."""


def rank_file(tokens: list[bytes]) -> bytes:
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))


@pytest.mark.parametrize("pattern", GOLDEN)
def test_ids_are_those_of_tiktoken(pattern: str) -> None:
    made = convert(rank_file(TOKENS), "ranks.tiktoken", [*GOLDEN_TEXTS, *TEXTS], pattern, ["<|endoftext|>", "<|pad|>"])
    assert made.format == "tiktoken"
    encoder = Encoder("ranks.tiktoken", data=made.data)
    assert encoder.admit(TEXTS)
    assert ids_of(encoder, GOLDEN_TEXTS) == [[*ids, len(TOKENS)] for ids in GOLDEN[pattern]]
    assert (encoder.eos_id, encoder.pad_id, encoder.vocab_size) == (len(TOKENS), len(TOKENS) + 1, len(TOKENS) + 2)
    for text in GOLDEN_TEXTS:
        assert encoder.decode(encoder.encode(Texts.from_strings([text]))[0]) == text


def test_a_trained_tokenizer_comes_back_from_its_ranks(tokenizer_paths: dict[str, Path]) -> None:
    """Byte-level BPE numbers its tokens in the order in which they were merged, which is what ranks are."""
    config = json.loads(tokenizer_paths["bpe"].read_text())
    special = len(config["added_tokens"])
    decoder = Tokenizer.from_file(str(tokenizer_paths["bpe"])).decoder
    pieces = sorted(config["model"]["vocab"], key=config["model"]["vocab"].__getitem__)[special:]
    alphabet = {piece: bytes([ord(piece)]) for piece in pieces if len(piece) == 1 and ord(piece) < 256}
    assert decoder is not None
    others = [p for p in pieces if len(p) == 1 and p not in alphabet]
    gaps = [byte for byte in range(256) if bytes([byte]) not in alphabet.values()]
    alphabet |= {piece: bytes([byte]) for piece, byte in zip(sorted(others), gaps, strict=True)}
    tokens = [b"".join(alphabet[letter] for letter in piece) for piece in pieces]
    made = convert(rank_file(tokens), "r50k_base.tiktoken", TEXTS, None, ["<|endoftext|>"])
    original = Encoder(tokenizer_paths["bpe"], Policy(eos=False))
    again = Encoder("again", Policy(eos=False), data=made.data)
    texts = [*hostile_texts(()), *TEXTS]
    assert ids_of(again, texts) == [[number - special for number in ids] for ids in ids_of(original, texts)]


def test_published_encodings_are_known_by_name_and_number_of_ranks() -> None:
    tokens = [*TOKENS, *(b"\xff%05d" % n for n in range(50_256 - len(TOKENS)))]
    encoding = read_ranks(rank_file(tokens), "some/r50k_base.tiktoken", None, ())
    assert encoding.special == {"<|endoftext|>": 50_256}
    assert read_ranks(rank_file(TOKENS), "gpt2.tiktoken", None, ()).special == {}
    tokens += [b"\xfe%06d" % n for n in range(128_000 - len(tokens))]
    special = read_ranks(rank_file(tokens), "tokenizer.model", "llama3", ()).special
    assert (len(special), special["<|begin_of_text|>"], special["<|end_of_text|>"]) == (256, 128_000, 128_001)
    assert (special["<|eot_id|>"], special["<|reserved_special_token_2|>"]) == (128_009, 128_012)
    assert special["<|reserved_special_token_245|>"] == 128_255


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (rank_file(TOKENS), {}, "does not say how text is cut"),
        (rank_file(TOKENS), {"pattern": "("}, "neither a known name"),
        (rank_file(TOKENS[1:]), {"pattern": "r50k"}, "1 single bytes have no rank"),
        (rank_file([*TOKENS, b"the"]), {"pattern": "r50k"}, f"line {len(TOKENS) + 1}: b'the'"),
        (rank_file(TOKENS) + b"YQ== x\n", {"pattern": "r50k"}, "wanted a token in base64 and its rank"),
        (rank_file(TOKENS) + b"Y!== 9\n", {"pattern": "r50k"}, "wanted a token in base64 and its rank"),
        (rank_file(TOKENS) + base64.b64encode(b"zz") + b" 5\n", {"pattern": "r50k"}, "two tokens have the same rank"),
        (b"{}", {"pattern": "r50k"}, "pattern and special_tokens are for tiktoken files"),
        (b"name = 'recipe'\n", {}, "not a tokenizer.json, a SentencePiece .model or a tiktoken file"),
        (b"", {}, "not a tokenizer.json, a SentencePiece .model or a tiktoken file"),
    ],
)
def test_files_that_are_refused(data: bytes, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        convert(data, "some.file", TEXTS, **options)
    assert message in str(caught.value)


def test_ranks_that_come_out_otherwise_are_refused_with_the_first_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text that the pattern leaves out is dropped by tiktoken and kept by a tokenizer.json."""
    with pytest.raises(ConfigError, match="gives other ids, first for ' '"):
        convert(rank_file(TOKENS), "x", TEXTS, r"\p{L}+", ["<|endoftext|>"])
    monkeypatch.setattr(convert_module, "first_difference", lambda one, _: len(one[1]) - 2)
    with pytest.raises(ConfigError, match="gives other ids, first for 'the last'"):
        convert(rank_file(TOKENS), "x", ["the last"], "r50k", ["<|endoftext|>"])


def test_a_tokenizer_json_stays_as_it_is(tokenizer_path: Path) -> None:
    data = tokenizer_path.read_bytes()
    assert convert(data, "t.json", TEXTS).data == data


def test_a_reader_refuses_another_tokenizer(tokenizer_paths: dict[str, Path]) -> None:
    path = tokenizer_paths["bpe"]
    encoder = Encoder(path)
    told = {**encoder.describe(), "path": "tokenizer.json"}
    check_same(encoder, told)
    assert open_encoder(path, told).describe() == encoder.describe()
    wrong = {"vocab_size": 1, "dtype": "uint32", "eos_id": 7, "bos_id": 0, "pad_id": 9, "sha256": "0" * 64}
    for key, value in {**wrong, "policy": {**told["policy"], "eos": False}}.items():
        with pytest.raises(IntegrityError, match=f"not the tokenizer that made these tokens: its {key}"):
            check_same(encoder, {**told, key: value})
        without = {name: each for name, each in told.items() if name != key}
        with pytest.raises(IntegrityError, match=f"its {key} is .*, theirs was None"):
            check_same(encoder, without)
    with pytest.raises(IntegrityError, match="sha256 differs"):
        open_encoder(tokenizer_paths["llama"], told)
    with pytest.raises(IntegrityError, match="its eos_id"):
        open_encoder(path, {**told, "eos_id": 3})
    assert np.dtype(told["dtype"]) == encoder.dtype
