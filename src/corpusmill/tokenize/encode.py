"""Texts to token ids and back, from Arrow buffers to flat arrays.

The reference is Hugging Face `tokenizers`. The fast back end, gigatoken, is used only after it gave the same ids, cold
and warm, on a fixed set of hostile texts and on a sample of the user's own: a tokenizer that is almost right ruins a
corpus quietly.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import awkward
import gigatoken
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit
from tokenizers import Tokenizer

from corpusmill.errors import ConfigError, IntegrityError, NotCommitted
from corpusmill.storage import read_bytes
from corpusmill.text import Offsets, Texts

VERSION = 1
UINT16_VOCAB = 65_536
"""Largest vocabulary whose ids are stored in 16 bits."""
REFRESH_BYTES = 64 << 20
"""gigatoken remembers every word it meets and never forgets: on text whose words never repeat its memory grows by
6 bytes for each byte of text. A new instance after this much text keeps that below 400 MiB and costs under a tenth."""

EOS_TOKENS = ("<|endoftext|>", "</s>", "<eos>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "[SEP]")
BOS_TOKENS = ("<s>", "<bos>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>", "[CLS]", "<|endoftext|>")
PAD_TOKENS = ("<|padding|>", "<pad>", "<|pad|>", "[PAD]", "<|finetune_right_pad_id|>", "<｜▁pad▁｜>")
"""Names looked for, in this order, where the policy names none."""

Backend = Literal["gigatoken", "tokenizers"]
Ids = npt.NDArray[np.uint32]
Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


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


DEFAULT_POLICY = Policy()


class Encoder:
    """A tokenizer.json and what to put around documents.

    vocab_size  largest id + 1, added tokens included
    dtype       uint16 up to 65,536 ids, else uint32
    eos_id      None where the policy wants none and there is none
    bos_id      None where the policy wants none
    pad_id      eos_id where the tokenizer has no padding token: segments say what is padding, never the id
    backend     "gigatoken" or "tokenizers"; `reason` says why
    """

    def __init__(
        self, path: str | Path, policy: Policy = DEFAULT_POLICY, backend: Backend = "tokenizers", reason: str = ""
    ) -> None:
        """Load a tokenizer.json. A worker is given the `backend` and `reason` that `admit` found in the driver.

        Raises ConfigError for a file that is missing or no tokenizer, and for special tokens it does not have.
        """
        self.path = str(path)
        self.policy = policy
        self.backend: Backend = backend
        self.reason = reason or "not compared with the other back end"
        data = _read(self.path)
        self._sha256 = hashlib.sha256(data).hexdigest()
        self._plain = _without_extras(data, self.path)
        self._reference = _load(self._plain, self.path)
        self._full = _load(data.decode(), self.path)
        self._fast: Any = None
        self._fast_bytes = 0
        self.vocab_size: int = max(self._full.get_vocab(with_added_tokens=True).values(), default=-1) + 1
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
            raise ConfigError(
                f"tokenizer {self.path}: no {field} {named!r} among its added tokens; "
                f"it has {', '.join(sorted(added)[:20]) or 'none'}; name one of them with {field} = …"
            )
        return None

    def fingerprint(self) -> str:
        """sha256, hex, of the tokenizer.json."""
        return self._sha256

    def describe(self) -> dict[str, Any]:
        """What a manifest says of it. `Encoder(path, Policy(**policy), backend, backend_reason)` is this one again."""
        return {
            "vocab_size": self.vocab_size,
            "eos_id": self.eos_id,
            "bos_id": self.bos_id,
            "pad_id": self.pad_id,
            "policy": asdict(self.policy),
            "backend": self.backend,
            "backend_reason": self.reason,
        }

    def admit(self, sample: Iterable[str]) -> bool:
        """Compare the back ends on the hostile texts and on `sample`; use gigatoken where not one id differs.

        The reference reads a few MB/s: some MB of sample are enough. `backend` and `reason` tell the outcome, which
        depends on the tokenizer and the sample alone.
        """
        added = sorted(token.content for token in self._full.get_added_tokens_decoder().values())
        texts = Texts.from_strings([*hostile_texts(added), *sample])
        self.backend, self._fast = "tokenizers", None
        try:
            runs = {"cold": self._encode_fast(texts), "warm": self._encode_fast(texts)}
        except (RuntimeError, ValueError, TypeError, KeyError) as error:
            self.reason = f"gigatoken can't run it: {str(error).strip().splitlines()[0]}"
            return False
        tokens, offsets = self._encode_reference(texts)
        for name, (fast_tokens, fast_offsets) in runs.items():
            if not (np.array_equal(offsets, fast_offsets) and np.array_equal(tokens, fast_tokens)):
                self.reason = f"gigatoken ({name}) differs from tokenizers on {len(texts)} texts"
                return False
        self.backend, self.reason = "gigatoken", f"same ids as tokenizers: {len(texts)} texts, {len(tokens)} tokens"
        return True

    def encode(self, texts: Texts | pa.LargeStringArray) -> tuple[Tokens, Offsets]:
        """Flat tokens `self.dtype`[t] and int64[n + 1]: document d has tokens[offsets[d]:offsets[d + 1]].

        Every text is ordinary text: a special token's name in it does not become the special token. Raises
        IntegrityError for an id outside the vocabulary.
        """
        if not isinstance(texts, Texts):
            texts = Texts.from_arrow(texts)
        tokens, offsets = (self._encode_fast if self.backend == "gigatoken" else self._encode_reference)(texts)
        before = self.bos_id if self.policy.bos and self.bos_id is not None else -1
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

    def _encode_fast(self, texts: Texts) -> tuple[Ids, Offsets]:
        size = int(texts.offsets[-1] - texts.offsets[0])
        if self._fast is None or self._fast_bytes + size > REFRESH_BYTES:
            self._fast = gigatoken.Tokenizer.from_json(self._plain)
            self._fast_bytes = 0
        self._fast_bytes += size
        characters = awkward.contents.NumpyArray(texts.data, parameters={"__array__": "char"})
        offsets = awkward.index.Index64(texts.offsets)
        strings = awkward.contents.ListOffsetArray(offsets, characters, parameters={"__array__": "string"})
        # Not parallel: the pipeline's workers are; a thread pool in each would only crowd the cores.
        layout = self._fast.encode_batch(awkward.Array(strings), parallel=False).layout
        return np.asarray(layout.content.data), np.asarray(layout.offsets.data)

    def _encode_reference(self, texts: Texts) -> tuple[Ids, Offsets]:
        encodings = self._reference.encode_batch_fast(texts.to_list(), add_special_tokens=False)
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum([len(encoding) for encoding in encodings], out=offsets[1:])
        tokens = np.empty(offsets[-1], dtype=np.uint32)
        for d, encoding in enumerate(encodings):
            tokens[offsets[d] : offsets[d + 1]] = encoding.ids
        return tokens, offsets


def _read(path: str) -> bytes:
    try:
        return read_bytes(path)
    except (OSError, NotCommitted) as error:
        raise ConfigError(f"tokenizer {path}: can't be read ({error}); wanted a tokenizer.json") from error


def _without_extras(data: bytes, path: str) -> str:
    """The tokenizer without what changes documents: special tokens found in text, truncation, padding, templates."""
    try:
        config = json.loads(data)
        added = [token for token in config.get("added_tokens") or [] if not token["special"]]
        dropout = config["model"].get("dropout")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"tokenizer {path}: not a tokenizer.json ({type(error).__name__}: {error})") from error
    if dropout:
        raise ConfigError(f"tokenizer {path}: its dropout is {dropout}, so ids would be random; wanted none")
    return json.dumps({**config, "added_tokens": added, "truncation": None, "padding": None, "post_processor": None})


def _load(config: str, path: str) -> Tokenizer:
    try:
        return Tokenizer.from_str(config)
    except Exception as error:  # the library raises nothing narrower
        raise ConfigError(f"tokenizer {path}: not a tokenizer.json ({error})") from error


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


_HOSTILE = (
    "",
    " ",
    "  ",
    "   \n",
    "\n",
    "\n\n\n",
    "\r\n\r\n",
    "\t\t x\t",
    " leading",
    "trailing ",
    "two  spaces   three    four",
    "line\nline\n\n  indented\n\tdef f(x):\n\t\treturn x\n",
    "\x00",
    "a\x00b\x01\x02\x1b[0m\x7f",
    "\ufeffbyte order mark",
    "I'm you're we've he'd she'll it's don't I'M YOU'RE 'tis o'clock ''s 's",
    "don’t curly ‘quotes’ “double” – — …",
    "0 1 12 123 1234 12345678901234567890 3.14159 1,000,000 1e-9 0x1F v1.2.3",
    "½ ² ③ Ⅷ ٣٤٥ १२३ 四十二 𝟙𝟚𝟛",
    "snake_case camelCase SCREAMING_CASE kebab-case path/to/file.txt C:\\dir\\x",
    "https://example.org/a?b=c&d=%20#e user@example.org",
    "<html><b class='x'>&amp;&nbsp;</b><!-- c --></html>",
    "$x^2 + \\frac{1}{2}$ \\begin{align}a&=b\\\\\\end{align}",
    "=" * 300,
    "-" * 77 + "\n" + "*" * 1025,
    "a" * 3000,
    "ab" * 2000,
    " " * 1000,
    "\n" * 1000,
    "é" * 700,
    "漢" * 700,
    "🙂" * 300,
    "e\u0301 cafe\u0301 n\u0303 \u0301alone a" + "\u0300\u0301\u0302\u0303" * 50,
    "ﬁ ﬂ Å Å ﷺ Ǆ ſ İ ı ß ẞ",
    "👩‍👩‍👧‍👦 👍🏽 🇩🇪🇫🇷 ❤️ #️⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "שלום עולם مرحبا بالعالم \u202eright\u202c \u200fmark\u200e",
    "हिन्दी பதிவு ไทยไม่มีช่องว่าง ភាសាខ្មែរ မြန်မာ",
    "日本語のテキスト、改行も。한국어 문장 中文，没有空格。",
    "Ελληνικά Русский Українська հայերեն ქართული አማርኛ ᚠᚢᚦ 𐍈𐌿 𓀀 𝔘𝔫𝔦",
    "\u00a0no-break\u00a0space \u2003em \u3000ideographic \u200bzero \u2060joiner",
    "\u180e \u0085 \u2028 \u2029 \x0b \x0c x",
    "soft\u00adhyphen \u2011 \u2010",
    "\ue000 \uf8ff private \U000f0000 \U0010ffff \ufffe \uffff \ufffd replacement",
    "▁lower▁block ▁ ▁▁ Ġ Ċ ĉ ł",
    "<0x0A> <0xE2> <unk> <s> </s> [INST] [/INST] <|im_start|>user<|im_end|> <|endoftext|><|padding|>",
    "<|endoftext|>",
    "a<|endoftext|>b",
    "<|endoftext|> <|end oftext|> < |endoftext|>",
    "x\n<|endoftext|>\ny",
)


def hostile_texts(added_tokens: Iterable[str]) -> list[str]:
    """Texts on which tokenizers disagree: fixed ones, every block of characters, names of added tokens in company."""
    starts = [*range(0, 0xD800, 0x100), *range(0xE000, 0x10000, 0x100)]  # between them are the surrogates
    blocks = ["".join(chr(c) for c in range(start, start + 0x100)) for start in starts]
    astral = ["".join(chr(c) for c in range(start, start + 0x40)) for start in range(0x10000, 0x20000, 0x400)]
    spaced = [" ".join(block) for block in blocks[:4]]
    names = list(added_tokens)
    company = [form for name in names for form in (name, f"a{name}b", f" {name} ", f"\n{name}\n", name + name)]
    return [*_HOSTILE, *blocks, *astral, *spaced, *company, " ".join(names), "".join(names)]
