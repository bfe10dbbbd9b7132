import gzip
import hashlib

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.pipeline.readers import Limits, ReaderOptions


def record(body, kind="response", date="2020-01-02T03:04:05Z", uri="http://x/", length=None, extra=b"", version=b"1.0"):
    head = f"WARC-Type: {kind}\r\nWARC-Date: {date}\r\nWARC-Target-URI: {uri}\r\n".encode()
    size = len(body) if length is None else length
    return b"WARC/%s\r\n%s%sContent-Length: %d\r\n\r\n%s\r\n\r\n" % (version, head, extra, size, body)


def http(body, kind=b"text/plain", status=b"200 OK", extra=b""):
    return b"HTTP/1.1 " + status + b"\r\nContent-Type: " + kind + b"\r\n" + extra + b"\r\n" + body


def page(i):
    return record(http(b"page %d %s" % (i, hashlib.shake_128(b"%d" % i).hexdigest(50).encode())), uri=f"http://x/{i}")


PAGES = [page(i) for i in range(12)]


def numbers(result):
    return [int(d["text"].split()[1]) for d in result.documents]


@pytest.fixture
def write(tmp_path):
    def write(data, name="a.warc"):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


def offsets(parts):
    return [sum(map(len, parts[:i])) for i in range(len(parts))]


def test_plain_and_compressed_member_by_member_or_as_a_whole(write, read_everything):
    squeezed = [gzip.compress(p) for p in PAGES]
    whole = gzip.compress(b"".join(PAGES))
    cases = {
        "a.warc": (b"".join(PAGES), [str(o) for o in offsets(PAGES)]),
        "b.warc.gz": (b"".join(squeezed), [str(o) for o in offsets(squeezed)]),
        "c.warc.gz": (whole, ["0", *(f"0+{o}" for o in offsets(PAGES)[1:])]),
        "d.warc.zst": (pa.compress(b"".join(PAGES), codec="zstd", asbytes=True), [str(o) for o in offsets(PAGES)]),
        "e.warc": (b"\r\n".join(PAGES), [str(o + 2 * i) for i, o in enumerate(offsets(PAGES))]),
        "f.warc": (b"".join(PAGES)[:-4], [str(o) for o in offsets(PAGES)]),
    }
    for name, (data, places) in cases.items():
        result = read_everything(write(data, name), "warc")
        assert [d["locator"] for d in result.documents] == [f"{name}#{place}" for place in places]
        assert numbers(result) == list(range(12))
        assert not result.quarantine
        assert (result.documents[3]["url"], str(result.documents[3]["date"])) == ("http://x/3", "2020-01-02 03:04:05")


@pytest.mark.parametrize("packed", [False, True])
def test_a_cut_at_any_byte_keeps_the_whole_records_before_it(write, read_everything, packed):
    parts = [gzip.compress(p) for p in PAGES[:4]] if packed else PAGES[:4]
    data, starts = b"".join(parts), offsets(parts)
    for length in range(1, len(data), 7):
        result = read_everything(write(data[:length], "a.warc.gz" if packed else "a.warc"), "warc")
        slack = 0 if packed else 4  # of a plain file the blank lines behind a record may be missing
        whole = sum(start + len(part) <= length + slack for start, part in zip(starts, parts, strict=True))
        assert numbers(result) == list(range(whole))
        at_end = any(
            start + len(part) - slack <= length <= start + len(part) for start, part in zip(starts, parts, strict=True)
        )
        assert len(result.quarantine) == (0 if at_end else 1), length
        if result.quarantine:
            (row,) = result.quarantine
            assert row["locator"].endswith(f"#{starts[whole]}")
            assert row["reason"] in ("gzip.truncated", "gzip.invalid", "warc.truncated_record", "warc.invalid")


def test_a_flipped_bit_in_a_member_costs_that_record_alone(write, read_everything):
    parts = [gzip.compress(p) for p in PAGES]
    data, starts = b"".join(parts), offsets(parts)
    rng = np.random.default_rng(3)
    whole = list(read_everything(write(data, "whole.warc.gz"), "warc").texts.values())
    damaged = 0
    for _ in range(300):
        at = rng.integers(len(data))
        member = sum(start <= at for start in starts) - 1
        copy = bytearray(data)
        copy[at] ^= 1 << int(rng.integers(8))
        result = read_everything(write(bytes(copy), "a.warc.gz"), "warc")
        others = [i for i in range(12) if i != member]
        if result.quarantine:
            damaged += 1
            assert [n for n in numbers(result) if n != member] == others
            assert len(result.quarantine) == 1
        else:  # a bit that means nothing, in the header or behind the last code
            assert list(result.texts.values()) == whole
    assert damaged > 250


