"""What the tests of writing have in common: connections, clocks, and Leases that do not last long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from gen.reconcile.cluster.lease import Election, Terms
from gen.reconcile.tasks import cancel
from gen.sources.kube.timing import Timing
from tests.cluster.conftest import connection_to

SHORT = Terms(duration=1, renew=0.6, retry=0.1)
QUICK = Timing(first=0.02, limit=0.1, calm=60.0, quiet=0.01)


class Clock:
    """A clock that a test may set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@asynccontextmanager
async def running(*works: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Tasks that run meanwhile."""
    tasks = [asyncio.create_task(work()) for work in works]
    try:
        yield
    finally:
        await cancel(*tasks)
        assert [task for task in tasks if not task.cancelled()] == []


class Candidate:
    """Somebody who wants the Lease `gen` in a namespace."""

    def __init__(
        self, url: str, name: str, namespace: str = "shop", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.connection = connection_to(url)
        self.changes: list[bool] = []
        self.failures: list[str] = []
        self.election = Election(
            self.connection, namespace, "gen", name, terms=SHORT, clock=clock,
            changed=self.changes.append, failed=self.failures.append,
        )  # fmt: skip

    @property
    def leads(self) -> bool:
        """Whether it may write."""
        return self.election.is_leader
