"""The running HAProxy: started and supervised by gen, or beside it; reloaded, asked, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from backends.haproxy import check, commands, runtime
from backends.haproxy.sections import ADMIN_SOCKET, HOP_SOCKET, INNER_SOCKET
from gen.backend import Bundle, Placement, Plan
from gen.errors import ApplyError, NotConfirmed
from gen.files import Generations
from gen.process import Daemon, run

MASTER_SOCKET = "master.sock"
RECORD, LOG = "proxy.json", "proxy.log"
LOG_LIMIT = 4 * 1024 * 1024  # HAProxy writes a line a backend whenever an old worker ends
ADOPTION = 5.0  # seconds in which a proxy that was left behind has to answer
FAREWELL = 4.0  # seconds that requests have to end when gen stops


class Control:
    """One HAProxy and its generations.

    Only one reload is ever under way: a request for another one would be lost.
    """

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.binary = placement.binary or "haproxy"
        self.generations = Generations(placement.state_dir)
        self.admin = placement.runtime_dir / ADMIN_SOCKET
        self.master = Path(placement.socket) if placement.socket else placement.runtime_dir / MASTER_SOCKET
        self.log = placement.state_dir / LOG
        self.record = placement.state_dir / RECORD
        self._daemon: Daemon | None = None
        self._running = asyncio.Event()
        self._turn = asyncio.Lock()
        self._version = ""
        self.reload_reason = ""

    # ------------------------------------------------------------------ what the Backend protocol asks for

    async def validate(self, bundle: Bundle) -> None:
        """Let the real binary test the bundle.  Raises Rejected."""
        self._version = self._version or await check.check_version(self.binary, self.placement.version)
        directory = self.generations.write(bundle)
        await check.check(self.binary, directory, bundle)

    async def resume(self) -> Bundle | None:
        """The bundle of the proxy that runs, or of the one that was started from the last accepted generation."""
        async with self._turn:
            if self.placement.mode == "external":
                return await self._as_known(await runtime.live_digest(self.admin))
            if self._daemon is None and (found := Daemon.adopt(self.record)):
                return await self._adopt(found)
            return await self._start_accepted()

    async def apply(self, plan: Plan) -> None:
        """Write and publish a generation, then start or reload.  Raises ApplyError; then `current` is what it was."""
        async with self._turn:
            before = self.generations.current()
            try:
                if not await self._command(plan):
                    self._publish(plan.new)
                    await self._load(plan.new, anew=plan.old is None)
            except ApplyError:
                if before:
                    self.generations.publish(before)
                raise

    async def confirm(self, plan: Plan) -> None:
        """Wait until a worker reports the digest, then accept the generation.  Raises NotConfirmed."""
        wanted, found = plan.new.digest, None
        async for _ in runtime.ticks(check.time_limit(plan.new)):
            found = await runtime.live_digest(self.admin)
            if found == wanted:
                self.generations.accept(wanted)
                return
            if self._daemon and not self._daemon.is_alive:
                break
        raise NotConfirmed(f"HAProxy reports {f'gen-{found}' if found else 'nothing'} instead of gen-{wanted}")

    async def exited(self) -> str:
        """Return when the managed proxy has gone."""
        await self._running.wait()
        daemon = self._daemon
        assert daemon is not None
        status = await daemon.exited()
        if daemon is self._daemon:
            self._running.clear()
        return "HAProxy has gone" if status is None else f"HAProxy has gone with status {status}"

    async def close(self) -> None:
        """Let requests end for some seconds, then end the managed proxy and remove its sockets."""
        if self._daemon:
            await self._stop(self._daemon)
            self.record.unlink(missing_ok=True)

    # ------------------------------------------------------------------ steps

    def _publish(self, bundle: Bundle) -> None:
        self.generations.write(bundle)
        self.generations.publish(bundle.digest)

    async def _command(self, plan: Plan) -> bool:
        """Change the running worker by commands; whether it is now as the new bundle says.

        The files are written meanwhile, and both are done before the worker calls itself by the new digest.  What goes
        wrong half way is left to a reload, which puts all in order.  Raises ApplyError and Rejected.
        """
        self.reload_reason = ""
        if plan.reload or not plan.old or await runtime.live_digest(self.admin) != plan.old.digest:
            return False
        writing = asyncio.create_task(asyncio.to_thread(self._publish, plan.new))
        try:
            await commands.change(self.admin, plan)
        except ApplyError as error:
            self.reload_reason = str(error)
        finally:
            await asyncio.wait([writing])
        writing.result()
        if not self.reload_reason:
            await commands.name(self.admin, plan.new.digest)
            return True
        await check.check(self.binary, self.generations.directory(plan.new.digest), plan.new)
        return False

    async def _load(self, bundle: Bundle, *, anew: bool = False) -> None:
        """Bring the published generation into the proxy, unless it runs it already; `anew` even then."""
        if self.placement.mode == "managed" and not (self._daemon and self._daemon.is_alive):
            await self._start(bundle)
        elif anew or await runtime.live_digest(self.admin) != bundle.digest:
            await self._reload(bundle)

    async def _reload(self, bundle: Bundle) -> None:
        if self.placement.reload_command:
            result = await run(self.placement.reload_command, timeout=check.time_limit(bundle))
            failure = "" if result.returncode == 0 else result.output or f"status {result.returncode}"
        elif self.placement.pid_file:
            failure = signal_master(self.placement.pid_file)
        else:
            seen = self._trim_log()
            failure = await runtime.reload(self.master, check.time_limit(bundle))
            failure = failure and "\n".join([failure, *self._alerts(seen)])
        if failure:
            raise ApplyError(self._scrubbed(failure))

    async def _start(self, bundle: Bundle) -> None:
        """Start the published generation, and wait until it serves."""
        self.placement.runtime_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._remove_sockets()
        seen = self._trim_log()
        configuration = self.generations.current_link.absolute()
        argv = [self.binary, "-W", "-db", "-S", f"{self.master},mode,600", "-f", str(configuration)]
        self._daemon = daemon = Daemon.start(argv, log=self.log, record=self.record)
        async for _ in runtime.ticks(check.time_limit(bundle)):
            if await runtime.live_digest(self.admin) == bundle.digest and await runtime.reloads(self.master):
                self._running.set()  # the master answers: from now on it hears signals, too
                return
            if not daemon.is_alive:
                break
        await self._stop(daemon)
        raise ApplyError(self._scrubbed("\n".join(["HAProxy did not start", *self._alerts(seen)])))

    async def _start_accepted(self) -> Bundle | None:
        bundle = self._known(self.generations.accepted())
        if bundle:
            self.generations.publish(bundle.digest)
            await self._load(bundle)
        return bundle

    async def _adopt(self, daemon: Daemon) -> Bundle | None:
        """Take over a proxy that a killed gen left behind; one that does not answer is replaced."""
        self._daemon = daemon
        async for _ in runtime.ticks(ADOPTION):
            with contextlib.suppress(ApplyError):
                if digest := await runtime.live_digest(self.admin):
                    bundle = await self._as_known(digest)
                    self._running.set()
                    if bundle:
                        self.generations.publish(digest)
                    return bundle
            if not daemon.is_alive:
                break
        await self._stop(daemon)
        return await self._start_accepted()

    async def _stop(self, daemon: Daemon) -> None:
        await daemon.stop(signal.SIGUSR1, patience=FAREWELL)
        self._remove_sockets()
        if daemon is self._daemon:
            self._daemon = None
            self._running.clear()

    def _known(self, digest: str | None) -> Bundle | None:
        """The generation of a digest, if it is still there."""
        if digest is None or not self.generations.directory(digest).is_dir():
            return None
        return self.generations.load(digest)

    async def _as_known(self, digest: str | None) -> Bundle | None:
        """The generation of a digest, if the worker is as it says: a gen may be killed between two commands."""
        bundle = self._known(digest)
        return bundle if bundle and not await commands.drift(self.admin, bundle) else None

    def _remove_sockets(self) -> None:
        others = (self.placement.runtime_dir / name for name in (INNER_SOCKET, HOP_SOCKET))
        for path in (self.admin, self.master, *others):
            path.unlink(missing_ok=True)

    def _trim_log(self) -> int:
        """Where the log ends, after it was emptied if it had grown too long."""
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > LOG_LIMIT:
                os.truncate(self.log, 0)
            return self.log.stat().st_size
        return 0

    def _alerts(self, seen: int) -> list[str]:
        """The alerts in the log from a place on."""
        with contextlib.suppress(OSError), self.log.open("rb") as log:
            log.seek(seen)
            text = log.read(LOG_LIMIT).decode("utf-8", "replace")
            return [message for severity, message in check.messages_of(text) if severity == "ALERT"]
        return []

    def _scrubbed(self, text: str) -> str:
        return check.scrubbed(text, self.generations.current_link.absolute())


def signal_master(pid_file: Path) -> str:
    """Ask the master whose pid is in a file to reload; "" or what is wrong with it."""
    try:
        os.kill(int(pid_file.read_text()), signal.SIGUSR2)
    except (OSError, ValueError) as error:
        return f"cannot signal the process of {pid_file}: {error}"
    return ""
