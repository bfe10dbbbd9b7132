"""`perplexity`: how likely a text is to a KenLM language model over SentencePiece pieces, as in CCNet and ROOTS."""

from __future__ import annotations

import csv
import functools
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import kenlm
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex
import sentencepiece

from corpusmill.errors import ConfigError
from corpusmill.filters.thresholds import BY_DIALECT, set_by_dialect
from corpusmill.rules import Rule
from corpusmill.steps import Filter, Measured, Range, register
from corpusmill.text import Texts

BUCKETS = ("head", "middle", "tail", "all")

_ORIGIN = (
    "CCNet's models of 48 languages are at dl.fbaipublicfiles.com/cc_net/lm/LANGUAGE.arpa.bin and LANGUAGE.sp.model, "
    "those of ROOTS at huggingface.co/edugp/kenlm; corpusmill downloads nothing"
)
_CUTOFFS_ORIGIN = "CCNet's is cc_net/data/cutoff.csv in github.com/facebookresearch/cc_net"

# CCNet's text_normalizer.py and ROOTS' normalization.py: what replaces a mark. The full-width one is theirs.
_MARKS = dict(
    zip("，。、„”“«»１」「《》´∶：？！（）；–～’━〈〉【】％►", ',.,""""""""""\'::?!();-~\'-<>[]%-', strict=True)
)
_MARKS |= {"—": " - ", "．": ". ", "…": "..."}
_CONTROLS = {code: "" for code in (*range(32), *range(127, 160))}
_TRANSLATE = _CONTROLS | str.maketrans(_MARKS)
_SPACES = dict.fromkeys(map(ord, "\t\n\r\v\f\x84\u2002\u2003\u2005\u2008\u2009\u200a\u202f\u3000\ufffc"), " ")
_DIGIT, _ACCENT = regex.compile(r"\p{Nd}"), regex.compile(r"\p{Mn}+")


def normalize_ccnet(text: str) -> str:
    """Stripped, small letters without accents, each digit 0, plain marks, no control characters: so lines are glued."""
    plain = _ACCENT.sub("", unicodedata.normalize("NFD", text.strip().lower()))
    return _DIGIT.sub("0", plain).translate(_TRANSLATE)


def normalize_roots(text: str) -> str:
    """Stripped, one kind of space for line feeds too, no other control characters, plain marks."""
    return text.strip().translate(_SPACES).translate(_TRANSLATE)


