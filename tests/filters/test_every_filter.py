"""What holds for every filter, in every dialect: neighbours and order do not matter, hostile text survives, spans and
edits are well formed, and the work grows no faster than the text.

A new filter is found by itself. One that can't be built with its defaults gets its models and lists in `PARAMS`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import sentencepiece
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.document import DOCUMENT, conform, document_ids
from corpusmill.filters.models.quality import train_quality
from corpusmill.filters.sift import arrow_signals, columns
from corpusmill.options import build, plain
from corpusmill.rules import judge
from corpusmill.steps import REGISTER, Filter, Measured
from corpusmill.text import Texts

GOOD = ["the", "theorem", "of", "the", "field", "and", "its", "proof", "because", "energy", "is", "a", "measure"]
BAD = ["buy", "cheap", "and", "click", "now", "for", "the", "free", "casino", "of", "the", "shop"]


def quality_model(folder: Path) -> dict[str, Any]:
    sides = [[" ".join(words * i + words[: i % 7]) for i in range(1, 150)] for words in (GOOD, BAD)]
    train_quality(sides[0], sides[1], folder / "quality.bin", bucket=1 << 10)
    return {"model": str(folder / "quality.bin")}


def perplexity_models(folder: Path) -> dict[str, Any]:
    (folder / "text").write_text("\n".join([" ".join(GOOD), " ".join(BAD)] * 50))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"), model_prefix=str(folder / "sp"), vocab_size=30, minloglevel=2
    )
    grams = "-1\t<unk>\n-9\t<s>\t-0.3\n-1\t</s>\n-1\t▁the\t-0.3\n-2\ts\n"
    (folder / "lm.arpa").write_text(
        f"\\data\\\nngram 1=5\nngram 2=1\n\n\\1-grams:\n{grams}\n\\2-grams:\n-0.5\t<s>\t▁the\n\n\\end\\\n"
    )
    return {"model": str(folder / "lm.arpa"), "sentencepiece": str(folder / "sp.model")}


def url_lists(folder: Path) -> dict[str, Any]:
    for name in ("domains", "hosts", "urls", "hard_words", "soft_words", "substrings"):
        (folder / name).write_text("example.org\nbad\n日本\n")
    return {
        name: [str(folder / name)] for name in ("domains", "hosts", "urls", "hard_words", "soft_words", "substrings")
    }


def tokenizer_file(folder: Path) -> str:
    model = tokenizers.models.BPE({"a": 0, "b": 1, "ab": 2, "[UNK]": 3}, [("a", "b")], unk_token="[UNK]")  # noqa: S106
    tokenizers.Tokenizer(model).save(str(folder / "tokenizer.json"))
    return str(folder / "tokenizer.json")


def bad_words(folder: Path) -> dict[str, Any]:
    (folder / "words").write_text("casino\nbad word\nﬁ\n日本\n# x\n👍🏽\n")
    return {"path": str(folder / "words")}


PARAMS: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "bad_words": bad_words,
    "dolma": lambda folder: {"tokenizer": tokenizer_file(folder), "min_words": 25},
    "length": lambda _: {f"min_{what}": 2 for what in ("bytes", "chars", "words", "lines", "sentences")},
    "perplexity": perplexity_models,
    "quality": quality_model,
    "url": url_lists,
    "where": lambda _: {"keep": ["source == here"]},
}
"""Options of the filters that have no defaults for all of them, and the files these name."""

VARIANTS: Mapping[str, dict[str, Any]] = {
    "c4": {"terminal_mark": False},
    "gopher_quality": {"words": "script"},
    "gopher_repetition": {"words": "script"},
}
"""Options that take another way through the kernels than any dialect does."""


def cases() -> dict[str, tuple[str, dict[str, Any]]]:
    """The name of a case → the filter and the options that are not in PARAMS."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for use, cls in sorted(REGISTER.items()):
        if issubclass(cls, Filter):
            found[use] = (use, {})
            for dialect in get_args(get_type_hints(cls).get("dialect"))[1:]:
                found[f"{use}-{dialect}"] = (use, {"dialect": dialect})
            if use in VARIANTS:
                found[f"{use}, {', '.join(VARIANTS[use])}"] = (use, VARIANTS[use])
    return found


CASES = cases()
every_filter = pytest.mark.parametrize("case", CASES)

