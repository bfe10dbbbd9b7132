"""`bloom`: the decisions of DCLM's BFF and Dolma's deduper, against both retold in plain Python with sets."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.cuts import cut_out, cuts_of_pieces
from corpusmill.dedup.bloom import Bloom
from corpusmill.errors import ConfigError
from corpusmill.text import Texts

HOSTILE = [
    *("", " \n\t\n", "\0\n\0", "e\u0301\n\u0301", "שלום עולם\nשלום עולם", "👩‍👩‍👧\n👩‍👩‍👧 a b", "...\n...\n!!", "İ\ni"),
    *("a b c d\r\na b c d\r\n", "\n\n\n", "\u3000\u2028 \xa0", "静かな夜に鐘が鳴る\n静かな夜に鐘が鳴る", "x" * 70_000),
    *("a\ud800b c d", "can't 'all' 3.14 snake_case e.g. 1,000;2 l'avion", "a b c d e f\nb c d e f g\n\na b c d e f"),
]

Seen = set[Any]
Verdicts = list[tuple[bool, list[bool]]]


LETTER = ("ALetter", "Hebrew_Letter")
MARK = ("Extend", "Format", "ZWJ")
KINDS = (*LETTER, *MARK, *("CR", "LF", "Newline", "Numeric", "Katakana", "ExtendNumLet", "MidLetter", "MidNumLet"))
KINDS = (*KINDS, "Single_Quote", "MidNum", "Double_Quote", "Regional_Indicator", "WSegSpace")


@cache
def kind_of(char: str) -> str:
    return next((kind for kind in KINDS if regex.match(rf"\p{{Word_Break={kind}}}", char)), "Other")


def joined(before: str, a: str, b: str, behind: str) -> bool:
    """Whether UAX #29 has no boundary between kinds a and b: WB3d to WB13b."""
    for_letters, for_numbers = ("MidLetter", "MidNumLet", "Single_Quote"), ("MidNum", "MidNumLet", "Single_Quote")
    word = (*LETTER, "Numeric", "Katakana", "ExtendNumLet")
    return (
        (a in (*LETTER, "Numeric") and b in (*LETTER, "Numeric"))
        or (a in LETTER and b in for_letters and behind in LETTER)
        or (before in LETTER and a in for_letters and b in LETTER)
        or (a == "Hebrew_Letter" and (b == "Single_Quote" or (b == "Double_Quote" and behind == "Hebrew_Letter")))
        or (before == "Hebrew_Letter" and a == "Double_Quote" and b == "Hebrew_Letter")
        or (before == "Numeric" and a in for_numbers and b == "Numeric")
        or (a == "Numeric" and b in for_numbers and behind == "Numeric")
        or (a == b == "Katakana")
        or (a == b == "WSegSpace")
        or (a in word and b == "ExtendNumLet")
        or (a == "ExtendNumLet" and b in word)
    )


def words_of(text: str) -> list[str]:
    """The segments of UAX #29 that are not white space, rule by rule."""
    units: list[list[str]] = []  # of text, and kind: characters with the marks behind them (WB4)
    for char in text:
        kind = kind_of(char)
        if kind in MARK and units and units[-1][1] not in ("CR", "LF", "Newline"):
            units[-1][0] += char
        else:
            units.append([char, kind])
    kinds = ["", *(kind for _, kind in units), "", ""]
    segments: list[str] = []
    flags = 0
    for i, (part, kind) in enumerate(units):
        before = units[i - 1][0] if i else ""
        flags = flags + 1 if kind == "Regional_Indicator" else 0
        glued = before.endswith("\u200d") and regex.match(r"\p{Extended_Pictographic}", part)  # WB3c
        spaces = kind == "WSegSpace" and len(before) > 1  # a mark parts two spaces: WB3d comes before WB4
        if i and (glued or flags == 2 or (joined(*kinds[i - 1 : i + 3]) and not spaces)):
            segments[-1] += part
            flags = 0 if flags == 2 else flags
        else:
            segments.append(part)
    return [segment for segment in segments if not segment.isspace()]


def ngrams_of(text: str, n: int) -> list[tuple[str, ...]]:
    words = words_of(text)
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def bff(documents: list[str], seen: Seen, n: int, threshold: float, unit: str) -> Verdicts:
    """BFF's `process_line_oldboth` (unit "both"), and `process_line` for "paragraph" and "document"."""
    verdicts = []
    for text in documents:
        total = contained = 0
        gone = []
        for part in [text] if unit == "document" else text.split("\n"):
            grams = ngrams_of(part, n)
            hits = sum(gram in seen for gram in grams)
            total, contained = total + len(grams), contained + hits
            gone.append(bool(grams) and hits / len(grams) > threshold)
            if not gone[-1]:
                seen.update(grams)
        whole = gone == [True] if unit == "document" else nothing_left(text, gone)
        whole |= unit == "both" and total > 0 and contained / total > threshold
        verdicts.append((whole, gone))
    return verdicts


