"""A tiktoken rank file as a tokenizer.json.

The file has a token and its rank on each line and nothing else: how text is cut into words and which special tokens
there are stands in the code of each encoding, so it is known by name here, or given.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import regex
from tokenizers import AddedToken, Tokenizer, decoders, models

from corpusmill.errors import ConfigError
from corpusmill.text import Offsets, Texts
from corpusmill.tokenize.tokenizers.back_ends import Ids
from corpusmill.tokenize.tokenizers.split_patterns import PATTERNS, cutter, pattern_of

_LLAMA3 = {
    0: "begin_of_text",
    1: "end_of_text",
    4: "finetune_right_pad_id",
    5: "step_id",
    6: "start_header_id",
    7: "end_header_id",
    8: "eom_id",
    9: "eot_id",
    10: "python_tag",
    11: "image",
}
END = "<|endoftext|>"


def _llama3() -> dict[str, int]:
    reserved = iter(range(256))
    names = [_LLAMA3.get(n) or f"reserved_special_token_{next(reserved)}" for n in range(256)]
    return {f"<|{name}|>": 128_000 + n for n, name in enumerate(names)}


def _qwen() -> dict[str, int]:
    names = [END, "<|im_start|>", "<|im_end|>", *(f"<|extra_{n}|>" for n in range(205))]
    return {name: 151_643 + n for n, name in enumerate(names)}


_FIM = {"<|fim_prefix|>": 100_258, "<|fim_middle|>": 100_259, "<|fim_suffix|>": 100_260}
SPECIAL = {
    50_256: {END: 50_256},
    50_280: {END: 50_256},
    100_256: {END: 100_257, **_FIM, "<|endofprompt|>": 100_276},
    199_998: {END: 199_999, "<|endofprompt|>": 200_018},
    128_000: _llama3(),
    151_643: _qwen(),
}
"""Special tokens by the number of ranks, which tells the published encodings apart: r50k_base, p50k_base, cl100k_base
and o200k_base (tiktoken, openai_public.py), Llama 3 (tokenizer.py), Qwen (tokenization_qwen.py)."""
PATTERN_OF_FILE = {
    "gpt2": "r50k",
    "r50k_base": "r50k",
    "p50k_base": "r50k",
    "cl100k_base": "cl100k",
    "o200k_base": "o200k",
    "llama3": "llama3",
    "qwen": "qwen",
}


@dataclass(frozen=True)
class Encoding:
    """ranks: id of each token's bytes; pattern: how text is cut; special: ids of special tokens."""

    ranks: Mapping[bytes, int]
    pattern: str
    special: Mapping[str, int]


def is_ranks(data: bytes) -> bool:
    """Whether the first line is one of a rank file."""
    return regex.match(rb"[A-Za-z0-9+/]+={0,2} \d+\r?(\n|\Z)", data) is not None


def read_ranks(data: bytes, path: str, pattern: str | None, special_tokens: Iterable[str]) -> Encoding:
    """Raises ConfigError for a broken file, and where nobody said how to cut text."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(data.splitlines(), 1):
        try:
            token, rank = line.split()
            key, value = base64.b64decode(token, validate=True), int(rank)
        except ValueError as error:
            raise ConfigError(
                f"tokenizer {path}, line {number}: got {line[:60]!r}; wanted a token in base64 and its rank ({error})"
            ) from None
        if key in ranks or value < 0:
            raise ConfigError(f"tokenizer {path}, line {number}: {key!r} with rank {value} is there twice or below 0")
        ranks[key] = value
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing or len(set(ranks.values())) < len(ranks):
        what = f"{len(missing)} single bytes have no rank" if missing else "two tokens have the same rank"
        raise ConfigError(f"tokenizer {path}: {what}; wanted a tiktoken file of byte-level BPE")
    known = pattern or PATTERN_OF_FILE.get(Path(path).name.partition(".")[0])
    if known is None:
        raise ConfigError(
            f"tokenizer {path}: a tiktoken file does not say how text is cut into words, and {Path(path).name!r} is no "
            f"known name ({', '.join(PATTERN_OF_FILE)}); set pattern to one of {', '.join(PATTERNS)} or to a regular "
            "expression"
        )
    return Encoding(ranks, pattern_of(known), _special(ranks, path, tuple(special_tokens)))


def _special(ranks: Mapping[bytes, int], path: str, names: tuple[str, ...]) -> dict[str, int]:
    first = max(ranks.values()) + 1
    found = {name: first + n for n, name in enumerate(names)} or SPECIAL.get(len(ranks), {})
    taken = set(found.values()) & set(ranks.values())
    if taken:
        raise ConfigError(f"tokenizer {path}: ids of special tokens are taken by ranks, first {min(taken)}")
    return found


def to_tokenizer(encoding: Encoding) -> Tokenizer:
    """Every way in which two tokens make a third is a merge, by its rank: tiktoken merges whatever fits."""
    letters = _letters()
    names = {token: "".join(letters[byte] for byte in token) for token in encoding.ranks}
    merges = [
        (names[token[:cut]], names[token[cut:]])
        for token in sorted(encoding.ranks, key=encoding.ranks.__getitem__)
        for cut in range(1, len(token))
        if token[:cut] in encoding.ranks and token[cut:] in encoding.ranks
    ]
    vocab = {name: encoding.ranks[token] for token, name in names.items()} | dict(encoding.special)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=True))
    tokenizer.pre_tokenizer = cutter(encoding.pattern)
    tokenizer.decoder = decoders.ByteLevel()
    by_id = sorted(encoding.special, key=encoding.special.__getitem__)
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in by_id])
    return tokenizer


def _letters() -> list[str]:
    """The character that stands for each byte in a byte-level vocabulary: itself where it is seen, else from 256 on."""
    seen = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in seen else chr(next(others)) for byte in range(256)]


class Ranks:
    """A reference of its own for rank files: the words of the pattern, merged by lowest rank, the leftmost first."""

    def __init__(self, encoding: Encoding) -> None:
        self._ranks = encoding.ranks
        self._never = max(encoding.ranks.values()) + 1
        # The module's own \s takes in U+001C to U+001F, as Python does and Unicode does not.
        pattern = encoding.pattern.replace(r"\s", r"\p{White_Space}").replace(r"\S", r"\P{White_Space}")
        self._pattern = regex.compile(pattern)
        self._known: dict[str, list[int]] = {}

    def __call__(self, texts: Texts) -> tuple[Ids, Offsets]:
        """Encode; slow, for comparing."""
        offsets, ids = [0], []
        for text in texts.to_list():
            for match in self._pattern.finditer(text):
                word = match[0]
                if word not in self._known:
                    self._known[word] = self._merge(word.encode())
                ids += self._known[word]
            offsets.append(len(ids))
        return np.array(ids, dtype=np.uint32), np.array(offsets, dtype=np.int64)

    def _merge(self, word: bytes) -> list[int]:
        if word in self._ranks:
            return [self._ranks[word]]
        parts = [word[at : at + 1] for at in range(len(word))]
        never = self._never
        pair = [self._ranks.get(left + right, never) for left, right in pairwise(parts)]
        while pair and (best := min(pair)) < never:
            at = pair.index(best)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
            del pair[at]
            for side in (at - 1, at):
                if 0 <= side < len(pair):
                    pair[side] = self._ranks.get(parts[side] + parts[side + 1], never)
        return [self._ranks[part] for part in parts]
