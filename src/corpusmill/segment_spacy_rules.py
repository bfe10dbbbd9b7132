"""What spaCy's English tokenizer splits and keeps, as tables for the kernels of `segment_spacy.py`.

The facts are those of spaCy 3.8 (`lang/en`, `lang/punctuation.py`, `lang/tokenizer_exceptions.py`): which characters
are letters to it, which marks come off a word, which strings are tokens of their own, which words fall into several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
import numpy.typing as npt

from corpusmill.unicode import matched

ALPHA = np.uint16(1)
"""A letter in one of the scripts spaCy lists, all of that script's blocks where it has no case."""
LOWER = np.uint16(2)
UPPER = np.uint16(4)
"""Lower or upper case; letters without case are both."""
ICON = np.uint16(8)
"""A symbol (So) of Unicode 11: comes off anywhere."""
PREFIX = np.uint16(16)
SUFFIX = np.uint16(32)
"""Comes off the front, off the end, as a single character and whatever is beside it."""
QUOTE = np.uint16(64)
DOT_BEHIND = np.uint16(128)
"""A full stop at the end comes off behind it."""
CURRENCY = np.uint16(256)
WORD = np.uint16(512)
"""What `\\w` of Python's `re` matches."""

_UNCASED = (
    *((0x591, 0x5F4), (0x620, 0x64A), (0x66E, 0x6D5), (0x6E5, 0x6FF), (0x750, 0x77F), (0x8A0, 0x8BD), (0x900, 0x9FF)),
    *((0xB80, 0xCFF), (0xD80, 0xDFF), (0x1100, 0x137F), (0x2E80, 0x2FDF), (0x2FF0, 0x30FF), (0x31C0, 0x31EF)),
    *((0x3200, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0xFB1D, 0xFBB1), (0xFBD3, 0xFD3D)),
    *((0xFD50, 0xFDC7), (0xFDF0, 0xFDFB), (0xFE30, 0xFE4F), (0xFE70, 0xFEFC), (0x1EE00, 0x1EEBB), (0x1F200, 0x1F2FF)),
    *((0x20000, 0x2A6DF), (0x2A700, 0x2EBEF), (0x2F800, 0x2FA1F)),
)
_CASED = (
    *((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x1BF), (0x1C4, 0x2AF), (0x386, 0x386)),
    *((0x388, 0x38A), (0x38C, 0x38C), (0x38E, 0x38F), (0x391, 0x3A9), (0x3AC, 0x3AF), (0x3B1, 0x3C9), (0x3CC, 0x3CE)),
    *((0x400, 0x401), (0x403, 0x40A), (0x40C, 0x40D), (0x410, 0x451), (0x453, 0x45A), (0x45C, 0x45D), (0x490, 0x491)),
    *((0x496, 0x497), (0x4A2, 0x4A3), (0x4AE, 0x4AF), (0x4BA, 0x4BB), (0x4D8, 0x4D9), (0x4E8, 0x4E9)),
    *((0x1D00, 0x1D25), (0x1D6B, 0x1D77), (0x1D79, 0x1D9A), (0x1E00, 0x1EFF), (0x2C60, 0x2C7B), (0x2C7E, 0x2C7F)),
    *((0xA722, 0xA76F), (0xA771, 0xA787), (0xA78B, 0xA78E), (0xA790, 0xA7B9), (0xA7FA, 0xA7FA), (0xAB30, 0xAB5A)),
    *((0xAB60, 0xAB64), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A)),
)
_LATER_SYMBOLS = (
    *((0x166D, 0x166D), (0x2427, 0x2429), (0x2B96, 0x2B97), (0x2BC9, 0x2BC9), (0x2BFF, 0x2BFF), (0x2E50, 0x2E51)),
    *((0x2FFC, 0x2FFF), (0x31E4, 0x31EF), (0x32FF, 0x32FF), (0xFBC3, 0xFBD2), (0xFD40, 0xFD4F), (0xFD90, 0xFDCF)),
    *((0xFDFE, 0xFDFF), (0x1019C, 0x1019C), (0x10ED0, 0x10EDF), (0x11FD5, 0x11FF1), (0x1CC00, 0x1CFFF)),
    *((0x1D1E9, 0x1D1FF), (0x1D250, 0x1D2FF), (0x1E14F, 0x1E14F), (0x1ED2E, 0x1ED2E), (0x1F10D, 0x1F10F)),
    *((0x1F16C, 0x1F16F), (0x1F1AD, 0x1F1AE), (0x1F6D5, 0x1F6DF), (0x1F6FA, 0x1F6FF), (0x1F774, 0x1F77F)),
    *((0x1F7D9, 0x1F7FF), (0x1F8B0, 0x1F8FF), (0x1F90C, 0x1F90F), (0x1F93F, 0x1F93F), (0x1F971, 0x1F972)),
    *((0x1F977, 0x1F979), (0x1F97B, 0x1F97B), (0x1F9A3, 0x1F9AF), (0x1F9BA, 0x1F9BF), (0x1F9C3, 0x1F9CF)),
    *((0x1FA00, 0x1FA5F), (0x1FA6E, 0x1FBFF)),
)
"""Symbols that Unicode has got, or has called so, since version 11."""

