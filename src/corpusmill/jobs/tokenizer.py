"""Train a tokenizer, or check one: does every text come back, how many tokens does a word take, who may encode.

Texts are those of files, folders and globs, of a recipe's sources (a path that ends in .toml), or the kept documents of
a run (its directory). `check RUN` alone takes the run's own tokenizer and documents. A tokenizer is a tokenizer.json, a
SentencePiece .model or a tiktoken file. The exit code of a check is 1 if a text is lost; one that comes back in the
form that the tokenizer's own normalisation gives it is not.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

import corpusmill.dedup
import corpusmill.filters  # noqa: F401  both register their steps
from corpusmill import manifest
from corpusmill.errors import ConfigError, CorpusmillError
from corpusmill.filters.measure import measure
from corpusmill.jobs.places import RUN, finished_run, imported, kind_of
from corpusmill.options import build
from corpusmill.pipeline import readers
from corpusmill.pipeline.curate import reader_options
from corpusmill.pipeline.directory import entries_of
from corpusmill.pipeline.tokens import TOKENIZER, sample
from corpusmill.recipe import Source, load, read_body
from corpusmill.storage import read_bytes
from corpusmill.text import Texts
from corpusmill.tokenize.tokenizers.convert import convert
from corpusmill.tokenize.tokenizers.encode import Encoder
from corpusmill.tokenize.tokenizers.examine import LOST, NORMALIZED, Examined, examine, joined
from corpusmill.tokenize.tokenizers.hostile import hostile_texts
from corpusmill.tokenize.tokenizers.train import train_tokenizer
from corpusmill.tokenizer_options import Policy, TokenizerTraining

TIMED_BYTES = 2 << 20
"""The speed printed is that of so much text."""
BATCH = 1024

Sampled = list[tuple[str, list[str]]]
"""Names of sources and their texts; two recipes may have sources of one name."""


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    train = actions.add_parser("train", help="train a tokenizer and write its tokenizer.json")
    train.add_argument("paths", nargs="+", metavar="PATH", help="files, folders, globs, a recipe, a run")
    train.add_argument("--out", required=True, metavar="FILE", help="the tokenizer.json to write")
    train.add_argument("--vocab-size", type=int, metavar="N", help="ids in all (default 32000)")
    train.add_argument("--kind", choices=("bpe", "llama"), help="byte-level, or as LLaMA (default bpe)")
    train.add_argument("--special-tokens", nargs="+", metavar="NAME", help="the first ends documents")
    train.add_argument("--normalization", choices=("off", "nfc", "nfkc"), help="changes texts (default off)")
    train.add_argument("--digits", choices=("whole", "threes", "single"), help="how numbers are cut")
    train.add_argument("--character-coverage", type=float, metavar="X", help="kind llama (default 0.9995)")
    train.add_argument("--min-frequency", type=int, metavar="N", help="of a pair to be merged (default 2)")
    train.add_argument("--max-token-chars", type=int, metavar="N", help="longest piece (default 16)")
    train.add_argument("--max-bytes", type=int, metavar="N", help="of text (default 64 MiB)")
    check = actions.add_parser("check", help="check a tokenizer on hostile texts and your own")
    check.add_argument("tokenizer", metavar="TOKENIZER", help="its file, or a run directory")
    check.add_argument("paths", nargs="*", metavar="PATH", help="files, folders, globs, a recipe, a run")
    check.add_argument("--max-bytes", type=int, default=8 << 20, metavar="N", help="of text (default 8 MiB)")
    check.add_argument("--pattern", metavar="NAME", help="tiktoken file: how it cuts text (default: by its name)")
    check.add_argument("--special-tokens", nargs="+", default=[], metavar="NAME", help="tiktoken file: added tokens")
    check.add_argument("--eos-token", metavar="NAME", help="what ends documents (default: the usual ones)")
    for action in (train, check):
        formats = sorted(readers.FORMATS)
        action.add_argument("--format", choices=formats, default="jsonl", help="of the files (default jsonl)")
        action.add_argument("--text-field", default="text", metavar="NAME", help="key or column (default text)")


def do(given: argparse.Namespace, console: Console) -> None:
    """Train or check. Raises ConfigError, and CorpusmillError where a tokenizer loses text."""
    (_train if given.action == "train" else _check)(given, console)


def _train(given: argparse.Namespace, console: Console) -> None:
    if Path(given.out).is_dir():
        raise ConfigError(f"--out {given.out} is a folder; wanted the name of a file, such as tokenizer.json")
    recipes = [path for path in given.paths if path.endswith(".toml")]
    base = load(recipes[0]).tokenizer.train if recipes else None
    names = {field.name for field in fields(TokenizerTraining)}
    said = {name: value for name, value in vars(given).items() if name in names and value is not None}
    if given.max_bytes is not None:
        said["sample_bytes"] = given.max_bytes
    if "kind" in said and "digits" not in said:
        said["digits"] = "off"
    options = build(TokenizerTraining, {**(asdict(base) if base else {}), **said})
    with console.status("reading and training"):
        texts = _all(_texts(given, options.sample_bytes))
        made = train_tokenizer(texts, options, given.out)
    print(f"{given.out}: {made['kind']}, {made['vocab_size']} ids, from {made['bytes']} bytes of text")
    if options.normalization is not None:
        print(f"texts come back in {options.normalization.upper()}, not exactly as they were")


def _check(given: argparse.Namespace, console: Console) -> None:
    own = _is_run(given.tokenizer)
    path = str(Path(given.tokenizer) / TOKENIZER) if own else given.tokenizer
    if not given.paths and not own:
        raise ConfigError(f"check {given.tokenizer}: no texts to check it on; wanted files, a recipe or a run")
    if not Path(path).exists():
        raise ConfigError(f"tokenizer {path}: no such file")
    given.paths = given.paths or [given.tokenizer]
    try:
        data = read_bytes(path)
    except (OSError, CorpusmillError) as error:
        raise ConfigError(f"tokenizer {path}: can't be read ({error})") from error
    with console.status("reading and encoding"):
        sources = _texts(given, given.max_bytes)
        strings = _all(sources)
        made = convert(data, path, strings, given.pattern, given.special_tokens)
        policy = _policy_of(given.tokenizer) if own else Policy()
        encoder = Encoder(path, replace(policy, eos_token=given.eos_token or policy.eos_token), data=made.data)
        encoder.admit(strings)
        hostile = examine(encoder, hostile_texts(()))
        figures = joined([examine(encoder, strings[at : at + BATCH]) for at in range(0, len(strings), BATCH)])
    out = Console(highlight=False, soft_wrap=True, width=120)
    out.print(f"{path}: {encoder.vocab_size} ids, {encoder.dtype}, sha256 {encoder.fingerprint()}", markup=False)
    out.print(f"{made.format}: {made.proof}", markup=False)
    out.print(_table(sources, figures))
    out.print(f"back end {encoder.backend}: {encoder.reason}", markup=False)
    for name, speed in _speeds(encoder, made.data, strings).items():
        out.print(f"  {name}: {speed:.1f} MB/s", markup=False)
    _judge(out, joined([hostile, figures]), [*hostile_texts(()), *strings])


def _policy_of(run: str) -> Policy:
    """Which special tokens stand around the documents of a run."""
    stage = next(stage for stage in finished_run(run)[1] if "encoder" in stage)
    return Policy(**stage["encoder"]["policy"])


def _judge(out: Console, figures: Examined, strings: Sequence[str]) -> None:
    lost = np.flatnonzero(figures.fate == LOST)
    normalized = int((figures.fate == NORMALIZED).sum())
    out.print(f"{len(lost)} of {len(strings)} texts are lost, {normalized} come back in the tokenizer's normal form")
    if len(lost):
        text = strings[int(lost[0])]
        raise CorpusmillError(f"round trip fails, first for {text[:80]!r}; this tokenizer loses text")


def _is_run(path: str) -> bool:
    """Whether a path is a finished run. Raises ConfigError for a folder of another command: it has no texts."""
    inside = Path(path) / manifest.RUN_MANIFEST
    if not inside.is_file():
        return False
    kind = kind_of(manifest.load(str(inside)))
    if kind != RUN:
        raise ConfigError(f"{path} is {kind}, which holds no texts; wanted a tokenizer, texts, a recipe or {RUN}")
    return True


def _texts(given: argparse.Namespace, max_bytes: int) -> Sampled:
    """Texts of all paths by source, each with an even share of `max_bytes`."""
    streams: list[tuple[str, Iterator[str]]] = []
    for path in given.paths:
        if path.endswith(".toml"):
            streams += [(source.name, _of_source(source)) for source in load(path).sources]
        elif _is_run(path):
            streams += _of_run(path, max_bytes)
        else:
            options = readers.ReaderOptions(text_field=given.text_field)
            streams.append((path, _of_files([path], given.format, options)))
    return [(name, list(_until(stream, max_bytes // len(streams)))) for name, stream in streams]


def _all(sources: Sampled) -> list[str]:
    return [text for _, found in sources for text in found]


def texts_of(paths: Sequence[str], format: str, text_field: str, max_bytes: int) -> Iterator[str]:
    """Texts of the files, in the order of their names, until `max_bytes` have been read."""
    return _until(_of_files(paths, format, readers.ReaderOptions(text_field=text_field)), max_bytes)


def _of_source(source: Source) -> Iterator[str]:
    return _of_files(source.paths, source.format, reader_options(source))


def _of_files(paths: Sequence[str], format: str, options: readers.ReaderOptions) -> Iterator[str]:
    """In the order of the files' names."""
    for unit in readers.cut(readers.find_files(paths), format, source="sample"):
        for batch in readers.read(unit, options):
            yield from batch.documents.column("text").to_pylist()


