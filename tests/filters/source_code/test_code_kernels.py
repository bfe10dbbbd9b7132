"""The kernels for source code against plain Python: `str`, `tokenize` and `ast`, Pygments, and regular expressions."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import unicodedata
import warnings

import numpy as np
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpusmill.filters.source_code.code_header import strip_headers
from corpusmill.filters.source_code.code_html import visible_chars
from corpusmill.filters.source_code.code_lines import count_lines
from corpusmill.filters.source_code.code_phrases import first_phrases, phrase_machine
from corpusmill.filters.source_code.code_python import python_text
from corpusmill.filters.source_code.code_slashes import JAVA, JAVASCRIPT, comment_chars
from corpusmill.text import Texts
from corpusmill.unicode import LETTER, NUMERIC, char_classes


def texts_of(*pieces: str) -> st.SearchStrategy[list[str]]:
    text = st.lists(st.one_of(st.sampled_from(pieces), st.characters(exclude_categories=["Cs"])), max_size=24)
    return st.lists(text.map("".join), max_size=3)


def assigned() -> list[str]:
    return [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in ("Cn", "Cs")]


def test_letters_and_numbers_are_those_of_str() -> None:
    classes = char_classes()
    for c in assigned():
        assert bool(classes[ord(c)] & LETTER) == c.isalpha(), ascii(c)
        assert bool(classes[ord(c)] & (LETTER | NUMERIC)) == c.isalnum(), ascii(c)


ENDS = ("\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\x1f", "\x00")


@settings(max_examples=100)
@given(strings=texts_of(*ENDS, "a", "9b", "½", "漢字", "é", "?", ",", "\u0301", "\U0001d7d8", "् "))
@example(strings=["", "\n", "a\n", "\r\n\r", "a\x85\n"])
def test_lines_are_those_of_str(strings: list[str]) -> None:
    texts = Texts.from_strings(strings)
    found, nemo, heads = count_lines(texts), count_lines(texts, "nemo"), count_lines(texts, head=2)
    for d, text in enumerate(strings):
        lines = text.splitlines()
        assert (found.lines[d], found.line_chars[d]) == (len(lines), sum(map(len, lines)))
        longest = texts.data[found.longest_start[d] : found.longest_stop[d]].tobytes().decode()
        assert longest == max(lines, key=len, default="")
        assert found.longest_chars[d] == len(longest)
        assert (found.alphanumeric[d], found.alphabetic[d]) == (
            sum(map(str.isalnum, text)),
            sum(map(str.isalpha, text)),
        )
        head = texts.data[texts.offsets[d] : heads.head_stop[d]].tobytes().decode()
        assert head == "".join(text.splitlines(keepends=True)[:1] + lines[1:2] if len(lines) > 1 else [text])
        assert (nemo.lines[d], nemo.longest_chars[d]) == (text.count("\n") + 1, max(map(len, text.split("\n"))))
        assert nemo.alphanumeric[d] == len(re.findall("[a-zA-Z0-9\n?!,.]", text))
        assert nemo.alphabetic[d] == len(regex.findall("[[:alpha:]]", text))
        assert found.chars[d] == nemo.chars[d] == len(text)


KINDS = {ast.ClassDef: "Class", ast.FunctionDef: "Function/Method", ast.Module: "Module"}


def python_oracle(source: str) -> tuple[int, int] | None:
    """What `bigcode` and `nemo` have to be; None where this is not Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            nodes = [node for node in ast.walk(ast.parse(source)) if type(node) in KINDS]
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, ValueError, tokenize.TokenError):
        return None
    named = sorted((KINDS[type(node)], getattr(node, "name", ""), ast.get_docstring(node) or "") for node in nodes)  # type: ignore[index,arg-type]
    documented = "\n".join(text for _, _, text in named if text)
    comments = "".join(token.string for token in tokens if token.type == tokenize.COMMENT)
    both = f"{documented}\n{comments.replace('#', '')}".strip()
    return len(both), len(documented) + len(comments)


def python_counts(source: str) -> tuple[int, int]:
    found = python_text(Texts.from_strings([source]), np.ones(1, dtype=np.bool_))
    return int(found.bigcode[0]), int(found.nemo[0])


