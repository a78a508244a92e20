"""Getting one bundle into the proxy, or the last accepted one back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gen.backend import Backend, Bundle, Plan
from gen.errors import ApplyError, Rejected
from gen.reconcile import guard


class Rollout:
    """What the proxy runs, as far as is known, and how it gets to something else.

    Shape: `running` is None when that is not known; `accepted` is what the proxy confirmed last; `is_settled` is clear
    while a change is on its way and must not be left half done.  `confirmed` is called each time that the proxy has
    just proved to be alive, `restored` after each way back, with the error if there was one.
    """

    def __init__(
        self, backend: Backend, *, confirmed: Callable[[], None], restored: Callable[[Plan, str], None]
    ) -> None:
        self.backend, self._confirmed, self._restored = backend, confirmed, restored
        self.running: Bundle | None = None
        self.accepted: Bundle | None = None
        self.is_settled = asyncio.Event()
        self.is_settled.set()

    async def resume(self) -> Bundle | None:
        """Let the proxy run what it accepted last; raises ApplyError."""
        self.running = None
        self.running = await self.backend.resume()
        if self.running and not (self.accepted and self.accepted.digest == self.running.digest):
            self.accepted = self.running
        if self.running:
            self._confirmed()
        return self.running

    async def plan(self, bundle: Bundle, *, objects: int) -> Plan:
        """What it takes to run a bundle; raises Held."""
        running = self.running
        if running and running.digest == bundle.digest and running.files != bundle.files:
            running = None  # somebody has changed its files, so nobody knows what the proxy has read
        plan = await asyncio.to_thread(self.backend.plan, running, bundle)
        guard.before_applying(plan, accepted=self.accepted, objects=objects)
        return plan

    async def carry_out(self, plan: Plan) -> None:
        """Validate, apply and confirm; what fails half way is taken back.

        Raises: Rejected and ApplyError; in either case the proxy goes on with what it had accepted, or tried to.
        """
        if plan.needs_test and not plan.is_nothing:
            await self.backend.validate(plan.new)
        self.is_settled.clear()
        try:
            await self._publish(plan)
        except (ApplyError, Rejected):
            await self._restore(plan.new)
            raise
        finally:
            self.is_settled.set()

    async def _publish(self, plan: Plan) -> None:
        self.running = None
        if not plan.is_nothing:
            await self.backend.apply(plan)
        await self.backend.confirm(plan)
        self.running = self.accepted = plan.new
        self._confirmed()

    async def _restore(self, failed: Bundle) -> None:
        """Back to the last accepted bundle, as far as there is one."""
        if self.accepted is None:
            return
        plan = await asyncio.to_thread(self.backend.plan, failed, self.accepted)
        try:
            await self._publish(plan)
        except (ApplyError, Rejected) as error:
            self._restored(plan, str(error))
        else:
            self._restored(plan, "")
