"""Single objects, read one by one and again from time to time: for credentials that may `get` but not list.

Which ones, other objects say: a Secret is read as soon as an Ingress refers to it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

from gen.ir import Issue, Source
from gen.k8s import Object, Ref
from gen.sources.kube import wire
from gen.sources.kube.connection import Connection
from gen.sources.kube.errors import Refused, words
from gen.sources.kube.reflector import Observe, Publish
from gen.sources.kube.selection import path_of
from gen.sources.kube.timing import Backoff, Timing
from gen.store import Change

AT_ONCE = 8


class Fetcher:
    """What is known of the wanted objects, and the task that reads them."""

    def __init__(
        self,
        connection: Connection,
        publish: Publish,
        *,
        timing: Timing,
        clock: Callable[[], float],
        observe: Observe,
    ) -> None:
        self.faults: dict[Ref, Issue] = {}
        self._connection, self._publish, self._observe = connection, publish, observe
        self._timing, self._clock = timing, clock
        self._backoff = Backoff(timing, clock)
        self._heard = clock()
        self._known: dict[Ref, Object] = {}
        self._due: dict[Ref, float] = {}
        self._unanswered: set[Ref] = set()
        self._wanted_changed = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Whether each wanted object was answered for once, if only with `there is none`."""
        return not self._unanswered

    def age(self) -> float:
        """Seconds since the last answer; nothing is stale where nothing is wanted."""
        return self._clock() - self._heard if self._due else 0.0

    def want(self, refs: frozenset[Ref]) -> None:
        """Read these, and no others."""
        dropped = self._due.keys() - refs
        new = refs - self._due.keys()
        for ref in dropped:
            del self._due[ref]
            self.faults.pop(ref, None)
        self._due |= dict.fromkeys(new, self._clock())
        self._unanswered = (self._unanswered - dropped) | new
        self._publish([Change(ref, None) for ref in dropped if self._known.pop(ref, None) is not None])
        self._wanted_changed.set()

    async def run(self) -> None:
        """Read what is due, for ever."""
        while True:
            self._wanted_changed.clear()
            now = self._clock()
            due = [ref for ref, at in self._due.items() if at <= now][:AT_ONCE]
            if due:
                await self._read(due)
            else:
                await self._wait(min(self._due.values(), default=now + self._timing.reread) - now)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted_changed.wait()

    async def _read(self, refs: Sequence[Ref]) -> None:
        """Ask for some at once; those that fail are tried again together, and keep what is known of them."""
        answers = await asyncio.gather(*map(self._ask, refs), return_exceptions=True)
        failures = [answer for answer in answers if isinstance(answer, Exception)]
        patience = self._delay_after(failures) if failures else 0.0
        for ref, answer in zip(refs, answers, strict=True):
            if ref not in self._due:
                continue
            if isinstance(answer, BaseException):
                self._due[ref] = self._clock() + patience
            else:
                self._due[ref] = self._clock() + self._timing.reread * random.uniform(0.8, 1.2)  # noqa: S311
                self._learn(ref, answer)

    def _delay_after(self, failures: Sequence[Exception]) -> float:
        delay = self._backoff.next(max(getattr(error, "retry_after", 0.0) for error in failures))
        self._observe(f"{len(failures)} objects by reference: {words(failures[0])}", delay)
        return delay

    async def _ask(self, ref: Ref) -> Object | Issue | None:
        try:
            body = await self._connection.get(path_of(ref), {}, deadline=self._timing.page)
        except Refused as error:
            if error.status == 404:
                return None
            if error.status == 403:
                source = Source(ref.kind, ref.namespace, ref.name)
                return Issue(source, "Forbidden", f"gen may not read it: {error}")
            raise
        return wire.read_single(ref, body)

    def _learn(self, ref: Ref, found: Object | Issue | None) -> None:
        """Take in an answer; one that only says that the object cannot be read leaves what is known of it."""
        self._heard = self._clock()
        self._unanswered.discard(ref)
        if isinstance(found, Issue):
            self.faults[ref] = found
            self._publish([])
            return
        self.faults.pop(ref, None)
        changed = found != self._known.pop(ref, None)
        if found is not None:
            self._known[ref] = found
        self._publish([Change(ref, found)] if changed else [])
