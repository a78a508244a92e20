"""What a child process costs."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct


class Cost(Struct, frozen=True):
    """CPU seconds of a process and of the children it waited for, wall seconds, and its peak memory in MiB."""

    cpu: float
    wall: float
    peak: float

    def __str__(self) -> str:
        return f"{self.cpu:.2f} s CPU, {self.wall:.2f} s, {self.peak:.0f} MiB"


def cost_of(command: Sequence[str], *, cwd: Path | None = None) -> Cost:
    """Run a command to its end.  Raises RuntimeError with its output when it fails."""
    started = time.monotonic()
    with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        assert child.stdout
        output = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {child.returncode}:\n{output.decode()[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - started, usage.ru_maxrss / 1024)


def cheapest(command: Sequence[str], times: int, *, cwd: Path | None = None) -> Cost:
    """The cheapest of several runs: what others do on the machine only ever adds."""
    return min((cost_of(command, cwd=cwd) for _ in range(times)), key=lambda cost: cost.cpu)


def cpu_of_process(pid: int) -> tuple[float, float]:
    """The CPU time so far, in seconds, of a running process, and of the children it has waited for."""
    fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    own, children = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    tick = os.sysconf("SC_CLK_TCK")
    return own / tick, children / tick


def peak_of_process(pid: int) -> float:
    """The most memory so far of a running process, in MiB."""
    text = Path("/proc", str(pid), "status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) / 1024
