"""What the reference implementations say of every document, in an environment of their own: writes JSONL.

Imports nothing of corpusmill. A line has, for each rule set, the `reasons` to drop the document (empty: kept), of kept
documents that the rule set edits the digest of the new `text`, and `error` in place of both where the reference
raised one. Everything is used as its documentation or its published configuration shows.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Answer = dict[str, Any]
BAD_WORDS = "BAD_WORDS"
"""Environment variable: the list of bad words, which dolma carries and the others would download."""

PUNKT = "punkt"
Answers = Iterator[dict[str, Answer]]
"""For each document, in order, the answer of each rule set."""


def digest(text: str) -> str:
    """What two texts are compared by."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def files() -> dict[str, str]:
    """Paths of data that the packages of this environment carry: bad words, and punkt's model of English."""
    places = {
        BAD_WORDS: ("dolma", "data/naughty_words_en.txt"),
        PUNKT: ("llama_index.core", "_static/nltk_cache/tokenizers/punkt_tab/english"),
    }
    found = {}
    for name, (package, path) in places.items():
        try:
            spec = find_spec(package)
        except ModuleNotFoundError:
            continue
        if spec is not None and spec.origin is not None:
            found[name] = str(Path(spec.origin).parent / path)
    return found


def datatrove(texts: list[str]) -> Answers:
    """Its filters with their defaults; they stop at the first rule that fails. C4 also as FineWeb uses it."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
        fineweb_quality_filter,
        gopher_quality_filter,
        gopher_repetition_filter,
    )
    from datatrove.utils.logging import logger

    logger.remove()
    # Three filters want the words of the same document, and finding words takes most of the time.
    words = lru_cache(maxsize=1)(gopher_quality_filter.split_into_words)
    for module in (gopher_quality_filter, gopher_repetition_filter, fineweb_quality_filter):
        module.split_into_words = words
    steps = {
        "gopher_quality": GopherQualityFilter(),
        "gopher_repetition": GopherRepetitionFilter(),
        "fineweb": FineWebQualityFilter(),
        "c4": C4QualityFilter(),
        "c4 of FineWeb": C4QualityFilter(filter_no_terminal_punct=False),
    }
    edits = ("c4", "c4 of FineWeb")

    def ask(name: str, text: str) -> Answer:
        document = Document(text=text, id="")
        try:
            found = steps[name].filter(document)
        except (ZeroDivisionError, AssertionError, ValueError) as error:
            return {"error": repr(error)}
        kept, reason = found if isinstance(found, tuple) else (found, "dropped")
        if not kept:
            return {"reasons": [reason]}
        return {"reasons": [], "text": digest(document.text)} if name in edits else {"reasons": []}

    for text in texts:
        yield {name: ask(name, text) for name in steps}


def bad_words_of_datatrove(texts: list[str]) -> Answers:
    """Its C4 filter for bad words, with the list from a file."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import C4BadWordsFilter, c4_filters

    path = os.environ[BAD_WORDS]
    c4_filters.cached_asset_path_or_download = lambda *_, **__: path
    step = C4BadWordsFilter()
    for text in texts:
        kept = step.filter(Document(text=text, id=""))
        yield {"bad words": {"reasons": [] if kept is True else [kept[1]]}}


