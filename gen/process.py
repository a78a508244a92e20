"""Children: short runs of a proxy's binary, and the proxy itself when gen supervises it.

A managed proxy leads a session of its own and writes to a file, so that it goes on serving when gen is killed.  Its pid
and start time are kept in the state directory: a gen that starts again finds it and adopts it.  Nothing is ever
signalled by name, and a pid is trusted only together with its start time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from gen.errors import ApplyError

OUTPUT_LIMIT = 64 * 1024
CLEAN_ENVIRONMENT: Mapping[str, str] = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


class Finished(Struct, frozen=True):
    """How a short run ended; `output` is stdout and stderr together, cut to OUTPUT_LIMIT bytes."""

    returncode: int
    output: str
    timed_out: bool = False


async def run(argv: Sequence[str], *, timeout: float, cwd: Path | None = None) -> Finished:
    """Run a child to its end, with a clean environment, no input and a time limit (seconds).

    Raises: ApplyError when the program cannot be started.
    """
    try:
        child = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env=CLEAN_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise ApplyError(f"cannot run {argv[0]}: {error.strerror or error}") from error
    try:
        async with asyncio.timeout(timeout):
            output = await read_capped(child)
        return Finished(await child.wait(), output)
    except TimeoutError:
        return Finished(-signal.SIGKILL, f"no answer within {timeout:g} s", timed_out=True)
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()


async def read_capped(child: asyncio.subprocess.Process) -> str:
    """All that a child prints, of which only the first OUTPUT_LIMIT bytes are kept."""
    assert child.stdout is not None
    kept = b""
    while block := await child.stdout.read(65536):
        kept += block[: OUTPUT_LIMIT - len(kept)]
    await child.wait()
    return kept.decode("utf-8", "replace")


def forbid_core_dumps() -> None:
    """What gen and its children hold in memory may be keys, so none of them leaves a core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Identity(Struct, frozen=True):
    """A process and nothing that later got its pid; `started` is in clock ticks since boot."""

    pid: int
    started: int

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        return start_time(self.pid) == self.started


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when it does not run (a zombie does not)."""
    try:
        fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class Daemon:
    """A long-lived child, started here or left behind by a gen that was killed."""

    def __init__(self, identity: Identity, child: subprocess.Popen[bytes] | None = None) -> None:
        self.identity = identity
        self._child = child

    @classmethod
    def start(cls, argv: Sequence[str], *, log: Path, record: Path, cwd: Path | None = None) -> Daemon:
        """Start a process in a session of its own, its output appended to `log`, its identity kept in `record`.

        Raises: ApplyError when the program cannot be started.
        """
        try:
            with log.open("ab") as output:
                child = subprocess.Popen(
                    argv,
                    cwd=cwd,
                    env=dict(CLEAN_ENVIRONMENT),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except OSError as error:
            raise ApplyError(f"cannot start {argv[0]}: {error.strerror or error}") from error
        identity = Identity(child.pid, start_time(child.pid) or 0)
        draft = record.with_name(f".{record.name}")
        draft.write_bytes(msgspec.json.encode(identity))
        draft.rename(record)
        return cls(identity, child)

    @classmethod
    def adopt(cls, record: Path) -> Daemon | None:
        """The process that a record names, if it still runs."""
        try:
            identity = msgspec.json.decode(record.read_bytes(), type=Identity)
        except (OSError, msgspec.DecodeError):
            return None
        return cls(identity) if identity.is_alive else None

    @property
    def pid(self) -> int:
        """Its pid, which is also its process group."""
        return self.identity.pid

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return (self._child is None or self._child.poll() is None) and self.identity.is_alive

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself.  Raises ApplyError when it has gone."""
        if not self.is_alive:
            raise ApplyError(f"the process {self.pid} has gone")
        os.kill(self.pid, number)

    async def exited(self) -> int | None:
        """Wait for its end; gives the status, None for an adopted process."""
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                await wait_readable(os.pidfd_open(self.pid))
        return self._child.wait() if self._child else None

    async def stop(self, number: signal.Signals, *, patience: float) -> None:
        """Ask it to end, then after `patience` seconds end its whole process group; nothing is left behind.

        Whoever cancels this wants that end at once.
        """
        try:
            with contextlib.suppress(ApplyError, TimeoutError):
                self.send_signal(number)
                async with asyncio.timeout(patience):
                    await self.exited()
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        await self.exited()


async def wait_readable(handle: int) -> None:
    """Wait until a file descriptor is readable, then close it."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)