def _of_run(path: str, max_bytes: int) -> list[tuple[str, Iterator[str]]]:
    """The documents of each source that were kept, a sample of them as a run takes it."""
    directory, stages = finished_run(path)
    if imported(stages):
        raise ConfigError(f"{path}: an import has tokens and no texts; give texts to check its tokenizer on")
    entries = entries_of(next(stage for stage in stages if stage["kind"] == "tokenizer"))
    names = sorted({entry.source for entry in entries})
    seed = read_body(directory.path("recipe.toml"))["seed"]
    return [
        (name, sample(directory, [entry for entry in entries if entry.source == name], max_bytes // len(names), seed))
        for name in names
    ]


def _until(texts: Iterator[str], max_bytes: int) -> Iterator[str]:
    left = max_bytes
    for text in texts:
        if left <= 0:
            return
        left -= len(text.encode("utf-8", "replace"))
        yield text


def _table(sources: Sampled, figures: Examined) -> Table:
    strings = _all(sources)
    owner = np.repeat(np.arange(len(sources)), [len(found) for _, found in sources])
    labels = np.array(_languages(strings), dtype=np.str_)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("", overflow="fold")
    for title in ("texts", "bytes", "tokens", "tokens/word", "bytes/token", "unknown"):
        table.add_column(title, justify="right", no_wrap=True)
    for number, (name, _) in enumerate(sources):
        table.add_row(*_row(name, figures.summed(owner == number)))
    table.add_section()
    for label, _ in sorted(Counter(labels.tolist()).items(), key=lambda item: (-item[1], item[0])):
        table.add_row(*_row(label or "no language", figures.summed(labels == label)))
    table.add_section()
    table.add_row(*_row("all", figures.summed(np.ones(len(strings), dtype=np.bool_))), style="bold")
    return table


def _languages(strings: Sequence[str]) -> list[str]:
    found: list[str] = []
    for at in range(0, len(strings), BATCH):
        labels = measure(strings[at : at + BATCH], "language")["language.label"].to_pylist()
        found += [label or "" for label in labels]
    return found


def _row(name: str, totals: Mapping[str, float]) -> list[Text]:
    counts = [f"{totals[key]:,}" for key in ("texts", "bytes", "tokens")]
    ratios = [f"{totals['fertility']:.3f}", f"{totals['bytes_per_token']:.3f}", f"{totals['unknown']:.3%}"]
    return [Text(cell) for cell in (name, *counts, *ratios)]


def _speeds(encoder: Encoder, data: bytes, strings: Sequence[str]) -> dict[str, float]:
    """MB of text per second, once over, of the back end chosen and of the reference."""
    texts = Texts.from_strings(list(_until(iter(strings), TIMED_BYTES)))
    size = int(texts.bytes.sum())
    speeds: dict[str, float] = {}
    for backend in dict.fromkeys((encoder.backend, encoder.reference)):
        each = Encoder(encoder.path, encoder.policy, backend, data=data)
        each.encode(Texts.from_strings(["warm up"]))
        began = time.perf_counter()
        each.encode(texts)
        speeds[backend] = size / 1e6 / (time.perf_counter() - began)
    return speeds
