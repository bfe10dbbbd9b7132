"""The rules for source code of LLaMA's public replication, RedPajama-Data-1T.

Source: `data_prep/github` in togethercomputer/RedPajama-Data, branch rp_v1: `github_clean_dedup_local.py` and
`github_run_filter.py`. LLaMA itself (Touvron et al. 2023, arXiv 2302.13971, section 2.1) says no more than that there
were rules on line lengths and alphanumeric characters, and that headers went by regular expressions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex

from corpusmill.errors import ConfigError
from corpusmill.filters.source_code.code_header import strip_headers
from corpusmill.filters.source_code.code_lines import count_lines, ratio
from corpusmill.filters.source_code.code_names import file_names
from corpusmill.filters.source_code.code_tokens import check_tokenizer, token_counts
from corpusmill.filters.thresholds import check_numbers, rules_of
from corpusmill.rules import Rule
from corpusmill.steps import Filter, Measured, Range, register
from corpusmill.text import Texts

EXTENSIONS = tuple(
    str.split(
        ".asm .bat .cmd .c .h .cs .cpp .hpp .c++ .h++ .cc .hh .C .H .cmake .css .dockerfile .f90 .f .f03 .f08 .f77 "
        ".f95 .for .fpp .go .hs .html .java .js .jl .lua .md .markdown .php .php3 .php4 .php5 .phps .phpt .pl .pm "
        ".pod .perl .ps1 .psd1 .psm1 .py .rb .rs .sql .scala .sh .bash .command .zsh .ts .tsx .tex .vb Dockerfile "
        "Makefile .xml .rst .m .smali"
    )
)
"""What a file's name has to end with."""

_SIGNALS = {
    "name_skipped": pa.bool_(),
    "name_listed": pa.bool_(),
    "header_lines": pa.int64(),
    "copyright_removed": pa.bool_(),
    "chars": pa.int64(),
    "max_line_chars": pa.int64(),
    "mean_line_chars": pa.float64(),
    "alphanumeric_fraction": pa.float64(),
}


@register("github", version=2)
@dataclass(frozen=True)
class GitHub(Filter):
    """Take the header off every file (`code_header.py`), then drop what is no code by its name or its lines.

    The name of a file is said by `path` (the name of a column, such as `record.path`), else by the document's URL or
    locator (`code_names.py`). Its end, in its case, has to be one of `extensions`; files called `*.crt` and `LICENSE`
    are skipped. A document without a name passes both. Which licences to keep is the step `licence`, before this
    one: it reads the header that this step takes off. Duplicates are the step `exact`.

    Signals, of the text that is left but for the first two: `name_skipped`, `name_listed`; `header_lines` and
    `copyright_removed`, what was taken off; `chars`; `max_line_chars` of the lines that `str.splitlines` gives;
    `mean_line_chars`, all characters per line, so with what ends the lines; `alphanumeric_fraction`, of all
    characters, those that `str.isalnum` is true of; with `tokenizer` (path of a `tokenizer.json`) the characters
    that `str.isalpha` is true of per token, special tokens left out. Ratios of nothing are 0. A value exactly at a
    bound is kept.
    """

    path: str | None = None
    skip: bool = True
    extensions: tuple[str, ...] | None = EXTENSIONS
    strip_header: bool = True
    min_chars: int | None = 1
    max_line_chars: int | None = 1000
    max_mean_line_chars: float | None = 100.0
    min_alphanumeric_fraction: float | None = 0.25
    tokenizer: str | None = None
    min_letters_per_token: float | None = 1.5

    def __post_init__(self) -> None:
        """Raise ConfigError for a bound out of range or an empty list."""
        check_numbers(self)
        if self.extensions is not None and not (self.extensions and all(self.extensions)):
            raise ConfigError(f'github: extensions = {self.extensions!r}; wanted ends of names, or "off"')

    def files(self) -> tuple[str, ...]:
        """The tokenizer, where there is one."""
        if self.tokenizer is None:
            return ()
        check_tokenizer(self.use, self.tokenizer, "that of EleutherAI/pythia-6.9b-deduped on Hugging Face")
        return (self.tokenizer,)

    def needs(self) -> tuple[str, ...]:
        """The column of names."""
        return () if self.path is None else (self.path,)

    def signals(self) -> Mapping[str, pa.DataType]:
        """Without tokens where there is no tokenizer."""
        kinds = _SIGNALS if self.tokenizer is None else {**_SIGNALS, "letters_per_token": pa.float64()}
        return {f"{self.use}.{name}": kind for name, kind in kinds.items()}

    def ranges(self) -> Mapping[str, Range]:
        """Means are not negative."""
        means = dict.fromkeys(("github.mean_line_chars", "github.letters_per_token"), (0.0, np.inf))
        return {**super().ranges(), **means}

    def rules(self) -> tuple[Rule, ...]:
        """In the order of the code."""
        skipped = Rule("github.skip", "github.name_skipped", "==", False)
        listed = Rule("github.extensions", "github.name_listed", "==", True)
        return (
            *([skipped] if self.skip else []),
            *rules_of(self, [("min_chars", "chars", ">=")]),
            *([listed] if self.extensions is not None else []),
            *rules_of(
                self,
                [
                    ("max_line_chars", "max_line_chars", "<="),
                    ("max_mean_line_chars", "mean_line_chars", "<="),
                    ("min_alphanumeric_fraction", "alphanumeric_fraction", ">="),
                    *([("min_letters_per_token", "letters_per_token", ">=")] if self.tokenizer is not None else []),  # type: ignore[list-item]
                ],
            ),
        )

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:
        """Strip, then one pass over what is left."""
        names = file_names(batch, self.path)
        stripped = strip_headers(texts) if self.strip_header else None
        left = texts if stripped is None else stripped.texts
        counts = count_lines(left)
        none = np.zeros(len(texts), dtype=np.int64)
        values: dict[str, object] = {
            "name_skipped": pc.match_substring_regex(names, r"\.crt$|(?:^|/)LICENSE$"),
            "name_listed": pc.match_substring_regex(names, self._listed()),
            "header_lines": none if stripped is None else stripped.lines,
            "copyright_removed": (none if stripped is None else stripped.cut_start + 1) > 0,
            "chars": counts.chars,
            "max_line_chars": counts.longest_chars,
            "mean_line_chars": ratio(counts.chars, counts.lines),
            "alphanumeric_fraction": ratio(counts.alphanumeric, counts.chars),
        }
        if self.tokenizer is not None:
            tokens = token_counts(left, self.tokenizer, special=False)
            values["letters_per_token"] = ratio(counts.alphabetic, tokens)
        start, stop = counts.longest_start, counts.longest_stop
        if stripped is not None:
            start, stop = stripped.places(start), stripped.places(stop)
        spans = {"github.max_line_chars": (start, stop)}
        signals = {f"{self.use}.{name}": value for name, value in values.items()}
        return Measured(signals, None if stripped is None else left, spans)

    def _listed(self) -> str:
        """What matches names that end as they should, and the empty name."""
        ends = "|".join(regex.escape(end, special_only=True) for end in self.extensions or ("",))
        return f"^$|(?:{ends})$"
