"""Events on Ingresses, which `kubectl describe` shows: what became of them, when that changes.

They are of events.k8s.io/v1, where what happens again is a series of one Event; the API server shows the same objects
to those who read the older core Events.  Limits are those of client-go: 25 at once on one object, then one in five
minutes.  An Event that cannot be written within a minute is left out.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from msgspec import Struct

from gen.errors import SourceError
from gen.k8s import Object, Ref
from gen.reconcile.cluster.bucket import Bucket
from gen.report.events import Event, Written
from gen.report.verdicts import ACCEPTED, Verdict
from gen.sources.kube.connection import Connection
from gen.sources.kube.errors import Refused, Unreachable, words
from gen.sources.kube.selection import Selection
from gen.sources.kube.timing import Backoff, Timing

CONTROLLER = "ingress-gen/controller"
OBJECT_BURST, OBJECT_EVERY = 25, 300.0
BURST, EVERY = 50, 0.1
FRESH = 60.0
REMEMBERED, FOR = 2048, 3000.0
"""So many Events, for so many seconds: the API server forgets one after an hour."""
MOST_WAITING = 1000
NAME_LENGTH = 200
DEADLINE = 5.0


class _Item(Struct, frozen=True):
    ref: Ref
    verdict: Verdict
    at: float


class _Told(Struct):
    """An Event that was written."""

    path: str
    times: int
    at: float


class EventWriter:
    """Tells on each Ingress what is new about it.

    Shape: `lookup` finds the Ingress; an Event names its uid.  `identity` is this gen among its replicas.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        identity: str,
        lookup: Callable[[Ref], Object | None],
        may_write: Callable[[], bool],
        observe: Callable[[Event], None],
        clock: Callable[[], float],
        timing: Timing = Timing(),  # noqa: B008 - frozen
    ) -> None:
        self._connection, self._identity, self._lookup = connection, identity, lookup
        self._may_write, self._observe, self._clock, self._timing = may_write, observe, clock, timing
        self._said: Mapping[Ref, frozenset[Verdict]] | None = None
        self._waiting: deque[_Item] = deque(maxlen=MOST_WAITING)
        self._told: OrderedDict[tuple[Ref, Verdict], _Told] = OrderedDict()
        self._buckets: dict[Ref, Bucket] = {}
        self._bucket = Bucket(BURST, EVERY, clock)
        self._backoff = Backoff(timing, clock)
        self._wake = asyncio.Event()

    def tell(self, verdicts: Mapping[Ref, frozenset[Verdict]]) -> None:
        """All that is to be said now; what was said before is not said again, nor that all was well from the start."""
        before, self._said = self._said, verdicts
        now = self._clock()
        for ref in sorted(verdicts):
            new = verdicts[ref] - (before.get(ref, frozenset()) if before is not None else {ACCEPTED})
            self._waiting.extend(_Item(ref, verdict, now) for verdict in sorted(new))
        self._wake.set()

    def wake(self) -> None:
        """Leadership may have changed."""
        self._wake.set()

    async def run(self) -> None:
        """Write what waits, for ever."""
        while True:
            self._wake.clear()
            self._forget()
            pause = await self._write_all() if self._may_write() else None
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _forget(self) -> None:
        oldest = self._clock() - FRESH
        while self._waiting and self._waiting[0].at < oldest:
            self._waiting.popleft()
        self._buckets = {ref: bucket for ref, bucket in self._buckets.items() if not bucket.is_full}

    async def _write_all(self) -> float | None:
        """Gives the seconds until another try, None if there is nothing left."""
        while self._waiting and self._may_write():
            item = self._waiting[0]
            if self._is_too_much(item):
                self._waiting.popleft()
                continue
            await asyncio.sleep(self._bucket.delay())
            self._bucket.take()
            try:
                await self._write(item)
            except Unreachable as error:
                self._report(item, words(error))
                return self._backoff.next()
            except SourceError as error:
                self._report(item, words(error))
            if self._waiting and self._waiting[0] is item:
                self._waiting.popleft()
        return None

    def _is_too_much(self, item: _Item) -> bool:
        if item.at < self._clock() - FRESH:
            return True
        bucket = self._buckets.setdefault(item.ref, Bucket(OBJECT_BURST, OBJECT_EVERY, self._clock))
        return not bucket.take()

    async def _write(self, item: _Item) -> None:
        """Raises SourceError."""
        key = (item.ref, item.verdict)
        told = self._told.get(key)
        if told is None or told.at < self._clock() - FOR or not await self._again(told):
            await self._create(item)
        self._told.move_to_end(key)
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        self._observe(Written("event", "written", f"{item.verdict.reason} {item.ref}"))

    async def _again(self, told: _Told) -> bool:
        """Make it a series, or a longer one; False where the Event is not there any more."""
        series = {"count": told.times + 1, "lastObservedTime": moment()}
        try:
            await self._connection.send(
                "PATCH",
                told.path,
                {"series": series},
                content_type="application/merge-patch+json",
                deadline=DEADLINE,
            )
        except Refused as error:
            if error.status == 404:
                return False
            raise
        told.times, told.at = told.times + 1, self._clock()
        return True

    async def _create(self, item: _Item) -> None:
        ref, verdict = item.ref, item.verdict
        found = self._lookup(ref)
        name = f"{ref.name[:NAME_LENGTH].rstrip('-.')}.{uuid.uuid4().hex[:16]}"
        regarding = {"apiVersion": "networking.k8s.io/v1", "kind": ref.kind, "namespace": ref.namespace}
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": ref.namespace},
            "eventTime": moment(),
            "reportingController": CONTROLLER,
            "reportingInstance": self._identity[:128],
            "action": "Configure",
            "reason": verdict.reason,
            "type": verdict.type,
            "note": verdict.note,
            "regarding": {**regarding, "name": ref.name, "uid": (found.metadata.uid if found else None) or ""},
        }
        path = Selection("Event", ref.namespace).path
        await self._connection.send("POST", path, body, deadline=DEADLINE)
        self._told[ref, verdict] = _Told(f"{path}/{name}", 1, self._clock())

    def _report(self, item: _Item, error: str) -> None:
        self._observe(Written("event", "failed", f"{item.verdict.reason} {item.ref}", error))


def moment() -> str:
    """The time, in microseconds, for others to read."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