STATEMENTS = st.sampled_from(
    [
        "x = 1",
        "'text'",
        '"a" "b"',
        "r'\\n raw'",
        "b'bytes'",
        "f'{x}'",
        "u'uni'",
        "'''one\n   two\n\n      three\n  '''",
        '"""\n\tdeep\n"""',
        '"""   """',
        "'\\t\\n\\x41\\u0020\\101\\N{BULLET}\\q\\\n'",
        "('wrapped' 'twice')",
        "(('deep'))",
        "('a', )",
        "'a' % 3",
        "'a'; x = 2",
        "x = [ # in\n 1, '''#\n''', # more\n]",
        "# comment ## é",
        "#",
        "  # indented   ",
        "x = '# no' # yes",
        "x = 'a\\\n# no' # yes",
        "x = 1 + \\\n 2",
        "",
        "\x0c",
        "print (x)",
        "x = 0.05, 1e-05, 1_0, 0xFF, 00, 1j",
        "lambda: 'no'",
        "if x: 'no'",
        "pass # c\t",
    ]
)
HEADS = st.sampled_from(
    [
        "def f():",
        "def g(a: 'x' = {1: (2)}, *b) -> [int]:",
        "class A:",
        "class Bé(object): # c",
        "async def h():",
        "if x:",
    ]
)


@st.composite
def programs(draw: st.DrawFn, depth: int = 0) -> str:
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 4))):
        if depth < 3 and draw(st.booleans()):
            head, body = draw(HEADS), draw(programs(depth + 1))  # type: ignore[call-arg]
            if draw(st.booleans()) and "\n" not in body:
                lines.append(f"{head.split('#')[0]} {body.strip() or 'pass'}")
            else:
                lines += [head, *(" " * 2 + line for line in [*body.split("\n"), "pass"])]
        else:
            lines.append(draw(STATEMENTS))
    return draw(st.sampled_from(["\n", "\n", "\n\n", "\r\n"])).join(lines)


@settings(max_examples=150)
@given(source=programs())  # type: ignore[call-arg]
@example(source="class B:\n '''x'''\nclass A:\n '''\n    y\n  z\n '''\n")
@example(source="def f():\n  ''' '''\ndef g(): '''text\n   '''\n")
def test_comments_and_docstrings_are_those_of_tokenize_and_ast(source: str) -> None:
    wanted = python_oracle(source)
    if wanted is not None:
        assert python_counts(source) == wanted


def test_comments_of_real_modules(modules: list[tuple[str, str]]) -> None:
    for name, source in modules[::8]:
        assert python_counts(source) == python_oracle(source), name


@pytest.mark.parametrize(
    "source",
    [
        "print 'x'",
        "exec 'x'",
        "try: pass\nexcept A, e: pass",
        "raise A, 'x'",
        "x = `y`",
        "1 <> 2",
        "0777",
        "10L",
        "ur'x'",
    ],
)
def test_python_2_has_comments_and_no_docstrings(source: str) -> None:
    source = f"'''doc'''\n# note\n{source}\n"
    assert python_oracle(source) is None
    assert python_counts(source) == (len("note"), 0)


@pytest.mark.parametrize("source", ["x = (", "'''open", "if x:\n    y\n  z", "x = \\\n", "x = ']' )"])
def test_what_tokenize_stops_at_has_no_comments(source: str) -> None:
    assert python_counts(f"# note\n{source}") == (0, 0)


SLASHED = ("//", "/*", "*/", "/", "'", '"', '"""', "\\", "`", "${", "}", "{", "(", ")", "[", "]", "=", "=>", "+", "++")
SLASHED_WORDS = (
    "\n",
    "\r\n",
    "\r",
    " ",
    "a",
    "return",
    "typeof",
    "in",
    "of ",
    "x.y",
    "1",
    "<!--",
    "#",
    ";",
    ",",
    "'a'",
)


