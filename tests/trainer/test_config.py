import math
import subprocess
import sys

import pytest

from corpusmill.errors import ConfigError
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
        ({"stepz": "3"}, r"unknown key 'stepz'; allowed: batch_rows, .*warmup_steps, weight_decay"),
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


def test_the_rate_warms_up_and_falls_to_a_tenth() -> None:
    config = TrainConfig(steps=110, warmup_steps=10, learning_rate=1.0)
    assert [config.rate(step) for step in (1, 5, 10)] == [0.1, 0.5, 1.0]
    assert config.rate(60) == pytest.approx(0.1 + 0.9 / 2)
    assert config.rate(110) == pytest.approx(0.1)
    rates = [config.rate(step) for step in range(10, 111)]
    assert rates == sorted(rates, reverse=True)
    assert [TrainConfig(steps=3, warmup_steps=10).rate(step) for step in (1, 3)] == pytest.approx([3e-4, 9e-4])
    assert TrainConfig(steps=1, warmup_steps=0).rate(1) == pytest.approx(3e-4)
    assert all(math.isfinite(TrainConfig(steps=10, warmup_steps=10).rate(step)) for step in range(1, 11))


def test_without_torch_the_import_says_what_to_install() -> None:
    script = "import sys; sys.modules['torch'] = None; import corpusmill.trainer"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "ConfigError" in done.stderr
    assert "pip install 'corpusmill[train]'" in done.stderr
