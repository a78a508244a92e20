"""`python -m benchmarks.endpoint`: one endpoint of a large fleet changes; what that costs, and when it serves.

The loop, the translation and the proxy are the real ones; the source is a queue in this process.  The time begins when
the source has the change, and ends when a client gets the first answer of the new endpoint.  The CPU time is that of
gen alone: nobody asks anything while it is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from benchmarks.manifests import texts
from gen.backend import Placement, load
from gen.ir import Options
from gen.k8s import parse, ref_of
from gen.reconcile.backoff import Timing
from gen.reconcile.loop import Reconciler
from gen.reconcile.pipeline import Pipeline
from gen.report.events import Attempt, Event
from gen.sources import Batch
from gen.store import Change
from gen.translate.settings import Settings
from tests.live.echo import EchoNet
from tests.live.net import HTTP_PORT, HTTPS_PORT, fresh_address
from tests.live.proxies import binary_of

HOST, NUMBER = "app-5.bench.example", 5
LIMIT = 60.0
CPU_MARK, TIME_MARK = 0.005, {"envoy": 0.015}
"""Seconds; the time is that of HAProxy where a proxy has none of its own."""


class Outcome(Struct, frozen=True):
    """Seconds for each change, and how many reloads there were."""

    cpu: tuple[float, ...]
    served: tuple[float, ...]
    reloads: int


class Queue:
    """A source that gives what is put into it."""

    def __init__(self) -> None:
        self._batches: asyncio.Queue[Batch] = asyncio.Queue()

    def put(self, *manifests: dict[str, Any]) -> None:
        """Say that these objects are so now."""
        views = [parse(each["kind"], each) for each in manifests]
        self._batches.put_nowait(Batch(tuple(Change(ref_of(view), view) for view in views)))

    async def batches(self) -> AsyncIterator[Batch]:
        """What was put in."""
        while True:
            yield await self._batches.get()

    async def close(self) -> None:
        """Nothing to do."""


class Fleet:
    """A loop over many objects, and one Service whose endpoint changes."""

    def __init__(self, backend: str, size: int, folder: Path, echo: EchoNet) -> None:
        self.address = fresh_address(HTTP_PORT, HTTPS_PORT)
        runtime = folder / "run"
        options = Options(
            http_port=HTTP_PORT, https_port=HTTPS_PORT, bind=(self.address,), runtime_dir=str(runtime), workers=2
        )
        placement = Placement("managed", folder / "state", runtime, binary=binary_of(backend))
        proxy = load(backend, placement)
        self.queue, self.attempts = Queue(), asyncio.Queue[Attempt]()
        settings = Settings(assume_class=True, allow_loopback=True, options=options)
        build = Pipeline(settings, proxy).build
        self.loop = Reconciler(source=self.queue, build=build, backend=proxy, observe=self._note, timing=Timing())
        self.manifests = manifests(size)
        self.slice = self.manifests[3 * NUMBER + 2]
        self._echo, self.reloads = echo, 0

    def _note(self, event: Event) -> None:
        if isinstance(event, Attempt):
            self.reloads += event.effect == "reload"
            self.attempts.put_nowait(event)

    async def applied(self) -> None:
        """Wait until the change is confirmed.  Raises RuntimeError when it is not."""
        async with asyncio.timeout(LIMIT):
            attempt = await self.attempts.get()
        if attempt.result != "applied":
            raise RuntimeError(attempt.error)

    def elsewhere(self) -> str:
        """Another address where an endpoint listens."""
        address = fresh_address(8080)
        self._echo.listen(address, 8080, "web")
        return address

    def move(self, address: str) -> None:
        """Put the endpoint there."""
        self.queue.put({**self.slice, "endpoints": [{"addresses": [address], "conditions": {"ready": True}}]})


def manifests(size: int) -> list[dict[str, Any]]:
    """The objects of so many Ingresses."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [yaml.load(text, loader) for number in range(size) for text in texts(number)]


async def measure(backend: str, size: int, times: int, folder: Path, echo: EchoNet) -> Outcome:
    """Change one endpoint again and again."""
    fleet = Fleet(backend, size, folder, echo)
    stopping = asyncio.Event()
    running = asyncio.create_task(fleet.loop.run(stopping, asyncio.Event()))
    try:
        fleet.queue.put(*fleet.manifests)
        await fleet.applied()
        fleet.move(fleet.elsewhere())
        await fleet.applied()  # from here on nothing is done for the first time
        fleet.reloads = 0
        cpu = [await cost(fleet) for _ in range(times)]
        served = [await delay(fleet) for _ in range(times)]
    finally:
        stopping.set()
        await running
    return Outcome(tuple(cpu), tuple(served), fleet.reloads)


async def cost(fleet: Fleet) -> float:
    """CPU seconds for one change."""
    address = fleet.elsewhere()
    begun = time.process_time()
    fleet.move(address)
    await fleet.applied()
    return time.process_time() - begun


async def delay(fleet: Fleet) -> float:
    """Seconds from the change to the first answer of the new endpoint."""
    address = fleet.elsewhere()
    begun = time.monotonic()
    fleet.move(address)
    await asyncio.to_thread(wait_for, fleet.address, address)
    seconds = time.monotonic() - begun
    await fleet.applied()
    return seconds


def wait_for(proxy: str, address: str) -> None:
    """Ask until that endpoint answers.  Raises RuntimeError when it never does."""
    deadline = time.monotonic() + LIMIT
    connection = http.client.HTTPConnection(proxy, HTTP_PORT, timeout=LIMIT)
    while time.monotonic() < deadline:
        connection.request("GET", "/", headers={"Host": HOST})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == 200 and json.loads(body)["instance"] == address:
            connection.close()
            return
        time.sleep(0.0005)
    raise RuntimeError(f"{address} does not answer")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; 1 when a mark is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endpoint", description=__doc__)
    parser.add_argument("--backend", nargs="+", default=["haproxy", "envoy"])
    parser.add_argument("--size", type=int, default=10_000, help="number of Ingresses")
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args(arguments)
    print("backend    size | gen CPU  | served after: median, worst | reloads", flush=True)
    missed: list[str] = []
    for backend in options.backend:
        with tempfile.TemporaryDirectory(prefix="gen-bench-") as folder, EchoNet() as echo:
            outcome = asyncio.run(measure(backend, options.size, options.times, Path(folder), echo))
        cpu, served = statistics.median(outcome.cpu), statistics.median(outcome.served)
        print(
            f"{backend:8} {options.size:6} | {1000 * cpu:5.1f} ms | {1000 * served:16.1f} ms,"
            f" {1000 * max(outcome.served):5.1f} ms | {outcome.reloads:7}"
        )
        marks = {"gen's CPU": (cpu, CPU_MARK), "the first answer": (served, TIME_MARK.get(backend, 0.025))}
        missed += [f"missed: {backend}: {what}" for what, (value, mark) in marks.items() if value > mark]
        missed += [f"missed: {backend}: no reload"] if outcome.reloads else []
    print("\n".join(missed) or "every mark is met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
