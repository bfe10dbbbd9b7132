"""Interpreters with the packages that corpusmill is compared with, each in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "rivals": (
        "datatrove[io,processing]==0.10.1",
        "spacy==3.8.18",
        "rensa==0.5.0",
        "datasketch==2.0.0",
        "simhash==2.1.2",
        "pydivsufsort==0.0.20",
    ),
    "text_dedup": ("text-dedup==0.4.0",),
    "dolma": ("dolma==1.2.1", "boto3==1.28.17"),
    "tokenizers_rivals": (
        "tokenizers==0.23.3",
        "tiktoken==0.14.0",
        "lightbinpack==0.1.1",
        "numpy==2.4.6",
        "pyarrow==25.0.1",
    ),
    "loaders": (
        "mosaicml-streaming==0.13.0",
        "litdata==0.2.76",
        "megatron-core==0.16.1",
        "torch==2.13.0",
        "torchvision==0.28.0",
    ),
    "c4": ("tensorflow-datasets==4.9.10", "nltk==3.10.4", "llama-index-core==0.14.25"),
}
"""From PyPI alone. They can't share one environment: datatrove wants numpy 2, dolma numpy 1, and text-dedup, which
brings Spark and 1.3 GB, an old urllib3. llama-index-core carries nltk's data for sentences, which nltk itself would
download. megatron-core 0.16.1 is the last for Python 3.11, torchvision the one of this torch; lightbinpack is compiled,
which takes minutes. Without a boto3 pip looks for dolma's for ten minutes."""


def python_of(name: str) -> str | None:
    """A Python that has the packages `name`: the one that CORPUSMILL_NAME names, or .venv-NAME, made at the first call.

    None, with a word on stderr, where they can't be installed.
    """
    if named := os.environ.get(f"CORPUSMILL_{name.upper()}"):
        return named
    folder = ROOT / f".venv-{name}"
    python = folder / "bin" / "python"
    ready = folder / ".ready"
    wanted = " ".join(PACKAGES[name])
    if not ready.exists() or ready.read_text("utf-8") != wanted:
        print(f"installing {wanted} into {folder.name}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", *PACKAGES[name]]
        if subprocess.run(command, check=False).returncode:
            print(f"{wanted} can't be installed here: no comparison", file=sys.stderr)
            return None
        ready.write_text(wanted, "utf-8")
    return str(python)
