"""`length`: counts in every unit, at the bounds."""

import pytest

import corpusmill as cm
from corpusmill.errors import ConfigError

TEXT = "One two. Three\n\n  four, né?\n"


@pytest.mark.parametrize(
    ("unit", "count"), [("bytes", 29), ("chars", 28), ("words", 5), ("lines", 2), ("sentences", 2)]
)
def test_counts_at_their_bounds(unit: str, count: int) -> None:
    for options, keep in (
        ({f"min_{unit}": count}, True),
        ({f"min_{unit}": count + 1}, False),
        ({f"max_{unit}": count}, True),
        ({f"max_{unit}": count - 1}, False),
    ):
        table = cm.measure([TEXT], "length", **options)
        assert table[f"length.{unit}"].to_pylist() == [count]
        assert table["keep"].to_pylist() == [keep]
        assert [name for name in table.column_names if name.startswith("length.")] == [f"length.{unit}"]


def test_a_name_keeps_two_apart() -> None:
    table = cm.measure([TEXT], "length", name="again", min_words=6)
    assert table["length.again.words"].to_pylist() == [5]
    assert table["reasons"].to_pylist() == [["length.again.min_words: length.again.words = 5, wanted >= 6"]]


def test_words_of_scripts_without_spaces() -> None:
    assert cm.measure(["我喜歡讀書。"], "length", min_words=1)["length.words"].to_pylist() == [5]


@pytest.mark.parametrize("options", [{}, {"min_words": -1}, {"name": "a b", "min_words": 1}])
def test_options_that_are_not_allowed(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="length"):
        cm.measure([TEXT], "length", **options)
