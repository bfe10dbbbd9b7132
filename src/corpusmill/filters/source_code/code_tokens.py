"""How many tokens a text has, for rules that compare it with the tokens it makes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from corpusmill.errors import ConfigError
from corpusmill.text import Offsets, Texts

_AT_ONCE = 64
"""Texts encoded together: what the library gives back is many times larger than the text."""


def check_tokenizer(use: str, path: str, original: str) -> None:
    """Raise ConfigError when there is no file at `path`; `original` says in words which one the published rules had."""
    if not Path(path).is_file():
        raise ConfigError(
            f"{use}: tokenizer = {path!r}: no such file; wanted a `tokenizer.json` of Hugging Face tokenizers. "
            f"The published thresholds are for {original}"
        )


def token_counts(texts: Texts, path: str, *, special: bool) -> Offsets:
    """int64[n]: tokens of each text, with the special tokens the tokenizer adds or without. Raises ConfigError."""
    tokenizer = _load(path)
    strings = texts.to_list()
    counts: list[int] = []
    for first in range(0, len(strings), _AT_ONCE):
        encoded = tokenizer.encode_batch_fast(strings[first : first + _AT_ONCE], add_special_tokens=special)
        counts.extend(map(len, encoded))
    return np.array(counts, dtype=np.int64)


@cache
def _load(path: str) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(path)
    except Exception as error:  # the library raises no type of its own
        raise ConfigError(f"tokenizer = {path!r}: can't be read as a tokenizer.json: {error}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
