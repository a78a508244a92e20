"""Which nginx there is, as `nginx -V` tells it."""

from __future__ import annotations

import re

from gen.errors import UsageError

Version = tuple[int, ...]

FLOOR: Version = (1, 22)
SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BANNER = re.compile(r"nginx version: [^/\s]+/([0-9.]+)")


def find_binary(wanted: str) -> str:
    """The binary that is asked for, else the nginx of this machine; empty where there is none."""
    import shutil

    return wanted or shutil.which("nginx") or shutil.which("nginx", path=SEARCH) or ""


def parse(text: str) -> Version:
    """A version such as `1.22.1`.  Raises UsageError for another shape or one that is too old."""
    if not re.fullmatch(r"[0-9]{1,4}(?:\.[0-9]{1,4}){1,3}", text):
        raise UsageError(f"expected a version of nginx such as 1.26.3, got {text[:40]!r}")
    version = tuple(map(int, text.split(".")))
    if version < FLOOR:
        raise UsageError(f"nginx {text} is too old: {'.'.join(map(str, FLOOR))} is the oldest that gen knows")
    return version


def detect(binary: str) -> Version:
    """The version of a binary.  Raises UsageError when it does not run or does not say."""
    import subprocess

    try:
        done = subprocess.run([binary, "-V"], capture_output=True, text=True, errors="replace", timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"cannot ask {binary} for its version: {error}") from error
    if not (found := BANNER.search(done.stderr)):
        raise UsageError(f"{binary} -V does not look like nginx")
    return parse(found[1])
