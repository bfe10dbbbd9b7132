"""Token files packed by the parts of the pack stage, one after the other, without Beam."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from corpusmill.packing_options import Shards
from corpusmill.pipeline.directory import Record, RunDirectory
from corpusmill.pipeline.job import Stage
from corpusmill.pipeline.pack import Count, Place, prefixes
from corpusmill.pipeline.packing import Input, Packing
from corpusmill.pipeline.tokens import TOKENIZER
from corpusmill.pipeline.write_shards import FOLDER, WriteShard, commit_pack
from corpusmill.tokenize.packing.mixture import Share, solve
from corpusmill.tokenize.packing.token_files import write_token_file
from corpusmill.tokenize.shards.packed import Packed
from corpusmill.tokenize.tokenizers.encode import Encoder, Tokens

SOURCE, SEED = "bench", 17


@dataclass(frozen=True)
class TokenFiles:
    """Token files of a folder in their order: name, documents and tokens of each."""

    folder: Path
    files: tuple[tuple[str, int, int], ...]

    @property
    def tokens(self) -> int:
        return sum(tokens for *_, tokens in self.files)


def write_tokens(folder: Path, parts: Iterable[tuple[pa.Array, Tokens, npt.NDArray[np.int64]]]) -> TokenFiles:
    """A token file for every (ids, tokens, lengths)."""
    made = []
    for number, (ids, tokens, lengths) in enumerate(parts):
        name = f"tokens-{number:03d}.arrow"
        write_token_file(str(folder / name), name, ids, tokens, lengths)
        made.append((name, len(lengths), len(tokens)))
    return TokenFiles(folder, tuple(made))


def pack(given: TokenFiles, encoder: Encoder, options: Shards, out: Path) -> Packed:
    """Count, plan, place, gather, lay out, hash, write and commit, as a run does; what was in `out` is gone.

    `encoder` is loaded already: a run's stage before loads it for this one too.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    shutil.copy(encoder.path, out / TOKENIZER)
    firsts = accumulate((documents for _, documents, _ in given.files), initial=0)
    inputs = [
        Input(str(Path("..", given.folder.name, name)), 0, 1.0, first)
        for (name, *_), first in zip(given.files, firsts, strict=False)
    ]
    directory = RunDirectory(str(out))
    packing = Packing(
        "pack", SOURCE, directory, tuple(inputs), (SOURCE,), SEED, options, encoder.pad_id, encoder.dtype.name
    )
    counted: list[Record] = []
    for number, (name, *_) in enumerate(given.files):
        counted += Count(packing).process((number, [(name, number)]))
    blocks, placed, place = defaultdict(list), [], Place(packing)
    for position, prefix in prefixes(counted, packing.order()):
        for made in place.process((position, [prefix])):
            if isinstance(made, TaggedOutput):
                placed.append(made.value)
            else:
                blocks[made[0]].append(made[1])
    written: list[Record] = []
    for number in sorted(blocks):
        written += WriteShard(packing).process((number, blocks.pop(number)))
    mix = solve([Share(SOURCE, given.tokens, epochs=1.0)])
    commit_pack(Stage("pack", "pack"), packing, encoder, [*counted, *placed, *written], "none", mix)
    return Packed(out / FOLDER)
