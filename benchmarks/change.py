"""One changed Ingress: what a running gen spends until the proxy serves it."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from benchmarks.cold import GEN
from benchmarks.manifests import Format, write_first_file
from benchmarks.measure import cpu_of_process

LIMIT = 300.0
"""Seconds that anything may take."""
POLL = 0.02


class Change(Struct, frozen=True):
    """CPU seconds of gen itself, of the proxy's test that it ran, and wall seconds until the change was served."""

    gen: float
    proxy: float
    wall: float


def measure_change(backend: str, folder: Path, manifests: Path, size: int, form: Format) -> Change:
    """Start `gen run` on the manifests, give one Ingress another host, and wait until the proxy serves that.

    Its endpoints refuse connections, so the new host answers with 502 or 503; an unknown host with 404.
    """
    ports = [free_port() for _ in range(3)]
    command = [GEN, "run", "-b", backend, "-f", str(manifests), "--state-dir", str(folder / "state")]
    command += ["--bind", "127.0.0.1", "--http-port", str(ports[0]), "--https-port", str(ports[1])]
    command += ["--admin", f"127.0.0.1:{ports[2]}"]
    with (folder / "gen.log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(child, lambda: status(ports[2], "/readyz") == 200)
        wait_until_idle(child)
        before, started = cpu_of_process(child.pid), time.monotonic()
        write_first_file(manifests, size, form, suffix="-new")
        wait_for(child, lambda: status(ports[0], "/", "app-0-new.bench.example") not in {0, 404})
        wall = time.monotonic() - started
        wait_until_idle(child)
        after = cpu_of_process(child.pid)
    finally:
        child.terminate()
        child.wait()
    return Change(after[0] - before[0], after[1] - before[1], wall)


def status(port: int, path: str, host: str = "127.0.0.1") -> int:
    """The status of an answer, 0 where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def wait_for(child: subprocess.Popen[bytes], is_so: Callable[[], bool]) -> None:
    """Poll until something is so.  Raises RuntimeError when gen ends or it takes too long."""
    deadline = time.monotonic() + LIMIT
    while not is_so():
        if child.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"gen ended with {child.returncode}" if child.returncode is not None else "too slow")
        time.sleep(POLL)


def wait_until_idle(child: subprocess.Popen[bytes]) -> None:
    """Wait until gen uses no CPU time for half a second."""
    last, since = cpu_of_process(child.pid), time.monotonic()
    while time.monotonic() - since < 0.5:
        time.sleep(POLL)
        if (now := cpu_of_process(child.pid)) != last:
            last, since = now, time.monotonic()


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
