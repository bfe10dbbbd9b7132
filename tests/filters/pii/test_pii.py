"""The `pii` edit against `ipaddress`, a regular expression, labelled data, and itself."""

from __future__ import annotations

import ipaddress

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from corpusmill.errors import ConfigError
from corpusmill.filters.measure import measure
from corpusmill.filters.pii.pii import KINDS, Pii, find, scrub
from corpusmill.rules import judge
from corpusmill.text import Texts

EMAIL, IPV4, IPV6 = "email@example.com", "192.0.2.1", "2001:db8:0:0:0:0:0:1"
NO_BATCH = pa.record_batch({})


def found(text: str, **params: object) -> list[tuple[str, str]]:
    """(kind, what was found) in order."""
    return [(kind, text[start:stop]) for start, stop, kind in scrub(text, **params)[1]]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("write to anna.b@mail.site.org.", "anna.b@mail.site.org"),
        ("<o'neil+x@a.co>", "o'neil+x@a.co"),
        ("'anna@a.co'", "anna@a.co"),
        ("mailto:anna@a.co?subject=x", "anna@a.co"),
        ("user=anna@a.co&x", "anna@a.co"),
        ("see...anna@a.co", "anna@a.co"),
        ("_anna@a.co_", "_anna@a.co"),
        ("müller@exämple.de!", "müller@exämple.de"),
        ("почта@пример.рф.", "почта@пример.рф"),
        ("请联系anna@a.com。谢谢", "anna@a.com"),
        ("مراسلة anna@a.com‏", "anna@a.com"),
        ("😀anna@a.com😀", "anna@a.com"),
        ("A@B.CO", "A@B.CO"),
        ("a@xn--bcher-kva.xn--p1ai", "a@xn--bcher-kva.xn--p1ai"),
        ("anna@a.com.2", "anna@a.com"),
        ("anna@a.com-b", "anna@a.com"),
        ("anna@a.com-b.org", "anna@a.com-b.org"),
        ("anna@a.co.png", "anna@a.co"),
        ("-" * 90 + "anna@a.co", "anna@a.co"),
        ("x" * 64 + "@a.co", "x" * 64 + "@a.co"),
        ("a@" + "b" * 63 + ".co", "a@" + "b" * 63 + ".co"),
        ("a@" + "b.c." * 62 + "de.fg", "a@" + "b.c." * 62 + "de.fg"),  # 253 bytes
        ("a@b.com_c@d.com", "a@b.com_c@d.com"),
    ],
)
def test_emails(text: str, address: str) -> None:
    assert found(text) == [("email", address)]
    assert scrub(text)[0] == text.replace(address, EMAIL)


@pytest.mark.parametrize(
    "text",
    [
        "@",
        "a@",
        "@a.co",
        "a@b",
        "a@b.c",
        "a@.co",
        "a.@b.co",
        "a@-b.co",
        "a@b.c0m",
        "a@b..co",
        "logo@2x.png",
        "getty@tty1.service",
        "pkg@1.2.3",
        "x" * 65 + "@a.co",
        "a@" + "b" * 64 + ".co",
        "a@" + "b.c." * 62 + "def.gh",  # 254 bytes
        "a b @ c.de",
        "me@example.com",
        "me@mail.example.ORG",
        "me@host.test",
        "me@host.invalid",
        "a@localhost",
        "中文@中文.中文",
    ],
)
def test_no_emails(text: str) -> None:
    assert scrub(text) == (text, [])


@pytest.mark.parametrize(
    "around", ["{}", " {} ", "({})", "[{}]:80", "at {}.", "{}:443", "http://{}/", "x@{}", "是{}吗", "{}/24"]
)
def test_ipv4_in_context(around: str) -> None:
    text = around.format("8.8.4.4")
    assert found(text) == [("ipv4", "8.8.4.4")]
    assert scrub(text)[0] == around.format(IPV4)


