"""Habits of the house that a machine can check."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from corpusmill.jobs.main import COMMANDS, main

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
DANGEROUS = re.compile(r"\b(pickle|dill|cloudpickle|yaml)\.\w+\(|\beval\(|\bexec\(|shell=True|os\.system|os\.popen")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_is_short_and_runs_no_data(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 400
    assert not DANGEROUS.search(text)


def test_no_module_is_named_like_the_standard_library() -> None:
    names = {path.stem for path in SOURCES if path.stem not in ("__init__", "__main__")}
    assert not names & set(sys.stdlib_module_names)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help_and_is_in_the_readme(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    assert f"corpusmill {command}" in capsys.readouterr().out
    assert f"`{command}" in (ROOT / "README.md").read_text("utf-8")


def test_the_page_of_steps_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import make_steps; print(make_steps.text(), end='')"],
        cwd=ROOT / "docs",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == (ROOT / "docs" / "steps.md").read_text("utf-8"), "run make docs"


def test_the_readme_shows_a_recipe_that_is_there() -> None:
    assert (ROOT / "recipes" / "web-en.toml").read_text("utf-8") in (ROOT / "README.md").read_text("utf-8")


def test_every_dependency_has_its_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    listed = [*project["dependencies"], *extras["train"], *extras["dev"]]
    reasons = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    for requirement in listed:
        name = re.split(r"[<>=]", requirement)[0]
        assert f"| {name} |" in reasons, name