@register("perplexity", version=1)
@dataclass(frozen=True)
class Perplexity(Filter):
    """Keep documents that are like the text a language model was trained on, mostly Wikipedia. Signals:

    value   10 ** (-log10(probability) / (pieces + 1)), to one decimal: the text is normalised and cut into pieces by
            SentencePiece, the model says how probable these are, and the end of the text counts as one more. Null
            where no model is for the document's language
    bucket  `head` where the value is below the language's first cut-off, `middle` below its second, else `tail`; `all`
            where there is no cut-off for the language or no text. Only with cut-offs

    model           path of a KenLM model, .arpa or binary; with `{language}` in it one for each of `languages`, used
                    for the documents whose language.label is that
    sentencepiece   path of the SentencePiece model it was trained with, likewise
    languages       the languages of the models; of a single model, which column of `cutoffs` is for it
    dialect         ccnet: small letters without accents, digits as 0, other marks plain, control characters and with
                    them line feeds deleted, which glues words; no bound (cc_net/perplexity.py, text_normalizer.py)
                    roots: as ccnet, but letters, accents and digits stay, and line feeds and eleven other spaces become
                    plain ones; at most 1500, their bound for English (data-preparation, 01b_oscar…/filtering.py)
    max_perplexity  most; None = off
    cutoffs         path of a CSV file with a column of perplexities for each language and a row for each percentile
    percentiles     the rows of the two cut-offs (CCNet: 30 and 60)
    head, tail      the two cut-offs themselves, in place of `cutoffs`
    keep            buckets to keep; None = all
    """

    model: str
    sentencepiece: str
    languages: tuple[str, ...] | None = None
    dialect: Literal["ccnet", "roots"] = "ccnet"
    max_perplexity: float | None = BY_DIALECT
    cutoffs: str | None = None
    percentiles: tuple[int, ...] = (30, 60)
    head: float | None = None
    tail: float | None = None
    keep: tuple[str, ...] | None = None

    DIALECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "ccnet": {"max_perplexity": None},
        "roots": {"max_perplexity": 1500.0},
    }

    def __post_init__(self) -> None:
        """Raises ConfigError on options that do not go together."""
        set_by_dialect(self, self.DIALECTS)
        named = ["{language}" in self.model, "{language}" in self.sentencepiece]
        if any(named) and not (all(named) and self.languages):
            raise ConfigError("perplexity: {language} must be in both paths, model and sentencepiece, with `languages`")
        if self.languages is not None and (not self.languages or (len(self.languages) > 1 and not any(named))):
            raise ConfigError("perplexity: one model is for one language; put {language} into the paths for several")
        if self.max_perplexity is not None and not 1 <= self.max_perplexity < float("inf"):
            raise ConfigError(f"perplexity: max_perplexity must be at least 1, got {self.max_perplexity}")
        if (self.head is None) != (self.tail is None) or (self.head is not None and self.cutoffs is not None):
            raise ConfigError("perplexity: give both head and tail, or cutoffs, or neither")
        if self.head is not None and self.tail is not None and not 0 < self.head <= self.tail:
            raise ConfigError(f"perplexity: wanted 0 < head <= tail, got {self.head} and {self.tail}")
        if self.cutoffs is not None and self.languages is None:
            raise ConfigError("perplexity: cutoffs needs `languages`: the columns to read")
        if len(self.percentiles) != 2 or self.percentiles[0] > self.percentiles[1]:
            raise ConfigError(f"perplexity: percentiles must be two rising numbers, got {list(self.percentiles)}")
        if self.keep is not None and (not self.keep or set(self.keep) - set(BUCKETS) or not self._buckets()):
            raise ConfigError(f"perplexity: keep must name some of {', '.join(BUCKETS)}, and needs cut-offs")

    def files(self) -> tuple[str, ...]:
        """Models and cut-offs. Raises ConfigError when one is missing or is none."""
        for language in self._models():
            self._load(language)
        if self.cutoffs is not None:
            _read_cutoffs(self.cutoffs, self.percentiles)
        paths = [
            path.replace("{language}", name) for name in self._models() for path in (self.model, self.sentencepiece)
        ]
        return (*paths, *([self.cutoffs] if self.cutoffs is not None else []))

    def needs(self) -> tuple[str, ...]:
        """The document's language, where there are several models."""
        return ("language.label",) if self._by_label() else ()

    def signals(self) -> Mapping[str, pa.DataType]:
        """The value, and the bucket where there are cut-offs."""
        bucket = {"perplexity.bucket": pa.string()} if self._buckets() else {}
        return {"perplexity.value": pa.float64(), **bucket}

    def ranges(self) -> Mapping[str, Range]:
        """No text is less perplexing than a sure one."""
        return {"perplexity.value": (1.0, np.inf)}

    def rules(self) -> tuple[Rule, ...]:
        """The bound, for documents that a model is for; the buckets."""
        rules = []
        if self.max_perplexity is not None:
            by_label = self._by_label()
            rules.append(
                Rule(
                    "perplexity.max_perplexity",
                    "perplexity.value",
                    "<=",
                    None if by_label else self.max_perplexity,
                    "language.label" if by_label else None,
                    dict.fromkeys(self._models(), self.max_perplexity) if by_label else {},
                )
            )
        if self.keep is not None:
            rules.append(Rule("perplexity.keep", "perplexity.bucket", "in", self.keep))
        return tuple(rules)

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:
        """One call of either library for each document."""
        models = self._models()
        labels = batch.column("language.label") if self._by_label() else pa.repeat(models[0], len(texts))
        cutoffs = {} if self.cutoffs is None else _read_cutoffs(self.cutoffs, self.percentiles)
        if self.head is not None and self.tail is not None:
            cutoffs = dict.fromkeys(models, (self.head, self.tail))
        values = np.full(len(texts), np.nan)
        buckets = np.full(len(texts), "all", dtype=np.object_)
        for name in models:
            rows = np.flatnonzero(pc.equal(labels, name).fill_null(False).to_numpy(zero_copy_only=False))
            if rows.size:
                perplexity = self._load(name).perplexity
                values[rows] = [perplexity(text) for text in texts.to_arrow().take(pa.array(rows)).to_pylist()]
                if name in cutoffs:
                    head, tail = cutoffs[name]
                    found = np.select([values[rows] < head, values[rows] < tail], ["head", "middle"], "tail")
                    buckets[rows] = np.where(texts.bytes[rows] == 0, "all", found)
        signals = {"perplexity.value": pa.array(values, mask=np.isnan(values))}
        if self._buckets():
            signals["perplexity.bucket"] = pa.array(buckets, pa.string())
        return Measured(signals)

    def _buckets(self) -> bool:
        return self.cutoffs is not None or self.head is not None

    def _by_label(self) -> bool:
        return "{language}" in self.model

    def _models(self) -> tuple[str, ...]:
        return self.languages or ("",)

    def _load(self, language: str) -> _Model:
        model, pieces = (path.replace("{language}", language) for path in (self.model, self.sentencepiece))
        for name, path in (("model", model), ("sentencepiece", pieces)):
            if not Path(path).is_file():
                raise ConfigError(f"perplexity: {name} = {path!r}: no such file. {_ORIGIN}")
        return _load(model, pieces, self.dialect)


