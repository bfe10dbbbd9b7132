import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from corpusmill.errors import ConfigError, IntegrityError
from corpusmill.text import Texts
from corpusmill.tokenize.tokenizers import back_ends, encode
from corpusmill.tokenize.tokenizers.back_ends import Gigatoken
from corpusmill.tokenize.tokenizers.encode import Encoder, Policy
from corpusmill.tokenizer_options import MAX_VOCAB_SIZE

UTF8 = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
SAMPLE = ["the packing of tokens", " row  row\n12 2048 don't", "Überraschung コーパス"]


def lists(encoder: Encoder, texts: list[str]) -> list[list[int]]:
    tokens, offsets = encoder.encode(Texts.from_strings(texts))
    assert tokens.dtype == encoder.dtype
    assert offsets.dtype == np.int64
    assert len(tokens) == offsets[-1]
    return [tokens[offsets[d] : offsets[d + 1]].tolist() for d in range(len(texts))]


def edited(path: Path, out: Path, **changes: Any) -> Path:
    out.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return out


def test_both_kinds_are_admitted(tokenizer_path: Path) -> None:
    encoder = Encoder(tokenizer_path)
    assert encoder.backend == "tokenizers"
    assert encoder.admit(SAMPLE)
    assert encoder.backend == "gigatoken"
    assert encoder.reason.startswith("same ids as tokenizers")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts=st.lists(UTF8, max_size=6))
def test_back_ends_agree(tokenizer_path: Path, texts: list[str]) -> None:
    assert lists(Encoder(tokenizer_path, backend="gigatoken"), texts) == lists(Encoder(tokenizer_path), texts)


@pytest.mark.parametrize("backend", ["gigatoken", "tokenizers"])
def test_batch_cutting_and_order_change_nothing(tokenizer_path: Path, backend: encode.Backend) -> None:
    encoder = Encoder(tokenizer_path, backend=backend)
    texts = [*SAMPLE, "", "\x00", "\ud800 lone", "a<|endoftext|>b", *SAMPLE]
    whole = lists(encoder, texts)
    assert [lists(encoder, [text])[0] for text in texts] == whole
    assert lists(encoder, texts[::-1]) == whole[::-1]
    array = Texts.from_strings(texts).to_arrow()
    tokens, offsets = encoder.encode(array[2:6])
    assert tokens.tolist() == [number for ids in whole[2:6] for number in ids]
    assert offsets.tolist() == [0, *np.cumsum([len(ids) for ids in whole[2:6]])]
    assert lists(encoder, []) == []


@pytest.mark.parametrize("backend", ["gigatoken", "tokenizers"])
def test_the_name_of_a_special_token_is_ordinary_text(tokenizer_path: Path, backend: encode.Backend) -> None:
    encoder = Encoder(tokenizer_path, backend=backend)
    for text in ("<|endoftext|>", "a<|endoftext|>b <|padding|>", "<0x0A>"):
        ids = lists(encoder, [text])[0]
        assert ids[-1] == encoder.eos_id
        assert not set(ids[:-1]) & {encoder.eos_id, encoder.pad_id}
        assert encoder.decode(np.array(ids)) == text
        assert encoder.decode(np.array(ids), skip_special=False) == text + "<|endoftext|>"


def test_policy(tokenizer_path: Path) -> None:
    plain = lists(Encoder(tokenizer_path, Policy(eos=False)), SAMPLE)
    assert [len(ids) for ids in lists(Encoder(tokenizer_path, Policy(eos=False)), ["", ""])] == [0, 0]
    assert lists(Encoder(tokenizer_path), SAMPLE) == [[*ids, 0] for ids in plain]
    both = Encoder(tokenizer_path, Policy(bos=True, bos_token="<|padding|>"))  # noqa: S106
    assert lists(both, [*SAMPLE, ""]) == [*([1, *ids, 0] for ids in plain), [1, 0]]
    assert (both.eos_id, both.bos_id, both.pad_id) == (0, 1, 1)
    assert Encoder(tokenizer_path).bos_id is None