_MARKS = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
_QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉〈〉⟦⟧"
_CURRENCIES = "$£€¥฿₽﷼₴" + "".join(map(chr, range(0x20A0, 0x20C0)))

UNITS = (
    *("km", "km²", "km³", "m", "m²", "m³", "dm", "dm²", "dm³", "cm", "cm²", "cm³", "mm", "mm²", "mm³"),
    *("ha", "µm", "nm"),
    *("yd", "in", "ft", "kg", "g", "mg", "µg", "t", "lb", "oz", "m/s", "km/h", "kmh", "mph", "hPa", "Pa", "mbar", "mb"),
    *("MB", "kb", "KB", "gb", "GB", "tb", "TB", "T", "G", "M", "K", "%", "км", "км²", "км³", "м", "м²", "м³", "дм"),
    *("дм²", "дм³", "см", "см²", "см³", "мм", "мм²", "мм³", "нм", "кг", "г", "мг", "м/с", "км/ч", "кПа", "Па", "мбар"),
    *("Кб", "КБ", "кб", "Мб", "МБ", "мб", "Гб", "ГБ", "гб", "Тб", "ТБ", "тбكم", "كم", "كم²", "كم³", "م", "م²", "م³"),
    *("سم", "سم²", "سم³", "مم", "مم²", "مم³", "غرام", "جرام", "جم", "كغ", "ملغ", "كوب", "اكواب"),
)
"""Come off the end behind a digit. `тбكم` is spaCy's own slip for two of them."""

_SUBJECTS = {
    "i": ("m", "m a", "ll", "ll ve", "d", "d ve", "ve"),
    "you we they": ("ll", "ll ve", "d", "d ve", "ve", "re"),
    "he she it": ("ll", "ll ve", "d", "d ve", "s"),
    "who what when where why how there": ("ll", "ll ve", "d", "d ve", "ve", "re", "s"),
    "that this": ("ll", "ll ve", "d", "d ve", "s"),
    "these those": ("ll", "ll ve", "d", "d ve", "ve", "re"),
    "not": ("ve",),
}
_NEGATED = "ca could do does did had may might must need ought sha should wo would"
_ONLY_NEGATED = "ai are is was were have has dare"
_WITH_HAVE = "could might must should would"
_NOT_SPLIT = "ill its hell shell shed were well whore"
_PIECES = (
    *("y' all", "y all", "can not", "gon na", "got ta", "let 's", "c'm on", "how 'd 'y"),
    *("Can not", "Gon na", "Got ta", "Let 's", "C'm on", "How 'd 'y"),
)
_WHOLE = r"""
    em 'em ll 'll nuff 'nuff 'S 's ‘S ‘s and/or w/o 're 'Cause 'cause 'cos 'Cos 'coz 'Coz 'cuz 'Cuz 'bout ma'am Ma'am
    o'clock O'clock 'd a.m. p.m. e.g. E.g. E.G. i.e. I.e. I.E. D.C. Ph.D. vs. v.s. co. Adm. Bros. Co. Corp. Dr. Gen.
    Gov. Inc. Jr. Ltd. Md. Messrs. Mo. Mont. Mr. Mrs. Ms. Mt. Prof. Rep. Rev. Sen. St. Ak. Ala. Apr. Ariz. Ark. Aug.
    Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. Jun. Kan. Kans. Ky. La. Mar. Mass. Mich.
    Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. S.C. Sep. Sept. Tenn. Va. Wash.
    Wis. ' '' \") <space> C++ \t \n — a. b. c. d. e. f. g. h. i. j. k. l. m. n. o. p. q. r. s. t. u. v. w. x. y. z. ä.
    ö. ü. :) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: [= =] :o) (o: :} :-} 8) 8-) (-8 ;) ;-) (; (-; :( :-(
    :(( :-(( :((( :-((( ): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| ]= =[ :1 :P :-P :p :-p :O :-O :o :-o :0 :-0
    :() >:o :* :-* :3 :-3 =3 :> :-> :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD 8D 8-D ^_^ ^__^ ^___^ >.< >.> <.< ._.
    ;_; -_- -__- v.v V.V v_v V_V o_o o_O O_o O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33 <333 </3 (^_^)
    (-_-) (._.) (>_<) (*_*) (¬_¬) ಠ_ಠ ಠ︵ಠ (ಠ_ಠ) ¯\(ツ)/¯ (╯°□°）╯︵┻━┻ ><(((*>
"""
_DROPPED_G = "doin goin nothin nuthin ol somethin lovin havin"


