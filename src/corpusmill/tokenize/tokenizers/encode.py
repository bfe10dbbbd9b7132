"""Texts to token ids and back, from Arrow buffers to flat arrays.

The fast back end, gigatoken, is used only after it gave the same ids as the reference, cold and warm, on a fixed set of
hostile texts and on a sample of the user's own: a tokenizer that is almost right ruins a corpus quietly.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit
from tokenizers import Tokenizer

from corpusmill.errors import ConfigError, IntegrityError, NotCommitted
from corpusmill.storage import read_bytes
from corpusmill.text import Offsets, Texts
from corpusmill.tokenize.tokenizers.back_ends import BackEnd, Gigatoken, SentencePiece, Tokenizers, first_difference
from corpusmill.tokenize.tokenizers.hostile import hostile_texts, in_company
from corpusmill.tokenizer_options import MAX_VOCAB_SIZE, Policy

__all__ = ["Backend", "Encoder", "Policy", "Tokens", "check_same", "open_encoder"]

VERSION = 2
UINT16_VOCAB = 65_536
"""Largest vocabulary whose ids are stored in 16 bits."""
MODEL_KEY = "sentencepiece"
"""Where a tokenizer.json holds a whole SentencePiece model, in base64: what the JSON alone says would give other ids.
No other library loads a file with this key, so none can encode wrongly with it."""

EOS_TOKENS = ("<|endoftext|>", "</s>", "<eos>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "[SEP]")
BOS_TOKENS = ("<s>", "<bos>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>", "[CLS]", "<|endoftext|>")
PAD_TOKENS = ("<|padding|>", "<pad>", "<|pad|>", "[PAD]", "<|finetune_right_pad_id|>", "<｜▁pad▁｜>")
"""Names looked for, in this order, where the policy names none."""
UNREACHABLE = "\U0010ffff \U0010ffff"
"""Put before the name of a special piece in a unigram vocabulary, which would find it in text: a noncharacter, and a
space, which such vocabularies write as ▁."""

Backend = Literal["gigatoken", "tokenizers", "sentencepiece"]
Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]

DEFAULT_POLICY = Policy()


class Encoder:
    """A tokenizer.json and what to put around documents.

    vocab_size  largest id + 1, added tokens included
    dtype       uint16 up to 65,536 ids, else uint32
    eos_id      None where the policy wants none and there is none
    bos_id      None where the policy wants none
    pad_id      eos_id where the tokenizer has no padding token: segments say what is padding, never the id
    reference   the back end that decides what is right: "tokenizers", or "sentencepiece" for a model of its own
    backend     the one that encodes, `reference` or "gigatoken"; `reason` says why
    """

    def __init__(
        self,
        path: str | Path,
        policy: Policy = DEFAULT_POLICY,
        backend: Backend | None = None,
        reason: str = "",
        data: bytes | None = None,
    ) -> None:
        """Load a tokenizer.json, or `data` in place of the file at `path`. A worker is given what `admit` found.

        Raises ConfigError for a file that is missing or no tokenizer, and for special tokens it does not have.
        """
        self.path = str(path)
        self.policy = policy
        self.reason = reason or "not compared with the other back end"
        data = _read(self.path) if data is None else data
        self._sha256 = hashlib.sha256(data).hexdigest()
        config = parse(data, self.path)
        model = config.pop(MODEL_KEY, None)
        self._full = _load(config, self.path)
        unknown = config["model"].get("unk_id")
        self._unknown = self._full.token_to_id(config["model"].get("unk_token") or "") if unknown is None else unknown
        self._plain = without_extras(config, self.path)
        self._model = None if model is None else _sentencepiece(model, self.path)
        self.reference: Backend = "tokenizers" if model is None else "sentencepiece"
        self._fast = Gigatoken(self._plain)
        self.backend: Backend = backend or self.reference
        if self.backend not in ("gigatoken", self.reference):
            raise ConfigError(f"tokenizer {self.path}: its ids are those of {self.reference}, not of {self.backend}")
        self.vocab_size: int = max(self._full.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        if self.vocab_size > MAX_VOCAB_SIZE:
            raise ConfigError(f"tokenizer {self.path}: {self.vocab_size} ids; allowed: up to {MAX_VOCAB_SIZE}")
        self.dtype = np.dtype(np.uint16 if self.vocab_size <= UINT16_VOCAB else np.uint32)
        eos_id = self._special("eos_token", EOS_TOKENS, needed=policy.eos)
        pad_id = self._special("pad_token", PAD_TOKENS, needed=eos_id is None)
        self.eos_id = eos_id
        self.bos_id = self._special("bos_token", BOS_TOKENS, needed=True) if policy.bos else None
        self.pad_id: int = eos_id if pad_id is None else pad_id  # type: ignore[assignment]  # one of them is needed

    def _special(self, field: str, usual: tuple[str, ...], *, needed: bool) -> int | None:
        added = {token.content: token_id for token_id, token in self._full.get_added_tokens_decoder().items()}
        named = getattr(self.policy, field)
        for name in (named,) if named else usual:
            if name in added:
                return added[name]
        if named or needed:
            what = f"{field} {named!r} is not" if named else f"none of the usual names of an {field} is"
            raise ConfigError(
                f"tokenizer {self.path}: {what} among its added tokens; "
                f"it has {', '.join(sorted(added)[:20]) or 'none'}; name one of them with {field} = …"
            )
        return None

    @cached_property
    def _reference(self) -> BackEnd:
        """Loaded when it is used: a big vocabulary takes a second, and workers with the fast back end don't need it."""
        return self._model or Tokenizers(_load(self._plain, self.path))

    def fingerprint(self) -> str:
        """sha256, hex, of the tokenizer.json."""
        return self._sha256

    def describe(self) -> dict[str, Any]:
        """What a manifest says of it; `open_encoder` gives this one again."""
        return {
            "sha256": self._sha256,
            "vocab_size": self.vocab_size,
            "dtype": self.dtype.name,
            "eos_id": self.eos_id,
            "bos_id": self.bos_id,
            "pad_id": self.pad_id,
            "policy": asdict(self.policy),
            "backend": self.backend,
            "backend_reason": self.reason,
        }

    def admit(self, sample: Iterable[str]) -> bool:
        """Compare the fast back end with the reference on the hostile texts and on `sample`; use it if no id differs.

        The reference reads a few MB/s: some MB of sample are enough. `backend` and `reason` tell the outcome, which
        depends on the tokenizer and the sample alone. Raises ConfigError where the name of a special token in a text
        becomes that token, for then texts could end documents.
        """
        added = self._full.get_added_tokens_decoder()
        names = sorted(token.content for token in added.values())
        texts = Texts.from_strings([*hostile_texts(names), *sample])
        self.backend = self.reference
        wanted = self._reference(texts)
        self._check_names({number for number, token in added.items() if token.special} - {self._unknown})
        try:
            runs = {"cold": self._fast(texts), "warm": self._fast(texts)}
        except (RuntimeError, ValueError, TypeError, KeyError) as error:
            self.reason = f"gigatoken can't run it: {(str(error).strip() or type(error).__name__).splitlines()[0]}"
            return False
        for name, run in runs.items():
            differs = first_difference(wanted, run)
            if differs is not None:
                text = texts.to_arrow()[differs].as_py()[:80]
                self.reason = f"gigatoken ({name}) differs from {self.reference}, first on {text!r}"
                return False
        self.backend = "gigatoken"
        self.reason = f"same ids as {self.reference}: {len(texts)} texts, {len(wanted[0])} tokens"
        return True

    def _check_names(self, special: set[int]) -> None:
        texts = [text for number in sorted(special) for text in in_company(str(self._full.id_to_token(number)))]
        ids, offsets = self._reference(Texts.from_strings(texts))
        found = np.flatnonzero(np.isin(ids, list(special)))
        if len(found):
            text = texts[int(np.searchsorted(offsets, found[0], side="right")) - 1]
            raise ConfigError(
                f"tokenizer {self.path}: the text {text!r} becomes a special token, so any document could hold one; "
                "take the name out of the vocabulary of its model, or use another tokenizer"
            )

    def encode(self, texts: Texts | pa.LargeStringArray) -> tuple[Tokens, Offsets]:
        """Flat tokens `self.dtype`[t] and int64[n + 1]: document d has tokens[offsets[d]:offsets[d + 1]].

        Every text is ordinary text: a special token's name in it does not become the special token. Raises
        IntegrityError for an id outside the vocabulary.
        """
        if not isinstance(texts, Texts):
            texts = Texts.from_arrow(texts)
        tokens, offsets = (self._fast if self.backend == "gigatoken" else self._reference)(texts)
        before = -1 if self.bos_id is None else self.bos_id
        after = self.eos_id if self.policy.eos and self.eos_id is not None else -1
        total = int(offsets[-1] - offsets[0]) + len(texts) * ((before >= 0) + (after >= 0))
        out = np.empty(total, dtype=self.dtype)
        out_offsets = np.empty(len(texts) + 1, dtype=np.int64)
        largest = _wrap(tokens, offsets, before, after, out, out_offsets)
        if largest >= self.vocab_size:
            raise IntegrityError(f"{self.backend} gave id {largest}; {self.path} has ids 0 to {self.vocab_size - 1}")
        return out, out_offsets

    def decode(self, tokens: npt.NDArray[np.integer], *, skip_special: bool = True) -> str:
        """The text of tokens int[t]. A piece cut inside a character has U+FFFD there."""
        text: str = self._full.decode(tokens.tolist(), skip_special_tokens=skip_special)
        return text

    def normalized(self, text: str) -> str:
        """The text as the tokenizer sees it, its spaces perhaps written as ▁; what is lost here is lost on purpose."""
        return str(self._full.normalizer.normalize_str(text)) if self._full.normalizer else text

    def is_unknown(self, tokens: Tokens) -> npt.NDArray[np.bool_]:
        """Which of the tokens stand for text that the vocabulary has no piece for."""
        return tokens == (self.vocab_size if self._unknown is None else self._unknown)


