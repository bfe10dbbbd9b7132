"""The file rules of The Stack, SantaCoder and StarCoder, and the code rules of NeMo Curator.

Sources: `preprocessing/filtering.py` and `utils/text_extraction.py` in bigcode-project/bigcode-dataset; Li et al. 2023,
arXiv 2305.06161, section 3; `config/text/code_filter_pipeline.yaml` and `filters/heuristic/code/code.py` in
NVIDIA-NeMo/Curator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.errors import ConfigError
from corpusmill.filters.distinct import each_distinct
from corpusmill.filters.source_code.code_extensions import Limits, languages, published_limits, read_limits
from corpusmill.filters.source_code.code_html import visible_chars
from corpusmill.filters.source_code.code_lines import count_lines, ratio
from corpusmill.filters.source_code.code_names import extensions, file_names
from corpusmill.filters.source_code.code_phrases import first_phrases, phrase_machine
from corpusmill.filters.source_code.code_python import python_text
from corpusmill.filters.source_code.code_slashes import JAVA, JAVASCRIPT, NONE, comment_chars
from corpusmill.filters.source_code.code_tokens import check_tokenizer, token_counts
from corpusmill.filters.thresholds import BY_DIALECT, check_numbers, rules_of, set_by_dialect
from corpusmill.rules import Bound, Comparison, Rule
from corpusmill.steps import Filter, Measured, Range, register
from corpusmill.text import Texts

PUBLISHED = "published"
COMMENTED = ("java", "javascript", "python")
"""The languages whose comments can be told."""

_XML = "<?xml version="
_XML_CHARS = 100
_LEXERS = {"java": JAVA, "javascript": JAVASCRIPT}
_NO_LIMIT = 1 << 53
_SIGNALS = {
    "extension": pa.string(),
    "language": pa.string(),
    "extension_listed": pa.bool_(),
    "chars": pa.int64(),
    "lines": pa.int64(),
    "max_line_chars": pa.int64(),
    "mean_line_chars": pa.float64(),
    "alphanumeric_fraction": pa.float64(),
    "alphabetic_fraction": pa.float64(),
    "xml_declaration": pa.bool_(),
    "visible_chars": pa.int64(),
    "visible_fraction": pa.float64(),
    "comment_ratio": pa.float64(),
}
_OFF: dict[str, object] = dict.fromkeys(
    (
        *("limits", "max_line_chars", "max_mean_line_chars", "min_alphanumeric_fraction", "min_alphabetic_fraction"),
        *("min_visible_fraction", "min_visible_chars", "min_data_chars", "max_data_chars", "min_lines", "max_lines"),
    )
)
_CODE: dict[str, object] = {
    "limits": PUBLISHED,
    "max_line_chars": 1000,
    "max_mean_line_chars": 100.0,
    "min_alphanumeric_fraction": 0.25,
    "min_alphabetic_fraction": None,
    "xml": True,
    "min_visible_fraction": 0.2,
    "min_visible_chars": 100,
    "min_data_chars": 100,
    "max_data_chars": 5000,
    "comment_languages": COMMENTED,
    "min_comment_ratio": 0.01,
    "max_comment_ratio": 0.8,
    "min_lines": None,
    "max_lines": None,
    "min_python_chars_per_token": 2.5,
    "min_java_chars_per_token": 2.9,
    "min_javascript_chars_per_token": 2.6,
}


@register("stack", version=2)
@dataclass(frozen=True)
class Stack(Filter):
    """Drop files with long lines, data in place of code, hardly any or hardly anything but comments, or XML by mistake.

    What a file is called is said by `path` (the name of a column, such as `record.path`), else by the document's URL
    or locator (`code_names.py`); its extension, in lower case, gives its language by the table of limits.
    `language` says that all documents are in one language, whatever they are called. A document without a name has
    no language and no limits of its own.

    `limits` "published" is BigCode's table for 296 extensions (`code_extensions.py`): which to keep at all, and for
    some another limit on lines, none, or a least fraction of letters; a path is a CSV in the columns of that table.
    An extension that is not listed is dropped; so is `.rkt`, which the table forgot to mark.

    Signals: lines as `str.splitlines` cuts them, in code points; fractions of the whole text, line ends among them,
    of what `str.isalnum` and `str.isalpha` are true of; `xml_declaration`, `<?xml version=` in the first 100
    characters of anything but XSLT; for HTML what is visible (`code_html.py`); for Python, Java and JavaScript the
    characters in comments, of Python docstrings too, per character (`code_python.py`, `code_slashes.py`); with
    `tokenizer` (path of a `tokenizer.json`) characters per token. What a language has not, and ratios of nothing,
    are 0; an empty text so fails the rule on alphanumeric characters, where the original stops with an error.

    "code" is the original with all its filters at once: `min_visible_fraction`, `min_visible_chars`, `min_stars` and
    the bounds of comments drop what is exactly there, the others keep it. `data` are JSON and YAML. `stars` names a
    column; null is none. SantaCoder had the bounds of comments and not those of HTML and data, StarCoder the reverse.
    "paper" is StarCoder's, which DeepSeek-Coder (arXiv 2401.14196, section 2.1) took over: data from 50 characters,
    visible text exactly at its bounds is kept, no rule on comments.

    "nemo" is NeMo Curator's pipeline for Python: comments in Python from .001 to .85, kept at the bounds; 5 to 20,000
    lines as `str.split("\\n")` cuts them; 2 characters per token. Comments there have their `#`, and count for
    nothing where the text is not Python 3. All other rules are off, and counted as its other filters count when set:
    alphanumeric are ASCII letters and digits, line feed, `?`, `!`, `,` and `.`; alphabetic what Unicode says; XSLT is
    XML too; visible text exactly at its bounds is kept.
    """

    dialect: Literal["code", "paper", "nemo"] = "code"
    path: str | None = None
    language: str | None = None
    limits: str | None = BY_DIALECT
    max_line_chars: int | None = BY_DIALECT
    max_mean_line_chars: float | None = BY_DIALECT
    min_alphanumeric_fraction: float | None = BY_DIALECT
    min_alphabetic_fraction: float | None = BY_DIALECT
    xml: bool = BY_DIALECT
    min_visible_fraction: float | None = BY_DIALECT
    min_visible_chars: int | None = BY_DIALECT
    min_data_chars: int | None = BY_DIALECT
    max_data_chars: int | None = BY_DIALECT
    comment_languages: tuple[str, ...] = BY_DIALECT
    min_comment_ratio: float | None = BY_DIALECT
    max_comment_ratio: float | None = BY_DIALECT
    min_lines: int | None = BY_DIALECT
    max_lines: int | None = BY_DIALECT
    stars: str | None = None
    min_stars: int = 5
    tokenizer: str | None = None
    min_python_chars_per_token: float | None = BY_DIALECT
    min_java_chars_per_token: float | None = BY_DIALECT
    min_javascript_chars_per_token: float | None = BY_DIALECT

    DIALECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "code": _CODE,
        "paper": {**_CODE, "min_data_chars": 50, "comment_languages": ()},
        "nemo": {
            **_CODE,
            **_OFF,
            "xml": False,
            "comment_languages": ("python",),
            "min_comment_ratio": 0.001,
            "max_comment_ratio": 0.85,
            "min_lines": 5,
            "max_lines": 20_000,
            "min_python_chars_per_token": 2.0,
            "min_java_chars_per_token": None,
            "min_javascript_chars_per_token": None,
        },
    }

    def __post_init__(self) -> None:
        """Raise ConfigError for an unknown dialect or language, or a bound out of range."""
        set_by_dialect(self, self.DIALECTS)
        check_numbers(self)
        unknown = sorted({*self.comment_languages} - {*COMMENTED})
        if unknown:
            raise ConfigError(f"stack: comment_languages has {', '.join(unknown)}; can be {', '.join(COMMENTED)}")
        if self.language is not None and self.language not in languages():
            raise ConfigError(f"stack: language = {self.language!r}; wanted one of {', '.join(sorted(languages()))}")

    def files(self) -> tuple[str, ...]:
        """The table of limits and the tokenizer, where paths are given."""
        if self.tokenizer is not None:
            original = "that of SantaCoder, bigcode/digit-bytelevel-bpe-jss-v1.1-49152 on Hugging Face"
            check_tokenizer(self.use, self.tokenizer, original)
        if self.limits not in (None, PUBLISHED):
            read_limits(self.limits)
        return tuple(path for path in (self.limits, self.tokenizer) if path not in (None, PUBLISHED))

    def needs(self) -> tuple[str, ...]:
        """The columns that are named."""
        return tuple(name for name in (self.path, self.stars) if name is not None)

    def signals(self) -> Mapping[str, pa.DataType]:
        """Without tokens where there is no tokenizer."""
        kinds = _SIGNALS if self.tokenizer is None else {**_SIGNALS, "chars_per_token": pa.float64()}
        return {f"{self.use}.{name}": kind for name, kind in kinds.items()}

    def ranges(self) -> Mapping[str, Range]:
        """Means are not negative."""
        means = dict.fromkeys(("stack.mean_line_chars", "stack.chars_per_token"), (0.0, np.inf))
        return {**super().ranges(), **means}

    def rules(self) -> tuple[Rule, ...]:
        """Extensions, lines and characters, kinds of file, comments, stars, tokens."""
        return (*self._line_rules(), *self._language_rules())

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:
        """One pass over the texts, and one by the lexer of each language."""
        nemo = self.dialect == "nemo"
        counts = count_lines(texts, "nemo" if nemo else "python")
        names = extensions(file_names(batch, self.path))
        table = self._table() or published_limits()
        spoken = pa.repeat(self.language or "", len(texts))
        if self.language is None:
            spoken = each_distinct(names, lambda name: table[name].language if name in table else "", pa.string())
        start, stop = first_phrases(texts.data, texts.offsets[:-1], self._heads(texts), phrase_machine((_XML,)))
        xml = (start >= 0) & _is(spoken, lambda name: nemo or name != "xslt")
        shown = visible_chars(texts, _is(spoken, lambda name: name == "html"))
        values: dict[str, object] = {
            "extension": names,
            "language": spoken,
            "extension_listed": _is(names, lambda name: not name or (name in table and table[name].include)),
            "chars": counts.chars,
            "lines": counts.lines,
            "max_line_chars": counts.longest_chars,
            "mean_line_chars": ratio(counts.line_chars, counts.lines),
            "alphanumeric_fraction": ratio(counts.alphanumeric, counts.chars),
            "alphabetic_fraction": ratio(counts.alphabetic, counts.chars),
            "xml_declaration": xml,
            "visible_chars": shown,
            "visible_fraction": np.minimum(ratio(shown, counts.chars), 1.0),
            "comment_ratio": ratio(self._comments(texts, spoken), counts.chars),
        }
        if self.tokenizer is not None:
            tokens = token_counts(texts, self.tokenizer, special=not nemo)
            values["chars_per_token"] = ratio(counts.chars, tokens)
        spans = {
            "stack.max_line_chars": (counts.longest_start, counts.longest_stop),
            "stack.xml": (np.where(xml, start, -1), stop),
        }
        return Measured({f"{self.use}.{name}": value for name, value in values.items()}, spans=spans)

    def _table(self) -> Mapping[str, Limits] | None:
        if self.limits is None:
            return None
        return published_limits() if self.limits == PUBLISHED else read_limits(self.limits)

    def _line_rules(self) -> tuple[Rule, ...]:
        table = self._table()
        listed = Rule("stack.extension", "stack.extension_listed", "==", True)
        rules = rules_of(
            self,
            [
                ("max_line_chars", "max_line_chars", "<="),
                ("max_mean_line_chars", "mean_line_chars", "<="),
                ("min_alphanumeric_fraction", "alphanumeric_fraction", ">="),
            ],
        )
        alphabetic = Rule(
            "stack.min_alphabetic_fraction", "stack.alphabetic_fraction", ">=", self.min_alphabetic_fraction
        )
        if table is None:
            return (*rules, *([alphabetic] if alphabetic.bound is not None else []))
        return (listed, *(_by_extension(rule, table) for rule in (*rules, alphabetic)))

    def _language_rules(self) -> tuple[Rule, ...]:
        exact = self.dialect == "code"
        above: Comparison = ">" if exact else ">="
        below: Comparison = "<" if exact else "<="
        data = ("json", "yaml")
        rules = [
            *rules_of(self, [("min_lines", "lines", ">="), ("max_lines", "lines", "<=")]),
            *([Rule("stack.xml", "stack.xml_declaration", "==", False)] if self.xml else []),
            *self._by_language("min_visible_fraction", "visible_fraction", above, ("html",)),
            *self._by_language("min_visible_chars", "visible_chars", above, ("html",)),
            *self._by_language("min_data_chars", "chars", ">=", data),
            *self._by_language("max_data_chars", "chars", "<=", data),
            *self._by_language("min_comment_ratio", "comment_ratio", above, self.comment_languages),
            *self._by_language("max_comment_ratio", "comment_ratio", below, self.comment_languages),
        ]
        if self.stars is not None:
            rules.append(Rule("stack.min_stars", self.stars, ">", self.min_stars))
        if self.tokenizer is not None:
            for name in COMMENTED:
                rules += self._by_language(f"min_{name}_chars_per_token", "chars_per_token", ">=", (name,))
        return tuple(rules)

    def _by_language(self, field: str, signal: str, comparison: Comparison, spoken: tuple[str, ...]) -> list[Rule]:
        bound = getattr(self, field)
        if bound is None or not spoken:
            return []
        bounds = dict.fromkeys(spoken, bound)
        return [Rule(f"stack.{field}", f"stack.{signal}", comparison, None, "stack.language", bounds)]

    def _heads(self, texts: Texts) -> npt.NDArray[np.int64]:
        """int64[n]: where the first 100 characters end, bytes into `Texts.data`."""
        reach = np.minimum(texts.offsets[1:], texts.offsets[:-1] + 4 * _XML_CHARS)
        heads = Texts.from_arrow(pc.utf8_slice_codeunits(texts.cut(texts.offsets[:-1], reach), 0, _XML_CHARS))
        return texts.offsets[:-1] + heads.bytes

    def _comments(self, texts: Texts, spoken: pa.Array) -> npt.NDArray[np.int64]:
        lexers = each_distinct(spoken, lambda name: _LEXERS.get(name, NONE), pa.uint8())
        python = python_text(texts, _is(spoken, lambda name: name == "python"))
        chars = python.nemo if self.dialect == "nemo" else python.bigcode
        return chars + comment_chars(texts, lexers.to_numpy())


def _by_extension(rule: Rule, table: Mapping[str, Limits]) -> Rule:
    """The rule with the bound of each extension whose limit is another."""
    field = rule.name.removeprefix("stack.")
    none: Bound = _NO_LIMIT if rule.comparison == "<=" else 0.0
    found = {name: getattr(limits, field) for name, limits in table.items()}
    bounds = {name: none if bound is None else bound for name, bound in found.items() if bound != rule.bound}
    return Rule(rule.name, rule.signal, rule.comparison, rule.bound, "stack.extension", bounds)


def _is(names: pa.Array, test: Callable[[str], bool]) -> npt.NDArray[np.bool_]:
    """bool[n]: which names pass the test."""
    found: npt.NDArray[np.bool_] = each_distinct(names, test, pa.bool_()).to_numpy(zero_copy_only=False)
    return found
