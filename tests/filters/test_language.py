"""The `language` filter, and the sampling that every fastText step shares."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.filters import fasttext_model
from corpusmill.filters.language import Language
from corpusmill.filters.measure import measure
from corpusmill.rules import judge
from corpusmill.text import Texts

NO_BATCH = pa.record_batch({})
ENGLISH = "The quick brown fox jumps over the lazy dog while the others are sleeping in the garden. "
GERMAN = "Der schnelle braune Fuchs springt über den faulen Hund, während die anderen im Garten schlafen. "


def line(text: str, max_bytes: int = 1 << 20) -> str:
    return fasttext_model.lines(Texts.from_strings([text]), max_bytes)[0]


def guarded(word: str) -> str:
    """A word as fastText must see it."""
    return word[1:] if word.startswith("__label__") or word == "</s>" else word


@given(
    st.text()
    | st.lists(st.sampled_from(["</s>", "__label__", "a", " ", "\n", "\0", "\u3000", "</s>x", "é"])).map("".join)
)
@example("a\nb\r\nc\u2028d\x85e\xa0f\0g")
@example("</s> </s>x x</s> __label__en ___label__ __label__")
def test_short_texts_are_their_words_with_single_spaces(text: str) -> None:
    got = line(text)
    assert got == " ".join(guarded(word) for word in text.replace("\0", " ").split())


def test_no_words_are_glued() -> None:
    assert line("one\ntwo\r\nthree\0four\tfive\u00a0six") == "one two three four five six"


def test_labels_and_line_ends_in_a_document_do_not_reach_fasttext() -> None:
    model = fasttext_model.load(fasttext_model.language_model_path())
    names, scores = model.top([line(GERMAN), line(f"</s> {GERMAN}"), line(f"__label__en {GERMAN}")])
    assert names == ["de"] * 3
    assert min(scores) > 0.8


@given(st.text(st.sampled_from("ab é中\n\u3000😀"), min_size=200, max_size=900), st.integers(64, 300))
def test_long_texts_are_read_in_windows(text: str, max_bytes: int) -> None:
    if len(text.encode()) <= max_bytes:
        return
    got = line(text, max_bytes)
    words = " ".join(text.split())
    assert len(got.encode()) <= max_bytes + fasttext_model.WINDOWS - 1
    assert got == " ".join(got.split())
    rest = words
    for word in got.split():  # every piece occurs in the text, in order
        _, found, rest = rest.partition(word)
        assert found


def test_windows_are_cut_at_white_space_and_reach_every_part() -> None:
    words = [f"word{k:05d}" for k in range(4000)]
    got = line("\n".join(words), 1024).split()
    assert set(got) <= set(words)
    assert 80 <= len(got) <= 1024 // 9
    quarters = [int(word[4:]) // 1000 for word in got]
    assert sorted(set(quarters)) == [0, 1, 2, 3]
    assert (
        len([k for k in range(1, len(got)) if int(got[k][4:]) != int(got[k - 1][4:]) + 1]) == fasttext_model.WINDOWS - 1
    )


def test_text_without_white_space_is_cut_between_characters() -> None:
    got = line("中文" * 5000, 1000)
    assert "\ufffd" not in got
    assert len(got.replace(" ", "").encode()) >= 1000 - 3 * 2 * fasttext_model.WINDOWS


@pytest.mark.parametrize(("size", "whole"), [(1023, True), (1024, True), (1025, False)])
def test_the_bound_is_bytes(size: int, whole: bool) -> None:
    text = ("ab " * 400)[: size - 1] + "c"
    assert (line(text, 1024) == " ".join(text.split())) is whole


@given(
    st.lists(st.sampled_from([ENGLISH * 40, GERMAN, "", "123", "\0", "中文测试" * 400, "مرحبا بالعالم"]), max_size=8)
)
def test_batches_and_order_do_not_matter(texts: list[str]) -> None:
    step = Language()
    together = step.measure(Texts.from_strings(texts), NO_BATCH).signals
    for k, text in enumerate(texts):
        alone = step.measure(Texts.from_strings([text]), NO_BATCH).signals
        assert alone["language.label"][0].as_py() == together["language.label"][k].as_py()
        assert alone["language.score"][0] == together["language.score"][k]


def test_view_into_a_larger_buffer() -> None:
    array = pa.array([GERMAN, ENGLISH, GERMAN], pa.large_string()).slice(1, 1)
    assert Language().measure(Texts.from_arrow(array), NO_BATCH).signals["language.label"].to_pylist() == ["en"]


@pytest.mark.parametrize("text", ["", "   ", "\0\0", "12 34", "!?", "\u0301", "😀😀", "\n\n"])
def test_no_letters_no_language(text: str) -> None:
    table = measure([text], "language", keep=["en", "und"])
    assert table["language.label"].to_pylist() == ["und"]
    assert table["language.score"].to_pylist() == [0.0]
    assert table["reasons"].to_pylist() == [["language.min_score: language.score = 0, wanted >= 0.65"]]


@pytest.mark.parametrize("text", ["שלום לכולם " * 20, "\ud800 hello \udfff", "x" * 500_000, "é" * 3000, "a\0b" * 3000])
def test_hostile_text_has_a_score_from_0_to_1(text: str) -> None:
    score = measure([text], "language", min_score="off")["language.score"].to_pylist()[0]
    assert 0 <= score <= 1


def test_all_reasons_are_given() -> None:
    table = measure([GERMAN, ENGLISH, "Hm"], "language", keep=["en"], min_score=0.65)
    assert table["keep"].to_pylist() == [False, True, False]
    first, second, _ = table["reasons"].to_pylist()
    assert first == ["language.keep: language.label = de, wanted in en"]
    assert second == []


@pytest.mark.parametrize(("score", "kept"), [(0.7499999, False), (0.75, True), (0.7500001, True)])
def test_min_score_keeps_the_bound(score: float, kept: bool) -> None:
    signals = {"language.score": pa.array([np.float32(score)], pa.float32())}
    assert judge(Language(min_score=0.75).rules(), signals, 1).keep.tolist() == [kept]


def test_scores_are_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """fastText reports a certain label as 1.00001."""
    model = fasttext_model.load(fasttext_model.language_model_path())
    monkeypatch.setattr(model, "_predict", lambda lines, _k: ([["__label__en"]] * len(lines), [[1.00001]] * len(lines)))
    assert model.top(["a"])[1].tolist() == [1.0]
    assert model.probability(["a"], "en").tolist() == [1.0]
    assert model.probability(["a"], "de").tolist() == [0.0]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"keep": []}, "keep"),
        ({"keep": [""]}, "keep"),
        ({"keep": ["english"]}, "does not know"),
        ({"min_score": 1.01}, "min_score"),
        ({"min_score": -0.01}, "min_score"),
        ({"max_bytes": 63}, "max_bytes"),
        ({"model": ""}, "model"),
        ({"model": "/nowhere/lid.bin"}, "can't be read"),
    ],
)
def test_bad_options(params: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        measure(["text"], "language", **params)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lid.bin"
    path.write_text("not a model")
    with pytest.raises(ConfigError, match="not a fastText model"):
        Language(model=str(path)).files()


def test_files_names_the_model() -> None:
    (path,) = Language(keep=("en",)).files()
    assert Path(path).name == "lid.176.ftz"
    with pytest.raises(ConfigError, match="does not know"):
        Language(keep=("xx",)).files()


def test_accuracy_on_lingua(test_data: Path) -> None:
    """lid.176.ftz gets .892 of the sentences in the languages it knows; long documents lose nothing by sampling."""
    model = fasttext_model.load(fasttext_model.language_model_path())
    sentences: dict[str, list[str]] = {}
    with tarfile.open(test_data / "language" / "lingua.tar.xz") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if name.startswith("sentences/") and name.endswith(".txt"):
                label = {"nb": "no"}.get(Path(name).stem, Path(name).stem)
                file = archive.extractfile(member)
                if label in model.labels and file is not None:
                    sentences[label] = [text for text in file.read().decode().splitlines() if text.strip()]
    assert len(sentences) == 67
    labels = np.repeat(list(sentences), [len(texts) for texts in sentences.values()])
    everything = Texts.from_strings([text for texts in sentences.values() for text in texts])
    got = np.array(Language().measure(everything, NO_BATCH).signals["language.label"].to_pylist())
    assert (got == labels).mean() >= 0.890

    joined = ["\n".join(texts[k : k + 60]) for texts in sentences.values() for k in (0, 300, 600)]
    documents, truth = Texts.from_strings(joined), np.repeat(list(sentences), 3)
    got = np.array(Language().measure(documents, NO_BATCH).signals["language.label"].to_pylist())
    whole = np.array(model.top(fasttext_model.lines(documents, 1 << 20))[0])
    assert (got == whole).mean() >= 0.98
    assert (got == truth).mean() >= (whole == truth).mean() - 0.01
