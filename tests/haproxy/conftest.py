"""The HAProxys that these tests run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.haproxy.running import Running
from tests.live.proxies import OTHER_VERSIONS, binary_of, need_proxy, need_version

settings.register_profile("unhurried", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("unhurried")

BINARIES = ("haproxy", *(version for version in OTHER_VERSIONS if version.backend == "haproxy"))


@pytest.fixture(scope="session", params=BINARIES, ids=str)
def binary(request: pytest.FixtureRequest) -> str:
    """The installed HAProxy, then each one of the version matrix."""
    if request.param == "haproxy":
        need_proxy("haproxy")
        return binary_of("haproxy")
    return str(need_version(request.param))


@pytest.fixture
def running(binary: str, tmp_path: Path) -> Iterator[Running]:
    """A HAProxy for one test."""
    with Running(binary, tmp_path / "state") as one:
        yield one
