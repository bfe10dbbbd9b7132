"""Web archives: WARC responses, from which text is taken, and WET conversions, which are text. Locator:
`name#place`, the place being where the record begins (`Frame.place`), which is what an index of the archive names.

Records that were never documents are counted by reason and passed over: requests, other types, answers that are not
200, content that is neither HTML nor plain text. Fields to carry are the record's headers by their lower-case names,
`http.NAME` for those of the response, and `html.lang`.
"""

from __future__ import annotations

from collections.abc import Iterator

import regex
from resiliparse.parse.encoding import detect_mime

from corpusmill.pipeline.readers.frames import Frame, read_frames
from corpusmill.pipeline.readers.pages import Extractor, PageError
from corpusmill.pipeline.readers.records import Collector, ReaderOptions, parse_date
from corpusmill.pipeline.readers.response import BadResponse, Response, decode_body, decode_text, parse_response
from corpusmill.pipeline.readers.slices import Slice
from corpusmill.pipeline.readers.streams import open_stream

_TYPES = frozenset(("warcinfo", "response", "resource", "request", "metadata", "revisit", "conversion", "continuation"))
_HTML = frozenset(("text/html", "application/xhtml+xml"))

_HTML_LANG = regex.compile(r"""(?i)<html\b[^>]*?\slang\s*=\s*["']?([a-z0-9_-]{1,35})""")
_HTML_HEAD_CHARS = 2048


def read_warc(piece: Slice, options: ReaderOptions, collector: Collector) -> Iterator[None]:
    """The responses with status 200 that hold HTML or plain text."""
    extractor = Extractor(options.limits.max_html_s, options.main_content)
    try:
        for frame in _frames(piece, options, collector, "response"):
            _read_response(frame, f"{piece.name}#{frame.place}", options, extractor, collector)
            yield
    finally:
        extractor.close()


def read_wet(piece: Slice, options: ReaderOptions, collector: Collector) -> Iterator[None]:
    """The conversion records."""
    for frame in _frames(piece, options, collector, "conversion"):
        locator = f"{piece.name}#{frame.place}"
        limit = options.limits.max_document_bytes
        text, repaired = frame.body, []
        try:
            text.decode()
        except UnicodeDecodeError as error:
            if options.invalid_utf8 == "reject":
                detail = f"{error.reason} at byte {error.start} of the text"
                collector.reject(locator, "utf8.invalid", detail, frame.size, frame.head)
                yield
                continue
            text, repaired = text.decode("utf-8", "replace").encode(), ["utf8.replaced"]
        if len(text) > limit:
            detail = f"a text of {len(text)} bytes, max_document_bytes is {limit}"
            collector.reject(locator, "record.too_large", detail, frame.size, frame.head)
        else:
            _add(frame, locator, text, repaired, collector)
        yield


def _frames(piece: Slice, options: ReaderOptions, collector: Collector, wanted: str) -> Iterator[Frame]:
    """The whole records of the wanted type; the others are counted, the broken ones quarantined."""
    stream = open_stream(piece.path, options.limits)
    try:
        for frame in read_frames(stream, options.limits):
            if frame.reason:
                collector.reject(f"{piece.name}#{frame.place}", frame.reason, frame.detail, frame.size, frame.head)
                continue
            kind = frame.fields.get("warc-type", "").lower()
            if kind == wanted:
                yield frame
            else:
                collector.skip(f"warc.{kind}" if kind in _TYPES else "warc.other")
    finally:
        stream.close()


def _read_response(
    frame: Frame, locator: str, options: ReaderOptions, extractor: Extractor, collector: Collector
) -> None:
    if not frame.fields.get("content-type", "application/http").lower().startswith("application/http"):
        collector.skip("warc.not_http")
        return
    try:
        response = parse_response(frame.body)
        if response.status != 200:
            collector.skip("http.status")
            return
        kind = response.content_type
        if kind and kind not in _HTML and kind != "text/plain":
            collector.skip("http.content_type")
            return
        body = decode_body(response, options.limits.max_document_bytes)
        kind = kind or detect_mime(body[:4096])
        if kind not in _HTML and kind != "text/plain":
            collector.skip("http.content_type")
            return
        text, replaced = decode_text(body, response.charset, kind in _HTML)
        data = extractor.extract(text) if kind in _HTML else text.encode()
    except (BadResponse, PageError) as bad:
        collector.reject(locator, bad.reason, bad.detail, frame.size, frame.head)
        return
    if len(data) > options.limits.max_document_bytes:
        detail = f"a text of {len(data)} bytes, max_document_bytes is {options.limits.max_document_bytes}"
        collector.reject(locator, "record.too_large", detail, frame.size, frame.head)
        return
    _add(
        frame,
        locator,
        data,
        ["encoding.replaced"] if replaced else [],
        collector,
        response,
        text if kind in _HTML else "",
    )


def _add(
    frame: Frame,
    locator: str,
    text: bytes,
    repaired: list[str],
    collector: Collector,
    response: Response | None = None,
    page: str = "",
) -> None:
    fields = frame.fields
    given = fields.get("warc-date")
    date = parse_date(given)
    if given and date is None:
        repaired.append("date.unreadable")
    if "warc-truncated" in fields:
        repaired.append("warc.marked_truncated")
    url = fields.get("warc-target-uri", "").strip("<>") or None
    record = {**fields, **_facts(response, page)} if collector.fields and response else fields
    collector.add(locator, text, url, date, repaired, record)


def _facts(response: Response, page: str) -> dict[str, str]:
    """What else is known of a page: `http.HEADER`, and `html.lang` as its first tag declares it."""
    facts = {f"http.{name}": value for name, value in response.headers.items()}
    declared = _HTML_LANG.search(page, 0, _HTML_HEAD_CHARS)
    return {**facts, "html.lang": declared[1]} if declared else facts
