"""The cold path: from manifests to a directory, in a new process; beside it the proxy's own test of that directory."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from benchmarks.measure import Cost, cheapest, cost_of
from benchmarks.obvious import obvious

GEN = str(Path(sys.executable).with_name("gen"))
TESTS: Mapping[str, tuple[str, ...]] = {
    "nginx": ("nginx", "-t", "-q", "-p", ".", "-c", "nginx.conf"),
    "haproxy": ("haproxy", "-c", "-q", "-f", "."),
    "envoy": ("envoy", "--mode", "validate", "-c", "envoy.json"),
}
"""The proxy's own test of a rendered directory, run in that directory."""


class Cold(Struct, frozen=True):
    """What `gen render` costs, and what the proxy's own test of its output costs.

    Shape: `plain` is what nginx's test of the obvious layout of the same hosts costs.
    """

    gen: Cost
    proxy: Cost
    plain: Cost | None = None

    @property
    def ratio(self) -> float:
        """CPU time of gen as a part of the proxy's."""
        return self.gen.cpu / self.proxy.cpu

    @property
    def plain_ratio(self) -> float:
        """CPU time of gen as a part of that for the obvious layout, 0 where there is none."""
        return self.gen.cpu / self.plain.cpu if self.plain else 0.0


def measure_cold(backend: str, size: int, manifests: Path, output: Path, runtime: Path, *, times: int) -> Cold:
    """Render so many times into an empty directory, then let the proxy test it as often; the cheapest runs count."""
    version = {"nginx": "1.22.1", "haproxy": "2.6.12", "envoy": "1.40.0"}[backend]
    command = [GEN, "render", "-b", backend, "-f", str(manifests), "-o", str(output), "--proxy-version", version]
    rendered = []
    for _ in range(times):
        shutil.rmtree(output, ignore_errors=True)
        rendered.append(cost_of([*command, "--runtime-dir", str(runtime)]))
    test = [program(TESTS[backend][0]), *TESTS[backend][1:]]
    plain = measure_plain(output.parent / "plain", size) if backend == "nginx" else None
    return Cold(min(rendered, key=lambda cost: cost.cpu), cheapest(test, times, cwd=output), plain)


def measure_plain(home: Path, size: int) -> Cost:
    """The test of the obvious layout, which takes so long that once is enough."""
    home.mkdir()
    (home / "nginx.conf").write_text("".join(obvious(size)))
    return cost_of([program("nginx"), *TESTS["nginx"][1:]], cwd=home)


def program(name: str) -> str:
    """Where a proxy is installed.  Raises FileNotFoundError."""
    places = (str(Path(sys.executable).parent), "/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin")
    found = next((path for place in places if (path := shutil.which(name, path=place))), None)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed")
    return found
