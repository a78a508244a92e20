"""The nginxes that these tests run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.proxies import OTHER_VERSIONS, binary_of, need_proxy, need_version
from tests.nginx.running import Running

BINARIES = ("nginx", *(version for version in OTHER_VERSIONS if version.backend == "nginx"))


@pytest.fixture(scope="session", params=BINARIES, ids=str)
def binary(request: pytest.FixtureRequest) -> str:
    """The installed nginx, then each one of the version matrix."""
    if request.param == "nginx":
        need_proxy("nginx")
        return binary_of("nginx")
    return str(need_version(request.param))


@pytest.fixture
def running(binary: str, tmp_path: Path) -> Iterator[Running]:
    """An nginx for one test."""
    with Running(binary, tmp_path / "state") as one:
        yield one