def check_same(encoder: Encoder, told: Mapping[str, Any]) -> None:
    """Raise IntegrityError unless the encoder is the one that `told`, from `Encoder.describe`, is about.

    File, vocabulary, dtype, special ids and policy; a back end that gives the same ids may be another one.
    """
    for key, value in encoder.describe().items():
        if not key.startswith("backend") and (key not in told or told[key] != value):
            raise IntegrityError(
                f"{encoder.path}: not the tokenizer that made these tokens: its {key} is {value}, theirs was "
                f"{told.get(key)}; put that one back"
            )


def open_encoder(path: str | Path, told: Mapping[str, Any]) -> Encoder:
    """The encoder that a manifest describes, from its file. Raises IntegrityError where it is another one."""
    data = _read(str(path))
    if hashlib.sha256(data).hexdigest() != told["sha256"]:
        raise IntegrityError(f"{path}: not the tokenizer that made these tokens: its sha256 differs; put that one back")
    encoder = Encoder(path, Policy(**told["policy"]), told["backend"], told["backend_reason"], data)
    check_same(encoder, told)
    return encoder


def _read(path: str) -> bytes:
    try:
        return read_bytes(path)
    except (OSError, NotCommitted) as error:
        raise ConfigError(f"tokenizer {path}: can't be read ({error}); wanted a tokenizer.json") from error


