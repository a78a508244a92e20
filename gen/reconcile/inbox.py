"""What came in and was not worked on yet: later batches merge into earlier ones, so there is never more than one."""

from __future__ import annotations

import asyncio

from gen.ir import Issue
from gen.k8s import Ref
from gen.sources import Batch
from gen.store import Change


class Inbox:
    """The latest state of every object that changed since the last `take`.

    Shape: `arrived` is set while there is something that nobody has looked at, `issues` are those of the last batch.
    """

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.synced = False
        self.issues: tuple[Issue, ...] = ()
        self._changes: dict[Ref, Change] = {}

    def put(self, batch: Batch) -> None:
        """Merge a batch; the latest state of an object wins."""
        self._changes.update((change.ref, change) for change in batch.changes)
        self.issues = batch.issues
        self.synced = self.synced or batch.synced
        self.arrived.set()

    def take(self) -> tuple[Change, ...]:
        """All that came in since the last time."""
        changes, self._changes = tuple(self._changes.values()), {}
        return changes
