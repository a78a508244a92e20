"""Fixtures that all tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.live.echo import EchoNet
from tests.live.gen import GenRun
from tests.live.proxies import need_proxy


@pytest.fixture(scope="session")
def echo() -> Iterator[EchoNet]:
    """The echo servers of this session."""
    with EchoNet() as net:
        yield net


@pytest.fixture(scope="session")
def shared_gen(tmp_path_factory: pytest.TempPathFactory, echo: EchoNet) -> Iterator[Callable[[str], GenRun]]:
    """The one `gen run` of each backend, without special options, for all tests that only replace its manifests."""
    runs: dict[str, GenRun] = {}

    def of(backend: str) -> GenRun:
        need_proxy(backend)
        if backend not in runs:
            runs[backend] = GenRun(backend, tmp_path_factory.mktemp(backend), echo)
        return runs[backend]

    yield of
    for run in runs.values():
        run.stop()
