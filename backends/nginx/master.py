"""The nginx master process: one that gen starts and supervises, or one beside it that takes a signal or a command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import resource
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Protocol

from backends.nginx import diagnosis
from backends.nginx.version import find_binary
from gen.backend import Placement
from gen.errors import ApplyError, UsageError
from gen.files import Generations
from gen.process import Daemon, run

SOCKET_PATH_LIMIT = 107
ENTRIES = (
    "nginx.conf", "digest.conf", "listen.conf", "listen-default.conf", "upstreams.conf", "policies.conf",
    "endpoints.conf", "endpoints.map",
    "hosts", "patterns", "certificates", "policies",
)  # fmt: skip
"""What a generation has, but for passwords."""
PATIENCE = 4.0
POLL_INTERVAL = 0.02
COMMAND_TIMEOUT = 60.0
LOG_TAIL = 1 << 20
LOG_LIMIT = 64 << 20


class Master(Protocol):
    """What the control of nginx needs of its master process."""

    def adopt(self) -> bool:
        """Whether it runs already, as far as can be told."""
        ...

    async def load(self) -> None:
        """Make it read the published files: start it, or tell it once.  Raises ApplyError."""
        ...

    def failure(self) -> str:
        """Why it will not come to run what it was told to load; empty while it still may."""
        ...

    def complaints(self) -> str:
        """What it has said since it was told to load."""
        ...

    async def exited(self) -> str:
        """Return when it has gone, with a description."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


def binary_of(placement: Placement) -> str:
    """The nginx to run.  Raises UsageError where there is none."""
    if not (found := find_binary(placement.binary)):
        raise UsageError("there is no nginx on this machine; install it, or say where its binary is")
    return found


WORKERS = "nobody"
"""The user of the workers of a root's nginx."""


def lay_out(directory: Path, current: Path) -> None:
    """Make a directory for `-c`: everything in it leads to the current generation, but passwords are there themselves.

    The workers read passwords at every request, and a root's workers have no access to the generations.  Passwords of
    the last generation but one are removed.
    """
    directory.mkdir(exist_ok=True, mode=0o711)
    for name in ENTRIES:
        link = directory / name
        if not link.is_symlink():
            link.symlink_to(current / name)
    here = directory / "passwords"
    here.mkdir(exist_ok=True, mode=0o711)
    if os.geteuid() == 0:
        directory.chmod(0o711)
        here.chmod(0o711)
    wanted = {path.name: path for path in (current / "passwords").glob("*.htpasswd")}
    listed = here / ".last"
    last = set(listed.read_text().split()) if listed.exists() else set()
    for name in wanted.keys() - {path.name for path in here.iterdir()}:
        place(wanted[name].read_bytes(), here / name)
    for path in here.glob("*.htpasswd"):
        if path.name not in wanted and path.name not in last:
            path.unlink()
    listed.write_text("\n".join(sorted(wanted)))


