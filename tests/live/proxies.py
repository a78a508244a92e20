"""The real proxies: which are here, in which versions."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from msgspec import Struct

BACKENDS = ("nginx", "haproxy", "envoy")
MATRIX = Path(__file__).resolve().parents[2] / ".matrix" / "bin"
SEARCH = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


class Version(Struct, frozen=True):
    """A version of a proxy beside the installed one."""

    backend: str
    number: str

    @property
    def binary(self) -> Path:
        """Where script/matrix puts it."""
        return MATRIX / f"{self.backend}-{self.number}"

    def __str__(self) -> str:
        return f"{self.backend}-{self.number}"


OTHER_VERSIONS = (Version("nginx", "1.26"), Version("haproxy", "3.0"), Version("envoy", "1.36"))


def binary_of(backend: str) -> str:
    """The program of the installed proxy, "" where there is none."""
    return shutil.which(backend, path=SEARCH) or ""


def need_proxy(backend: str) -> None:
    """Skip, loudly, where the proxy is not installed; with CI set that is a failure."""
    if not binary_of(backend):
        missing(f"{backend} is not installed: nothing that needs it was tested")


def need_version(version: Version) -> Path:
    """The binary of another version; the same rule as for need_proxy."""
    if not version.binary.exists():
        missing(f"{version.binary} is not there (script/matrix makes it): {version} was not tested")
    return version.binary


def missing(what: str) -> None:
    """Something that a test needs is not here."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(what)
    pytest.skip(what)
