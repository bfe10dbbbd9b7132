"""Dolma's token repetitions and word counts against vectors of its own taggers and plain Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.filters.heuristics import token_repetitions
from corpusmill.filters.heuristics.dolma import Dolma
from corpusmill.filters.measure import measure
from corpusmill.filters.word_breaks import count_segments
from corpusmill.text import Texts

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "dolma.json").read_text("utf-8"))
CASES = [("".join(piece * times for piece, times in pieces), *wanted) for pieces, *wanted in GOLDEN["cases"]]
IDS = st.lists(st.tuples(st.lists(st.integers(0, 2), min_size=1, max_size=5), st.integers(1, 9)), max_size=6)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(json.dumps(GOLDEN["tokenizer"]))
    return str(path)


def test_golden_vectors(tokenizer: str) -> None:
    step = Dolma(tokenizer=tokenizer, min_words=25)
    texts = Texts.from_strings([text for text, *_ in CASES])
    measured = step.measure(texts, None)  # type: ignore[arg-type]
    assert np.asarray(measured.signals["dolma.token_repetitions"]).tolist() == [times for _, times, *_ in CASES]
    assert np.asarray(measured.signals["dolma.words"]).tolist() == [words for *_, words in CASES]
    assert measured.spans is not None
    start, stop = measured.spans["dolma.token_repetitions_below"]
    for d, (text, times, place, _) in enumerate(CASES):
        if times >= 50:
            inside = texts.data[start[d] : stop[d]].tobytes().decode()
            assert (text[place[0] : place[1]], len(text[: place[0]].encode())) == (inside, start[d] - texts.offsets[d])


def test_a_tokenizer_only_the_reference_runs_gives_the_same(tokenizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = Texts.from_strings([text for text, *_ in CASES])
    counter = token_repetitions.Counter(tokenizer)
    fast = counter.encode(texts)
    monkeypatch.setattr(counter, "_runs", False)
    slow = counter.encode(texts)
    assert fast[0].tolist() == slow[0].tolist()
    assert fast[1].tolist() == slow[1].tolist()


def test_the_first_batch_may_have_no_bytes(tokenizer: str) -> None:
    ids, offsets = token_repetitions.Counter(tokenizer).encode(Texts.from_strings(["", ""]))
    assert (ids.tolist(), offsets.tolist()) == ([], [0, 0, 0])


def runs_of(ids: list[int]) -> list[tuple[int, int, int]]:
    """(start, stop, times), as the original finds them: a run needs a whole row like the one before it."""
    found = []
    for period in range(1, min(13, len(ids) // 3) + 1):
        same = [i >= period and ids[i] == ids[i - period] for i in range(len(ids))]
        rows = [all(same[row : row + period]) for row in range(0, len(ids) - period + 1, period)]
        row = 0
        while row < len(rows):
            if not rows[row]:
                row += 1
                continue
            start, stop = row * period, row * period
            while start > 0 and same[start - 1]:
                start -= 1
            while stop < len(ids) and same[stop]:
                stop += 1
            times = (stop - start + period) // period
            if times > 2:
                found.append((start - period, stop, times))
            row = -(-stop // period)
    return found


@given(IDS)
@example([([0, 1], 3), ([1], 4)])
@example([([0], 1), ([1, 2, 0, 1], 5)])
def test_runs_are_those_of_plain_python(groups: list[tuple[list[int], int]]) -> None:
    ids = [token for group, times in groups for token in group * times]
    kept: list[tuple[int, int, int]] = []
    for run in sorted(runs_of(ids), key=lambda run: (run[0], -run[1], -run[2])):
        if not kept or not (run[0] >= kept[-1][0] and run[1] <= kept[-1][1]):
            kept.append(run)
    here = np.arange(len(ids), dtype=np.int64)
    offsets = np.array([0, len(ids)], dtype=np.int64)
    times, start, stop = token_repetitions._best(np.array(ids, dtype=np.uint32), offsets, here, here + 1)
    wanted = max(kept, key=lambda run: run[2], default=(-1, -1, 0))
    assert (start[0], stop[0], times[0]) == wanted


def segments(strings: list[str]) -> npt.NDArray[np.int64]:
    return count_segments(Texts.from_strings(strings))


@given(
    st.lists(
        st.text(st.sampled_from("aé1.':,_ \n\r\u0301\u200dאア👩🇩\u3000\xa0日"), max_size=12), min_size=2, max_size=4
    )
)
def test_segments_do_not_depend_on_neighbours(strings: list[str]) -> None:
    assert segments(strings[::-1]).tolist()[::-1] == [int(segments([string])[0]) for string in strings]
    assert segments(["\n".join(strings)])[0] == segments(strings).sum()


def failed(text: str, **options: Any) -> list[str]:
    table = measure([text], "dolma", **options)
    return [reason.removeprefix("dolma.").split(":")[0] for reason in table["reasons"][0].as_py()]


def test_a_value_at_its_bound(tokenizer: str) -> None:
    assert failed("x" * 99, tokenizer=tokenizer) == []
    assert failed("x" * 100, tokenizer=tokenizer) == ["token_repetitions_below"]
    assert failed("x" * 100, tokenizer=tokenizer, token_repetitions_below=None) == []
    books = {"token_repetitions_below": None, "min_words": 25}
    assert failed("word, " * 12 + "x", **books) == []
    assert failed("word, " * 12, **books) == ["min_words"]


def test_the_reason_shows_the_place(tokenizer: str) -> None:
    reason = measure(["é: " + "ab" * 120 + "!"], "dolma", tokenizer=tokenizer)["reasons"][0].as_py()[0]
    assert reason.endswith(f', at 3-243: "{"ab" * 40}"')


def test_long_texts_are_encoded_in_pieces(tokenizer: str) -> None:
    table = measure(["q" * 250_000, "日" * 100_050], "dolma", tokenizer=tokenizer)
    assert table["dolma.token_repetitions"].to_pylist() == [100_000, 100_000]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "gpt-neox"),
        ({"tokenizer": "/nowhere/tokenizer.json"}, "can't be read"),
        ({"token_repetitions_below": None}, "nothing to measure"),
        ({"token_repetitions_below": None, "min_words": -1}, "not negative"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Dolma(**options).files()


def test_a_file_that_is_no_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match="not a tokenizer"):
        Dolma(tokenizer=str(tmp_path / "tokenizer.json")).files()


def test_hostile_texts_survive(tokenizer: str) -> None:
    strings = [
        "",
        "\0" * 5,
        "\ud800",
        "ab \n" * 500_000,
        "x" * (16 << 20),
        " " * 100_000,
        "e" + "\u0301" * 50_000,
        "\u202eשלום",
    ]
    table = measure(strings, "dolma", tokenizer=tokenizer, min_words=1)
    assert table["dolma.words"].to_pylist() == [0, 5, 1, 500_000, 1, 0, 1, 2]
    assert table["keep"].to_pylist() == [False, True, True, False, False, False, False, True]
