"""`corpusmill …` and `python -m corpusmill …`: one parser, one module per command.

Exit code 0: done. 1: the run failed. 2: the recipe or the arguments are wrong.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module, metadata

from rich.console import Console

from corpusmill.errors import CorpusmillError

COMMANDS = {
    "demo": "a complete run on real text found on this machine; ends with shards, a report and a short training",
    "run": "run a recipe, or go on with a run that was cut off",
    "check": "load and resolve a recipe and print it with its stages; touches no data",
    "plan": "tokens that a model wants by the published fits, and what a corpus gives it",
    "compare": "where dialects of a rule set disagree on a recipe's documents, with examples",
    "bounds": "compute mean and deviation bounds of every statistic from a recipe's documents",
    "index": "show, merge indexes of earlier crawls, or delete documents from one",
    "report": "write report.html of a finished run anew",
    "explain": "everything that happened to one document",
    "trace": "the documents in one packed row, or in the rows of a training step",
    "verify": "hash every file of a run again and check every ledger",
    "takedown": "hide documents from every reader of packed shards, without packing again",
    "tokenizer": "train or check a tokenizer",
    "quality": "train or evaluate a quality classifier",
    "train": "train a small model on packed shards",
    "ablate": "train the same small model on several corpora and compare held-out losses",
    "bisect": "which rows and documents of a training step moved the weights most",
    "export": "write documents or packed rows in another trainer's format",
    "import": "pack the tokens of another trainer's files anew",
}

MODULES = {"bisect": "bisect_step", "trace": "trace_row", "import": "import_tokens"}
"""Where a command's module would have the name of one of the standard library, or a keyword's."""


def parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The command line; only the module of the command that `words` name is imported."""
    root = argparse.ArgumentParser(
        prog="corpusmill", description="Raw text in, packed token shards out, every document accounted for."
    )
    root.add_argument("--version", action="version", version=f"corpusmill {metadata.version('corpusmill')}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    wanted = next((word for word in words if not word.startswith("-")), "")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == wanted:
            module = import_module(f"corpusmill.jobs.{MODULES.get(name, name)}")
            command.description = module.__doc__
            module.arguments(command)
            command.set_defaults(do=module.do)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    beam_args: list[str] = []
    if "--" in words:
        at = words.index("--")
        words, beam_args = words[:at], words[at + 1 :]
    # Beam warns at import of clients that nobody asked for, and logs each error that is raised here anyway.
    logging.getLogger().setLevel(logging.ERROR)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    try:
        arguments = parser(words).parse_args(words)
    except CorpusmillError as error:
        print(f"corpusmill: {error}", file=sys.stderr)
        return error.exit_code
    arguments.beam_args = beam_args
    if beam_args and arguments.command != "run":
        print(f"corpusmill {arguments.command}: options after -- are Beam's and for `run` only", file=sys.stderr)
        return 2
    console = Console(stderr=True)
    try:
        arguments.do(arguments, console)
    except CorpusmillError as error:
        console.print(f"[bold red]{type(error).__name__}[/]: ", end="")
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return error.exit_code
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from here", markup=False)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        advice = "check the path, who may use it and the room on its disk"
        console.print(f"{type(error).__name__}: {error}; {advice}", markup=False, highlight=False, soft_wrap=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
