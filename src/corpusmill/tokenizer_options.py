"""The recipe's [tokenizer] table: which tokenizer, how to train one, which special tokens stand around documents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from corpusmill.errors import ConfigError

BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))
"""Names of the 256 bytes in a vocabulary with byte fallback, as SentencePiece writes them."""
MAX_VOCAB_SIZE = 1 << 24

Digits = Literal["whole", "threes", "single"]
USUAL_DIGITS: dict[str, Digits] = {"bpe": "whole", "llama": "single"}


@dataclass(frozen=True)
class TokenizerTraining:
    """How to train a tokenizer on a sample of the text.

    kind                "bpe": byte-level; "llama": characters, spaces as ▁, bytes for characters that are too rare
    vocab_size          ids in all, special tokens and bytes included
    special_tokens      get the ids 0, 1, …: the end of a document and padding
    normalization       off: every text comes back exactly. "nfc" and "nfkc" lose that: a text comes back in that form,
                        and NFKC also makes different signs the same (² becomes 2, ﬁ becomes fi)
    digits              "whole": numbers may become one piece of any length; "threes": cut after every third digit;
                        "single": every digit alone. off: "whole" for bpe as in GPT-2, "single" for llama, which
                        can't have "threes"
    character_coverage  kind "llama": this share of all characters become pieces, the rarest are written as bytes
                        (SentencePiece's default)
    min_frequency       a pair seen less often is not merged
    max_token_chars     longest piece ("bpe": bytes), SentencePiece's default; a rule of dashes need not be a word
    sample_bytes        about so much of the text is trained on; it is kept in memory
    """

    kind: Literal["bpe", "llama"] = "bpe"
    vocab_size: int = 32_000
    special_tokens: tuple[str, ...] = ("<|endoftext|>", "<|padding|>")
    normalization: Literal["nfc", "nfkc"] | None = None
    digits: Digits | None = None
    character_coverage: float = 0.9995
    min_frequency: int = 2
    max_token_chars: int = 16
    sample_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        """Raise ConfigError for a value that can't be trained with."""
        if self.kind not in USUAL_DIGITS:
            raise ConfigError(f"kind: got {self.kind!r}; allowed: 'bpe', 'llama'")
        least = 256 + len(self.special_tokens) + 1
        if not least <= self.vocab_size <= MAX_VOCAB_SIZE:
            raise ConfigError(f"vocab_size: got {self.vocab_size}; allowed: {least} to {MAX_VOCAB_SIZE}")
        check_names("special_tokens", self.special_tokens)
        if not self.special_tokens:
            raise ConfigError("special_tokens: got none; wanted one or more, the first ends documents")
        if self.normalization not in (None, "nfc", "nfkc"):
            raise ConfigError(f"normalization: got {self.normalization!r}; allowed: 'nfc', 'nfkc', off")
        if self.digits is None:
            object.__setattr__(self, "digits", USUAL_DIGITS[self.kind])
        allowed = ("whole", "threes", "single") if self.kind == "bpe" else ("whole", "single")
        if self.digits not in allowed:
            raise ConfigError(f"digits: got {self.digits!r}; allowed for kind {self.kind}: {', '.join(allowed)}, off")
        if not 0.9 <= self.character_coverage <= 1:
            raise ConfigError(f"character_coverage: got {self.character_coverage}; allowed: 0.9 to 1")
        for name, low in (("min_frequency", 1), ("max_token_chars", 1), ("sample_bytes", 1 << 16)):
            if getattr(self, name) < low:
                raise ConfigError(f"{name}: got {getattr(self, name)}; allowed: {low} or more")


@dataclass(frozen=True)
class Policy:
    """Which special tokens stand around each document. A name of None is looked for among the usual ones."""

    bos: bool = False
    eos: bool = True
    bos_token: str | None = None
    eos_token: str | None = None
    pad_token: str | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for a wrong type."""
        for name in ("bos", "eos"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name}: got {getattr(self, name)!r}; allowed: true or false")
        for name in ("bos_token", "eos_token", "pad_token"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value):
                raise ConfigError(
                    f"{name}: got {value!r}; allowed: the text of an added token of the tokenizer, or off"
                )


@dataclass(frozen=True)
class Tokenizer(Policy):
    """Load `path` or `train` one; neither: train with the defaults.

    path            a Hugging Face tokenizer.json, a SentencePiece .model (BPE or unigram) or a tiktoken rank file
    pattern         tiktoken files only: how text is cut into words, one of the names "r50k", "cl100k", "llama3",
                    "qwen", "o200k", or a regular expression. off: known by the file's name
    special_tokens  tiktoken files only, with `pattern`: added tokens, which get the ids behind the last rank
    bos, eos        whether each document begins with the one and ends with the other token
    bos_token, eos_token, pad_token   their names, off: looked for among the usual ones
    """

    path: str | None = None
    pattern: str | None = None
    special_tokens: tuple[str, ...] = ()
    train: TokenizerTraining | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for what does not go together, and for a file that is not there."""
        super().__post_init__()
        if self.path is not None and self.train is not None:
            raise ConfigError("tokenizer has path and train; wanted one of them")
        if self.path is None and (self.pattern is not None or self.special_tokens):
            raise ConfigError("tokenizer has pattern or special_tokens but no path; they are for tiktoken files")
        check_names("special_tokens", self.special_tokens)
        if self.path is None and self.train is None:
            object.__setattr__(self, "train", TokenizerTraining())
        if self.train is not None:
            self._check_trained(self.train)
        if self.path is not None and not Path(self.path).is_file():
            raise ConfigError(
                f"tokenizer path = {self.path!r}: no such file; wanted a tokenizer.json, a SentencePiece .model or a "
                "tiktoken file"
            )

    def _check_trained(self, train: TokenizerTraining) -> None:
        """The first special token ends documents, and all that are named are among them."""
        if self.eos and self.eos_token is None:
            object.__setattr__(self, "eos_token", train.special_tokens[0])
        for name in ("bos_token", "eos_token", "pad_token"):
            token = getattr(self, name)
            if token is not None and token not in train.special_tokens:
                allowed = ", ".join(train.special_tokens)
                raise ConfigError(
                    f"{name}: got {token!r}; allowed: one of the special_tokens to train with ({allowed})"
                )

    @property
    def policy(self) -> Policy:
        """The special tokens around documents alone."""
        return Policy(self.bos, self.eos, self.bos_token, self.eos_token, self.pad_token)


def check_names(field: str, names: tuple[str, ...]) -> None:
    """Raise ConfigError for names of special tokens that are empty, given twice or taken by bytes."""
    if len(set(names)) < len(names) or not all(name.strip() for name in names):
        raise ConfigError(f"{field}: got {names!r}; allowed: different names, none of them empty")
    if set(names) & set(BYTE_TOKENS):
        raise ConfigError(f"{field}: got {names!r}; the names <0x00> to <0xFF> are taken by bytes")
