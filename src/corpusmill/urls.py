"""URLs: the parts of one, and the forms in which two spellings of one page are the same string.

Everything works on Arrow arrays of strings, a batch at a time; a null stays null. Positions are bytes.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from corpusmill.errors import ConfigError
from corpusmill.scan import copy_bytes, hash_span
from corpusmill.text import Texts

Form = Literal["default", "c4", "dolma", "none"]

TRACKING = (
    *("fbclid", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "msclkid", "yclid", "ysclid", "twclid", "ttclid"),
    *("li_fat_id", "igshid", "igsh", "mc_cid", "mc_eid", "_ga", "_gl", "_hsenc", "_hsmi", "mkt_tok", "oly_enc_id"),
    *("oly_anon_id", "vero_id"),
)
"""Parameters that name a visit and not a page, beside all that begin with `utm_`."""

_TRACKING_HASHES = Texts.from_strings(TRACKING).lines.hash
_DEFAULT, _C4, _DOLMA = range(3)  # the first of Form
_UNRESERVED, _SCHEME = np.uint8(1), np.uint8(2)


def _byte_kinds() -> npt.NDArray[np.uint8]:
    """For each byte: RFC 3986's unreserved characters, the characters of a scheme."""
    kinds = np.zeros(256, dtype=np.uint8)
    alphanumeric = [c for c in range(128) if chr(c).isalnum()]
    kinds[[*alphanumeric, *b"-._~"]] |= _UNRESERVED
    kinds[[*alphanumeric, *b"+-."]] |= _SCHEME
    return kinds


_BYTE_KINDS = _byte_kinds()


def normalise(urls: pa.Array, form: Form = "default") -> pa.LargeStringArray:
    """The URLs in a normal form, large_string[n].

    default  for any use. Blanks and control characters around it go. With `scheme://`: scheme and host in lower case
             (ASCII; an international name stays as it is given, in Unicode or in Punycode), no full stop behind the
             host, no port that is the scheme's own (http 80, https 443, ftp 21) or empty, `/` for an empty path, no
             fragment, no parameter of `TRACKING` or `utm_…`, no empty query; in path and query, %xx of an unreserved
             character is that character and all others have capital digits (RFC 3986 §6.2.2). Parameters keep their
             order and the rest of the path stays, both because servers tell them apart; so does a URL of other kind.
    c4       `normalize_url` of tensorflow_datasets/text/c4_utils.py, which DCLM has too: `http(s)://` and `www.`
             behind it go wherever they are, what follows `?utm_`, `?ref` or `?feed` goes up to a line feed, and
             slashes at the end go. The case stays, and so does the fragment.
    dolma    `clean_url` of dolma 1.2.1, taggers/url.py: host, `:port`, path; no query, fragment or slashes at the end;
             all in lower case. Dot segments stay and nothing is percent-encoded, as that does with rare characters.
    none     as they are.

    Raises ConfigError for another form.
    """
    if form not in get_args(Form):
        raise ConfigError(f"normal form of URLs: got {form!r}; wanted one of {', '.join(get_args(Form))}")
    texts, missing = _texts(urls)
    if form != "none":
        out = np.empty(int(texts.offsets[-1] - texts.offsets[0]) + len(texts), dtype=np.uint8)
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        _normalise(texts.data, texts.offsets, get_args(Form).index(form), out, offsets)
        texts = Texts(out[: offsets[-1]], offsets)
    result = texts.to_arrow()
    if form == "dolma":
        result = pc.utf8_lower(result)
    return pc.if_else(pa.array(missing), pa.scalar(None, pa.large_string()), result)


def hosts(urls: pa.Array, *, port: bool = False) -> pa.LargeStringArray:
    """The host of each URL as it is written, large_string[n]: no user, no full stops at its end; "" where none is.

    Where there is no `scheme://` or `//`, the URL is taken to begin with its host. With `port`, what lies between
    `//` and the path instead, as `urllib.parse` has it: user, host and port, and "" where there is no `//`.
    """
    texts, missing = _texts(urls)
    start, stop = np.empty(len(texts), dtype=np.int64), np.empty(len(texts), dtype=np.int64)
    _hosts(texts.data, texts.offsets, port, start, stop)
    return pc.if_else(pa.array(missing), pa.scalar(None, pa.large_string()), texts.cut(start, stop))


def _texts(urls: pa.Array | pa.ChunkedArray) -> tuple[Texts, npt.NDArray[np.bool_]]:
    """The URLs as Texts, "" for a null, and where those are."""
    missing = np.asarray(urls.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)
    return Texts.from_arrow(urls.cast(pa.large_string()).fill_null("")), missing


