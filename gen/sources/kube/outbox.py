"""Many changes in, few batches out: closed until everything is known, then opened for good."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from gen.k8s import Ref
from gen.store import Change


class Outbox:
    """The latest state of each object that was not handed out yet.

    Units: seconds.  A batch is handed out after `quiet` without another change, but at most `patience` after its first.
    """

    def __init__(self, *, quiet: float, patience: float) -> None:
        self._quiet, self._patience = quiet, patience
        self._changes: dict[Ref, Change] = {}
        self._puts = 0
        self._closed = False
        self._news, self._open = asyncio.Event(), asyncio.Event()

    def put(self, changes: Iterable[Change]) -> None:
        """Add changes, possibly none: then only something around the objects has changed."""
        self._changes.update((change.ref, change) for change in changes)
        self._puts += 1
        self._news.set()

    def open(self) -> None:
        """From now on batches go out."""
        self._open.set()

    def close(self) -> None:
        """Nothing goes out any more."""
        self._closed = True
        self._open.set()
        self._news.set()

    async def take(self) -> tuple[Change, ...] | None:
        """The next batch; None when the outbox was closed."""
        await self._open.wait()
        await self._news.wait()
        await self._settled()
        if self._closed:
            return None
        changes = tuple(self._changes.values())
        self._changes = {}
        self._news.clear()
        return changes

    async def _settled(self) -> None:
        clock = asyncio.get_running_loop().time
        latest = clock() + self._patience
        puts = -1
        while puts != self._puts and clock() < latest:
            puts = self._puts
            await asyncio.sleep(min(self._quiet, latest - clock()))
