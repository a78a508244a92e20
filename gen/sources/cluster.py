"""Objects from a cluster: every selection has its own reflector, and nothing goes out before all have a whole state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

from gen.ir import Issue
from gen.k8s import Ingress, Object, Ref
from gen.sources import Batch
from gen.sources.kube.connection import Connection
from gen.sources.kube.fetcher import Fetcher
from gen.sources.kube.outbox import Outbox
from gen.sources.kube.reflector import Notice, Observe, Reflector
from gen.sources.kube.selection import Scope
from gen.sources.kube.timing import Timing
from gen.store import Change


def certificates_of(item: Object) -> Iterable[Ref]:
    """The Secrets with the certificates of an Ingress."""
    if isinstance(item, Ingress):
        for tls in item.spec.tls or ():
            if tls.secret_name:
                yield Ref("Secret", item.metadata.namespace or "default", tls.secret_name)


class ClusterSource:
    """The objects of a scope, kept equal to the API server's state until it is closed.

    An outage changes nothing: no batch comes, what was handed out stays true, and `staleness` tells how old it is.
    `references` says which single objects another one needs (for the kinds that the scope has `by_reference`).
    """

    def __init__(
        self,
        connection: Connection,
        scope: Scope,
        *,
        references: Callable[[Object], Iterable[Ref]] = certificates_of,
        observe: Observe = lambda _message, _delay: None,
        notice: Notice | None = None,
        timing: Timing = Timing(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._outbox = Outbox(quiet=timing.quiet, patience=timing.patience, pace=timing.pace)
        self._scope, self._references = scope, references
        self._referred: dict[Ref, frozenset[Ref]] = {}
        self._selections = scope.selections()
        self._reflectors = tuple(
            Reflector(connection, selection, self._take_in, timing=timing, clock=clock, observe=observe, notice=notice)
            for selection in self._selections
        )
        self._fetcher = Fetcher(connection, self._take_in, timing=timing, clock=clock, observe=observe)
        self._feeds: tuple[Reflector | Fetcher, ...] = (*self._reflectors, self._fetcher)
        self._fetcher.want(scope.fetched)
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    async def batches(self) -> AsyncIterator[Batch]:
        """The first batch holds everything there is, later ones what changed; can be asked for once."""
        self._tasks = tuple(asyncio.create_task(feed.run()) for feed in self._feeds)
        told: tuple[Issue, ...] | None = None
        while (changes := await self._outbox.take()) is not None:
            issues = self._issues()
            if changes or issues != told:
                told = issues
                yield Batch(changes, issues)

    def staleness(self) -> Mapping[str, float]:
        """Seconds since the API server was last heard of, by kind; about a minute at most while all is well."""
        ages = dict.fromkeys(self._scope.by_reference, self._fetcher.age())
        for feed in self._reflectors:
            ages[feed.selection.kind] = max(feed.age(), ages.get(feed.selection.kind, 0.0))
        return ages

    async def close(self) -> None:
        """Drop all connections; no batch comes any more."""
        self._outbox.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connection.close()

    def _issues(self) -> tuple[Issue, ...]:
        return tuple(sorted(issue for feed in self._feeds for issue in feed.faults.values()))

    def _take_in(self, changes: Sequence[Change]) -> None:
        """From a feed: what its objects refer to is wanted before they count as known."""
        if self._scope.by_reference and [change for change in changes if self._refer(change)]:
            self._fetcher.want(self._scope.fetched.union(*self._referred.values()))
        self._publish(changes)

    def _publish(self, changes: Sequence[Change]) -> None:
        self._outbox.put(changes)
        if all(feed.synced for feed in self._feeds):
            self._outbox.open()

    def _refer(self, change: Change) -> bool:
        """Note to which objects another one refers now; tells whether that differs from before."""
        found = self._references(change.object) if change.object is not None else ()
        refs = frozenset(ref for ref in found if self._scope.reaches(ref) and not self._is_watched(ref))
        before = self._referred.pop(change.ref, frozenset())
        if refs:
            self._referred[change.ref] = refs
        return refs != before

    def _is_watched(self, ref: Ref) -> bool:
        return any(selection.holds(ref) for selection in self._selections)
