"""Fields carried from records: names, paths, types, and values that are not what was promised."""

from typing import Any

import pytest

from corpusmill.carried import carried_columns, carried_fields, carried_values
from corpusmill.errors import ConfigError


@pytest.mark.parametrize(
    ("given", "record", "value", "unreadable"),
    [
        ("stars:int", {"stars": 7}, 7, False),
        ("stars:int", {"stars": "7"}, 7, False),
        ("stars:int", {"stars": 7.5}, None, True),
        ("stars:int", {"stars": True}, None, True),
        ("stars:int", {"stars": 1 << 70}, None, True),
        ("stars:int", {"stars": None}, None, False),
        ("stars:int", {}, None, False),
        ("score:float", {"score": "0.25"}, 0.25, False),
        ("score:float", {"score": "nan"}, None, True),
        ("repo.stars:int", {"repo": {"stars": 3}}, 3, False),
        ("repo.stars:int", {"repo.stars": 4, "repo": {"stars": 3}}, 4, False),
        ("repo.stars:int", {"repo": [3]}, None, False),
        ("fork:bool", {"fork": False}, False, False),
        ("fork:bool", {"fork": "True"}, True, False),
        ("fork:bool", {"fork": 1}, None, True),
        ("licence", {"licence": "MIT"}, "MIT", False),
        ("licence", {"licence": ["MIT", "Apache-2.0"]}, "MIT, Apache-2.0", False),
        ("licence", {"licence": {"b": 1, "a": "é"}}, '{"a": "é", "b": 1}', False),
        ("licence", {"licence": "\ud800x"}, "\ufffdx", False),
    ],
)
def test_values(given: str, record: dict[str, Any], value: Any, unreadable: bool) -> None:
    assert carried_values(record, carried_fields({"f": given})) == ([value], unreadable)


@pytest.mark.parametrize("fields", [{"a b": "x"}, {"a": "x:integer"}, {"a": ":int"}, {"a": ""}, {"": "x"}])
def test_fields_that_can_not_be(fields: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="path:type"):
        carried_fields(fields)


def test_sources_must_agree_on_the_type() -> None:
    sources = [carried_fields({"b": "x:int", "a": "y"}), carried_fields({"b": "z:int"})]
    assert [str(column) for column in carried_columns(sources)] == [
        "pyarrow.Field<record.a: string>",
        "pyarrow.Field<record.b: int64>",
    ]
    with pytest.raises(ConfigError, match=r"record\.b, as int64 and as string"):
        carried_columns([*sources, carried_fields({"b": "x"})])
