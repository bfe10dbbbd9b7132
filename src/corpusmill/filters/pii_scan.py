"""Kernels that find e-mail and IP addresses in UTF-8, in one pass and linear time.

Every address is found from a byte that it must contain (`@`, the first `.` or the first `:`), by looking a bounded way
back and reading on. Addresses are taken from left to right; a look back never crosses the end of the one before.
Addresses that belong to nobody are read like others, and passed over, so a scrubbed text parses as its original did.

Functions that read an address return (start, stop, ...); stop is 0 where there is none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

EMAIL, IPV4, IPV6 = 0, 1, 2

MAX_LOCAL_BYTES, MAX_LABEL_BYTES, MAX_DOMAIN_BYTES = 64, 63, 253  # RFC 5321 §4.5.3.1, RFC 1035 §2.3.4
_MAX_IPV6_BYTES = 39

_ALNUM, _LOCAL, _HEX, _DIGIT, _ANCHOR = 1, 2, 4, 8, 16


def _classes() -> npt.NDArray[np.uint8]:
    classes = np.zeros(256, dtype=np.uint8)
    for members, flag in (
        ("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", _ALNUM),
        # RFC 5322's atoms without the characters that set addresses apart in prose, URLs and markup.
        ("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._%+-'~", _LOCAL),
        ("0123456789abcdefABCDEF", _HEX),
        ("0123456789", _DIGIT),
        ("@.:", _ANCHOR),
    ):
        classes[np.frombuffer(members.encode(), dtype=np.uint8)] |= flag
    return classes


def _letters(*words: str) -> npt.NDArray[np.int64]:
    """The numbers that `_letter_code` gives to words."""
    codes = []
    for word in words:
        code = 0
        for letter in word:
            code = code * 32 + ord(letter) - 96
        codes.append(code)
    return np.array(sorted(codes), dtype=np.int64)


_CLASS = _classes()
_RESERVED_TOP = _letters("example", "test", "invalid", "localhost")  # RFC 2606 §2
_RESERVED_UNDER = _letters("com", "net", "org")  # RFC 2606 §3, below "example"
_EXAMPLE = int(_letters("example")[0])
# Endings of file and unit names after an `@` (logo@2x.png, getty@tty1.service); none is in IANA's root zone.
_NO_TOP = _letters(
    *"png jpg jpeg gif svg webp bmp ico css js json html htm xml service socket target timer mount slice".split()
)


@njit(cache=True, nogil=True)
def scan(data, offsets, emails, addresses, start, stop, kind, first):  # type: ignore[no-untyped-def]
    """Spans (bytes into `data`) and kinds of the addresses of every document, in order; returns how many.

    Document d has the spans first[d] to first[d + 1]. `emails` and `addresses` say what to look for.
    """
    m = 0
    for d in range(len(offsets) - 1):
        i = low = offsets[d]
        end = offsets[d + 1]
        while i < end:
            c = data[i]
            if not _CLASS[c] & _ANCHOR:
                i += 1
                continue
            a, b, k, public, after = i, 0, EMAIL, False, i + 1
            if c == 64:
                if emails:
                    a, b, public = _email(data, i, low, end)
            elif addresses and i + 1 < end:
                if c == 46:
                    if i > low and _CLASS[data[i - 1]] & _DIGIT and _CLASS[data[i + 1]] & _DIGIT:
                        k = IPV4
                        a, b, public = _ipv4(data, i, low, end)
                elif data[i + 1] == 58 or _CLASS[data[i + 1]] & _HEX:
                    k = IPV6
                    a, b, public, after = _ipv6(data, i, low, end)
            if b:
                if public:
                    start[m], stop[m], kind[m] = a, b, k
                    m += 1
                i = low = b
            else:
                i = after
        first[d + 1] = m
    return m


@njit(cache=True, nogil=True)
def replace(data, offsets, start, stop, kind, first, words, word_first, out, out_offsets):  # type: ignore[no-untyped-def]
    """Copy the texts into `out` with every span replaced by words[word_first[kind]:word_first[kind + 1]]."""
    o = 0
    for d in range(len(offsets) - 1):
        i = offsets[d]
        for m in range(first[d], first[d + 1]):
            o = _append(data, i, start[m], out, o)
            o = _append(words, word_first[kind[m]], word_first[kind[m] + 1], out, o)
            i = stop[m]
        o = _append(data, i, offsets[d + 1], out, o)
        out_offsets[d + 1] = o


@njit(cache=True, nogil=True)
def _append(data, i, stop, out, o):  # type: ignore[no-untyped-def]
    out[o : o + stop - i] = data[i:stop]
    return o + stop - i


@njit(cache=True, nogil=True, inline="always")
def _two_byte_letter(lead, trail):  # type: ignore[no-untyped-def]
    """U+00C0 to U+04FF without × and ÷: Latin, Greek and Cyrillic letters and their marks.

    Scripts written without spaces are not in it, because there an address has no other boundary than its alphabet.
    """
    return 0xC3 <= lead <= 0xD3 and 0x80 <= trail <= 0xBF and not (lead == 0xC3 and (trail == 0x97 or trail == 0xB7))


@njit(cache=True, nogil=True)
def _word_at(data, i, end):  # type: ignore[no-untyped-def]
    """Bytes of the letter, digit or underscore at `i`, 0 where there is none."""
    if i >= end:
        return 0
    if data[i] < 0x80:
        return int(data[i] == 95 or _CLASS[data[i]] & _ALNUM)
    return 2 if i + 1 < end and _two_byte_letter(data[i], data[i + 1]) else 0


@njit(cache=True, nogil=True)
def _word_before(data, i, low):  # type: ignore[no-untyped-def]
    """Bytes of the letter, digit or underscore that ends at `i`, 0 where there is none."""
    if i <= low:
        return 0
    if data[i - 1] < 0x80:
        return int(data[i - 1] == 95 or _CLASS[data[i - 1]] & _ALNUM)
    return 2 if i - 2 >= low and _two_byte_letter(data[i - 2], data[i - 1]) else 0


@njit(cache=True, nogil=True)
def _email(data, at, low, end):  # type: ignore[no-untyped-def]
    """(start, stop, public) of the address around the `@` at `at`."""
    s = at
    while s > low and at - s < MAX_LOCAL_BYTES:
        if data[s - 1] == 46 and (s == at or data[s] == 46):
            break  # no two dots, and none before the @
        if _CLASS[data[s - 1]] & _LOCAL:
            s -= 1
        elif _word_before(data, s, low):
            s -= 2
        else:
            break
    full = at - s >= MAX_LOCAL_BYTES and s > low
    if full and _word_at(data, s, at) and (_CLASS[data[s - 1]] & _LOCAL or _word_before(data, s, low)):
        return at, 0, False
    while s < at and not _word_at(data, s, at):
        s += 1
    # What follows "::" may be the rest of an IPv6 address.
    if s == at or (s - 2 >= low and data[s - 1] == 58 and data[s - 2] == 58):
        return at, 0, False
    stop, public = _domain(data, at + 1, end)
    return s, stop, public


@njit(cache=True, nogil=True)
def _domain(data, begin, end):  # type: ignore[no-untyped-def]
    """(stop, public) of the longest domain at `begin`: labels, then a top level of at least two letters."""
    stop, public = 0, False
    before_a, before_b = begin, begin
    a = begin
    while True:
        b = a
        letters = a
        while b < end and b - begin <= MAX_DOMAIN_BYTES:
            k = 1 if data[b] == 45 else _word_at(data, b, end)
            if k == 0 or data[b] == 95:
                break
            if letters == b and data[b] != 45 and not _CLASS[data[b]] & _DIGIT:
                letters = b + k
            b += k
        if b - begin > MAX_DOMAIN_BYTES:
            return 0, False
        if b == a or b - a > MAX_LABEL_BYTES or data[a] == 45:
            return stop, public
        if a > begin:
            top = _top(data, a, letters, b)
            if top:
                stop = top
                public = not _reserved(data, before_a, before_b, a, top)
        if b >= end or data[b] != 46 or data[b - 1] == 45:
            return stop, public
        before_a, before_b = a, b
        a = b + 1


@njit(cache=True, nogil=True)
def _top(data, a, letters, b):  # type: ignore[no-untyped-def]
    """End of the top-level name with which the label a:b, letters up to `letters`, begins; 0 where there is none."""
    if b - a > 4 and data[a] | 32 == 120 and data[a + 1] | 32 == 110 and data[a + 2] == 45 and data[a + 3] == 45:
        return b if data[b - 1] != 45 else 0  # xn--…: punycode, RFC 3490
    short = letters - a < 2 or (letters - a == 2 and data[a] >= 0x80)
    if short or (letters < b and data[letters] != 45) or _contains(_NO_TOP, _letter_code(data, a, letters)):
        return 0
    return letters


@njit(cache=True, nogil=True)
def _reserved(data, before_a, before_b, a, b):  # type: ignore[no-untyped-def]
    top = _letter_code(data, a, b)
    if _contains(_RESERVED_TOP, top):
        return True
    return _contains(_RESERVED_UNDER, top) and _letter_code(data, before_a, before_b) == _EXAMPLE


@njit(cache=True, nogil=True)
def _letter_code(data, a, b):  # type: ignore[no-untyped-def]
    """Up to 12 ASCII letters in any case as a number, anything else as -1."""
    if b - a > 12:
        return -1
    code = 0
    for i in range(a, b):
        letter = data[i] | 32
        if letter < 97 or letter > 122:
            return -1
        code = code * 32 + letter - 96
    return code


@njit(cache=True, nogil=True)
def _contains(codes, code):  # type: ignore[no-untyped-def]
    for k in range(len(codes)):  # noqa: SIM110 - numba has no any() over generators
        if codes[k] == code:
            return True
    return False


@njit(cache=True, nogil=True)
def _quad(data, p, end):  # type: ignore[no-untyped-def]
    """(address, stop) of four octets 0-255 without leading zeros at `p`; address -1 where there are none."""
    address = 0
    for k in range(4):
        if k:
            if p >= end or data[p] != 46:
                return -1, p
            p += 1
        octet, digits = 0, 0
        while p < end and digits < 4 and _CLASS[data[p]] & _DIGIT:
            octet = octet * 10 + data[p] - 48
            digits += 1
            p += 1
        if digits == 0 or octet > 255 or (digits > 1 and octet < 10) or (digits > 2 and octet < 100):
            return -1, p
        address = address * 256 + octet
    return address, p


@njit(cache=True, nogil=True)
def _ends_badly(data, i, end):  # type: ignore[no-untyped-def]
    """Whether what follows makes an IP address a part of something longer."""
    if i >= end:
        return False
    return data[i] == 64 or _word_at(data, i, end) > 0 or (data[i] == 46 and _word_at(data, i + 1, end) > 0)


@njit(cache=True, nogil=True)
def _ipv4(data, dot, low, end):  # type: ignore[no-untyped-def]
    """(start, stop, public) of the address whose first dot is at `dot`. Version numbers are none: v1.2.3.4, 1.2.3.4-5."""
    s = dot
    while s > low and dot - s < 4 and _CLASS[data[s - 1]] & _DIGIT:
        s -= 1
    address, stop = _quad(data, s, end)
    if address < 0 or _ends_badly(data, stop, end) or _word_before(data, s, low):
        return s, 0, False
    if s > low:
        if data[s - 1] == 46:
            return s, 0, False
        if data[s - 1] == 45 and _word_before(data, s - 1, low) and not _CLASS[data[s - 2]] & _DIGIT:
            return s, 0, False  # name-1.2.3.4
    if stop < end and data[stop] == 45 and not _range_follows(data, stop + 1, end):
        return s, 0, False
    return s, stop, _public_ipv4(address)


@njit(cache=True, nogil=True)
def _range_follows(data, i, end):  # type: ignore[no-untyped-def]
    """Whether the address before the hyphen starts a range (8.8.4.4-8.8.8.8) rather than a revision (1.2.3.4-5)."""
    k = 0
    while k < 3 and i + k < end and _CLASS[data[i + k]] & _DIGIT:
        k += 1
    return k > 0 and i + k < end and data[i + k] == 46


@njit(cache=True, nogil=True)
def _public_ipv4(address):  # type: ignore[no-untyped-def]
    """Not in IANA's special-purpose registry (RFC 6890), not multicast, not reserved."""
    a, b, c = address >> 24, address >> 16 & 255, address >> 8 & 255
    if a == 0 or a == 10 or a == 127 or a >= 224:
        return False
    if a == 100:
        return not 64 <= b <= 127
    if a == 169:
        return b != 254
    if a == 172:
        return not 16 <= b <= 31
    if a == 192:
        return not (b == 168 or (b == 0 and (c == 0 or c == 2)) or (b == 88 and c == 99))
    if a == 198:
        return not (b == 18 or b == 19 or (b == 51 and c == 100))
    return not (a == 203 and b == 0 and c == 113)