@pytest.mark.parametrize(
    "text",
    [
        "1.2.3.4.5",
        "v1.2.3.4",
        "lib-1.2.3.4",
        "1.2.3.4-5",
        "1.2.3.4-rc1",
        "1.2.3.4a",
        "1.2.3.4_1",
        "é1.2.3.4",
        "8.8.4.4.in-addr.arpa",
        "8.8.4.256",
        "8.8.4.04",
        "08.8.4.4",
        "8.8.4",
        "8.8..4.4",
        "8888.8.4.4",
        "title\n  3.2.15.5. Return Value",
    ],
)
def test_no_ipv4(text: str) -> None:
    assert scrub(text) == (text, [])


def test_ipv4_ranges_and_lists() -> None:
    assert [kind for kind, _ in found("8.8.4.4-8.8.8.8")] == ["ipv4", "ipv4"]
    assert [kind for kind, _ in found("servers:\n8.8.4.4\n8.8.8.8\n")] == ["ipv4", "ipv4"]
    assert found("servers:\n200.8.4.4. It is down")[0] == ("ipv4", "200.8.4.4")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("2a00:1450::1", "2a00:1450::1"),
        ("[2a00:1450:0:1:2:3:4:5]:80", "2a00:1450:0:1:2:3:4:5"),
        ("2a00:1450:0:1:2:3:4:5:80", "2a00:1450:0:1:2:3:4:5"),
        ("ip:2a00::1, next", "2a00::1"),
        ("2a00::1: next", "2a00::1"),
        ("2a00::1:port", "2a00::1"),
        ("at 2A00::ABCD.", "2A00::ABCD"),
        ("2a00::8.8.4.4", "2a00::8.8.4.4"),
        ("2a00:1:2:3:4:5:8.8.4.4", "2a00:1:2:3:4:5:8.8.4.4"),
        ("2a00::/16", "2a00::"),
        ("fe80::1 and 2a00::1%eth0", "2a00::1"),
        ("2a00::1:2::3", "2a00::1"),
        ("2a00:1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16", "2a00:1:2:3:4:5:6:7"),
    ],
)
def test_ipv6(text: str, address: str) -> None:
    assert found(text) == [("ipv6", address)]


@pytest.mark.parametrize(
    "text",
    [
        "12:30:45",
        "2024:01:02",
        "20:30:44:55:66:77",
        "std::vector",
        "::",
        "::1",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "2001::1",
        "2a00:1::2::3",
        "2a00:1:2:3:4:5:6",
        "2a00:::1",
        "x2a00::1",
        "2a00::x",
        "2a00::12345",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "2a00:1:2:3:4:5:6:7::",
    ],
)
def test_no_ipv6(text: str) -> None:
    assert scrub(text) == (text, [])


def test_ipv4_inside_mapped_ipv6() -> None:
    assert scrub("::ffff:8.8.4.4")[0] == f"::ffff:{IPV4}"
    assert scrub("64:ff9b::8.8.4.4")[0] == f"64:ff9b::{IPV4}"


def public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if address.version == 4:
        return address.is_global and not address.is_multicast and not address.is_reserved
    return address.is_global and address in ipaddress.ip_network("2000::/3")


# The first address of every special range and the first behind it.
EDGES = """
    10.0.0.0 11.0.0.0 100.64.0.0 100.128.0.0 127.0.0.0 128.0.0.0 169.254.0.0 169.255.0.0 172.16.0.0 172.32.0.0 192.0.1.0
    192.0.2.0 192.0.3.0 192.168.0.0 192.169.0.0 198.18.0.0 198.20.0.0 198.51.100.0 198.51.101.0 203.0.113.0 203.0.114.0
    224.0.0.0 240.0.0.0 1.0.0.0
"""
V4 = st.integers(0, 2**32 - 1) | st.sampled_from(
    [int(ipaddress.ip_address(edge)) + step for edge in EDGES.split() for step in (-1, 0)]
)
# Ranges of which Python's versions, or Python and IANA, think differently.
DISPUTED = [
    ipaddress.ip_network(net)
    for net in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20", "5f00::/16")
]


