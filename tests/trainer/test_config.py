import json
import subprocess
import sys

import pytest

from corpusmill.errors import ConfigError
from corpusmill.options import plain
from corpusmill.trainer import TrainConfig


def test_settings_of_a_command_line() -> None:
    config = TrainConfig.from_settings(
        {"steps": "20", "learning_rate": "1e-3", "weight_decay": "0", "tied": "false", "clip_norm": "off",
         "device": "cuda:1"}
    )  # fmt: skip
    assert config == TrainConfig(
        steps=20, learning_rate=1e-3, weight_decay=0.0, tied=False, clip_norm=None, device="cuda:1"
    )
    assert TrainConfig.from_settings({}) == TrainConfig()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"stepz": "3"}, r"unknown key 'stepz'; allowed: batch_ramp, .*warmup_steps, weight_decay, z_loss"),
        ({"steps": "many"}, "--set steps: got 'many'; wanted a whole number"),
        ({"steps": "1.5"}, "wanted a whole number"),
        ({"steps": "0"}, "steps = 0, wanted at least 1"),
        ({"tied": "1"}, "wanted true or false"),
        ({"beta2": "1"}, "beta2 = 1"),
        ({"min_lr_ratio": "1.01"}, "min_lr_ratio"),
        ({"learning_rate": "nan"}, "learning_rate"),
        ({"learning_rate": "inf"}, "learning_rate"),
        ({"checkpoint_every": "0"}, "checkpoint_every"),
        ({"seed": "-1"}, "seed"),
        ({"device": "abacus"}, "device = 'abacus', wanted cpu or cuda"),
        ({"batch_ramp": "[[0, 8], [0, 16]]"}, r"batch_ramp = \[\[0, 8\], \[0, 16\]\], wanted .* rising"),
        ({"batch_ramp": "[[5, 8], [4, 16]]"}, "batch_ramp"),
        ({"batch_ramp": "[[5, 0]]"}, "1 row or more"),
        ({"batch_ramp": "[[5]]"}, "batch_ramp"),
        ({"batch_ramp": "[5, 8]"}, "batch_ramp: got .*; wanted a list of a list of a whole number"),
        ({"precision": "fp16"}, "wanted one of 'fp32', 'bf16', 'auto'"),
        ({"schedule": "linear"}, "wanted one of 'cosine', 'wsd'"),
        ({"parallel": "tp"}, "wanted one of 'ddp', 'fsdp'"),
        ({"tokens": "0"}, "tokens = 0"),
        ({"keep_checkpoints": "0"}, "keep_checkpoints"),
        ({"skip_window": "1"}, "skip_window"),
        ({"decay_ratio": "1.5"}, "decay_ratio"),
        ({"heads": "3"}, "dim = 128, wanted a multiple of 2"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        TrainConfig.from_settings(settings)


def test_edges_of_the_ranges_are_allowed() -> None:
    TrainConfig(steps=1, warmup_steps=0, min_lr_ratio=1.0, beta1=0.0, weight_decay=0.0, checkpoint_every=None)


def test_wrong_types_are_named_in_python_too() -> None:
    with pytest.raises(ConfigError, match="steps: got '3'; wanted a whole number"):
        TrainConfig(steps="3")


def test_a_ramp_and_a_length_in_tokens() -> None:
    config = TrainConfig.from_settings({"tokens": "10_000", "batch_ramp": "[[0, 8], [1_000_000, 16]]"})
    assert config.tokens == 10_000
    assert config.batch_ramp == ((0, 8), (1_000_000, 16))
    assert TrainConfig(**json.loads(json.dumps(plain(config)))) == config, "a manifest holds lists, not tuples"
    with pytest.raises(ConfigError, match="both are the length of the run"):
        TrainConfig.from_settings({"tokens": "10_000", "steps": "5"})


def test_without_torch_the_import_says_what_to_install() -> None:
    script = "import sys; sys.modules['torch'] = None; import corpusmill.trainer"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "ConfigError" in done.stderr
    assert "pip install 'corpusmill[train]'" in done.stderr
