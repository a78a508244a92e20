"""`gen version`: what is installed here."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click

from gen import __version__
from gen.cli.flags import Flags
from gen.cli.options import Command

QUESTION = {"nginx": "-v", "haproxy": "-v", "envoy": "--version"}
PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", str(Path(sys.executable).parent)))
NUMBER = re.compile(r"[/ ](\d+\.\d+\.\d+)")


def version(_flags: Flags) -> int:
    """Print the versions of gen and of the proxies here."""
    click.echo(f"gen {__version__} (Python {platform.python_version()})")
    for name, flag in QUESTION.items():
        path = shutil.which(name, path=PLACES)
        click.echo(f"{name} {version_of(path, flag)} ({path})" if path else f"{name} not found")
    return 0


def version_of(path: str, flag: str) -> str:
    """The version that a program tells, or why it does not."""
    try:
        done = subprocess.run([path, flag], capture_output=True, text=True, errors="replace", timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "does not answer"
    found = NUMBER.search(done.stdout + done.stderr)
    return found[1] if found else "of unknown version"


COMMAND = Command("version", version, [])
