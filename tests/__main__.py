"""`python -m tests update`: rewrite the generated files of all cases, delete orphans, show what changed."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

from tests.proof.case import ROOT, Case, all_cases
from tests.proof.golden import expected, present


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__)
    parser.add_argument("command", choices=["update"])
    parser.add_argument("cases", nargs="*", help="FAMILY/CASE; all when none is named")
    arguments = parser.parse_args()
    for case in all_cases():
        if not arguments.cases or case.name in arguments.cases:
            update(case)
    git = ("git", "-C", str(ROOT))
    subprocess.run([*git, "--no-pager", "diff", "--stat", "--", "."], check=True)
    subprocess.run([*git, "ls-files", "--others", "--exclude-standard", "--", "."], check=True)


def update(case: Case) -> None:
    """Make the kept files of a case equal to what it gives now."""
    made = expected(case)
    for path in present(case).keys() - made.keys():
        (case.folder / path).unlink()
    for path, content in made.items():
        target = case.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    for folder in [path for path in case.folder.rglob("*") if is_empty_tree(path)]:
        shutil.rmtree(folder, ignore_errors=True)


def is_empty_tree(path: Path) -> bool:
    """Whether a directory holds no file at any depth."""
    return path.is_dir() and not any(below.is_file() for below in path.rglob("*"))


if __name__ == "__main__":
    main()
