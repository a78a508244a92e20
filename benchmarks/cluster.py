"""`python -m benchmarks.cluster`: from nothing to a large cluster's first configuration, beside its bare lists.

Each way is measured in a fresh process: `bare` gets the same pages one after the other and decodes them to the same
views; `imports` is what gen's way costs before its first request; `lists` and `watch-lists` end with the first batch,
`gen run` with the first configuration that nginx has confirmed (its own time is that of gen's children).
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import GenericAlias
from typing import Any

import msgspec

from benchmarks import apiserver
from benchmarks.measure import Cost, cheapest, cpu_of_process, peak_of_process
from gen.k8s import KINDS
from tests.live.net import ADMIN_PORT, HTTP_PORT, HTTPS_PORT, fresh_address

WAYS = ("imports", "bare", "lists", "watch-lists")


def main() -> int:
    """Measure, print the table, and tell whether the mark is met: twice the memory of `bare` at most."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--times", type=int, default=3, help="the cheapest of so many runs counts")
    parser.add_argument("--part", type=float, default=1.0, help="a part of the 32,000 objects, for a quick look")
    parser.add_argument("--child", choices=[*WAYS, "serve"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    objects = sum(round(count * options.part) for count in apiserver.COUNTS.values())
    match options.child:
        case None:
            return compare(options.times, options.part)
        case "serve":
            apiserver.serve(options.part)
        case "imports":
            connected(f"http://127.0.0.1:{options.port}")
        case "bare":
            bare(options.port, objects)
        case way:
            asyncio.run(first_batch(f"http://127.0.0.1:{options.port}/{way}", objects))
    return 0


def compare(times: int, part: float) -> int:
    """The table."""
    command = [sys.executable, "-m", "benchmarks.cluster", "--part", str(part), "--child"]
    with served([*command, "serve"]) as port:
        costs = {way: cheapest([*command, way, "--port", port], times) for way in WAYS}
        if shutil.which("nginx"):
            runs = (first_configuration(f"http://127.0.0.1:{port}/watch-lists") for _ in range(times))
            costs["gen run"] = min(runs, key=lambda cost: cost.cpu)
    base = costs["bare"]
    print("way         |  CPU s  wall s  peak MiB | CPU/bare memory/bare")
    for way, cost in costs.items():
        ratios = f"{cost.cpu / base.cpu:8.2f} {cost.peak / base.peak:11.2f}"
        print(f"{way:11} | {cost.cpu:6.2f} {cost.wall:7.2f} {cost.peak:9.0f} | {ratios}")
    missed = [way for way in ("lists", "watch-lists", "gen run") if way in costs and costs[way].peak > 2 * base.peak]
    print(f"missed: {', '.join(missed)} took more than twice the memory" if missed else "the mark is met")
    return 1 if missed else 0


@contextmanager
def served(command: list[str]) -> Iterator[str]:
    """The port of an API server that lives meanwhile."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def bare(port: int, objects: int) -> None:
    """Page after page over one connection, decoded to views that stay."""

    class Meta(msgspec.Struct):
        rest: str = msgspec.field(default="", name="continue")

    found: list[object] = []
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for kind, path in apiserver.PATHS.items():
        items = GenericAlias(list, (KINDS[kind],))
        decoder = msgspec.json.Decoder(msgspec.defstruct("Page", [("metadata", Meta), ("items", items)]))
        rest = None
        while rest != "":
            target = f"/lists{path}?limit={apiserver.PAGE}&continue={rest or ''}"
            connection.request("GET", target, headers={"Accept-Encoding": "gzip"})
            page: Any = decoder.decode(gzip.decompress(connection.getresponse().read()))
            found += page.items
            rest = page.metadata.rest
    assert len(found) == objects


async def first_batch(url: str, objects: int) -> None:
    """All that `gen run` does until it has its first batch, and no more."""
    from gen.sources.cluster import ClusterSource
    from gen.sources.kube.selection import Scope

    source = ClusterSource(connected(url), Scope(kinds=tuple(apiserver.PATHS)))
    batches = source.batches()
    first = await anext(batches)
    assert (len(first.changes), first.issues) == (objects, ())
    await source.close()
    assert await anext(batches, None) is None


def first_configuration(url: str) -> Cost:
    """What `gen run` costs until its proxy has confirmed everything."""
    with tempfile.TemporaryDirectory(prefix="gen-bench-") as name:
        folder, address = Path(name), fresh_address(HTTP_PORT, HTTPS_PORT, ADMIN_PORT)
        (folder / "kubeconfig").write_text(json.dumps(kubeconfig(url)))
        command = [sys.executable, "-m", "gen", "run", "-b", "nginx", "--kubeconfig", str(folder / "kubeconfig")]
        command += ["--disable-ingress-class-lookup", "--state-dir", str(folder / "state"), "--bind", address]
        command += ["--http-port", str(HTTP_PORT), "--https-port", str(HTTPS_PORT)]
        begun = time.monotonic()
        with subprocess.Popen([*command, "--admin", f"{address}:{ADMIN_PORT}"], stderr=subprocess.DEVNULL) as gen:
            try:
                wait_until_ready(address, gen)
                cpu, _ = cpu_of_process(gen.pid)
                return Cost(cpu, time.monotonic() - begun, peak_of_process(gen.pid))
            finally:
                gen.terminate()


def wait_until_ready(address: str, gen: subprocess.Popen[bytes]) -> None:
    """Wait until gen says that it is ready.  Raises RuntimeError when it ends instead."""
    while gen.poll() is None:
        with suppress(OSError):
            connection = http.client.HTTPConnection(address, ADMIN_PORT)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"gen ended with {gen.returncode}")


def connected(url: str) -> Any:
    """A connection as `gen run` makes it, from a kubeconfig."""
    from gen.sources.kube.access import load_access
    from gen.sources.kube.connection import Connection

    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(kubeconfig(url), file)
        file.flush()
        access = load_access(file.name)
    return Connection(lambda: access)


def kubeconfig(url: str) -> dict[str, object]:
    """Without credentials."""
    clusters = [{"name": "here", "cluster": {"server": url}}]
    contexts = [{"name": "here", "context": {"cluster": "here"}}]
    return {"current-context": "here", "clusters": clusters, "contexts": contexts, "users": []}


if __name__ == "__main__":
    sys.exit(main())
