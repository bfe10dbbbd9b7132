"""`language`: which language a document is written in, by a fastText model such as lid.176 (Joulin et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import regex

from corpusmill.errors import ConfigError
from corpusmill.filters.distinct import each_distinct
from corpusmill.filters.models import fasttext_model, language_lines
from corpusmill.filters.models.language_tags import UNDETERMINED, bcp47, covers, same_language
from corpusmill.rules import Bound, Rule
from corpusmill.steps import Filter, Measured, register
from corpusmill.text import Texts

_TAGS = regex.compile(r"(?<![\w-])[A-Za-z]{2,3}(?:[_-][A-Za-z0-9]+)*(?![\w-])")


@register("language", version=2)
@dataclass(frozen=True)
class Language(Filter):
    """Keep documents in the wanted languages of which the model is sure enough.

    Languages are BCP 47 tags, whatever the model calls them (`language_tags.bcp47`): `eng_Latn` is `en`, `zho_Hant`
    is `zh-Hant`, lid.176's `als` is `gsw` and its `sh` is `sr-Latn`. A document in whose sample there is no letter is
    `und`, with the score 0. Signals:

    label         the language
    score         its probability
    line_share    of the bytes in lines whose language is known, those in lines that have the document's; only with
                  `line_share` or a `min_line_share`, which takes about as long again per line as per document
    contradicted  whether a language is declared and is another one; only with `declared`

    keep            languages to keep, as tags or as the model's own labels; `zh` keeps `zh-Hant` too. None keeps all
    min_score       least probability of the best label (FineWeb: 0.65, arXiv 2406.17557 §3.2); None = off
    min_scores      the same for single languages: `{ fr = 0.8, zh = 0.7 }`
    min_line_share  least line_share; None = off
    declared        a column that says which language the document claims to be in, such as `record.lang`, which a
                    source carries along with `fields`. Several may be listed, as in a Content-Language header
    must_match      drop documents that are found to be in another language than they declare; those that declare
                    none are kept
    model           path of a fastText classifier, such as GlotLID (huggingface.co/cis-lmu/glotlid) or OpenLID;
                    None = lid.176.ftz, which is installed with corpusmill
    max_bytes       how much of a document is read, in four evenly spaced windows. 1024 agrees with the whole text on
                    99 % of documents of 5 KB in 67 languages, and costs a seventh of it at 7 KB
    lower_case      make all letters small first, as Dolma does
    """

    keep: tuple[str, ...] | None = None
    min_score: float | None = 0.65
    min_scores: dict[str, float] | None = None
    line_share: bool = False
    min_line_share: float | None = None
    declared: str | None = None
    must_match: bool = False
    model: str | None = None
    max_bytes: int = 1024
    lower_case: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigError on a value out of range."""
        if self.keep is not None and not (isinstance(self.keep, tuple) and self.keep and all(self.keep)):
            raise ConfigError(f"language: keep must be a list of at least one label such as ['en'], got {self.keep!r}")
        shares = {"min_score": self.min_score, "min_line_share": self.min_line_share}
        shares |= {f"min_scores.{name}": bound for name, bound in (self.min_scores or {}).items()}
        for name, bound in shares.items():
            if bound is not None and not 0 <= bound <= 1:
                raise ConfigError(f"language: {name} must be from 0 to 1, got {bound}")
        if self.must_match and self.declared is None:
            raise ConfigError("language: must_match needs `declared`, the column that says what a document claims")
        if self.declared == "":
            raise ConfigError("language: declared must be the name of a column such as record.lang, got ''")
        if self.model is not None:
            fasttext_model.check_model("language", self.model)
        fasttext_model.check_max_bytes("language", self.max_bytes)

    def files(self) -> tuple[str, ...]:
        """The model. Raises ConfigError when it can't be loaded or does not know a language of the options."""
        self.rules()
        self._load()
        return (self._path(),)

    def needs(self) -> tuple[str, ...]:
        """The column that declares a language."""
        return () if self.declared is None else (self.declared,)

    def signals(self) -> Mapping[str, pa.DataType]:
        """Two, and what is asked for."""
        signals = {"language.label": pa.string(), "language.score": pa.float32()}
        if self._shares():
            signals["language.line_share"] = pa.float64()
        if self.declared is not None:
            signals["language.contradicted"] = pa.bool_()
        return signals

    def rules(self) -> tuple[Rule, ...]:
        """The language first, so that the ledger counts sure foreign documents as foreign."""
        rules = []
        if self.keep is not None:
            kept = {tag: None for language in self.keep for tag in self._covered("keep", language)}
            rules.append(Rule("language.keep", "language.label", "in", tuple(kept)))
        bounds: dict[str, Bound] = {}
        for language, bound in sorted((self.min_scores or {}).items(), key=lambda item: len(bcp47(item[0]))):
            bounds |= dict.fromkeys(self._covered("min_scores", language), bound)  # `zh-Hant` after `zh`
        if bounds or self.min_score is not None:
            by = "language.label" if bounds else None
            rules.append(Rule("language.min_score", "language.score", ">=", self.min_score, by, bounds))
        if self.min_line_share is not None:
            rules.append(Rule("language.min_line_share", "language.line_share", ">=", self.min_line_share))
        if self.must_match:
            rules.append(Rule("language.must_match", "language.contradicted", "==", False))
        return tuple(rules)

    def measure(self, texts: Texts, batch: pa.RecordBatch) -> Measured:
        """Sample the batch in one kernel, then give fastText all lines at once."""
        model = self._load()
        tags, scores = language_lines.find(model, texts, self.max_bytes, self.lower_case)
        signals = {"language.label": tags, "language.score": scores}
        if self._shares():
            signals["language.line_share"] = language_lines.share(model, texts, tags, self.max_bytes, self.lower_case)
        if self.declared is not None:
            signals["language.contradicted"] = _contradicted(batch.column(self.declared), tags)
        return Measured(signals)

    def _shares(self) -> bool:
        return self.line_share or self.min_line_share is not None

    def _covered(self, option: str, language: str) -> list[str]:
        """The tags of the model's labels that `language` stands for. Raises ConfigError where there is none."""
        known = sorted({*map(bcp47, self._load().labels), UNDETERMINED})
        covered = [tag for tag in known if covers(bcp47(language), tag)]
        if not covered:
            raise ConfigError(
                f"language: {option} names {language!r}, which the model {self._path()} does not know; "
                f"it knows {', '.join(known)}"
            )
        return covered

    def _path(self) -> str:
        return self.model if self.model is not None else fasttext_model.language_model_path()

    def _load(self) -> fasttext_model.Model:
        return fasttext_model.load(self._path())


def _contradicted(declared: pa.Array, tags: pa.StringArray) -> npt.NDArray[np.bool_]:
    """bool[n]: languages are declared, and the one that was found is none of them."""

    def one(pair: str) -> bool:
        names, _, tag = pair.rpartition("\n")
        claimed = [bcp47(name) for name in _TAGS.findall(names)]
        known = [name for name in claimed if name not in (UNDETERMINED, "mul", "zxx")]
        return bool(known) and tag != UNDETERMINED and not any(same_language(name, tag) for name in known)

    pairs = pc.binary_join_element_wise(declared.cast(pa.string()).fill_null(""), tags, "\n")
    found: npt.NDArray[np.bool_] = each_distinct(pairs, one, pa.bool_()).to_numpy(zero_copy_only=False)
    return found
