"""The `perplexity` filter against the arithmetic of an ARPA file in plain Python."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.filters.measure import measure
from corpusmill.filters.models.perplexity import Perplexity, normalize_ccnet, normalize_roots
from corpusmill.rules import judge
from corpusmill.soundness import check_steps
from corpusmill.text import Texts

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "perplexity.json").read_text("utf-8"))
NO_BATCH = pa.record_batch({})
SENTENCES = [
    "the cat sat on the mat and looked at the dog",
    "the dog ran after the cat through the garden",
    "a bird sang in the tree while the sun went down",
    "we went to the sea and looked at the ships",
    "in 0000 there were 000 ships in the harbour",
] * 4

Gram = tuple[str, ...]


class Arpa:
    """A bigram model with back-off, by counting; `score` is the definition of ARPA files."""

    def __init__(self, lines: list[list[str]]) -> None:
        padded = [["<s>", *line, "</s>"] for line in lines]
        ones = Counter(word for line in padded for word in line[1:])
        twos = Counter(pair for line in padded for pair in pairwise(line))
        total = sum(ones.values()) + 1
        self.log = {(word,): round(math.log10(n / total), 4) for word, n in ones.items()}
        self.log |= {("<unk>",): round(math.log10(1 / total), 4), ("<s>",): -99.0}
        before = Counter(pair[0] for pair in twos.elements())
        self.log |= {pair: round(math.log10(0.6 * n / before[pair[0]]), 4) for pair, n in twos.items()}
        self.backoff = {word: -0.3979 for word in before}

    def write(self, path: Path) -> Path:
        grams = [sorted(gram for gram in self.log if len(gram) == n) for n in (1, 2)]
        lines = ["\\data\\", *(f"ngram {n}={len(some)}" for n, some in enumerate(grams, 1))]
        for n, some in enumerate(grams, 1):
            lines += ["", f"\\{n}-grams:"]
            for gram in some:
                tail = f"\t{self.backoff[gram[0]]}" if n == 1 and gram[0] in self.backoff else ""
                lines.append(f"{self.log[gram]}\t{' '.join(gram)}{tail}")
        path.write_text("\n".join([*lines, "", "\\end\\", ""]), "utf-8")
        return path

    def perplexity(self, pieces: list[str]) -> float:
        words = ["<s>", *(piece if (piece,) in self.log else "<unk>" for piece in pieces), "</s>"]
        total = 0.0
        for pair in pairwise(words):
            total += self.log[pair] if pair in self.log else self.backoff.get(pair[0], 0.0) + self.log[pair[1:]]
        return 10 ** (-total / (len(words) - 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two languages' models, and the cut-offs."""
    folder = tmp_path_factory.mktemp("perplexity")
    for language, sentences in (("en", SENTENCES), ("xx", [line[::-1] for line in SENTENCES])):
        sentencepiece.SentencePieceTrainer.Train(
            sentence_iterator=iter(sentences), model_prefix=str(folder / f"{language}.sp"), vocab_size=60,
            hard_vocab_limit=False, minloglevel=2,
        )  # fmt: skip
        pieces = sentencepiece.SentencePieceProcessor(str(folder / f"{language}.sp.model"))
        Arpa([pieces.EncodeAsPieces(line) for line in sentences]).write(folder / f"{language}.arpa")
    (folder / "cutoff.csv").write_text(",en,xx\n0,1,1\n30,20.0,30.5\n60,40.0,50\n100,9e9,9e9\n")
    return folder


def paths(folder: Path, language: str = "en") -> dict[str, str]:
    return {"model": str(folder / f"{language}.arpa"), "sentencepiece": str(folder / f"{language}.sp.model")}


def oracle(folder: Path, text: str, language: str = "en") -> float:
    pieces = sentencepiece.SentencePieceProcessor(str(folder / f"{language}.sp.model"))
    sentences = SENTENCES if language == "en" else [line[::-1] for line in SENTENCES]
    model = Arpa([pieces.EncodeAsPieces(line) for line in sentences])
    return model.perplexity(" ".join(pieces.EncodeAsPieces(text)).split())


@pytest.mark.parametrize(("text", "ccnet", "roots"), GOLDEN["texts"])
def test_normalisation(text: str, ccnet: str, roots: str) -> None:
    assert normalize_ccnet(text) == ccnet
    assert normalize_roots(text) == roots