def c4(texts: list[str]) -> Answers:
    """`is_valid_length`, `clean_page` and the bad words filter of the original code, with nltk's punkt for English."""
    from types import SimpleNamespace

    import nltk
    from nltk.tokenize.punkt import PunktTokenizer
    from tensorflow_datasets.text import c4_utils

    nltk.data.path.insert(0, str(Path(files()[PUNKT]).parents[2]))
    c4_utils._SENTENCE_TOKENIZER = PunktTokenizer("english")  # which the original downloads
    c4_utils.tf = SimpleNamespace(compat=SimpleNamespace(as_text=str))  # all that is asked of tensorflow
    counted: list[str] = []
    c4_utils.get_counter_inc_fn = lambda _: lambda counter, *_: counted.append(counter)
    clean = c4_utils.get_clean_page_fn()
    words = Path(os.environ[BAD_WORDS]).read_text("utf-8").splitlines()
    decent = c4_utils.get_badwords_filter_fn({"en": words})

    def ask(text: str) -> Answer:
        page = c4_utils.PageFeatures(text=text)
        if not c4_utils.is_valid_length(page):
            return {"reasons": ["too_long"]}
        counted.clear()
        kept = list(clean(page))
        if kept:
            return {"reasons": [], "text": digest(kept[0].text)}
        return {"reasons": [name.removeprefix("filtered:") for name in counted if name.startswith("filtered:")]}

    for text in texts:
        kept = decent(c4_utils.PageFeatures(text=text, language="en"))
        yield {"clean_page": ask(text), "bad words": {"reasons": [] if kept else ["badwords"]}}


QUALITY_CUTS = (
    ("word_count", "<", 50),
    ("word_count", ">", 100_000),
    ("median_word_length", "<", 3),
    ("median_word_length", ">", 10),
    ("symbol_to_word_ratio", ">", 0.1),
    ("fraction_of_words_with_alpha_character", "<", 0.8),
    ("required_word_count", "<", 2),
    ("fraction_of_lines_starting_with_bullet_point", ">", 0.9),
    ("fraction_of_lines_ending_with_ellipsis", ">", 0.3),
)
REPETITION_CUTS = (
    ("fraction_of_duplicate_lines", ">", 0.3),
    ("fraction_of_characters_in_duplicate_lines", ">", 0.3),
    ("fraction_of_characters_in_most_common_2gram", ">", 0.2),
    ("fraction_of_characters_in_most_common_3gram", ">", 0.18),
    ("fraction_of_characters_in_most_common_4gram", ">", 0.16),
    *((f"fraction_of_characters_in_duplicate_{n}grams", ">", round(0.2 - n / 100, 2)) for n in range(5, 11)),
)
"""configs/dolma-v1_6/mixing/cc-head.yaml. The tagger's name is `…_2grams`, so the rules over `…_2gram` never fire."""

C4_CUTS = tuple((f"has_{name}", ">", 0.5) for name in ("curly_brace", "lorem_ipsum", "javascript"))
BAD_WORDS_CUTS = (("has_naughty_word", ">", 0.5),)
C4_LINES = ("lines_with_no_ending_punctuation", "lines_with_too_few_words")
"""configs/c4-replication/mixer.yaml, without its language. Bad words apart: they are
a step of their own."""

Cuts = tuple[tuple[str, str, float], ...]


def dolma(texts: list[str]) -> Answers:
    """Its taggers, then its own mixer over what they wrote, with the published filters."""
    import nltk

    nltk.download = lambda *_, **__: False  # at import it would fetch data that none of these taggers reads
    from dolma.core.data_types import InputSpec
    from dolma.taggers.c4 import FasterC4Tagger
    from dolma.taggers.gopher import GopherTagger, GopherTaggerV2

    taggers = {"gopher_v1": GopherTagger(), "gopher_v2": GopherTaggerV2(), "c4_v2": FasterC4Tagger()}
    tags = {
        name: [tagger.tag(InputSpec(id=str(n), text=text)) for n, text in enumerate(texts)]
        for name, tagger in taggers.items()
    }
    sets: dict[str, tuple[str, Cuts, tuple[str, ...]]] = {
        **{f"{tagger} quality": (tagger, QUALITY_CUTS, ()) for tagger in ("gopher_v1", "gopher_v2")},
        **{f"{tagger} repetition": (tagger, REPETITION_CUTS, ()) for tagger in ("gopher_v1", "gopher_v2")},
        "c4_v2": ("c4_v2", C4_CUTS, C4_LINES),
        "bad words": ("c4_v2", BAD_WORDS_CUTS, ()),
    }
    kept = {name: _mix(texts, tagger, tags[tagger], cuts, lines) for name, (tagger, cuts, lines) in sets.items()}
    for n in range(len(texts)):
        answers: dict[str, Answer] = {}
        for name, (tagger, cuts, lines) in sets.items():
            if n in kept[name]:
                answers[name] = {"reasons": [], **({"text": digest(kept[name][n])} if lines else {})}
            else:
                answers[name] = {"reasons": _reasons(tags[tagger][n], cuts)}
        yield answers


