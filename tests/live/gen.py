"""`gen run` as a user has it: the command, a directory of manifests, the ports of the proxy."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from tests.live.client import Connection, Reply, Request
from tests.live.echo import EchoNet
from tests.live.http2 import send_http2
from tests.live.manifests import Manifest, endpoint_slice, ingress, path, service
from tests.live.net import ADMIN_PORT, HTTP_PORT, HTTPS_PORT, fresh_address

GEN = str(Path(sys.executable).with_name("gen"))
ENDS_WITH_THE_TESTS = ("setpriv", "--pdeathsig", "TERM", "--")
"""Before a command: it gets a SIGTERM when the tests are killed, so that nothing of them stays on the machine."""
READY_WITHIN, LIVE_WITHIN, STOPPED_WITHIN = 40.0, 30.0, 15.0
UNPROTECTED = {
    f"nginx.ingress.kubernetes.io/{name}": value
    for name, value in (("enable-global-auth", "false"), ("force-ssl-redirect", "false"), ("limit-rate", "0"))
}
"""What a global ConfigMap asks of all others is not asked of the marker."""
STEADY = 6
"""So many new connections in a row must see a change before it counts as live: an old worker may accept a few more."""


class NotLiveError(AssertionError):
    """gen did not do in time what it should."""


class GenRun:
    """One `gen run` with a managed proxy, at a loopback address of its own."""

    def __init__(self, backend: str, folder: Path, echo: EchoNet, *flags: str, class_name: str = "gen") -> None:
        self.backend = backend
        self.folder = folder
        self.class_name = class_name
        self.address = fresh_address(HTTP_PORT, HTTPS_PORT, ADMIN_PORT)
        self.manifests, self.state, self.log = folder / "manifests", folder / "state", folder / "gen.log"
        self.manifests.mkdir(parents=True)
        self.process: subprocess.Popen[bytes] | None = None
        self.flags = flags
        self._markers = itertools.count(1)
        self._marker_upstream = fresh_address(8080)
        echo.listen(self._marker_upstream, 8080, "marker/marker")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ------------------------------------------------------------------ the process

    @property
    def command(self) -> list[str]:
        """The command line."""
        fixed = ["run", "--backend", self.backend, *self.source, "--state-dir", str(self.state), *self.limits]
        ports = ["--http-port", str(HTTP_PORT), "--https-port", str(HTTPS_PORT)]
        return [GEN, *fixed, "--bind", self.address, *ports, "--admin", f"{self.address}:{ADMIN_PORT}", *self.flags]

    @property
    def source(self) -> list[str]:
        """Where its objects come from."""
        return ["-f", str(self.manifests)]

    @property
    def limits(self) -> list[str]:
        """How often it may do something."""
        return ["--reload-interval", "0"]

    def start(self, *, ready: bool = True) -> Self:
        """Start gen and wait until it is ready."""
        with self.log.open("ab") as log:
            command = [*ENDS_WITH_THE_TESTS, *self.command]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if ready:
            self.wait("be ready", self.is_ready, READY_WITHIN)
        return self

    def is_ready(self) -> bool:
        """Whether /readyz says so."""
        return self.admin("/readyz").status == 200

    def admin(self, target: str) -> Reply:
        """What gen's own HTTP server answers; raises OSError while it does not listen."""
        with Connection(self.address, ADMIN_PORT) as connection:
            return connection.exchange(Request(self.address, target))

    def stop(self) -> None:
        """Ask gen to end; nothing must be left behind.  Raises NotLiveError."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            status: int | None = process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = None
        left = self.end_leftovers()
        if status != 0 or left:
            raise NotLiveError(f"after SIGTERM: status {status}, processes left: {left}\n{self.tail()}")

    def kill(self) -> None:
        """End gen as the kernel would when memory runs out."""
        assert self.process
        self.process.kill()
        self.process.wait()
        self.process = None

    def processes(self) -> dict[int, str]:
        """The running processes that work in this run's folder, gen among them: pid and command line."""
        found = {int(entry.name): entry for entry in Path("/proc").iterdir() if entry.name.isdigit()}
        return {pid: command_of(entry) for pid, entry in found.items() if works_in(entry, self.folder)}

    def end_leftovers(self) -> dict[int, str]:
        """The processes that still run a second after gen has ended; they are killed."""
        deadline = time.monotonic() + 2
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return left

    # ------------------------------------------------------------------ manifests

    def write(self, objects: Iterable[Manifest], name: str = "manifests.json") -> None:
        """Put a file in the place of that name, by one rename."""
        draft = self.folder / "draft.json"
        draft.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))
        draft.rename(self.manifests / name)

    def marked(self, objects: Iterable[Manifest]) -> tuple[str, list[Manifest]]:
        """The objects and a marker Ingress on a host that was never used before."""
        host = f"marker-{next(self._markers)}.live.example"
        return host, [
            *objects,
            service("marker", "marker"),
            endpoint_slice("marker", "marker", [self._marker_upstream]),
            ingress(
                "marker", "marker", {host: [path("/", "marker")]}, class_name=self.class_name, annotations=UNPROTECTED
            ),
        ]

    def apply(self, objects: Iterable[Manifest], *, closed: bool = False) -> None:
        """Replace the manifests as one change and wait until it is live; starts gen when it does not run.

        Shape: `closed` expects 503 on all routes, since the proxy lacks a protection that the ConfigMap asks for.
        """
        host, items = self.marked(objects)
        self.write(items)
        if self.process is None:
            self.start()
        if closed:
            self.wait(f"close {host}", lambda: self.send(Request(host)).status == 503, LIVE_WITHIN)
        else:
            self.wait_live(host)

    def wait_live(self, host: str) -> None:
        """Wait until several new connections in a row reach the marker Service by that host."""
        self.wait(f"serve {host}", lambda: all(self.marker_answers(host) for _ in range(STEADY)), LIVE_WITHIN)

    def marker_answers(self, host: str) -> bool:
        """Whether a new connection reaches the marker Service."""
        return self.send(Request(host)).service == "marker/marker"

    # ------------------------------------------------------------------ traffic

    def connect(self, scheme: str = "http", server_name: str = "", **tls: str) -> Connection:
        """A new connection to the proxy; `tls` as for Connection."""
        if scheme == "http":
            return Connection(self.address, HTTP_PORT)
        return Connection(self.address, HTTPS_PORT, server_name=server_name, **tls)

    def send(self, request: Request, *, http2: bool = False) -> Reply:
        """Send one request on a connection of its own."""
        if http2:
            return send_http2(self.address, HTTPS_PORT if request.scheme == "https" else HTTP_PORT, request)
        tls = {"shows": request.shows, "newest_tls": request.newest_tls}
        with self.connect(request.scheme, request.server_name, **tls) as connection:
            return connection.exchange(request)

    def get(self, url: str, **headers: str) -> Reply:
        """GET an `http://host/target` or `https://host/target` by way of the proxy."""
        scheme, _, rest = url.partition("://")
        host, slash, target = rest.partition("/")
        pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return self.send(Request(host, slash + target or "/", scheme=scheme, headers=pairs))

    # ------------------------------------------------------------------ waiting

    def wait(self, what: str, is_so: Callable[[], bool], seconds: float) -> None:
        """Poll until something is so.  Raises NotLiveError when it takes too long, or gen has ended."""
        deadline, last = time.monotonic() + seconds, "no"
        while time.monotonic() < deadline:
            if self.process and self.process.poll() is not None:
                raise NotLiveError(f"gen ended with {self.process.returncode}, it should {what}\n{self.tail()}")
            try:
                if is_so():
                    return
            except OSError as error:
                last = repr(error)
            time.sleep(0.02)
        raise NotLiveError(f"gen did not {what} within {seconds:g} s ({last})\n{self.tail()}")

    def tail(self, limit: int = 3000) -> str:
        """The ends of the logs."""
        logs = [self.log, *sorted(self.state.glob("*.log"))]
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-limit:]}" for log in logs if log.is_file())


def command_of(entry: Path) -> str:
    """The command line of a process, "" when it has gone or is a zombie."""
    with contextlib.suppress(OSError):
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def works_in(entry: Path, folder: Path) -> bool:
    """Whether a process has its command line, its directory or an open file below a folder."""
    command = command_of(entry)
    if not command or entry.name == str(os.getpid()):
        return False
    if f"{folder}/" in command:
        return True
    with contextlib.suppress(OSError):
        links = [entry / "cwd", *(entry / "fd").iterdir()]
        return any(target_of(link).startswith(f"{folder}/") for link in links)
    return False


def target_of(link: Path) -> str:
    """Where a symlink leads, "" when it has gone."""
    try:
        return str(link.readlink())
    except OSError:
        return ""
