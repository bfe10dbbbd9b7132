"""A small trainer that reads packed shards: it proves a corpus trains, and compares corpora.

    for batch, state in batches("run/shards", batch_rows=8):
        ...
    history = train("run/shards", "run/training", TrainConfig(steps=200))

Everything here needs torch, which the extra `train` installs; importing it without torch raises ConfigError.
"""

from corpusmill.errors import ConfigError

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ConfigError(
        "corpusmill.trainer needs torch, which is not installed; pip install 'corpusmill[train]'"
    ) from None

from corpusmill.tokenize.shards.order import State
from corpusmill.trainer.config import TrainConfig
from corpusmill.trainer.data import IGNORE, Batch, PackedDataset, batches
from corpusmill.trainer.loss import Evaluation, evaluate
from corpusmill.trainer.model import Model, ModelConfig
from corpusmill.trainer.train import History, load, train

__all__ = [
    "IGNORE",
    "Batch",
    "Evaluation",
    "History",
    "Model",
    "ModelConfig",
    "PackedDataset",
    "State",
    "TrainConfig",
    "batches",
    "evaluate",
    "load",
    "train",
]
