"""Any tokenizer file as a tokenizer.json, proven on the hostile texts and on the user's own before it is used."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tokenizers import Tokenizer

from corpusmill.errors import ConfigError
from corpusmill.text import Texts
from corpusmill.tokenize.tokenizers import sentencepiece_models, tiktoken_files
from corpusmill.tokenize.tokenizers.back_ends import BackEnd, SentencePiece, Tokenizers, first_difference
from corpusmill.tokenize.tokenizers.encode import MODEL_KEY, without_extras
from corpusmill.tokenize.tokenizers.hostile import hostile_texts

VERSION = 1

Format = Literal["tokenizer.json", "sentencepiece", "tiktoken"]


@dataclass(frozen=True)
class Converted:
    """data: a tokenizer.json; format: what the file was; proof: what was compared, and with what outcome."""

    data: bytes
    format: Format
    proof: str


def format_of(data: bytes) -> Format:
    """By content, for Llama's tokenizer.model is one thing in version 2 and another in version 3."""
    if data.lstrip()[:1] in (b"{", b"["):
        return "tokenizer.json"
    return "tiktoken" if tiktoken_files.is_ranks(data) else "sentencepiece"


def convert(
    data: bytes, path: str, sample: Iterable[str], pattern: str | None = None, special_tokens: Sequence[str] = ()
) -> Converted:
    """The content `data` of the file `path` as a tokenizer.json; one that is one already stays as it is.

    A SentencePiece model that the JSON would not encode alike is put into it whole, and the sentencepiece library then
    is the reference. Raises ConfigError for a file that is none of them, and for a rank file that does not come out
    alike, with the first text.
    """
    kind = format_of(data)
    if kind != "tiktoken" and (pattern is not None or special_tokens):
        raise ConfigError(f"tokenizer {path}: pattern and special_tokens are for tiktoken files; this is a {kind} file")
    if kind == "tokenizer.json":
        return Converted(data, kind, "a tokenizer.json, taken as it is")
    reference: BackEnd
    if kind == "tiktoken":
        encoding = tiktoken_files.read_ranks(data, path, pattern, special_tokens)
        tokenizer, reference = tiktoken_files.to_tokenizer(encoding), tiktoken_files.Ranks(encoding)
    else:
        tokenizer = sentencepiece_models.to_tokenizer(sentencepiece_models.read_model(data, path), path)
        reference = SentencePiece(data)
    config = json.loads(tokenizer.to_str())
    differs, proof = _compare(config, path, tokenizer, reference, sample)
    if differs is not None and kind == "tiktoken":
        raise ConfigError(
            f"tokenizer {path}: as a tokenizer.json it gives other ids, first for {differs!r}; look for a "
            "tokenizer.json of it, and use that"
        )
    if differs is not None:
        config[MODEL_KEY] = base64.b64encode(data).decode()
        proof = f"the sentencepiece library is the reference: a tokenizer.json gives other ids, first for {differs!r}"
    return Converted(json.dumps(config, ensure_ascii=False, indent=1).encode() + b"\n", kind, proof)


def _compare(
    config: dict[str, Any], path: str, tokenizer: Tokenizer, reference: BackEnd, sample: Iterable[str]
) -> tuple[str | None, str]:
    """The first text (80 characters of it) that comes out otherwise, and what was compared."""
    names = sorted(token.content for token in tokenizer.get_added_tokens_decoder().values())
    texts = Texts.from_strings([*hostile_texts(names), *sample])
    converted = Tokenizers(Tokenizer.from_str(json.dumps(without_extras(config, path))))
    wanted = reference(texts)
    differs = first_difference(wanted, converted(texts))
    text = None if differs is None else texts.to_arrow()[differs].as_py()[:80]
    return text, f"same ids as the original: {len(texts)} texts, {len(wanted[0])} tokens"
