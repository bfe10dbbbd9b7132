"""Write a finished run, or a folder of shards, in another trainer's format.

Whole documents come from the run's tokens/, packed rows from its shards/; every format has a usual one of the two.
Nothing is written over: the folder appears whole, with a manifest.json that names and hashes every file and accounts
for every token. Documents that were taken down are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from corpusmill.errors import ConfigError
from corpusmill.jobs.places import check_folder, finished_run, shards_of
from corpusmill.ledger import KEPT, Tally
from corpusmill.pipeline.directory import Record, RunDirectory, run_directory
from corpusmill.tokenize.export.corpus import Corpus, Documents, Rows, Tokens
from corpusmill.tokenize.export.export import Options, export
from corpusmill.tokenize.export.formats import Facts, Format
from corpusmill.tokenize.export.registry import FORMATS
from corpusmill.tokenize.shards.packed import Packed


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    command.add_argument("directory", metavar="DIR", help="a finished run's directory, or a folder of shards")
    command.add_argument("--to", required=True, choices=sorted(FORMATS), help="the format")
    command.add_argument("--out", required=True, metavar="OUT", help="a new local folder")
    usual = "; ".join(
        f"{what}: {', '.join(name for name, to in sorted(FORMATS.items()) if to.default_what == what)}"
        for what in ("documents", "rows")
    )
    command.add_argument("--what", choices=("documents", "rows"), help=f"what is exported (usually {usual})")
    command.add_argument(
        "--validation", type=float, default=0.0, metavar="SHARE", help="of the sequences, into a split of their own"
    )
    command.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of a file (default: the format's)")


def do(given: argparse.Namespace, console: Console) -> None:
    """Export, then print the account."""
    to = FORMATS[given.to]
    options = Options(given.validation, given.max_tokens)
    directory = run_directory(given.directory)
    packed = Packed(shards_of(given.directory))
    alone = packed.directory == Path(directory.root)
    what = given.what or ("rows" if alone else to.default_what)
    facts = _facts(packed, what)
    check_folder(given.out)
    to.dtype(facts.vocab_size)  # refuses a vocabulary that the format can't hold, before a bar is drawn
    if what == "rows":
        corpus: Corpus = Rows(packed)
    elif alone:
        raise ConfigError(f"{directory.root} has shards only: whole documents are in the tokens/ of a run; --what rows")
    else:
        corpus = documents(*finished_run(given.directory), packed, to)
    of = {"shards": packed.id, "content": packed.content_id}
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(elapsed_when_finished=True))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{to.name:<14}", total=corpus.tokens)
        body = export(corpus, to, facts, given.out, options, of, lambda tokens: progress.advance(task, tokens))
    print(said(body, given.out))


def said(body: dict[str, Any], out: str) -> str:
    """The account of an export in words."""
    account, splits = body["account"], body["splits"]
    parts = ", ".join(f"{name} {told['sequences']:,} {body['what']}" for name, told in splits.items())
    written = sum(file["bytes"] for file in body["files"])
    return (
        f"{out}: {parts} in {len(body['files'])} files, {written:,} bytes, tokens of {body['dtype']}\n"
        f"tokens: {account['in']:,} in, {account['taken_down']:,} taken down, {account['separators_added']:,} "
        f"separators added, {account['out']:,} out ({account['padding']:,} of them padding)"
    )


def documents(directory: RunDirectory, stages: list[Record], packed: Packed, to: Format) -> Documents:
    """The whole documents of a run, in the order that packing counted them.

    Raises ConfigError where the format needs an end token and the tokenizer has none.
    """
    body = next(stage for stage in stages if stage["kind"] == "tokenize")
    pieces = sorted(body["tokens"], key=lambda piece: (piece["source"], piece["unit"]))
    firsts = np.cumsum([0, *(piece["documents"] for piece in pieces)])
    names = list(packed.sources)
    inputs = tuple(
        Tokens(directory.path(piece["path"]), names.index(piece["source"]), int(first))
        for piece, first in zip(pieces, firsts, strict=False)
    )
    tokenizer = packed.manifest["tokenizer"]
    separator = None
    if to.ends_by_token and not tokenizer["policy"]["eos"]:
        separator = tokenizer["eos_id"]
        if separator is None:
            raise ConfigError(
                f"--to {to.name}: its readers find documents by an end token, and this tokenizer has none; "
                "take megatron, mds, datatrove or hf, or tokenize again with an eos_token"
            )
    tokens = sum(piece["tokens"] for piece in pieces)
    ids = Tally.from_json(body["tally"]).total(KEPT)[2]
    return Documents(tuple(names), inputs, tokens, ids, separator, packed.hidden.ids)


def _facts(packed: Packed, what: Any) -> Facts:
    tokenizer = packed.manifest["tokenizer"]
    length = packed.sequence_length if what == "rows" else None
    return Facts(what, tokenizer["vocab_size"], tokenizer["eos_id"], length, tokenizer["sha256"])