def test_an_encoder_can_be_made_again_from_its_description(tokenizer_path: Path) -> None:
    encoder = Encoder(tokenizer_path, Policy(bos=True))
    encoder.admit(SAMPLE)
    told = encoder.describe()
    again = Encoder(tokenizer_path, Policy(**told["policy"]), told["backend"], told["backend_reason"])
    assert again.describe() == told
    assert lists(again, SAMPLE) == lists(encoder, SAMPLE)


def test_padding_falls_back_on_the_end_token(tokenizer_paths: dict[str, Path], tmp_path: Path) -> None:
    added = json.loads(tokenizer_paths["bpe"].read_text())["added_tokens"]
    path = edited(tokenizer_paths["bpe"], tmp_path / "t.json", added_tokens=added[:1])
    assert Encoder(path).pad_id == 0


def test_tokens_that_are_not_there(tokenizer_paths: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"eos_token '</doc>' is not among its added tokens; it has <\|endoftext\|>"):
        Encoder(tokenizer_paths["bpe"], Policy(eos_token="</doc>"))  # noqa: S106
    bare = edited(tokenizer_paths["bpe"], tmp_path / "t.json", added_tokens=[])
    with pytest.raises(ConfigError, match="eos_token"):
        Encoder(bare)


@pytest.mark.parametrize("policy", [{"bos": 1}, {"eos": None}, {"eos_token": ""}, {"pad_token": 0}])
def test_bad_policy(policy: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(policy))}: got"):
        Policy(**policy)


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"model": {"type": "Nope"}}', '{"model": 1}'])
def test_not_a_tokenizer(tmp_path: Path, body: str) -> None:
    (tmp_path / "t.json").write_text(body)
    with pytest.raises(ConfigError, match=r"t\.json: not a tokenizer\.json"):
        Encoder(tmp_path / "t.json")
    (tmp_path / "t.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"t\.json: not a tokenizer\.json"):
        Encoder(tmp_path / "t.json")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        Encoder(tmp_path / "missing.json")
    with pytest.raises(ConfigError, match="can't be read"):
        Encoder(tmp_path)


def test_dropout_is_refused(tokenizer_paths: dict[str, Path], tmp_path: Path) -> None:
    model = json.loads(tokenizer_paths["bpe"].read_text())["model"]
    with pytest.raises(ConfigError, match=r"dropout is 0\.1"):
        Encoder(edited(tokenizer_paths["bpe"], tmp_path / "t.json", model={**model, "dropout": 0.1}))


def test_what_a_file_says_of_truncation_padding_and_templates_is_not_done(tokenizer_path: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=64, pad_id=1)
    tokenizer.save(str(tmp_path / "t.json"))
    for backend in ("gigatoken", "tokenizers"):
        assert lists(Encoder(tmp_path / "t.json", backend=backend), SAMPLE) == lists(Encoder(tokenizer_path), SAMPLE)


@pytest.mark.parametrize(("largest", "dtype"), [(65_535, np.uint16), (65_536, np.uint32)])
def test_ids_are_as_wide_as_the_vocabulary_needs(
    tokenizer_paths: dict[str, Path], tmp_path: Path, largest: int, dtype: type
) -> None:
    config = json.loads(tokenizer_paths["bpe"].read_text())
    config["added_tokens"].append({**config["added_tokens"][0], "content": "<last>", "id": largest})
    config["model"]["vocab"]["<last>"] = largest
    (tmp_path / "t.json").write_text(json.dumps(config))
    encoder = Encoder(tmp_path / "t.json", Policy(eos_token="<last>"))  # noqa: S106
    assert encoder.vocab_size == largest + 1
    assert encoder.dtype == dtype
    assert lists(encoder, ["the"])[0][-1] == largest


def test_an_id_that_no_vocabulary_reaches_is_refused(tokenizer_paths: dict[str, Path], tmp_path: Path) -> None:
    model = json.loads(tokenizer_paths["bpe"].read_text())["model"]
    model["vocab"]["<last>"] = MAX_VOCAB_SIZE
    with pytest.raises(ConfigError, match=f"{MAX_VOCAB_SIZE + 1} ids; allowed: up to {MAX_VOCAB_SIZE}"):
        Encoder(edited(tokenizer_paths["bpe"], tmp_path / "t.json", model=model))


def test_a_special_token_that_a_text_has_only_in_company_is_refused(tmp_path: Path) -> None:
    """The space put before a text is merged with the name's first character, unless something else is before it."""
    pieces = ["▁", "<", "/", "s", ">", "▁<", "</", "s>", "</s>", "<unk>"]
    merges = [("▁", "<"), ("<", "/"), ("s", ">"), ("</", "s>")]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>"))  # noqa: S106
    tokenizer.normalizer = normalizers.Prepend("▁")
    tokenizer.add_special_tokens(["</s>", "<unk>"])
    tokenizer.save(str(tmp_path / "t.json"))
    encoder = Encoder(tmp_path / "t.json")
    assert lists(encoder, ["</s>", "x</s>"]) == [[5, 2, 7, 8], [0, 9, 8, 8]]
    with pytest.raises(ConfigError, match="the text 'a</s>b' becomes a special token"):
        encoder.admit([])


def test_gigatoken_is_not_used_where_it_differs(tokenizer_paths: dict[str, Path]) -> None:
    encoder = Encoder(tokenizer_paths["bpe"], backend="gigatoken")
    wanted = lists(Encoder(tokenizer_paths["bpe"]), SAMPLE)
    encoder._fast = Encoder(tokenizer_paths["llama"])._fast  # stands for a back end with other ideas
    assert not encoder.admit([])
    assert encoder.backend == "tokenizers"
    assert "differs" in encoder.reason
    assert lists(encoder, SAMPLE) == wanted


def test_a_difference_in_the_sample_alone_is_seen(
    tokenizer_paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    true_fast = Gigatoken.__call__

    def wrong(self: Gigatoken, texts: Texts) -> Any:
        tokens, offsets = true_fast(self, texts)
        if "UNLUCKY" in "".join(texts.to_list()):
            tokens = np.concatenate([tokens[:-1], tokens[-1:] + 1])
        return tokens, offsets

    monkeypatch.setattr(Gigatoken, "__call__", wrong)
    assert Encoder(tokenizer_paths["bpe"]).admit(["lucky"])
    assert not Encoder(tokenizer_paths["bpe"]).admit(["lucky", "UNLUCKY"])


def test_a_kind_that_gigatoken_does_not_know(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "the": 1, "row": 2, "</s>": 3}, unk_token="<unk>"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["</s>"])
    tokenizer.save(str(tmp_path / "t.json"))
    encoder = Encoder(tmp_path / "t.json")
    assert not encoder.admit(["the row"])
    assert encoder.reason.startswith("gigatoken can't run it: ")
    assert lists(encoder, ["the row", "", "row x"]) == [[1, 2, 3], [3], [2, 0, 3]]


def test_an_added_token_that_is_not_special_is_found_in_text(tokenizer_paths: dict[str, Path], tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_paths["bpe"]))
    tokenizer.add_tokens(["packing"])
    tokenizer.save(str(tmp_path / "t.json"))
    encoder = Encoder(tmp_path / "t.json")
    number = tokenizer.token_to_id("packing")
    assert lists(encoder, ["packing"]) == [[number, 0]]
    if encoder.admit(SAMPLE):  # either way the ids are the same
        assert lists(encoder, ["packing"]) == [[number, 0]]


@pytest.mark.parametrize("backend", ["gigatoken", "tokenizers"])
def test_an_id_outside_the_vocabulary_is_an_error(tokenizer_path: Path, backend: encode.Backend) -> None:
    encoder = Encoder(tokenizer_path, backend=backend)
    encoder.vocab_size = 5
    with pytest.raises(IntegrityError, match="gave id"):
        encoder.encode(Texts.from_strings(SAMPLE))


def test_a_fresh_instance_gives_the_same_ids(tokenizer_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder(tokenizer_path, backend="gigatoken")
    wanted = lists(encoder, SAMPLE)
    kept = encoder._fast._fast
    assert lists(encoder, SAMPLE) == wanted
    assert encoder._fast._fast is kept
    monkeypatch.setattr(back_ends, "REFRESH_BYTES", 10)
    assert lists(encoder, SAMPLE) == wanted
    assert encoder._fast._fast is not kept


def test_nulls_are_refused(tokenizer_path: Path) -> None:
    with pytest.raises(Exception, match="must not be null"):
        Encoder(tokenizer_path).encode(pa.array(["a", None], pa.large_string()))
