"""Where each record of a web archive begins and ends, and an account of the bytes where none does.

Lengths are not believed: a record counts only when another record, or the end, follows it. After damage the reader goes
on at the next compressed member, or at the next line that begins like a record. Known readers yield clipped records as
if they were whole, stop at the first bad header, or give several records of one gzip member the same place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from corpusmill.pipeline.readers.records import HEAD_BYTES, Limits
from corpusmill.pipeline.readers.streams import ByteStream, StreamDamage

_MAX_HEADER_BYTES = 64 << 10
_MAGIC = re.compile(rb"WARC/[0-9]")
_NEXT = re.compile(rb"\nWARC/[0-9]\.[0-9]+\r?\n")
_NEXT_BYTES = 16  # of a match of _NEXT, at most; "WARC/1.1" in practice
_HEADER_END = re.compile(rb"(\r?\n\r?\n)|\nWARC/[0-9]")  # a header that another record interrupts has no end
_BLANK = re.compile(rb"[\r\n]*")


@dataclass(frozen=True)
class Frame:
    """One record, or one run of bytes that can't be read as records (`reason` is set, `head` its first bytes).

    place   where it begins: its byte in the file; in a compressed file its member's, `+n` bytes behind the beginning
            of that member where it does not begin it; zstd and lz4: the byte in the decompressed file
    fields  the named fields of the header, names in lower case, the first of each
    body    the block, without the header
    size    bytes of the whole record, or of the run
    """

    place: str
    fields: dict[str, str]
    body: bytes
    size: int
    head: bytes
    reason: str = ""
    detail: str = ""


def read_frames(stream: ByteStream, limits: Limits) -> Iterator[Frame]:
    """Every record of an archive in order. Each damaged place is one frame with a reason."""
    buffer = _Buffer(stream)
    while True:
        buffer.skip_blank()
        if buffer.ended:
            if buffer.damage is None:
                return
            if not buffer.told:
                place, damage = buffer.place(), buffer.damage
                yield Frame(place, {}, b"", 0, b"", damage.reason, damage.detail)
            if not buffer.resume():
                return
            continue
        yield from _read_one(buffer, limits)


def _read_one(buffer: _Buffer, limits: Limits) -> Iterator[Frame]:
    """The record that should begin here."""
    place, begin = buffer.place(), buffer.offset
    header = buffer.header() if buffer.peek(_MAGIC) else None
    if header is None:
        what = "an ARC file, which has to be converted" if buffer.front(11) == b"filedesc://" else "no WARC record"
        yield from _give_up(buffer, place, 0, "warc.invalid", f"{what} where a WARC record should begin")
        return
    fields = _parse_fields(header)
    length = fields.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 19):
        yield from _give_up(
            buffer, place, len(header), "warc.invalid", "a record header without a valid Content-Length"
        )
        return
    size = len(header) + int(length)
    if size > limits.max_record_bytes:
        head = buffer.front(HEAD_BYTES)
        if buffer.drop(size) and buffer.at_boundary():
            detail = f"a record of {size} bytes, max_record_bytes is {limits.max_record_bytes}"
            yield Frame(place, fields, b"", size, head, "record.too_large", detail)
        else:
            yield from _give_up(
                buffer, place, 0, "warc.truncated_record", f"the file ends inside a record of {size} bytes"
            )
        return
    whole = buffer.fill(size)
    if whole and buffer.at_boundary(size) and not buffer.damaged(begin + size):
        record = buffer.front(size)
        buffer.drop(size)
        yield Frame(place, fields, record[len(header) :], size, record[:HEAD_BYTES])
    elif whole and not buffer.damaged(begin + size):
        yield from _give_up(buffer, place, len(header), "warc.wrong_length", "what follows the record is not a record")
    else:
        detail = f"{min(buffer.held, size)} of {size} bytes of the record are there"
        yield from _give_up(buffer, place, len(header), "warc.truncated_record", detail)


def _give_up(buffer: _Buffer, place: str, known: int, reason: str, detail: str) -> Iterator[Frame]:
    """The bytes up to the next thing that looks like a record as one frame; `known` of them were a header."""
    head = buffer.front(HEAD_BYTES)
    size = buffer.drop_to_next(known)
    if buffer.damage is not None and buffer.ended and not buffer.told:
        reason, detail = buffer.damage.reason, f"{buffer.damage.detail}; {detail}"
        buffer.told = True
    if size or head:
        yield Frame(place, {}, b"", size, head, reason, detail)


def _parse_fields(header: bytes) -> dict[str, str]:
    """Named fields; a line that begins with white space goes on with the one before it. The first of a name counts."""
    fields: dict[str, str] = {}
    name = ""
    for line in header.decode("utf-8", "replace").splitlines()[1:]:
        if line[:1] in (" ", "\t"):
            if name:
                fields[name] += " " + line.strip()
            continue
        key, colon, value = line.partition(":")
        name = key.strip().lower() if colon else ""
        if name in fields:
            name = ""
        if name:
            fields[name] = value.strip()
    return fields


class _Buffer:
    """A window on a stream that moves forward only.

    damage  what broke the stream, once it did; `told` when a frame has reported it
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._data = bytearray()
        self._finished = False
        self.damage: StreamDamage | None = None
        self.told = False

    @property
    def held(self) -> int:
        """Bytes in the window."""
        return len(self._data)

    @property
    def offset(self) -> int:
        """Place of the window's first byte in the decompressed file."""
        return self._stream.offset - len(self._data)

    @property
    def ended(self) -> bool:
        """Nothing left, and nothing more to come."""
        return not self._data and not self.fill(1)

    def fill(self, size: int) -> bool:
        """Have `size` bytes in the window; False where the stream has no more."""
        while len(self._data) < size and not self._finished:
            try:
                chunk = self._stream.read()
            except StreamDamage as damage:
                self.damage, self._finished = damage, True
                break
            self._finished = not chunk
            self._data += chunk
        return len(self._data) >= size

    def resume(self) -> bool:
        """After damage: go on behind it."""
        self.told = True
        self._data.clear()
        self._finished = not self._stream.resume()
        if self._finished:
            return False
        self.damage = None
        return True

    def damaged(self, end: int) -> bool:
        """Whether the record that ends at `end` lies in the member that broke."""
        return self.damage is not None and self.damage.begin is not None and self.damage.begin < end

    def place(self) -> str:
        """The window's first byte, as a frame's `place`."""
        members, offset = self._stream.members, self.offset
        while len(members) > 1 and members[1][0] <= offset:
            members.popleft()
        if not members:
            return str(offset)
        begin, compressed = members[0]
        return f"{compressed}+{offset - begin}" if offset > begin else str(compressed)

    def front(self, size: int) -> bytes:
        """The first bytes of the window."""
        return bytes(memoryview(self._data)[:size])

    def peek(self, pattern: re.Pattern[bytes]) -> bool:
        """Whether the window begins like this."""
        self.fill(_NEXT_BYTES)
        found = pattern.match(self._data) is not None
        self.told = self.told and not found
        return found

    def header(self) -> bytes | None:
        """The header with the blank line behind it; None where there is no end to it."""
        size = 4096
        while True:
            whole = self.fill(size)
            found = _HEADER_END.search(self._data, 0, size)
            if found and (found.end() < size or not whole):
                return self.front(found.end()) if found[1] else None
            if size >= _MAX_HEADER_BYTES or not whole:
                return None
            size *= 4

    def skip_blank(self) -> None:
        """Drop line ends between records."""
        while self.fill(1):
            del self._data[: _BLANK.match(self._data).end()]  # type: ignore[union-attr]
            if self._data:
                return

    def at_boundary(self, at: int = 0) -> bool:
        """Whether two line ends stand at `at` in the window, or, line ends aside, the file's end or a record."""
        size = _NEXT_BYTES
        self.fill(at + size)  # even where four bytes would do: the end of a member is where its damage shows
        if self._data.startswith(b"\r\n\r\n", at):
            return True
        while True:
            whole = self.fill(at + size)
            rest = bytes(memoryview(self._data)[at : at + size]).lstrip(b"\r\n")
            if len(rest) >= 6 or not whole:
                return not rest or _MAGIC.match(rest) is not None
            size *= 4

    def drop(self, size: int) -> bool:
        """Move the window forward; False where the stream is shorter."""
        while size > len(self._data):
            size -= len(self._data)
            self._data.clear()
            if not self.fill(1):
                return False
        del self._data[:size]
        return True

    def drop_to_next(self, known: int) -> int:
        """Move the window to the next line that begins like a record, at least `known` bytes on; how far that was."""
        dropped = 0
        start = max(known - 1, 0)
        while True:
            found = _NEXT.search(self._data, start)
            if found:
                step = found.start() + 1
                del self._data[:step]
                return dropped + step
            keep = min(len(self._data), _NEXT_BYTES)
            dropped += len(self._data) - keep
            start = max(start - (len(self._data) - keep), 0)
            del self._data[: len(self._data) - keep]
            if not self.fill(keep + 1):
                dropped += len(self._data)
                self._data.clear()
                return dropped
