"""The formats of exports by name."""

from __future__ import annotations

from corpusmill.tokenize.export.datatrove import Datatrove
from corpusmill.tokenize.export.formats import Format
from corpusmill.tokenize.export.hf import HuggingFace
from corpusmill.tokenize.export.litdata import LitData
from corpusmill.tokenize.export.llmc import Llmc
from corpusmill.tokenize.export.mds import Mds
from corpusmill.tokenize.export.megatron import Megatron
from corpusmill.tokenize.export.nanogpt import NanoGpt
from corpusmill.tokenize.export.olmo import Olmo

FORMATS: dict[str, Format] = {
    kind.name: kind() for kind in (Megatron, Mds, NanoGpt, Llmc, Datatrove, Olmo, HuggingFace, LitData)
}
