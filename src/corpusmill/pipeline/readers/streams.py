"""The decompressed bytes of a file, chunk by chunk, and an exact account of where a damaged one breaks.

Never the whole file at once, never more out of a chunk than asked for. Everything before the damage is delivered.
"""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections import deque
from collections.abc import Callable
from typing import Protocol

from fastwarc.stream_io import Lz4Reader, ZstdReader

from corpusmill.pipeline.readers.records import Limits
from corpusmill.pipeline.readers.slices import open_file

_IN_BYTES = 1 << 18
_OUT_BYTES = 1 << 20
_FIRST_FEED_BYTES = 1 << 12
_ZEROS = re.compile(rb"\0+")
_MAX_FAILURES = 100
"""Magic bytes turn up by chance once in 16 MiB: so many broken members on end are no archive."""
_RATIO_FLOOR_BYTES = 64 << 20
"""Below this much output no ratio is looked at: a small file can't do harm, and repetitive text compresses well."""


def _is_bomb(bytes_out: int, bytes_in: int, max_ratio: int) -> bool:
    return bytes_out > _RATIO_FLOOR_BYTES and bytes_out > max_ratio * bytes_in


class StreamDamage(Exception):
    """The stream can't be read beyond this point. `reason` goes into quarantine, `detail` says what was met.

    `begin` is where the damaged member begins, in decompressed bytes; None where members can't be told apart.
    """

    def __init__(self, reason: str, detail: str, begin: int | None = None) -> None:
        """Raised by `ByteStream.read` only, and handled by every reader."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.begin = begin


class ByteStream(Protocol):
    """A source of bytes.

    offset   decompressed bytes delivered so far (for a stream that began inside a file: plus that place)
    members  (decompressed, compressed) place of each compressed member begun; empty where members can't be addressed
    """

    offset: int
    members: deque[tuple[int, int]]

    def read(self) -> bytes:
        """The next chunk, never empty before the end. Raises StreamDamage; a second call is allowed after `resume`."""
        ...

    def resume(self) -> bool:
        """After damage: go on at the next member. False where there is none."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def open_stream(path: str, limits: Limits, start: int = 0) -> ByteStream:
    """The decompressed bytes of a file, by its suffix. `start` is for uncompressed files only."""
    suffix = path[path.rfind(".") :]
    if suffix in _MEMBERS:
        return _MemberStream(path, suffix, limits)
    if suffix in _FRAMES:
        return _FrameStream(path, suffix, limits)
    return _PlainStream(path, start)


class _PlainStream:
    """A file that is not compressed."""

    def __init__(self, path: str, start: int) -> None:
        self._file = open_file(path)
        self._file.seek(start)
        self.offset = start
        self.members: deque[tuple[int, int]] = deque()

    def read(self) -> bytes:
        chunk: bytes = self._file.read(_OUT_BYTES)
        self.offset += len(chunk)
        return chunk

    def resume(self) -> bool:
        return False

    def close(self) -> None:
        self._file.close()


