import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from corpusmill.text import Texts
from corpusmill.tokenize.tokenizers import back_ends
from corpusmill.tokenize.tokenizers.back_ends import Gigatoken, Tokenizers, first_difference
from corpusmill.tokenize.tokenizers.encode import Encoder
from corpusmill.tokenize.tokenizers.examine import EXACT, LOST, NORMALIZED, examine, joined
from corpusmill.tokenize.tokenizers.train import train_tokenizer
from corpusmill.tokenizer_options import TokenizerTraining

from ..conftest import TEXTS

MARKED = st.text(
    st.sampled_from("aeoA ﬁ²½Åé\u0301\u0300\u0323\u0345\u1100\u1161\u11a8각한ａ①ǅ\u0898\u08d0\n1 "), max_size=30
)


@pytest.fixture(scope="module")
def formed(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """A tokenizer of each kind and normal form."""
    folder = tmp_path_factory.mktemp("formed")
    paths = {}
    for kind in ("bpe", "llama"):
        for form in ("nfc", "nfkc"):
            paths[kind, form] = folder / f"{kind}-{form}.json"
            options = TokenizerTraining(kind=kind, vocab_size=330, normalization=form)
            train_tokenizer([*TEXTS, "²½ ﬁ e\u0301"], options, paths[kind, form])
    return paths


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(MARKED, max_size=5))
def test_normal_forms_are_those_of_tokenizers(formed: dict[tuple[str, str], Path], texts: list[str]) -> None:
    given_texts = Texts.from_strings(texts)
    for path in formed.values():
        config = json.loads(path.read_text())
        wanted = Tokenizers(Tokenizer.from_str(json.dumps({**config, "added_tokens": []})))(given_texts)
        assert first_difference(wanted, Gigatoken({**config, "added_tokens": []})(given_texts)) is None


def test_normal_forms_are_admitted_and_said(formed: dict[tuple[str, str], Path]) -> None:
    for (kind, form), path in formed.items():
        encoder = Encoder(path)
        assert encoder.admit(TEXTS), encoder.reason
        texts = ["the row", "e\u0301 ²", "\u00e9"]
        found = examine(encoder, texts)
        assert found.fate.tolist() == [EXACT, NORMALIZED, EXACT], kind
        back = encoder.decode(encoder.encode(Texts.from_strings(texts[1:2]))[0])
        assert back == unicodedata.normalize(form.upper(), texts[1])


@pytest.mark.parametrize("size", [1, 10, 1000])
def test_slices_change_nothing(tokenizer_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    texts = Texts.from_strings(["", *TEXTS[:5], "", "é", "x" * 30])
    wanted = Encoder(tokenizer_path)._reference(texts)
    monkeypatch.setattr(back_ends, "SLICE_BYTES", size)
    assert first_difference(wanted, Encoder(tokenizer_path)._reference(texts)) is None
    part = Texts.from_arrow(texts.to_arrow()[3:7])
    some = Encoder(tokenizer_path)._reference(part)
    assert some[0].tolist() == wanted[0][wanted[1][3] : wanted[1][7]].tolist()
    assert [len(each) for each in Encoder(tokenizer_path)._reference(Texts.from_strings([]))] == [0, 1]


def test_first_difference() -> None:
    ids, offsets = np.array([1, 2, 3], np.uint32), np.array([0, 1, 1, 3])
    assert first_difference((ids, offsets), (ids, offsets)) is None
    assert first_difference((ids, offsets), (np.array([1, 2, 4], np.uint32), offsets)) == 2
    assert first_difference((ids, offsets), (ids, np.array([0, 0, 1, 3]))) == 0
    assert first_difference((ids, offsets), (np.array([1, 2, 3, 4], np.uint32), np.array([0, 1, 1, 4]))) == 2


def test_figures(tokenizer_paths: dict[str, Path]) -> None:
    encoder = Encoder(tokenizer_paths["bpe"])
    texts = ["the row, the tokens", "", "naïve 12"]
    found = joined([examine(encoder, texts[:1]), examine(encoder, texts[1:])])
    assert found.bytes.tolist() == [19, 0, 9]
    assert found.words.tolist() == [4, 0, 2]
    assert found.unknown.tolist() == [0, 0, 0]
    tokens, offsets = encoder.encode(Texts.from_strings(texts))
    assert found.tokens.tolist() == (np.diff(offsets) - 1).tolist()
    assert len(tokens) == found.tokens.sum() + 3
    totals = found.summed(np.array([True, True, False]))
    assert (totals["texts"], totals["bytes"], totals["fertility"]) == (2, 19, found.tokens[0] / 4)
    assert found.summed(np.zeros(3, dtype=np.bool_))["bytes_per_token"] == 0


def test_unknown_pieces_lose_text(tmp_path: Path) -> None:
    config = {
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {"<unk>": 0, "the": 1, "</s>": 2}, "unk_token": "<unk>"},
    }
    tokenizer = Tokenizer.from_str(json.dumps(config))
    tokenizer.add_special_tokens(["</s>", "<unk>"])
    tokenizer.save(str(tmp_path / "t.json"))
    found = examine(Encoder(tmp_path / "t.json"), ["the", "the xyz", "q r"])
    assert found.unknown.tolist() == [0, 1, 2]
    assert found.fate.tolist() == [EXACT, LOST, LOST]
