"""Train a fastText quality classifier from positive and negative text, or evaluate one.

The `quality` step of a recipe applies it: it scores the same sample of each document, normalised the same way.
"""

from __future__ import annotations

import argparse

from rich.console import Console

from corpusmill.filters.models.quality import evaluate_quality, train_quality
from corpusmill.jobs.tokenizer import texts_of
from corpusmill.pipeline import readers


def arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    train = actions.add_parser("train", help="train a classifier; prints how it does on the tenth held out")
    train.add_argument("--out", required=True, metavar="FILE", help="the model to write")
    evaluate = actions.add_parser("evaluate", help="measure a classifier on labelled text")
    evaluate.add_argument("model", metavar="FILE", help="the model")
    for action in (train, evaluate):
        action.add_argument("--positive", nargs="+", required=True, metavar="PATH", help="good text")
        action.add_argument("--negative", nargs="+", required=True, metavar="PATH", help="bad text")
        formats = sorted(readers.FORMATS)
        action.add_argument("--format", choices=formats, default="jsonl", help="of the files (default jsonl)")
        action.add_argument("--text-field", default="text", metavar="NAME", help="key or column (default text)")
        action.add_argument("--max-bytes", type=int, default=256 << 20, metavar="N", help="read at most this, per side")


def do(given: argparse.Namespace, console: Console) -> None:
    """Train or evaluate; print the figures."""
    positive = texts_of(given.positive, given.format, given.text_field, given.max_bytes)
    negative = texts_of(given.negative, given.format, given.text_field, given.max_bytes)
    if given.action == "train":
        figures = train_quality(positive, negative, given.out)
    else:
        figures = evaluate_quality(given.model, positive, negative)
    for name, value in figures.items():
        print(f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}")
