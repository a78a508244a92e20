"""The running Envoy: started and supervised by gen, or beside it; led by gen's xDS server, drained, stopped.

An Envoy goes on with what it has while gen is away, and comes back to the same socket: that is how a new gen takes
over from a killed one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from backends.envoy import admin, binary, refusal
from backends.envoy.bootstrap import bootstrap
from backends.envoy.parts import Start, parts_of
from backends.envoy.validate import Validator
from gen.backend import Bundle, Placement, Plan
from gen.errors import ApplyError, NotConfirmed, Rejected
from gen.files import DIRECTORY_MODE, FILE_MODE, Generations, write_file
from gen.process import Daemon

if TYPE_CHECKING:
    from backends.envoy.ads import Server
    from backends.envoy.snapshot import Encoding

XDS_SOCKET, ADMIN_SOCKET = "xds.sock", "envoy-admin.sock"
BOOTSTRAP, RECORD, LOG = "bootstrap.json", "proxy.json", "proxy.log"
LOG_LIMIT = 4 << 20
ADOPTION = 10.0  # seconds in which an Envoy that was left behind has to come back
FAREWELL, PATIENCE = 3.0, 1.5  # seconds that requests have to end, then the process
OURS_TO_RETRY = ("cannot bind", "Address already in use", "Permission denied")


class Control:
    """One Envoy (external: any number of them) and its generations."""

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.generations = Generations(placement.state_dir)
        self.record, self.log = placement.state_dir / RECORD, placement.state_dir / LOG
        self.admin = placement.runtime_dir.absolute() / ADMIN_SOCKET
        self.xds = placement.socket or f"unix:{placement.runtime_dir.absolute() / XDS_SOCKET}"
        self._validator: Validator | None = None
        self._serving: tuple[Server, Encoding] | None = None
        self._daemon: Daemon | None = None
        self._running = asyncio.Event()

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
        if not self.is_managed:
            return
        if plan.reload and plan.old is not None and self._daemon:
            await self._stop(self._daemon)
        if not self._is_alive:
            await self._adopt_or_start(plan.new)

    async def confirm(self, plan: Plan) -> None:
        """Wait until every Envoy has acknowledged every resource, then accept the generation.

        Raises: Rejected with Envoy's words when it refuses one; NotConfirmed when it is silent, or cannot have a port.
        """
        await self._settle(plan.new, 30 + sum(map(len, plan.new.files.values())) / 500_000)
        self.generations.accept(plan.new.digest)

    async def exited(self) -> str:
        """Return when the managed Envoy has gone."""
        while True:
            await self._running.wait()
            daemon = self._daemon
            assert daemon is not None
            status = await daemon.exited()
            if daemon is self._daemon:
                self._forget()
                return "Envoy has gone" if status is None else f"Envoy has gone with status {status}"

    async def close(self) -> None:
        """Drain and stop a managed Envoy, stop offering, and remove the sockets."""
        try:
            if self._daemon:
                await self._stop(self._daemon)
                self.record.unlink(missing_ok=True)
        finally:
            if self._serving:
                await self._serving[0].stop()

    # ------------------------------------------------------------------ the xDS server

    async def _serve(self, *bundles: Bundle) -> None:
        """Offer the last of some bundles; without any, be there for an Envoy that comes back, and say nothing."""
        server, encoding = await self._server()
        for bundle in bundles:
            server.serve(await asyncio.to_thread(encoding.snapshot, bundle))
        if not self.is_managed:
            self._write_bootstrap()
        await server.start(self.xds)

    async def _server(self) -> tuple[Server, Encoding]:
        if self._serving is None:
            self._serving = await asyncio.to_thread(new_server)
        return self._serving

    @property
    def _is_connected(self) -> bool:
        return self._serving is not None and self._serving[0].is_connected

    async def _settle(self, bundle: Bundle, limit: float) -> None:
        """Wait until the offered bundle is taken.  Raises Rejected and NotConfirmed."""
        server, _ = await self._server()
        settled = asyncio.create_task(server.settled())
        gone = asyncio.create_task(self._gone())
        try:
            done, _ = await asyncio.wait({settled, gone}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (settled, gone):
                task.cancel()
            await asyncio.gather(settled, gone, return_exceptions=True)
        if settled not in done:
            raise NotConfirmed(self._silence(bool(done), limit))
        if found := settled.result():
            raise_refusal(found.message, bundle)

    async def _gone(self) -> None:
        """Return when the managed Envoy has gone."""
        if self._daemon is None:
            await asyncio.Event().wait()
        else:
            await self._daemon.exited()

    def _silence(self, is_gone: bool, limit: float) -> str:
        if is_gone:
            return f"Envoy has gone: {refusal.scrubbed(self._last_words())}"
        if not self._is_connected:
            return f"no Envoy has come to {self.xds} within {limit:.0f} s"
        return f"Envoy has not acknowledged the configuration within {limit:.0f} s"

    # ------------------------------------------------------------------ the process

    @property
    def _is_alive(self) -> bool:
        return self._daemon is not None and self._daemon.is_alive

    async def _revive(self, bundle: Bundle | None) -> None:
        """Have an Envoy with this bundle; one that was left behind and stays silent is replaced.  Raises ApplyError."""
        is_new = not self._is_alive and await self._adopt_or_start(bundle)
        if bundle is None:
            return
        try:
            await self._settle(bundle, ADOPTION)
        except Rejected as error:
            raise ApplyError(f"Envoy refuses what it had accepted: {error}") from error
        except NotConfirmed:
            if is_new or self._daemon is None or self._is_connected:
                raise
            await self._stop(self._daemon)
            self._start(parts_of(bundle).start)
            await self._settle(bundle, ADOPTION)

    async def _adopt_or_start(self, bundle: Bundle | None) -> bool:
        """Take over an Envoy that a killed gen left behind, or start one for the bundle; gives whether it is new."""
        start = parts_of(bundle).start if bundle else None
        if found := Daemon.adopt(self.record):
            if start is None or self._is_as_wanted(found, start):
                self._watch(found)
                return False
            await self._stop(found)
        if start:
            self._start(start)
        return True

    def _is_as_wanted(self, daemon: Daemon, start: Start) -> bool:
        """Whether a process was started as it would be now."""
        if self._command(start) != command_of(daemon.pid):
            return False
        with contextlib.suppress(OSError):
            return (self.placement.state_dir / BOOTSTRAP).read_bytes() == bootstrap(self.xds, str(self.admin))
        return False

    def _start(self, start: Start) -> None:
        """Start Envoy; it gets everything from the xDS server.  Raises ApplyError."""
        self.placement.runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.admin.unlink(missing_ok=True)
        self._write_bootstrap()
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > LOG_LIMIT:
                os.truncate(self.log, 0)
        self._watch(Daemon.start(self._command(start), log=self.log, record=self.record, cwd=self.placement.state_dir))

    def _command(self, start: Start) -> list[str]:
        options = ["--disable-hot-restart", "--reject-unknown-dynamic-fields", "-l", "warning"]
        options += ["--drain-time-s", str(start.drain_seconds), "--drain-strategy", "immediate"]
        workers = ["--concurrency", str(start.workers)] if start.workers else []
        program = binary.find(self.placement.binary)
        return [program, "-c", str(self.placement.state_dir.absolute() / BOOTSTRAP), *options, *workers]

    def _write_bootstrap(self) -> None:
        """Keep the bootstrap in the state directory: for the Envoy that is started, or for the user to start one."""
        path = self.placement.state_dir / BOOTSTRAP
        draft = path.with_name(f".{BOOTSTRAP}")
        try:
            path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            draft.unlink(missing_ok=True)
            write_file(draft, bootstrap(self.xds, str(self.admin)), FILE_MODE, sync=False)
            draft.rename(path)
        except OSError as error:
            raise ApplyError(f"cannot write {path}: {error.strerror or error}") from error

    def _watch(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._running.set()

    def _forget(self) -> None:
        self._daemon = None
        self._running.clear()

    async def _stop(self, daemon: Daemon) -> None:
        """Close the ports, let requests end for some seconds, then end the process."""
        if daemon is self._daemon:
            self._forget()
        try:
            await self._drain(daemon)
        finally:
            await daemon.stop(signal.SIGTERM, patience=PATIENCE)
            self.admin.unlink(missing_ok=True)

    async def _drain(self, daemon: Daemon) -> None:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(admin.drain, self.admin)
            async for _ in ticks(FAREWELL):
                if not daemon.is_alive or not await asyncio.to_thread(admin.active_requests, self.admin):
                    break

    def _last_words(self) -> str:
        with contextlib.suppress(OSError), self.log.open("rb") as log:
            log.seek(max(self.log.stat().st_size - refusal.OUTPUT_LIMIT, 0))
            return log.read().decode("utf-8", "replace")
        return ""


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


def command_of(pid: int) -> list[str]:
    """The command line of a process."""
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes().decode("utf-8", "replace").split("\0")[:-1]
    except OSError:
        return []


async def ticks(limit: float, pause: float = 0.05) -> AsyncIterator[None]:
    """At once, and again and again until the limit (seconds) is over."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    while loop.time() < end:
        yield
        await asyncio.sleep(pause)
