"""The `fineweb2` filter: its table, its words, and datatrove's decisions with the thresholds of four languages."""

from __future__ import annotations

import json
import tomllib
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.document import DOCUMENT
from corpusmill.errors import ConfigError
from corpusmill.filters.gopher import fineweb2
from corpusmill.filters.gopher.fineweb2 import FineWeb2, stop_words
from corpusmill.filters.gopher.fineweb2_words import count_stop_words, tokens
from corpusmill.filters.measure import measure
from corpusmill.filters.models.language import Language
from corpusmill.filters.models.language_tags import bcp47
from corpusmill.rules import judge
from corpusmill.soundness import check_steps
from corpusmill.text import Texts

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "fineweb2.json").read_text("utf-8"))["texts"]
REASONS = {
    "dup_line_frac": "max_duplicate_line_fraction",
    "char_dup_ratio": "max_duplicate_line_char_fraction",
    "line_punct_ratio": "min_line_punctuation_fraction",
    "list_ratio": "max_newline_ratio",
    "gopher_short_doc": "min_words",
    "gopher_below_avg_threshold": "min_mean_word_length",
    "gopher_above_avg_threshold": "max_mean_word_length",
    "gopher_too_many_hashes": "max_hash_ratio",
    "gopher_too_many_ellipsis": "max_ellipsis_ratio",
    "gopher_too_many_bullets": "max_bullet_line_fraction",
    "gopher_too_many_end_ellipsis": "max_ellipsis_line_fraction",
    "gopher_below_alpha_threshold": "min_alphabetic_word_fraction",
    "gopher_enough_stop_words": "min_stop_words",
    **{f"top_{n}_gram": f"max_top_{n}gram_char_fraction" for n in (2, 3, 4)},
    **{f"duplicated_{n}_n_grams": f"max_duplicate_{n}gram_char_fraction" for n in range(5, 11)},
}
FRENCH = "Le marché ouvre tôt le matin et les pêcheurs y vendent leurs poissons dans la rue de la mairie. "


def cut(text: str, habits: int = 0) -> list[str]:
    texts = Texts.from_strings([text])
    words = tokens(texts, np.array([habits], dtype=np.uint8))
    return [bytes(texts.data[a:b]).decode() for a, b in zip(words.start, words.stop, strict=True)]


def by_label(texts: list[str], labels: list[str | None], step: FineWeb2) -> tuple[dict[str, Any], Any]:
    batch = pa.record_batch({"language.label": pa.array(labels, pa.string())})
    given_texts = Texts.from_strings(texts)
    measured = step.measure(given_texts, batch)
    signals = {name: pa.array(value) for name, value in measured.signals.items()}
    return signals, judge(step.rules(), signals, len(texts), given_texts, measured.spans)


@pytest.mark.parametrize("language", sorted({language for language, _, _ in GOLDEN}))
def test_datatroves_decisions(language: str) -> None:
    cases = [(text, why) for name, text, why in GOLDEN if name == language]
    table = measure([text for text, _ in cases], "fineweb2", language=language)
    assert table["keep"].to_pylist() == [not why for _, why in cases]
    for (text, why), reasons in zip(cases, table["reasons"].to_pylist(), strict=True):
        mine = {reason.partition(":")[0].partition(".")[2] for reason in reasons}
        assert {REASONS[name] for name in why if name != "empty"} <= mine, text


def test_the_golden_vectors_try_every_rule_but_one() -> None:
    """The top 2-gram is never the first to fail in such texts."""
    named = {REASONS[reason] for _, _, why in GOLDEN for reason in why if reason != "empty"}
    rules = {rule.name.partition(".")[2] for rule in FineWeb2(language="fr").rules()}
    assert rules - named == {"max_top_2gram_char_fraction", "max_words"}


def test_the_table() -> None:
    table = tomllib.loads(resources.files("corpusmill.filters.gopher").joinpath("fineweb2.toml").read_text("utf-8"))
    assert len(table) == 88
    french = fineweb2._read(None)["fra_Latn"]
    assert french.max_duplicate_line_fraction == 0.264
    assert french.max_duplicate_ngram_char_fractions == (0.15, 0.141, 0.131, 0.121, 0.111, 0.1)
    assert (french.min_language_score, french.min_line_punctuation_fraction, french.max_newline_ratio) == (
        0.824,
        0.1,
        0.185,
    )
    for language, thresholds in fineweb2._read(None).items():
        assert len(thresholds.stop_words) >= 8, language
        assert 0.3 <= thresholds.min_language_score <= 0.9
        for n, bound in enumerate(thresholds.max_duplicate_ngram_char_fractions[1:]):
            assert bound <= thresholds.max_duplicate_ngram_char_fractions[n] * 1.1, language
        assert thresholds.min_mean_word_length < thresholds.max_mean_word_length


