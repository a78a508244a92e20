"""All that gen writes into a cluster, put together: it listens to the loop, and never holds it up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

from msgspec import Raw, Struct

from gen.backend import Bundle
from gen.errors import SourceError
from gen.ir import Issue
from gen.k8s import Object, Ref
from gen.reconcile.cluster.addresses import AddressBook
from gen.reconcile.cluster.events import EventWriter
from gen.reconcile.cluster.lease import Election
from gen.reconcile.cluster.status import StatusWriter
from gen.reconcile.tasks import cancel
from gen.report.events import Attempt, Event, Fault, IssuesFound, Leadership, SourceFailed, Written
from gen.report.verdicts import served, verdicts
from gen.sources.cluster import ClusterSource
from gen.sources.kube.connection import Connection
from gen.sources.kube.selection import Scope

CLOSE_WITHIN = 4.0
AFTER_A_DEFECT = 10.0


class Wanted(Struct, frozen=True, kw_only=True):
    """What is to be written.

    Shape: `identity` is this gen among its replicas; `lease` is the name of the Lease in `namespace`, "" where there is
    no other replica.  Clients reach the proxy at `addresses`, or by the Service or the nodes of `places`, there perhaps
    at `internal` addresses.  `clear` takes the addresses back at the end.
    """

    identity: str
    namespace: str
    lease: str = ""
    status: Literal["off", "observe", "own"] = "off"
    events: bool = False
    addresses: tuple[str, ...] = ()
    internal: bool = False
    places: Scope | None = None
    clear: bool = False

    @property
    def is_nothing(self) -> bool:
        """Whether gen only reads."""
        return self.status == "off" and not self.events


class Writing:
    """Status and Events, each only where it is wanted, by the leader of the replicas.

    Shape: `connect` makes connections, `lookup` finds objects of the cluster.
    """

    def __init__(
        self,
        wanted: Wanted,
        connect: Callable[[], Connection],
        *,
        lookup: Callable[[Ref], Object | None],
        observe: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wanted, self._connection, self._tell = wanted, connect(), observe
        self._issues: tuple[Issue, ...] = ()
        self._live: frozenset[Ref] = frozenset()
        self._hosts: object = None
        self._passed: tuple[object, object] | None = None
        self._book = AddressBook(wanted.addresses, internal=wanted.internal, changed=self._wake)
        self._election: Election | None = None
        self._status: StatusWriter | None = None
        self._events: EventWriter | None = None
        self._places: ClusterSource | None = None
        shared: Any = {"may_write": self._may_write, "observe": observe, "clock": clock}
        if wanted.lease:
            place = wanted.namespace, wanted.lease
            self._election = Election(
                self._connection, *place, wanted.identity, changed=self._lead, failed=self._fail, clock=clock
            )
        if wanted.status != "off":
            self._status = StatusWriter(self._connection, self._book, mode=wanted.status, **shared)
        if wanted.events:
            self._events = EventWriter(self._connection, identity=wanted.identity, lookup=lookup, **shared)
        if wanted.places:
            self._places = ClusterSource(
                connect(), wanted.places, notice=self._book.note, observe=lambda *said: observe(SourceFailed(*said))
            )

    # -------------------------------------------------------------- what is told to it

    def observe(self, event: Event) -> None:
        """Take note of what the loop tells."""
        match event:
            case IssuesFound():
                self._issues = event.issues
            case Attempt(result="applied", bundle=Bundle(config=config)) if config is not None:
                if config.hosts is not self._hosts:
                    self._hosts, self._live = config.hosts, served(config)
                self._pass_on()
            case Attempt(result="rejected"):
                self._pass_on()
            case _:
                pass

    def notice(self, ref: Ref, raw: Raw | None) -> None:
        """An object as it is in the cluster now, None when it is gone."""
        if self._status:
            self._status.note(ref, raw)

    def _pass_on(self) -> None:
        passed, self._passed = self._passed, (self._issues, self._live)
        if passed and passed[0] is self._issues and passed[1] is self._live:
            return
        if self._status:
            self._status.serve(self._live)
        if self._events:
            self._events.tell(verdicts(self._issues, self._live))

    # -------------------------------------------------------------- leadership

    def _may_write(self) -> bool:
        return self._election is None or self._election.is_leader

    def _lead(self, is_leader: bool) -> None:
        self._tell(Leadership(is_leader))
        self._wake()

    def _fail(self, error: str) -> None:
        self._tell(Written("lease", "failed", f"Lease {self._wanted.namespace}/{self._wanted.lease}", error))

    def _wake(self) -> None:
        for writer in (self._status, self._events):
            if writer:
                writer.wake()

    # -------------------------------------------------------------- its tasks

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Write for as long as the block runs; then let another replica take over."""
        works = [each.run for each in (self._election, self._status, self._events) if each]
        works += [self._learn] if self._places else []
        tasks = [asyncio.create_task(self._kept_up(work)) for work in works]
        try:
            yield
        finally:
            await cancel(*tasks)
            with suppress(TimeoutError, SourceError):
                async with asyncio.timeout(CLOSE_WITHIN):
                    await self._hand_over()
            await self._connection.close()
            if self._places:
                await self._places.close()

    async def _hand_over(self) -> None:
        try:
            if self._status and self._wanted.clear:
                await self._status.clear()
        finally:
            if self._election:
                await self._election.release()

    async def _learn(self) -> None:
        """Keep the book current; what it needs comes by the notice of its source."""
        assert self._places
        async for _ in self._places.batches():
            if not self._book.is_synced:
                self._book.sync()

    async def _kept_up(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A defect in one of them must end neither the others nor the loop."""
        while True:
            try:
                await work()
            except Exception as error:
                self._tell(Fault(error))
            await asyncio.sleep(AFTER_A_DEFECT)
