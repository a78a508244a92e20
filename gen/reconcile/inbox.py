"""What came in and was not worked on yet: later batches merge into earlier ones, so there is never more than one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gen.errors import SourceError
from gen.ir import Issue
from gen.k8s import Ref
from gen.reconcile.backoff import Backoff, Timing
from gen.report.events import Event, Fault, SourceFailed
from gen.sources import Batch, ObjectSource
from gen.store import Change


class Inbox:
    """The latest state of every object that changed since the last `take`.

    Shape: `arrived` is set while there is something that nobody has looked at, `issues` are those of the last batch.
    """

    def __init__(self, source: ObjectSource, timing: Timing, observe: Callable[[Event], None]) -> None:
        self.source, self.observe = source, observe
        self.arrived = asyncio.Event()
        self.synced = False
        self.issues: tuple[Issue, ...] = ()
        self._changes: dict[Ref, Change] = {}
        self._backoff = Backoff(timing)

    async def fill(self) -> None:
        """Take in what the source tells until it ends; a source that fails is asked again."""
        while True:
            try:
                async for batch in self.source.batches():
                    self.put(batch)
                    self._backoff.reset()
            except SourceError as error:
                delay = self._backoff.next()
                self.observe(SourceFailed(str(error), delay))
            except Exception as error:  # a defect must not end the loop: what is live stays live
                delay = self._backoff.next()
                self.observe(Fault(error))
            else:
                return
            await asyncio.sleep(delay)

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
