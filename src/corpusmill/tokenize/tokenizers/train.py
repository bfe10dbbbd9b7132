"""Train a tokenizer and write it as a Hugging Face tokenizer.json.

Two kinds. "bpe" is byte-level BPE: any text comes back exactly. Words are cut as GPT-2 does; where digits are to stand
in threes or alone, as GPT-4 and Qwen do. "llama" is what SentencePiece's BPE with the settings of Llama gives:
characters, spaces written as ▁ with one before the text, single digits, bytes for characters that are too rare. It
gives every text back exactly unless the text itself has a ▁ (U+2581), which comes back as a space, as it does from
SentencePiece. With a normalization a text comes back in that form.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from corpusmill.errors import InputError
from corpusmill.storage import write_bytes
from corpusmill.tokenize.tokenizers.split_patterns import PATTERNS, cutter
from corpusmill.tokenizer_options import BYTE_TOKENS, TokenizerTraining

VERSION = 2

_SPACE = "▁"
_NUMBERS = {"single": r"\p{N}", "whole": r"▁?\p{N}+"}
_PATTERNS = {"whole": "r50k", "threes": "cl100k", "single": "qwen"}


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
    if options.normalization is not None:
        tokenizer.normalizer = _form(options.normalization)
    tokenizer.pre_tokenizer = cutter(PATTERNS[_PATTERNS[str(options.digits)]])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    return _run(tokenizer, sample, options, special_tokens=list(options.special_tokens), initial_alphabet=alphabet)


def _train_llama(sample: list[str], options: TokenizerTraining) -> dict[str, Any]:
    tokenizer = Tokenizer(models.BPE(byte_fallback=True))
    forms = [] if options.normalization is None else [_form(options.normalization)]
    sample = [form.normalize_str(text) for form in forms for text in sample] or sample
    tokenizer.normalizer = normalizers.Sequence([*forms, normalizers.Prepend(_SPACE), normalizers.Replace(" ", _SPACE)])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_word(_NUMBERS[str(options.digits)])), "isolated")
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


def _form(name: str) -> normalizers.Normalizer:
    return {"nfc": normalizers.NFC, "nfkc": normalizers.NFKC}[name]()


def _word(numbers: str) -> str:
    """What may become one piece of kind "llama".

    A run of newlines, numbers, a word of letters with the space before it, other signs with the space before them, a
    run of spaces. SentencePiece cuts at changes of script and at digits alike.
    """
    return rf"\n+|{numbers}|▁?[\p{{L}}\p{{M}}]+|▁?[^\p{{L}}\p{{M}}\p{{N}}▁\n]+|▁+(?=▁)|▁"


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