def test_stop_words() -> None:
    assert stop_words("fr") == stop_words("fra_Latn") == stop_words("fr-CA")
    assert stop_words("fr")[:7] == ("de", "la", "le", "et", "à", "en", "l'")
    assert stop_words("he")[0] == "של"
    with pytest.raises(ConfigError, match="'xx'"):
        stop_words("xx")


@pytest.mark.parametrize(
    ("label", "language"),
    [
        ("fr", "fra_Latn"), ("zh", "cmn_Hani"), ("zh-Hans", "cmn_Hani"), ("zh-Hant", "cmn_Hani"), ("yue", "yue_Hani"),
        ("sr", "srp_Cyrl"), ("sr-Cyrl", "srp_Cyrl"), ("sr-Latn", "srp_Latn"), ("no", "nob_Latn"), ("nb", "nob_Latn"),
        ("nn", "nno_Latn"), ("sq", "als_Latn"), ("uz", "uzn_Latn"), ("uz-Cyrl", ""), ("ar", "arb_Arab"),
        ("ar-Latn", ""),
        ("arz", ""), ("en", ""), ("und", ""), ("", ""), (None, ""), ("fil", "fil_Latn"), ("mn", "khk_Cyrl"),
    ],
)  # fmt: skip
def test_labels_find_their_language(label: str | None, language: str) -> None:
    signals, verdict = by_label([FRENCH], [label], FineWeb2())
    assert signals["fineweb2.language"].to_pylist() == [language]
    assert signals["fineweb2.known"].to_pylist() == [bool(language)]
    unknown = "fineweb2.unknown_language: fineweb2.known = false, wanted == True"
    assert (unknown in verdict.reasons[0].as_py()) is not language
    assert by_label([FRENCH], [label], FineWeb2(unknown="keep"))[1].keep.tolist()[0] or language


def test_every_name_of_the_table_is_found_by_its_own_tag() -> None:
    for name in fineweb2._read(None):
        assert fineweb2._find(bcp47(name), None) == fineweb2._find(name, None) == name


def test_each_document_is_judged_by_its_own_language() -> None:
    texts = [text for _, text, _ in GOLDEN]
    labels = [bcp47(language) for language, _, _ in GOLDEN]
    _, verdict = by_label(texts, labels, FineWeb2())
    assert verdict.keep.tolist() == [not why for _, _, why in GOLDEN]
    _, wrong = by_label(texts, labels[::-1], FineWeb2())
    assert wrong.keep.tolist() != verdict.keep.tolist()
    reasons = [reason for all_of_one in verdict.reasons.to_pylist() for reason in all_of_one]
    assert any(
        reason.startswith("fineweb2.max_newline_ratio") and reason.endswith("0.185 for fra_Latn") for reason in reasons
    )
    assert any("for rus_Cyrl" in reason for reason in reasons)


def test_reasons_say_where() -> None:
    text = FRENCH * 5 + "\n"
    (reasons,) = measure([text], "fineweb2", language="fr")["reasons"].to_pylist()
    (top,) = (reason for reason in reasons if reason.startswith("fineweb2.max_top_4gram"))
    assert top.endswith('for fra_Latn, at 0-20: "Le marché ouvre tôt"') or ", at " in top
    assert "fineweb2.max_duplicate_line_char_fraction" not in {
        rule for rule in FineWeb2(language="fr").measure(Texts.from_strings([text]), pa.record_batch({})).spans or {}
    }


@settings(max_examples=15)
@given(st.permutations(list(range(24))), st.integers(1, 23))
def test_batches_and_order_do_not_matter(order: list[int], middle: int) -> None:
    cases = GOLDEN[::7][:24]
    texts, labels = [text for _, text, _ in cases], [bcp47(language) for language, _, _ in cases]
    want, _ = by_label(texts, labels, FineWeb2())
    for part in (order[:middle], order[middle:]):
        got, _ = by_label([texts[k] for k in part], [labels[k] for k in part], FineWeb2())
        for name, value in got.items():
            assert value.to_pylist() == want[name].take(pa.array(part)).to_pylist(), name


