"""Normal forms of URLs against the tools they are named after, against plain Python, and on hostile strings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.urls import Form, hosts, normalise

GOLDEN = json.loads((Path(__file__).parent / "filters" / "golden" / "url_normal.json").read_text("utf-8"))

URLISH = st.lists(
    st.one_of(
        st.sampled_from(
            ["http", "https", "ftp", ":", "/", "//", "://", "?", "#", "&", "=", "@", ".", "www.", ":80", ":"]
        ),
        st.sampled_from(["%", "%4", "%41", "%2f", "%e9", "%7E", "utm_", "utm_x=1", "ref", "feed", "fbclid=", "[", "]"]),
        st.sampled_from(["a", "Example", "COM", "b=c", "é", "日本", " ", "\n", "\0", "\\", "_ga=1&"]),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=15,
).map("".join)


def one(url: str, form: Form = "default") -> str:
    found: str = normalise(pa.array([url]), form)[0].as_py()
    return found


@pytest.mark.parametrize(("url", "c4", "dolma"), GOLDEN["cases"])
def test_golden(url: str, c4: str, dolma: str | None) -> None:
    assert one(url, "c4") == c4
    if dolma is not None:
        assert one(url, "dolma") == dolma


@given(st.lists(URLISH, max_size=4))
def test_c4_is_that_of_regular_expressions(urls: list[str]) -> None:
    def oracle(url: str) -> str:
        url = re.sub(r"https?://(www\.)?", "", url)
        return re.sub(r"\?(utm_|ref|feed).*", "", url).rstrip("/")

    assert normalise(pa.array(urls, pa.string()), "c4").to_pylist() == [oracle(url) for url in urls]


@given(st.lists(URLISH, min_size=1, max_size=4))
def test_default_is_idempotent_and_knows_no_neighbours(urls: list[str]) -> None:
    found = normalise(pa.array(urls))
    assert normalise(found).to_pylist() == found.to_pylist()
    assert found.to_pylist() == [one(url) for url in urls]
    assert normalise(pa.array(urls[::-1])).to_pylist() == found.to_pylist()[::-1]


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("HTTP://Example.COM", "http://example.com/"),
        ("http://EXAMPLE.com./A/B", "http://example.com/A/B"),
        ("http://User:Pw@Example.com/", "http://User:Pw@example.com/"),
        ("http://e.com:80/", "http://e.com/"),
        ("http://e.com:443/", "http://e.com:443/"),
        ("https://e.com:443", "https://e.com/"),
        ("https://e.com:80", "https://e.com:80/"),
        ("ftp://e.com:21/x", "ftp://e.com/x"),
        ("http://e.com:/x", "http://e.com/x"),
        ("http://e.com:8080/x", "http://e.com:8080/x"),
        ("http://[2001:DB8::1]:80/x", "http://[2001:db8::1]/x"),
        ("http://e.com#top", "http://e.com/"),
        ("http://e.com/#!/x", "http://e.com/"),
        ("http://e.com/?", "http://e.com/"),
        ("http://e.com?a=1", "http://e.com/?a=1"),
        ("http://e.com/?b=2&a=1", "http://e.com/?b=2&a=1"),
        ("http://e.com/?utm_source=x&a=1&fbclid=y&b=2&utm_medium=z", "http://e.com/?a=1&b=2"),
        ("http://e.com/?utm_source=x", "http://e.com/"),
        ("http://e.com/?utm=x&ref=y&fbclids=1", "http://e.com/?utm=x&ref=y&fbclids=1"),
        ("http://e.com/?%75tm_source=x&&a", "http://e.com/?a"),
        ("http://e.com/%7euser/%c3%a9%2F%zz%", "http://e.com/~user/%C3%A9%2F%zz%"),
        ("http://e.com/%%341", "http://e.com/%%341"),
        ("http://e.com/a/../b/", "http://e.com/a/../b/"),
        (" \thttp://e.com/ \n", "http://e.com/"),
        ("http://BÜCHER.example/", "http://bÜcher.example/"),
        ("http://xn--Bcher-kva.example/", "http://xn--bcher-kva.example/"),
        ("e.com/A?utm_source=x", "e.com/A?utm_source=x"),
        ("mailto:A@B.com", "mailto:A@B.com"),
        ("http://e.com\\x", "http://e.com\\x"),
        ("", ""),
    ],
)
def test_default(url: str, wanted: str) -> None:
    assert one(url) == wanted


def test_nulls_pass_and_slices_work() -> None:
    urls = pa.array(["x", None, "http://A.b", None, "c"]).slice(1, 3)
    for form in ("default", "c4", "dolma", "none"):
        found = normalise(urls, form)
        assert found.is_null().to_pylist() == [True, False, True]
    assert hosts(urls).to_pylist() == [None, "A.b", None]
    assert normalise(pa.array([], pa.string())).to_pylist() == []
    assert normalise(pa.array([None], pa.string()), "none").to_pylist() == [None]


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ConfigError, match="got 'ccnet'; wanted one of default, c4, dolma, none"):
        normalise(pa.array(["x"]), "ccnet")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "host", "netloc"),
    [
        ("http://user:p@ss@Host.com:80/p", "Host.com", "user:p@ss@Host.com:80"),
        ("host.com/p", "host.com", ""),
        ("//host.com./p", "host.com", "host.com."),
        ("http://[::1]:80?x", "[::1]", "[::1]:80"),
        ("http://a/http://b", "a", "a"),
        ("a?u=http://b", "a", ""),
        ("http:///x", "", ""),
        ("ht_tp://b", "ht_tp", ""),
        ("", "", ""),
    ],
)
def test_hosts(url: str, host: str, netloc: str) -> None:
    assert hosts(pa.array([url])).to_pylist() == [host]
    assert hosts(pa.array([url]), port=True).to_pylist() == [netloc] == [urlsplit(url).netloc]


def test_hostile_urls_survive() -> None:
    long = "a." * 4_000_000
    urls = [
        "http://" + long,
        "?" * 1_000_000,
        "&utm_x" * 500_000,
        "%" * 1_000_000,
        "http://x/?" + "&" * 1_000_000,
        "\0",
    ]
    for form in ("default", "c4", "dolma"):
        assert len(normalise(pa.array(urls), form)) == len(urls)
    assert hosts(pa.array(urls[:1]))[0].as_py() == long.rstrip(".")