def dolma(documents: list[str], seen: Seen, n: int, threshold: float, unit: str) -> Verdicts:
    """`write_attributes` with `by_ngram`, stride 1, `skip_short_paragraphs` and `skip_empty`; or with `documents`."""
    verdicts = []
    for text in documents:
        if unit == "document":
            verdicts.append((bool(text.strip()) and text in seen, []))
            seen.add(text)
            continue
        gone = []
        for part in text.split("\n"):
            grams = ngrams_of(part, n)
            hits = 0
            for gram in grams:
                hits += gram in seen
                seen.add(gram)
            gone.append(bool(grams) and np.float32(hits) / np.float32(len(grams)) >= np.float32(threshold))
        verdicts.append((nothing_left(text, gone), gone))
    return verdicts


def nothing_left(text: str, gone: list[bool]) -> bool:
    return any(gone) and all(out or not words_of(line) for line, out in zip(text.split("\n"), gone, strict=True))


ORACLES = {"dclm": bff, "dolma": dolma}
MODES = [("dclm", "paragraph"), ("dclm", "document"), ("dclm", "both"), ("dolma", "paragraph"), ("dolma", "document")]


def make(dialect: str = "dclm", unit: str | None = None, **options: Any) -> Bloom:
    """A filter so large that nothing is taken for known by mistake."""
    return Bloom(**{"expected_ngrams": 100_000, "false_positive_rate": 1e-9, **options}, dialect=dialect, unit=unit)  # type: ignore[arg-type]


def run(step: Bloom, batches: list[list[str]]) -> Verdicts:
    state = step.start()
    verdicts = []
    for documents in batches:
        found = step.feed(state, Texts.from_strings(documents))
        assert len(found.start) == len(found.gone) == found.first[-1]
        for d, whole in enumerate(found.documents.tolist()):
            verdicts.append((whole, found.gone[found.first[d] : found.first[d + 1]].tolist()))
    return verdicts


def wanted(step: Bloom, documents: list[str]) -> Verdicts:
    clean = Texts.from_strings(documents).to_list()
    verdicts = ORACLES[step.dialect](clean, set(), step.ngram_words, step.threshold, step.unit)
    if step.unit == "document":
        return [(whole, []) for whole, _ in verdicts]
    return [(whole, [out and not whole for out in gone]) for whole, gone in verdicts]


@given(st.text(st.sampled_from("aé1.':,_ \n\r\u0301\u200dאア👩🇩\u3000\xa0日\""), max_size=20))
def test_words_are_those_of_uax_29(text: str) -> None:
    """With 1-grams a filter takes up every different word."""
    step = make("dclm", "document", ngram_words=1, false_positive_rate=1e-9)
    state = step.start()
    step.feed(state, Texts.from_strings([text]))
    assert state.items == len(set(words_of(text)))


LINES = st.lists(st.sampled_from(["a", "b", "c.", "d", "é", "静か", " ", "👍"]), max_size=9).map(" ".join)
DOCUMENTS = st.lists(st.lists(LINES, max_size=5).map("\n".join), max_size=8)


@pytest.mark.parametrize(("dialect", "unit"), MODES)
@settings(max_examples=60)
@given(DOCUMENTS, st.integers(1, 4), st.sampled_from([0.2, 0.5, 0.8, 0.9]))
def test_decisions_are_those_of_sets(dialect: str, unit: str, documents: list[str], n: int, threshold: float) -> None:
    step = make(dialect, unit, ngram_words=n, threshold=threshold)
    assert run(step, [documents]) == wanted(step, documents)


@pytest.mark.parametrize(("dialect", "unit"), MODES)
@pytest.mark.parametrize("n", [1, 2, 3, 13])
def test_hostile_texts(dialect: str, unit: str, n: int) -> None:
    documents = HOSTILE + HOSTILE[::-1]
    step = make(dialect, unit, ngram_words=n)
    assert run(step, [documents]) == wanted(step, documents)


