from pathlib import Path

import pytest

from corpusmill.tokenize.tokenizers.train import train_tokenizer
from corpusmill.tokenizer_options import TokenizerTraining

WORDS = (
    "the",
    "of",
    "packing",
    "tokens",
    "Überraschung",
    "naïve",
    "コーパス",
    "12",
    "2048",
    "row",
    "don't",
    "\n",
    "  ",
)
TEXTS = [" ".join(WORDS[(i * k + k) % len(WORDS)] for k in range(1, 40)) for i in range(1, 60)]


@pytest.fixture(scope="session")
def tokenizer_paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small tokenizer of each kind."""
    folder = tmp_path_factory.mktemp("tokenizers")
    for kind in ("bpe", "llama"):
        train_tokenizer(TEXTS, TokenizerTraining(kind=kind, vocab_size=320), folder / f"{kind}.json")
    return {kind: folder / f"{kind}.json" for kind in ("bpe", "llama")}


@pytest.fixture(params=["bpe", "llama"])
def tokenizer_path(request: pytest.FixtureRequest, tokenizer_paths: dict[str, Path]) -> Path:
    return tokenizer_paths[request.param]