@given(st.text())
def test_normalisation_leaves_no_control_characters_and_can_be_done_twice(text: str) -> None:
    for once in (normalize_ccnet(text), normalize_roots(text)):
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in once)
    assert normalize_roots(normalize_roots(text)).strip() == normalize_roots(text).strip()


@pytest.mark.parametrize(
    "text",
    ["the cat sat on the mat", "The DOG ran.", "zebra 中文 quartz", "", "a", "in 1984 there were 365 ships\nat sea"],
)
@pytest.mark.parametrize("dialect", ["ccnet", "roots"])
def test_perplexity_is_the_arpa_files(folder: Path, text: str, dialect: str) -> None:
    table = measure([text], "perplexity", **paths(folder), dialect=dialect, max_perplexity="off")
    plain = {"ccnet": normalize_ccnet, "roots": normalize_roots}[dialect](text)
    assert table["perplexity.value"].to_pylist()[0] == pytest.approx(oracle(folder, plain), abs=0.051, rel=1e-4)


def test_lines_are_glued_in_ccnet_and_joined_by_a_space_in_roots(folder: Path) -> None:
    def value(text: str, dialect: str) -> float:
        return float(measure([text], "perplexity", **paths(folder), dialect=dialect)["perplexity.value"][0].as_py())

    assert value("the cat\nsat on", "ccnet") == value("the catsat on", "ccnet") != value("the cat sat on", "ccnet")
    assert value("the cat\nsat on", "roots") == value("the cat sat on", "roots")
    assert value("THE CAT", "ccnet") == value("the cat", "ccnet")
    assert value("THE CAT", "roots") != value("the cat", "roots")


def test_text_like_the_models_is_less_perplexing(folder: Path) -> None:
    values = measure([SENTENCES[0], SENTENCES[0][::-1]], "perplexity", **paths(folder))["perplexity.value"].to_pylist()
    assert values[0] * 3 < values[1]


def test_the_bound_keeps_and_only_roots_has_one(folder: Path) -> None:
    value = measure(["zebra quartz"], "perplexity", **paths(folder))["perplexity.value"].to_pylist()[0]
    assert measure(["zebra quartz"], "perplexity", **paths(folder), max_perplexity=value)["keep"].to_pylist() == [True]
    below = measure(["zebra quartz"], "perplexity", **paths(folder), max_perplexity=value - 0.1)
    assert below["keep"].to_pylist() == [False]
    assert below["reasons"].to_pylist()[0][0].startswith("perplexity.max_perplexity: perplexity.value = ")
    assert Perplexity("m", "s").rules() == ()
    (rule,) = Perplexity("m", "s", dialect="roots").rules()
    signals = {"perplexity.value": pa.array([1499.9, 1500.0, 1500.1, None])}
    assert judge([rule], signals, 4).keep.tolist() == [True, True, False, False]


@pytest.mark.parametrize(("head", "tail", "bucket"), [(9e8, 9e9, "head"), (0.1, 9e9, "middle"), (0.1, 0.2, "tail")])
def test_buckets(folder: Path, head: float, tail: float, bucket: str) -> None:
    table = measure(["the cat", ""], "perplexity", **paths(folder), head=head, tail=tail, keep=[bucket])
    assert table["perplexity.bucket"].to_pylist() == [bucket, "all"]
    assert table["keep"].to_pylist() == [True, False]


def test_a_value_at_a_cut_off_is_in_the_next_bucket(folder: Path) -> None:
    value = measure(["the cat"], "perplexity", **paths(folder))["perplexity.value"].to_pylist()[0]
    table = measure(["the cat"], "perplexity", **paths(folder), head=value, tail=value + 0.1)
    assert table["perplexity.bucket"].to_pylist() == ["middle"]
    table = measure(["the cat"], "perplexity", **paths(folder), head=1.0, tail=value)
    assert table["perplexity.bucket"].to_pylist() == ["tail"]


def both(folder: Path, **more: Any) -> Perplexity:
    pattern = {"model": str(folder / "{language}.arpa"), "sentencepiece": str(folder / "{language}.sp.model")}
    return Perplexity(**pattern, languages=("en", "xx"), **more)