@pytest.mark.parametrize(("dialect", "unit"), MODES)
def test_cutting_the_batch_changes_nothing(dialect: str, unit: str, modules: list[tuple[str, str]]) -> None:
    documents = HOSTILE + [text[:3000] for _, text in modules[:20]] + HOSTILE
    step = make(dialect, unit)
    whole = run(step, [documents])
    assert any(gone or any(lines) for gone, lines in whole)
    for cut in (1, len(HOSTILE), len(documents) - 1):
        assert run(step, [documents[:cut], [], documents[cut:]]) == whole
    assert run(step, [[text] for text in documents]) == whole
    cut = Texts.from_arrow(Texts.from_strings([*documents, "behind"]).to_arrow().slice(3, 9))  # bytes before and behind
    state = step.start()
    assert step.feed(state, cut).documents.tolist() == [gone for gone, _ in run(step, [cut.to_list()])]


@pytest.mark.parametrize(("dialect", "unit"), MODES)
def test_real_text(dialect: str, unit: str, modules: list[tuple[str, str]]) -> None:
    """The standard library, of which a third comes twice and a third with every fifth line changed."""
    texts = [text[:6000] for _, text in modules[:60]]
    texts += texts[:20] + [
        "\n".join(f"{line} x{i}" if i % 5 else line for i, line in enumerate(text.split("\n"))) for text in texts[20:40]
    ]
    step = make(dialect, unit, expected_ngrams=10**6)
    found = run(step, [texts[:30], texts[30:]])
    assert found == wanted(step, texts)
    assert sum(gone or any(lines) for gone, lines in found) >= 20


TEN = [f"w{i}" for i in range(100)]


def line(start: int, stop: int) -> str:
    return " ".join(TEN[start:stop])


def test_dclm_at_its_threshold() -> None:
    """5-grams: the second paragraph has 10, of which 8 are known: 0.8 is not more than 0.8. With 9 it is."""
    step = make(ngram_words=5, unit="paragraph")
    assert run(step, [[line(0, 20), f"{line(0, 12)} y z\nk"]]) == [(False, [False]), (False, [False, False])]
    assert run(step, [[line(0, 20), f"{line(0, 13)} y\nk"]]) == [(False, [False]), (False, [True, False])]


def test_dolma_at_its_threshold() -> None:
    """Of 4 3-grams 2 are known: 0.5 is at least 0.5."""
    step = make("dolma", ngram_words=3)
    assert run(step, [[line(0, 20), f"{line(0, 4)} y z\nk"]])[1] == (False, [True, False])
    assert run(step, [[line(0, 20), f"{line(0, 3)} y z\nk"]])[1] == (False, [False, False])


def test_dclm_does_not_learn_from_what_goes_and_dolma_does() -> None:
    """The third shares most of its 2-grams only with what went from the second."""
    first, second = line(0, 20), f"{line(0, 20)} a b c"
    third = "a b c d"
    assert run(make(ngram_words=2, unit="paragraph"), [[first, second, third]])[1:] == [
        (True, [False]),
        (False, [False]),
    ]
    assert run(make("dolma", ngram_words=2), [[first, second, third]])[1:] == [(True, [False]), (True, [False])]


def test_a_paragraph_that_repeats_itself() -> None:
    text = "ha " * 50 + "\nk"
    assert run(make(ngram_words=3, unit="paragraph"), [[text]]) == [(False, [False, False])]
    assert run(make("dolma", ngram_words=3), [[text]]) == [(False, [True, False])]


def test_a_document_goes_when_its_paragraphs_together_are_known() -> None:
    """A short paragraph that nobody knows stays in DCLM's `paragraph`, and does not save the document in `both`."""
    texts = [line(0, 40), f"{line(0, 40)}\nnot known before"]
    assert run(make(unit="both"), [texts])[1] == (True, [False, False])
    assert run(make(unit="paragraph"), [texts])[1] == (False, [True, False])
    assert run(make("dolma"), [texts])[1] == (False, [True, False])


def test_fewer_words_than_an_ngram() -> None:
    texts = ["one two three"] * 3
    for dialect, unit in MODES[:4]:
        assert not any(gone or any(lines) for gone, lines in run(make(dialect, unit), [texts]))
    assert [gone for gone, _ in run(make("dolma", "document"), [texts])] == [False, True, True]


def test_exactly_as_many_words_as_an_ngram() -> None:
    assert [gone for gone, _ in run(make(), [[line(0, 13), line(0, 13), line(0, 12), line(1, 13)]])] == [0, 1, 0, 0]


def test_ngrams_of_documents_cross_lines_and_those_of_paragraphs_do_not() -> None:
    texts = [line(0, 26), f"{line(0, 9)}\n{line(9, 18)}\n{line(18, 26)}"]
    assert run(make(unit="document"), [texts])[1][0]
    assert not run(make(unit="both"), [texts])[1][0]


