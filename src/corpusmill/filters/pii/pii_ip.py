"""IPv4 and IPv6 addresses in text, and which of them are public."""

from __future__ import annotations

from numba import njit

from corpusmill.filters.pii.pii_bytes import CLASS, DIGIT, HEX, LOCAL, word_at, word_before

_WINDOW_BYTES = 60  # more than nine groups and their colons


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
        while p < end and digits < 4 and CLASS[data[p]] & DIGIT:
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
    return data[i] == 64 or word_at(data, i, end) > 0 or (data[i] == 46 and word_at(data, i + 1, end) > 0)


@njit(cache=True, nogil=True)
def ipv4(data, dot, low, end):  # type: ignore[no-untyped-def]
    """(start, stop, public) of the address whose first dot is at `dot`.

    Version numbers are none: v1.2.3.4, name-1.2.3.4, 1.2.3.4-5.
    """
    if not (dot > low and dot + 1 < end and CLASS[data[dot - 1]] & CLASS[data[dot + 1]] & DIGIT):
        return dot, 0, False
    s = dot
    while s > low and dot - s < 4 and CLASS[data[s - 1]] & DIGIT:
        s -= 1
    address, stop = _quad(data, s, end)
    if address < 0 or _ends_badly(data, stop, end) or word_before(data, s, low):
        return s, 0, False
    if s > low:
        if data[s - 1] == 46:
            return s, 0, False
        if data[s - 1] == 45 and word_before(data, s - 1, low) and not CLASS[data[s - 2]] & DIGIT:
            return s, 0, False  # name-1.2.3.4
    if stop < end and data[stop] == 45 and not _range_follows(data, stop + 1, end):
        return s, 0, False
    if _numbers_heading(data, s, stop, address, low, end):
        return s, 0, False
    return s, stop, _public_ipv4(address)


@njit(cache=True, nogil=True)
def _range_follows(data, i, end):  # type: ignore[no-untyped-def]
    """Whether the address before the hyphen starts a range (8.8.4.4-8.8.8.8) rather than a revision (1.2.3.4-5)."""
    address, stop = _quad(data, i, end)
    if stop < end and data[stop] == 46:
        stop += 1
    if stop < end and (CLASS[data[stop]] & LOCAL or data[stop] == 64 or word_at(data, stop, end)):
        return False  # it may be the name of an e-mail address
    return address >= 0


@njit(cache=True, nogil=True)
def _numbers_heading(data, s, stop, address, low, end):  # type: ignore[no-untyped-def]
    """Whether s:stop, small numbers at the start of a line with a dot and a space behind, numbers a heading.

    Three quarters of the hits in technical manuals were of the form "3.2.15.5. Return Value".
    """
    if address & 0xC0C0C0C0 or stop + 1 >= end or data[stop] != 46:
        return False
    if data[stop + 1] != 32 and data[stop + 1] != 0xC2:  # space, no-break space
        return False
    while s > low and (data[s - 1] == 32 or data[s - 1] == 9):
        s -= 1
    return s > low and data[s - 1] == 10


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
def ipv6(data, colon, low, end):  # type: ignore[no-untyped-def]
    """(start, stop, public, where to go on) of the address whose first colon is at `colon`.

    Only global unicast (2000::/3, RFC 4291 §2.4) is read: its four digits set it apart from times, MACs and names.
    Of a longer row of groups the address is the longest complete beginning that a single colon parts from the rest.
    """
    if colon + 1 >= end or not (data[colon + 1] == 58 or CLASS[data[colon + 1]] & HEX):
        return colon, 0, False, colon + 1
    s = colon
    while s > low and colon - s < 5 and CLASS[data[s - 1]] & HEX:
        s -= 1
    if s == colon:
        s += 1
    if not _global_unicast(data, s, end) or word_before(data, s, low) or (s > low and data[s - 1] == 46):
        return s, 0, False, _run_end(data, colon, end)
    # Nine groups decide; looking no further keeps long rows linear.
    run = _run_end(data, colon, min(end, s + _WINDOW_BYTES))
    groups, compressed, last, stop, cut = _groups(data, s, run)
    if not cut and stop == run:
        address, tail = -1, stop
        if stop < end and data[stop] == 46:
            address, tail = _quad(data, last, end)
        if address >= 0 and _complete(groups + 1, compressed) and not _ends_badly(data, tail, end):
            return s, tail, _public_ipv6(data, s), tail
        if address >= 0 and data[last - 2] == 58:
            return s, 0, False, tail  # no IPv4 address starts behind the :: of what is not an IPv6 address
        cut = _ends_badly(data, stop, end)
    if cut:
        stop, groups, last = _drop_group(data, stop, groups, last)
    while groups > 0 and not _complete(groups, compressed):
        stop, groups, last = _drop_group(data, stop, groups, last)
    if _complete(groups, compressed):
        return s, stop, _public_ipv6(data, s), stop
    return s, 0, False, _run_end(data, run, end)


@njit(cache=True, nogil=True)
def _run_end(data, i, end):  # type: ignore[no-untyped-def]
    """End of the digits and colons at `i`."""
    while i < end and (data[i] == 58 or CLASS[data[i]] & HEX):
        i += 1
    return i


@njit(cache=True, nogil=True)
def _drop_group(data, stop, groups, last):  # type: ignore[no-untyped-def]
    """(stop, groups, last) without the last group; groups is -99 where it does not stand behind a single colon."""
    if last == stop or data[last - 2] == 58:
        return stop, -99, last
    stop = last - 1
    last = stop
    while data[last - 1] != 58:
        last -= 1
    return stop, groups - 1, last


@njit(cache=True, nogil=True)
def _complete(groups, compressed):  # type: ignore[no-untyped-def]
    return 0 < groups < 8 if compressed else groups == 8


@njit(cache=True, nogil=True)
def _global_unicast(data, s, end):  # type: ignore[no-untyped-def]
    """Whether s:s + 5 is 2xxx: or 3xxx:, and something follows."""
    if s + 6 > end:
        return False
    for k in range(1, 4):
        if not CLASS[data[s + k]] & HEX:
            return False
    return (data[s] == 50 or data[s] == 51) and data[s + 4] == 58


@njit(cache=True, nogil=True)
def _groups(data, s, run):  # type: ignore[no-untyped-def]
    """(groups, whether there is a `::`, start of the last group, stop, cut) of the groups in s:run.

    They are read up to a ninth group, a group of five digits or a second `::`; then `cut` is true. A single colon at
    the end is not read. groups is -99 where there are three colons.
    """
    groups, colons, compressed, last, before = 0, 0, False, s, s
    for i in range(s, run):
        if data[i] == 58:
            colons += 1
            if colons == 2:
                if compressed:
                    return groups, compressed, before, i - 1, True
                compressed = True
            elif colons == 1:
                before = last
            else:
                return -99, compressed, last, i, True
            last = i + 1
        else:
            colons = 0
            groups += i == last
            if groups == 9 or i - last == 4:
                return groups, compressed, last, i + 1, True
    if colons == 1:
        return groups, compressed, before, run - 1, False
    return groups, compressed, last, run, False


@njit(cache=True, nogil=True)
def _hex_group(data, i):  # type: ignore[no-untyped-def]
    value = 0
    while CLASS[data[i]] & HEX:
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
