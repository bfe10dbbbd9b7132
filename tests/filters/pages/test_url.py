"""The URL rules: every dialect against the tool it is named after, list formats, and what is refused."""

from __future__ import annotations

import gzip
import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.filters.pages.url import Url
from corpusmill.filters.pages.url_lists import ANYWHERE, build_patterns, find_words, skipped
from corpusmill.rules import judge
from corpusmill.soundness import check_steps
from corpusmill.text import Texts
from corpusmill.unicode import char_classes

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "url_lists.json").read_text("utf-8"))
NAMES = {"domain": "domains", "subdomain": "domains", "url": "urls", "hard_blacklisted": "hard_words"}
NAMES |= {"soft_blacklisted": "max_soft_words", "soft_words": "max_soft_words", "blacklisted_subword": "substrings"}

Write = Callable[..., tuple[str, ...]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a list, give what an option takes."""
    count = iter(range(100))

    def make(*lines: str) -> tuple[str, ...]:
        path = tmp_path / f"list-{next(count)}"
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return (str(path),)

    return make


def reasons(step: Url, urls: list[str | None]) -> list[list[str]]:
    batch = pa.record_batch({"url": pa.array(urls, pa.string())})
    found = step.measure(Texts.from_strings([""] * len(urls)), batch).signals
    assert list(found) == list(step.signals())
    arrays = {name: v if isinstance(v, pa.Array) else pa.array(v) for name, v in found.items()}
    assert [array.type for array in arrays.values()] == list(step.signals().values())
    assert not any(array.null_count for array in arrays.values())
    verdict = judge(step.rules(), arrays, len(urls))
    return [[reason.removeprefix("url.") for reason in each] for each in verdict.reasons.to_pylist()]


def rules(step: Url, urls: list[str | None]) -> list[list[str]]:
    return [[reason.split(":")[0] for reason in each] for each in reasons(step, urls)]


KINDS = {"datatrove": list(GOLDEN["lists"]), "dclm": ["domains", "substrings", "hard_words", "soft_words"]}
KINDS |= {"dolma": ["domains", "urls"]}


@pytest.mark.parametrize("dialect", ["datatrove", "dclm", "dolma"])
def test_golden(dialect: str, write: Write) -> None:
    step = Url(dialect=dialect, **{kind: write(*GOLDEN["lists"][kind]) for kind in KINDS[dialect]})  # type: ignore
    found = [first[0] if first else "" for first in rules(step, GOLDEN["urls"])]
    wanted = [NAMES.get(rule, rule) for rule in GOLDEN[dialect]]
    pairs = [
        (url, *pair)
        for url, *pair in zip(GOLDEN["urls"], found, wanted, strict=True)
        if pair[0] != pair[1] and pair[1] != "error"
    ]
    known = [("http://bad.com./", "domains", "")]  # dolma compares the full stop behind a host
    assert pairs == (known if dialect == "dolma" else [])


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("http://bad.com/", "bad.com"),
        ("HTTPS://User@WWW.A.BAD.com.:80/x", "bad.com"),
        ("http://bad.com.example/", None),
        ("http://notbad.com/", None),
        ("http://deep.sub.evil.org/", "sub.evil.org"),
        ("http://evil.org/", None),
        ("http://anything.test/", "test"),
        ("http://10.0.0.1/", "10.0.0.1"),
        ("http://2.10.0.0.1/", None),
        ("http://tracker.example/", "tracker.example"),
        ("http://ads.example/", "ads.example"),
        ("http://commented.example/", None),
        ("http://also.example/", "also.example"),
        ("http://star.example/", "star.example"),
        ("http://ПРИВЕТ.рф/", "привет.рф"),
        ("http://" + "a." * 1000 + "bad.com/", "bad.com"),
        ("http://" + "a" * 300 + ".bad.com/", "bad.com"),
    ],
)
def test_domains_and_what_is_below_them(url: str, domain: str | None, write: Write) -> None:
    lines = (
        "# a comment",
        "Bad.com",
        "sub.evil.org.",
        ".test",
        "10.0.0.1",
        "0.0.0.0 tracker.example",
        "||ads.example^",
    )
    more = ("! commented.example", "", " also.example # why", "*.star.example", "привет.рф")
    step = Url(domains=write(*lines, *more))
    wanted = [f"domains: url.domain = {domain}, wanted == -"] if domain else []
    assert reasons(step, [url]) == [wanted]


def test_hosts_are_taken_whole(write: Write) -> None:
    step = Url(hosts=write("Forum.example.com"))
    assert rules(step, ["http://forum.EXAMPLE.com:80/x", "http://a.forum.example.com", "http://example.com"]) == [
        ["hosts"],
        [],
        [],
    ]


def test_urls_are_compared_in_normal_form(write: Write) -> None:
    step = Url(urls=write("www.example.com/Page/", "http://other.org", "https://x.net/?a=1&utm_source=b"))
    listed = ["https://example.com/Page", "http://WWW.Example.com:80/Page/#x", "https://www.other.org/", "x.net?a=1"]
    assert rules(step, listed) == [["urls"]] * 4  # type: ignore[arg-type]
    assert rules(step, ["http://example.com/page", "http://other.org/x", "x.net/", "", None]) == [[]] * 5


def test_words_of_refinedweb(write: Write) -> None:
    hard = Url(hard_words=write("casino", "slot machine"))
    found = ["http://a.com/Casino_x", "http://CASINO.com", "http://a.com/x?casino=1"]
    assert rules(hard, found) == [["hard_words"]] * 3  # type: ignore[arg-type]
    assert reasons(hard, ["http://a.com/My-Casino/"]) == [["hard_words: url.hard_word = casino, wanted == -"]]
    assert rules(hard, ["http://a.com/casinos", "http://a.com/casinoé", "http://écasino.com"]) == [[]] * 3
    soft = Url(soft_words=write("loan", "cash", "win"))
    assert rules(soft, ["http://loan.com/loan/x", "http://loan.com/cash"]) == [[], ["max_soft_words"]]
    assert rules(Url(soft_words=soft.soft_words, max_soft_words=2), ["loan/cash", "loan/cash-win"]) == [
        [],
        ["max_soft_words"],
    ]
    strict = Url(substrings=write("free-money", "Get Rich"))
    assert reasons(strict, ["http://a.com/xFree.Mon-eyx"]) == [["substrings: url.substring = free.mon-ey, wanted == -"]]
    assert rules(strict, ["http://getrich.com", "http://a.com/free_money"]) == [["substrings"], []]


def test_every_rule_reports_at_once(write: Write) -> None:
    step = Url(domains=write("bad.com"), hard_words=write("casino"), substrings=write("money"), missing="drop")
    assert rules(step, ["http://bad.com/casino/money", "http://good.com", "", None]) == [
        ["domains", "hard_words", "substrings"],
        [],
        ["missing"],
        ["missing"],
    ]
    assert rules(Url(domains=step.domains), ["", None]) == [[], []]


def test_order_of_dclm(write: Write) -> None:
    lists = {kind: write("x") for kind in ("domains", "hard_words", "soft_words", "substrings")}
    names = [rule.name for rule in Url(dialect="dclm", **lists).rules()]  # type: ignore[arg-type]
    assert names == ["url.domains", "url.substrings", "url.hard_words", "url.max_soft_words"]


def test_lists_by_pattern_and_packed(tmp_path: Path) -> None:
    for name, text in (("adult", b"one.com\r\ntwo.com\r\n"), ("gambling", b"\xef\xbb\xbfthree.com\n\xff\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "domains.gz").write_bytes(gzip.compress(text))
    (tmp_path / "empty").write_bytes(b"")
    step = Url(domains=(str(tmp_path / "*" / "domains.gz"), str(tmp_path / "empty")))
    assert step.files() == (*(str(tmp_path / n / "domains.gz") for n in ("adult", "gambling")), str(tmp_path / "empty"))
    assert rules(step, ["http://x.one.com", "http://two.com", "http://three.com", "http://four.com"]) == [
        *([["domains"]] * 3),
        [],
    ]
    assert rules(Url(hard_words=(str(tmp_path / "empty"),)), ["http://a.com"]) == [[]]


def test_a_list_that_changes_is_read_again(tmp_path: Path) -> None:
    """Its content is part of the fingerprint, so within one process too it must be the one that is looked through."""
    (tmp_path / "a.txt").write_text("one.com\n")
    step = Url(domains=(str(tmp_path / "*.txt"),))
    assert rules(step, ["http://one.com", "http://second.com", "http://more.com"]) == [["domains"], [], []]
    (tmp_path / "a.txt").write_text("second.com\n")
    assert rules(step, ["http://one.com", "http://second.com", "http://more.com"]) == [[], ["domains"], []]
    (tmp_path / "b.txt").write_text("more.com\n")
    assert step.files() == (str(tmp_path / "a.txt"), str(tmp_path / "b.txt"))
    assert rules(step, ["http://one.com", "http://second.com", "http://more.com"]) == [[], ["domains"], ["domains"]]


def test_a_missing_list_says_where_lists_come_from(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in ("nowhere", "no*where", "folder", "f*r"):
        step = Url(domains=(str(tmp_path / path),))
        with pytest.raises(ConfigError, match=r"url: domains = .*there is no such file; such lists are the UT1"):
            check_steps([step])
    broken = tmp_path / "broken.gz"
    packed = gzip.compress(b"one.com")
    for content in (b"not gzip", packed[:-9], packed[:10] + b"\xff" * 9 + packed[19:]):
        broken.write_bytes(content)
        with pytest.raises(ConfigError, match=r"the list .*broken\.gz can't be read"):
            rules(Url(domains=(str(broken),)), ["x"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "there is no list; give one of domains, hosts"),
        ({"dialect": "nemo", "missing": "drop"}, "dialect = 'nemo'; wanted one of refinedweb"),
        ({"missing": "perhaps"}, "missing = 'perhaps'; wanted one of keep, drop"),
        ({"missing": "drop", "max_soft_words": -1}, "max_soft_words = -1; wanted 0 or more"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Url(**options)


def test_the_recipe_check_passes(write: Write) -> None:
    lists = {kind: write("x") for kind in GOLDEN["lists"]}
    check_steps([Url(missing="drop", hosts=write("x"), **lists)])  # type: ignore[arg-type]


@given(st.lists(st.text("ab-.", max_size=12), max_size=4), st.lists(st.text("ab", min_size=1, max_size=4), max_size=5))
def test_substrings_are_those_of_plain_python(urls: list[str], patterns: list[str]) -> None:
    patterns = sorted(set(patterns))
    texts, packed = Texts.from_strings(urls), build_patterns([pattern.encode() for pattern in patterns])
    skip = skipped("substrings", "refinedweb")
    start, stop, count = find_words(texts.data, texts.offsets, packed, skip, ANYWHERE, char_classes())
    for d, url in enumerate(urls):
        bare = url.replace("-", "").replace(".", "")
        assert count[d] == sum(pattern in bare for pattern in patterns)
        assert (start[d] >= 0) == (count[d] > 0)
        if count[d]:
            part = bytes(texts.data[start[d] : stop[d]]).decode()
            assert part.replace("-", "").replace(".", "") in patterns


WORDS = st.sampled_from(["casino", "Casino", "loan", "cash", "bad", "com", "free", "money", "x", "é", "_", "日"])
URL = st.lists(
    st.one_of(WORDS, st.sampled_from(list("/.-_?&=:@#%")), st.text(string.printable, max_size=2)), max_size=12
)


@given(st.lists(URL.map("".join), min_size=1, max_size=5))
def test_neighbours_change_nothing(tmp_path_factory: pytest.TempPathFactory, urls: list[str | None]) -> None:
    folder = tmp_path_factory.getbasetemp()
    for name in ("casino", "loan\ncash", "bad.com", "freemoney"):
        (folder / name.replace("\n", "+")).write_text(name)
    lists = {"hard_words": "casino", "soft_words": "loan+cash", "domains": "bad.com", "substrings": "freemoney"}
    for dialect in ("refinedweb", "datatrove", "dclm", "dolma"):
        step = Url(dialect=dialect, **{kind: (str(folder / name),) for kind, name in lists.items()})  # type: ignore
        found = rules(step, urls)
        assert found == [rules(step, [url])[0] for url in urls]
        assert rules(step, urls[::-1]) == found[::-1]


def test_hostile_urls_survive(write: Write) -> None:
    urls = [
        "\0",
        "http://" + "a." * 300_000,
        "casino/" * 100_000,
        "é" * 500_000,
        "a" * 1_000_000,
        "@" * 10,
        "http://@",
    ]
    for dialect in ("refinedweb", "datatrove", "dclm", "dolma"):
        lists = {kind: write("casino", "aaaa", "a.a") for kind in GOLDEN["lists"]}
        assert len(rules(Url(dialect=dialect, **lists), urls)) == len(urls)  # type: ignore
