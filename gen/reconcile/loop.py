"""The loop: what came in is built, planned, guarded, validated, applied and confirmed; else the old state is restored.

Everything that touches the proxy happens in one task, one thing after another.  Two more only listen: one to the
source, one for the end of a supervised proxy.  All retries and timers of gen are here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from gen.backend import Backend, Bundle, Plan
from gen.errors import ApplyError, GenError, Held, Rejected, UsageError
from gen.ir import Issue
from gen.reconcile import guard
from gen.reconcile.backoff import Backoff, Timing
from gen.reconcile.inbox import Inbox
from gen.reconcile.pipeline import Built
from gen.reconcile.rollout import Rollout
from gen.reconcile.tasks import bounded, cancel, until_first
from gen.report.events import Attempt, Event, Fault, IssuesFound, ProxyGone, ProxyResumed, Restored, Result
from gen.sources import ObjectSource
from gen.store import Change


class Reconciler:
    """Keeps a proxy at what the source says, until it is told to stop.

    Shape: `build` turns changes into the bundle of all objects; it runs in a thread, never twice at a time.  `observe`
    gets whatever happens, and must not block.
    """

    def __init__(
        self,
        *,
        source: ObjectSource,
        build: Callable[[Sequence[Change]], Built],
        backend: Backend,
        observe: Callable[[Event], None],
        timing: Timing,
    ) -> None:
        self.source, self.build, self.backend, self.observe, self.timing = source, build, backend, observe, timing
        self.rollout = Rollout(
            backend, confirmed=self._watch, restored=lambda plan, error: observe(Restored(plan, error))
        )
        self._inbox = Inbox(source, timing, observe)
        self._found: tuple[Issue, ...] = ()
        self._told: tuple[Issue, ...] = ()
        self._proxy_is_lost = True
        self._proxy_end: asyncio.Task[str] | None = None
        self._proxy_since = 0.0
        self._retry_at: float | None = None
        self._reload_at = 0.0
        self._believe_at: float | None = None
        self._has_applied = False
        self._is_resting = False
        self._apply_backoff = Backoff(timing)
        self._start_backoff = Backoff(timing, eager=True)

    async def run(self, stopping: asyncio.Event, hurry: asyncio.Event) -> None:
        """Work until `stopping`, then finish or abandon what is going on and let go of the proxy, at once if `hurry`.

        Raises: UsageError, before anything is served.
        """
        tasks = [asyncio.create_task(work) for work in (self._inbox.fill(), self._act(), stopping.wait())]
        try:
            await until_first(*tasks)
            ended = [task for task in tasks if task.done()]
            await bounded(self.rollout.is_settled.wait(), self.timing.finish, hurry)
        finally:
            await cancel(*tasks, *([self._proxy_end] if self._proxy_end else []))
            await self.source.close()
            await bounded(self.backend.close(), self.timing.close, hurry)
        for task in ended:
            task.result()

    # -------------------------------------------------------------- what there is to do, and when

    async def _act(self) -> None:
        cause = "start"
        while True:
            try:
                await self._step(cause)
            except UsageError:
                raise
            except Exception as error:  # a defect must not end the loop: what is live stays live
                self._retry_in(self._apply_backoff.next())
                self.observe(Fault(error))
            cause = await self._next_cause()

    async def _next_cause(self) -> str:
        news = asyncio.Event() if self._is_resting else self._inbox.arrived
        arrived = asyncio.create_task(news.wait())
        delay = None if self._retry_at is None else max(0.0, self._retry_at - time.monotonic())
        try:
            watched = [arrived, *([self._proxy_end] if self._proxy_end else [])]
            await asyncio.wait(watched, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(arrived)
        if self._proxy_end and self._proxy_end.done():
            return "proxy ended"
        return "input" if self._is_resting or self._inbox.arrived.is_set() else "retry"

    async def _step(self, cause: str) -> None:
        if cause == "proxy ended":
            self._note_end()
            return
        self._retry_at, self._is_resting = None, False
        if self._proxy_is_lost:
            await self._resume()
        if cause != "start":
            await self._attempt(cause)

    def _retry_in(self, delay: float) -> None:
        self._retry_at = time.monotonic() + delay

    # -------------------------------------------------------------- the proxy's life

    async def _resume(self) -> None:
        try:
            bundle = await self.rollout.resume()
        except (ApplyError, UsageError) as error:
            self._forgive(error)
            self._lose(str(error))
            return
        self._proxy_is_lost = False
        self.observe(ProxyResumed(bundle))

    def _watch(self) -> None:
        """The proxy is alive: from now on its end matters."""
        self._proxy_is_lost = False
        if self._proxy_end is None or self._proxy_end.done():
            self._proxy_end = asyncio.create_task(self.backend.exited())
            self._proxy_since = time.monotonic()

    def _note_end(self) -> None:
        end, self._proxy_end = self._proxy_end, None
        if time.monotonic() - self._proxy_since >= self.timing.steady:
            self._start_backoff.reset()
        self._lose(end.result() if end else "")

    def _lose(self, description: str) -> None:
        """There is no proxy: look for it, or start it, after a while."""
        self._proxy_is_lost = True
        delay = self._start_backoff.next()
        self._retry_in(delay)
        self.observe(ProxyGone(description, delay))

    # -------------------------------------------------------------- one attempt

    async def _attempt(self, cause: str) -> None:
        """Make the input live; whatever happens, the proxy goes on with a configuration that it has confirmed."""
        begun = time.monotonic()
        bundle: Bundle | None = None
        plan: Plan | None = None
        result: Result = "applied"
        error = ""
        try:
            built = await self._rebuild()
            bundle = built.bundle
            plan = await self.rollout.plan(bundle, objects=built.objects)
            self._doubt(plan)
            if self._must_rest(plan):
                return
            await self.rollout.carry_out(plan)
        except Held as reason:
            result, error = "held", str(reason)
        except Rejected as refusal:
            result, error = "rejected", refusal.output
            self._tell(self._found + blamed(refusal))
        except (ApplyError, UsageError) as failure:
            self._forgive(failure)
            result, error = "failed", str(failure)
        self._schedule(result)
        self.observe(Attempt(result, cause, time.monotonic() - begun, bundle, plan, error))

    async def _rebuild(self) -> Built:
        """The bundle of all that is known; raises Held."""
        self._inbox.arrived.clear()
        guard.before_rendering(synced=self._inbox.synced)
        issues, changes = self._inbox.issues, self._inbox.take()
        built = await asyncio.to_thread(self.build, changes)
        self._found = tuple(sorted(issues + built.issues))
        self._tell(self._found)
        return built

    def _doubt(self, plan: Plan) -> None:
        """Raises Held for a start that is suspiciously empty, and looks at it again later."""
        if self._has_applied:
            return
        now = time.monotonic()
        self._believe_at = self._believe_at or now + self.timing.doubt
        try:
            guard.before_the_first(plan, accepted=self.rollout.accepted, patience=self._believe_at - now)
        except Held:
            self._retry_at = self._believe_at
            raise

    def _must_rest(self, plan: Plan) -> bool:
        """Whether a reload would come too soon after the last one; until then nothing is looked at, it all needs it."""
        now = time.monotonic()
        if not plan.reload:
            return False
        if now < self._reload_at:
            self._retry_at, self._is_resting = self._reload_at, True
            return True
        self._reload_at = now + self.timing.reload_interval
        return False

    def _tell(self, issues: tuple[Issue, ...]) -> None:
        if issues != self._told:
            self._told = issues
            self.observe(IssuesFound(issues))

    def _forgive(self, error: GenError) -> None:
        """A setting that makes no sense ends a gen that serves nothing yet; later, it is a failure like any other."""
        if isinstance(error, UsageError) and self.rollout.accepted is None:
            raise error

    def _schedule(self, result: Result) -> None:
        """What was refused waits for other input; what failed is tried again."""
        if result == "failed":
            self._retry_in(self._apply_backoff.next())
        if result == "applied":
            self._retry_at, self._has_applied = None, True
            self._apply_backoff.reset()


def blamed(refusal: Rejected) -> tuple[Issue, ...]:
    """An issue for each object that the proxy's own words point at."""
    first_line = next(iter(refusal.output.strip().splitlines()), "")
    return tuple(Issue(source, "RejectedByProxy", first_line) for source in refusal.blame)
