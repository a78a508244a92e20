"""The black-box conformance cases of ingress-nginx, when their runner stands beside the project.

The runner is not a part of the project; where it is absent, the tests say so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(
    os.environ.get("CONFORMANCE_RUNNER", Path(__file__).parents[2] / "shared" / "conformance" / "run_cases.py")
)
GEN = shutil.which("gen", path=str(Path(sys.executable).parent))


EXCEPTIONS: dict[str, dict[str, str]] = {"nginx": {}, "haproxy": {}, "envoy": {}}
"""Case -> why that proxy cannot satisfy it; only cases that are marked as not portable may stand here."""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not RUNNER.is_file(), reason=f"no conformance runner at {RUNNER}: set CONFORMANCE_RUNNER")
@pytest.mark.parametrize("backend", ["nginx", "haproxy", "envoy"])
def test_core_cases(backend: str, tmp_path: Path) -> None:
    assert GEN, "the gen command is not installed beside this Python"
    report = tmp_path / "report.json"
    command = [sys.executable, str(RUNNER), "--gen", GEN, "--backend", backend, "--profile", "ingress-nginx"]
    command += ["--level", "core", "--jobs", "2", "--report", str(report)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    results = json.loads(report.read_text())
    failed = {case["id"]: case["problems"] for case in results["cases"] if case["outcome"] == "failed"}
    assert results["passed"] > 50, finished.stdout[-4000:] + finished.stderr[-2000:]
    assert (failed.keys() - EXCEPTIONS[backend], results["lifecycle"]) == (set(), []), failed