@njit(cache=True, nogil=True)
def _authority(data, i, end):  # type: ignore[no-untyped-def]
    """Where the authority of the URL in bytes i to end begins and ends, and whether `//` is before it."""
    start, marked = i, False
    for k in range(i, end - 1):
        if data[k] == 0x2F and data[k + 1] == 0x2F:
            marked = k == i or (k > i + 1 and data[k - 1] == 0x3A)
            for j in range(i, k - 1):
                marked = marked and _BYTE_KINDS[data[j]] & _SCHEME != 0
            if marked:
                start = k + 2
            break
        if data[k] == 0x3F or data[k] == 0x23:
            break
    stop = start
    while stop < end and not (data[stop] == 0x2F or data[stop] == 0x3F or data[stop] == 0x23 or data[stop] == 0x5C):
        stop += 1
    return start, stop, marked


@njit(cache=True, nogil=True)
def _host(data, start, stop):  # type: ignore[no-untyped-def]
    """Where the host of the authority in bytes start to stop begins and ends: no user, port or full stops behind."""
    start = _skip_user(data, start, stop)
    a, bracket = start, start < stop and data[start] == 0x5B
    while a < stop and (bracket or data[a] != 0x3A):
        bracket = bracket and data[a] != 0x5D
        a += 1
    while a > start and data[a - 1] == 0x2E:
        a -= 1
    return start, a


@njit(cache=True, nogil=True)
def _skip_user(data, start, stop):  # type: ignore[no-untyped-def]
    """Position behind the last `@` of the authority in bytes start to stop, start where there is none."""
    for k in range(stop - 1, start - 1, -1):
        if data[k] == 0x40:
            return k + 1
    return start


@njit(cache=True, nogil=True)
def _trim(data, i, end):  # type: ignore[no-untyped-def]
    """Without ASCII blanks and control characters at both ends."""
    while i < end and data[i] <= 0x20:
        i += 1
    while end > i and data[end - 1] <= 0x20:
        end -= 1
    return i, end


@njit(cache=True, nogil=True)
def _hosts(data, offsets, port, starts, stops):  # type: ignore[no-untyped-def]
    for d in range(len(offsets) - 1):
        i, end = _trim(data, offsets[d], offsets[d + 1])
        start, stop, marked = _authority(data, i, end)
        if not port:
            start, stop = _host(data, start, stop)
        elif not marked:
            stop = start
        starts[d], stops[d] = start, stop


@njit(cache=True, nogil=True)
def _begins(data, i, end, word):  # type: ignore[no-untyped-def]
    """Whether the ASCII `word` is at `i`."""
    same = i + len(word) <= end
    for k in range(len(word)):
        same = same and data[i + k] == word[k]
    return same


@njit(cache=True, nogil=True)
def _normalise(data, offsets, form, out, new_offsets):  # type: ignore[no-untyped-def]
    w = 0
    for d in range(len(offsets) - 1):
        begin, i, end = w, offsets[d], offsets[d + 1]
        if form == _DEFAULT:
            w = _default(data, i, end, out, w)
        else:
            w = _c4(data, i, end, out, w) if form == _C4 else _dolma(data, i, end, out, w)
            while w > begin and out[w - 1] == 0x2F:
                w -= 1
        new_offsets[d + 1] = w


@njit(cache=True, nogil=True)
def _c4(data, i, end, out, w):  # type: ignore[no-untyped-def]
    begin = w
    while i < end:
        if data[i] == 0x68 and _begins(data, i, end, b"http"):
            k = i + 4 + (i + 4 < end and data[i + 4] == 0x73)
            if _begins(data, k, end, b"://"):
                i = k + 3
                if _begins(data, i, end, b"www."):
                    i += 4
                continue
        out[w] = data[i]
        w += 1
        i += 1
    end, i, w = w, begin, begin
    while i < end:
        if out[i] == 0x3F and (
            _begins(out, i + 1, end, b"utm_") or _begins(out, i + 1, end, b"ref") or _begins(out, i + 1, end, b"feed")
        ):
            while i < end and out[i] != 0x0A:
                i += 1
            continue
        out[w] = out[i]
        w += 1
        i += 1
    return w


