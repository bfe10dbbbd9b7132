"""An archived HTTP response: status, headers, and the body as the server meant it."""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass

from fastwarc.stream_io import BrotliReader, ZstdReader
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

_STATUS = re.compile(rb"(?:HTTP/[0-9.]+|ICY)[ \t]+([0-9]{3})(?![0-9])")
_HEADER_END = re.compile(rb"\r?\n\r?\n|\Z")
_CHUNK = re.compile(rb"[ \t\r\n]*([0-9a-fA-F]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_NOT_ASCII_BASED = ("utf-16", "utf-32", "utf-7", "iso-2022", "iso2022", "hz")


@dataclass
class BadResponse(Exception):
    """A response whose body can't be had. `detail` quotes nothing of it."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Response:
    """A parsed response; `body` still as it was sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """Type and subtype in lower case, empty where none is given."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The charset parameter of Content-Type."""
        found = _CHARSET.search(self.headers.get("content-type", ""))
        return found.group(1) if found else None


def parse_response(block: bytes) -> Response:
    """Split a response. Lines may end with LF alone. Raises BadResponse (`http.invalid`)."""
    status = _STATUS.match(block)
    if not status:
        raise BadResponse("http.invalid", "no HTTP status line at the beginning")
    end = _HEADER_END.search(block)
    stop, body = (end.start(), end.end()) if end else (len(block), len(block))
    headers: dict[str, str] = {}
    for line in block[:stop].decode("latin-1").split("\n")[1:]:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    return Response(int(status.group(1)), headers, block[body:])


def decode_body(response: Response, max_bytes: int) -> bytes:
    """The body without chunks and content encodings.

    Many crawlers store the decoded body below the original headers: a body that is plainly not what they say is
    taken as it is. Raises BadResponse: `http.truncated`, `http.invalid`, `http.unknown_encoding`, `record.too_large`.
    """
    body = response.body
    if "chunked" in response.headers.get("transfer-encoding", "").lower():
        body = _join_chunks(body)
    for encoding in reversed(response.headers.get("content-encoding", "").lower().split(",")):
        body = _decode(body, encoding.strip(), max_bytes)
    if len(body) > max_bytes:
        raise BadResponse("record.too_large", f"more than max_document_bytes, which is {max_bytes}")
    return body


def _join_chunks(body: bytes) -> bytes:
    parts: list[bytes] = []
    at = 0
    while True:
        head = _CHUNK.match(body, at)
        if not head:
            if at == 0:
                return body
            raise BadResponse("http.invalid", f"no chunk at byte {at} of the body")
        size = int(head.group(1), 16)
        if size == 0:
            return b"".join(parts)
        at = head.end() + size
        if at > len(body):
            raise BadResponse("http.truncated", f"{len(body)} bytes, the last chunk ends at byte {at}")
        parts.append(body[head.end() : at])


def _decode(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Undo one content encoding."""
    if encoding in ("", "identity", "none") or not body:
        return body
    if encoding in ("gzip", "x-gzip", "deflate"):
        if encoding != "deflate" and not body.startswith(b"\x1f\x8b"):
            return body
        return _inflate(body, encoding == "deflate", max_bytes)
    if body.lstrip()[:1] == b"<":
        return body
    if encoding not in ("br", "zstd"):
        raise BadResponse("http.unknown_encoding", "neither gzip, deflate, br nor zstd")
    reader = (BrotliReader if encoding == "br" else ZstdReader)(io.BytesIO(body))
    try:
        return _limited(reader.read(max_bytes + 1), max_bytes)
    except (OSError, ValueError) as error:
        raise BadResponse("http.invalid", f"{encoding} data that can't be decoded") from error


def _inflate(body: bytes, deflate: bool, max_bytes: int) -> bytes:
    """gzip, or deflate with or (as some servers send it) without the zlib header."""
    for wbits in (47, -15) if deflate else (47,):
        inner = zlib.decompressobj(wbits=wbits)
        try:
            out = _limited(inner.decompress(body, max_bytes + 1), max_bytes)
        except zlib.error:
            continue
        if not inner.eof:
            raise BadResponse("http.truncated", f"compressed data that ends after {len(out)} bytes")
        return out
    if deflate and body.lstrip()[:1] == b"<":
        return body
    raise BadResponse("http.invalid", "compressed data that can't be decoded")


def _limited(out: bytes, max_bytes: int) -> bytes:
    if len(out) > max_bytes:
        raise BadResponse("record.too_large", f"more than max_document_bytes, which is {max_bytes}, when decompressed")
    return out


def decode_text(raw: bytes, charset: str | None, html: bool) -> tuple[str, bool]:
    """The text of a body, and whether bytes had to be replaced by U+FFFD.

    What decodes as UTF-8 is UTF-8, whatever the headers say, but for encodings that hide in ASCII. Then count the
    header, the meta element, and resiliparse's detector.
    """
    named = _known(charset)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        named = "utf-16"
    elif b"\x1b" not in raw and not (named and named.startswith(_NOT_ASCII_BASED)):
        try:
            return raw.removeprefix(b"\xef\xbb\xbf").decode(), False
        except UnicodeDecodeError:
            pass
    text = raw.decode(named or detect_encoding(raw, from_html_meta=html) or "utf-8", "replace")
    return text, "\ufffd" in text


def _known(charset: str | None) -> str | None:
    """A codec from the closed list of the HTML standard; data must not choose any other."""
    for label in (charset, charset.replace("-", "").replace("_", "")) if charset else ():
        if found := map_encoding_to_html5(label, fallback_utf8=False):
            return str(found)
    return None