class _Model:
    """A KenLM model and its SentencePiece model."""

    def __init__(self, model: str, pieces: str, normalize: Callable[[str], str]) -> None:
        config = kenlm.Config()
        config.show_progress = False
        config.arpa_complain = kenlm.ARPALoadComplain.NONE
        try:
            self._model: Any = kenlm.Model(model, config)
        except OSError as error:
            raise ConfigError(f"perplexity: model = {model!r} is no KenLM model: {error}. {_ORIGIN}") from None
        self._pieces: Any = sentencepiece.SentencePieceProcessor()
        try:
            self._pieces.Load(pieces)
        except (OSError, RuntimeError) as error:
            raise ConfigError(
                f"perplexity: sentencepiece = {pieces!r} is no SentencePiece model: {error}. {_ORIGIN}"
            ) from None
        self._normalize = normalize

    def perplexity(self, text: str) -> float:
        """Of one text, to one decimal. KenLM adds up in 32 bits, here as in CCNet."""
        line = " ".join(self._pieces.EncodeAsPieces(self._normalize(text)))
        return round(10.0 ** min(-self._model.score(line) / (len(line.split()) + 1), 300.0), 1)


@functools.lru_cache(maxsize=64)
def _load(model: str, pieces: str, dialect: str) -> _Model:
    return _Model(model, pieces, {"ccnet": normalize_ccnet, "roots": normalize_roots}[dialect])


@functools.lru_cache(maxsize=8)
def _read_cutoffs(path: str, percentiles: tuple[int, int]) -> dict[str, tuple[float, float]]:
    """The two cut-offs of each language. Raises ConfigError when the file is missing or is none."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        row = {float(values[0]): values for values in rows if values}
        first, second = (row[float(percentile)] for percentile in percentiles)
        return {
            language: (float(first[column]), float(second[column])) for column, language in enumerate(head) if column
        }
    except OSError as error:
        raise ConfigError(f"perplexity: cutoffs = {path!r}: {error.strerror}. {_CUTOFFS_ORIGIN}") from None
    except (ValueError, KeyError, IndexError) as error:
        raise ConfigError(
            f"perplexity: cutoffs = {path!r}: wanted a column for each language and rows "
            f"{percentiles[0]} and {percentiles[1]} ({error!r}). {_CUTOFFS_ORIGIN}"
        ) from None
