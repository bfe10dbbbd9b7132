"""The formats of imports by name."""

from __future__ import annotations

from corpusmill.tokenize.imports.datatrove import Datatrove
from corpusmill.tokenize.imports.hf import HuggingFace
from corpusmill.tokenize.imports.llmc import Llmc
from corpusmill.tokenize.imports.mds import Mds
from corpusmill.tokenize.imports.megatron import Megatron
from corpusmill.tokenize.imports.nanogpt import NanoGpt
from corpusmill.tokenize.imports.olmo import Olmo
from corpusmill.tokenize.imports.reading import Reader

READERS: dict[str, Reader] = {
    kind.name: kind() for kind in (Megatron, Mds, NanoGpt, Llmc, Datatrove, Olmo, HuggingFace)
}