def parse(data: bytes, path: str) -> dict[str, Any]:
    """The content of a tokenizer.json. Raises ConfigError."""
    try:
        config = json.loads(data)
    except ValueError as error:
        raise ConfigError(f"tokenizer {path}: not a tokenizer.json ({type(error).__name__}: {error})") from error
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise ConfigError(f"tokenizer {path}: not a tokenizer.json (no table `model` in it)")
    return config


def without_extras(config: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The tokenizer without what changes documents: special tokens found in text, truncation, padding, templates."""
    model = config["model"]
    try:
        special = {token["content"] for token in config.get("added_tokens") or [] if token["special"]}
        added = [token for token in config.get("added_tokens") or [] if not token["special"]]
        if model.get("type") == "Unigram":
            vocab = [[UNREACHABLE + piece if piece in special else piece, score] for piece, score in model["vocab"]]
            model = {**model, "vocab": vocab}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"tokenizer {path}: not a tokenizer.json ({type(error).__name__}: {error})") from error
    if model.get("dropout"):
        raise ConfigError(f"tokenizer {path}: its dropout is {model['dropout']}, so ids would be random; wanted none")
    nothing = {"truncation": None, "padding": None, "post_processor": None}
    return {**config, **nothing, "model": model, "added_tokens": added}


def _load(config: Mapping[str, Any], path: str) -> Tokenizer:
    try:
        return Tokenizer.from_str(json.dumps(config))
    except Exception as error:  # the library raises nothing narrower
        raise ConfigError(f"tokenizer {path}: not a tokenizer.json ({error})") from error


def _sentencepiece(model: Any, path: str) -> SentencePiece:
    try:
        return SentencePiece(base64.b64decode(model, validate=True))
    except (ValueError, TypeError, RuntimeError) as error:
        raise ConfigError(f"tokenizer {path}: what it holds as `{MODEL_KEY}` is no model ({error})") from error


@njit(cache=True, nogil=True)
def _wrap(tokens, offsets, before, after, out, out_offsets):  # type: ignore[no-untyped-def]
    """Copy with `before` and `after` (-1: none) around each document; the largest id met."""
    at = 0
    largest = np.int64(-1)
    out_offsets[0] = 0
    for d in range(len(offsets) - 1):
        if before >= 0:
            out[at] = before
            at += 1
        for i in range(offsets[d], offsets[d + 1]):
            largest = max(largest, np.int64(tokens[i]))
            out[at] = tokens[i]
            at += 1
        if after >= 0:
            out[at] = after
            at += 1
        out_offsets[d + 1] = at
    return largest
