"""The running Envoy: led by gen's xDS server, started and supervised by gen, or beside it.

An Envoy goes on with what it has while gen is away, and comes back to the same socket: that is how a new gen takes
over from a killed one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from backends.envoy import binary, refusal
from backends.envoy.bootstrap import bootstrap
from backends.envoy.parts import parts_of
from backends.envoy.supervisor import Supervisor
from backends.envoy.validate import Validator
from gen.backend import Bundle, Placement, Plan
from gen.errors import ApplyError, NotConfirmed, Rejected
from gen.files import Generations

if TYPE_CHECKING:
    from backends.envoy.ads import Server
    from backends.envoy.snapshot import Encoding

XDS_SOCKET, ADMIN_SOCKET = "xds.sock", "envoy-admin.sock"
ADOPTION = 10.0  # seconds in which an Envoy has to take what it had accepted
OURS_TO_RETRY = ("cannot bind", "Address already in use", "Permission denied")


class Control:
    """One Envoy (external: any number of them) and its generations.  Raises UsageError for an impossible address."""

    def __init__(self, placement: Placement) -> None:
        runtime = placement.runtime_dir.absolute()
        self.placement = placement
        self.generations = Generations(placement.state_dir)
        self.xds = placement.socket or f"unix:{runtime / XDS_SOCKET}"
        self.supervisor = Supervisor(
            placement, bootstrap(self.xds, str(runtime / ADMIN_SOCKET)), runtime / ADMIN_SOCKET
        )
        self._validator: Validator | None = None
        self._serving: tuple[Server, Encoding] | None = None

    @property
    def is_managed(self) -> bool:
        """Whether gen starts and stops Envoy."""
        return self.placement.mode == "managed"

    # ------------------------------------------------------------------ what the Backend protocol asks for

    async def validate(self, bundle: Bundle) -> None:
        """Let the real binary test the bundle.  Raises Rejected."""
        directory = await asyncio.to_thread(self.generations.write, bundle)
        if self._validator is None:
            self._validator = Validator(binary.find(self.placement.binary), self.placement.state_dir)
        await self._validator.validate(bundle, directory)

    async def resume(self) -> Bundle | None:
        """Serve the last accepted generation to the Envoy that is found, or to one that is started.

        Raises: ApplyError when it does not take it.
        """
        accepted, current = self.generations.accepted(), self.generations.current()
        bundle = await asyncio.to_thread(self.generations.load, accepted) if accepted else None
        under_way = []  # routes may still need the clusters of a change that was not finished
        if current and current != accepted:
            under_way.append(await asyncio.to_thread(self.generations.load, current))
        if bundle:
            self.generations.publish(bundle.digest)
        await self._serve(*under_way, *([bundle] if bundle else []))
        if self.is_managed:
            await self._revive(bundle)
        return bundle

    async def apply(self, plan: Plan) -> None:
        """Publish the generation and offer it; start Envoy where none runs.  Raises ApplyError."""
        await asyncio.to_thread(self.generations.write, plan.new)
        self.generations.publish(plan.new.digest)
        await self._serve(plan.new)
        if self.is_managed:
            if plan.reload and plan.old is not None:
                await self.supervisor.stop()
            await self._adopt_or_start(plan.new)

    async def confirm(self, plan: Plan) -> None:
        """Wait until every Envoy has acknowledged every resource, then accept the generation.

        Raises: Rejected with Envoy's words when it refuses one; NotConfirmed when it is silent, or cannot have a port.
        """
        await self._settle(plan.new, 30 + sum(map(len, plan.new.files.values())) / 500_000)
        self.generations.accept(plan.new.digest)

    async def exited(self) -> str:
        """Return when the managed Envoy has gone."""
        return await self.supervisor.exited()

    async def close(self) -> None:
        """Drain and stop a managed Envoy, stop offering, and remove the sockets."""
        try:
            await self.supervisor.stop()
        finally:
            if self._serving:
                await self._serving[0].stop()

    # ------------------------------------------------------------------ steps

    async def _server(self) -> tuple[Server, Encoding]:
        if self._serving is None:
            self._serving = await asyncio.to_thread(new_server)
        return self._serving

    async def _serve(self, *bundles: Bundle) -> None:
        """Offer the last of some bundles; without any, be there for an Envoy that comes back, and say nothing."""
        server, encoding = await self._server()
        for bundle in bundles:
            server.serve(await asyncio.to_thread(encoding.snapshot, bundle))
        if not self.is_managed:
            self.supervisor.write_bootstrap()
        await server.start(self.xds)

    async def _adopt_or_start(self, bundle: Bundle | None) -> bool:
        """Have a process, if there is a bundle or one was left behind; gives whether it is new."""
        start = parts_of(bundle).start if bundle else None
        if self.supervisor.is_alive or await self.supervisor.adopt(start):
            return False
        if start:
            self.supervisor.start(start)
        return True

    async def _revive(self, bundle: Bundle | None) -> None:
        """Have an Envoy with this bundle; one that was left behind and stays silent is replaced.  Raises ApplyError."""
        is_new = await self._adopt_or_start(bundle)
        if bundle is None:
            return
        try:
            await self._settle(bundle, ADOPTION)
        except Rejected as error:
            raise ApplyError(f"Envoy refuses what it had accepted: {error}") from error
        except NotConfirmed:
            server, _ = await self._server()
            if is_new or server.is_connected:
                raise
            await self.supervisor.stop()
            await self._revive(bundle)

    async def _settle(self, bundle: Bundle, limit: float) -> None:
        """Wait until the offered bundle is taken.  Raises Rejected and NotConfirmed."""
        server, _ = await self._server()
        settled, gone = asyncio.create_task(server.settled()), asyncio.create_task(self.supervisor.gone())
        try:
            done, _ = await asyncio.wait({settled, gone}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (settled, gone):
                task.cancel()
            await asyncio.gather(settled, gone, return_exceptions=True)
        if settled in done:
            if found := settled.result():
                raise_refusal(found.message, bundle)
        elif gone in done:
            raise NotConfirmed(f"Envoy has gone: {refusal.scrubbed(self.supervisor.last_words())}")
        elif server.is_connected:
            raise NotConfirmed(f"Envoy has not acknowledged the configuration within {limit:.0f} s")
        else:
            raise NotConfirmed(f"no Envoy has come to {self.xds} within {limit:.0f} s")


def new_server() -> tuple[Server, Encoding]:
    """The xDS server and what feeds it; runs in a thread, for the packages behind them take a second to load."""
    from backends.envoy.ads import Server
    from backends.envoy.snapshot import Encoding

    return Server(), Encoding()


def raise_refusal(message: str, bundle: Bundle) -> None:
    """A port that is taken may be free later; everything else that Envoy refuses is the configuration's fault."""
    text = refusal.scrubbed(message)
    if any(words in text for words in OURS_TO_RETRY):
        raise NotConfirmed(text)
    raise Rejected(text, refusal.named(text, bundle))
