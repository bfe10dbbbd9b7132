"""`same_url`: which URLs are one, and which of its documents stays."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

import corpusmill as cm
from corpusmill.dedup.same_url import SameUrl
from corpusmill.errors import ConfigError
from corpusmill.text import Texts


@pytest.mark.parametrize(
    ("form", "a", "b", "same"),
    [
        ("default", "HTTP://Example.org:80/a?utm_source=x#top", "http://example.org/a", True),
        ("default", "http://example.org/a", "http://example.org/b", False),
        ("default", "http://example.org/a?x=1&y=2", "http://example.org/a?y=2&x=1", False),
        ("c4", "https://www.example.org/a/?ref=b", "http://example.org/a", True),
        ("c4", "http://example.org/A", "http://example.org/a", False),
        ("none", "http://example.org/a", "http://example.org/a/", False),
    ],
)
def test_which_are_one(form: str, a: str, b: str, same: bool) -> None:
    first, second = SameUrl(form=form).keys(Texts.from_strings([a, b])).tolist()  # type: ignore[arg-type]
    assert (first == second) is same


def test_the_newest_stays_and_documents_without_a_url_too(tmp_path: Path) -> None:
    rows = [
        {"text": f"page {n} of the first day " * 4, "url": f"http://x.org/{n}", "date": f"2024-01-0{1 + n % 3}"}
        for n in (1, 2, 3)
    ]
    rows += [{"text": f"page {n} later " * 4, "url": f"http://X.org/{n}#a", "date": "2024-01-03"} for n in (1, 2, 3)]
    rows += [{"text": "without a url " * 4}, {"text": "with an empty one " * 4, "url": ""}, {"text": "none " * 9}]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "out"
    body = {
        "name": "urls",
        "sources": [{"name": "s", "paths": [f"{tmp_path}/x.jsonl"], "format": "jsonl"}],
        "steps": [{"use": "same_url"}],
        "tokenizer": {"train": {"vocab_size": 300}},
        "shards": {"sequence_length": 32},
    }
    cm.run(body, out, console=Console(quiet=True))
    kept = [row["text"].strip() for path in (out / "documents").glob("*") for row in pq.read_table(path).to_pylist()]
    # Page 2 was fetched on the same day both times: the first stays.
    assert sorted(text.split(" " + text.split()[0] + " ")[0] for text in kept) == [
        "none",
        "page 1 later",
        "page 2 of the first day",
        "page 3 later",
        "with an empty one",
        "without a url",
    ]
    (rejected,) = (out / "rejected").glob("*")
    assert {row["step"] for row in pq.read_table(rejected).to_pylist()} == {"same_url"}


@pytest.mark.parametrize("options", [{"form": "rfc"}, {"keep": "oldest"}])
def test_options_that_are_not_allowed(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        SameUrl(**options)  # type: ignore[arg-type]