def place(content: bytes, path: Path) -> None:
    """Write a file for the workers alone."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        if os.geteuid() == 0:
            os.fchown(handle, pwd.getpwnam(WORKERS).pw_uid, -1)
    fresh.rename(path)


class Managed:
    """An nginx that gen starts; it goes on without gen, and a later gen adopts it."""

    def __init__(self, placement: Placement, generations: Generations) -> None:
        self._placement = placement
        self._current = generations.current_link
        self._log = generations.state_dir / "proxy.log"
        self._record = generations.state_dir / "proxy.json"
        self._daemon: Daemon | None = None
        self._started = asyncio.Event()
        self._log_mark = 0

    def adopt(self) -> bool:
        """Whether our nginx runs, or the one that the record names, which is ours from now on."""
        if not self._daemon:
            self._take(Daemon.adopt(self._record))
        return bool(self._daemon and self._daemon.is_alive)

    async def load(self) -> None:
        """Start nginx, or tell it to read its files again."""
        self._mark_log()
        if self._daemon and self._daemon.is_alive:
            self._lay_out()
            self._daemon.send_signal(signal.SIGHUP)
            return
        if self._daemon:  # workers outlive a master that crashed, and go on listening
            await self._daemon.stop(signal.SIGQUIT, patience=0)
        await self._clear_socket()
        self._take(self._start())

    def failure(self) -> str:
        """The words of a start or a reload that failed for good."""
        if self._daemon and not self._daemon.is_alive:
            return self.complaints() or "nginx has ended"
        words = self.complaints()
        return words if diagnosis.FATAL.search(words) else ""

    def complaints(self) -> str:
        """The lines of the log since the last start or reload that are about nginx itself, not about requests."""
        try:
            with self._log.open("rb") as file:
                file.seek(self._log_mark)
                text = file.read(LOG_TAIL).decode("utf-8", "replace")
        except OSError:
            return ""
        return diagnosis.cut([line for line in diagnosis.complaints(text) if line.startswith(("[emerg]", "[alert]"))])

    async def exited(self) -> str:
        """Wait for the end of nginx."""
        await self._started.wait()
        daemon = self._daemon
        assert daemon
        status = await daemon.exited()
        return f"nginx (pid {daemon.pid}) has ended" + ("" if status is None else f" with status {status}")

    async def close(self) -> None:
        """Stop nginx gracefully, then not so gracefully; at once when cancelled."""
        daemon, self._daemon = self._daemon, None
        self._started.clear()
        if daemon:
            try:
                await daemon.stop(signal.SIGQUIT, patience=PATIENCE)
            finally:
                self._clean_up()

    def _clean_up(self) -> None:
        """Remove what nginx, once ended, leaves in its directories."""
        self._record.unlink(missing_ok=True)
        for path in self._placement.runtime_dir.glob("*_temp"):
            shutil.rmtree(path, ignore_errors=True)
        for name in ("nginx.sock", "nginx.pid"):
            (self._placement.runtime_dir / name).unlink(missing_ok=True)

    @property
    def _socket(self) -> Path:
        return self._placement.runtime_dir / "nginx.sock"

    def _take(self, daemon: Daemon | None) -> None:
        self._daemon = daemon
        if daemon:
            self._started.set()

    def _mark_log(self) -> None:
        """Remember where the words about the next start or reload will begin; an overlong log begins anew."""
        size = self._log.stat().st_size if self._log.exists() else 0
        if size > LOG_LIMIT:
            os.truncate(self._log, 0)  # nginx appends, so it goes on at the new end
        self._log_mark = size if size <= LOG_LIMIT else 0

    async def _clear_socket(self) -> None:
        """Remove a socket that the dead left behind; the dying get some time."""
        deadline = time.monotonic() + PATIENCE
        while not remove_stale(self._socket):
            if time.monotonic() > deadline:
                raise ApplyError(f"another process listens at {self._socket}; it must end before gen can start nginx")
            await asyncio.sleep(POLL_INTERVAL)

    def _lay_out(self) -> None:
        try:
            lay_out(self._placement.runtime_dir / "conf_temp", self._current)
        except OSError as error:
            where = self._placement.runtime_dir
            raise ApplyError(f"cannot write below {where}: {error.strerror or error}") from error

    def _start(self) -> Daemon:
        runtime_dir = self._placement.runtime_dir
        if len(os.fsencode(self._socket)) > SOCKET_PATH_LIMIT:
            raise UsageError(f"the path {self._socket} is too long for a socket; choose a shorter runtime directory")
        try:
            runtime_dir.mkdir(parents=True, exist_ok=True, mode=0o711)
            if os.geteuid() == 0:
                runtime_dir.chmod(0o711)  # the workers of a root's nginx are nobody, and have temporary files there
        except OSError as error:
            raise ApplyError(f"cannot make {runtime_dir}: {error.strerror or error}") from error
        self._lay_out()
        raise_open_files_limit()
        # With a relative prefix the workers need no access to the directories above.
        options = ["-e", "stderr", "-p", "./", "-c", "./conf_temp/nginx.conf", "-g", "daemon off;"]
        argv = [binary_of(self._placement), *options]
        return Daemon.start(argv, log=self._log, record=self._record, cwd=runtime_dir)


class External:
    """An nginx that somebody else runs beside gen."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement

    def adopt(self) -> bool:
        """It runs, unless its answers say otherwise."""
        return True

    async def load(self) -> None:
        """Run the reload command, or signal the master that the pid file names."""
        if command := self._placement.reload_command:
            done = await run(command, timeout=COMMAND_TIMEOUT)
            if done.returncode != 0:
                raise ApplyError(f"{command[0]} ended with status {done.returncode}: {done.output.strip()[:1000]}")
        elif pid_file := self._placement.pid_file:
            signal_master(pid_file)
        else:
            raise UsageError("an external nginx needs a pid file or a reload command")

    def failure(self) -> str:
        """Its log is not ours to read."""
        return ""

    def complaints(self) -> str:
        """Its log is not ours to read."""
        return "its own error log says why"

    async def exited(self) -> str:
        """Never: it is not ours to watch."""
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None:
        """Leave it as it is."""


def signal_master(pid_file: Path) -> None:
    """Send SIGHUP to the nginx master that a pid file names.  Raises ApplyError when there is no such process."""
    try:
        pid = int(pid_file.read_text())
        handle = os.pidfd_open(pid)
    except (OSError, ValueError) as error:
        raise ApplyError(f"{pid_file} names no process: {error}") from error
    try:
        if not Path("/proc", str(pid), "cmdline").read_bytes().startswith(b"nginx: master process"):
            raise ApplyError(f"the process {pid} that {pid_file} names is no nginx master")
        signal.pidfd_send_signal(handle, signal.SIGHUP)
    except OSError as error:
        raise ApplyError(f"cannot signal nginx, process {pid}: {error.strerror or error}") from error
    finally:
        os.close(handle)


def remove_stale(path: Path) -> bool:
    """Remove a unix socket that nobody listens at; gives whether the path is free now."""
    if not path.is_socket():
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return True
        except FileNotFoundError:
            return True
        except OSError:
            return False
    return False


def raise_open_files_limit() -> None:
    """Let the children of this process open as many files as the machine allows: nginx needs two a connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