def test_damage_in_one_big_member_stops_there(write, read_everything):
    data = bytearray(gzip.compress(b"".join(page(i) for i in range(1000))))
    data[len(data) // 2] ^= 255
    result = read_everything(write(bytes(data), "a.warc.gz"), "warc")
    assert numbers(result)[:400] == list(range(400))
    assert list(result.reasons.values())[-1] == "gzip.invalid"


@pytest.mark.parametrize("change", [-5, -1, 5, 40, 900])
def test_warcio_121_a_wrong_content_length(write, read_everything, change):
    """Too short or too long, even over the next records: the record is not kept, those behind it are."""
    body = http(b"page 100 with a wrong length")
    result = read_everything(write(PAGES[0] + record(body, length=len(body) + change) + b"".join(PAGES[1:])), "warc")
    (row,) = result.quarantine
    assert row["locator"] == f"a.warc#{len(PAGES[0])}"
    assert row["reason"] in ("warc.wrong_length", "warc.truncated_record")
    assert numbers(result) == list(range(12))


@pytest.mark.parametrize("length", [b"-1", b"x", b"", b"1e3", b"9" * 30, b"\xc2\xb2", b"18446744073709551616"])
def test_a_content_length_that_is_none(write, read_everything, length):
    bad = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: " + length + b"\r\n\r\nhello\r\n\r\n"
    result = read_everything(write(PAGES[0] + bad + PAGES[1]), "warc")
    assert numbers(result) == [0, 1]
    assert result.reasons == {f"a.warc#{len(PAGES[0])}": "warc.invalid"}
    assert result.quarantine[0]["bytes"] == len(bad)


@pytest.mark.parametrize(
    "junk",
    [b"junk", b"\0" * 5000, b"WARC/", b"WARC/1.0 no header end " * 10_000, b"WARC\r\n" * 99, b"a\nWARC/x\r\n" * 99],
)
def test_junk_between_records_is_one_row(write, read_everything, junk):
    result = read_everything(write(PAGES[0] + junk + b"\n" + PAGES[1] + junk), "warc")
    assert numbers(result) == [0, 1]
    assert set(result.reasons.values()) == {"warc.invalid"}
    assert sum(q["bytes"] for q in result.quarantine) == 2 * len(junk) + 1


def test_every_byte_of_a_damaged_plain_file_is_accounted_for(write, read_everything):
    data = b"".join(PAGES)
    rng = np.random.default_rng(5)
    for _ in range(100):
        copy = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            at = rng.integers(len(copy))
            copy[at : at + rng.integers(3)] = rng.bytes(rng.integers(3))
        result = read_everything(write(bytes(copy)), "warc")
        kept = {d["text"] for d in result.documents}
        assert result.records >= 11
        assert len(kept) + len(result.quarantine) + sum(result.skipped.values()) == result.records


def test_what_is_no_document_is_counted_by_reason(write, read_everything):
    parts = [
        record(b"software: x", "warcinfo"),
        record(b"GET / HTTP/1.1\r\n\r\n", "request"),
        record(b"", "made-up"),
        record(b"data", "response", extra=b"Content-Type: text/dns\r\n"),
        record(http(b"gone", status=b"404 Not Found")),
        record(http(b"", status=b"301")),
        record(http(b"\x89PNG", b"image/png")),
        record(b"HTTP/1.1 200 OK\r\n\r\n\x89PNG\r\n\x1a\n\0\0"),
        record(b"page", "conversion"),
    ]
    result = read_everything(write(b"".join(parts)), "warc")
    assert result.skipped == {
        "warc.warcinfo": 1, "warc.request": 1, "warc.other": 1, "warc.not_http": 1, "warc.conversion": 1,
        "http.status": 2, "http.content_type": 2,
    }  # fmt: skip
    assert result.records == len(parts)


def test_wet(write, read_everything):
    parts = [record(b"", "warcinfo"), record("tschüs".encode(), "conversion"), record(b"caf\xe9", "conversion")]
    path = write(b"".join(gzip.compress(p) for p in parts), "a.warc.wet.gz")
    result = read_everything(path, "wet")
    assert [d["text"] for d in result.documents] == ["tschüs"]
    assert list(result.reasons.values()) == ["utf8.invalid"]
    assert result.skipped == {"warc.warcinfo": 1}
    replaced = read_everything(path, "wet", ReaderOptions(invalid_utf8="replace"))
    assert [d["text"] for d in replaced.documents] == ["tschüs", "caf\ufffd"]


def test_dates_and_urls_as_they_come(write, read_everything):
    parts = [
        record(http(b"1"), date="2020-01-02T03:04:05.678901Z", uri="<http://wget/>"),
        record(http(b"2"), date="2008-10-294T05:21:46-0700", uri=""),
        record(http(b"3"), version=b"1.1", extra=b"WARC-Truncated: length\r\n"),
    ]
    result = read_everything(write(b"".join(parts)), "warc")
    assert [d["url"] for d in result.documents] == ["http://wget/", None, "http://x/"]
    assert [str(d["date"]) for d in result.documents][:2] == ["2020-01-02 03:04:05", "None"]
    assert result.repaired == {"date.unreadable": 1, "warc.marked_truncated": 1}


def test_limits(write, read_everything):
    limits = Limits(max_document_bytes=200, max_record_bytes=1000)
    parts = [
        PAGES[0],
        record(http(b"x" * 200)),
        record(http(b"x" * 201)),
        record(http(b"x" * 5000)),
        record(http(gzip.compress(b"x" * (50 << 20)), extra=b"Content-Encoding: gzip\r\n", kind=b"text/html"))[:0],
        record(http(gzip.compress(b"x" * 5000), extra=b"Content-Encoding: gzip\r\n", kind=b"text/html")),
        PAGES[1],
    ]
    result = read_everything(write(b"".join(parts)), "warc", ReaderOptions(limits=limits))
    assert [len(d["text"]) for d in result.documents] == [107, 200, 107]
    assert list(result.reasons.values()) == ["record.too_large"] * 3
    assert [q["bytes"] for q in result.quarantine] == [len(p) - 4 for p in (parts[2], parts[3], parts[5])]


def test_html_becomes_text(write, read_everything):
    html = b"<html><head><title>t</title></head><body><nav>menu</nav><main><p>one</p><p>two</p></main></body></html>"
    path = write(record(http(html, b"text/html; charset=utf-8")))
    assert read_everything(path, "warc").documents[0]["text"] == "one\n\ntwo"
    everything = read_everything(path, "warc", ReaderOptions(main_content=False)).documents[0]["text"]
    assert "menu" in everything


def test_pages_that_would_hold_the_parser_for_ever(write, read_everything):
    """Depth and attributes make the parser quadratic (trafilatura#704, #189); the pages around them are read."""
    hostile = [b"<div>" * 200_000, b"<p " + b" ".join(b"a%d=b" % i for i in range(200_000)) + b">"]
    parts = [record(http(b"<p>%d" % i, b"text/html")) for i in range(3)]
    data = (
        parts[0] + record(http(hostile[0], b"text/html")) + parts[1] + record(http(hostile[1], b"text/html")) + parts[2]
    )
    result = read_everything(write(data), "warc", ReaderOptions(limits=Limits(max_html_s=0.5)))
    assert [d["text"] for d in result.documents] == ["0", "1", "2"]
    assert list(result.reasons.values()) == ["html.timeout"] * 2


def test_an_arc_file_is_named_as_such(write, read_everything):
    result = read_everything(write(b"filedesc://x.arc 0.0.0.0 20080430204825 text/plain 76\n"), "warc")
    assert "ARC file" in result.quarantine[0]["detail"]


@pytest.mark.parametrize(
    ("data", "name", "rows"),
    [
        (b"\nWARC/1.0\n" * 20_000, "a.warc", 20_000),
        (b"WARC/1.0\r\nContent-Length: 60000000\r\n\r\n" * 20_000, "a.warc", 20_000),
        (b"WARC/1.0\r\n" + b"a:b\r\n" * 1_000_000, "a.warc", 1),
        (b"\r\n" * 1_000_000, "a.warc", 0),
        (b"\x1f\x8b\x08\0\0" * 200_000, "a.warc.gz", 1),
        ((gzip.compress(b"x") + b"\x1f\x8b\x08bad") * 5_000, "a.warc.gz", 5_000),
    ],
    ids=["starts", "lengths", "header", "blank", "magic", "alternating"],
)
def test_files_made_to_be_searched_again_and_again(write, read_everything, data, name, rows):
    """Each takes well under a second; a search from the beginning after each damage would take hours."""
    assert len(read_everything(write(data, name), "warc").quarantine) == rows
