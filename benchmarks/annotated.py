"""`python -m benchmarks.annotated`: what annotations cost: Ingresses with five of them beside the same ones without."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cold import GEN
from benchmarks.manifests import write
from benchmarks.measure import cost_of

MOST = 2.0
"""The mark: so many times the cold cost of the same Ingresses without annotations."""
PLAIN = '  creationTimestamp: "2026-01-01T00:00:00Z"\n'
PREFIX = "nginx.ingress.kubernetes.io"


def five(number: int) -> dict[str, str]:
    """Annotations that are common, with values that differ from one Ingress to the next."""
    return {
        "force-ssl-redirect": "true",
        "proxy-body-size": f"{number % 97 + 1}m",
        "proxy-read-timeout": str(number % 89 + 30),
        "enable-cors": "true",
        "allowlist-source-range": f"10.{number // 250}.{number % 250}.0/24, 192.168.0.0/16",
    }


def annotate(plain: Path, folder: Path) -> None:
    """Write the manifests of a folder once more, their Ingresses with annotations."""
    number = 0
    for file in sorted(plain.iterdir()):
        first, *rest = file.read_text().split(PLAIN)
        pieces = [first]
        for piece in rest:
            lines = "".join(f'    {PREFIX}/{name}: "{value}"\n' for name, value in five(number).items())
            pieces.append(f"  annotations:\n{lines}{piece}")
            number += 1
        (folder / file.name).write_text(PLAIN.join(pieces))


def measure(backend: str, size: int, times: int) -> tuple[float, float]:
    """CPU seconds of a cold rendering without and with annotations: the cheapest of runs that alternate."""
    with tempfile.TemporaryDirectory(prefix="gen-bench-") as name:
        plain, annotated, output = (Path(name, kind) for kind in ("plain", "annotated", "output"))
        plain.mkdir()
        annotated.mkdir()
        write(plain, size, "yaml")
        annotate(plain, annotated)
        costs: dict[Path, list[float]] = {plain: [], annotated: []}
        for _ in range(times):
            for folder, found in costs.items():
                shutil.rmtree(output, ignore_errors=True)
                found.append(cost_of([GEN, "render", "-b", backend, "-f", str(folder), "-o", str(output)]).cpu)
        return min(costs[plain]), min(costs[annotated])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 when the mark is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.annotated", description=__doc__)
    parser.add_argument("--size", type=int, default=1000, help="number of Ingresses")
    parser.add_argument("--backend", nargs="+", default=["nginx", "haproxy", "envoy"])
    parser.add_argument("--times", type=int, default=3, help="the cheapest of so many runs counts")
    options = parser.parse_args(arguments)
    print(f"backend  | {options.size} Ingresses, gen CPU: without  with five annotations  ratio (mark {MOST:g})")
    is_met = True
    for backend in options.backend:
        without, with_five = measure(backend, options.size, options.times)
        is_met &= with_five <= MOST * without
        print(f"{backend:8} | {without:37.2f} {with_five:22.2f} {with_five / without:6.2f}", flush=True)
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
