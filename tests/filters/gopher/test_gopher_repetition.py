"""Gopher's repetition signals against plain Python in every dialect, and its rules at their bounds."""

from __future__ import annotations

import re
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.filters.gopher.gopher_repetition import GopherRepetition
from corpusmill.rules import judge
from corpusmill.text import Texts

PAPER, DATATROVE = GopherRepetition(), GopherRepetition(dialect="datatrove")
STEPS = [GopherRepetition(dialect=dialect) for dialect in GopherRepetition.DIALECTS]  # type: ignore[arg-type]
WORDS = st.sampled_from(["a", "b", "é", "longer", "日本", "\n", "\n\n", "\n \n", " ", "\x85", "x y z w v", "\0"])
TEXT = st.lists(WORDS, max_size=80).map(" ".join)


def measure(strings: list[str], step: GopherRepetition = PAPER) -> list[dict[str, float]]:
    found = step.measure(Texts.from_strings(strings), None)  # type: ignore[arg-type]
    assert set(found.signals) == set(step.signals())
    names = [name.removeprefix("gopher_repetition.") for name in found.signals]
    return [
        dict(zip(names, row, strict=True)) for row in zip(*(v.tolist() for v in found.signals.values()), strict=True)
    ]


def failed(text: str, step: GopherRepetition = PAPER) -> set[str]:
    found = step.measure(Texts.from_strings([text]), None)  # type: ignore[arg-type]
    verdict = judge(step.rules(), {name: pa.array(values) for name, values in found.signals.items()}, 1)
    return {reason.split(":")[0].removeprefix("gopher_repetition.") for reason in verdict.reasons.to_pylist()[0]}


def copies(pieces: list[str], every: bool) -> tuple[int, int]:
    counts = Counter(pieces)
    extra = {piece: count - (not every) for piece, count in counts.items() if count > 1}
    return sum(extra.values()), sum(len(piece) * count for piece, count in extra.items())


def pieces_of(text: str, dialect: str) -> tuple[list[str], list[str]]:
    """Lines and paragraphs."""
    lines = text.split("\n")
    stripped = [line.strip() for line in lines]
    match dialect:
        case "datatrove":
            return re.split(r"\n+", text), re.split(r"\n{2,}", text.strip())
        case "dolma":
            return lines, []
        case "dolma_v2":
            return re.split(r"\n+", text), []
        case "nemo":
            return [line for line in lines if line.strip()], text.split("\n\n")
    paragraphs = re.split(r"\n{2,}", "\n".join(stripped).strip("\n")) if dialect == "paper" else text.split("\n\n")
    return [line for line in stripped if line], [p.strip() for p in paragraphs if p.strip()]


def top(text: str, words: list[str], n: int, dialect: str) -> int:
    grams = list(zip(*(words[k:] for k in range(n)), strict=False))
    counts = Counter(grams)
    if not counts:
        return 0
    first, often = counts.most_common(1)[0]
    match dialect:
        case "datatrove":
            return len(" ".join(first)) * often
        case "dolma" | "dolma_v2":
            return len("".join(first)) * often
        case "nemo":
            return len(text) - len(text.replace(" ".join(first), ""))
    gram, count = max(counts.items(), key=lambda item: (item[1], len("".join(item[0]))))
    return len("".join(gram)) * count if count > 1 else 0


def repeated(words: list[str], n: int, dialect: str) -> tuple[int, int]:
    """Code points in duplicate n-grams; what they are divided by in Dolma."""
    grams = list(zip(*(words[k:] for k in range(n)), strict=False))
    counts = Counter(grams)
    sizes = [len("".join(gram)) for gram in grams]
    if dialect == "datatrove":
        return skipping(grams, n), 0
    if dialect.startswith("dolma"):
        return sum(size for gram, size in zip(grams, sizes, strict=True) if counts[gram] > 1), sum(sizes)
    seen: set[tuple[str, ...]] = set()
    chars, covered = 0, set()
    for i, gram in enumerate(grams):
        if gram in seen:
            new = [k for k in range(i, i + n) if k not in covered]
            chars += sum(len(words[k]) for k in new) + min(len(new), n - 1)
            covered.update(new)
        seen.add(gram)
    if dialect == "nemo":
        return chars, 0
    places = {i + k for i, gram in enumerate(grams) if counts[gram] > 1 for k in range(n)}
    return sum(len(words[i]) for i in places), 0


