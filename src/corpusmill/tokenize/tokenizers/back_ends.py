"""What turns texts into ids: two references and a fast one, all with the same call.

tokenizers     Hugging Face's library, the reference for a tokenizer.json
sentencepiece  Google's library, the reference for a SentencePiece model that no tokenizer.json is equal to
gigatoken      used only where it gives the same ids as the reference
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import awkward
import gigatoken
import numpy as np
import numpy.typing as npt
import sentencepiece
from numba import njit
from tokenizers import Tokenizer, normalizers

from corpusmill.text import Offsets, Texts

REFRESH_BYTES = 64 << 20
"""gigatoken remembers every word it meets and never forgets: on text whose words never repeat its memory grows by
6 bytes for each byte of text. A new instance after this much text keeps that below 400 MiB and costs under a tenth."""
SLICE_BYTES = 1 << 20
"""The references make some hundred bytes of objects for each token: they are given so much text at once, or one."""

Form = Literal["NFC", "NFKC"]
FORMS: Mapping[Form, tuple[int, Callable[[str], str]]] = {
    "NFC": (0xCC, normalizers.NFC().normalize_str),
    "NFKC": (0xC2, normalizers.NFKC().normalize_str),
}
"""Normal forms: the first byte of the first character that a text in them may have to lose, U+0300 or U+00A0."""

Ids = npt.NDArray[np.uint32]
BackEnd = Callable[[Texts], tuple[Ids, Offsets]]
"""n texts → flat uint32[t] and int64[n + 1]: text d has ids[offsets[d]:offsets[d + 1]]."""


class Gigatoken:
    """Threads of its own would only crowd the cores that the pipeline's workers have, so it uses none."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take the content of a tokenizer.json; it is loaded at the first call, which raises what gigatoken raises."""
        self._form, config = _without_form(config)
        self._config = json.dumps(config)
        self._fast: Any = None
        self._seen_bytes = 0

    def __call__(self, texts: Texts) -> tuple[Ids, Offsets]:
        """Encode; nothing is copied on the way in or out, but for a normal form."""
        if self._form is not None:
            texts = _in_form(texts, self._form)
        size = int(texts.offsets[-1] - texts.offsets[0])
        if self._fast is None or self._seen_bytes + size > REFRESH_BYTES:
            self._fast = gigatoken.Tokenizer.from_json(self._config)
            self._seen_bytes = 0
        self._seen_bytes += size
        characters = awkward.contents.NumpyArray(texts.data, parameters={"__array__": "char"})
        offsets = awkward.index.Index64(texts.offsets)
        strings = awkward.contents.ListOffsetArray(offsets, characters, parameters={"__array__": "string"})
        layout = self._fast.encode_batch(awkward.Array(strings), parallel=False).layout
        return np.asarray(layout.content.data), np.asarray(layout.offsets.data)


class Tokenizers:
    """Its only way out of an encoding is a Python list of ids, so this one is slow; memory is bounded by slices."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __call__(self, texts: Texts) -> tuple[Ids, Offsets]:
        """Encode."""
        parts = [
            np.array(encoding.ids, dtype=np.uint32)
            for some in _slices(texts)
            for encoding in self._tokenizer.encode_batch_fast(some, add_special_tokens=False)
        ]
        return _joined(parts)


class SentencePiece:
    """A SentencePiece model by the library that made it. Names of control pieces in text are ordinary text to it."""

    def __init__(self, model: bytes) -> None:
        """Raise RuntimeError for what is no model."""
        self._processor = sentencepiece.SentencePieceProcessor()
        self._processor.LoadFromSerializedProto(model)

    def __call__(self, texts: Texts) -> tuple[Ids, Offsets]:
        """Encode."""
        parts = [
            ids.astype(np.uint32)
            for some in _slices(texts)
            for ids in self._processor.Encode(some, return_type="numpy", num_threads=1)
        ]
        return _joined(parts)


def first_difference(one: tuple[Ids, Offsets], other: tuple[Ids, Offsets]) -> int | None:
    """The first text that two back ends give different ids for."""
    (ids, offsets), (other_ids, other_offsets) = one, other
    if np.array_equal(ids, other_ids) and np.array_equal(offsets, other_offsets):
        return None
    for d in range(len(offsets) - 1):
        of_one = ids[offsets[d] : offsets[d + 1]]
        if not np.array_equal(of_one, other_ids[other_offsets[d] : other_offsets[d + 1]]):
            return d
    return None


def _without_form(config: Mapping[str, Any]) -> tuple[Form | None, Mapping[str, Any]]:
    """NFC or NFKC, if that is the first thing the tokenizer does to a text, and the tokenizer without it.

    gigatoken has NFC of a newer Unicode than tokenizers, so that it would never be admitted, and no NFKC.
    """
    normalizer = config.get("normalizer") or {}
    steps = normalizer.get("normalizers") if normalizer.get("type") == "Sequence" else [normalizer]
    if not steps or steps[0].get("type") not in FORMS:
        return None, config
    rest = {**normalizer, "normalizers": steps[1:]} if steps[1:] else None
    return steps[0]["type"], {**config, "normalizer": rest}


def _in_form(texts: Texts, form: Form) -> Texts:
    """The texts in a normal form, made by tokenizers itself, where they are not in it."""
    lowest, normalize = FORMS[form]
    suspects = np.empty(len(texts), dtype=np.bool_)
    _have_byte_from(texts.data, texts.offsets, lowest, suspects)
    if not suspects.any():
        return texts
    strings = texts.to_list()
    for d in np.flatnonzero(suspects).tolist():
        if not unicodedata.is_normalized(form, strings[d]):
            strings[d] = normalize(strings[d])
    return Texts.from_strings(strings)


@njit(cache=True, nogil=True)
def _have_byte_from(data, offsets, lowest, found):  # type: ignore[no-untyped-def]
    """Which texts have a byte of `lowest` or above."""
    for d in range(len(found)):
        most = np.uint8(0)
        for i in range(offsets[d], offsets[d + 1]):
            most = max(most, data[i])
        found[d] = most >= lowest


def _slices(texts: Texts) -> Iterator[list[str]]:
    """All texts as Python strings, SLICE_BYTES of them at once."""
    array, start = texts.to_arrow(), 0
    while start < len(texts):
        stop = int(np.searchsorted(texts.offsets, texts.offsets[start] + SLICE_BYTES, side="right")) - 1
        stop = min(max(stop, start + 1), len(texts))
        yield array[start:stop].to_pylist()
        start = stop


def _joined(parts: list[Ids]) -> tuple[Ids, Offsets]:
    offsets = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    return np.concatenate([*parts, np.empty(0, dtype=np.uint32)]), offsets
