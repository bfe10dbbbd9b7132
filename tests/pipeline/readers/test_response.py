import gzip
import zlib

import brotli
import pyarrow as pa
import pytest

from corpusmill.pipeline.readers.pages import Extractor, PageError
from corpusmill.pipeline.readers.response import BadResponse, decode_body, decode_text, parse_response

BODY = b"<html><body>hello world</body></html>"


def chunks(data, sizes=(7, 100)):
    out, at = b"", 0
    for size in sizes:
        out += b"%x;ext=1\r\n" % len(data[at : at + size]) + data[at : at + size] + b"\r\n"
        at += size
    return out + b"0\r\n\r\n"


def body(raw, **headers):
    head = b"".join(b"%s: %s\r\n" % (k.replace("_", "-").encode(), v.encode()) for k, v in headers.items())
    return decode_body(parse_response(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + raw), 1000)


def deflate(data):
    inner = zlib.compressobj(wbits=-15)
    return inner.compress(data) + inner.flush()


@pytest.mark.parametrize(
    ("raw", "headers"),
    [
        (BODY, {}),
        (BODY, {"Content_Encoding": "identity"}),
        (chunks(BODY), {"Transfer_Encoding": "Chunked"}),
        (gzip.compress(BODY), {"Content_Encoding": "GZIP"}),
        (gzip.compress(BODY), {"content_encoding": "x-gzip"}),
        (zlib.compress(BODY), {"Content_Encoding": "deflate"}),
        (deflate(BODY), {"Content_Encoding": "deflate"}),
        (brotli.compress(BODY), {"Content_Encoding": "br"}),
        (pa.compress(BODY, codec="zstd", asbytes=True), {"Content_Encoding": "zstd"}),
        (gzip.compress(zlib.compress(BODY)), {"Content_Encoding": "deflate, gzip"}),
        (chunks(gzip.compress(BODY)), {"Content_Encoding": "gzip", "Transfer_Encoding": "chunked"}),
        *[(BODY, {"Content_Encoding": name}) for name in ("gzip", "deflate", "br", "zstd", "made-up")],
        (BODY, {"Transfer_Encoding": "chunked"}),
    ],
)
def test_bodies_sent_or_stored_in_every_way(raw, headers):
    assert body(raw, **headers) == BODY


@pytest.mark.parametrize(
    ("raw", "headers", "reason"),
    [
        (chunks(BODY)[:30], {"Transfer_Encoding": "chunked"}, "http.truncated"),
        (chunks(BODY)[:-5], {"Transfer_Encoding": "chunked"}, "http.invalid"),
        (chunks(BODY, (7,))[:-5] + b"zz\r\nsecret", {"Transfer_Encoding": "chunked"}, "http.invalid"),
        (gzip.compress(BODY)[:-12], {"Content_Encoding": "gzip"}, "http.truncated"),
        (gzip.compress(BODY)[:10] + b"\xffsecret", {"Content_Encoding": "gzip"}, "http.invalid"),
        (b"\xffsecret", {"Content_Encoding": "deflate"}, "http.invalid"),
        (b"\xffsecret", {"Content_Encoding": "br"}, "http.invalid"),
        (brotli.compress(BODY * 20)[:-3], {"Content_Encoding": "br"}, "http.invalid"),
        (b"secret", {"Content_Encoding": "made-up"}, "http.unknown_encoding"),
        (BODY * 100, {}, "record.too_large"),
        (gzip.compress(b"x" * 10**6), {"Content_Encoding": "gzip"}, "record.too_large"),
        (brotli.compress(b"x" * 10**6), {"Content_Encoding": "br"}, "record.too_large"),
    ],
)
def test_bodies_that_cannot_be_had(raw, headers, reason):
    with pytest.raises(BadResponse) as caught:
        body(raw, **headers)
    assert caught.value.reason == reason
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize(
    "block", [b"", b"garbage", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTPX/1.1 200 OK"]
)
def test_no_status_line(block):
    with pytest.raises(BadResponse, match=r"http\.invalid"):
        parse_response(block)


def test_header_forms():
    for block in (
        b"HTTP/1.0 200 OK\nContent-Type: TEXT/html ; charset='ISO-8859-2'\n\nbody",
        b"HTTP/2 200\r\nX: \xff\r\ncontent-type:text/html;charset=ISO-8859-2\r\nContent-Type: image/png\r\n\r\nbody",
        b'ICY 200 OK\r\nContent-Type: text/html; Charset = "ISO-8859-2"\r\n\r\nbody',
    ):
        response = parse_response(block)
        assert (response.status, response.content_type, response.charset, response.body) == (
            200, "text/html", "ISO-8859-2", b"body",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "charset", "text", "replaced"),
    [
        ("žluť".encode(), None, "žluť", False),
        ("žluť".encode(), "iso-8859-1", "žluť", False),
        ("\ufeffx".encode(), None, "x", False),
        ("žluť".encode("cp1250"), "windows-1250", "žluť", False),
        ("žluť".encode("latin2"), "latin-2", "žluť", False),
        ("日本語".encode("shift_jis"), "Shift_JIS", "日本語", False),
        ("日本語".encode("iso2022_jp"), "iso-2022-jp", "日本語", False),
        ("日本語".encode("utf-16"), None, "日本語", False),
        (
            b"<meta charset=windows-1251><p>" + "привет".encode("cp1251"),
            None,
            "<meta charset=windows-1251><p>привет",
            False,
        ),
        (b"<meta charset=windows-1251><p>" + "привет".encode("cp1251"), "os.system", None, False),
        (b"a\xff\xfeb" * 3, "utf-8", "a\ufffd\ufffdb" * 3, True),
        (b"", None, "", False),
    ],
)
def test_encodings(raw, charset, text, replaced):
    found, was_replaced = decode_text(raw, charset, html=True)
    assert text is None or found == text
    assert was_replaced == replaced


def test_the_child_answers_in_order_and_comes_back():
    extractor = Extractor(0.5, main_content=True)
    try:
        for html, text in [
            ("<p>a", b"a"),
            ("", b""),
            ("<p>ä\0\U0001f600", "ä\U0001f600".encode()),
            ("x" * 10**6, b"x" * 10**6),
        ]:
            assert extractor.extract(html) == text
        with pytest.raises(PageError) as caught:
            extractor.extract("<div>" * 200_000)
        assert caught.value.reason == "html.timeout"
        assert extractor.extract("<p>again") == b"again"
    finally:
        extractor.close()
        extractor.close()
