"""Somebody who listens to a cluster source and keeps what it says, as the loop of gen does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Self

from gen.k8s import Object, Ref
from gen.sources import Batch
from gen.sources.cluster import ClusterSource
from tests.cluster.objects import NAMESPACE


class Follower:
    """The state that the batches of a source add up to, and the failures that it told of, each with its delay."""

    def __init__(self, source: ClusterSource, failures: list[tuple[str, float]]) -> None:
        self.source = source
        self.failures = failures
        self.batches: list[Batch] = []
        self.objects: dict[Ref, Object] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.source.close()
        assert self._task
        await self._task

    async def _listen(self) -> None:
        async for batch in self.source.batches():
            self.batches.append(batch)
            for change in batch.changes:
                if change.object is None:
                    self.objects.pop(change.ref, None)
                else:
                    self.objects[change.ref] = change.object

    async def first(self, seconds: float = 10.0) -> Batch:
        """The first batch."""
        await until(lambda: bool(self.batches), seconds)
        return self.batches[0]

    def names(self, kind: str = "Ingress", namespace: str = NAMESPACE) -> set[str]:
        """The objects of a kind that are known."""
        return {ref.name for ref in self.objects if (ref.kind, ref.namespace) == (kind, namespace)}

    async def knows(self, *names: str, kind: str = "Ingress", seconds: float = 10.0) -> None:
        """Wait until exactly these objects of a kind are known."""
        await until(lambda: bool(self.batches) and self.names(kind) == set(names), seconds)

    async def fails(self, times: int) -> None:
        """Wait until the source has failed so often from now on."""
        goal = len(self.failures) + times
        await until(lambda: len(self.failures) >= goal)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something is so.  Fails with what it waited for when it takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{condition} did not come true within {seconds} s"
        await asyncio.sleep(0.005)