def skipping(grams: list[tuple[str, ...]], n: int) -> int:
    seen = set()
    total = i = 0
    while i < len(grams):
        glued = "".join(grams[i])
        if glued in seen:
            total += len(glued)
            i += n
        else:
            seen.add(glued)
            i += 1
    return total


def words_of(text: str, dialect: str) -> list[str]:
    texts = Texts.from_strings([text])
    if dialect in ("datatrove", "dclm"):
        words = texts.spacy_words if dialect == "datatrove" else texts.script_words
        found = [texts.data[a:b].tobytes().decode() for a, b in zip(words.start, words.stop, strict=True)]
        return found if dialect == "datatrove" else [word for word in found if word[0].isalnum()]
    return text.split()


def oracle(text: str, dialect: str) -> dict[str, float]:
    words, (lines, paragraphs) = words_of(text, dialect), pieces_of(text, dialect)
    literal = dialect in ("datatrove", "nemo")
    chars = len(text) if literal else sum(map(len, words))
    result = {}
    for name, pieces in (("line", lines), ("paragraph", paragraphs)):
        if name == "paragraph" and dialect.startswith("dolma"):
            continue
        whole = sum(map(len, pieces)) if dialect in ("paper", "dclm", "nemo") else chars
        count, those = copies(pieces, dialect not in ("paper", "datatrove", "nemo"))
        rejected = (dialect == "datatrove" and not text) or (dialect == "dclm" and not text.strip())
        result[f"duplicate_{name}_fraction"] = 1.0 if rejected else share(count, len(pieces))
        result[f"duplicate_{name}_char_fraction"] = 1.0 if rejected else share(those, whole)
    for n in range(2, 11):
        if n < 5:
            value = share(top(text, words, n, dialect), chars)
        else:
            part, whole = repeated(words, n, dialect)
            value = share(part, whole if dialect.startswith("dolma") else chars)
        name = f"top_{n}gram_char_fraction" if n < 5 else f"duplicate_{n}gram_char_fraction"
        result[name] = 1.0 if dialect == "nemo" and len(words) < n else value
    return result


def share(part: int, whole: int) -> float:
    return min(part / whole, 1.0) if whole else 0.0


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.dialect)
@settings(deadline=None)
@given(strings=st.lists(TEXT, max_size=4))
@example(strings=["", " ", "a", "a b", "a " * 30, "a b c d e f g h i j " * 2, "ab c a bc " * 3])
@example(strings=["one two three\nfour\n\n" * 4, " one \none\n \n one\none", "x y x y z z z z", "a\n\n\na\n"])
@example(strings=["ab cde f g h / a bcde f g h", "data base a b a b", "a\nb a b a b", "\n", "\n\n\n"])
def test_signals_are_those_of_plain_python(step: GopherRepetition, strings: list[str]) -> None:
    assert measure(strings, step) == [oracle(string, step.dialect) for string in strings]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.dialect)
@settings(deadline=None)
@given(strings=st.lists(TEXT, min_size=2, max_size=4))
def test_neighbours_change_nothing(step: GopherRepetition, strings: list[str]) -> None:
    assert measure(strings[::-1], step)[::-1] == [measure([string], step)[0] for string in strings]


def test_reasons_show_what_is_repeated() -> None:
    text = "só one\n" + "very same\n" * 30
    texts = Texts.from_strings(["first", text])
    found = PAPER.measure(texts, None)  # type: ignore[arg-type]
    signals = {name: pa.array(values) for name, values in found.signals.items()}
    reasons = judge(PAPER.rules(), signals, 2, texts, found.spans).reasons.to_pylist()[1]
    shown = {reason.split(":")[0].split(".")[1]: reason for reason in reasons}
    assert shown["max_duplicate_line_fraction"].endswith(', at 17-26: "very same"')
    assert shown["max_duplicate_line_char_fraction"].endswith(', at 17-26: "very same"')
    assert shown["max_top_2gram_char_fraction"].endswith(', at 7-16: "very same"')


def test_script_words_find_repetition_without_spaces() -> None:
    text = "今日は良い天気です。" * 12
    assert measure([text])[0]["duplicate_5gram_char_fraction"] == 0
    assert measure([text], GopherRepetition(words="script"))[0]["duplicate_5gram_char_fraction"] == 1
    spaced = "to be or not to be, that is the question: to be"
    assert measure([spaced], GopherRepetition(words="script")) == measure([spaced])


