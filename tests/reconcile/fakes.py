"""A proxy and a source that do what the test tells them, and remember what was asked of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Self

from gen.backend import Bundle, Plan, changed_files, digest_of_files, nothing_lacks
from gen.errors import GenError
from gen.fit import NO_WORDS
from gen.ir import Config, Issue
from gen.k8s import Metadata, Namespace, Object, Ref
from gen.reconcile.backoff import Timing
from gen.reconcile.loop import Reconciler
from gen.reconcile.pipeline import Built
from gen.report.events import Event
from gen.sources import Batch
from gen.store import Change

QUICK = Timing(first=0.01, limit=0.05, steady=60.0, finish=0.2, close=0.5)


def bundle_of(text: str) -> Bundle:
    """A bundle of one file."""
    files = {"proxy.conf": text.encode()}
    return Bundle(files=files, digest=digest_of_files(files))


def state(name: str, value: str | None) -> Change:
    """A new state of the object of that name; None: it is gone."""
    item: Object | None = None if value is None else Namespace(Metadata(name=name, labels={"value": value}))
    return Change(Ref("Namespace", "", name), item)


class FakeSource:
    """Hands out what the test puts in."""

    def __init__(self, *batches: Batch | Exception) -> None:
        self.queue: asyncio.Queue[Batch | Exception | None] = asyncio.Queue()
        self.is_closed = False
        for batch in batches:
            self.queue.put_nowait(batch)

    def put(self, value: str | None, *, name: str = "a", issues: tuple[Issue, ...] = ()) -> None:
        """One batch with one object."""
        self.queue.put_nowait(Batch((state(name, value),), issues))

    async def batches(self) -> AsyncIterator[Batch]:
        """What was put in, in order; an exception is raised."""
        while (item := await self.queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    async def close(self) -> None:
        """Remember it."""
        self.is_closed = True


class FakeProxy:
    """A Backend without a proxy: `calls` is what it was asked, `serving` what it would serve.

    Shape: `failures` holds for each method the exceptions of its next calls, None for success; `gates` the events
    that a method waits for before it goes on.
    """

    name = "fake"
    features = frozenset[str]()
    lacks = staticmethod(nothing_lacks)
    words: Mapping[str, str] = NO_WORDS

    def __init__(self, accepted: Bundle | None = None) -> None:
        self.accepted = accepted
        self.serving: Bundle | None = None
        self.calls: list[str] = []
        self.failures: dict[str, list[GenError | None]] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.death = asyncio.Event()
        self.is_closed = False

    def fail(self, method: str, *errors: GenError | None) -> None:
        """Let the next calls of a method end so."""
        self.failures.setdefault(method, []).extend(errors)

    def gate(self, method: str) -> asyncio.Event:
        """Let a method wait until the test sets this event."""
        return self.gates.setdefault(method, asyncio.Event())

    def count(self, method: str) -> int:
        """How often a method was called."""
        return sum(call.partition(" ")[0] == method for call in self.calls)

    async def _play(self, method: str, bundle: Bundle | None = None) -> None:
        content = bundle.files["proxy.conf"].decode() if bundle else ""
        self.calls.append(f"{method} {content}".strip())
        if gate := self.gates.get(method):
            await gate.wait()
        waiting = self.failures.get(method)
        if waiting and (error := waiting.pop(0)):
            raise error

    def render(self, config: Config) -> Bundle:
        """Not used: the tests build bundles themselves."""
        raise NotImplementedError

    def plan(self, old: Bundle | None, new: Bundle) -> Plan:
        """A reload, or nothing."""
        changed = changed_files(old, new)
        return Plan(old, new, changed, reload=bool(changed), reason="files changed" if changed else "")

    async def validate(self, bundle: Bundle) -> None:
        """The proxy's own test."""
        await self._play("validate", bundle)

    async def resume(self) -> Bundle | None:
        """What was accepted in an earlier life."""
        await self._play("resume")
        self.death.clear()
        self.serving = self.accepted
        return self.accepted

    async def apply(self, plan: Plan) -> None:
        """Serve the new bundle."""
        await self._play("apply", plan.new)
        self.serving = plan.new

    async def confirm(self, plan: Plan) -> None:
        """Say that it is served."""
        await self._play("confirm", plan.new)
        self.accepted = plan.new

    async def exited(self) -> str:
        """Return when the test lets the proxy die."""
        await self.death.wait()
        self.death.clear()
        self.serving = None
        return "it crashed"

    async def close(self) -> None:
        """Stop serving."""
        await self._play("close")
        self.is_closed = True


class Running:
    """A Reconciler at work; use it as a context, it is stopped at the end."""

    def __init__(
        self,
        proxy: FakeProxy,
        source: FakeSource,
        build: Callable[[Sequence[Change]], Built] | None = None,
        timing: Timing = QUICK,
    ) -> None:
        self.proxy, self.source = proxy, source
        self.events: list[Event] = []
        self.objects: dict[Ref, Object] = {}
        self.stopping, self.hurry = asyncio.Event(), asyncio.Event()
        self.loop = Reconciler(
            source=source, build=build or self.build, backend=proxy, observe=self.events.append, timing=timing
        )
        self.task: asyncio.Task[None] | None = None

    def build(self, changes: Sequence[Change]) -> Built:
        """A bundle whose only file lists the objects."""
        for change in changes:
            self.objects.pop(change.ref, None)
            if change.object:
                self.objects[change.ref] = change.object
        words = [f"{ref.name}={(item.metadata.labels or {})['value']}" for ref, item in sorted(self.objects.items())]
        return Built(bundle_of(" ".join(words)), (), len(self.objects))

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.loop.run(self.stopping, self.hurry))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """What SIGTERM does."""
        self.stopping.set()
        assert self.task
        await asyncio.wait_for(self.task, 5)

    async def until(self, is_so: Callable[[], bool], seconds: float = 5.0) -> None:
        """Poll until something is so."""
        async with asyncio.timeout(seconds):
            while not is_so():
                if self.task and self.task.done():
                    self.task.result()
                await asyncio.sleep(0.001)

    def results(self) -> list[str]:
        """How the attempts ended, and whether the old state came back."""
        return [getattr(event, "result", type(event).__name__) for event in self.events]