@njit(cache=True, nogil=True)
def _ipv6(data, colon, low, end):  # type: ignore[no-untyped-def]
    """(start, stop, public, where to go on) of the address whose first colon is at `colon`.

    Only global unicast (2000::/3, RFC 4291 §2.4) is read: its four digits set it apart from times, MACs and names.
    """
    s = colon
    while s > low and colon - s < 5 and _CLASS[data[s - 1]] & _HEX:
        s -= 1
    run = colon
    while run < end and (data[run] == 58 or _CLASS[data[run]] & _HEX):
        run += 1
    if s == colon:
        s += 1
    stop = run
    if data[stop - 1] == 58 and data[stop - 2] != 58:
        stop -= 1
    if stop - s > _MAX_IPV6_BYTES + 5 or stop - s < 6 or not _global_unicast(data, s):
        return s, 0, False, run
    if _word_before(data, s, low) or (s > low and data[s - 1] == 46):
        return s, 0, False, run
    groups, compressed, last = _groups(data, s, stop)
    if stop == run and stop < end and data[stop] == 46:
        address, tail = _quad(data, last, end)
        whole = groups + 1 == 8 or (compressed and groups + 1 < 8)
        if address >= 0 and whole and not _ends_badly(data, tail, end):
            return s, tail, _public_ipv6(data, s), tail
    if stop == run and _ends_badly(data, stop, end):
        # The last group belongs to what follows a single colon: 2a00::1:port
        if last == stop or data[last - 2] == 58:
            return s, 0, False, run
        stop = last - 1
        groups -= 1
    if groups == 8 or (compressed and 0 < groups < 8):
        return s, stop, _public_ipv6(data, s), stop
    return s, 0, False, run


