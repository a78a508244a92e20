"""The rules of the house that no linter knows: sizes, names, and what the wheel carries."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for room in ("gen", "backends") for path in (ROOT / room).rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
MOST_LINES, MOST_FUNCTION_LINES = 500, 60


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and number of lines, docstring not counted, of each function of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node) is not None
            first = node.body[1] if documented and len(node.body) > 1 else node.body[0]
            yield f"{path.relative_to(ROOT)}:{node.name}", (node.end_lineno or 0) - first.lineno + 1


def test_files_and_functions_stay_small() -> None:
    long_files = [f"{path.relative_to(ROOT)}" for path in SOURCES if len(path.read_text().splitlines()) > MOST_LINES]
    long_functions = [name for path in SOURCES for name, lines in functions(path) if lines > MOST_FUNCTION_LINES]
    assert (long_files, long_functions) == ([], [])


def test_modules_are_named_for_their_subject() -> None:
    assert [str(path) for path in SOURCES if FORBIDDEN_NAMES & {path.stem, path.parent.name}] == []


def test_lock_names_no_index() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert [
        line for line in lines if "://" in line or line.lstrip().startswith(("-i", "--index", "--extra", "--find"))
    ] == []
    assert all("==" in line for line in lines if line and not line.startswith((" ", "#")))


@pytest.mark.slow
def test_wheel_carries_templates_and_types(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("ingress_gen-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {str(path.relative_to(ROOT)) for room in ("gen", "backends") for path in (ROOT / room).rglob("*")
              if path.is_file() and "__pycache__" not in path.parts}  # fmt: skip
    assert wanted <= names
    assert {"gen/py.typed", "backends/py.typed"} <= names
    assert any(name.endswith(".j2") for name in names)