@given(V4)
def test_public_ipv4_is_what_ipaddress_says(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    if not any(address in net for net in DISPUTED if net.version == 4):
        assert found(f"from {address} to") == ([("ipv4", str(address))] if public(address) else [])


@given(st.integers(0, 2**128 - 1) | st.integers(0x2 << 124, (0x4 << 124) - 1), st.integers(0, 127), st.booleans())
@example(0x20010DB8 << 96, 0, False)
@example(0x20010DB9 << 96, 0, False)
@example(0x20010DB7 << 96, 0, True)
@example(0x3FFF1000 << 96, 0, False)
@example((0x4 << 124) - 1, 0, False)
@example(0x4 << 124, 0, False)
@example((0x2 << 124) - 1, 0, False)
def test_public_ipv6_is_what_ipaddress_says(number: int, zeros: int, exploded: bool) -> None:
    address = ipaddress.IPv6Address(number & ~(((1 << zeros) - 1) << 8))
    if not any(address in net for net in DISPUTED if net.version == 6):
        written = address.exploded if exploded else str(address)
        assert found(f"from {written} to") == ([("ipv6", written)] if public(address) else [])


@given(st.lists(st.sampled_from(["2a00", "2", "ffff", "0", "12345", ":", "::", ":::", "8.8.4.4", "g"]), max_size=12))
def test_ipv6_found_whole_is_valid(parts: list[str]) -> None:
    text = "".join(parts)
    for kind, address in found(text):
        assert ipaddress.ip_address(address).version == int(kind[-1])
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return
    if public(address) and len(text.split(":")[0]) == 4:
        assert ("ipv6", text) in found(text)


LETTER = r"A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u04ff"
NAME = regex.compile(rf"(?:[{LETTER}0-9_%+'~-]+\.)*[{LETTER}0-9_%+'~-]+$")
DOMAIN = regex.compile(rf"(?:[{LETTER}0-9][{LETTER}0-9-]*(?<!-)\.)+[{LETTER}]{{2,}}(?![{LETTER}0-9])")


def reference(text: str) -> list[tuple[str, str]]:
    """The one address that a text with one `@` can hold."""
    before, _, behind = text.partition("@")
    name, domain = NAME.search(before), DOMAIN.match(behind)
    stripped = name[0].lstrip(".%+'~-") if name else ""
    return [("email", f"{stripped}@{domain[0]}")] if stripped and domain else []


PIECES = ["a", "bc", "é", "7", ".", "-", "_", "%", "@", "@de.fg", " ", "<", "中", ",", "com", ".org", "x@y.zz"]


@given(st.lists(st.sampled_from(PIECES), max_size=9))
def test_emails_are_what_the_regular_expression_says(parts: list[str]) -> None:
    text = "".join(parts)
    if text.count("@") == 1:
        assert found(text) == reference(text)


FRAGMENTS = [
    *"a1f.:@-_%'+~/< é×中2x",
    *("..", "::", "8.8.8.8", "9.9.9.9", "10.0.0.1", "2a00::1", "2a00:1:2:3:4:5:6:7", "2a00::", "2a00:", "foo@x.com"),
    *("a@b.cd", "x.com", ".com", ".png", "xn--p1ai", "x" * 60, "-" * 70, "q" * 63 + ".", "255", "256", "ffff", "\0"),
    *(EMAIL, IPV4, IPV6, ".example", "example.com", "b.c." * 60),
]
HARD = {"email_replacement": "<EMAIL>", "ipv4_replacement": "|||IP|||", "ipv6_replacement": " "}


@given(
    st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join) | st.text(max_size=40),
    st.sampled_from([{}, {"types": ("ip",)}, {"types": ("email",)}, HARD]),
)
@example("email@example.com_a@b.cd", {})
@example("2a00::.coma@b.cd", HARD)
@example("3bcd:2a00:1:2:3:4:5:6:7+foo@x.com", HARD)
@example("::8.8.8.8-192.0.2.1email@example.coma@b.cd", {})
@example("a@b.cd" + "x" * 60 + "-example.com", {})
@example("2a00:2a00:1:2:3:4:5:6:7" + "-" * 70 + "a@b.cd", {})
def test_scrubbing_twice_is_scrubbing_once(text: str, params: dict[str, object]) -> None:
    once, _ = scrub(text, **params)
    assert scrub(once, **params) == (once, [])


