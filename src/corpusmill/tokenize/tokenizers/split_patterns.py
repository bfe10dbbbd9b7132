"""How byte-level tokenizers cut text into the words that are never merged across: the published patterns by name."""

from __future__ import annotations

import regex
from tokenizers import Regex, pre_tokenizers

from corpusmill.errors import ConfigError

_END = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LETTERS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_THREES = rf"{_LETTERS}|\p{{N}}{{1,3}}|{_END}"

PATTERNS = {
    "r50k": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "cl100k": _THREES,
    "llama3": _THREES,
    "qwen": rf"{_LETTERS}|\p{{N}}|{_END}",
    "o200k": (
        rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+{_SHORT}|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*{_SHORT}"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}
"""r50k: GPT-2, encoder.py. cl100k and o200k: tiktoken, openai_public.py; its spelling of cl100k differs and cuts the
same, and is the one of Llama 3's tokenizer.py. qwen: tokenization_qwen.py."""


def pattern_of(given: str) -> str:
    """The pattern of a known name, or `given` itself. Raises ConfigError for what is no regular expression."""
    pattern = PATTERNS.get(given, given)
    try:
        regex.compile(pattern)
    except regex.error as error:
        raise ConfigError(
            f"pattern {given!r}: neither a known name ({', '.join(PATTERNS)}) nor a regular expression: {error}"
        ) from None
    return pattern


def cutter(pattern: str) -> pre_tokenizers.PreTokenizer:
    """What cuts by a pattern that `pattern_of` gave and writes bytes as GPT-2's characters, for a tokenizer.json."""
    if pattern == PATTERNS["r50k"]:
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    try:
        split = pre_tokenizers.Split(Regex(pattern), "isolated")
    except Exception as error:  # the library raises nothing narrower
        raise ConfigError(f"pattern {pattern!r}: the tokenizers library can't read it: {error}") from error
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
