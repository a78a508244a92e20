"""`python -m benchmarks.layout`: what nginx pays for gen's layout, beside the obvious one for the same hosts.

The obvious one is a single file with an upstream for each Service and a location with its `proxy_pass` for each path.
Of both: CPU of `nginx -t`; seconds from the reload's signal until the new worker answers, and the CPU that the master
and this worker spend on it; the memory of a master and a worker, what they share counted once.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from benchmarks.cold import GEN, program
from benchmarks.manifests import write
from benchmarks.measure import cheapest, cost_of, cpu_of_process
from benchmarks.obvious import ADDRESS, PORT, obvious

TLS_PORT = 18943


class Paid(Struct, frozen=True):
    """CPU seconds of a test; wall and CPU seconds of a reload; MiB of a master and a worker."""

    test: float
    reload: float
    reload_cpu: float
    memory: float


def measure(binary: str, configuration: Path, home: Path, times: int) -> Paid:
    """What nginx pays for a configuration; `home` is its directory for the pid and temporary files."""
    command = [binary, "-e", "stderr", "-p", str(home), "-c", str(configuration)]
    test = cheapest([*command, "-t", "-q"], times).cpu
    process = subprocess.Popen([*command, "-g", "daemon off;"], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers() and children(process.pid))
        memory = proportional(process.pid) + sum(map(proportional, children(process.pid)))
        reloads = [reload(process.pid) for _ in range(times)]
        return Paid(test, min(wall for wall, _ in reloads), min(cpu for _, cpu in reloads), memory)
    finally:
        process.terminate()
        process.wait()


def reload(master: int) -> tuple[float, float]:
    """Wall and CPU seconds until the old worker has gone and the new one answers."""
    old, before, started = children(master), cpu_of_process(master)[0], time.monotonic()
    os.kill(master, signal.SIGHUP)
    wait_for(lambda: set(children(master)) - set(old) and answers())
    wall = time.monotonic() - started
    wait_for(lambda: not set(children(master)) & set(old))
    return wall, cpu_of_process(master)[0] - before + sum(cpu_of_process(child)[0] for child in children(master))


def answers() -> bool:
    """Whether somebody answers at the port, be it with an error."""
    try:
        urllib.request.urlopen(f"http://{ADDRESS}:{PORT}/", timeout=5)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def children(master: int) -> list[int]:
    """The workers."""
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


def proportional(pid: int) -> float:
    """MiB of a process, of what it shares only its part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def wait_for(is_so: Callable[[], object], seconds: float = 60) -> None:
    """Poll until something is so.  Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("nginx did not get there")
        time.sleep(0.005)


def both(binary: str, size: int, times: int) -> Mapping[str, Paid]:
    """The obvious layout and gen's."""
    with tempfile.TemporaryDirectory(prefix="gen-bench-") as name:
        folder = Path(name)
        for part in ("manifests", "home", "run"):
            (folder / part).mkdir()
        write(folder / "manifests", size, "yaml")
        places = ["--bind", ADDRESS, "--http-port", str(PORT), "--https-port", str(TLS_PORT)]
        command = [GEN, "render", "-b", "nginx", "-f", str(folder / "manifests"), "-o", str(folder / "gen")]
        cost_of([*command, *places, "--runtime-dir", str(folder / "run"), "--proxy-binary", binary])
        main = folder / "gen" / "nginx.conf"
        main.write_text(main.read_text().replace("worker_processes auto;", "worker_processes 1;"))
        (folder / "obvious.conf").write_text("".join(obvious(size)))
        files = {"obvious": folder / "obvious.conf", "gen": main}
        return {kind: measure(binary, file, folder / "home", times) for kind, file in files.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layout", description=__doc__)
    parser.add_argument("--size", type=int, nargs="+", default=[1000, 5000], help="numbers of hosts, three paths each")
    parser.add_argument("--times", type=int, default=3, help="the cheapest of so many runs counts")
    parser.add_argument("--binary", help="another nginx than the installed one, such as one with Lua")
    options = parser.parse_args(arguments)
    print(" hosts layout  | test CPU  reload  its CPU  memory")
    for size in options.size:
        found = both(options.binary or program("nginx"), size, options.times)
        for kind, paid in found.items():
            figures = f"{paid.test:8.2f} {paid.reload:7.2f} {paid.reload_cpu:8.2f} {paid.memory:7.0f}"
            print(f"{size:6} {kind:7} | {figures}", flush=True)
        pairs = [(getattr(found["gen"], field), getattr(found["obvious"], field)) for field in Paid.__struct_fields__]
        ratios = [ours / theirs if theirs else 1.0 for ours, theirs in pairs]
        print(f"{size:6} ratio   | " + "{:8.2f} {:7.2f} {:8.2f} {:7.2f}".format(*ratios), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
