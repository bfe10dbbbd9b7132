"""Bad words against what the originals find, against regular expressions, and by language."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.filters.c4.bad_words import BadWords
from corpusmill.filters.measure import measure
from corpusmill.rules import judge
from corpusmill.text import Texts

GOLDEN: Mapping[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "c4_bad_words.json").read_text())
WORDS = ("ass", "bad word", "s&m", "i", "éa", "ασσ", "-x", "x-", "🖕", "日本", "a_b", "asset", "kk")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("lists")
    for language, words in GOLDEN["lists"].items():
        (made / language).write_text("\n".join(words) + "\n")
    (made / "own").write_text("\n".join(WORDS) + "\n")
    return made


@pytest.mark.parametrize("case", [key for key in GOLDEN if "-" in key])
def test_the_originals_find_the_same(folder: Path, case: str) -> None:
    """But for the last letter of a Greek word, which is one letter to us in both its forms."""
    dialect, language = case.split("-")
    found = measure(GOLDEN["texts"], "bad_words", path=str(folder / language), language=language, dialect=dialect)
    given = zip(GOLDEN["texts"], found["bad_words.found"].to_pylist(), GOLDEN[case], strict=True)
    differing = [text for text, ours, theirs in given if ours != bool(theirs)]
    assert all("σασ" in text for text in differing)
    assert len(differing) < 10


PIECES = st.one_of(
    st.sampled_from([*WORDS, "ASS", "Bad Word", "İ", "asse", "\u212a\u212a", "_", " ", ".", "\n", "\u3000", "\u0301"]),
    st.characters(exclude_categories=["Cs"], exclude_characters="Σς"),
)
TEXT = st.lists(PIECES, max_size=15).map("".join)
SIDES = {"code": (r"(?<!\w)", r"(?!\w)"), "dolma": (r"(?<!\S)", r"(?!\S)"), "dclm": (r"\b", r"\b"), "ja": ("", "")}


def oracle(text: str, kind: str) -> list[tuple[int, str]]:
    """What is found, without overlaps, by where it ends: `\\w` as in `re`, of which this has more."""
    low = text.lower()
    shown = regex.sub(
        r"[^\p{L}\p{N}_]", lambda c: c[0] if c[0].isspace() or not regex.match(r"\w", c[0]) else "\x01", low
    )
    hits = []
    for word in WORDS:
        before, after = SIDES[kind] if kind != "dolma" or " " not in word else ("", "")
        found = regex.finditer(before + regex.escape(word) + after, shown, overlapped=True)
        hits += [(each.end(), -len(word), word) for each in found]
    taken: list[tuple[int, str]] = []
    free = 0
    for end, size, word in sorted(hits):
        if end + size >= free:
            taken.append((end, word))
            free = end
    return taken


@pytest.mark.parametrize("kind", list(SIDES))
@settings(deadline=None)
@given(text=TEXT)
@example(text="ass asset Ass\u0301 _ass ass_ (ass) bad  word s&m! as-x x-x-")
def test_words_are_those_of_plain_python(folder: Path, kind: str, text: str) -> None:
    options = {"unspaced": ("en",)} if kind == "ja" else {"dialect": kind}
    texts = Texts.from_strings(["", text, text])
    step = BadWords(path=str(folder / "own"), **options)
    found = step.measure(texts, None)
    expected = oracle(text, kind)
    assert found.signals["bad_words.count"].tolist() == [0, len(expected), len(expected)]
    first = expected[0][1] if expected else None
    assert found.signals["bad_words.word"].to_pylist() == [None, first, first]  # type: ignore[union-attr]
    assert found.spans is not None
    start, stop = (side.tolist() for side in found.spans["bad_words.found"])
    for d in (1, 2):
        place = texts.data[start[d] : stop[d]].tobytes().decode() if start[d] >= 0 else None
        assert (place and place.lower()) == first or "İ" in text


def test_the_reason_says_where(folder: Path) -> None:
    texts = Texts.from_strings(["Fine.", "Ünd (ASS)."])
    step = BadWords(path=str(folder / "en"))
    found = step.measure(texts, None)
    signals = {name: pa.array(values) for name, values in found.signals.items()}
    verdict = judge(step.rules(), signals, 2, texts, found.spans)
    wanted = 'bad_words.found: bad_words.found = true, wanted == false, at 5-8: "ASS"'
    assert verdict.reasons.to_pylist() == [[], [wanted]]


def by_language(languages: list[str | None], **options: Any) -> list[str | None]:
    texts = Texts.from_strings(["ass グロ ばか şi"] * len(languages))
    batch = pa.record_batch({"language.label": pa.array(languages, pa.string())})
    step = BadWords(language_from="language.label", **options)
    assert step.needs() == ("language.label",)
    words: list[str | None] = step.measure(texts, batch).signals["bad_words.word"].to_pylist()  # type: ignore[union-attr]
    return words


def test_each_document_has_the_list_of_its_language(folder: Path) -> None:
    lists = {"en": str(folder / "en"), "ja": str(folder / "ja"), "fr-CA": str(folder / "tr")}
    languages = ["en", "ja", "de", None, "en-GB", "fr-CA", "fr"]
    assert by_language(languages, lists=lists) == ["ass", "ばか", None, "ass", "ass", "şi", None]
    assert by_language(languages, lists=lists, language="ja")[3] == "ばか"
    assert by_language(languages, lists=lists, allow={})[1] == "グロ"
    assert by_language(languages, lists=lists, allow={"zh": ("ばか",)})[1] == "グロ"
    assert by_language(languages, lists=lists, allow={"zh": ("ass",)}, dialect="datatrove")[:2] == [None, "グロ"]
    assert by_language(["en", "tr"], path=str(folder / "tr"), language="tr") == [None, "şi"]


def test_a_fraction_is_kept_by_the_text(folder: Path) -> None:
    strings = [f"ass {i}" for i in range(4000)] + ["fine"] * 10

    def found(**options: Any) -> np.ndarray[Any, Any]:
        step = BadWords(path=str(folder / "en"), **options)
        return np.asarray(step.measure(Texts.from_strings(strings), None).signals["bad_words.found"])

    kept = ~found(keep_fraction=0.25)
    assert 0.2 < kept[:4000].mean() < 0.3
    assert kept[4000:].all()
    assert not (kept & found(keep_fraction=0.5)).any()  # who is kept of few is kept of many
    assert (kept != ~found(keep_fraction=0.25, seed=1)).any()
    assert found(keep_fraction=0.0)[:4000].all()
    assert not found(keep_fraction=1.0).any()
    strings.reverse()
    assert (~found(keep_fraction=0.25)[::-1] == kept).all()


def test_hostile_texts_survive(folder: Path) -> None:
    strings = ["", "\0" * 10, "\ud800ass", "ass" * 1_000_000, "İ" * 100_000, "a" * 4_000_000, "グロ" * 100_000]
    for language in ("en", "ja"):
        step = BadWords(path=str(folder / language), language=language)
        found = step.measure(Texts.from_strings(strings), None)
        assert found.signals["bad_words.count"][0] == 0
        assert found.signals["bad_words.count"][5] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either path or lists; a list is .*LDNOOBW/List-of-Dirty.* file `en` of commit 25e679f"),
        ({"path": "a", "lists": {"en": "a"}}, "either path or lists"),
        ({"lists": {"ja": "a"}}, "no list for language = 'en'.*lists has ja"),
        ({"path": "a", "dialect": "nemo"}, "dialect = 'nemo'; wanted one of code, datatrove, dolma, dclm"),
        ({"path": "a", "keep_fraction": 1.5}, "keep_fraction = 1.5; wanted 0 to 1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"bad_words: .*{message}"):
        BadWords(**options)


def test_a_list_that_changes_is_read_again(tmp_path: Path) -> None:
    step = BadWords(path=str(tmp_path / "words"))
    for word in ("ass", "mule"):
        (tmp_path / "words").write_text(word)
        found = step.measure(Texts.from_strings(["an ass and a mule"]), None)
        assert found.signals["bad_words.word"].to_pylist() == [word]  # type: ignore[union-attr]


def test_a_missing_list_says_where_lists_come_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"bad_words: path = '.*/none': no such file; wanted .*LDNOOBW"):
        BadWords(path=str(tmp_path / "none")).files()
    with pytest.raises(ConfigError, match=r"bad_words: lists.ja = '.*/none': no such file; wanted .*LDNOOBW"):
        BadWords(lists={"ja": str(tmp_path / "none")}, language="ja").files()
