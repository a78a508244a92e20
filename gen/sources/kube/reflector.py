"""Keeps what is known of one selection equal to the state of the API server.

                 whole list, or watch-list
        lost ────────────────────────────────> following ──┐ an event moves our place; a clean end: watch again
         ^                                         │   ^───┘
         │ 410, doubt, a refusal                   │
         └─────────────────────────────────────────┤
                                                   │ outage, 429, 5xx, 401, 403: wait, then watch
                                                   └─> from the same place

Whatever happens, what is known stays known until a whole new state says otherwise.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress

import msgspec
from msgspec import Struct

from gen.ir import Issue
from gen.k8s import Object, Ref
from gen.sources.kube import wire
from gen.sources.kube.connection import Connection
from gen.sources.kube.errors import Doubtful, Refused, Unreachable, place_is_lost, words
from gen.sources.kube.selection import Selection
from gen.sources.kube.timing import Backoff, Timing
from gen.store import Change

PAGE_SIZE = "500"

Publish = Callable[[Sequence[Change]], None]
Notice = Callable[[Ref, msgspec.Raw | None], None]
"""Shown each object as it came, for what its view leaves out; None: it is gone."""
Observe = Callable[[str, float], None]
"""Told of each failure: what it was, and after how many seconds it is tried again."""


class Listing(Struct):
    """A whole state: the objects, those that cannot be read, and the place in the server's history."""

    version: str
    objects: dict[Ref, Object]
    faults: dict[Ref, Issue]