HOSTILE = [
    "",
    " ",
    "\n",
    "\n\n\n\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029 \u3000\u00a0",
    "\0\0\0",
    "\0 a \0\n\0",
    "\ud800",
    "a\udfffb\ud83d\n\udc00",
    "\u0301" * 50,
    "e\u0301\u0323 " * 20,
    "مرحبا بالعالم، كيف حالك؟ هذا نص. " * 3,
    "\u202eשלום עולם\u202c \u200f\u200e\u2066x\u2069",
    "👩‍👩‍👧‍👦 👍🏽🏳️‍🌈 ❤️‍🔥\n" * 3,
    "日本語の文。これは二つ目。中文句子！ภาษาไทย ខ្មែរ ລາວ မြန်မာ",
    "....,,,;;;!!!???###…••• --- ***\n" * 5,
    "- a\n* b\n• c...\n{ } [ ] [1] [edit] lorem ipsum javascript",
    "a" * 5000,
    "1.2.3.4 a@b.cc +1 555 123 4567 2001:db8::1 4111 1111 1111 1111",
    "\ufeff\ufffe\uffff\U0010ffff\U000e0001\u200b",
    "IS_ALPHA <|endoftext|> __label__en __label__x",
    "The cat sat on the mat. It was the end of that, and to be with it is to have it.\n" * 8,
    "def f(x):\n\treturn {x: [x]}  # note\n/* a */ // b\n<!-- c -->\n'''d'''\n",
    "ﬁ ß İ ı ŉ ǰ ΐ Ⅷ ٣ ½ ² 𝔘𝔫𝔦 ＡＢＣ",
    "word" + "\u00ad" * 30 + "\u2060\ufe0f\ufe0e",
]
PIECES = st.one_of(
    st.sampled_from([text[:60] for text in HOSTILE]),
    st.sampled_from(["the ", "and ", ".", "...", "\n", "\n\n", " ", "{", "[1]", "policy", "word word ", "word. "]),
    st.text(max_size=5),
)
TEXTS = st.lists(st.lists(PIECES, max_size=12).map("".join), min_size=1, max_size=6)
URLS = [None, "http://example.org/bad", "", "http://[::1", "HTTP://日本.example.co.uk:80/%00?q#f", "x" * 3000]


@pytest.fixture(scope="session")
def filter_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Filter]:
    """A function that builds the filter of a case."""

    @cache
    def params(use: str) -> dict[str, Any]:
        return PARAMS[use](tmp_path_factory.mktemp(use)) if use in PARAMS else {}

    @cache
    def make(case: str) -> Filter:
        use, options = CASES[case]
        step = build(REGISTER[use], params(use) | options)
        assert isinstance(step, Filter)
        return step

    return make


def batch_of(step: Filter, texts: Texts, strings: list[str]) -> pa.RecordBatch:
    """The other columns, made from each text alone: urls, and whatever signals the step reads."""
    rows = len(texts)
    places = [sum(string.encode("utf-8", "surrogatepass")) for string in strings]
    columns: dict[str, Any] = {
        "id": pa.array(document_ids("here", [str(place) for place in places]), DOCUMENT.field("id").type),
        "text": texts.to_arrow(),
        "source": pa.array(["here"] * rows),
        "locator": pa.array([str(place) for place in places]),
        "url": pa.array([URLS[place % len(URLS)] for place in places], pa.string()),
    }
    batch = conform(pa.record_batch(columns), DOCUMENT)
    for name in step.needs():
        if name in batch.schema.names:
            continue
        maker = REGISTER[name.partition(".")[0]]
        kinds = build(maker, {}).signals() if issubclass(maker, Filter) else {}
        kind = kinds.get(name, pa.string())
        value: Any = "en" if pa.types.is_string(kind) else 1
        batch = batch.append_column(name, pa.array([value] * rows).cast(kind))
    return batch


def measured(step: Filter, strings: list[str]) -> tuple[Texts, pa.RecordBatch, Measured]:
    texts = Texts.from_strings(strings)
    batch = batch_of(step, texts, strings)
    return texts, batch, step.measure(texts, batch)


def everything(step: Filter, strings: list[str]) -> list[dict[str, Any]]:
    """For each document all that the step says of it; places are relative to its beginning."""
    texts, batch, found = measured(step, strings)
    signals = arrow_signals(step, found)
    verdict = judge(step.rules(), {**columns(batch), **signals}, len(strings), texts, found.spans)
    after = (found.texts or texts).to_list()
    spans = {
        name: [tuple((side[d] - texts.offsets[d] if side[d] >= 0 else -1) for side in sides) for d in range(len(texts))]
        for name, sides in (found.spans or {}).items()
    }
    return [
        {
            "signals": {name: repr(values[d].as_py()) for name, values in signals.items()},
            "reasons": verdict.reasons[d].as_py(),
            "text": after[d],
            "spans": {name: places[d] for name, places in spans.items() if places[d][0] >= 0},
        }
        for d in range(len(strings))
    ]


