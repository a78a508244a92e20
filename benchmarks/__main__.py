"""`python -m benchmarks`: a table of what gen costs next to the proxy's own test, measured in this very run.

gen is measured as pip installs it, which is compiled to bytecode.  `test` is the proxy's own test of the output,
`plain` nginx's test of the obvious layout of the same hosts.
"""

from __future__ import annotations

import argparse
import compileall
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.change import Change, measure_change
from benchmarks.cold import Cold, measure_cold
from benchmarks.manifests import Format, write

ROOT = Path(__file__).parents[1]
PACKAGES = ("gen", "backends")
HEAD = (
    "backend    size input | gen CPU    wall peak MiB | test CPU gen/test | plain CPU gen/plain |"
    " change: gen children served in\n"
    "                      |       s       s          |        s          |         s           |"
    "           s        s         s"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; 1 when a mark is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--size", type=int, nargs="+", default=[1000, 5000, 10_000], help="numbers of Ingresses")
    parser.add_argument("--backend", nargs="+", default=["nginx", "haproxy", "envoy"])
    parser.add_argument("--input", nargs="+", choices=["yaml", "json"], default=["yaml", "json"])
    parser.add_argument("--times", type=int, default=3, help="the cheapest of so many runs counts")
    parser.add_argument("--no-change", action="store_true", help="leave the cost of one change out")
    options = parser.parse_args(arguments)
    for package in PACKAGES:
        compileall.compile_dir(ROOT / package, quiet=1)
    print(HEAD, flush=True)
    missed: list[str] = []
    for size in options.size:
        for form in options.input:
            for backend in options.backend:
                cold, change = measure(backend, size, form, options.times, with_change=not options.no_change)
                print(line(backend, size, form, cold, change), flush=True)
                missed += missed_marks(backend, size, form, cold)
    print("\n".join(missed) or "every mark is met")
    return 1 if missed else 0


def measure(backend: str, size: int, form: Format, times: int, *, with_change: bool) -> tuple[Cold, Change | None]:
    """Both measurements on new manifests."""
    with tempfile.TemporaryDirectory(prefix="gen-bench-") as name:
        folder = Path(name)
        manifests, runtime = folder / "manifests", folder / "run"
        manifests.mkdir()
        runtime.mkdir()
        write(manifests, size, form)
        cold = measure_cold(backend, size, manifests, folder / "output", runtime, times=times)
        return cold, measure_change(backend, folder, manifests, size, form) if with_change else None


def line(backend: str, size: int, form: str, cold: Cold, change: Change | None) -> str:
    """A line of the table."""
    gen, proxy = cold.gen, cold.proxy
    rendered = f"{backend:8} {size:6} {form:>5} | {gen.cpu:7.2f} {gen.wall:7.2f} {gen.peak:8.0f}"
    tested = f" | {proxy.cpu:8.2f} {cold.ratio:8.2f}"
    tested += f" | {cold.plain.cpu:9.2f} {cold.plain_ratio:9.2f}" if cold.plain else f" | {'-':>9} {'-':>9}"
    changed = f" | {change.gen:11.2f} {change.proxy:8.2f} {change.wall:9.2f}" if change else ""
    return rendered + tested + changed


def missed_marks(backend: str, size: int, form: str, cold: Cold) -> Iterator[str]:
    """What should have been cheaper: than `nginx -t` at 5,000, than a part of it for the obvious layout at 10,000."""
    if backend == "nginx" and size == 5000 and cold.ratio >= 1:
        yield f"missed: nginx, {size}, {form}: gen costs {cold.ratio:.2f} times what nginx -t of its output costs"
    if backend == "nginx" and size == 10_000 and cold.plain_ratio >= 0.4:
        yield f"missed: nginx, {size}, {form}: gen costs {cold.plain_ratio:.2f} of the obvious layout, the mark is 0.4"
    if size == 10_000 and cold.gen.peak >= 400:
        yield f"missed: {backend}, {size}, {form}: {cold.gen.peak:.0f} MiB, the mark is 400"


if __name__ == "__main__":
    sys.exit(main())
