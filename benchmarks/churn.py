"""`python -m benchmarks.churn`: endpoints that change all the time, through an API server and gen into a real proxy.

The API server is the one of the tests.  The marks: at the end the proxy has exactly the endpoints that there are, there
were no more reloads than the interval allows, and memory did not grow over the second half.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from benchmarks.measure import cpu_of_process
from tests.cluster import objects
from tests.cluster.fake import FakeApi
from tests.cluster.fake.resources import RESOURCES
from tests.cluster.fake.storage import Key
from tests.cluster.objects import NAMESPACE, Json
from tests.cluster.running import ClusterRun
from tests.live.echo import EchoNet
from tests.live.proxies import BACKENDS

BY_KIND = {each.kind: each for each in RESOURCES if each.kind != "Event"}
TICK = 0.05
ENDPOINTS = 3
SETTLED_WITHIN = 30.0
ADDRESS = re.compile(rb"\b10\.\d+\.\d+\.\d+\b")


class Outcome(Struct, frozen=True):
    """What a run did: writes, seconds, CPU seconds of gen, reloads and how many were allowed, memory in MiB."""

    writes: int
    seconds: float
    cpu: float
    reloads: int
    allowed: int
    memory: tuple[float, ...]
    settled: float | None

    @property
    def growth(self) -> float:
        """The most memory of the last quarter as a multiple of that of the third one."""
        quarter = max(1, len(self.memory) // 4)
        return max(self.memory[-quarter:]) / max(self.memory[-2 * quarter : -quarter])

    def missed(self) -> Iterator[str]:
        """Which marks were missed."""
        if self.settled is None:
            yield f"the endpoints were not right within {SETTLED_WITHIN:g} s"
        if self.reloads > self.allowed:
            yield f"{self.reloads} reloads, {self.allowed} are allowed"
        if self.growth > 1.1:
            yield f"memory grew to {self.growth:.2f} times what it was"


class LimitedRun(ClusterRun):
    """A `gen run` with a distance between its reloads."""

    interval = 1.0

    @property
    def limits(self) -> list[str]:
        """The distance."""
        return ["--reload-interval", f"{self.interval:g}"]


class Cluster:
    """Services with an Ingress and a slice each, in the API server of the tests."""

    def __init__(self, api: FakeApi, services: int) -> None:
        self._storage = api.storage
        self._count = services
        self.writes = 0
        self.live: dict[int, tuple[str, ...]] = {}
        self._store("Namespace", objects.namespace())
        self._store("IngressClass", objects.ingress_class("gen"))
        for number in range(services):
            self._store("Service", objects.service(f"web-{number}"))
            self._store("Ingress", objects.ingress(f"web-{number}", service=f"web-{number}"))
            self.change()

    def change(self) -> None:
        """Give one Service other endpoints."""
        number, turn = self.writes % self._count, self.writes
        addresses = tuple(f"10.{place}.{turn // 250 % 250}.{turn % 250 + 1}" for place in range(1, ENDPOINTS + 1))
        name = f"web-{number}"
        self._store("EndpointSlice", objects.endpoint_slice(f"{name}-a", *addresses, service=name))
        self.live[number] = addresses
        self.writes += 1

    def addresses(self) -> set[str]:
        """The addresses that there are now."""
        return {address for addresses in self.live.values() for address in addresses}

    def churn(self, rate: float, seconds: float) -> Iterator[float]:
        """Change so many a second, for so long; gives the time that has passed, some times a second."""
        begun, first = time.monotonic(), self.writes
        while (passed := time.monotonic() - begun) < seconds:
            with self._storage.changed:
                while self.writes - first < rate * passed:
                    self.change()
            yield passed
            time.sleep(TICK)

    def _store(self, kind: str, item: Json) -> None:
        meta = {"uid": f"uid-{kind}-{item['metadata']['name']}", "creationTimestamp": "2026-01-01T00:00:00Z"}
        space = NAMESPACE if BY_KIND[kind].namespaced else ""
        with self._storage.changed:
            key = Key(BY_KIND[kind], space, item["metadata"]["name"])
            self._storage.write(key, {**item, "metadata": {**item["metadata"], **meta}})


def measure(backend: str, folder: Path, *, seconds: float, rate: float, services: int = 200) -> Outcome:
    """Run gen through it."""
    with FakeApi() as api, EchoNet() as echo:
        cluster = Cluster(api, services)
        with LimitedRun(backend, folder, echo, api.url, "--secrets", "get") as run:
            run.start()
            assert run.process
            first, writes = reloads_of(run), cluster.writes
            memory = [resident(run.process.pid) for _ in cluster.churn(rate, seconds)]
            settled = settle(run, cluster.addresses())
            cpu, _ = cpu_of_process(run.process.pid)
            allowed = int((seconds + (settled or 0.0)) / run.interval) + 2
            return Outcome(
                cluster.writes - writes, seconds, cpu, reloads_of(run) - first, allowed, tuple(memory), settled
            )


def settle(run: ClusterRun, wanted: set[str]) -> float | None:
    """Seconds until the accepted configuration has exactly these addresses, None when it never has."""
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < SETTLED_WITHIN:
        if accepted_addresses(run.state / "accepted") == wanted:
            return passed
        time.sleep(TICK)
    return None


def accepted_addresses(generation: Path) -> set[str]:
    """The addresses of endpoints in a configuration."""
    found: set[bytes] = set()
    for file in sorted(generation.resolve().rglob("*")):
        if file.is_file():
            found.update(ADDRESS.findall(file.read_bytes()))
    return {address.decode() for address in found}


def reloads_of(run: ClusterRun) -> int:
    """How often the proxy was reloaded."""
    page = run.admin("/metrics").body.decode()
    return sum(
        int(float(line.split()[-1])) for line in page.splitlines() if re.match(r"gen_reloads_total.*reload", line)
    )


def resident(pid: int) -> float:
    """The memory of a process in MiB."""
    text = Path("/proc", str(pid), "status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; 1 when a mark is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.churn", description=__doc__)
    parser.add_argument("--backend", nargs="+", default=list(BACKENDS))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=1000.0, help="changes a second")
    options = parser.parse_args(arguments)
    print("backend | changes/s  gen CPU  reloads (allowed)  peak MiB  growth  exact after", flush=True)
    missed: list[str] = []
    for backend in options.backend:
        with tempfile.TemporaryDirectory(prefix="gen-churn-") as name:
            outcome = measure(backend, Path(name) / "run", seconds=options.seconds, rate=options.rate)
        print(line(backend, outcome), flush=True)
        missed += [f"missed: {backend}: {what}" for what in outcome.missed()]
    print("\n".join(missed) or "every mark is met")
    return 1 if missed else 0


def line(backend: str, outcome: Outcome) -> str:
    """A line of the table."""
    settled = "never" if outcome.settled is None else f"{outcome.settled:.2f} s"
    return (
        f"{backend:7} | {outcome.writes / outcome.seconds:9.0f} {outcome.cpu:7.1f} s {outcome.reloads:8}"
        f" ({outcome.allowed:7}) {max(outcome.memory):9.0f} {outcome.growth:7.2f}  {settled}"
    )


if __name__ == "__main__":
    sys.exit(main())
