"""The Envoys that these tests run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.envoy.running import Running
from tests.live.proxies import OTHER_VERSIONS, binary_of, need_proxy, need_version

settings.register_profile("unhurried", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("unhurried")

BINARIES = ("envoy", *(version for version in OTHER_VERSIONS if version.backend == "envoy"))


@pytest.fixture(scope="session", params=BINARIES, ids=str)
def binary(request: pytest.FixtureRequest) -> str:
    """The installed Envoy, then each one of the version matrix."""
    if request.param == "envoy":
        need_proxy("envoy")
        return binary_of("envoy")
    return str(need_version(request.param))


@pytest.fixture
def running(binary: str, tmp_path: Path) -> Iterator[Running]:
    """An Envoy for one test."""
    with Running(binary, tmp_path / "state") as one:
        yield one