class _Decompressor(Protocol):
    """What bz2 and lzma offer."""

    @property
    def needs_input(self) -> bool: ...

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Zlib:
    """`zlib.decompressobj` with the interface of the decompressors of bz2 and lzma, which loses nothing on an error."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)
        self._rest = b""  # input that `_inner` has not seen
        self._error: zlib.error | None = None

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self._error:
            raise self._error
        pending = self._inner.unconsumed_tail + self._rest + data
        before, self._rest = self._inner.copy(), b""
        try:
            return self._inner.decompress(pending, max_length)
        except zlib.error as error:
            return self._salvage(before, pending, max_length, error)

    def _salvage(self, inner: zlib._Decompress, pending: bytes, max_length: int, error: zlib.error) -> bytes:
        """What comes before the error: a call that fails forgets its output, so go up to it in ever smaller steps."""
        out = bytearray()
        at, step = 0, 1024
        while step and at < len(pending) and len(out) < max_length:
            trial = inner.copy()
            try:
                out += trial.decompress(pending[at : at + step])
            except zlib.error:
                step //= 2
                continue
            inner, at = trial, at + step
        self._inner, self._rest = inner, pending[at:]
        self._error = None if step else error
        return bytes(out)

    @property
    def needs_input(self) -> bool:
        return not (self._inner.unconsumed_tail or self._rest or self._error)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


_MEMBERS: dict[str, tuple[str, bytes, Callable[[], _Decompressor]]] = {
    ".gz": ("gzip", b"\x1f\x8b\x08", _Zlib),
    ".bz2": ("bzip2", b"BZh", bz2.BZ2Decompressor),
    ".xz": ("xz", b"\xfd7zXZ\x00", lzma.LZMADecompressor),
}
_DAMAGE = (zlib.error, lzma.LZMAError, OSError, EOFError)


class _MemberStream:
    """gzip, bzip2 and xz: a file is a row of members, each complete in itself and with its own checksum."""

    def __init__(self, path: str, suffix: str, limits: Limits) -> None:
        self._codec, self._magic, self._new = _MEMBERS[suffix]
        self._file = open_file(path)
        self._max_ratio = limits.max_ratio
        self._input = b""  # the piece of the file in hand,
        self._at = 0  # given to decompressors up to here,
        self._base = 0  # which begins at this byte of the file
        self._feed = (
            _FIRST_FEED_BYTES  # for the next call: members may be as short as a line, and what is left is copied
        )
        self._begin = 0  # of the current member, in the file
        self._bomb = False
        self._failures = 0  # members broken since the last that was whole
        self._member: _Decompressor | None = None
        self.offset = 0
        self.members: deque[tuple[int, int]] = deque()

    def read(self) -> bytes:
        while True:
            if self._member is None and not self._next_member():
                return b""
            chunk = self._decompress()
            if chunk:
                out, taken = self.offset + len(chunk), self._base + self._at
                if _is_bomb(out, taken, self._max_ratio):
                    self._member, self._bomb = None, True
                    detail = f"{out} bytes out of {taken}, above max_ratio"
                    raise StreamDamage("compression.ratio", detail, self.members[-1][0])
                self.offset = out
                return chunk

    def _more(self) -> bool:
        """Have input in hand; False at the end of the file."""
        if self._at == len(self._input):
            self._base += self._at
            self._input, self._at = self._file.read(_IN_BYTES), 0
        return self._at < len(self._input)

    def _next_member(self) -> bool:
        """Begin the next member; False at the end. Zeros behind a member are padding."""
        first = self._base + self._at == 0
        while self._more() and not first and self._input[self._at] == 0:
            self._at = _ZEROS.match(self._input, self._at).end()  # type: ignore[union-attr]
        self._begin = self._base + self._at
        if not self._more():
            if first and not self._failures:
                raise self._broken("truncated", "the file is empty")
            return False
        if len(self._input) - self._at < len(self._magic):
            self._input, self._base, self._at = self._input[self._at :] + self._file.read(_IN_BYTES), self._begin, 0
        self.members.append((self.offset, self._begin))
        if not self._input.startswith(self._magic, self._at):
            raise self._broken("invalid", f"no {self._codec} data at byte {self._begin} of the file")
        self._member, self._feed = self._new(), _FIRST_FEED_BYTES
        return True

    def _decompress(self) -> bytes:
        member = self._member
        if member is None:
            return b""
        data, ended = b"", False
        if member.needs_input:
            ended = not self._more()
            data = self._input[self._at : self._at + self._feed]
            self._at += len(data)
            self._feed = min(2 * self._feed, _IN_BYTES)
        try:
            chunk = member.decompress(data, _OUT_BYTES)
        except _DAMAGE as error:
            raise self._broken("invalid", f"the member at byte {self._begin} of the file: {error}") from error
        if member.eof:
            self._at -= len(member.unused_data)
            self._member, self._failures = None, 0
        elif ended and not chunk:
            raise self._broken("truncated", f"the file ends inside the member at its byte {self._begin}")
        return chunk

    def _broken(self, kind: str, detail: str) -> StreamDamage:
        begin = self.members[-1][0] if self._member else self.offset
        self._member = None
        self._failures += 1
        return StreamDamage(f"{self._codec}.{kind}", detail, begin)

    def resume(self) -> bool:
        """Look for the magic bytes behind the beginning of the member that broke."""
        if self._bomb or self._failures > _MAX_FAILURES:
            return False
        self._begin += 1
        self._file.seek(self._begin)
        self._input, self._at, self._base = self._file.read(_IN_BYTES), 0, self._begin
        while len(self._input) >= len(self._magic):
            found = self._input.find(self._magic)
            if found >= 0:
                self._at = found
                return True
            keep = len(self._magic) - 1
            self._base += len(self._input) - keep
            more = self._file.read(_IN_BYTES)
            self._input = self._input[-keep:] + more if more else b""
        return False

    def close(self) -> None:
        self._file.close()


_FRAMES = {".zst": ("zstd", ZstdReader), ".lz4": ("lz4", Lz4Reader)}


class _FrameStream:
    """zstd and lz4: frames one after the other, a dictionary may come first."""

    def __init__(self, path: str, suffix: str, limits: Limits) -> None:
        self._codec, self._new = _FRAMES[suffix]
        self._path = path
        self._max_ratio = limits.max_ratio
        self._open()
        self.offset = 0
        self.members: deque[tuple[int, int]] = deque()
        self._damage: StreamDamage | None = None

    def _open(self) -> None:
        self._file = open_file(self._path)
        self._reader = self._new(self._file)

    def read(self) -> bytes:
        if self._damage:
            raise self._damage
        try:
            chunk = self._reader.read(_OUT_BYTES)
        except (OSError, ValueError) as error:
            kind = "truncated" if "incomplete" in str(error) else "invalid"
            self._damage = StreamDamage(f"{self._codec}.{kind}", str(error))
            chunk = self._last_bytes()
            if not chunk:
                raise self._damage from error
        out, taken = self.offset + len(chunk), self._file.tell()
        if _is_bomb(out, taken, self._max_ratio):
            raise StreamDamage("compression.ratio", f"{out} bytes out of {taken}, above max_ratio")
        self.offset = out
        return chunk

    def _last_bytes(self) -> bytes:
        """What lies before the damage: a reader that fails forgets what it had, so read that again, byte by byte."""
        self.close()
        self._open()
        left = self.offset
        while left:
            left -= len(self._reader.read(min(left, _OUT_BYTES)))
        found = bytearray()
        try:
            while byte := self._reader.read(1):
                found += byte
        except (OSError, ValueError):
            pass
        return bytes(found)

    def resume(self) -> bool:
        return False

    def close(self) -> None:
        self._file.close()
