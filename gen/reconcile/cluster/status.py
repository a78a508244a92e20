"""The status of Ingresses: where clients reach the proxy, written to each Ingress that is served.

It never flaps: nothing is written where the status says the same already.  It is never cleared by accident: addresses
that are not known are not written.  Whoever writes something else there gets the last word, at first for a second,
then for longer each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from msgspec import Raw, Struct

from gen.errors import SourceError
from gen.k8s import Ref
from gen.reconcile.cluster.addresses import UNREADABLE, Address, AddressBook, of_ingress
from gen.reconcile.cluster.bucket import Bucket
from gen.report.events import Event, Written
from gen.sources.kube.connection import Connection
from gen.sources.kube.errors import Refused, words
from gen.sources.kube.selection import path_of
from gen.sources.kube.timing import Backoff, Timing
from gen.sources.kube.wire import is_older

MANAGER = "ingress-gen"
DEADLINE = 5.0
"""Of one write: less than what is left of a Lease after its holder has stopped to be the leader."""
BURST, EVERY = 50, 0.05
OF_THE_OBJECT = frozenset({404, 409, 410, 422})
"""Refusals that say something of one Ingress only."""
Mode = Literal["observe", "own"]


class _Trouble(Struct):
    """How often an Ingress was written in vain, and until when it is left alone."""

    times: int = 0
    until: float = 0.0


class StatusWriter:
    """Keeps the status of the Ingresses that are served equal to the addresses of the book."""

    def __init__(
        self,
        connection: Connection,
        book: AddressBook,
        *,
        mode: Mode,
        may_write: Callable[[], bool],
        observe: Callable[[Event], None],
        clock: Callable[[], float],
        timing: Timing = Timing(),  # noqa: B008 - frozen
    ) -> None:
        self._connection, self._book, self._mode = connection, book, mode
        self._may_write, self._observe, self._clock, self._timing = may_write, observe, clock, timing
        self._served: frozenset[Ref] = frozenset()
        self._known: dict[Ref, tuple[Address, ...]] = {}
        self._versions: dict[Ref, str] = {}
        self._ours: set[Ref] = set()
        self._troubles: dict[Ref, _Trouble] = {}
        self._bucket = Bucket(BURST, EVERY, clock)
        self._backoff = Backoff(timing, clock)
        self._wake = asyncio.Event()

    # -------------------------------------------------------------- what is told to it

    def note(self, ref: Ref, raw: Raw | None) -> None:
        """An object as it is in the cluster now."""
        if ref.kind != "Ingress":
            return
        if raw is None:
            for memory in (self._known, self._versions, self._troubles):
                memory.pop(ref, None)
            self._ours.discard(ref)
            return
        try:
            found, version = of_ingress(raw)
        except UNREADABLE:
            return
        before = self._known.get(ref)
        if self._learn(ref, found, version) and ref in self._ours and found != before:
            self._yield_to_other(ref)
        self._wake.set()

    def serve(self, refs: frozenset[Ref]) -> None:
        """These Ingresses are served now."""
        if refs != self._served:
            self._served = refs
            self._wake.set()

    def wake(self) -> None:
        """Addresses or leadership may have changed."""
        self._wake.set()

    # -------------------------------------------------------------- what it does

    async def run(self) -> None:
        """Write what differs, for ever."""
        while True:
            self._wake.clear()
            pause = await self._round()
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(self._timing.quiet)

    async def clear(self) -> None:
        """Take back what was written, as far as that is possible; what others wrote stays."""
        served, self._served = self._served, frozenset()
        if self._mode == "own" and self._may_write():
            for ref in sorted(served & self._known.keys()):
                with suppress(SourceError):
                    await self._apply(ref, ())

    async def _round(self) -> float | None:
        """Write what is due; gives the seconds until something is due again, None if only news can make it so."""
        wanted = self._book.current()
        for ref in self._differing(wanted):
            if self._patience(ref) > 0:
                continue
            await asyncio.sleep(self._bucket.delay())
            if not self._may_write():
                return None
            self._bucket.take()
            try:
                await self._write(ref, wanted)
            except SourceError as error:
                self._tell(ref, "failed", words(error))
                return self._backoff.next(getattr(error, "retry_after", 0.0))
        return min(map(self._patience, self._differing(wanted)), default=None)

    def _differing(self, wanted: tuple[Address, ...]) -> list[Ref]:
        """The Ingresses whose status says something else; none while nobody knows what it should say."""
        if not wanted or not self._may_write():
            return []
        return sorted(ref for ref in self._served if self._known.get(ref, wanted) != wanted)

    async def _write(self, ref: Ref, wanted: tuple[Address, ...]) -> None:
        """Raises SourceError for what other Ingresses would meet, too."""
        if self._mode == "observe":
            self._known[ref] = wanted
            self._tell(ref, "observed")
            return
        try:
            await self._apply(ref, wanted)
        except Refused as error:
            if error.status not in OF_THE_OBJECT:
                raise
            self._fail(ref)
            self._tell(ref, "failed", words(error))
        else:
            self._tell(ref, "written")

    async def _apply(self, ref: Ref, addresses: tuple[Address, ...]) -> None:
        body = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": ref.name, "namespace": ref.namespace},
            "status": {"loadBalancer": {"ingress": [each.document() for each in addresses]} if addresses else {}},
        }
        answer = await self._connection.send(
            "PATCH",
            f"{path_of(ref)}/status",
            body,
            params={"fieldManager": MANAGER, "force": "true"},
            content_type="application/apply-patch+yaml",
            deadline=DEADLINE,
        )
        found, version = of_ingress(answer)
        self._ours.add(ref)
        if not self._learn(ref, found, version) and self._known[ref] != found:
            self._yield_to_other(ref)

    def _learn(self, ref: Ref, found: tuple[Address, ...], version: str) -> bool:
        """Take in what a status says, unless something newer is known: a watch may be quicker than an answer."""
        if is_older(version, self._versions.get(ref, "")):
            return False
        self._known[ref], self._versions[ref] = found, version
        return True

    # -------------------------------------------------------------- patience

    def _patience(self, ref: Ref) -> float:
        trouble = self._troubles.get(ref)
        return trouble.until - self._clock() if trouble else 0.0

    def _fail(self, ref: Ref) -> None:
        trouble = self._troubles.setdefault(ref, _Trouble())
        now = self._clock()
        if now - trouble.until > self._timing.calm:
            trouble.times = 0
        trouble.until = now + min(self._timing.first * 2.0 ** min(trouble.times, 30), self._timing.limit * 20)
        trouble.times += 1

    def _yield_to_other(self, ref: Ref) -> None:
        """Somebody has changed what was written here."""
        self._ours.discard(ref)
        self._fail(ref)
        addresses = ", ".join(map(str, self._known[ref])) or "nothing"
        self._tell(ref, "failed", f"somebody else has put {addresses} there")

    def _tell(self, ref: Ref, result: Literal["written", "observed", "failed"], error: str = "") -> None:
        addresses = ", ".join(map(str, self._book.current()))
        self._observe(Written("status", result, f"{ref}: {addresses}", error))
