"""Many changes in, few batches out: closed until everything is known, then opened for good.

Two clocks: endpoints go out at once, since they are what requests fail on, and a proxy may take them without a reload;
everything else waits until no more comes for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from gen.k8s import Ref
from gen.store import Change

URGENT = frozenset(("EndpointSlice",))


class Outbox:
    """The latest state of each object that was not handed out yet.

    Units: seconds.  A batch is handed out after `quiet` without another change, but at most `patience` after its first;
    one of endpoints alone at once, though not within `pace` of the last one.  The first batch holds everything.
    """

    def __init__(self, *, quiet: float, patience: float, pace: float = 0.0) -> None:
        self._quiet, self._patience, self._pace = quiet, patience, pace
        self._urgent: dict[Ref, Change] = {}
        self._others: dict[Ref, Change] = {}
        self._first = self._last = 0.0
        self._waits = False
        self._handed_out: float | None = None
        self._closed = False
        self._news, self._open = asyncio.Event(), asyncio.Event()

    def put(self, changes: Iterable[Change]) -> None:
        """Add changes, possibly none: then only something around the objects has changed."""
        rest = []
        for change in changes:
            if change.ref.kind in URGENT and self._handed_out is not None:
                self._urgent[change.ref] = change
            else:
                rest.append(change)
        if rest or not self._urgent:
            self._others.update((change.ref, change) for change in rest)
            self._last = self._now()
            self._first, self._waits = (self._first if self._waits else self._last), True
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
        while not self._closed:
            self._news.clear()
            delay = self._delay()
            if delay is not None and delay <= 0:
                return self._hand_out()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._news.wait()
        return None

    def _delay(self) -> float | None:
        """How long nothing is to be handed out; None where there is nothing."""
        delays = [self._delay_of_others()] if self._waits else []
        if self._urgent:
            delays.append((self._handed_out or 0.0) + self._pace - self._now())
        return min(delays, default=None)

    def _delay_of_others(self) -> float:
        return min(self._last + self._quiet, self._first + self._patience) - self._now()

    def _hand_out(self) -> tuple[Change, ...]:
        changes, self._urgent = self._urgent, {}
        if self._waits and self._delay_of_others() <= 0:
            changes, self._others, self._waits = {**self._others, **changes}, {}, False
        self._handed_out = self._now()
        return tuple(changes.values())

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