@pytest.mark.parametrize(
    ("text", "habits", "words"),
    [
        ("L'homme d’un pays, l'été.", 1, ["L'", "homme", "d’", "un", "pays", ",", "l'", "été", "."]),
        ("L'homme", 0, ["L'homme"]),
        ("'dit' 'x", 1, ["'", "dit", "'", "'", "x"]),
        ("dont im ima cannot", 0, ["dont", "im", "ima", "cannot"]),
        ("今天，天气很好。ok", 0, ["今", "天", "，", "天", "气", "很", "好", "。", "ok"]),
        ("ไปไหน มา", 0, ["ไป", "ไห", "น", "มา"]),
        ("", 1, []),
        (
            "EU-länder 1993-1994 5. 5% Jan-13 -a b-",
            0,
            ["EU", "-", "länder", "1993", "-", "1994", "5", ".", "5", "%", "Jan-13", "-a", "b-"],
        ),
        ("EU-länder 1993-1994 1700-talet", 2, ["EU-länder", "1993", "-", "1994", "1700-talet"]),
        ("a-b 1993-1994", 4, ["a", "-", "b", "1993-1994"]),
        ("5. a5. 2024. 5.", 8, ["5.", "a5", ".", "2024.", "5."]),
        ("5% %", 16, ["5%", "%"]),
        ("Jan-13 3-Jan a-b", 32, ["Jan", "-", "13", "3", "-", "Jan", "a", "-", "b"]),
    ],
)
def test_tokens(text: str, habits: int, words: list[str]) -> None:
    got = cut(text, habits)
    if "น" in text:
        assert "".join(got) == "".join(words)  # which clusters there are is said elsewhere
    else:
        assert got == words


@given(st.text(st.sampled_from("aé 中文ไ'’-.,\n5кสt\u0301")), st.integers(0, 63))
def test_tokens_are_all_of_the_text_but_white_space(text: str, habits: int) -> None:
    assert "".join(cut(text, habits)) == "".join(text.split())


@given(st.lists(st.text(st.sampled_from("abl'-.дг "), max_size=30), min_size=1, max_size=4))
def test_stop_words_are_counted_once_each(strings: list[str]) -> None:
    texts = Texts.from_strings(strings)
    words = tokens(texts, np.zeros(len(texts), dtype=np.uint8))
    listed = ("a", "b", "l-", "г.", "'a")
    every = np.ones(len(texts), dtype=np.bool_)
    got = count_stop_words(texts, words, listed, every)
    for d in range(len(texts)):
        spans = [(int(words.start[j]), int(words.stop[j])) for j in range(words.first[d], words.first[d + 1])]
        pieces = [bytes(texts.data[a:b]).decode() for a, b in spans]
        for (a, b), (c, e) in pairwise(spans):
            first, second = bytes(texts.data[a:b]).decode(), bytes(texts.data[c:e]).decode()
            if b == c and (first in ("'", "-", ".")) != (second in ("'", "-", ".")):
                pieces.append(first + second)
        assert got[d] == len(set(pieces) & set(listed))
        alone = np.arange(len(texts)) == d
        assert count_stop_words(texts, words, listed, alone).tolist() == [got[d]]


def test_marks_belong_to_the_stop_words_that_have_them() -> None:
    maltese = Texts.from_strings(["il-ktieb tal-mara l-oħra"])
    words = tokens(maltese, np.array([1], dtype=np.uint8))
    assert count_stop_words(maltese, words, stop_words("mt"), np.array([True])).tolist() == [3]
    welsh = Texts.from_strings(["dyma'r ffilm 'r"])
    words = tokens(welsh, np.array([0], dtype=np.uint8))
    assert count_stop_words(welsh, words, stop_words("cy"), np.array([True])).tolist()[0] >= 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "\0",
        "\ud800",
        "\u0301" * 100,
        "שלום עולם",
        "😀" * 500,
        "...\n" * 300,
        "中" * 3000,
        "'" * 2000,
        "a" * 200_000,
    ],
)
@pytest.mark.parametrize("language", ["fr", "zh", "he", "mt"])
def test_hostile_text(text: str, language: str) -> None:
    row = measure([text], "fineweb2", language=language).to_pylist()[0]
    assert all(value == value and abs(value) < 1e9 for value in row.values() if isinstance(value, (int, float)))
    assert row["keep"] is False