def check(step: Filter, strings: list[str]) -> None:
    """What must hold of any result."""
    texts, _, found = measured(step, strings)
    assert set(found.signals) == set(step.signals())
    ranges = step.ranges()
    for name, values in arrow_signals(step, found).items():
        assert len(values) == len(strings), name
        assert values.type == step.signals()[name], name
        if pa.types.is_floating(values.type):
            assert np.isfinite(values.drop_null().to_numpy(zero_copy_only=False)).all(), name
        if name in ranges and not pa.types.is_string(values.type) and len(numbers := values.drop_null()):
            least, most = ranges[name]
            assert least <= pc.min(numbers).as_py(), name
            assert pc.max(numbers).as_py() <= most, name
    if found.texts is not None:
        assert len(found.texts) == len(strings)
        found.texts.to_arrow().validate(full=True)
    for name, (start, stop) in (found.spans or {}).items():
        assert name.startswith(f"{step.use}.")
        known = start >= 0
        assert (texts.offsets[:-1][known] <= start[known]).all(), name
        assert (start[known] <= stop[known]).all(), name
        assert (stop[known] <= texts.offsets[1:][known]).all(), name
        ends = np.concatenate([start[known], stop[known]])
        ends = ends[ends < texts.offsets[-1]]
        assert (texts.data[ends] & 0xC0 != 0x80).all(), f"{name}: a span begins or ends inside a character"


@every_filter
def test_hostile_text(case: str, filter_of: Callable[[str], Filter]) -> None:
    step = filter_of(case)
    check(step, HOSTILE)
    check(step, [])
    for text in HOSTILE:
        check(step, [text])


@every_filter
def test_neighbours_and_order_change_nothing(case: str, filter_of: Callable[[str], Filter]) -> None:
    step = filter_of(case)
    whole = everything(step, HOSTILE)
    assert [everything(step, [text])[0] for text in HOSTILE] == whole
    assert everything(step, HOSTILE[::-1])[::-1] == whole
    assert everything(step, HOSTILE[:7]) + everything(step, HOSTILE[7:]) == whole


@every_filter
@settings(max_examples=15)
@given(strings=TEXTS)
def test_any_text(case: str, filter_of: Callable[[str], Filter], strings: list[str]) -> None:
    step = filter_of(case)
    check(step, strings)
    assert [everything(step, [text])[0] for text in strings] == everything(step, strings)


@every_filter
def test_a_view_into_larger_buffers(case: str, filter_of: Callable[[str], Filter]) -> None:
    """Bytes before the first and behind the last text belong to nobody."""
    step = filter_of(case)
    around = ["before. {", *HOSTILE, "behind"]
    texts = Texts.from_arrow(Texts.from_strings(around).to_arrow().slice(1, len(HOSTILE)))
    found = arrow_signals(step, step.measure(texts, batch_of(step, texts, HOSTILE)))
    alone = Texts.from_strings(HOSTILE)
    wanted = arrow_signals(step, step.measure(alone, batch_of(step, alone, HOSTILE)))
    assert {name: values.to_pylist() for name, values in found.items()} == {
        name: values.to_pylist() for name, values in wanted.items()
    }


HUGE = 16 << 20
LINES = {"prose": "A word and more of it, 1.2.3.4 and a@b.cc; ", "one word": "x", "line feeds": "\n", "marks": "\u0301"}
HUGE_CASES = [
    pytest.param(case, shape, marks=[] if case in REGISTER and shape == "prose" else [pytest.mark.slow])
    for case in CASES
    for shape in LINES
]


@pytest.mark.parametrize(("case", "shape"), HUGE_CASES)
def test_a_line_of_16_mb(case: str, filter_of: Callable[[str], Filter], shape: str) -> None:
    """A cost that grows with the square of it would not end within the time limit of a test."""
    line = LINES[shape]
    check(filter_of(case), [line * (HUGE // len(line.encode())), "and a short one."])


SHAPES = {
    "one word": "x",
    "prose": "The cat sat on a mat. ",
    "same lines": "ab cd ef gh ij kl mn.\n",
    "line feeds": "\n",
    "one word again": "a ",
    "addresses": "a@b.c+1 555 ",
    "brackets": "{[(<",
    "comments": "/* # '''\n",
    "marks": "e\u0301\u200d",
    "no spaces": "日本語。",
}
SIZES = (200, 800, 3200)
MOST = 5.6


@pytest.fixture(scope="session")
def work_of(
    filter_of: Callable[[str], Filter], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, list[int]]]:
    """Lines of our code that run for texts of each shape and of rising sizes, by case.

    Counted in a process without compiler, where the kernels are plain Python.
    """
    asked = [[case, use, plain(filter_of(case))] for case, (use, _) in CASES.items()]
    file = tmp_path_factory.mktemp("work") / "asked.json"
    file.write_text(json.dumps({"cases": asked, "shapes": SHAPES, "sizes": SIZES, "most": MOST}))
    command = [sys.executable, str(Path(__file__).with_name("count_work.py")), str(file)]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, list[int]]] = json.loads(done.stdout)
    return found


@every_filter
def test_work_grows_no_faster_than_the_text(case: str, work_of: dict[str, dict[str, list[int]]]) -> None:
    """Four times the text costs less than 5.6 times the work; a cost of its square would be sixteen times.

    A shape that begins to matter at some length, such as a line with enough words, has three sizes to show it.
    """
    growth = {shape: counts[-1] / counts[-2] for shape, counts in work_of[case].items()}
    assert set(growth) == set(SHAPES)
    assert max(growth.values()) < MOST, growth