@pytest.mark.parametrize("step", [PAPER, DATATROVE], ids=["paper", "datatrove"])
def test_one_word_a_million_times(step: GopherRepetition) -> None:
    found = measure(["word " * 1_000_000, "word\n" * 1000], step)
    assert all(found[0][f"top_{n}gram_char_fraction"] == 1.0 for n in (2, 3, 4))
    assert all(found[0][f"duplicate_{n}gram_char_fraction"] > 0.79 for n in range(5, 11))
    lines = 1000 if step is PAPER else 1001  # to datatrove an empty one is behind the last line feed
    assert found[1]["duplicate_line_fraction"] == 999 / lines


def test_words_that_run_together_alike_are_not_equal() -> None:
    assert measure(["ab c d e f / a bc d e f"])[0]["duplicate_5gram_char_fraction"] == 0


def test_the_longest_of_the_most_frequent_counts() -> None:
    text = "aa bb 1 cccc dddd 2 aa bb 3 cccc dddd 4 aa bb 5 cccc dddd"
    assert measure([text])[0]["top_2gram_char_fraction"] == 24 / 41
    assert measure([text], DATATROVE)[0]["top_2gram_char_fraction"] == 15 / 57


def test_datatrove_does_not_see_where_words_end() -> None:
    text = "ab c d e f g ; a bc d e f g"
    assert measure([text], DATATROVE)[0]["duplicate_6gram_char_fraction"] == 7 / 27


@pytest.mark.parametrize("text", ["", " ", "\0", "lone \ud800"])
def test_nothing_repeats_in_nothing(text: str) -> None:
    assert set(measure([text])[0].values()) == {0.0}
    assert failed(text) == set()


def ngram_text(n: int, copied: int, total: int) -> str:
    """One-letter words, `total` of them; an n-gram of `copied` of them comes twice."""
    unique = iter(chr(0x4E00 + k) for k in range(total))
    gram = [next(unique) for _ in range(copied // 2)]
    rest = [next(unique) for _ in range(total - copied)]
    assert len(gram) >= n
    return " ".join([*gram, *rest[:1], *gram, *rest[1:]])


def lines(copied: int, total: int, end: str) -> str:
    """`total` pieces of four letters, `copied` of which repeat the first."""
    return end.join(["same"] * (copied + 1) + [f"{k:04}" for k in range(total - copied - 1)])


@pytest.mark.parametrize(
    ("rule", "kept", "dropped"),
    [
        ("max_duplicate_line_fraction", lines(30, 100, "\n"), lines(31, 100, "\n")),
        ("max_duplicate_paragraph_fraction", lines(30, 100, "\n\n"), lines(31, 100, "\n\n")),
        ("max_duplicate_line_char_fraction", lines(20, 100, "\n"), lines(21, 100, "\n")),
        ("max_duplicate_paragraph_char_fraction", lines(20, 100, "\n\n"), lines(21, 100, "\n\n")),
        ("max_top_2gram_char_fraction", ngram_text(2, 4, 20), ngram_text(2, 4, 19)),
        ("max_top_3gram_char_fraction", ngram_text(3, 6, 34), ngram_text(3, 6, 33)),
        ("max_top_4gram_char_fraction", ngram_text(4, 8, 50), ngram_text(4, 8, 49)),
        ("max_duplicate_5gram_char_fraction", ngram_text(5, 30, 200), ngram_text(5, 30, 199)),
        ("max_duplicate_6gram_char_fraction", ngram_text(6, 14, 100), ngram_text(6, 14, 99)),
        ("max_duplicate_7gram_char_fraction", ngram_text(7, 26, 200), ngram_text(7, 26, 199)),
        ("max_duplicate_8gram_char_fraction", ngram_text(8, 24, 200), ngram_text(8, 24, 199)),
        ("max_duplicate_9gram_char_fraction", ngram_text(9, 22, 200), ngram_text(9, 22, 199)),
        ("max_duplicate_10gram_char_fraction", ngram_text(10, 20, 200), ngram_text(10, 20, 199)),
    ],
)
def test_a_value_at_the_bound_is_kept_and_one_beyond_is_not(rule: str, kept: str, dropped: str) -> None:
    assert rule not in failed(kept)
    assert rule in failed(dropped)
    assert rule not in failed(dropped, GopherRepetition(**{rule: None}))


@pytest.mark.parametrize("options", [{"dialect": "olmo"}, {"max_top_2gram_char_fraction": 20}])
def test_options_out_of_range_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=rf"gopher_repetition: {next(iter(options))} = .*; wanted"):
        GopherRepetition(**options)  # type: ignore[arg-type]