class Reflector:
    """What is known of one selection, and the task that keeps it current."""

    def __init__(
        self,
        connection: Connection,
        selection: Selection,
        publish: Publish,
        *,
        timing: Timing,
        clock: Callable[[], float],
        observe: Observe,
        notice: Notice | None = None,
    ) -> None:
        self.selection = selection
        self.synced = False
        self.faults: dict[Ref, Issue] = {}
        self._connection, self._publish, self._observe = connection, publish, observe
        self._timing, self._clock, self._notice = timing, clock, notice
        self._backoff = Backoff(timing, clock)
        self._heard = clock()
        self._known: dict[Ref, Object] = {}
        self._place = ""
        self._lost = True
        self._watch_list = True
        self._suspect: Listing | None = None

    def age(self) -> float:
        """Seconds since the API server was last heard."""
        return self._clock() - self._heard

    async def run(self) -> None:
        """Follow the API server for ever."""
        while True:
            try:
                await self._follow()
            except Exception as error:  # even a defect must not end this: what is known stays known
                delay = self._delay_after(error)
                if delay:
                    self._observe(f"{self.selection}: {words(error)}", delay)
                await asyncio.sleep(delay)

    async def _follow(self) -> None:
        """From where we are to the next break; returns when the server ended the watch as it was asked to."""
        if self._lost and not self._watch_list:
            self._replace(await self._list())
        async with self._watch() as events:
            if self._lost:
                self._replace(await self._initial(events))
            async for event in events:
                self._apply(event)

    def _delay_after(self, error: Exception) -> float:
        """Decide what a failure means for our place and for what is asked next: 0 where that is something else."""
        self._lost = self._lost or place_is_lost(error)
        if isinstance(error, Refused):
            if self._lost and self._watch_list and error.status in (400, 403, 422):
                self._watch_list = False
                return 0.0
            if self.selection.kind == "EndpointSlice" and error.status == 404 and not self.synced:
                self.selection = msgspec.structs.replace(self.selection, kind="Endpoints")
                return 0.0
            return self._backoff.next(error.retry_after)
        return self._backoff.next()

    # -------------------------------------------------------------- asking

    async def _list(self) -> Listing:
        """All pages of a list, or none: a page that fails fails the list.

        No resourceVersion is sent: a consistent read never goes back in time, as one from a lagging replica could.
        """
        found = Listing("", {}, {})
        rest = ""
        while True:
            params = {**self.selection.params, "limit": PAGE_SIZE, **({"continue": rest} if rest else {})}
            body = await self._connection.get(self.selection.path, params, deadline=self._timing.page)
            page = wire.read_page(self.selection.kind, body)
            self._heard = self._clock()
            for raw in page.items:
                self._collect(found, raw)
            found.version, rest = page.version, page.rest
            if not rest:
                return found

    @asynccontextmanager
    async def _watch(self) -> AsyncIterator[AsyncIterator[wire.Event]]:
        """Events from our place on; from the whole state on when we have none."""
        began = self._clock()
        seconds = int(self._timing.watch * random.uniform(1.0, 2.0))  # noqa: S311 - not a secret
        params = {
            **self.selection.params,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        if self._lost:
            params |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        else:
            params["resourceVersion"] = self._place
        silence = seconds + self._timing.silence
        stream = self._connection.lines(self.selection.path, params, silence=silence)
        async with stream as lines, aclosing(self._events(lines)) as events:
            yield events
        if self._clock() - began < self._timing.shortest:
            raise Unreachable("the watch ended at once")

    async def _events(self, lines: AsyncIterator[bytes]) -> AsyncGenerator[wire.Event, None]:
        async for line in lines:
            self._heard = self._clock()
            yield wire.read_event(self.selection.kind, line)

    async def _initial(self, events: AsyncIterator[wire.Event]) -> Listing:
        """The whole state that a watch begins with; a server that does not come to its end is asked for lists."""
        found = Listing("", {}, {})
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.whole):
                async for event in events:
                    if event.whole:
                        found.version = event.version
                        return found
                    if event.type == "DELETED":
                        found.objects.pop(event.ref, None)
                    elif event.type != "BOOKMARK":
                        self._collect(found, event.raw)
        self._watch_list = False
        raise Unreachable("the initial events did not come to an end")

    def _collect(self, listing: Listing, raw: msgspec.Raw) -> None:
        ref, item = wire.read_object(self.selection.kind, raw)
        if isinstance(item, Issue):
            listing.faults[ref] = item
        else:
            listing.objects[ref] = item
            self._show(ref, raw)

    def _show(self, ref: Ref, raw: msgspec.Raw | None) -> None:
        if self._notice:
            self._notice(ref, raw)

    # -------------------------------------------------------------- believing

    def _replace(self, listing: Listing) -> None:
        """Take in a whole state; what it does not hold is gone."""
        self._question(listing)
        old, new = self._known, listing.objects
        changed = [ref for ref, item in new.items() if old.get(ref) != item]
        gone = old.keys() - new.keys() - listing.faults.keys()
        for ref in changed:
            old[ref] = new[ref]
        for ref in gone:
            del old[ref]
            self._show(ref, None)
        self.faults = listing.faults
        self._place, self._lost, self.synced = listing.version, False, True
        self._publish([*(Change(ref, new[ref]) for ref in changed), *(Change(ref, None) for ref in gone)])

    def _question(self, listing: Listing) -> None:
        """Raises Doubtful for a state that is suddenly empty or of the past, unless the next one says the same."""
        emptied = bool(self._known) and not listing.objects
        if not emptied and not wire.is_older(listing.version, self._place):
            self._suspect = None
            return
        first, self._suspect = self._suspect, listing
        same = first is not None and bool(first.objects) == bool(listing.objects)
        if first is None or not same or wire.is_older(listing.version, first.version):
            what = "nothing at all" if emptied else "a state of the past"
            raise Doubtful(f"the API server has {what}: asking again before that is believed")
        self._suspect = None

    def _apply(self, event: wire.Event) -> None:
        """Take in one event; one that does not come after our place means that some were lost or came in disorder."""
        if wire.is_older(event.version, self._place):
            raise Doubtful(f"an event of the past: {event.version} after {self._place}")
        self._place = event.version
        if event.type == "DELETED":
            self._forget(event)
        elif event.type != "BOOKMARK":
            self._learn(event)

    def _learn(self, event: wire.Event) -> None:
        ref, item = wire.read_object(self.selection.kind, event.raw)
        if isinstance(item, Issue):
            self.faults[ref] = item
            self._publish([])
            return
        self._show(ref, event.raw)
        if self.faults.pop(ref, None) or self._known.get(ref) != item:
            self._known[ref] = item
            self._publish([Change(ref, item)])

    def _forget(self, event: wire.Event) -> None:
        """What is gone is the object with that uid, never one of the same name that came after it."""
        known = self._known.get(event.ref)
        if known is not None and event.uid not in (None, known.metadata.uid):
            return
        self.faults.pop(event.ref, None)
        if known is not None:
            del self._known[event.ref]
            self._show(event.ref, None)
        self._publish([Change(event.ref, None)])