@njit(cache=True, nogil=True)
def _global_unicast(data, s):  # type: ignore[no-untyped-def]
    """Whether s:s + 5 is 2xxx: or 3xxx:."""
    for k in range(1, 4):
        if not _CLASS[data[s + k]] & _HEX:
            return False
    return (data[s] == 50 or data[s] == 51) and data[s + 4] == 58


@njit(cache=True, nogil=True)
def _groups(data, s, stop):  # type: ignore[no-untyped-def]
    """(groups, whether there is a `::`, start of the last group); groups is -99 where the form is wrong."""
    groups, digits, colons, compressed, last = 0, 0, 0, False, s
    for i in range(s, stop):
        if data[i] == 58:
            digits = 0
            colons += 1
            if colons == 2:
                if compressed:
                    return -99, compressed, last
                compressed = True
            last = i + 1
            if colons > 2:
                return -99, compressed, last
        else:
            colons = 0
            groups += digits == 0
            digits += 1
            if digits > 4:
                return -99, compressed, last
    return groups, compressed, last


@njit(cache=True, nogil=True)
def _hex_group(data, i):  # type: ignore[no-untyped-def]
    value = 0
    while _CLASS[data[i]] & _HEX:
        c = data[i]
        value = value * 16 + (c - 48 if c < 58 else (c | 32) - 87)
        i += 1
    return value


@njit(cache=True, nogil=True)
def _public_ipv6(data, s):  # type: ignore[no-untyped-def]
    """Within 2000::/3, not for protocols (2001::/23) or documentation (2001:db8::/32, 3fff::/20)."""
    head = _hex_group(data, s)
    if head != 0x2001 and head != 0x3FFF:
        return True
    second = 0 if data[s + 5] == 58 else _hex_group(data, s + 5)
    return second >= 0x1000 if head == 0x3FFF else second >= 0x200 and second != 0xDB8
