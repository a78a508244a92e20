"""Leader election by a Lease, as client-go does it.

A candidate never compares clocks: it takes note of when the Lease last changed before its own eyes, and the holder has
lost it when nothing has changed for as long as the holder claimed.  A leader stops to be one some time before others
may take over, so that even a write which is then on its way arrives before theirs.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from gen.errors import SourceError
from gen.sources.kube.connection import Connection
from gen.sources.kube.errors import Refused
from gen.sources.kube.selection import Selection


class Terms(Struct, frozen=True):
    """Units: seconds.

    Shape: others may take over `duration` after the last renewal; a leader gives up after `renew` without one; there is
    a try every `retry`.
    """

    duration: int = 15
    renew: float = 10.0
    retry: float = 2.0


class _Spec(Struct, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class _Meta(Struct, rename="camel"):
    resource_version: str


class _Lease(Struct):
    metadata: _Meta
    spec: _Spec


class Election:
    """Whether this gen is the leader, and the task that tries to be it.

    Shape: `namespace` and `name` are those of the Lease; `changed` is told of every change of leadership.
    """

    def __init__(
        self,
        connection: Connection,
        namespace: str,
        name: str,
        identity: str,
        *,
        terms: Terms = Terms(),  # noqa: B008 - frozen
        changed: Callable[[bool], None],
        failed: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self.identity = f"{identity}_{uuid.uuid4()}"
        self._connection, self._namespace, self._name = connection, namespace, name
        self._collection = Selection("Lease", namespace).path
        self._terms, self._changed, self._failed, self._clock = terms, changed, failed, clock
        self._seen: _Lease | None = None
        self._seen_at = 0.0
        self._until = 0.0
        self._was_leader = False

    @property
    def is_leader(self) -> bool:
        """Whether this gen may write now."""
        return self._clock() < self._until

    async def run(self) -> None:
        """Try to be the leader, and to stay it, for ever."""
        while True:
            begun = self._clock()
            try:
                async with asyncio.timeout(self._terms.renew / 2):
                    if await self._try():
                        self._until = begun + self._terms.renew
            except (SourceError, TimeoutError) as error:
                self._failed(f"Lease {self._namespace}/{self._name}: {str(error) or 'no answer in time'}")
            self._tell()
            await self._pause()

    async def release(self) -> None:
        """Let others take over at once; nothing is lost where that fails."""
        if not self.is_leader or self._seen is None:
            return
        self._until = 0.0
        self._tell()
        spec = msgspec.structs.replace(self._seen.spec, holder_identity="", lease_duration_seconds=1, renew_time=now())
        try:
            await self._replace(self._seen, spec)
        except SourceError as error:
            self._failed(f"Lease {self._namespace}/{self._name} was not released: {error}")

    def _tell(self) -> None:
        if self.is_leader is not self._was_leader:
            self._was_leader = self.is_leader
            self._changed(self._was_leader)

    async def _pause(self) -> None:
        """Until the next try, but not longer than leadership lasts."""
        end = self._clock() + self._terms.retry * random.uniform(1.0, 1.2)  # noqa: S311 - not a secret
        if self.is_leader and self._until < end:
            await asyncio.sleep(max(0.0, self._until - self._clock()))
            self._tell()
        await asyncio.sleep(max(0.0, end - self._clock()))

    async def _try(self) -> bool:
        """Get the Lease, or keep it; whether that went well.  Raises SourceError."""
        try:
            body = await self._connection.get(f"{self._collection}/{self._name}", {}, deadline=self._terms.renew / 2)
        except Refused as error:
            if error.status != 404:
                raise
            return await self._written(self._create())
        self._look(read(body))
        assert self._seen
        spec = self._seen.spec
        if spec.holder_identity == self.identity:
            return await self._written(self._replace(self._seen, msgspec.structs.replace(spec, renew_time=now())))
        held_until = self._seen_at + (spec.lease_duration_seconds or self._terms.duration)
        if spec.holder_identity and self._clock() < held_until:
            return False
        return await self._written(self._replace(self._seen, self._own((spec.lease_transitions or 0) + 1)))

    def _look(self, lease: _Lease) -> None:
        if self._seen is None or lease.metadata.resource_version != self._seen.metadata.resource_version:
            self._seen, self._seen_at = lease, self._clock()

    async def _written(self, writing: Awaitable[bytes]) -> bool:
        """Whether a write went through; somebody else was quicker where it conflicts."""
        try:
            self._look(read(await writing))
        except Refused as error:
            if error.status != 409:
                raise
            return False
        return True

    async def _create(self) -> bytes:
        return await self._connection.send(
            "POST", self._collection, self._document(self._own(0)), deadline=self._terms.renew / 2
        )

    async def _replace(self, lease: _Lease, spec: _Spec) -> bytes:
        """Raises Refused(409) when it is not the one that was seen any more."""
        body = self._document(spec, resourceVersion=lease.metadata.resource_version)
        path = f"{self._collection}/{self._name}"
        return await self._connection.send("PUT", path, body, deadline=self._terms.renew / 2)

    def _own(self, transitions: int) -> _Spec:
        moment = now()
        return _Spec(self.identity, self._terms.duration, moment, moment, transitions)

    def _document(self, spec: _Spec, **meta: str) -> dict[str, object]:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"namespace": self._namespace, "name": self._name, **meta},
            "spec": spec,
        }


def read(body: bytes) -> _Lease:
    """A Lease.  Raises SourceError."""
    try:
        return msgspec.json.decode(body, type=_Lease)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SourceError(f"it cannot be read: {error}") from error


def now() -> str:
    """The time for others to read; nothing is decided by it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