def test_each_document_goes_to_its_languages_model(folder: Path) -> None:
    step = both(folder, max_perplexity=50.0, cutoffs=str(folder / "cutoff.csv"))
    text = SENTENCES[0]
    texts = [text, text[::-1], text, text[::-1]]
    batch = pa.record_batch({"language.label": ["en", "xx", "xx", "fr"]})
    got = step.measure(Texts.from_strings(texts), batch).signals
    values = got["perplexity.value"].to_pylist()
    assert values[0] == pytest.approx(oracle(folder, text), abs=0.051, rel=1e-4)
    assert values[2] == pytest.approx(oracle(folder, text, "xx"), abs=0.051, rel=1e-4)
    assert values[3] is None
    assert got["perplexity.bucket"].to_pylist() == ["head", "head", "tail", "all"]
    keep = judge(step.rules(), {**got, "language.label": batch["language.label"]}, 4).keep
    assert keep.tolist() == [True, True, False, True]
    assert step.needs() == ("language.label",)
    assert set(step.files()) == {str(folder / name) for name in
                                 ("en.arpa", "xx.arpa", "en.sp.model", "xx.sp.model", "cutoff.csv")}  # fmt: skip


def test_cut_offs_come_from_the_file(folder: Path) -> None:
    step = Perplexity(**paths(folder), languages=("en",), cutoffs=str(folder / "cutoff.csv"), percentiles=(0, 100))
    got = step.measure(Texts.from_strings(["the cat"]), NO_BATCH).signals
    assert got["perplexity.bucket"].to_pylist() == ["middle"]


@given(st.lists(st.sampled_from([*SENTENCES[:5], "", "\0", "中文", "Zz " * 50]), max_size=5))
def test_batches_do_not_matter(folder: Path, texts: list[str]) -> None:
    step = Perplexity(**paths(folder))
    together = step.measure(Texts.from_strings(texts), NO_BATCH).signals["perplexity.value"].to_pylist()
    alone = [
        step.measure(Texts.from_strings([text]), NO_BATCH).signals["perplexity.value"][0].as_py() for text in texts
    ]
    assert together == alone


@pytest.mark.parametrize(
    "text",
    ["", "  ", "\0", "\ud800", "</s> <s> <unk>", "x" * 100_000, "\u0301" * 50, "שלום", "😀", "1" * 5000, "\u2028"],
)
@pytest.mark.parametrize("dialect", ["ccnet", "roots"])
def test_hostile_text(folder: Path, text: str, dialect: str) -> None:
    value = measure([text], "perplexity", **paths(folder), dialect=dialect)["perplexity.value"].to_pylist()[0]
    assert 1 <= value < math.inf


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "/nowhere/en.arpa.bin"}, "dl.fbaipublicfiles.com/cc_net"),
        ({"sentencepiece": "/nowhere/en.sp.model"}, "huggingface.co/edugp/kenlm"),
        ({"model": "{language}.arpa"}, "both paths"),
        ({"languages": ["en", "xx"]}, "for one language"),
        ({"max_perplexity": 0.5}, "max_perplexity"),
        ({"head": 3.0}, "both head and tail"),
        ({"head": 3.0, "tail": 2.0}, "0 < head"),
        ({"cutoffs": "x.csv"}, "languages"),
        ({"cutoffs": "/nowhere.csv", "languages": ["en"]}, "cutoff.csv"),
        ({"percentiles": [30]}, "two rising"),
        ({"keep": ["head"]}, "needs cut-offs"),
        ({"head": 1.0, "tail": 2.0, "keep": ["best"]}, "keep must name"),
        ({"dialect": "kenlm"}, "dialect"),
    ],
)
def test_bad_options(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        measure(["text"], "perplexity", **{**paths(folder), **options})


def test_what_is_no_model_is_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("not a model")
    with pytest.raises(ConfigError, match="no KenLM model"):
        Perplexity(**{**paths(folder), "model": str(path)}).files()
    with pytest.raises(ConfigError, match="no SentencePiece model"):
        Perplexity(**{**paths(folder), "sentencepiece": str(path)}).files()
    with pytest.raises(ConfigError, match="wanted a column"):
        Perplexity(**paths(folder), languages=("en",), cutoffs=str(path)).files()


def test_a_recipe_without_the_language_is_refused(folder: Path) -> None:
    check_steps((Perplexity(**paths(folder), dialect="roots"),))
    with pytest.raises(ConfigError, match=r"language\.label"):
        check_steps((both(folder),))