@settings(max_examples=150)
@given(strings=texts_of(*SLASHED, *SLASHED_WORDS))
@example(strings=["x = /[/\"]*'/g; // c", "a / b / c // d", "`a${`b // ${1}`} /* c */`"])
@pytest.mark.parametrize("language", ["java", "javascript"])
def test_comments_are_those_of_pygments(language: str, strings: list[str]) -> None:
    pygments = pytest.importorskip("pygments")
    lexer = pytest.importorskip("pygments.lexers").get_lexer_by_name(language)
    kinds = (pygments.token.Comment.Single, pygments.token.Comment.Multiline)
    ascii_only = [re.sub(r"[^\n\r -~é漢]|[mM]odule|record", "", string).strip("\n\r") for string in strings]
    code = JAVA if language == "java" else JAVASCRIPT
    found = comment_chars(Texts.from_strings(ascii_only), np.full(len(strings), code, dtype=np.uint8))
    for text, chars in zip(ascii_only, found, strict=True):
        assert chars == sum(len(value) for kind, value in pygments.lex(text, lexer) if kind in kinds), text


@settings(max_examples=100)
@given(
    strings=texts_of("<", ">", "<p>", "</p>", "<br/>", "<!--", "-->", "<script>", "</script>", "&amp;", " ", "\n", "x")
)
def test_visible_text_is_no_longer_than_the_file(strings: list[str]) -> None:
    found = visible_chars(Texts.from_strings(strings), np.ones(len(strings), dtype=np.bool_))
    assert all(0 <= chars <= len(text) for chars, text in zip(found, strings, strict=True))


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("a <b c='>'>d</b>", 3),
        ("<p>  \n</p><p>\t</p>", 2),
        ("<pre>  \n</pre>", 3),
        ("a<script>b</script>c<STYLE>d</style >e", 3),
        ("a<!-- > b -->c<!doctype d>e<?f?>g", 4),
        ("1 < 2 &lt; 3 &#x26; 4 & 5", 17),
        ("a<template>b<i>c</i></template>d<rt>e</rt>", 2),
        ("<![CDATA[a > b]]>", 5),
        ("é漢<i", 4),
    ],
)
def test_visible_text(html: str, shown: int) -> None:
    assert visible_chars(Texts.from_strings([html]), np.ones(1, dtype=np.bool_))[0] == shown


def header_oracle(text: str) -> str:
    lines = text.split("\n")
    while lines and (not lines[0] or lines[0].lstrip().startswith(("//", "#", "--"))):
        lines.pop(0)
    top, rest = "\n".join(lines[:100]), "".join("\n" + line for line in lines[100:])
    found = re.search(r"/\*.*?\*/", top, re.DOTALL)
    if found and re.search("copyright", found[0], re.IGNORECASE):
        top = top[: found.start()] + top[found.end() :]
    return top + rest


@settings(max_examples=100)
@given(strings=texts_of("/*", "*/", "copyright", "COPYRİGHT", "\n", "//", "#", "--", " ", "\u3000", "x\n" * 99, "/"))
@example(strings=["# a\n\n/* Copyright */x", "// a\n// b", "/*/ copyright */", "x\n" * 100 + "/* copyright */"])
def test_headers_are_those_of_the_original(strings: list[str]) -> None:
    texts = Texts.from_strings(strings)
    found = strip_headers(texts)
    assert found.texts.to_list() == [header_oracle(text) for text in strings]
    at = found.texts.offsets[:-1]
    filled = found.texts.bytes > 0
    assert (texts.data[found.places(at)[filled]] == found.texts.data[at[filled]]).all()


@settings(max_examples=100)
@given(strings=texts_of("ab", "abc", "bcd", "B", "D", "é", "ÉB", " "))
def test_the_first_phrase_is_the_one_that_ends_first(strings: list[str]) -> None:
    phrases = ("abcd", "bc", "éb")
    texts = Texts.from_strings(strings)
    start, stop = first_phrases(texts.data, texts.offsets[:-1], texts.offsets[1:], phrase_machine(phrases))
    for d, text in enumerate(strings):
        raw = bytes(c | 0x20 if 0x41 <= c <= 0x5A else c for c in text.encode())
        ends = [(raw.index(p.encode()) + len(p.encode()), -len(p.encode())) for p in phrases if p.encode() in raw]
        wanted = (-1, -1) if not ends else (sum(min(ends)), min(ends)[0])
        moved = tuple(int(place - texts.offsets[d]) if place >= 0 else -1 for place in (start[d], stop[d]))
        assert moved == wanted
