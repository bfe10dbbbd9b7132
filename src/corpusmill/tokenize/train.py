"""Train a tokenizer and write it as a Hugging Face tokenizer.json.

Two kinds. "bpe" is byte-level BPE with GPT-2's way of cutting words: any text comes back exactly. "llama" is what
SentencePiece's BPE with the settings of Llama gives: characters, spaces written as ▁ with one before the text, single
digits, bytes for characters that are too rare. It gives every text back exactly unless the text itself has a ▁
(U+2581), which comes back as a space, as it does from SentencePiece.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tokenizers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from corpusmill.errors import ConfigError, InputError
from corpusmill.storage import write_bytes

VERSION = 1
BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))
MAX_VOCAB_SIZE = 1 << 24

_SPACE = "▁"
# What may become one piece of kind "llama": a word of letters with the space before it, one digit, a run of newlines,
# other signs with the space before them, a run of spaces. SentencePiece cuts at changes of script and at digits alike.
_WORD = r"\n+|\p{N}|▁?[\p{L}\p{M}]+|▁?[^\p{L}\p{M}\p{N}▁\n]+|▁+(?=▁)|▁"


@dataclass(frozen=True)
class TokenizerTraining:
    """How to train a tokenizer.

    vocab_size          ids in all, special tokens and bytes included
    special_tokens      get the ids 0, 1, …: the end of a document and padding
    character_coverage  kind "llama": this share of all characters become pieces, the rarest are written as bytes
                        (SentencePiece's default)
    min_frequency       a pair seen less often is not merged
    max_token_chars     longest piece ("bpe": bytes), SentencePiece's default; a rule of dashes need not be a word
    """

    kind: Literal["bpe", "llama"] = "bpe"
    vocab_size: int = 32_000
    special_tokens: tuple[str, ...] = ("<|endoftext|>", "<|padding|>")
    character_coverage: float = 0.9995
    min_frequency: int = 2
    max_token_chars: int = 16

    def __post_init__(self) -> None:
        """Raise ConfigError for a value that can't be trained with."""
        if self.kind not in ("bpe", "llama"):
            raise ConfigError(f"kind: got {self.kind!r}; allowed: 'bpe', 'llama'")
        least = 256 + len(self.special_tokens) + 1
        if not least <= self.vocab_size <= MAX_VOCAB_SIZE:
            raise ConfigError(f"vocab_size: got {self.vocab_size}; allowed: {least} to {MAX_VOCAB_SIZE}")
        names = self.special_tokens
        if not names or len(set(names)) < len(names) or not all(name.strip() for name in names):
            raise ConfigError(
                f"special_tokens: got {names!r}; allowed: one or more different names, the first ends documents"
            )
        if set(names) & set(BYTE_TOKENS):
            raise ConfigError(f"special_tokens: got {names!r}; the names <0x00> to <0xFF> are taken by bytes")
        if not 0.9 <= self.character_coverage <= 1:
            raise ConfigError(f"character_coverage: got {self.character_coverage}; allowed: 0.9 to 1")
        if self.min_frequency < 1:
            raise ConfigError(f"min_frequency: got {self.min_frequency}; allowed: 1 or more")
        if self.max_token_chars < 1:
            raise ConfigError(f"max_token_chars: got {self.max_token_chars}; allowed: 1 or more")


def train_tokenizer(texts: Iterable[str], options: TokenizerTraining, out: str | Path) -> dict[str, Any]:
    """Train on `texts` (kept in memory: some hundred MB are enough) and write `out` atomically.

    The same texts in any order and any number of threads give the same bytes. Gives what was done: kind, vocab_size,
    texts, bytes, sha256. Raises InputError when there is no text.
    """
    sample = [text for text in texts if text]
    if not sample:
        raise InputError(
            "no text to train a tokenizer on: the sample is empty; check the paths and filters of the recipe"
        )
    config = _train_bpe(sample, options) if options.kind == "bpe" else _train_llama(sample, options)
    data = json.dumps(config, ensure_ascii=False, indent=1).encode() + b"\n"
    write_bytes(str(out), data)
    return {
        "kind": options.kind,
        "vocab_size": len(config["model"]["vocab"]),
        "texts": len(sample),
        "bytes": sum(len(text.encode()) for text in sample),
        "sha256": hashlib.sha256(data).hexdigest(),
        "tokenizers": tokenizers.__version__,
    }


def _train_bpe(sample: list[str], options: TokenizerTraining) -> dict[str, Any]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    return _run(tokenizer, sample, options, special_tokens=list(options.special_tokens), initial_alphabet=alphabet)


def _train_llama(sample: list[str], options: TokenizerTraining) -> dict[str, Any]:
    tokenizer = Tokenizer(models.BPE(byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(_SPACE), normalizers.Replace(" ", _SPACE)])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_WORD), "isolated")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    room = options.vocab_size - len(options.special_tokens) - len(BYTE_TOKENS)
    alphabet = _alphabet(sample, options.character_coverage, room)
    special_tokens = [*options.special_tokens, *BYTE_TOKENS]
    limits = {"initial_alphabet": alphabet, "limit_alphabet": len(alphabet)}
    config = _run(tokenizer, sample, options, special_tokens=special_tokens, **limits)
    # As in Llama's own file: the pieces alone keep words apart, and a byte's name is no special token.
    config["pre_tokenizer"] = None
    config["added_tokens"] = config["added_tokens"][: len(options.special_tokens)]
    return config


def _run(tokenizer: Tokenizer, sample: list[str], options: TokenizerTraining, **alphabet: Any) -> dict[str, Any]:
    trainer = trainers.BpeTrainer(
        vocab_size=options.vocab_size,
        min_frequency=options.min_frequency,
        max_token_length=options.max_token_chars + 1,  # the trainer takes it as the first length that is too long
        show_progress=False,
        **alphabet,
    )
    tokenizer.train_from_iterator(sample, trainer, length=len(sample))
    config: dict[str, Any] = json.loads(tokenizer.to_str())
    return config


def _alphabet(sample: list[str], coverage: float, room: int) -> list[str]:
    """The most frequent characters that together cover the share, at most `room`; ties by code point."""
    counts: Counter[str] = Counter()
    for text in sample:
        counts.update(text)
    counts[_SPACE] += counts.pop(" ", 0)
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    wanted = coverage * sum(counts.values())
    chosen, covered = {_SPACE}, counts[_SPACE]
    for character in ranked:
        if covered >= wanted or len(chosen) >= room:
            break
        if character not in chosen:
            chosen.add(character)
            covered += counts[character]
    return sorted(chosen)