def test_off_bounds_are_no_rules_for_a_language() -> None:
    german = {rule.name: rule for rule in FineWeb2(language="de").rules()}
    assert "fineweb2.min_mean_word_length" not in german
    assert "fineweb2.min_line_punctuation_fraction" not in german
    every = {rule.name: rule for rule in FineWeb2().rules()}
    assert "deu_Latn" not in every["fineweb2.min_mean_word_length"].bounds
    assert every["fineweb2.min_mean_word_length"].bounds["fra_Latn"] == 2
    assert "fineweb2.min_words" not in {rule.name for rule in FineWeb2(min_words=None).rules()}


def test_language_scores() -> None:
    step = FineWeb2(language_scores=True)
    assert step.needs() == ("language.label", "language.score")
    rule = next(rule for rule in step.rules() if rule.name == "fineweb2.min_language_score")
    signals = {
        "language.score": pa.array([0.823, 0.824, 0.1]),
        "fineweb2.language": pa.array(["fra_Latn", "fra_Latn", ""]),
    }
    assert rule.passes(signals).tolist() == [False, True, True]


def test_recipes_need_a_language_step_before() -> None:
    check_steps((Language(), FineWeb2()))
    check_steps((FineWeb2(language="yue"),))
    check_steps((Language(), FineWeb2(language_scores=True, unknown="keep")))
    with pytest.raises(ConfigError, match=r"language\.label"):
        check_steps((FineWeb2(),), DOCUMENT)


OWN = """
[eng_Latn]
min_language_score = 0.65
max_duplicate_line_fraction = 0.3
max_top_ngram_char_fractions = [0.2, 0.18, 0.16]
max_duplicate_ngram_char_fractions = [0.15, 0.14, 0.13, 0.12, 0.11, 0.1]
min_line_punctuation_fraction = 0.12
max_newline_ratio = 0.3
min_mean_word_length = 3
max_mean_word_length = 10
min_alphabetic_word_fraction = 0.8
stop_words = ["the", "and"]
"""


def test_more_languages_by_a_table(tmp_path: Path) -> None:
    path = tmp_path / "more.toml"
    path.write_text(OWN, "utf-8")
    step = FineWeb2(language="en", table=str(path))
    assert step.files() == (str(path),)
    rule = next(rule for rule in step.rules() if rule.name == "fineweb2.max_top_2gram_char_fraction")
    assert dict(rule.bounds) == {"eng_Latn": 0.2}
    assert "fra_Latn" in FineWeb2(table=str(path))._languages()
    path.write_text(OWN.replace("eng_Latn", "fra_Latn"), "utf-8")
    assert next(iter(FineWeb2(language="fr", table=str(path)).rules())).bounds == {"fra_Latn": 0.3}


def test_a_language_added_to_a_table_is_found(tmp_path: Path) -> None:
    path = tmp_path / "more.toml"
    path.write_text(OWN, "utf-8")
    step = FineWeb2(table=str(path))
    assert by_label([FRENCH], ["io"], step)[0]["fineweb2.language"].to_pylist() == [""]
    path.write_text(OWN + OWN.replace("eng_Latn", "ido_Latn"), "utf-8")
    assert by_label([FRENCH], ["io"], step)[0]["fineweb2.language"].to_pylist() == ["ido_Latn"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (OWN.replace("0.18, ", ""), "has 2 numbers; wanted 3"),
        (OWN.replace("max_newline_ratio", "newline_ratio"), "unknown key 'newline_ratio'"),
        (OWN.replace('"the"', '"the end"'), "white space"),
        (OWN.replace("stop_words = ", "#"), "'stop_words' is missing"),
        ("eng_Latn = 3", r"\[fra_Latn\]"),
        ("[", "not TOML"),
    ],
)
def test_bad_tables(tmp_path: Path, body: str, message: str) -> None:
    path = tmp_path / "more.toml"
    path.write_text(body, "utf-8")
    with pytest.raises(ConfigError, match=message):
        FineWeb2(table=str(path)).files()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"language": "xx"}, "configs for 1,800 more"),
        ({"language": "fr", "table": "/nowhere.toml"}, "No such file"),
        ({"max_hash_ratio": -1.0}, "max_hash_ratio"),
        ({"max_bullet_line_fraction": 1.5}, "max_bullet_line_fraction"),
        ({"unknown": "maybe"}, "unknown"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        measure(["text"], "fineweb2", **options)