def _both_cases(words: str) -> Iterator[str]:
    for word in words.split():
        yield from (word, word.title())


def _with_endings(stems: str, endings: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Each stem with each ending, written with its apostrophes and without."""
    for stem in _both_cases(stems):
        for ending in endings:
            pieces = ending.split()
            yield stem, *pieces
            yield stem, *(piece if piece == "a" else "n't" if piece == "nt" else "'" + piece for piece in pieces)


def _all_pieces() -> Iterator[tuple[str, ...]]:
    for stems, endings in _SUBJECTS.items():
        yield from _with_endings(stems, endings)
    yield from _with_endings(_NEGATED, ("nt", "nt ve"))
    yield from _with_endings(_ONLY_NEGATED, ("nt",))
    yield from _with_endings(_WITH_HAVE, ("ve",))
    for hour in range(1, 13):
        for half in ("am", "a.m.", "pm", "p.m."):
            yield str(hour), half
    for pieces in _PIECES:
        yield tuple(pieces.split())
    for word in (*_WHOLE.split(), *_both_cases(_DROPPED_G), *(word + "'" for word in _both_cases(_DROPPED_G))):
        yield (word,)
    for letter in "cfkCFK":
        yield "°", letter, "."


@cache
def special_cases() -> dict[str, tuple[str, ...]]:
    """The tokens of each string that has tokens of its own; `’` may stand for `'` throughout."""
    cases = {"".join(pieces): pieces for pieces in _all_pieces()}
    for word in _both_cases(_NOT_SPLIT):
        cases.pop(word, None)
    return cases | {
        text.replace("'", "’"): tuple(piece.replace("'", "’") for piece in pieces)
        for text, pieces in cases.items()
        if "'" in text
    }


def _mark_ranges(classes: npt.NDArray[np.uint16], ranges: Iterable[tuple[int, int]], flag: np.uint16) -> None:
    for low, high in ranges:
        classes[low : high + 1] |= flag


@cache
def spacy_classes() -> npt.NDArray[np.uint16]:
    """uint16[0x110000]: the flags above for each code point."""
    classes = np.zeros(0x110000, dtype=np.uint16)
    patterns = (
        (LOWER, r"[\p{Ll}\u0294\u0295]"),
        (UPPER, r"[\p{Lu}\u03a2]"),
        (ICON, r"\p{So}"),
        (WORD, r"[\p{L}\p{N}_]"),
    )
    for flag, pattern in patterns:
        classes[matched(pattern)] |= flag
    _mark_ranges(classes, _CASED, ALPHA)
    classes[classes & ALPHA == 0] &= ~(LOWER | UPPER)
    _mark_ranges(classes, _UNCASED, ALPHA | LOWER | UPPER)
    for low, high in _LATER_SYMBOLS:
        classes[low : high + 1] &= ~ICON
    groups = (
        (PREFIX, "§%=—–" + _MARKS + _QUOTES + _CURRENCIES),
        (SUFFIX, "—–" + _MARKS + _QUOTES),
        (QUOTE, _QUOTES),
        (CURRENCY, _CURRENCIES),
        (DOT_BEHIND, "0123456789%²-+|" + _MARKS + _QUOTES),
    )
    for flag, chars in groups:
        classes[[ord(char) for char in chars]] |= flag
    classes[classes & ICON != 0] |= PREFIX | SUFFIX
    classes[classes & LOWER != 0] |= DOT_BEHIND
    classes.setflags(write=False)
    return classes