def _reasons(found: dict[str, list[Any]], cuts: Cuts) -> list[str]:
    """The cuts that a document's tags exceed, with the value: in words what the mixer did."""
    over = []
    for name, comparison, bound in cuts:
        value = found[name][0][2] if found.get(name) else None
        if value is not None and (value < bound if comparison == "<" else value > bound):
            over.append(f"{name} = {value}, dropped {comparison} {bound}")
    return over


def _mix(
    texts: list[str], tagger: str, tags: list[dict[str, Any]], cuts: Cuts, lines: tuple[str, ...]
) -> dict[int, str]:
    """Text by number of the documents that dolma's mixer keeps."""
    from dolma import mixer

    with tempfile.TemporaryDirectory() as folder:
        prefix = f"a__{tagger}__"
        rows: dict[str, list[dict[str, Any]]] = {
            "documents": [{"id": str(n), "text": text, "source": "s"} for n, text in enumerate(texts)],
            "attributes/a": [
                {"id": str(n), "attributes": {prefix + name: spans for name, spans in found.items()}}
                for n, found in enumerate(tags)
            ],
        }
        for name, values in rows.items():
            path = Path(folder, name, "d.json.gz")
            path.parent.mkdir(parents=True)
            with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as sink:
                sink.writelines(json.dumps(value) + "\n" for value in values)

        def where(name: str, comparison: str, bound: float) -> str:
            at = f"@.{prefix}{name}"
            return f"$.attributes[?({at} && {at}[0] && {at}[0][2] {comparison} {bound})]"

        stream = {
            "name": "out",
            "documents": [f"{folder}/documents/*"],
            "attributes": ["a"],
            "output": {"path": f"{folder}/out", "max_size_in_bytes": 1 << 40, "discard_fields": ["attributes"]},
            "filter": {"include": [], "exclude": [where(*cut) for cut in cuts]},
            "span_replacement": [
                {"span": f"$.attributes.{prefix}{name}", "min_score": 0.5, "replacement": ""} for name in lines
            ],
        }
        work = {name: f"{folder}/work/{name}" for name in ("input", "output")}
        mixer({"streams": [stream], "work_dir": work, "processes": 1})
        with gzip.open(f"{folder}/out/out-0000.json.gz", "rt", encoding="utf-8") as source:
            return {int(row["id"]): row["text"] for row in map(json.loads, source)}


FAMILIES: dict[str, tuple[tuple[str, ...], Callable[[list[str]], Answers]]] = {
    "datatrove": (("datatrove", "spacy"), datatrove),
    "datatrove's bad words": (("datatrove",), bad_words_of_datatrove),
    "dolma": (("dolma",), dolma),
    "c4": (("tensorflow-datasets", "nltk"), c4),
}
"""The packages whose versions count, and what asks them."""


def main() -> None:
    """One family over the texts of one file; without arguments the files that the packages carry."""
    if len(sys.argv) == 1:
        print(json.dumps(files()))
        return
    parser = argparse.ArgumentParser(prog="python benchmarks/references.py")
    parser.add_argument("file", type=Path, help="JSONL with `text`")
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("out", type=Path, help="the versions, then a line for each document")
    given = parser.parse_args()
    with given.file.open(encoding="utf-8") as source:
        texts = [json.loads(line)["text"] for line in source]
    packages, ask = FAMILIES[given.family]
    part = given.out.with_suffix(".part")
    with part.open("w", encoding="utf-8") as sink:
        sink.write(json.dumps({name: version(name) for name in packages}) + "\n")
        for answers in ask(texts):
            sink.write(json.dumps(answers) + "\n")
    os.replace(part, given.out)


if __name__ == "__main__":
    main()