@njit(cache=True, nogil=True)
def _dolma(data, i, end, out, w):  # type: ignore[no-untyped-def]
    start, stop, _ = _authority(data, i, end)
    i = _skip_user(data, start, stop)
    while i < end and data[i] != 0x3F and data[i] != 0x23:
        if not (data[i] == 0x3A and i == stop - 1):
            out[w] = data[i]
            w += 1
        i += 1
    return w


@njit(cache=True, nogil=True)
def _lower(c):  # type: ignore[no-untyped-def]
    return c | 0x20 if 0x41 <= c <= 0x5A else c


@njit(cache=True, nogil=True)
def _default(data, i, end, out, w):  # type: ignore[no-untyped-def]
    i, end = _trim(data, i, end)
    start, stop, marked = _authority(data, i, end)
    if not marked or start < i + 3:
        return copy_bytes(data, i, end, out, w)
    begin = w
    for k in range(i, start):
        out[w] = _lower(data[k])
        w += 1
    name, behind = _host(data, start, stop)
    for k in range(start, behind):
        out[w] = _lower(data[k]) if k >= name else data[k]
        w += 1
    while behind < stop and data[behind] == 0x2E:
        behind += 1
    if not _is_own_port(out, begin, data, behind, stop):
        w = copy_bytes(data, behind, stop, out, w)
    return _copy_path_and_query(data, stop, end, out, w)


@njit(cache=True, nogil=True)
def _is_own_port(out, begin, data, i, stop):  # type: ignore[no-untyped-def]
    """Whether the `:port` at `i` is empty or the one that the scheme, at `begin` of `out`, has anyway."""
    if i == stop or (data[i] == 0x3A and i + 1 == stop):
        return True
    if stop - i == 3:
        http = _begins(out, begin, begin + 7, b"http://") and _begins(data, i, stop, b":80")
        return http or (_begins(out, begin, begin + 6, b"ftp://") and _begins(data, i, stop, b":21"))
    return stop - i == 4 and _begins(out, begin, begin + 8, b"https://") and _begins(data, i, stop, b":443")


@njit(cache=True, nogil=True)
def _copy_path_and_query(data, i, end, out, w):  # type: ignore[no-untyped-def]
    """The path from `i` on, `/` for an empty one, and the parameters that are not for tracking; the new end."""
    if i == end or data[i] == 0x3F or data[i] == 0x23:
        out[w] = 0x2F
        w += 1
    while i < end and data[i] != 0x3F and data[i] != 0x23:
        w, i = _copy_character(data, i, end, out, w)
    mark = np.uint8(0x3F)
    while i < end and data[i] != 0x23:
        i += 1  # past ? or &
        before = w
        out[w] = mark
        w += 1
        while i < end and data[i] != 0x26 and data[i] != 0x23:
            w, i = _copy_character(data, i, end, out, w)
        if w == before + 1 or _is_tracking(out, before + 1, w):
            w = before
        else:
            mark = np.uint8(0x26)
    return w


@njit(cache=True, nogil=True)
def _is_tracking(data, start, end):  # type: ignore[no-untyped-def]
    """Whether the parameter `name=value` is for tracking."""
    stop = start
    while stop < end and data[stop] != 0x3D:
        stop += 1
    if _begins(data, start, stop, b"utm_"):
        return True
    key, _ = hash_span(data, start, stop)
    found = False
    for k in range(len(_TRACKING_HASHES)):
        found = found or _TRACKING_HASHES[k] == key
    return found


@njit(cache=True, nogil=True)
def _hex(c):  # type: ignore[no-untyped-def]
    """Value of a hexadecimal digit, -1 of another byte."""
    if 0x30 <= c <= 0x39:
        return np.int64(c) - 0x30
    c = c | 0x20
    return np.int64(c) - 0x57 if 0x61 <= c <= 0x66 else np.int64(-1)


@njit(cache=True, nogil=True)
def _copy_character(data, i, end, out, w):  # type: ignore[no-untyped-def]
    """Copy a byte or a `%xx`; the new ends."""
    if data[i] == 0x25 and i + 2 < end:
        high, low = _hex(data[i + 1]), _hex(data[i + 2])
        if high >= 0 and low >= 0:
            stray = out[w - 1] == 0x25 or out[w - 2] == 0x25  # a % that the new character would become part of
            if _BYTE_KINDS[16 * high + low] & _UNRESERVED and not stray:
                out[w] = 16 * high + low
                return w + 1, i + 3
            out[w] = 0x25
            for k in (1, 2):
                c = data[i + k]
                out[w + k] = c - 0x20 if c >= 0x61 else c
            return w + 3, i + 3
    out[w] = data[i]
    return w + 1, i + 1
