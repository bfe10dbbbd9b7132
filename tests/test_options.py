"""Options from outside: every wrong key, type or value is an error that says what is allowed."""

from dataclasses import dataclass
from typing import Literal

import pytest

from corpusmill.errors import ConfigError
from corpusmill.options import build, plain


@dataclass(frozen=True)
class Inner:
    size: int = 1


@dataclass(frozen=True)
class Options:
    name: str
    ratio: float = 0.5
    limit: int | None = 3
    mode: Literal["a", "b"] = "a"
    tags: tuple[str, ...] = ()
    on: bool = False
    inner: Inner | None = None
    by_name: dict[str, tuple[str, ...]] | None = None


def test_values_get_their_types() -> None:
    made = build(Options, {"name": "x", "ratio": 1, "limit": "off", "tags": ["p", "q"], "inner": {"size": 4}})
    assert made == Options("x", 1.0, None, "a", ("p", "q"), False, Inner(4))
    assert isinstance(made.ratio, float)


def test_plain_and_build_are_inverse() -> None:
    made = Options("x", limit=None, tags=("t",), inner=Inner(2), by_name={"a b": ("c",)})
    assert plain(made)["by_name"] == {"a b": ["c"]}
    assert build(Options, plain(made)) == made


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "'name' is missing"),
        ({"name": "x", "nme": 1}, "unknown key 'nme'; allowed: by_name, inner, limit"),
        ({"name": 3}, "got 3; wanted a string"),
        ({"name": "x", "on": 1}, "got 1; wanted true or false"),
        ({"name": "x", "limit": True}, 'wanted a whole number or "off"'),
        ({"name": "x", "limit": 1.5}, "wanted a whole number"),
        ({"name": "x", "ratio": "much"}, "wanted a number"),
        ({"name": "x", "ratio": "off"}, "wanted a number"),
        ({"name": "x", "mode": "c"}, "one of 'a', 'b'"),
        ({"name": "x", "tags": "p"}, "wanted a list of a string"),
        ({"name": "x", "tags": [1]}, "wanted a list of a string"),
        ({"name": "x", "inner": {"sise": 1}}, "unknown key 'sise'"),
    ],
)
def test_wrong_options_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(Options, values)
    assert message in str(caught.value)
