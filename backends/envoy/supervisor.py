"""The Envoy that gen starts and stops: its command line, its bootstrap, its life."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from backends.envoy import admin, binary
from backends.envoy.parts import Start
from gen.backend import Placement
from gen.errors import ApplyError
from gen.process import Daemon
from gen.trees import DIRECTORY_MODE, FILE_MODE, write_file

BOOTSTRAP, RECORD, LOG = "bootstrap.json", "proxy.json", "proxy.log"
LOG_LIMIT = 4 << 20
LAST_WORDS = 4000
FAREWELL, PATIENCE = 3.0, 1.5  # seconds that requests have to end, then the process


class Supervisor:
    """At most one Envoy, started here or left behind by a gen that was killed.

    Shape: `bootstrap` is what Envoy starts with, kept in the state directory; `admin` its admin socket.
    """

    def __init__(self, placement: Placement, bootstrap: bytes, admin: Path) -> None:
        self.placement, self.bootstrap, self.admin = placement, bootstrap, admin
        self.record, self.log = placement.state_dir / RECORD, placement.state_dir / LOG
        self._daemon: Daemon | None = None
        self._running = asyncio.Event()

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._daemon is not None and self._daemon.is_alive

    @property
    def pid(self) -> int | None:
        """The pid of the Envoy that is watched."""
        return self._daemon.pid if self._daemon else None

    async def adopt(self, start: Start | None) -> bool:
        """Take over an Envoy that was left behind; one that was started otherwise than it would be now is stopped."""
        found = Daemon.adopt(self.record)
        if found is None:
            return False
        self._watch(found)
        if start is None or self._is_as_wanted(found, start):
            return True
        await self.stop()
        return False

    def start(self, start: Start) -> None:
        """Start one; it gets everything from the xDS server.  Raises ApplyError."""
        self.placement.runtime_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.admin.unlink(missing_ok=True)
        self.write_bootstrap()
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > LOG_LIMIT:
                os.truncate(self.log, 0)
        self._watch(Daemon.start(self._command(start), log=self.log, record=self.record, cwd=self.placement.state_dir))

    async def stop(self) -> None:
        """Close its ports, let requests end for some seconds, then end the process."""
        daemon, self._daemon = self._daemon, None
        self._running.clear()
        if daemon is None:
            return
        try:
            await self._drain(daemon)
        finally:
            await daemon.stop(signal.SIGTERM, patience=PATIENCE)
            self.admin.unlink(missing_ok=True)
            self.record.unlink(missing_ok=True)

    async def exited(self) -> str:
        """Return, with a description, when an Envoy that was watched has gone by itself."""
        while True:
            await self._running.wait()
            daemon = self._daemon
            assert daemon is not None
            status = await daemon.exited()
            if daemon is self._daemon:
                self._daemon = None
                self._running.clear()
                return "Envoy has gone" if status is None else f"Envoy has gone with status {status}"

    async def gone(self) -> None:
        """Return when the Envoy that is watched now, if any, has gone."""
        await (self._daemon.exited() if self._daemon else asyncio.Event().wait())

    def last_words(self) -> str:
        """The end of its log."""
        with contextlib.suppress(OSError), self.log.open("rb") as log:
            log.seek(max(self.log.stat().st_size - LAST_WORDS, 0))
            return log.read().decode("utf-8", "replace")
        return ""

    def write_bootstrap(self) -> None:
        """Keep the bootstrap where Envoy, or the user who starts it, finds it.  Raises ApplyError."""
        path = self.placement.state_dir / BOOTSTRAP
        draft = path.with_name(f".{BOOTSTRAP}")
        try:
            path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            draft.unlink(missing_ok=True)
            write_file(draft, self.bootstrap, FILE_MODE, sync=False)
            draft.rename(path)
        except OSError as error:
            raise ApplyError(f"cannot write {path}: {error.strerror or error}") from error

    def _watch(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._running.set()

    def _command(self, start: Start) -> list[str]:
        options = ["--disable-hot-restart", "--reject-unknown-dynamic-fields", "-l", "warning"]
        options += ["--drain-time-s", str(start.drain_seconds), "--drain-strategy", "immediate"]
        workers = ["--concurrency", str(start.workers)] if start.workers else []
        program = binary.find(self.placement.binary)
        return [program, "-c", str(self.placement.state_dir.absolute() / BOOTSTRAP), *options, *workers]

    def _is_as_wanted(self, daemon: Daemon, start: Start) -> bool:
        """Whether a process was started as it would be now."""
        with contextlib.suppress(OSError):
            command = Path("/proc", str(daemon.pid), "cmdline").read_bytes().split(b"\0")[:-1]
            kept = (self.placement.state_dir / BOOTSTRAP).read_bytes()
            return command == [os.fsencode(word) for word in self._command(start)] and kept == self.bootstrap
        return False

    async def _drain(self, daemon: Daemon) -> None:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(admin.drain, self.admin)
            async for _ in ticks(FAREWELL):
                if not daemon.is_alive or not await asyncio.to_thread(admin.active_requests, self.admin):
                    break


async def ticks(limit: float, pause: float = 0.05) -> AsyncIterator[None]:
    """At once, and again and again until the limit (seconds) is over."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    while loop.time() < end:
        yield
        await asyncio.sleep(pause)