def test_capitals_and_punctuation_count() -> None:
    assert not run(make(), [[line(0, 30), line(0, 30).upper()]])[1][0]
    assert not run(make(), [[line(0, 30), line(0, 30).replace(" ", ", ")]])[1][0]
    assert run(make(), [[line(0, 30), line(0, 30).replace(" ", "\t \xa0")]])[1][0]


@pytest.mark.parametrize(("dialect", "unit"), MODES)
def test_no_duplicates(dialect: str, unit: str) -> None:
    texts = [" ".join(f"d{d}w{w}" for w in range(40)) for d in range(50)]
    assert not any(gone or any(lines) for gone, lines in run(make(dialect, unit), [texts]))


@pytest.mark.parametrize(("dialect", "unit"), MODES)
def test_all_identical(dialect: str, unit: str) -> None:
    assert [gone for gone, _ in run(make(dialect, unit), [[line(0, 50)] * 50])] == [False] + [True] * 49


@pytest.mark.parametrize(("dialect", "unit"), MODES)
def test_all_empty(dialect: str, unit: str) -> None:
    for texts in ([""] * 9, [" \n "] * 9, []):
        assert not any(gone or any(lines) for gone, lines in run(make(dialect, unit), [texts]))


@pytest.mark.parametrize(("dialect", "goes"), [("dclm", [False, True]), ("dolma", [True, True])])
def test_a_line_of_16_mb(dialect: str, goes: list[bool]) -> None:
    text = "one two three four five six seven eight, " * 390_000
    assert [gone for gone, _ in run(make(dialect), [[text, text]])] == goes


def test_what_is_left() -> None:
    texts = Texts.from_strings([line(0, 30), f"kept\n\n{line(0, 30)}\n  end\n{line(0, 30)}\n", f"{line(0, 30)}\nkept"])
    step = make(unit="paragraph")
    found = step.feed(step.start(), texts)
    (row, start, stop), cut = cuts_of_pieces(texts, found.start, found.first, found.gone)
    assert cut.tolist()[0] == 0
    left = cut_out(texts, np.arange(3), row, start, stop).to_list()
    assert left == [line(0, 30), "kept\n\n  end\n", "kept"]


@pytest.mark.parametrize(("dialect", "unit"), MODES)
def test_a_saved_filter_goes_on_as_if_it_had_never_stopped(dialect: str, unit: str) -> None:
    step = make(dialect, unit, ngram_words=2)
    state = step.start()
    step.feed(state, Texts.from_strings(HOSTILE[:9]))
    again = step.restore(step.state_bytes(state))
    rest = Texts.from_strings(HOSTILE[5:])
    one, other = step.feed(state, rest), step.feed(again, rest)
    assert np.array_equal(one.documents, other.documents)
    assert np.array_equal(one.gone, other.gone)
    assert step.state_bytes(state) == step.state_bytes(again)


def test_the_seed_changes_which_strangers_are_known() -> None:
    texts = Texts.from_strings([" ".join(f"d{d}w{w}" for w in range(20)) for d in range(2000)])
    found = []
    for seed in (0, 0, 1):
        step = Bloom(expected_ngrams=16_000, ngram_words=13, false_positive_rate=0.5, threshold=0.6, seed=seed)
        found.append(step.feed(step.start(), texts).documents.tolist())
    assert found[0] == found[1] != found[2]
    assert any(found[0])


@pytest.mark.parametrize(("dialect", "unit"), MODES)
def test_more_ngrams_than_expected_is_an_error(dialect: str, unit: str) -> None:
    step = Bloom(expected_ngrams=100, dialect=dialect, unit=unit)  # type: ignore[arg-type]
    state = step.start()
    texts = [" ".join(f"d{d}w{w}" for w in range(13)) for d in range(101)]
    step.feed(state, Texts.from_strings(texts[:99]))
    with pytest.raises(ConfigError, match="expected_ngrams = 100; there are more"):
        step.feed(state, Texts.from_strings([f"{text} {text[::-1]}" for text in texts]))


@pytest.mark.parametrize("dialect", ["dclm", "dolma"])
def test_plagiarised_news_articles(dialect: str, test_data: Path) -> None:
    """Half of the 5-grams of each copy are its original's; nothing else goes."""
    folder = test_data / "duplicates" / "articles"
    names, texts = zip(
        *(text.split(" ", 1) for text in (folder / "articles_1000.train").read_text().splitlines()), strict=True
    )
    truth = [text.split() for text in (folder / "articles_1000.truth").read_text().splitlines()]
    step = make(dialect, "paragraph", ngram_words=5, threshold=0.5, expected_ngrams=10**6)
    gone = {name for name, (out, _) in zip(names, run(step, [list(texts)]), strict=True) if out}
    later = {max(pair, key=names.index) for pair in truth}
    assert gone == later