@given(st.lists(st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join) | st.text(max_size=20), max_size=8))
def test_batches_do_not_matter_and_scrub_agrees_with_the_step(texts: list[str]) -> None:
    step = Pii()
    together = step.measure(Texts.from_strings(texts), NO_BATCH)
    assert together.texts is not None
    assert together.texts.to_list() == [scrub(text)[0] for text in texts]
    spans = [scrub(text)[1] for text in texts]
    for kind, name in zip(KINDS, ("emails", "ipv4", "ipv6"), strict=True):
        assert together.signals[f"pii.{name}"].tolist() == [sum(s[2] == kind for s in found) for found in spans]
    assert together.signals["pii.matches"].tolist() == [len(found) for found in spans]
    for text, found_ in zip(texts, spans, strict=True):
        edges = [edge for start, stop, _ in found_ for edge in (start, stop)]
        assert edges == sorted(edges)
        assert all(0 <= edge <= len(text) for edge in edges)


def test_view_into_a_larger_buffer() -> None:
    array = pa.array(["left@out.org", "8.8.4.4", "a@b.cd", "right@out.org"], pa.large_string())
    edited = Pii().measure(Texts.from_arrow(array.slice(1, 2)), NO_BATCH).texts
    assert edited is not None
    assert edited.to_list() == [IPV4, EMAIL]


@pytest.mark.parametrize(
    "text", ["", "   ", "\0\0", "a\0b@c.de\0", "́@", "שלום a@b.cd שלום", "@" * 50, "\ud800a@b.cd\udfff"]
)
def test_hostile_text(text: str) -> None:
    clean, spans = scrub(text)
    rebuilt = "".join(clean.split(EMAIL))
    assert rebuilt == "".join(c for k, c in enumerate(text) if not any(a <= k < b for a, b, _ in spans))


@pytest.mark.parametrize(
    "pump", ["@", ".", ":", "::", "a@", "a.", "1.", "1:", "2a00:", "1.1.1.1", "a" * 100 + "@", "-", "..@", "a@b."]
)
def test_pumped_text_is_read_in_linear_time(pump: str) -> None:
    """Three megabytes would take hours if any of these were read in quadratic time; the timeout ends that."""
    text = pump * (3_000_000 // len(pump))
    texts = Texts.from_strings([text])
    spans = find(texts)
    assert np.all(spans.start < spans.stop)
    assert np.all(spans.stop[:-1] <= spans.start[1:])
    assert found(text + " a@b.cd")[-1] == ("email", "a@b.cd")


def test_spans_are_code_points_of_the_original() -> None:
    text = "é😀 anna@a.co und 8.8.4.4"
    clean, spans = scrub(text)
    assert clean == f"é😀 {EMAIL} und {IPV4}"
    assert spans == [(3, 12, "email"), (17, 24, "ipv4")]


def test_nothing_found_copies_nothing() -> None:
    texts = Texts.from_strings(["nothing here", ""])
    assert Pii().measure(texts, NO_BATCH).texts is texts


@pytest.mark.parametrize(("matches", "kept"), [(4, True), (5, True), (6, False)])
def test_max_matches(matches: int, kept: bool) -> None:
    text = " ".join(f"a{k}@b.cd" for k in range(matches))
    assert measure([text], "pii", max_matches=5)["keep"].to_pylist() == [kept]
    assert measure([text], "pii")["keep"].to_pylist() == [True]


def test_reasons_name_value_and_bound() -> None:
    step = Pii(max_matches=0)
    measured = step.measure(Texts.from_strings(["a@b.cd 8.8.4.4"]), NO_BATCH)
    signals = {name: pa.array(values) for name, values in measured.signals.items()}
    (reasons,) = judge(step.rules(), signals, 1).reasons.to_pylist()
    assert reasons == ["pii.max_matches: pii.matches = 2, wanted <= 0"]


@pytest.mark.parametrize(
    "params",
    [
        {"types": ()},
        {"types": ("email", "phone")},
        {"max_matches": -1},
        {"email_replacement": "a@b.cd"},
        {"email_replacement": ""},
        {"email_replacement": "EMAIL"},
        {"email_replacement": "<a@b.cd>"},
        {"email_replacement": "192.0.2.1"},
        {"ipv4_replacement": "8.8.8.8"},
        {"ipv4_replacement": "192.0.2"},
        {"ipv6_replacement": "2a00::1"},
        {"ipv6_replacement": "2001:db8::1"},
    ],
)
def test_bad_options(params: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(params))):
        scrub("", **params)
