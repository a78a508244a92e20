"""Reading manifests stays light: what is heavy is imported where it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sources.samples import INGRESS

HEAVY = ("yaml", "watchdog", "asyncio", "logging", "kubernetes", "ssl", "pydantic")


def loaded(program: str) -> set[str]:
    """Which heavy modules a program has loaded in the end."""
    code = f"import sys\n{program}\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def test_import() -> None:
    assert loaded("import gen.sources.manifests") == set()


@pytest.mark.parametrize(("name", "expected"), [("a.json", set()), ("a.yaml", {"yaml", "logging"})])
def test_reading(tmp_path: Path, name: str, expected: set[str]) -> None:
    (tmp_path / name).write_text(INGRESS if name == "a.yaml" else '{"apiVersion": "v1", "kind": "Pod"}')
    assert loaded(f"from gen.sources.manifests import read\nread([{str(tmp_path)!r}])") == expected
