"""Every ```console block of the documentation is run, page by page.

A line `$ command` is run by bash in a directory that has the examples; the lines below it, if any, are its whole
output, where a line `...` stands for any lines.  `# exit N` behind a command is its status, else 0.  Blocks of another
language are not run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


class Step(NamedTuple):
    """A command of a page and what it has to print."""

    line: int
    command: str
    status: int
    output: list[str]


def steps(page: Path) -> list[Step]:
    """The commands of a page, in order."""
    found: list[Step] = []
    language = None
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            language = line[3:].strip() if language is None else None
        elif language == "console" and line.startswith("$ "):
            status = re.search(r"\s+# exit (\d+)$", line)
            found.append(Step(number, line[2:].split("  # ")[0], int(status[1]) if status else 0, []))
        elif language == "console":
            found[-1].output.append(line)
    return found


def matches(wanted: list[str], printed: list[str]) -> bool:
    """Whether the output is what the page shows."""
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line) + r"\n" for line in wanted)
    return re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in printed)) is not None


def test_matching_can_fail() -> None:
    assert matches(["a", "...", "d"], ["a", "b", "c", "d"])
    assert not matches(["a", "...", "d"], ["a", "b", "c"])
    assert not matches(["a"], ["a", "b"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "tmp").mkdir()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
        "NO_COLOR": "1",
    }
    for step in steps(page):
        command = step.command.replace("/tmp/", f"{tmp_path}/tmp/")
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        printed = (done.stdout + done.stderr).replace(f"{tmp_path}/tmp/", "/tmp/").splitlines()
        where = f"{page.name}:{step.line}: {step.command}\n" + "\n".join(printed)
        assert done.returncode == step.status, where
        assert not step.output or matches(step.output, printed), where
