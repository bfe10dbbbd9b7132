"""Text from HTML, in a child process that can be stopped.

HTML parsers are quadratic in the depth of nesting and in the number of attributes: a page of 1 MB can hold
resiliparse for minutes, and native code can't be interrupted. The child has a timer of processor time and a limit of
memory; when it dies, its page goes into quarantine and a new child is started. This file is also what the child runs.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import struct
import subprocess
import sys
from typing import IO

from resiliparse.extract.html2text import extract_plain_text

_MEMORY_BYTES = 4 << 30
_REQUEST = struct.Struct("<Qd?")  # bytes of HTML, processor seconds, main content only
_ANSWER = struct.Struct("<q")  # bytes of text, -1 for an error


class PageError(Exception):
    """A page without text. `reason`: `html.timeout`, `html.crashed`, `html.failed`."""

    def __init__(self, reason: str, detail: str) -> None:
        """Handled by the WARC reader."""
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Extractor:
    """Takes text out of pages, one after the other; starts its child for the first."""

    def __init__(self, max_s: float, main_content: bool) -> None:
        """`max_s` is processor time for each page."""
        self._max_s = max_s
        self._main_content = main_content
        self._child: subprocess.Popen[bytes] | None = None

    def extract(self, html: str) -> bytes:
        """The text of a page as UTF-8. Raises PageError."""
        page = html.encode()
        if self._child is None:
            command = [sys.executable, "-P", __file__]
            pipe = subprocess.PIPE
            self._child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)  # noqa: S603
        to_child, from_child = self._child.stdin, self._child.stdout
        if to_child is None or from_child is None:
            raise PageError("html.crashed", "the child has no pipes")
        try:
            to_child.write(_REQUEST.pack(len(page), self._max_s, self._main_content))
            to_child.write(page)
            to_child.flush()
            size = _ANSWER.unpack(_read_exactly(from_child, _ANSWER.size))[0]
            text = _read_exactly(from_child, max(size, 0))
        except (OSError, EOFError) as error:
            raise self._dead(len(page)) from error
        if size < 0:
            raise PageError("html.failed", f"resiliparse refused a page of {len(page)} bytes")
        return text

    def _dead(self, size: int) -> PageError:
        code = self._child.wait() if self._child else 0
        self.close()
        if code == -signal.SIGPROF:
            return PageError("html.timeout", f"a page of {size} bytes took more than {self._max_s} s of processor time")
        return PageError("html.crashed", f"a page of {size} bytes ended the parser with status {code}")

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            with contextlib.suppress(BrokenPipeError):
                self._child.communicate()
            self._child = None


def _read_exactly(stream: IO[bytes], size: int) -> bytes:
    """`size` bytes. Raises EOFError where there are fewer."""
    data: bytes = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """What the child does until its parent closes the pipe."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    while head := requests.read(_REQUEST.size):
        size, max_s, main_content = _REQUEST.unpack(head)
        html = _read_exactly(requests, size).decode()
        signal.setitimer(signal.ITIMER_PROF, max_s)
        try:
            text = extract_plain_text(html, main_content=main_content).encode("utf-8", "replace")
            answer = _ANSWER.pack(len(text)) + text
        except (ValueError, TypeError, RuntimeError, MemoryError):
            answer = _ANSWER.pack(-1)
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(answer)
        answers.flush()


if __name__ == "__main__":
    _serve(sys.stdin.buffer, sys.stdout.buffer)
