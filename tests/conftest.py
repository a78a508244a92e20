"""Fixtures that all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.echo import EchoNet


@pytest.fixture(scope="session")
def echo() -> Iterator[EchoNet]:
    """The echo servers of this session."""
    with EchoNet() as net:
        yield net
