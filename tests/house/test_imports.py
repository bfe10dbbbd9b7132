"""The imports run one way, and heavy libraries stay in their rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "corpusmill"
ROOMS = ("filters", "dedup", "tokenize", "pipeline", "jobs", "trainer")
MAY_IMPORT = {
    "vocabulary": {"vocabulary"},
    "filters": {"vocabulary", "filters"},
    "dedup": {"vocabulary", "dedup"},
    "tokenize": {"vocabulary", "tokenize"},
    "pipeline": {"vocabulary", "filters", "dedup", "tokenize", "pipeline"},
    "jobs": {"vocabulary", "filters", "dedup", "tokenize", "pipeline", "jobs", "trainer"},
    "trainer": {"vocabulary", "tokenize", "trainer"},
}
ONLY_IN = {"apache_beam": "pipeline", "torch": "trainer"}
FILES = sorted(
    path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or path.name not in ("__init__.py", "__main__.py")
)


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else "vocabulary"


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_one_way(path: Path) -> None:
    here = room("corpusmill." + ".".join(path.relative_to(SOURCE).parts))
    for name in imported(path):
        if name.split(".")[0] == "corpusmill" and name != "corpusmill":
            assert room(name) in MAY_IMPORT[here], f"{here} imports {name}"
        owner = ONLY_IN.get(name.split(".")[0])
        assert owner in (None, here), f"{here} imports {name}"


def test_a_new_filter_needs_no_edit_elsewhere() -> None:
    from corpusmill import filters, steps

    names = {path.stem for path in (SOURCE / "filters").rglob("*.py")}
    assert {cls.__module__.rsplit(".", 1)[1] for cls in steps.REGISTER.values() if "filters" in cls.__module__} <= names
    assert filters.__path__


def test_measuring_imports_neither_beam_nor_torch() -> None:
    code = (
        "import sys, corpusmill as cm; cm.measure(['a text'], 'gopher_quality');"
        "print([m for m in ('apache_beam', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
