"""A SentencePiece .model as a tokenizer.json.

The file is a protocol buffer, sentencepiece_model.proto; what decides ids is read from it here, because the library
has no call for it, and the reader of protocol buffers in its package wants a newer protobuf than Beam takes. Whether
the tokenizer.json gives the same ids is found out by comparing (`convert.py`): the proto leaves room for models that
nothing but the library itself encodes alike.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers

from corpusmill.errors import ConfigError

SPACE = "▁"
UNIGRAM, BPE = 1, 2
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""ModelType and SentencePiece.Type in sentencepiece_model.proto."""


@dataclass(frozen=True)
class Model:
    """What of a .model decides ids: `pieces` are (piece, score, type), ids are positions."""

    pieces: tuple[tuple[str, float, int], ...]
    kind: int = UNIGRAM
    byte_fallback: bool = False
    space_behind: bool = False
    charsmap: bytes = b""
    space_before: bool = True
    trim_spaces: bool = True
    escape_spaces: bool = True


def read_model(data: bytes, path: str) -> Model:
    """Raises ConfigError for what is no such file."""
    try:
        pieces, trainer, normalizer = [], {}, {}
        for number, value in _fields(data):
            if number == 1:
                piece = dict(_fields(value))
                score = struct.unpack("<f", piece.get(2, bytes(4)))[0]
                pieces.append((piece[1].decode(), score, int(piece.get(3, NORMAL))))
            elif number == 2:
                trainer = dict(_fields(value))
            elif number == 3:
                normalizer = dict(_fields(value))
        if not pieces:
            raise ValueError("no pieces")
        return Model(
            pieces=tuple(pieces),
            kind=int(trainer.get(3, UNIGRAM)),
            space_behind=bool(trainer.get(24, 0)),
            byte_fallback=bool(trainer.get(35, 0)),
            charsmap=bytes(normalizer.get(2, b"")),
            space_before=bool(normalizer.get(3, 1)),
            trim_spaces=bool(normalizer.get(4, 1)),
            escape_spaces=bool(normalizer.get(5, 1)),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error) as error:
        raise ConfigError(
            f"tokenizer {path}: not a tokenizer.json, a SentencePiece .model or a tiktoken file ({error})"
        ) from None


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a message: int for varints, else bytes. Raises ValueError, IndexError."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if number == 0 or at + size > len(data):
            raise ValueError(f"field {number} of {size} bytes at byte {at} of {len(data)}")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(f"a number of more than 64 bits at byte {at}")


def to_tokenizer(model: Model, path: str) -> Tokenizer:
    """The nearest tokenizer there is. Raises ConfigError for models of words or characters, and doubled pieces."""
    ids = {piece: number for number, (piece, _, _) in enumerate(model.pieces)}
    if len(ids) < len(model.pieces):
        raise ConfigError(f"tokenizer {path}: {len(model.pieces) - len(ids)} pieces are in its vocabulary twice")
    unknown = [piece for piece, _, kind in model.pieces if kind == UNKNOWN]
    core: models.Model
    if model.kind == BPE:
        core = models.BPE(
            vocab=ids,
            merges=_merges(model),
            unk_token=unknown[0] if unknown else None,
            fuse_unk=True,
            byte_fallback=model.byte_fallback,
        )
    elif model.kind == UNIGRAM:
        scored = [(piece, score) for piece, score, _ in model.pieces]
        core = models.Unigram(scored, unk_id=ids[unknown[0]] if unknown else None, byte_fallback=model.byte_fallback)
    else:
        raise ConfigError(f"tokenizer {path}: a SentencePiece model of type {model.kind}; wanted BPE or unigram")
    tokenizer = Tokenizer(core)
    steps = _normalizers(model)
    if steps:
        tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.decoder = _decoder(model)
    tokenizer.add_special_tokens(
        [AddedToken(p, special=True, normalized=False) for p, _, kind in model.pieces if kind in (CONTROL, UNKNOWN)]
    )
    tokenizer.add_tokens([AddedToken(p, normalized=False) for p, _, kind in model.pieces if kind == USER_DEFINED])
    return tokenizer


def _merges(model: Model) -> list[tuple[str, str]]:
    """Every way in which two pieces make a third, in the order of its score, for SentencePiece merges whatever fits."""
    merged = {piece: score for piece, score, kind in model.pieces if kind in (NORMAL, USER_DEFINED, UNUSED)}
    return [
        (piece[:cut], piece[cut:])
        for piece in sorted(merged, key=lambda piece: -merged[piece])
        for cut in range(1, len(piece))
        if piece[:cut] in merged and piece[cut:] in merged
    ]


def _normalizers(model: Model) -> list[normalizers.Normalizer]:
    steps: list[normalizers.Normalizer] = []
    if model.charsmap:
        steps.append(normalizers.Precompiled(model.charsmap))
    if model.trim_spaces:
        steps += [normalizers.Replace(Regex(r"\A +| +\z"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    if model.space_before and not model.space_behind:
        steps.append(normalizers.Prepend(" "))
    if model.escape_spaces:
        steps.append(normalizers.Replace(" ", SPACE))
    return steps


def _decoder(model: Model) -> decoders.Decoder:
    steps: list[Any] = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if model.space_before:
        steps.append(decoders.Strip(" ", int(not model.space_behind), int(model.space_behind)))
    return decoders.Sequence(steps)
