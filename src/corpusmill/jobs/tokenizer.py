"""Train a tokenizer on text files, or check one: round trip, bytes per token, and which back end may encode."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from rich.console import Console

from corpusmill.errors import CorpusmillError
from corpusmill.pipeline import readers
from corpusmill.text import Texts
from corpusmill.tokenize.encode import Encoder, hostile_texts
from corpusmill.tokenize.train import TokenizerTraining, train_tokenizer


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    train = actions.add_parser("train", help="train a tokenizer and write its tokenizer.json")
    train.add_argument("--out", required=True, metavar="FILE", help="the tokenizer.json to write")
    train.add_argument("--vocab-size", type=int, default=32000, metavar="N", help="ids in all (default 32000)")
    train.add_argument("--kind", choices=("bpe", "llama"), default="bpe", help="byte-level, or as LLaMA (default bpe)")
    train.add_argument("--max-bytes", type=int, default=256 << 20, metavar="N", help="read at most this much text")
    check = actions.add_parser("check", help="check a tokenizer on hostile texts and your own")
    check.add_argument("tokenizer", metavar="FILE", help="a tokenizer.json")
    check.add_argument("--max-bytes", type=int, default=8 << 20, metavar="N", help="read at most this much text")
    for action in (train, check):
        action.add_argument("paths", nargs="+", metavar="PATH", help="files, folders or globs of text")
        formats = sorted(readers.FORMATS)
        action.add_argument("--format", choices=formats, default="jsonl", help="of the files (default jsonl)")
        action.add_argument("--text-field", default="text", metavar="NAME", help="key or column (default text)")


def texts_of(paths: Sequence[str], format: str, text_field: str, max_bytes: int) -> Iterator[str]:
    """Texts of the files, in the order of their names, until `max_bytes` have been read."""
    left = max_bytes
    files = readers.find_files(paths)
    for unit in readers.cut(files, format, source="sample"):
        for batch in readers.read(unit, readers.ReaderOptions(text_field=text_field)):
            for text in batch.documents.column("text").to_pylist():
                if left <= 0:
                    return
                left -= len(text.encode())
                yield text


def do(given: argparse.Namespace, console: Console) -> None:
    """Train or check."""
    texts = texts_of(given.paths, given.format, given.text_field, given.max_bytes)
    if given.action == "train":
        options = TokenizerTraining(kind=given.kind, vocab_size=given.vocab_size)
        made = train_tokenizer(texts, options, given.out)
        print(f"{given.out}: {made['kind']}, {made['vocab_size']} ids, from {made['bytes']} bytes of text")
        return
    encoder = Encoder(given.tokenizer)
    sample = list(texts)
    encoder.admit(sample)
    changed = [text for text in [*hostile_texts(()), *sample] if round_trip(encoder, text) != text]
    tokens, _ = encoder.encode(Texts.from_strings(sample[:1]))
    total_tokens = total_bytes = 0
    for start in range(0, len(sample), 1024):
        piece = Texts.from_strings(sample[start : start + 1024])
        tokens, _ = encoder.encode(piece)
        total_tokens, total_bytes = total_tokens + len(tokens), total_bytes + int(piece.bytes.sum())
    print(f"{given.tokenizer}: {encoder.vocab_size} ids, {encoder.dtype}, sha256 {encoder.fingerprint()}")
    print(f"{total_bytes} bytes, {total_tokens} tokens, {total_bytes / max(1, total_tokens):.3f} bytes per token")
    print(f"back end {encoder.backend}: {encoder.reason}")
    print(f"{len(changed)} of {len(sample) + len(hostile_texts(()))} texts do not come back exactly")
    if changed:
        raise CorpusmillError(f"round trip fails, first for {changed[0][:80]!r}; this tokenizer loses text")


def round_trip(encoder: Encoder, text: str) -> str:
    """The text after encoding and decoding."""
    tokens, _ = encoder.encode(Texts.from_strings([text]))
    return encoder.decode(tokens)
