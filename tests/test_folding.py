"""Lower case of characters and of sigmas against Python's own, and UTF-8 as kernels write it."""

from __future__ import annotations

import unicodedata

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from corpusmill.folding import (
    DOT_ABOVE,
    DOTTED_I,
    FINAL_SIGMA,
    SIGMA,
    case_classes,
    is_final_sigma,
    lower,
    lower_case,
    lower_codes,
    uppercase,
)
from corpusmill.scan import copy_bytes
from corpusmill.unicode import encode, put

# The running Python may know fewer characters than the tables do.
KNOWN = [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]


def test_lower_case_is_pythons() -> None:
    table = lower_case()
    assert chr(table[DOTTED_I]) + chr(DOT_ABOVE) == "İ".lower()
    assert [c for c in KNOWN if c != DOTTED_I and chr(table[c]) != chr(c).lower()] == []
    assert (table[0xD800:0xE000] == np.arange(0xD800, 0xE000)).all()


def test_both_small_sigmas_are_one_letter() -> None:
    assert lower_codes()[SIGMA] == lower_codes()[FINAL_SIGMA] == lower_case()[SIGMA] == ord("σ")
    assert np.flatnonzero(lower_codes() != lower_case()).tolist() == [FINAL_SIGMA]
    assert lower("ΛΟΓΟΣ") == lower("λογος") == lower("λογοσ") == "λογοσ"


def test_upper_case_is_pythons() -> None:
    assert [c for c in KNOWN if uppercase()[c] != chr(c).isupper()] == []


@given(st.text(st.sampled_from("ΣσaAʰ'.:\u0301\u00ad\u200d 1\nİDž漢𐐀"), max_size=12))
@example("ΑΣ'Σ'")
def test_final_sigmas_are_pythons(text: str) -> None:
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    at = [n for n, char in enumerate(text) if char == "Σ"]
    begins = [len(text[:n].encode()) for n in at]
    found = [is_final_sigma(data, 0, i, i + 2, len(data), case_classes()) for i in begins]
    final = [len(text[:n].lower()) for n in at]
    assert found == [text.lower()[n] == "ς" for n in final]


def test_utf8_of_every_code_point() -> None:
    out = np.zeros(8, dtype=np.uint8)
    for code in [*range(0x900), *range(0x900, 0x110000, 101), 0xFFFF, 0x10000, 0x10FFFF]:
        if not 0xD800 <= code < 0xE000:
            packed, n = encode(code)
            assert packed.to_bytes(n, "little") == chr(code).encode()
            assert out[3 : put(out, 3, code)].tobytes() == chr(code).encode()


@given(st.binary(max_size=99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 9))
def test_copied_bytes(text: bytes, i: int, stop: int, w: int) -> None:
    data = np.frombuffer(text, dtype=np.uint8)
    i, stop = min(i, len(text)), min(stop, len(text))
    out = np.zeros(120, dtype=np.uint8)
    end = copy_bytes(data, i, stop, out, w)
    assert end == w + len(text[i:stop])
    assert out.tobytes() == (bytes(w) + text[i:stop]).ljust(120, b"\0")
