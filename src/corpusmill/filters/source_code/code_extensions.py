"""Limits for each extension, and which language it belongs to: the table that people of BigCode made by looking.

Source: `visual_inspection.csv` in bigcode-project/bigcode-dataset, `preprocessing/`, read as `get_filter_params` in
its `filtering.py` does: what is no number is no limit, and an extension that is not marked is excluded. Left out are
five rows of one file each (`1`, `3` and `mustache` under Dockerfile, `cmake` and `txt` under Makefile).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from corpusmill.errors import ConfigError

_LANGUAGES = {
    "ada": "ada adb ads",
    "agda": "agda",
    "alloy": "als",
    "antlr": "g4",
    "applescript": "applescript scpt",
    "assembly": "a51 asm nasm",
    "augeas": "aug",
    "awk": "auk awk gawk mawk nawk",
    "batchfile": "bat cmd",
    "bison": "bison",
    "bluespec": "bsv",
    "c": "c cats h w",
    "c-sharp": "cake cs cshtml csx",
    "c++": "c++ cc cp cpp cxx h++ hh hpp hxx inl ipp tcc tpp",
    "clojure": "boot cl2 clj cljc cljs cljx",
    "cmake": "cmake",
    "coffeescript": "_coffee cjsx coffee cson iced",
    "common-lisp": "asd lisp lsp ny sexp",
    "css": "css",
    "cuda": "cu cuh",
    "dart": "dart",
    "dockerfile": "dockerfile",
    "elixir": "ex exs",
    "elm": "elm",
    "emacs-lisp": "el emacs",
    "erlang": "erl escript hrl xrl yrl",
    "f-sharp": "fs fsi fsx",
    "fortran": "f f03 f08 f77 f90 f95 for fpp",
    "glsl": "fp frag frg fsh fshader geo geom glsl glslv shader vert vrx vsh vshader",
    "go": "go",
    "groovy": "groovy grt gtpl gvy",
    "haskell": "hs hsc",
    "html": "htm html xht xhtml",
    "idris": "idr lidr",
    "isabelle": "thy",
    "java": "java",
    "java-server-pages": "jsp",
    "javascript": "es6 js jsm pac sjs xsjslib",
    "json": "json",
    "julia": "jl",
    "kotlin": "kt kts",
    "lean": "hlean lean",
    "literate-agda": "lagda",
    "literate-coffeescript": "litcoffee",
    "literate-haskell": "lhs",
    "lua": "lua nse wlua",
    "makefile": "mak makefile mk",
    "maple": "mpl",
    "markdown": "markdown md mkd mkdn ron",
    "mathematica": "cdf ma mathematica mt nb nbp wl wlt",
    "matlab": "matlab",
    "ocaml": "eliom eliomi ml ml4 mli mll mly",
    "pascal": "dfm dpr lpr pas",
    "perl": "al perl ph pl plx pm psgi t",
    "php": "ctp php phpt",
    "powershell": "ps1 psd1 psm1",
    "prolog": "prolog yap",
    "protocol-buffer": "proto",
    "python": "bzl gyp py pyde pyw",
    "r": "r rd rsx",
    "racket": "rkt rktd rktl scrbl",
    "restructuredtext": "rest rst",
    "rmarkdown": "rmd",
    "ruby": "builder gemspec jbuilder podspec rabl rake rb rbw ru ruby thor",
    "rust": "rs",
    "sas": "sas",
    "scala": "sbt scala",
    "scheme": "scm sld sps",
    "shell": "bash bats command ksh sh tmux tool zsh",
    "smalltalk": "st",
    "solidity": "sol",
    "sparql": "rq sparql",
    "sql": "cql db2 ddl pck pkb pks plb pls plsql prc sql tab udf",
    "stan": "stan",
    "standard-ml": "fun sig sml",
    "stata": "ado do doh ihlp mata matah sthlp",
    "systemverilog": "sv svh vh",
    "tcl": "adp tcl tm",
    "tcsh": "csh tcsh",
    "tex": "aux bbx bib cbx dtx ins lbx ltx mkii mkiv mkvi sty tex toc",
    "thrift": "thrift",
    "typescript": "ts tsx",
    "verilog": "veo",
    "vhdl": "vhd vhdl vhf vhi vho vht vhw",
    "visual-basic": "bas frm frx vb vba vbhtml vbs",
    "xslt": "xsl xslt",
    "yacc": "y yacc yy",
    "yaml": "yaml yml",
    "zig": "zig",
}
_EXCLUDED = str.split(
    "bison cats w csx cl2 sexp xrl f77 frg geo vrx grt cdf nbp wlt dpr al ph plx rkt rktd rktl rest pck pls tab sig "
    "ihlp sthlp aux ltx toc vhf vht frx yy"
)
_ANY_LINES = str.split(
    "asm bsv cmake markdown md mkd mkdn ron ma nb matlab r rst rmd sql ado do bbx bib cbx dtx ins lbx mkii mkiv mkvi "
    "sty tex frm json"
)
_ANY_ALPHANUMERIC = ("ma", "nb", "sas", "frm")
_ALPHABETIC = {
    **dict.fromkeys(str.split("ads aug fp mpl ma nb wl matlab scm sld sps prc sv vhd bas y"), 0.25),
    **dict.fromkeys(("json", "yaml", "yml"), 0.5),
}
MEAN_LINE_CHARS = 100.0
"""The limit on the mean of every extension that has one on the longest line."""


@dataclass(frozen=True)
class Limits:
    """What files of an extension have to be like; None is no limit.

    language    lower case, with hyphens
    include     whether to keep any
    max_line_chars, min_alphanumeric_fraction, min_alphabetic_fraction
    """

    language: str
    include: bool = True
    max_line_chars: int | None = 1000
    min_alphanumeric_fraction: float | None = 0.25
    min_alphabetic_fraction: float | None = None

    @property
    def max_mean_line_chars(self) -> float | None:
        """None where the longest line has no limit."""
        return MEAN_LINE_CHARS if self.max_line_chars else None


@cache
def published_limits() -> Mapping[str, Limits]:
    """Extension, lower case and without its dot → limits."""
    return {
        extension: Limits(
            language,
            extension not in _EXCLUDED,
            500 if extension == "fsh" else None if extension in _ANY_LINES else 1000,
            None if extension in _ANY_ALPHANUMERIC else 0.25,
            _ALPHABETIC.get(extension),
        )
        for language, names in _LANGUAGES.items()
        for extension in names.split()
    }


def languages() -> frozenset[str]:
    """The languages that the published table knows."""
    return frozenset(_LANGUAGES)


@cache
def read_limits(path: str) -> Mapping[str, Limits]:
    """A table in the columns of the published one: of an extension that stands there twice the first counts.

    Columns: `extension`, `language`, `Include` (1), `Long_line_threshold`, `Alphanum_threshold`, `Alpha filter`.
    Raises ConfigError when the file can't be read or lacks a column.
    """
    wanted = ("extension", "language", "Include", "Long_line_threshold", "Alphanum_threshold", "Alpha filter")
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, restval=""))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"limits = {path!r}: can't be read as CSV: {error}") from None
    missing = [name for name in wanted if not rows or name not in rows[0]]
    if missing:
        raise ConfigError(f"limits = {path!r}: no column {', '.join(missing)}; wanted {', '.join(wanted)}")
    found: dict[str, Limits] = {}
    for row in rows:
        extension, language, include, longest, alphanumeric, alphabetic = (row[name] for name in wanted)
        line_chars = _number(longest)
        limits = Limits(
            language,
            include == "1",
            None if line_chars is None or line_chars % 1 else int(line_chars),
            _number(alphanumeric),
            _number(alphabetic),
        )
        found.setdefault((extension or language).lower(), limits)
    return found


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None
